//! The handshake's verifier: one for each connection, so that what it found needs no second look.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use super::{Anchors, Caller, NotACaller};

/// Refuses whoever is no caller, and keeps who it was.
#[derive(Debug)]
pub struct Verifier {
    anchors: Arc<Anchors>,
    provider: Arc<CryptoProvider>,
    found: OnceLock<Result<Caller, NotACaller>>,
}

impl Verifier {
    pub fn new(anchors: Arc<Anchors>, provider: Arc<CryptoProvider>) -> Self {
        Self { anchors, provider, found: OnceLock::new() }
    }

    /// What a full handshake found. A resumed session shows no certificate: there is nothing here then.
    pub fn found(&self) -> Option<&Result<Caller, NotACaller>> {
        self.found.get()
    }
}

impl ClientCertVerifier for Verifier {
    /// No hints: the list of all tenants' CAs is nobody's business.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain: Vec<CertificateDer<'_>> =
            std::iter::once(end_entity).chain(intermediates).map(|der| CertificateDer::from(der.as_ref())).collect();
        let found = self.found.get_or_init(|| self.anchors.identify(&chain, now));
        found.as_ref().map(|_| ClientCertVerified::assertion()).map_err(|why| Error::InvalidCertificate(alert(why)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The alert that tells the client what is wrong with its certificate.
fn alert(why: &NotACaller) -> CertificateError {
    match why {
        NotACaller::Unreadable(_) => CertificateError::BadEncoding,
        NotACaller::UnknownIssuer => CertificateError::UnknownIssuer,
        NotACaller::Expired => CertificateError::Expired,
        NotACaller::NotForClients => CertificateError::InvalidPurpose,
        NotACaller::NoCertificate
        | NotACaller::ChainTooLong(_)
        | NotACaller::Invalid(_)
        | NotACaller::NameMissing
        | NotACaller::NamesContradict
        | NotACaller::Contested => CertificateError::ApplicationVerificationFailure,
    }
}
