//! Statements that an RSA key of ours signs for five minutes (RFC 7515, RFC 7519): a service account's token, an application's proof.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RsaKeyPair, RsaSignatureEncoding},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::Value;
use zeroize::Zeroizing;

/// Life of a statement, in seconds: a call takes 5, and clocks differ.
const LIFE_S: u64 = 300;
/// By how much our clock may be ahead of the reader's, in seconds: a statement of the future is refused.
const SKEW_S: u64 = 30;

/// The RSA key of a PEM text (PKCS#8).
pub(super) fn rsa_key(pem: &[u8]) -> Option<RsaKeyPair> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?;
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()
}

/// From when until when a statement of now counts, in seconds since 1970.
pub(super) fn span() -> (u64, u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    (now.saturating_sub(SKEW_S), now + LIFE_S)
}

/// The compact form. `None`: the key does not sign.
pub(super) fn signed(
    key: &RsaKeyPair,
    scheme: &'static RsaSignatureEncoding,
    head: &Value,
    claims: &Value,
) -> Option<Zeroizing<String>> {
    let [head, claims] = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let text = format!("{head}.{claims}");
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(scheme, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
    Some(Zeroizing::new(format!("{text}.{}", URL_SAFE_NO_PAD.encode(&signature))))
}
