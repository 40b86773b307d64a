//! By which function something is derived: from the method, its parameters, and the key's own.

use custody::{
    dek::{Hmac, Mode},
    kdf::Kdf,
    object::ObjectMeta,
};
use kmip::{
    CryptographicParameters,
    ops::derive_key::DerivationParameters,
    tables::{CryptographicAlgorithm, DerivationMethod, HashingAlgorithm, ObjectType},
};

use super::{cipher, mac};
use crate::{
    attributes,
    refusal::{Outcome, invalid_field, unsupported},
};

/// A method and what it is given besides the data.
#[derive(Debug, PartialEq)]
pub(super) enum Method<'a> {
    Pbkdf2 { hmac: Hmac, salt: &'a [u8], iterations: u32 },
    Hash(Hmac),
    Hmac(Hmac),
    Encrypt { parameters: CryptographicParameters, iv: Option<&'a [u8]> },
    Counter(Hmac),
    Feedback(Hmac, &'a [u8]),
    DoublePipeline(Hmac),
}

pub(super) fn method<'a>(
    meta: &ObjectMeta,
    method: DerivationMethod,
    given: &DerivationParameters<'a>,
) -> Outcome<Method<'a>> {
    use DerivationMethod as D;
    let iv = given.initialization_vector;
    if method != D::Pbkdf2 && (given.salt.is_some() || given.iteration_count.is_some()) {
        return Err(invalid_field("Salt and Iteration Count belong to PBKDF2"));
    }
    if iv.is_some() && !matches!(method, D::Encrypt | D::Nist800108F) {
        return Err(invalid_field(format!("the method {method} takes no Initialization Vector")));
    }
    Ok(match method {
        D::Pbkdf2 => pbkdf2(given)?,
        D::Hash => Method::Hash(hash(&chosen(meta, given)?)?),
        D::Hmac => Method::Hmac(prf(meta, given)?),
        D::Encrypt => Method::Encrypt { parameters: chosen(meta, given)?, iv },
        D::Nist800108C => Method::Counter(prf(meta, given)?),
        D::Nist800108F => Method::Feedback(prf(meta, given)?, iv.unwrap_or_default()),
        D::Nist800108Dpi => Method::DoublePipeline(prf(meta, given)?),
        D::AsymmetricKey => {
            return Err(unsupported(
                "the Derivation Method Asymmetric Key; PBKDF2, HASH, HMAC, ENCRYPT and NIST800-108 are",
            ));
        }
    })
}

impl<'a> Method<'a> {
    /// What custody derives, with a key of these attributes.
    pub(super) fn kdf(&self, meta: &ObjectMeta, data: &'a [u8]) -> Outcome<Kdf<'a>> {
        Ok(match *self {
            Self::Hash(hmac) => Kdf::Hash(hmac),
            Self::Hmac(hmac) => Kdf::Hmac(hmac, data),
            Self::Encrypt { ref parameters, iv } => {
                let Mode::Block(block) = cipher::cipher(meta, Some(parameters))?.mode else {
                    return Err(unsupported("derivation by a mode that authenticates; ECB, CBC, CTR, CFB and OFB are"));
                };
                let iv = iv.map(<&[u8; 16]>::try_from).transpose();
                let iv = iv.map_err(|_| invalid_field("the Initialization Vector must have 16 bytes"))?;
                Kdf::Encrypt { block, iv, data }
            }
            Self::Counter(hmac) => Kdf::Counter { hmac, fixed: data },
            Self::Feedback(hmac, iv) => Kdf::Feedback { hmac, iv, fixed: data },
            Self::DoublePipeline(hmac) => Kdf::DoublePipeline { hmac, fixed: data },
            Self::Pbkdf2 { .. } => return Err(unsupported("PBKDF2 at once")),
        })
    }
}

/// RFC 8018 appendix B.1.1: the PRF is HMAC with SHA-1 unless another is named.
fn pbkdf2<'a>(given: &DerivationParameters<'a>) -> Outcome<Method<'a>> {
    let salt = given.salt.ok_or_else(|| invalid_field("PBKDF2 needs a Salt"))?;
    let iterations = given.iteration_count.ok_or_else(|| invalid_field("PBKDF2 needs an Iteration Count"))?;
    let iterations = u32::try_from(iterations).ok().filter(|&iterations| iterations > 0);
    let iterations = iterations.ok_or_else(|| invalid_field("the Iteration Count is not positive"))?;
    let hmac = given.cryptographic_parameters.as_ref().map_or(Ok(Hmac::Sha1), |parameters| {
        let of_algorithm = parameters.cryptographic_algorithm.and_then(mac::of_algorithm);
        match (of_algorithm, parameters.hashing_algorithm) {
            (Some(hmac), _) => Ok(hmac),
            (None, None) => Ok(Hmac::Sha1),
            (None, Some(_)) => hash(parameters),
        }
    })?;
    Ok(Method::Pbkdf2 { hmac, salt, iterations })
}

/// "If a key is derived using HMAC, then the attributes of the derivation key provide enough information about the PRF, and the
/// Cryptographic Parameters are ignored."
fn prf(meta: &ObjectMeta, given: &DerivationParameters<'_>) -> Outcome<Hmac> {
    let own = meta.algorithm.and_then(CryptographicAlgorithm::from_code).and_then(mac::of_algorithm);
    own.map_or_else(|| hash(&chosen(meta, given)?), Ok)
}

fn hash(parameters: &CryptographicParameters) -> Outcome<Hmac> {
    let named: HashingAlgorithm = parameters
        .hashing_algorithm
        .ok_or_else(|| invalid_field("Cryptographic Parameters name no Hashing Algorithm"))?;
    mac::of_hash(named).ok_or_else(|| unsupported(format!("derivation with {named}; SHA-1 and SHA-2 to 512 bits are")))
}

/// "The server SHALL verify that the specified mode matches one of the instances of Cryptographic Parameters set for the
/// corresponding key. If Cryptographic Parameters are omitted, then the server SHALL select the Cryptographic Parameters with the
/// lowest Attribute Index for the specified key."
fn chosen(meta: &ObjectMeta, given: &DerivationParameters<'_>) -> Outcome<CryptographicParameters> {
    let asked = given.cryptographic_parameters.as_ref();
    if meta.object_type == ObjectType::SecretData.code() {
        return asked.cloned().ok_or_else(|| {
            invalid_field("Secret Data have no Cryptographic Parameters of their own; name them in the request")
        });
    }
    let own = meta.parameters.iter().map(attributes::parameters_of).collect::<Outcome<Vec<_>>>()?;
    own.into_iter().find(|own| asked.is_none_or(|asked| asked.is_within(own))).ok_or_else(|| {
        invalid_field("no Cryptographic Parameters of the key match; add the attribute to the key that is to derive")
    })
}
