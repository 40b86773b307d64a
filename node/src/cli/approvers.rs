//! Who can still approve, as governance tells it: for a proposal that collects, and for one that is only tried. It decides nothing here:
//! what counts is what the trust root says, which every region checks again.

use std::collections::BTreeSet;

use orbital::names::{Group, Person};
use serde::Deserialize;

/// The quorum of a change, as the portal shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Quorum {
    #[serde(default)]
    reachable: bool,
    #[serde(default)]
    unmet: Vec<Unmet>,
    #[serde(default)]
    besides: Vec<String>,
    #[serde(default)]
    can_approve: Vec<Candidate>,
    #[serde(default)]
    cannot_approve: Vec<Barred>,
    #[serde(default)]
    confirm: Option<Person>,
}

#[derive(Clone, Debug, Deserialize)]
struct Unmet {
    kinds: BTreeSet<String>,
    missing: Vec<Group>,
}

#[derive(Clone, Debug, Deserialize)]
struct Candidate {
    person: Person,
    groups: BTreeSet<Group>,
}

#[derive(Clone, Debug, Deserialize)]
struct Barred {
    person: Person,
    why: String,
}

impl Quorum {
    /// A line for each rule that is open, each person who can approve, and each who cannot.
    pub(crate) fn lines(&self) -> Vec<String> {
        let list = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join(", ");
        let mut lines = Vec::new();
        for rule in &self.unmet {
            let missing = list(&mut rule.missing.iter().map(ToString::to_string));
            lines.push(format!("Missing for {}: {missing}.", kinds(&rule.kinds)));
        }
        lines.extend(self.besides.iter().map(|lacking| format!("Lacking: {lacking}.")));
        let done = self.unmet.is_empty() && self.besides.is_empty();
        let can = list(&mut self.can_approve.iter().map(|candidate| {
            format!("{} ({})", candidate.person, list(&mut candidate.groups.iter().map(ToString::to_string)))
        }));
        match (done, can.is_empty()) {
            (true, _) => lines.push("No approval is missing.".to_owned()),
            (false, true) => lines.push("Nobody can approve it.".to_owned()),
            (false, false) => lines.push(format!("Can approve: {can}.")),
        }
        if !done && !self.reachable {
            lines.push("All of them together do not suffice: it cannot come into force as things stand.".to_owned());
        }
        lines.extend(self.cannot_approve.iter().map(|barred| format!("  not {}: {}.", barred.person, barred.why)));
        lines.extend(self.confirm.iter().map(|person| format!("{person} confirms last.")));
        lines
    }
}

/// A change of people or rules asks for many kinds' rules at once: the first ones, and how many more.
fn kinds(all: &BTreeSet<String>) -> String {
    const SHOWN: usize = 3;
    let first = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{first} and {more} more"),
        None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quorum(reachable: bool, unmet: usize) -> Quorum {
        let kinds = ["A", "B", "C", "D"].map(str::to_owned).into();
        let open = Unmet { kinds, missing: vec![Group::new("Audit").unwrap()] };
        Quorum {
            reachable,
            unmet: std::iter::repeat_n(open, unmet).collect(),
            besides: Vec::new(),
            can_approve: Vec::new(),
            cannot_approve: vec![Barred { person: Person::new("alice").unwrap(), why: "proposed it".into() }],
            confirm: Some(Person::new("alice").unwrap()),
        }
    }

    #[test]
    fn what_is_missing_and_who_is_barred_is_told() {
        let told = quorum(false, 1).lines().join("\n");
        assert!(told.contains("Missing for A, B, C and 1 more: Audit."), "{told}");
        assert!(told.contains("Nobody can approve it.") && told.contains("do not suffice"), "{told}");
        assert!(told.ends_with("  not alice: proposed it.\nalice confirms last."), "{told}");
        let besides = Quorum { besides: vec!["an approval by an independent key".into()], ..quorum(true, 0) };
        assert_eq!(besides.lines()[..2], ["Lacking: an approval by an independent key.", "Nobody can approve it."]);
        assert!(quorum(true, 0).lines().contains(&"No approval is missing.".to_owned()));
    }
}
