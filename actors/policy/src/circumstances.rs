//! What holds at the moment of a question, beyond who asks for what: a policy reads it as `context`.
//!
//! Finding it out costs more than a decision that is known already. So whoever asks hands over a way to it, which is gone only where
//! the policies in force read a context (see `reach`).

/// What surrounds one question to a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances<'a> {
    /// The region that is asked.
    pub region: &'a str,
    /// The object that the question is about.
    pub object: ObjectNow,
    /// Seconds until the tenant's lease in this region ends. Policies see [`LEASE_S_MAX`] at most, and for a lease without end.
    pub lease_left_s: u64,
}

/// What an object is at the moment; by default, as where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectNow {
    pub state: ObjectState,
    /// The bits of its Cryptographic Usage Mask (KMIP 1.4 §9.1.3.3.1); those beyond [`USES`] are not seen.
    pub usage_mask: u32,
}

/// The longest lease that a policy can tell from others: 136 years.
pub const LEASE_S_MAX: u64 = 0xFFFF_FFFF;

/// What a key may be used for, in the order of the bits: the ids of the schema's `Usage`.
pub const USES: [&str; 20] = [
    "Sign",
    "Verify",
    "Encrypt",
    "Decrypt",
    "Wrap Key",
    "Unwrap Key",
    "Export",
    "MAC Generate",
    "MAC Verify",
    "Derive Key",
    "Content Commitment",
    "Key Agreement",
    "Certificate Sign",
    "CRL Sign",
    "Generate Cryptogram",
    "Validate Cryptogram",
    "Translate Encrypt",
    "Translate Decrypt",
    "Translate Wrap",
    "Translate Unwrap",
];

/// The states of KMIP 1.4 §3.22, and none: what has no such object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ObjectState {
    #[default]
    None,
    PreActive,
    Active,
    Deactivated,
    Compromised,
    Destroyed,
    DestroyedCompromised,
}

impl ObjectState {
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::PreActive,
        Self::Active,
        Self::Deactivated,
        Self::Compromised,
        Self::Destroyed,
        Self::DestroyedCompromised,
    ];

    /// The id of the schema's `State`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::PreActive => "Pre-Active",
            Self::Active => "Active",
            Self::Deactivated => "Deactivated",
            Self::Compromised => "Compromised",
            Self::Destroyed => "Destroyed",
            Self::DestroyedCompromised => "Destroyed Compromised",
        }
    }
}

impl ObjectNow {
    /// The names of the uses in the mask.
    pub(crate) fn uses(self) -> impl Iterator<Item = &'static str> {
        USES.into_iter().enumerate().filter(move |(bit, _)| self.usage_mask >> bit & 1 == 1).map(|(_, name)| name)
    }
}

impl Circumstances<'_> {
    /// Where no policy looks.
    pub(crate) const UNSEEN: Circumstances<'static> =
        Circumstances { region: "", object: ObjectNow { state: ObjectState::None, usage_mask: 0 }, lease_left_s: 0 };
}
