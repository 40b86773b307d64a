//! A signed token in compact form (RFC 7515 §3.1), and the check of its signature. Which algorithms there are is said here, not in the token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{Flaw, TOKEN_BYTES_MAX, keys::Keys};

/// The algorithms that are taken: none without a key, none with a shared one (RFC 8725 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Es256,
    Rs256,
    EdDsa,
}

impl Algorithm {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            // RFC 9864 gives Ed25519 its own name.
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// The members of a header that count. Keys and addresses of keys in it (`jwk`, `jku`, `x5c`, `x5u`) are not read at all.
#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

/// A token whose signature is the provider's. Only [`verify`] makes one.
#[derive(Debug)]
pub(crate) struct Signed {
    typ: Option<String>,
    payload: Vec<u8>,
}

impl Signed {
    /// The claims, and the type that the header gives.
    pub(super) fn parts(&self) -> (&[u8], Option<&str>) {
        (&self.payload, self.typ.as_deref())
    }
}

/// Reads a token and finds the key that signed it.
pub(crate) fn verify(token: &str, keys: &Keys) -> Result<Signed, Flaw> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Flaw::TooLarge(token.len()));
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Malformed("it has no signature"))?;
    let (header, payload) = signed.split_once('.').ok_or(Flaw::Malformed("it has two parts"))?;
    if payload.contains('.') {
        return Err(Flaw::Malformed("it has more than three parts"));
    }
    let header: Header = serde_json::from_slice(&decoded("header", header)?)
        .map_err(|why| Flaw::Unreadable { part: "header", why: why.to_string() })?;
    let algorithm =
        Algorithm::named(&header.alg).ok_or_else(|| Flaw::Algorithm(header.alg.chars().take(16).collect()))?;
    // An extension that must be understood is none of ours (RFC 7515 §4.1.11).
    if header.crit.is_some() {
        return Err(Flaw::Unwanted("crit"));
    }
    let signature = decoded("signature", signature)?;
    let fitting = keys.fitting(algorithm, header.kid.as_deref())?;
    if !fitting.into_iter().any(|key| key.verifies(signed.as_bytes(), &signature)) {
        return Err(Flaw::Signature);
    }
    Ok(Signed { typ: header.typ, payload: decoded("payload", payload)? })
}

fn decoded(part: &'static str, text: &str) -> Result<Vec<u8>, Flaw> {
    URL_SAFE_NO_PAD.decode(text).map_err(|why| Flaw::Unreadable { part, why: why.to_string() })
}
