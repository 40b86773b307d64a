//! Which control of which norm is shown by what. In our own words: the norms' texts are their owners'.

use serde::{Deserialize, Serialize};

/// What the ledger can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Topic {
    FourEyes,
    KillSwitch,
    AccessReview,
    Residency,
}

impl Topic {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::FourEyes => "Separation of duties and four eyes",
            Self::KillSwitch => "Kill switch, exercised",
            Self::AccessReview => "Access review: who could approve, when",
            Self::Residency => "Where keys may lie",
        }
    }

    /// What it would take besides, or what no ledger can show.
    pub(super) const fn beyond(self) -> &'static str {
        match self {
            Self::FourEyes => {
                "That a person is who the name says, that two names are two people, or that they thought about what they signed."
            }
            Self::KillSwitch => {
                "What a client that had fetched a key did with it afterwards, and that a region's machine did what its signed answer says."
            }
            Self::AccessReview => {
                "That somebody looked at these lists, and found them right. Access to machines and to the customer's KMS stands elsewhere."
            }
            Self::Residency => {
                "Where a region's machines stand, and where the customer's KMS holds its key: that is the operators' and the provider's word."
            }
        }
    }
}

/// One control.
pub(super) struct Control {
    pub(super) id: &'static str,
    pub(super) norm: &'static str,
    pub(super) asks: &'static str,
    pub(super) topics: &'static [Topic],
}

use Topic::{AccessReview, FourEyes, KillSwitch, Residency};

pub(super) const CONTROLS: [Control; 10] = [
    Control {
        id: "tisax-4.2.1",
        norm: "TISAX (VDA ISA) 4.2.1",
        asks: "Rights are given, changed and taken away in a set way, and are looked at again.",
        topics: &[FourEyes, AccessReview],
    },
    Control {
        id: "tisax-5.1.1",
        norm: "TISAX (VDA ISA) 5.1.1",
        asks: "Keys are governed through their whole life, from the first to their end.",
        topics: &[FourEyes, KillSwitch, Residency],
    },
    Control {
        id: "tisax-5.2.1",
        norm: "TISAX (VDA ISA) 5.2.1",
        asks: "A change is decided in a set way before it is made.",
        topics: &[FourEyes],
    },
    Control {
        id: "soc2-cc6.1",
        norm: "SOC 2 CC6.1",
        asks: "Technical means keep out whoever has no right to what is protected.",
        topics: &[KillSwitch, Residency],
    },
    Control {
        id: "soc2-cc6.2",
        norm: "SOC 2 CC6.2",
        asks: "People get rights once that was approved, and lose them when they are no longer due.",
        topics: &[AccessReview],
    },
    Control {
        id: "soc2-cc6.3",
        norm: "SOC 2 CC6.3",
        asks: "Rights follow roles, are no wider than needed, and duties are apart.",
        topics: &[FourEyes, AccessReview],
    },
    Control {
        id: "soc2-cc8.1",
        norm: "SOC 2 CC8.1",
        asks: "Changes are authorized and written down before they take effect.",
        topics: &[FourEyes],
    },
    Control {
        id: "gdpr-5.2",
        norm: "GDPR Art. 5(2)",
        asks: "The controller can show that it keeps to the principles.",
        topics: &[FourEyes, KillSwitch, AccessReview, Residency],
    },
    Control {
        id: "gdpr-28",
        norm: "GDPR Art. 28",
        asks: "A processor acts as the controller says, and stops when the controller says so.",
        topics: &[FourEyes, KillSwitch],
    },
    Control {
        id: "gdpr-32",
        norm: "GDPR Art. 32",
        asks: "Measures fit the risk, encryption among them, and are tried out.",
        topics: &[KillSwitch, Residency],
    },
];

/// The controls of an id (`soc2-cc6.1`) or of a norm (`soc2`).
pub(super) fn named(text: &str) -> Result<String, String> {
    let known = CONTROLS.iter().any(|control| is_of(control, text));
    let ids = || CONTROLS.map(|control| control.id).join(", ");
    if known { Ok(text.to_owned()) } else { Err(format!("`{text}` is none of tisax, soc2, gdpr, {}", ids())) }
}

/// Those that were asked for; all where none was.
pub(super) fn asked_for(names: &[String]) -> Vec<&'static Control> {
    CONTROLS.iter().filter(|control| names.is_empty() || names.iter().any(|name| is_of(control, name))).collect()
}

fn is_of(control: &Control, name: &str) -> bool {
    control.id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || (rest.starts_with('-') && !name.contains('-')))
}
