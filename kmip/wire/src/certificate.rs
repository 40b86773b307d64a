//! Certificates on the wire: the object (KMIP 1.4 §2.2.1) and what a server tells of it (§3.10 to §3.15).

use crate::{object::KeyMaterial, tables::CertificateType, ttlv::record};

record! {
    /// A certificate (§2.2.1).
    pub struct Certificate {
        need certificate_type: CertificateType = CERTIFICATE_TYPE V1_0,
        /// DER.
        need certificate_value: KeyMaterial = CERTIFICATE_VALUE V1_0,
    }
}

record! {
    /// Who issued an X.509 certificate, and as which (§3.10).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct X509CertificateIdentifier {
        /// DER.
        need issuer: Vec<u8> = ISSUER_DISTINGUISHED_NAME V1_1,
        /// Big-endian.
        need serial_number: Vec<u8> = CERTIFICATE_SERIAL_NUMBER V1_1,
    }
}

record! {
    /// Whom an X.509 certificate is of (§3.11).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct X509CertificateSubject {
        /// DER.
        need name: Vec<u8> = SUBJECT_DISTINGUISHED_NAME V1_1,
        /// DER of a GeneralName each.
        many alternatives: Vec<u8> = SUBJECT_ALTERNATIVE_NAME V1_1,
    }
}

record! {
    /// Who issued an X.509 certificate (§3.12).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct X509CertificateIssuer {
        /// DER.
        need name: Vec<u8> = ISSUER_DISTINGUISHED_NAME V1_1,
        /// DER of a GeneralName each.
        many alternatives: Vec<u8> = ISSUER_ALTERNATIVE_NAME V1_1,
    }
}

record! {
    /// Who issued a certificate, and as which, as text (§3.13; deprecated since 1.1).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CertificateIdentifier {
        need issuer: String = ISSUER V1_0,
        opt serial_number: String = SERIAL_NUMBER V1_0,
    }
}

record! {
    /// Whom a certificate is of, as text (§3.14; deprecated since 1.1).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CertificateSubject {
        need name: String = CERTIFICATE_SUBJECT_DISTINGUISHED_NAME V1_0,
        many alternatives: String = CERTIFICATE_SUBJECT_ALTERNATIVE_NAME V1_0,
    }
}

record! {
    /// Who issued a certificate, as text (§3.15; deprecated since 1.1).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CertificateIssuer {
        need name: String = CERTIFICATE_ISSUER_DISTINGUISHED_NAME V1_0,
        many alternatives: String = CERTIFICATE_ISSUER_ALTERNATIVE_NAME V1_0,
    }
}
