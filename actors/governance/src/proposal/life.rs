//! The life of a proposal, as one table: code, golden test and diagram come from it (STYLE 2).
//!
//! [`Ratified`] is the proof that a quorum certificate holds under the tenant's chain. [`ratify`] alone makes it, and what turns a
//! change into directives takes it by move.

use orbital::{
    certificate::{Certificate, Certified, Uncertified, certify},
    chain::Chain,
    quorum::Verify,
};
use serde::{Deserialize, Serialize};

macro_rules! moves {
    ($($from:ident { $($event:ident => $to:ident),* $(,)? })*) => {
        /// The state after an event; none where the event cannot happen in that state.
        pub(crate) const fn moved(from: State, event: Event) -> Option<State> {
            match from {
                $(State::$from => match event {
                    $(Event::$event => Some(State::$to),)*
                    #[allow(unreachable_patterns, reason = "a state may have a move for every event")]
                    _ => None,
                },)*
            }
        }
    };
}

macro_rules! words {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$about:meta])* $word:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        $vis enum $name { $($(#[$about])* $word),* }

        impl $name {
            $vis const ALL: &'static [Self] = &[$(Self::$word),*];

            $vis const fn name(self) -> &'static str {
                match self { $(Self::$word => $text),* }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.name()) }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let known = || Self::ALL.iter().map(|s| s.name()).collect::<Vec<_>>().join(", ");
                Self::ALL.iter().copied().find(|s| s.name() == text).ok_or_else(|| format!("`{text}` is none of {}", known()))
            }
        }
    };
}

words! {
    /// Where a proposal stands (DESIGN §4).
    pub State {
        /// Approvals are collected.
        Open = "open",
        /// The quorum is met, and one of those who signed may fire it; it stops nothing before.
        Armed = "armed",
        /// The quorum is met; a LinkL1 still waits for its probes.
        Ratified = "ratified",
        /// In force here and on its way to the regions.
        Applying = "applying",
        /// Every region has confirmed it.
        Active = "active",
        Rejected = "rejected",
        Withdrawn = "withdrawn",
        Expired = "expired",
        /// Voided before it came into force, or refused by a region.
        Failed = "failed",
    }
}

words! {
    /// What can happen to a proposal.
    pub(crate) Event {
        /// A vote that does not decide.
        Answered = "answered",
        /// All but the fire is there.
        Armed = "armed",
        /// The certificate holds.
        Certified = "certified",
        /// Nothing is left to wait for: durable, and owed to the regions.
        Applied = "applied",
        /// The last region has acknowledged.
        Confirmed = "confirmed",
        /// Every region has answered, and one of them with a refusal.
        Refused = "refused",
        Rejected = "rejected",
        Withdrawn = "withdrawn",
        Expired = "expired",
        /// What it rests on has changed.
        Voided = "voided",
    }
}

moves! {
    Open {
        Answered => Open, Armed => Armed, Certified => Ratified, Rejected => Rejected, Withdrawn => Withdrawn,
        Expired => Expired, Voided => Failed,
    }
    Armed { Answered => Armed, Certified => Ratified, Expired => Expired }
    Ratified { Applied => Applying, Withdrawn => Withdrawn, Expired => Expired, Voided => Failed }
    Applying { Confirmed => Active, Refused => Failed }
    Active {}
    Rejected {}
    Withdrawn {}
    Expired {}
    Failed {}
}

impl State {
    /// Nothing happens to it any more.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Active | Self::Rejected | Self::Withdrawn | Self::Expired | Self::Failed)
    }
    /// Not in force yet, and not at its end.
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Open | Self::Armed | Self::Ratified)
    }
}

/// Proof that a certificate holds under the tenant's chain at this moment.
#[derive(Debug)]
#[must_use = "a ratified change is applied by move"]
pub(crate) struct Ratified {
    certified: Certified,
    certificate: Certificate,
}

impl Ratified {
    pub(crate) fn certified(&self) -> &Certified {
        &self.certified
    }
    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }
    pub(crate) fn into_certificate(self) -> Certificate {
        self.certificate
    }
}

/// The only way to a [`Ratified`]. A change that makes a new trust version must also be a valid successor. `now` is in Unix seconds.
/// `asks` is what signatures must prove besides what the rule says.
pub(crate) fn ratify(certificate: Certificate, chain: &Chain, now: u64, asks: Verify) -> Result<Ratified, Uncertified> {
    let certified = certify(&certificate, chain, now)?;
    if asks == Verify::User {
        certified.check_user_verified(chain.current())?;
    }
    let action = &certified.change().action;
    if let Some(next) = action.next() {
        chain.check_successor(action, next)?;
    }
    Ok(Ratified { certified, certificate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event_is_as_written_down() {
        let mut table = String::new();
        for from in State::ALL {
            for event in Event::ALL {
                let to = moved(*from, *event).map_or("-", State::name);
                table.push_str(&format!("{from} {event} {to}\n"));
            }
        }
        assert_eq!(table, include_str!("moves.golden"));
    }

    #[test]
    fn an_end_is_an_end() {
        for state in State::ALL {
            let moves = Event::ALL.iter().any(|e| moved(*state, *e).is_some());
            assert_eq!(state.is_end(), !moves, "{state}");
        }
    }

    #[test]
    fn words_read_back() {
        for state in State::ALL {
            assert_eq!(state.name().parse::<State>(), Ok(*state));
        }
        assert!("openn".parse::<State>().is_err());
    }
}
