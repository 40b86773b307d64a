//! The line to a key manager: TLS with a certificate of ours, one request a connection, everything bounded.
//!
//! The credential file is read for each connection, so one that is replaced counts without a restart.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kmip::{client, ttlv::HEADER_BYTES};
use rustls::{
    AlertDescription, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::l1::{Fault, L1Error, credential_file, tls};

/// Of one exchange, from name resolution to the last byte of the answer. An unwrap that is refused asks four times.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest answer that is read, in bytes: the longest blob and the rest with room.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why there is no answer.
pub(super) type NoAnswer = (Fault, String);

pub(super) struct Line {
    address: String,
    name: ServerName<'static>,
    roots: Arc<RootCertStore>,
    identity: PathBuf,
}

impl Line {
    /// Reads the CA file; no call is made yet.
    pub(super) fn new(provider: &'static str, address: &str, ca: &Path, identity: PathBuf) -> Result<Self, L1Error> {
        let bad = || L1Error::setup(provider, format!("its address `{address}` is none: write HOST:PORT"));
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        if port.parse::<u16>().is_err() {
            return Err(bad());
        }
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|_| bad())?;
        Ok(Self { address: address.to_owned(), name, roots: Arc::new(tls::roots(provider, ca)?), identity })
    }

    /// Whether the credential file can be used at all.
    pub(super) fn check(&self) -> Result<(), String> {
        self.tls().map(drop)
    }

    fn tls(&self) -> Result<TlsConnector, String> {
        let unusable = |why: &str| format!("credential file `{}` {why}", self.identity.display());
        let pem = credential_file::whole(&self.identity)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = certificates.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
            unusable("holds no certificate: write the key (PKCS#8) and its certificate into it, in PEM")
        })?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| unusable("holds no private key in PEM"))?;
        tls::mutual(self.roots.clone(), certificates, key).map_err(|why| unusable(&format!("can't be used: {why}")))
    }

    /// Asks within [`CALL_TIMEOUT`].
    pub(super) async fn ask(&self, frame: &[u8]) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
        let tls = self.tls().map_err(|why| (Fault::Credential, why))?;
        match timeout(CALL_TIMEOUT, self.exchange(tls, frame)).await {
            Ok(answer) => answer.map_err(|(fault, why)| (fault, format!("{why} ({})", self.address))),
            Err(_) => {
                Err((Fault::Network, format!("{} gave no answer within {} s", self.address, CALL_TIMEOUT.as_secs())))
            }
        }
    }

    async fn exchange(&self, tls: TlsConnector, frame: &[u8]) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
        let tcp =
            TcpStream::connect(&self.address).await.map_err(|e| (Fault::Network, format!("no connection: {e}")))?;
        tcp.set_nodelay(true).map_err(|e| broken(&e))?;
        let mut stream = tls.connect(self.name.clone(), tcp).await.map_err(|e| broken(&e))?;
        stream.write_all(frame).await.map_err(|e| broken(&e))?;
        stream.flush().await.map_err(|e| broken(&e))?;
        let mut header = [0; HEADER_BYTES];
        stream.read_exact(&mut header).await.map_err(|e| broken(&e))?;
        let length = client::answer_len(&header).ok().filter(|length| *length <= ANSWER_BYTES_MAX);
        let length = length.ok_or_else(|| (Fault::Unknown, "what answers there does not speak KMIP".to_owned()))?;
        let mut answer = Zeroizing::new(vec![0; length]);
        let (start, rest) = answer.split_at_mut(HEADER_BYTES.min(length));
        start.copy_from_slice(header.get(..start.len()).unwrap_or_default());
        stream.read_exact(rest).await.map_err(|e| broken(&e))?;
        Ok(answer)
    }
}

/// A server that takes no certificate of ours says so in an alert, after the handshake in TLS 1.3.
fn broken(error: &io::Error) -> NoAnswer {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked, CertificateUnknown,
        UnknownCA, UnsupportedCertificate,
    };
    let alert = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => Some(*alert),
        _ => None,
    };
    match alert {
        Some(
            AccessDenied
            | BadCertificate
            | CertificateExpired
            | CertificateRequired
            | CertificateRevoked
            | CertificateUnknown
            | UnknownCA
            | UnsupportedCertificate,
        ) => (Fault::Credential, format!("it does not take our certificate: {error}")),
        _ => (Fault::Network, format!("the connection broke: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn alert(alert: AlertDescription) -> Fault {
        broken(&io::Error::new(io::ErrorKind::InvalidData, rustls::Error::AlertReceived(alert))).0
    }

    #[test]
    fn an_alert_about_our_certificate_is_a_matter_of_the_credential() {
        assert_eq!(alert(AlertDescription::UnknownCA), Fault::Credential);
        assert_eq!(alert(AlertDescription::CertificateRevoked), Fault::Credential);
        assert_eq!(alert(AlertDescription::InternalError), Fault::Network);
        assert_eq!(broken(&io::ErrorKind::ConnectionReset.into()).0, Fault::Network);
    }

    #[test]
    fn an_address_has_a_port_and_a_credential_file_both_parts() {
        let folder = tempfile::tempdir().unwrap();
        let (ca, file) = (folder.path().join("ca.pem"), folder.path().join("region.pem"));
        let own = rcgen::generate_simple_self_signed(vec!["x".into()]).unwrap();
        std::fs::write(&ca, own.cert.pem()).unwrap();
        for bad in ["kms.example", "kms.example:kmip", ":5696", ""] {
            let why = Line::new("kmip", bad, &ca, file.clone()).err().unwrap().to_string();
            assert!(why.contains("HOST:PORT"), "{bad}: {why}");
        }
        assert!(Line::new("kmip", "[::1]:5696", &ca, file.clone()).is_ok());
        let line = Line::new("kmip", "kms.example:5696", &ca, file.clone()).unwrap();
        let written = |text: &str| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            line.check()
        };
        written(&(own.signing_key.serialize_pem() + &own.cert.pem())).unwrap();
        assert!(written("hunter2").unwrap_err().contains("holds no certificate"));
        let why = written(&own.cert.pem()).unwrap_err();
        assert!(why.contains("holds no private key") && why.contains("region.pem"), "{why}");
        let other = rcgen::generate_simple_self_signed(vec!["y".into()]).unwrap();
        assert!(written(&(other.signing_key.serialize_pem() + &own.cert.pem())).is_err(), "another's key");
    }
}
