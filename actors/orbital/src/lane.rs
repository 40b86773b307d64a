//! Lanes: which queue a thing travels in. The lanes share nothing: not outbox, link, runtime, mailbox or inbox (DESIGN §5).

use serde::{Deserialize, Serialize};

use crate::{directive::Directive, report::Body};

/// One of the two lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// `PRIORITY_CRITICAL`: stops and their acknowledgements.
    Critical,
    Ordinary,
}

impl Lane {
    pub const BOTH: [Self; 2] = [Self::Critical, Self::Ordinary];

    /// The lane of a directive, and of the SyncAck that answers it.
    pub const fn of(directive: &Directive) -> Self {
        match directive {
            Directive::Kill(_)
            | Directive::Block(_)
            | Directive::Suspend(_)
            | Directive::Shred(_)
            | Directive::Annul { .. } => Self::Critical,
            Directive::Provision { .. }
            | Directive::Probe { .. }
            | Directive::Hold { .. }
            | Directive::Link(_)
            | Directive::Restore(_)
            | Directive::Unblock(_)
            | Directive::Resume(_)
            | Directive::Trust(_)
            | Directive::Callers(_)
            | Directive::Lease(_)
            | Directive::Recall { .. } => Self::Ordinary,
        }
    }

    /// The label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Ordinary => "ordinary",
        }
    }

    /// The number under which the ledger keeps it.
    pub const fn number(self) -> u8 {
        match self {
            Self::Critical => 0,
            Self::Ordinary => 1,
        }
    }

    /// Whether a body may travel in this lane: an ordinary directive in the critical lane would slow a kill down.
    pub fn carries(self, body: &Body) -> bool {
        match body {
            Body::Directive { directive, .. } => Directive::decode(directive).is_ok_and(|d| Self::of(&d) == self),
            Body::Heartbeat | Body::Report { .. } => true,
        }
    }
}

impl std::fmt::Display for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}
