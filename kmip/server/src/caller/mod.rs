//! Who calls: a client certificate becomes a [`Caller`].
//!
//! The anchor that verified the chain decides the tenant (PROTOCOL §8); names in the certificate only narrow. A chain that the
//! anchors of two tenants verify belongs to the one whose claim became durable here first: certificates are public, so whoever names
//! another's as its own must neither get its clients nor lock them out. A `Caller` has one constructor, [`Anchors::identify`], which
//! the handshake's verifier and a resumed session share.

mod anchors;
mod certificate;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod people;
#[cfg(test)]
pub(crate) mod tests;
mod verifier;

pub use anchors::{Anchor, AnchorFault, AnchorTable, Anchors, CHAIN_CERTIFICATES_MAX, CallerRule, NOT_YET};
pub use verifier::Verifier;

use orbital::names::{Digest, System, TenantId};

/// Proof that a certificate chain belongs to a system of a tenant, under the trust root of the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    tenant: TenantId,
    system: System,
    label: Box<str>,
    fingerprint: Digest,
    /// Its members of an audit line.
    record: Box<str>,
}

impl Caller {
    /// For [`Anchors::identify`] alone.
    fn found(tenant: TenantId, system: System, label: Box<str>, fingerprint: Digest) -> Self {
        // Each text is of an alphabet that JSON takes as it is.
        let record = format!(r#""tenant":"{tenant}","client":"{label}","system":"{system}""#).into();
        Self { tenant, system, label, fingerprint, record }
    }

    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub fn system(&self) -> &System {
        &self.system
    }

    /// The name by which the trust root narrows the anchor, else the certificate's fingerprint: what policy and audit call this client.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// `"tenant":…,"client":…,"system":…`, as an audit line has them.
    pub(crate) fn record(&self) -> &str {
        &self.record
    }

    /// SHA-256 of the certificate's DER.
    pub fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }
}

/// Why a certificate chain makes no caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACaller {
    #[error("the client sent no certificate; a KMIP client needs one")]
    NoCertificate,
    #[error("the client sent {0} certificates, at most {CHAIN_CERTIFICATES_MAX} are taken")]
    ChainTooLong(usize),
    #[error("a certificate cannot be read: {0}")]
    Unreadable(String),
    #[error("no tenant's client CA or fingerprint vouches for the certificate; add it with `kcm kmip client add`")]
    UnknownIssuer,
    #[error("the certificate does not verify: {0}")]
    Invalid(String),
    #[error("the certificate has expired or is not valid yet; issue a new one")]
    Expired,
    #[error("the certificate is not for client authentication (extended key usage clientAuth)")]
    NotForClients,
    #[error("the certificate carries none of the names that the trust root demands for its anchor")]
    NameMissing,
    #[error("the certificate carries names of more than one system")]
    NamesContradict,
    #[error("more than one tenant claims this certificate, and none did so first; it is refused until only one does")]
    Contested,
}
