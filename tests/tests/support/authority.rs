//! A certificate authority of a test's own: it issues what no demo issues.

#![allow(dead_code, reason = "each test file uses its part of this one")]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// The last year of a certificate that is no longer valid, and of one that is.
pub(crate) const EXPIRED: i32 = 2021;
pub(crate) const VALID: i32 = 2045;

/// A CA of the test's own, so that it can issue what no demo issues.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "another CA");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A client certificate from 2020 until the end of a year: certificate and key, PEM files.
    pub(crate) fn issue(&self, dir: &Path, name: &str, until: i32, uri: &str) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 12, 31));
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        let (cert_path, key_path) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        fs::write(&cert_path, cert.pem()).unwrap();
        fs::write(&key_path, key.serialize_pem()).unwrap();
        (cert_path, key_path)
    }

    /// Adds it to a CA file.
    pub(crate) fn join(&self, ca: &Path) {
        fs::File::options().append(true).open(ca).unwrap().write_all(self.pem().as_bytes()).unwrap();
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }
}
