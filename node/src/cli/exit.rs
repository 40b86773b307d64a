//! How a command ends: what it reports, or why it failed, and the exit code that scripts decide on.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// Exit codes (`kcm --help` prints them).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(u8)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Done = 0,
    Usage = 2,
    /// A proposal was created and waits for approval.
    Waits = 3,
    Denied = 4,
    /// Timed out, or a region has not confirmed.
    Unconfirmed = 5,
    NotHealthy = 6,
    PlanHasChanges = 10,
}

impl Exit {
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// What a command has to say: the same content for people and for programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub json: Value,
    pub text: String,
    pub exit: Exit,
}

impl Report {
    pub fn new(json: Value, text: impl Into<String>) -> Self {
        Self { json, text: text.into(), exit: Exit::Done }
    }
    #[must_use]
    pub fn ending(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }
}

/// A command that failed: what, where, why, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub what: String,
    #[serde(rename = "where")]
    pub place: String,
    pub why: String,
    pub fix: String,
    /// The server's code, where a server refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    #[serde(skip)]
    pub exit: Exit,
}

impl Failure {
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        let (place, why, fix) = (String::new(), String::new(), String::new());
        Self { what: what.into(), place, why, fix, code: None, exit }
    }
    /// The command line or a file that the user gave is not as it must be.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }
    /// Something did not prove what it must: nothing was signed, sent or believed.
    pub fn denied(what: impl Into<String>) -> Self {
        Self::new(Exit::Denied, what)
    }
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { place: place.to_string(), ..self }
    }
    #[must_use]
    pub fn because(self, why: impl fmt::Display) -> Self {
        Self { why: why.to_string(), ..self }
    }
    #[must_use]
    pub fn fix(self, fix: impl fmt::Display) -> Self {
        Self { fix: fix.to_string(), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for (label, text) in [("where", &self.place), ("why", &self.why), ("do", &self.fix)] {
            if !text.is_empty() {
                write!(f, "\n  {label:<6} {}", text.replace('\n', "\n         "))?;
            }
        }
        match &self.code {
            Some(code) => write!(f, "\n  {:<6} {code}", "code"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_where_why_and_what_to_do() {
        let failure = Failure::usage("the key file does not read").at("carol.key").because("it is empty");
        let failure = failure.fix("make one with `kcm actor keygen`");
        assert_eq!(
            failure.to_string(),
            "error: the key file does not read\n  where  carol.key\n  why    it is empty\n  do     make one with `kcm actor keygen`"
        );
        assert_eq!(serde_json::to_value(&failure).unwrap()["where"], "carol.key");
    }
}
