//! The provider's public keys (RFC 7517): those that can sign what we take, each with its name.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{Flaw, jws::Algorithm};

/// Most keys of one provider that are read.
pub(crate) const KEYS_MAX: usize = 64;

/// The members of a key that count.
#[derive(Debug, Deserialize)]
struct Written {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    /// An uncompressed point (SEC 1 §2.3.3).
    P256(Vec<u8>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Ed25519(Vec<u8>),
}

/// One public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    kid: Option<String>,
    material: Material,
}

/// All of a provider's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys(Vec<Key>);

impl Keys {
    /// Reads a key set. A key that is of no use to us is left out, whatever is wrong with it: sets hold keys for other purposes, too.
    pub(crate) fn read(set: &[u8]) -> Result<Self, String> {
        let set: Set = serde_json::from_slice(set).map_err(|why| why.to_string())?;
        if set.keys.len() > KEYS_MAX {
            return Err(format!("it holds {} keys, at most {KEYS_MAX} are read", set.keys.len()));
        }
        Ok(Self(set.keys.into_iter().filter_map(Key::read).collect()))
    }

    /// The keys that may have signed: those of this name, or the only one for the algorithm where the token names none.
    pub(super) fn fitting(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Vec<&Key>, Flaw> {
        let fits = |key: &&Key| key.algorithm() == algorithm && (kid.is_none() || key.kid.as_deref() == kid);
        let fitting: Vec<_> = self.0.iter().filter(fits).collect();
        let unknown = || Flaw::UnknownKey(kid.unwrap_or("it names none").chars().take(64).collect());
        let certain = if kid.is_some() { !fitting.is_empty() } else { fitting.len() == 1 };
        if certain { Ok(fitting) } else { Err(unknown()) }
    }
}

impl Key {
    fn read(value: serde_json::Value) -> Option<Self> {
        let key: Written = serde_json::from_value(value).ok()?;
        let signs = key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && key.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
        let sized = |text: &Option<String>| bytes(text).filter(|bytes| bytes.len() == 32);
        let material = match (key.kty.as_str(), key.crv.as_deref()) {
            ("EC", Some("P-256")) => Material::P256([vec![4], sized(&key.x)?, sized(&key.y)?].concat()),
            ("OKP", Some("Ed25519")) => Material::Ed25519(sized(&key.x)?),
            ("RSA", None) => Material::Rsa { n: bytes(&key.n)?, e: bytes(&key.e)? },
            _ => return None,
        };
        let read = Self { kid: key.kid, material };
        let named = key.alg.as_deref().is_none_or(|name| Algorithm::named(name) == Some(read.algorithm()));
        (signs && named).then_some(read)
    }

    /// The one algorithm that the key is for: a key never serves two.
    fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::P256(_) => Algorithm::Es256,
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
            // From 2,048 bits on (RFC 7518 §3.3).
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
        }
    }
}
