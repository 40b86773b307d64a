//! L1: the customer's own key, outside, which this region asks to wrap and unwrap L2 keys.
//!
//! One trait, one file a provider, one conformance suite (`tests/l1_conformance`) that runs on each. A provider answers with what the
//! customer's KMS said and never decides what follows from it: [`Stop`] is the customer saying no (the region fences and zeroizes),
//! [`Fault`] is the world failing (cached keys serve on, up to `l1_grace`). Which is which is PROTOCOL §4, in [`L1Error`].
//! Every wrap is bound to a [`Context`]: a blob of one tenant, region, purpose or version does not open as another's.

mod aws;
#[cfg(feature = "azure-key-vault")]
mod azure;
pub mod calls;
#[cfg(feature = "_outside")]
mod credential_file;
mod error;
#[cfg(feature = "google-kms")]
mod google;
#[cfg(feature = "_rest")]
mod https;
#[cfg(any(feature = "azure-key-vault", feature = "google-kms"))]
mod jwt;
#[cfg(feature = "kmip")]
mod key_manager;
#[cfg(feature = "pkcs11")]
mod pkcs11;
pub mod recipe;
#[cfg(feature = "_rest")]
mod rest;
#[cfg(any(feature = "azure-key-vault", feature = "vault-transit"))]
mod sign_in;
mod soft;
pub mod soft_wire;
mod tls;
#[cfg(feature = "vault-transit")]
mod transit;

use std::{fmt, future::Future, pin::Pin};

use orbital::names::{Deployment, KeyRef, Region, TenantId};
use zeroize::Zeroizing;

pub use aws::{Aws, AwsCredentials, AwsOptions, AwsRole};
#[cfg(feature = "azure-key-vault")]
pub use azure::{Azure, AzureOptions};
pub use error::{Fault, L1Error, Stop};
#[cfg(feature = "google-kms")]
pub use google::{Google, GoogleOptions};
#[cfg(feature = "kmip")]
pub use key_manager::{KeyManager, KeyManagerOptions};
#[cfg(feature = "pkcs11")]
pub use pkcs11::{Pkcs11, Pkcs11Options, pkcs11_host};
pub use soft::{Soft, SoftOptions, SoftTarget, soft_exchange};
#[cfg(feature = "vault-transit")]
pub use transit::{Transit, TransitOptions};

/// Longest plaintext that an L1 wraps, in bytes: the least of the providers' limits (AWS KMS Encrypt takes 4,096).
pub const PLAIN_BYTES_MAX: usize = 4096;
/// Longest wrapped blob that is sent to an L1, in bytes (AWS KMS Decrypt takes 6,144).
pub const WRAPPED_BYTES_MAX: usize = 6144;

/// Begins the authenticated bytes of a context, so that they are nobody else's.
const AAD_DOMAIN: &[u8] = b"kcm l1 context v1\n";

/// What an L1 operation gives, later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, L1Error>> + Send + 'a>>;

/// A customer's KMS, as one principal of one tenant and region sees it.
///
/// No operation waits longer than its provider's own named limit; none retries without end.
pub trait L1: Send + Sync {
    /// What the provider is called in messages and metrics: `aws-kms`, `azure-key-vault`, `google-kms`, `kmip`, `vault-transit`, `pkcs11`, `soft`.
    fn provider(&self) -> &'static str;

    /// The state of the key and its resolved name (an alias is resolved here, once, at the probe).
    ///
    /// A key that the KMS describes as disabled is an `Ok`; a refusal to describe it is an error, see [`observed`].
    fn describe<'a>(&'a self, key: &'a KeyRef) -> Answer<'a, Described>;

    /// Wraps at most [`PLAIN_BYTES_MAX`] bytes, bound to the context.
    fn wrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, plain: &'a [u8]) -> Answer<'a, Vec<u8>>;

    /// Opens what [`L1::wrap`] gave, under the same key and context; [`L1Error::Mismatch`] for any other.
    fn unwrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, wrapped: &'a [u8]) -> Answer<'a, Plain>;
}

/// What every wrapped blob is bound to: authenticated by the customer's KMS and shown in its own log of uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub deployment: Deployment,
    pub tenant: TenantId,
    pub region: Region,
    pub purpose: Purpose,
    /// The version of the wrapped key: counts rotations.
    pub version: u64,
}

/// What a wrapped value is for; one use never opens as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A tenant key of this region.
    L2,
    /// A random value that is wrapped and unwrapped once, to see whether the key can be used.
    Probe,
}

impl Purpose {
    /// The word that stands in the encryption context. Never changes: stored blobs carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Probe => "probe",
        }
    }
}

impl Context {
    /// Names and values, in an order that never changes: AWS takes them as encryption context, the soft L1 as AAD.
    pub fn pairs(&self) -> [(&'static str, String); 5] {
        [
            ("kcm:deployment", self.deployment.to_string()),
            ("kcm:tenant", self.tenant.to_string()),
            ("kcm:region", self.region.to_string()),
            ("kcm:purpose", self.purpose.as_str().to_owned()),
            ("kcm:version", self.version.to_string()),
        ]
    }

    /// The same as bytes, for a KMS that authenticates bytes: one line a name. No name or value holds a line's end, so no two contexts
    /// share their bytes. Never changes: stored blobs are bound to it.
    pub fn aad(&self) -> Vec<u8> {
        let mut aad = AAD_DOMAIN.to_vec();
        for (name, value) in self.pairs() {
            aad.extend_from_slice(format!("{name}={value}\n").as_bytes());
        }
        aad
    }
}

/// What the customer's KMS says about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub state: State,
    /// The resolved name: for an alias the key's own ARN, which is what a statement names.
    pub resolved: KeyRef,
}

/// What a region knows of an L1 key (DESIGN §3; PENDING, REVOKING and REVOKED are governance's, not observed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Enabled,
    Disabled,
    Forbidden,
    Unreachable,
    PendingDeletion,
    Deleted,
}

impl State {
    pub const ALL: [Self; 6] =
        [Self::Enabled, Self::Disabled, Self::Forbidden, Self::Unreachable, Self::PendingDeletion, Self::Deleted];

    /// The word of reports, metrics and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
            Self::Forbidden => "FORBIDDEN",
            Self::Unreachable => "UNREACHABLE",
            Self::PendingDeletion => "PENDING_DELETION",
            Self::Deleted => "DELETED",
        }
    }

    /// The customer's no, if this state is one: the region sets `l1_stop` at once (DESIGN §2.7).
    pub fn stop(self) -> Option<Stop> {
        match self {
            Self::Disabled => Some(Stop::Disabled),
            Self::Forbidden => Some(Stop::Forbidden),
            Self::PendingDeletion => Some(Stop::PendingDeletion),
            Self::Deleted => Some(Stop::Deleted),
            Self::Enabled | Self::Unreachable => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state that a description, or the refusal of one, shows.
///
/// `None` for an error that says nothing about the key (a mismatch, a wrong set-up): whoever asked must not change what is known.
pub fn observed(answer: &Result<Described, L1Error>) -> Option<State> {
    match answer {
        Ok(described) => Some(described.state),
        Err(error) => error.state(),
    }
}

/// Bytes that an L1 unwrapped. Wiped on drop; no Debug, Clone, Serialize or Eq.
///
/// It lives on the ordinary heap for as long as the caller needs to copy it into the vault, which is where keys are kept.
pub struct Plain(Zeroizing<Vec<u8>>);

impl Plain {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Moves the bytes into `slot` and wipes these. False, with `slot` untouched, where the lengths differ.
    #[must_use = "a slot of another length was not filled"]
    pub fn pour(self, slot: &mut [u8]) -> bool {
        let fits = slot.len() == self.0.len();
        if fits {
            slot.copy_from_slice(&self.0);
        }
        fits
    }
}

/// Of an operation with all that it takes: its turn, a sign-in, a process that starts, what is asked besides.
#[cfg(feature = "_outside")]
const OPERATION_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(8);

/// An operation, if it ends within [`OPERATION_TIMEOUT`].
#[cfg(feature = "_outside")]
async fn within<T>(
    provider: &'static str,
    key: &KeyRef,
    work: impl Future<Output = Result<T, L1Error>>,
) -> Result<T, L1Error> {
    let why = || format!("no answer within {} s", OPERATION_TIMEOUT.as_secs());
    let late = |_| Err(L1Error::unreachable(provider, key, Fault::Network, why()));
    tokio::time::timeout(OPERATION_TIMEOUT, work).await.unwrap_or_else(late)
}

/// Longest text of an error that is repeated, in characters.
#[cfg(any(feature = "_rest", feature = "kmip"))]
const SHOWN_CHARACTERS_MAX: usize = 300;

/// A KMS's own words in one line, for a message of ours.
#[cfg(any(feature = "_rest", feature = "kmip"))]
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(SHOWN_CHARACTERS_MAX).collect()
}

fn check_plain(provider: &'static str, key: &KeyRef, plain: &[u8]) -> Result<(), L1Error> {
    check_length(provider, key, plain.len(), PLAIN_BYTES_MAX)
}

fn check_wrapped(provider: &'static str, key: &KeyRef, wrapped: &[u8]) -> Result<(), L1Error> {
    check_length(provider, key, wrapped.len(), WRAPPED_BYTES_MAX)
}

fn check_length(provider: &'static str, key: &KeyRef, found: usize, max: usize) -> Result<(), L1Error> {
    if (1..=max).contains(&found) {
        return Ok(());
    }
    Err(L1Error::unfit(provider, key, format!("it takes 1 to {max} bytes, not {found}")))
}

/// Proof that the topology says `development = true`. Without it there is no soft L1 and no KMS without TLS.
#[derive(Clone, Copy, Debug)]
pub struct Development(());

impl Development {
    /// `declared` is the topology's own flag; `what` is what it is asked for, for the message.
    pub fn proven(declared: bool, what: &'static str) -> Result<Self, L1Error> {
        if declared { Ok(Self(())) } else { Err(L1Error::NotDevelopment { what }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orbital::names::Digest;

    fn context(version: u64) -> Context {
        Context {
            deployment: Deployment::new("test").unwrap(),
            tenant: TenantId(Digest([7; 32])),
            region: Region::new("eu-frankfurt").unwrap(),
            purpose: Purpose::L2,
            version,
        }
    }

    #[test]
    fn the_context_names_all_five_and_never_changes_its_words() {
        let pairs = context(3).pairs();
        let text: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let tenant = TenantId(Digest([7; 32]));
        let golden =
            format!("kcm:deployment=test,kcm:tenant={tenant},kcm:region=eu-frankfurt,kcm:purpose=l2,kcm:version=3");
        assert_eq!(text.join(","), golden);
        assert_eq!(Purpose::Probe.as_str(), "probe");
        let aad = String::from_utf8(context(3).aad()).unwrap();
        assert_eq!(aad, format!("kcm l1 context v1\n{}\n", golden.replace(',', "\n")));
    }

    #[test]
    fn four_states_are_the_customers_no_and_two_are_not() {
        let stops: Vec<&str> = State::ALL.iter().filter(|s| s.stop().is_some()).map(|s| s.as_str()).collect();
        assert_eq!(stops, ["DISABLED", "FORBIDDEN", "PENDING_DELETION", "DELETED"]);
        for state in State::ALL {
            assert!(state.stop().is_none_or(|stop| stop.state() == state), "{state}");
        }
    }

    #[test]
    fn plain_fills_a_slot_of_its_own_length_only() {
        let mut slot = [0_u8; 4];
        assert!(!Plain::new(vec![1; 3]).pour(&mut slot));
        assert_eq!(slot, [0; 4]);
        assert!(Plain::new(vec![1, 2, 3, 4]).pour(&mut slot));
        assert_eq!(slot, [1, 2, 3, 4]);
    }

    #[test]
    fn development_is_proven_by_the_flag_alone() {
        assert!(Development::proven(true, "the soft L1").is_ok());
        let refused = Development::proven(false, "the soft L1").unwrap_err().to_string();
        assert!(refused.contains("the soft L1") && refused.contains("development = true"), "{refused}");
    }
}
