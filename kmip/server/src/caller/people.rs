//! Who calls in tests: tenants by number, and authorities that issue what a test asks for.

#![allow(clippy::unwrap_used, reason = "for tests: whatever is wrong should stop one where it stands")]
#![cfg_attr(not(test), allow(dead_code, reason = "who fuzzes needs less of it than the tests do"))]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;

use super::*;

pub(crate) fn tenant(byte: u8) -> TenantId {
    TenantId(Digest([byte; 32]))
}

pub(crate) fn system(name: &str) -> System {
    System::new(name).unwrap()
}

/// A caller without a certificate, for tests of what comes after it.
pub(crate) fn caller_of(tenant: TenantId, name: &str) -> Caller {
    Caller::found(tenant, system(name), "client".into(), Digest([9; 32]))
}

pub(crate) fn caller() -> Caller {
    caller_of(tenant(1), "orders")
}

/// A certificate authority of a test.
pub(crate) struct Authority(pub(super) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(Self::parameters(name), key).unwrap())
    }

    pub(super) fn parameters(name: &str) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters
    }

    pub(super) fn key(&self) -> KeyPair {
        KeyPair::try_from(self.0.key().serialize_der()).unwrap()
    }

    pub(super) fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(Self::parameters(name), key, &self.0).unwrap())
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(crate) fn rule(&self, name: &str) -> CallerRule {
        CallerRule { anchor: Anchor::Ca(self.der().to_vec()), system: system(name), name: None, turn: NOT_YET }
    }

    pub(crate) fn issue(&self, shape: impl FnOnce(&mut CertificateParams)) -> (CertificateDer<'static>, KeyPair) {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "client");
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        shape(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), key)
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's certificate for `localhost`.
    pub(crate) fn issue_server(&self) -> (CertificateDer<'static>, KeyPair) {
        self.issue(|parameters| {
            parameters.subject_alt_names.push(SanType::DnsName("localhost".try_into().unwrap()));
            parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })
    }

    pub(super) fn leaf(&self, shape: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        self.issue(shape).0
    }
}
