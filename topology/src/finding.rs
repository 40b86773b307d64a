//! One thing wrong in a topology file: a code that never changes meaning, a sentence, the places, and what to do.

use std::{fmt, ops::Range};

/// Where something stands in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The dotted path of the field, such as `region.eu-frankfurt.jurisdiction`; empty for the whole file.
    pub path: String,
    /// Bytes of the source text; `None` for formats that give no places (YAML, JSON).
    pub span: Option<Range<usize>>,
}

impl Place {
    pub(crate) fn child(&self, name: &str, span: Option<Range<usize>>) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { path, span }
    }
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub place: Place,
}

/// A place with what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub place: Place,
    pub text: String,
    /// The bytes at this place are a secret: no rendering may show them.
    pub secret: bool,
}

/// Whether a finding keeps the file from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One thing wrong. A file is checked as a whole: all its findings come at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub code: Code,
    pub message: String,
    /// The first is the main one.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: String,
}

impl Finding {
    pub(crate) fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, message: message.into(), labels: Vec::new(), help: help.into() }
    }
    pub(crate) fn at(mut self, place: &Place, text: impl Into<String>) -> Self {
        self.labels.push(Label { place: place.clone(), text: text.into(), secret: false });
        self
    }
    /// Marks bytes that every rendering blackens.
    pub(crate) fn hiding(mut self, place: &Place) -> Self {
        self.labels.push(Label { place: place.clone(), text: String::new(), secret: true });
        self
    }
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
    /// Findings sort by where they stand, then by code.
    pub(crate) fn order(&self) -> (usize, &'static str, &str) {
        let start = self.labels.first().and_then(|l| l.place.span.as_ref()).map_or(0, |s| s.start);
        (start, self.code.as_str(), &self.message)
    }
}

macro_rules! codes {
    ($($variant:ident = $code:literal $slug:literal $severity:ident: $meaning:literal;)*) => {
        /// The kinds of findings. A code is never used again for another rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code { $(#[doc = $meaning] $variant,)* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// Such as `T0201`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
            /// Such as `residency-violation`.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug,)* }
            }
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }
            /// The rule in a sentence or two, for `kcm help CODE`.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

codes! {
    Syntax = "T0100" "syntax" Error: "The text is not in its format (TOML, YAML or JSON), or is too large to be a topology.";
    UnknownField = "T0101" "unknown-field" Error: "A field that this schema does not know. Nothing is ignored: a misspelt rule must not vanish.";
    WrongValue = "T0102" "wrong-value" Error: "A value of the wrong type, outside its range, or not in its alphabet.";
    Dangling = "T0103" "dangling-reference" Error: "A name that nothing in the file defines, or a file that cannot be read.";
    Duplicate = "T0104" "duplicate" Error: "The same field or table twice. One of the two would be lost.";
    Schema = "T0105" "schema-version" Error: "The file is written for another version of the schema.";
    Missing = "T0106" "missing-field" Error: "A field without which the table says nothing.";
    Residency = "T0201" "residency-violation" Error: "A region lies in a jurisdiction that one of its residency rules does not allow.";
    L1Residency = "T0202" "l1-outside-residency" Error: "A region unseals with an L1 key that lies outside what its residency rules allow.";
    EmptyAllow = "T0204" "empty-allow" Error: "A residency rule that allows no place at all.";
    NoKmip = "T0301" "no-kmip-node" Error: "A region without a node that listens for KMIP: nobody could use its keys.";
    AddressClash = "T0302" "address-clash" Error: "Two listeners on one address of one host.";
    Identity = "T0303" "identity-clash" Error: "Two nodes with one name or one key, or a certificate that does not carry its node's identity.";
    WildcardPeers = "T0304" "wildcard-peers" Error: "An edge that would accept any certificate of the trust root.";
    PlaneMixing = "T0305" "plane-mixing" Error: "Governance and a region on one host: whoever takes the host has both planes. Allowed with `development = true` only.";
    DevelopmentOnly = "T0306" "development-only" Error: "A part that protects nothing, such as a soft L1, outside development.";
    Unencrypted = "T0307" "unencrypted" Error: "A connection to the outside that is not encrypted, or whose other end is not verified. Loopback alone may do without, with `development = true`.";
    Autonomy = "T0402" "autonomy-beats-revocation" Warning: "A region that was cut off may serve a revoked key for long. Shown in every simulation.";
    SecretInline = "T0501" "secret-inline" Error: "A secret in the file itself. Topology files are copied, committed and mailed; secrets stand in files of their own.";
    SinglePoint = "T0503" "single-point" Warning: "A region with one node: a restart drops every cached key until L1 answers.";
    NoOperators = "T0504" "no-operators" Warning: "Governance without `operators`: nobody can found a tenant over REST, and nobody reads the site's own audit.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_and_slugs_are_unique() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        let slugs: BTreeSet<_> = Code::ALL.iter().map(|c| c.slug()).collect();
        assert_eq!((codes.len(), slugs.len()), (Code::ALL.len(), Code::ALL.len()));
    }
}
