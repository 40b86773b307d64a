//! "Did you mean": the nearest of the names that would have been right.

/// The candidate nearest to `text`, if it is near enough that a typing slip explains it.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match text.chars().count() {
        0..=3 => 1,
        4..=5 => 2,
        _ => 3,
    };
    let scored = candidates.into_iter().map(|c| (distance(&text.to_lowercase(), &c.to_lowercase()), c));
    scored.filter(|(d, c)| *d <= limit && *d < c.chars().count()).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// "; did you mean `x`?", or nothing.
pub(crate) fn did_you_mean<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(text, candidates).map_or(String::new(), |near| format!("; did you mean `{near}`?"))
}

/// Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&row, j) + usize::from(a != b)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && left.get(i - 1) == Some(b) && right.get(j - 1) == Some(a);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let fields = ["residency", "jurisdiction", "l1", "cache"];
        assert_eq!(nearest("residancy", fields), Some("residency"));
        assert_eq!(nearest("Jurisdicton", fields), Some("jurisdiction"));
        assert_eq!(nearest("l2", fields), Some("l1"));
        assert_eq!(nearest("password", fields), None);
        assert_eq!(nearest("xy", fields), None);
        assert_eq!(distance("acme-hms", "acme-hsm"), 1);
        assert_eq!(distance("", "abc"), 3);
    }

    proptest! {
        #[test]
        fn a_distance_is_one(left in ".{0,12}", right in ".{0,12}") {
            prop_assert_eq!(distance(&left, &right), distance(&right, &left));
            prop_assert_eq!(distance(&left, &right) == 0, left == right);
            prop_assert!(distance(&left, &right) <= left.chars().count().max(right.chars().count()));
        }
    }
}
