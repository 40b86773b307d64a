//! How an elliptic curve key signs and verifies: from the request's Cryptographic Parameters and the key's own.

use custody::{
    ec::Curve,
    object::ObjectMeta,
    signature::{Hash, Scheme},
};
use kmip::{
    CryptographicParameters,
    tables::{CryptographicAlgorithm, DigitalSignatureAlgorithm, HashingAlgorithm, PaddingMethod},
};

use super::rsa::hash_of;
use crate::{
    attributes,
    refusal::{Outcome, denied, invalid_field, unsupported},
};

/// ECDSA with the hash that the request names, or else the key. What is for key agreement signs nothing.
pub(super) fn scheme(meta: &ObjectMeta, asked: Option<&CryptographicParameters>) -> Outcome<Scheme> {
    let algorithm = meta.algorithm.and_then(CryptographicAlgorithm::from_code);
    if !algorithm.is_some_and(signs) {
        return Err(denied("the key is for key agreement; keys of the algorithm ECDSA or EC sign and verify"));
    }
    let curve = meta.length_bits.and_then(Curve::of_bits);
    let curve = curve.ok_or_else(|| denied("the key is of no curve that signs here"))?;
    let says_how = |asked: &&CryptographicParameters| {
        asked.hashing_algorithm.is_some() || asked.digital_signature_algorithm.is_some()
    };
    let own = attributes::own_parameters(meta)?;
    let parameters = asked.filter(says_how).or(own.as_ref()).or(asked).ok_or_else(|| {
        invalid_field("neither the request nor the key has Cryptographic Parameters; name a Hashing Algorithm")
    })?;
    if parameters.cryptographic_algorithm.is_some_and(|algorithm| !signs(algorithm)) {
        return Err(invalid_field(
            "Cryptographic Parameters name another algorithm than ECDSA or EC, which the key is of",
        ));
    }
    if parameters.padding_method.is_some_and(|padding| padding != PaddingMethod::None) {
        return Err(invalid_field("Cryptographic Parameters name a Padding Method; ECDSA has none"));
    }
    Ok(Scheme::Ecdsa(curve, hash(parameters)?))
}

fn signs(algorithm: CryptographicAlgorithm) -> bool {
    matches!(algorithm, CryptographicAlgorithm::Ecdsa | CryptographicAlgorithm::Ec)
}

/// KMIP 1.4 §3.6: "either the Digital Signature Algorithm can be specified or the Cryptographic Algorithm and Hashing Algorithm".
fn hash(parameters: &CryptographicParameters) -> Outcome<Hash> {
    use DigitalSignatureAlgorithm as D;
    use HashingAlgorithm as H;
    let by_name = match parameters.digital_signature_algorithm {
        None => None,
        Some(D::EcdsaWithSha1) => Some(H::Sha1),
        Some(D::EcdsaWithSha256) => Some(H::Sha256),
        Some(D::EcdsaWithSha384) => Some(H::Sha384),
        Some(D::EcdsaWithSha512) => Some(H::Sha512),
        Some(other) => return Err(unsupported(format!("{other} with an elliptic curve; ECDSA with SHA-2 is"))),
    };
    match (by_name, parameters.hashing_algorithm) {
        (Some(one), Some(other)) if one != other => {
            Err(invalid_field("Cryptographic Parameters name a Digital Signature Algorithm, and another hash"))
        }
        (None, None) => Err(invalid_field("Cryptographic Parameters name no Hashing Algorithm")),
        (Some(hash), _) | (None, Some(hash)) => hash_of(hash),
    }
}

#[cfg(test)]
mod tests {
    use custody::object::State;
    use kmip::{ResultReason, tables::ObjectType};

    use super::*;

    fn key() -> ObjectMeta {
        ObjectMeta {
            algorithm: Some(CryptographicAlgorithm::Ecdsa.code()),
            length_bits: Some(256),
            ..ObjectMeta::new(ObjectType::PrivateKey.code(), State::Active, true)
        }
    }

    fn by_hash(hash: HashingAlgorithm) -> CryptographicParameters {
        CryptographicParameters { hashing_algorithm: Some(hash), ..CryptographicParameters::default() }
    }

    fn by_name(algorithm: DigitalSignatureAlgorithm) -> CryptographicParameters {
        CryptographicParameters { digital_signature_algorithm: Some(algorithm), ..CryptographicParameters::default() }
    }

    #[test]
    fn the_hash_is_named_in_either_way_by_the_request_or_the_key() {
        use {DigitalSignatureAlgorithm as D, HashingAlgorithm as H};
        let ecdsa = |hash| Ok(Scheme::Ecdsa(Curve::P256, hash));
        assert_eq!(scheme(&key(), Some(&by_hash(H::Sha384))), ecdsa(Hash::Sha384));
        assert_eq!(scheme(&key(), Some(&by_name(D::EcdsaWithSha512))), ecdsa(Hash::Sha512));
        let both = CryptographicParameters { hashing_algorithm: Some(H::Sha256), ..by_name(D::EcdsaWithSha256) };
        assert_eq!(scheme(&key(), Some(&both)), ecdsa(Hash::Sha256));
        let own = custody::object::Parameters { hashing_algorithm: Some(H::Sha512.code()), ..Default::default() };
        let own = ObjectMeta { parameters: vec![own].into(), ..key() };
        assert_eq!(scheme(&own, None), ecdsa(Hash::Sha512));
        assert_eq!(scheme(&own, Some(&CryptographicParameters::default())), ecdsa(Hash::Sha512));
        assert_eq!(scheme(&own, Some(&by_hash(H::Sha1))), ecdsa(Hash::Sha1));
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        use {DigitalSignatureAlgorithm as D, HashingAlgorithm as H, ResultReason as R};
        let reason = |meta: &ObjectMeta, asked| scheme(meta, Some(&asked)).err().map(|failure| failure.reason);
        for wrong in [by_hash(H::Sha224), by_name(D::EcdsaWithSha224), by_name(D::Sha256WithRsaEncryption)] {
            assert_eq!(reason(&key(), wrong), Some(R::FeatureNotSupported));
        }
        let two = CryptographicParameters { hashing_algorithm: Some(H::Sha256), ..by_name(D::EcdsaWithSha384) };
        let padded = CryptographicParameters { padding_method: Some(PaddingMethod::Pss), ..by_hash(H::Sha256) };
        let rsa = CryptographicParameters {
            cryptographic_algorithm: Some(CryptographicAlgorithm::Rsa),
            ..by_hash(H::Sha256)
        };
        for wrong in [two, padded, rsa, CryptographicParameters::default()] {
            assert_eq!(reason(&key(), wrong), Some(R::InvalidField));
        }
        assert_eq!(scheme(&key(), None).err().map(|failure| failure.reason), Some(R::InvalidField));
        let agrees = ObjectMeta { algorithm: Some(CryptographicAlgorithm::Ecdh.code()), ..key() };
        let unknown = ObjectMeta { length_bits: Some(255), ..key() };
        for wrong in [agrees, unknown] {
            assert_eq!(reason(&wrong, by_hash(H::Sha256)), Some(R::PermissionDenied));
        }
    }
}
