//! The name of whoever calls: in the client certificate that the handshake verified, or of the session or token ([`crate::caller`]).

use std::{fmt, sync::Arc};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Longest name that is read from a certificate, in bytes.
pub const PEER_NAME_BYTES_MAX: usize = 256;

/// The caller's name: the first SAN URI of the certificate, else its subject's CN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerId(Arc<str>);

impl PeerId {
    /// Reads the name of a leaf that the verifier has accepted. None where it carries no usable name.
    pub fn of(leaf: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
        let uri = certificate.subject_alternative_name().ok().flatten().and_then(|san| {
            san.value.general_names.iter().find_map(|name| match name {
                GeneralName::URI(uri) => Some((*uri).to_owned()),
                _ => None,
            })
        });
        let cn = || certificate.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned);
        let name = uri.or_else(cn)?;
        let sound = !name.is_empty() && name.len() <= PEER_NAME_BYTES_MAX && !name.chars().any(char::is_control);
        sound.then(|| Self(name.into()))
    }

    /// Somebody for whom an identity provider vouches, as [`orbital::subject`] writes them.
    pub(crate) fn vouched(subject: &str) -> Self {
        Self(subject.into())
    }

    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn leaf(cn: &str, uri: Option<&str>) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, cn);
        if let Some(uri) = uri {
            params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn the_uri_goes_before_the_common_name() {
        assert_eq!(PeerId::of(&leaf("alice", None)).unwrap().as_str(), "alice");
        assert_eq!(PeerId::of(&leaf("alice", Some("kcm:person/bob"))).unwrap().as_str(), "kcm:person/bob");
    }

    #[test]
    fn a_name_that_is_empty_long_or_hides_something_is_none() {
        assert_eq!(PeerId::of(&leaf("", None)), None);
        assert_eq!(PeerId::of(&leaf(&"x".repeat(257), None)), None);
        assert_eq!(PeerId::of(&leaf("a\nb", None)), None);
        assert_eq!(PeerId::of(&CertificateDer::from(vec![1, 2, 3])), None);
    }
}
