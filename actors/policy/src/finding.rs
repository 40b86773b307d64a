//! What can be wrong with a bundle: all findings at once, each with its place, and the crate's one error.

use std::fmt;

use cedar_policy::ffi::DetailedError;

/// Most findings that are shown at once; a further one says that there are more.
pub const FINDINGS_MAX: usize = 100;

/// One of the three texts of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Schema,
    Policies,
    Entities,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Schema => "schema",
            Self::Policies => "policies",
            Self::Entities => "entities",
        })
    }
}

/// Line and column in the part's text, both counted from 1; a column is one character (the texts are ASCII).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// The place of the byte at `offset`; an offset past the end is the end.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.bytes().take(offset);
        let (line, column) = before.fold((1, 1), |(line, column), byte| match byte {
            b'\n' => (line + 1, 1),
            _ => (line, column + 1),
        });
        Self { line, column }
    }
}

/// One thing wrong with a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub part: Part,
    pub place: Option<Place>,
    /// What is wrong and why.
    pub message: String,
    /// What to do, where it is known.
    pub help: Option<String>,
}

impl Finding {
    pub(crate) fn new(part: Part, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { part, place: None, message: message.into(), help: Some(help.into()) }
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// A diagnostic of Cedar and those that it lists as related, one finding each, at most one above [`FINDINGS_MAX`].
    pub(crate) fn from_cedar(part: Part, text: &str, detail: &DetailedError) -> Vec<Self> {
        let one = |detail: &DetailedError| {
            let place = detail.source_locations.first().map(|label| Place::of(text, label.loc.start));
            Self { part, place, message: detail.message.clone(), help: detail.help.clone() }
        };
        // Cedar lists related errors flat: the first error, and beside it all others of the same text.
        std::iter::once(detail).chain(&detail.related).take(FINDINGS_MAX + 1).map(one).collect()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.part)?;
        if let Some(Place { line, column }) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

/// Why a bundle or an epoch was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("the policy bundle has {} finding(s), each must be repaired before it can be proposed:\n{}", findings.len(), lines(findings))]
    Invalid { findings: Vec<Finding> },
    #[error(
        "the policy bundle can't be read: {reason}; hand over the bytes exactly as they were written by this system"
    )]
    Unreadable { reason: String },
    #[error(
        "the policy bundle is not in canonical form (RFC 8785, known members only): hand over the bytes exactly as they were signed"
    )]
    NotCanonical,
    #[error("the policy bundle has format {found}, this program reads format {known}: update this node")]
    OtherFormat { found: String, known: &'static str },
    #[error(
        "the policy bundle is written in Cedar {found}, this program evaluates Cedar {ours}: run the version that the bundle was approved for, or approve the bundle again"
    )]
    OtherLanguage { found: String, ours: String },
    #[error(
        "policy epoch {offered} is not above the current one, {current}: policies never go back; ask for the newest trust version"
    )]
    StaleEpoch { current: u64, offered: u64 },
}

impl PolicyError {
    /// The refusal with the first [`FINDINGS_MAX`] findings.
    pub(crate) fn invalid(mut findings: Vec<Finding>) -> Self {
        if let Some(Finding { part, .. }) = findings.get(FINDINGS_MAX) {
            let more = Finding::new(*part, "there are further findings", "repair these and check again");
            findings.truncate(FINDINGS_MAX);
            findings.push(more);
        }
        Self::Invalid { findings }
    }

    pub(crate) fn unless_empty(findings: Vec<Finding>) -> Result<(), Self> {
        if findings.is_empty() { Ok(()) } else { Err(Self::invalid(findings)) }
    }
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("  {finding}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_columns_from_one() {
        assert_eq!(Place::of("ab\ncd", 0), Place { line: 1, column: 1 });
        assert_eq!(Place::of("ab\ncd", 4), Place { line: 2, column: 2 });
        assert_eq!(Place::of("ab\ncd", 99), Place { line: 2, column: 3 });
    }

    #[test]
    fn a_finding_says_where_what_and_what_to_do() {
        let finding =
            Finding::new(Part::Policies, "`x` is unknown", "did you mean `y`?").at(Place { line: 3, column: 9 });
        assert_eq!(finding.to_string(), "policies:3:9: `x` is unknown (did you mean `y`?)");
    }

    #[test]
    fn a_refusal_tells_each_finding_in_a_line() {
        let finding = |message: &str| Finding::new(Part::Schema, message, "help");
        let told = PolicyError::invalid(vec![finding("one"), finding("two")]).to_string();
        assert!(told.contains("\n  schema: one (help)\n  schema: two (help)"), "{told}");
    }
}
