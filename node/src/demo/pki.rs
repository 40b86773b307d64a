//! Development certificates: one CA for each door, so that no certificate opens another door.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

/// Certificates that cannot be made or written.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("cannot make the certificate for {0}: {1}")]
    Rcgen(String, rcgen::Error),
    #[error("cannot write {0}: {1}. Choose a folder that you may write to with `--dir`")]
    Write(PathBuf, io::Error),
}

/// Where one certificate, its key and its CA lie.
#[derive(Clone, Debug)]
pub struct Files {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// A CA of one door.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
    name: String,
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    use io::Write;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn distinguished(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, "kcm demo");
    distinguished.push(DnType::CommonName, name);
    distinguished
}

impl Authority {
    /// Makes a CA and writes `<dir>/<name>-ca.pem`. Its key stays in memory: nothing can be issued once the demo has been set up.
    pub fn new(dir: &Path, name: &str) -> Result<Self, PkiError> {
        let rcgen = |e| PkiError::Rcgen(name.to_owned(), e);
        let mut params = CertificateParams::new(Vec::new()).map_err(rcgen)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = distinguished(&format!("{name} CA"));
        params.not_before = date_time_ymd(2025, 1, 1);
        params.not_after = date_time_ymd(2045, 1, 1);
        let key = KeyPair::generate().map_err(rcgen)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(rcgen)?;
        let authority = Self { issuer, dir: dir.to_owned(), name: name.to_owned() };
        let path = authority.ca_path();
        fs::write(&path, authority.issuer.pem()).map_err(|e| PkiError::Write(path, e))?;
        Ok(authority)
    }

    pub fn ca_path(&self) -> PathBuf {
        self.dir.join(format!("{}-ca.pem", self.name))
    }

    /// The CA's certificate, DER: what a trust root names as an anchor.
    pub fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// A certificate for both sides of mutual TLS, for `localhost` and 127.0.0.1, and for the URI where one is given.
    pub fn issue(&self, file: &str, common_name: &str, uri: Option<&str>) -> Result<Files, PkiError> {
        let rcgen = |e| PkiError::Rcgen(common_name.to_owned(), e);
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).map_err(rcgen)?;
        params.distinguished_name = distinguished(common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.not_before = date_time_ymd(2025, 1, 1);
        params.not_after = date_time_ymd(2045, 1, 1);
        if let Some(uri) = uri {
            params.subject_alt_names.push(SanType::URI(uri.try_into().map_err(rcgen)?));
        }
        let key = KeyPair::generate().map_err(rcgen)?;
        let cert = params.signed_by(&key, &self.issuer).map_err(rcgen)?;
        let files = Files {
            ca: self.ca_path(),
            cert: self.dir.join(format!("{file}.pem")),
            key: self.dir.join(format!("{file}.key")),
        };
        let chain = format!("{}{}", cert.pem(), self.issuer.pem());
        fs::write(&files.cert, chain).map_err(|e| PkiError::Write(files.cert.clone(), e))?;
        write_private(&files.key, key.serialize_pem().as_bytes()).map_err(|e| PkiError::Write(files.key.clone(), e))?;
        Ok(files)
    }
}
