//! What an L1 call can come back with instead of an answer, and what that says about the key (PROTOCOL §4).
//!
//! A [`Stop`] is the customer's KMS refusing this key to a principal that it knows: the region stops at once. A [`Fault`] is anything
//! that could as well be our own credential, the network or a busy KMS: the key is UNREACHABLE, which never stops a tenant by itself.
//! The line between the two is drawn in each provider's pure `classify`, and any doubt falls to [`Fault`].

use orbital::names::KeyRef;

use super::State;

/// The customer's no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    Disabled,
    /// Only the KMS refusing this key to a principal whose identity call just succeeded.
    Forbidden,
    PendingDeletion,
    /// The KMS knows no such key.
    Deleted,
}

impl Stop {
    pub fn state(self) -> State {
        match self {
            Self::Disabled => State::Disabled,
            Self::Forbidden => State::Forbidden,
            Self::PendingDeletion => State::PendingDeletion,
            Self::Deleted => State::Deleted,
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Disabled => "Enable the key at the customer's KMS if the stop was not meant",
            Self::Forbidden => "Allow this region's principal in the key's policy if the stop was not meant",
            Self::PendingDeletion => {
                "Cancel the deletion at the customer's KMS and enable the key if the stop was not meant"
            }
            Self::Deleted => "Check the key reference and the KMS region; a deleted key and all below it are gone",
        }
    }
}

/// Why an L1 could not be asked, or its answer not be relied on. All of them are UNREACHABLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The KMS does not know our principal, or its token ran out.
    Credential,
    /// The KMS knows our principal and not its signature: a wrong secret or a wrong clock.
    Signature,
    /// The KMS has had enough of us for now.
    Throttled,
    /// The KMS failed by itself.
    Server,
    /// No answer: DNS, connection, TLS or a time-out.
    Network,
    /// An answer that the provider does not document.
    Unknown,
}

impl Fault {
    pub const ALL: [Self; 6] =
        [Self::Credential, Self::Signature, Self::Throttled, Self::Server, Self::Network, Self::Unknown];

    /// The word of metrics and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Signature => "signature",
            Self::Throttled => "throttled",
            Self::Server => "server",
            Self::Network => "network",
            Self::Unknown => "unknown",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Credential => "Give the region a valid credential for this KMS",
            Self::Signature => "Check the secret of the credential and this machine's clock",
            Self::Throttled => "It is tried again; raise the KMS request quota if it lasts",
            Self::Server => "It is tried again; see the provider's status page if it lasts",
            Self::Network => "Check name resolution, route, firewall and TLS trust from this node to the KMS",
            Self::Unknown => "It is tried again; report the answer if it lasts",
        }
    }
}

/// Why an L1 call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1Error {
    /// A refusal by the customer.
    #[error("{provider} refuses key `{key}`, which is {}: {why}. {}", stop.state(), stop.remedy())]
    Stopped { provider: &'static str, key: KeyRef, stop: Stop, why: Box<str> },

    /// A fault of the world.
    #[error("{provider} could not be asked for key `{key}` ({} fault): {why}. {}", fault.as_str(), fault.remedy())]
    Unreachable { provider: &'static str, key: KeyRef, fault: Fault, why: Box<str> },

    /// The blob is not one that this key wrapped for this tenant, region, purpose and version, or it was changed.
    #[error(
        "{provider} does not open this blob with key `{key}`: {why}. It belongs to another key, tenant, region, purpose or \
         version, or was changed: restore it from a copy or re-wrap it"
    )]
    Mismatch { provider: &'static str, key: KeyRef, why: Box<str> },

    /// The request or the key can't be what an L1 is for.
    #[error("{provider} can't use key `{key}` as an L1: {why}. Name a symmetric key for encryption and decryption")]
    Unfit { provider: &'static str, key: KeyRef, why: Box<str> },

    /// The provider can't be set up from what it was given.
    #[error("the L1 provider {provider} can't be set up: {why}")]
    Setup { provider: &'static str, why: Box<str> },

    /// Something that only a development topology may have.
    #[error("{what} is refused outside development: set `development = true` in the topology, never where keys matter")]
    NotDevelopment { what: &'static str },
}

/// As a provider says them.
impl L1Error {
    pub(super) fn stopped(provider: &'static str, key: &KeyRef, stop: Stop, why: impl Into<Box<str>>) -> Self {
        Self::Stopped { provider, key: key.clone(), stop, why: why.into() }
    }

    pub(super) fn unreachable(provider: &'static str, key: &KeyRef, fault: Fault, why: impl Into<Box<str>>) -> Self {
        Self::Unreachable { provider, key: key.clone(), fault, why: why.into() }
    }

    pub(super) fn mismatch(provider: &'static str, key: &KeyRef, why: impl Into<Box<str>>) -> Self {
        Self::Mismatch { provider, key: key.clone(), why: why.into() }
    }

    pub(super) fn unfit(provider: &'static str, key: &KeyRef, why: impl Into<Box<str>>) -> Self {
        Self::Unfit { provider, key: key.clone(), why: why.into() }
    }

    pub(super) fn setup(provider: &'static str, why: impl Into<Box<str>>) -> Self {
        Self::Setup { provider, why: why.into() }
    }
}

impl L1Error {
    /// What this error says about the key; `None` where it says nothing.
    pub fn state(&self) -> Option<State> {
        match self {
            Self::Stopped { stop, .. } => Some(stop.state()),
            Self::Unreachable { .. } => Some(State::Unreachable),
            Self::Mismatch { .. } | Self::Unfit { .. } | Self::Setup { .. } | Self::NotDevelopment { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable(fault: Fault) -> L1Error {
        let key = KeyRef::new("arn:key").unwrap();
        L1Error::Unreachable { provider: "aws-kms", key, fault, why: "why".into() }
    }

    #[test]
    fn no_fault_is_ever_a_stop() {
        for fault in Fault::ALL {
            assert_eq!(unreachable(fault).state(), Some(State::Unreachable), "{fault:?}");
        }
    }

    #[test]
    fn a_message_says_what_where_why_and_what_to_do() {
        let key = KeyRef::new("arn:key").unwrap();
        let stopped = L1Error::Stopped { provider: "aws-kms", key, stop: Stop::Disabled, why: "said so".into() };
        let text = stopped.to_string();
        for part in ["aws-kms", "arn:key", "DISABLED", "said so", "Enable the key"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
        for fault in Fault::ALL {
            let text = unreachable(fault).to_string();
            assert!(text.contains(fault.as_str()) && text.contains(fault.remedy()), "{text}");
        }
    }
}
