//! The files that a topology names, as its check asks for them: can they be read, and whom do their certificates name.

use std::{fs, path::Path};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{cluster::tls, keyfiles};

/// This machine's file system.
pub(crate) struct Disk;

impl topology::Files for Disk {
    fn readable(&self, path: &Path) -> Result<(), String> {
        fs::File::open(path).map(drop).map_err(|e| e.to_string())
    }

    fn line(&self, path: &Path) -> Result<String, String> {
        keyfiles::read_line(path).map(|line| line.to_string()).map_err(|e| e.to_string())
    }

    fn san_uris(&self, path: &Path) -> Result<Vec<String>, String> {
        let pem = fs::read(path).map_err(|e| e.to_string())?;
        let leaf = CertificateDer::from_pem_slice(&pem).map_err(|e| e.to_string())?;
        Ok(tls::uris(&leaf))
    }
}

#[cfg(test)]
mod tests {
    use topology::Files;

    use super::*;
    use crate::demo::pki::Authority;

    #[test]
    fn a_certificate_s_names_are_read_and_a_missing_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let files =
            Authority::new(dir.path(), "ca").unwrap().issue("leaf", "leaf", Some("spiffe://d/crypto/fra-1")).unwrap();
        assert_eq!(Disk.san_uris(&files.cert).unwrap(), ["spiffe://d/crypto/fra-1"]);
        assert!(Disk.readable(&files.key).is_ok());
        assert!(Disk.readable(&dir.path().join("nothing")).is_err());
        assert!(Disk.san_uris(&files.key).is_err());
    }
}
