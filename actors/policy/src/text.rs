//! What must hold before any parser sees a text: length, alphabet, depth.
//!
//! Cedar's parser, validator and even the drop of an expression recurse as deep as the expression does, and a chain such as `a && b && c`
//! is as deep as it is long: 300 links overflow a stack of 2 MiB, which ends the whole process. So the links are counted first, by a
//! small reader that knows strings, comments and the end of a statement and nothing else of the language.

use crate::finding::{Finding, Part, Place};

/// Longest text of one part, in bytes.
pub const BUNDLE_PART_BYTES_MAX: usize = 256 * 1024;
/// Most operators, dots and brackets of one clause of a policy: its scope, or one `when` or `unless`.
pub const CLAUSE_OPERATORS_MAX: usize = 24;
/// Most bracketed parts of one policy: its scope, its annotations, and each `when` or `unless`. Cedar hangs each clause below the one
/// before, so that a policy is as deep as it has clauses, and its deepest one.
pub const CLAUSES_MAX: usize = 8;
/// Most brackets that may be open at once.
pub const NESTING_MAX: usize = 16;
/// Most declarations of a schema: types that refer to each other are followed recursively.
pub const SCHEMA_DECLARATIONS_MAX: usize = 256;

/// The first thing wrong with the text of a part.
pub(crate) fn finding(part: Part, text: &str) -> Option<Finding> {
    too_long(part, text).or_else(|| strange(part, text)).or_else(|| too_nested(part, text)).or_else(|| match part {
        Part::Schema => too_many_declarations(text),
        Part::Policies => too_many_operators(text),
        Part::Entities => None,
    })
}

fn too_long(part: Part, text: &str) -> Option<Finding> {
    let found = text.len();
    let message = format!("the text has {found} bytes, at most {BUNDLE_PART_BYTES_MAX} are allowed");
    (found > BUNDLE_PART_BYTES_MAX).then(|| Finding::new(part, message, "drop what is not needed"))
}

fn strange(part: Part, text: &str) -> Option<Finding> {
    let allowed = |c: char| c.is_ascii_graphic() || matches!(c, ' ' | '\n' | '\t');
    let (offset, found) = text.char_indices().find(|(_, c)| !allowed(*c))?;
    let message = format!("the character U+{:04X} may not stand in a bundle", u32::from(found));
    let help = "use printable ASCII, newline and tab only, in comments too; strings may say \\u{...}";
    Some(Finding::new(part, message, help).at(Place::of(text, offset)))
}

/// A clause ends where its bracket closes, a policy at its semicolon.
fn too_many_operators(text: &str) -> Option<Finding> {
    let (mut open, mut operators, mut clauses) = (0_usize, 0_usize, 0_usize);
    let offset = first(Part::Policies, text, |seen| {
        match seen {
            Seen::Open => (open, operators) = (open + 1, operators + 1),
            Seen::Operator => operators += 1,
            Seen::Close => {
                clauses += usize::from(open == 1);
                open = open.saturating_sub(1);
            }
            Seen::End => (open, clauses) = (0, 0),
        }
        let over = operators > CLAUSE_OPERATORS_MAX || clauses > CLAUSES_MAX;
        operators = if open == 0 && matches!(seen, Seen::Close | Seen::End) { 0 } else { operators };
        over
    })?;
    let message = match clauses > CLAUSES_MAX {
        true => format!("this policy has more than {CLAUSES_MAX} clauses, its scope and annotations among them"),
        false => format!("this clause has more than {CLAUSE_OPERATORS_MAX} operators, dots and brackets"),
    };
    let help = "split it into several policies, or a long clause into several `when` or `unless` clauses";
    Some(Finding::new(Part::Policies, message, help).at(Place::of(text, offset)))
}

fn too_many_declarations(text: &str) -> Option<Finding> {
    let mut declarations = 0_usize;
    let offset = first(Part::Schema, text, |seen| {
        declarations += usize::from(seen == Seen::End);
        declarations > SCHEMA_DECLARATIONS_MAX
    })?;
    let message = format!("the schema has more than {SCHEMA_DECLARATIONS_MAX} declarations");
    Some(Finding::new(Part::Schema, message, "declare several actions or types at once").at(Place::of(text, offset)))
}

/// Angle brackets nest in a schema only (`Set<...>`); in policies they compare.
fn too_nested(part: Part, text: &str) -> Option<Finding> {
    let mut open = 0_usize;
    let offset = first(part, text, |seen| {
        match seen {
            Seen::Open => open += 1,
            Seen::Close => open = open.saturating_sub(1),
            Seen::End if part == Part::Policies => open = 0,
            Seen::End | Seen::Operator => {}
        }
        open > NESTING_MAX
    })?;
    let message = format!("more than {NESTING_MAX} brackets are open here");
    Some(Finding::new(part, message, "nest less deeply").at(Place::of(text, offset)))
}

/// What the counts look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Open,
    Close,
    Operator,
    End,
}

/// Where the reader stands.
#[derive(Clone, Copy)]
enum At {
    Code,
    /// Within a string; the flag: after a backslash.
    Text(bool),
    Comment,
}

/// The offset of the first thing seen, in what is neither string nor comment, at which `over` holds.
fn first(part: Part, text: &str, mut over: impl FnMut(Seen) -> bool) -> Option<usize> {
    let (mut at, mut before) = (At::Code, b' ');
    text.bytes().position(|byte| {
        let seen = if matches!(at, At::Code) { seen(part, before, byte) } else { None };
        at = after(at, before, byte);
        before = byte;
        seen.is_some_and(&mut over)
    })
}

fn after(at: At, before: u8, byte: u8) -> At {
    match (at, byte) {
        (At::Code, b'"') => At::Text(false),
        (At::Code, b'/') if before == b'/' => At::Comment,
        (At::Text(false), b'"') | (At::Comment, b'\n') => At::Code,
        (At::Text(escaped), _) => At::Text(byte == b'\\' && !escaped),
        (other, _) => other,
    }
}

/// `&&`, `||`, `==` and the like count at their second byte; `if` at its `f`. Angle brackets nest in a schema (`Set<...>`) and compare
/// in policies.
fn seen(part: Part, before: u8, byte: u8) -> Option<Seen> {
    match byte {
        b'<' if part == Part::Schema => Some(Seen::Open),
        b'>' if part == Part::Schema => Some(Seen::Close),
        b'(' | b'[' | b'{' => Some(Seen::Open),
        b')' | b']' | b'}' => Some(Seen::Close),
        b'.' | b'+' | b'-' | b'*' | b'!' | b'<' | b'>' => Some(Seen::Operator),
        b'&' | b'|' | b'=' if before == byte => Some(Seen::Operator),
        b'f' if before == b'i' => Some(Seen::Operator),
        b';' => Some(Seen::End),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(part: Part, text: &str) -> bool {
        finding(part, text).is_some()
    }

    #[test]
    fn every_link_of_a_chain_counts_and_a_new_clause_starts_again() {
        for link in ["a && ", "a || ", "1 + ", "1 - ", "1 * ", "1 < ", "1 > ", "if a then b else ", "a.", "!", "1 == "]
        {
            let links = |n| link.repeat(n);
            assert!(!refused(Part::Policies, &links(CLAUSE_OPERATORS_MAX)), "{link}");
            assert!(refused(Part::Policies, &links(CLAUSE_OPERATORS_MAX + 1)), "{link}");
            assert!(!refused(Part::Policies, &format!("{};", links(CLAUSE_OPERATORS_MAX)).repeat(10)), "{link}");
            assert!(
                !refused(
                    Part::Policies,
                    &format!("when {{ {} }}", links(CLAUSE_OPERATORS_MAX - 1)).repeat(CLAUSES_MAX)
                ),
                "{link}"
            );
            assert!(
                refused(
                    Part::Policies,
                    &format!("when {{ {} }}", format!("({link})").repeat(CLAUSE_OPERATORS_MAX / 2))
                ),
                "{link}"
            );
        }
    }

    #[test]
    fn a_policy_is_no_deeper_than_its_clauses_allow() {
        let policy =
            |clauses: usize| format!("permit(principal, action, resource){};", " when { 1 < 2 }".repeat(clauses));
        assert!(!refused(Part::Policies, &policy(CLAUSES_MAX - 1).repeat(10)));
        assert!(refused(Part::Policies, &policy(CLAUSES_MAX)));
    }

    #[test]
    fn strings_and_comments_neither_count_nor_end_a_clause() {
        assert!(!refused(Part::Policies, &format!("\"{}\"", "a.".repeat(1_000))));
        assert!(!refused(Part::Policies, &format!("// {}\n", "a.".repeat(1_000))));
        let half = "a.".repeat(CLAUSE_OPERATORS_MAX / 2 + 1);
        for between in ["\";}\"", "// ;\n", "\"\\\";\"", "\"\\\\\\\";\"", "\"//\" // ;\n"] {
            assert!(refused(Part::Policies, &format!("{half}{between}{half}")), "{between}");
        }
        assert!(!refused(Part::Policies, &format!("{half}\"\\\\\";{half}")));
    }

    #[test]
    fn declarations_and_open_brackets_are_bounded() {
        assert!(!refused(Part::Schema, &"entity A;".repeat(SCHEMA_DECLARATIONS_MAX)));
        assert!(refused(Part::Schema, &"entity A;".repeat(SCHEMA_DECLARATIONS_MAX + 1)));
        for part in [Part::Schema, Part::Policies, Part::Entities] {
            for open in ["{a: ", "[", "("] {
                assert!(!refused(part, &open.repeat(NESTING_MAX)), "{part} {open}");
                assert!(refused(part, &open.repeat(NESTING_MAX + 1)), "{part} {open}");
            }
            assert!(!refused(part, &"{}[]();".repeat(100)), "{part}");
        }
        assert!(!refused(Part::Schema, &"Set<".repeat(NESTING_MAX)));
        assert!(refused(Part::Schema, &"Set<".repeat(NESTING_MAX + 1)));
        assert!(!refused(Part::Schema, &"Set<Long>".repeat(1_000)));
    }

    #[test]
    fn a_text_may_be_as_long_as_the_limit() {
        assert!(!refused(Part::Entities, &" ".repeat(BUNDLE_PART_BYTES_MAX)));
        assert!(refused(Part::Entities, &" ".repeat(BUNDLE_PART_BYTES_MAX + 1)));
    }

    /// A semicolon ends a policy, whatever it left open; in a schema it ends a declaration within a namespace.
    #[test]
    fn the_end_of_a_policy_closes_its_brackets() {
        let halves = format!("{0};{0}", "(".repeat(NESTING_MAX));
        assert!(!refused(Part::Policies, &halves));
        assert!(refused(Part::Schema, &halves));
    }

    #[test]
    fn what_is_said_of_a_long_policy_is_what_was_counted() {
        let said = |text: &str| finding(Part::Policies, text).unwrap().message;
        let clauses = " when { a }".repeat(CLAUSES_MAX);
        assert!(said(&format!("{clauses} when {{ b }}")).contains("clauses, its scope"));
        let long = "a.".repeat(CLAUSE_OPERATORS_MAX + 1);
        assert!(said(&long).contains("operators, dots"));
        assert!(said(&format!("{clauses}{long}")).contains("operators, dots"));
    }

    /// One slash begins no comment, one letter is no `if`, and one sign is half an operator.
    #[test]
    fn halves_of_signs_are_not_taken_for_the_whole() {
        assert!(refused(Part::Policies, &format!("a / {}", "b.".repeat(CLAUSE_OPERATORS_MAX + 1))));
        for half in ["f ", "a = ", "a & ", "a | "] {
            assert!(!refused(Part::Policies, &half.repeat(CLAUSE_OPERATORS_MAX + 1)), "{half}");
        }
    }
}
