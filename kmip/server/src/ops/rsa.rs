//! What an RSA key is used for, and how: from the request's Cryptographic Parameters and the key's own.

use custody::{
    object::ObjectMeta,
    signature::{Hash, Salt, Scheme, longest_salt},
};
use kmip::{
    CryptographicParameters,
    tables::{CryptographicAlgorithm, DigitalSignatureAlgorithm, HashingAlgorithm, MaskGenerator, PaddingMethod},
};

use crate::{
    attributes,
    refusal::{Outcome, denied, invalid_field, unsupported},
};

/// The trailer of a PSS signature (RFC 8017 appendix A.2.3: trailerFieldBC).
const TRAILER_BC: i32 = 1;

/// How OAEP encrypts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Oaep {
    pub(super) hash: Hash,
    /// P Source.
    pub(super) label: Vec<u8>,
}

/// The scheme of a new signature. A PSS salt has as many bytes as the hash, unless Salt Length says otherwise.
pub(super) fn signing(meta: &ObjectMeta, asked: Option<&CryptographicParameters>) -> Outcome<Scheme> {
    let named = Named::of(meta, asked)?;
    let scheme = named.schemes(meta)?.into_iter().next().filter(|scheme| scheme.signs());
    scheme.ok_or_else(|| unsupported("a new signature with SHA-1; SHA-256, SHA-384 and SHA-512 are"))
}

/// The schemes under any of which a signature is valid: a PSS signature's salt may have either length, unless Salt Length says which.
///
/// PSS with SHA-1 is not verified. Where the key itself is for another hash no signature with SHA-1 is the key's (as RFC 4055 §3.3 has
/// it of certificates), so none is valid: the list is empty.
pub(super) fn verifying(meta: &ObjectMeta, asked: Option<&CryptographicParameters>) -> Outcome<Vec<Scheme>> {
    let named = Named::of(meta, asked)?;
    let schemes = named.schemes(meta)?;
    if schemes.iter().all(|scheme| scheme.verifies()) {
        return Ok(schemes);
    }
    let own = attributes::own_parameters(meta)?.and_then(|own| own.hashing_algorithm);
    match (own, named.hash) {
        (Some(own), Some(named)) if own != named => Ok(vec![]),
        _ => Err(unsupported("verifying PSS with SHA-1; SHA-256, SHA-384 and SHA-512 are")),
    }
}

/// How this private or public key decrypts or encrypts.
pub(super) fn oaep(meta: &ObjectMeta, asked: Option<&CryptographicParameters>) -> Outcome<Oaep> {
    if meta.algorithm != Some(CryptographicAlgorithm::Rsa.code()) {
        return Err(denied("of private and public keys, only those of RSA encrypt and decrypt here"));
    }
    let named = Named::of(meta, asked)?;
    match named.padding {
        Some(PaddingMethod::Oaep) => {}
        Some(other) => return Err(unsupported(format!("RSA encryption with padding {other}; OAEP is"))),
        None => return Err(invalid_field("Cryptographic Parameters name no Padding Method; OAEP is offered")),
    }
    Ok(Oaep { hash: named.hash_with_mask()?, label: named.label })
}

/// What the parameters say of RSA.
struct Named {
    padding: Option<PaddingMethod>,
    hash: Option<HashingAlgorithm>,
    mask_hash: Option<HashingAlgorithm>,
    salt_bytes: Option<i32>,
    label: Vec<u8>,
}

impl Named {
    /// The request's, if they name a padding or a signature algorithm, or else the key's.
    fn of(meta: &ObjectMeta, asked: Option<&CryptographicParameters>) -> Outcome<Self> {
        let says_how = |asked: &&CryptographicParameters| {
            asked.padding_method.is_some() || asked.digital_signature_algorithm.is_some()
        };
        let own = attributes::own_parameters(meta)?;
        let parameters = asked.filter(says_how).or(own.as_ref()).or(asked).ok_or_else(|| {
            invalid_field("neither the request nor the key has Cryptographic Parameters; name a Padding Method")
        })?;
        if parameters.cryptographic_algorithm.is_some_and(|algorithm| algorithm != CryptographicAlgorithm::Rsa) {
            return Err(invalid_field("Cryptographic Parameters name another algorithm than RSA, which the key is of"));
        }
        if parameters.mask_generator.is_some_and(|generator| generator != MaskGenerator::Mgf1) {
            return Err(unsupported("a Mask Generator other than MGF1"));
        }
        if parameters.trailer_field.is_some_and(|trailer| trailer != TRAILER_BC) {
            return Err(unsupported(format!("a Trailer Field other than {TRAILER_BC}")));
        }
        let (padding, hash) = match parameters.digital_signature_algorithm {
            None => (parameters.padding_method, parameters.hashing_algorithm),
            Some(algorithm) => of_signature(algorithm, parameters)?,
        };
        Ok(Self {
            padding,
            hash,
            mask_hash: parameters.mask_generator_hashing_algorithm,
            salt_bytes: parameters.salt_length,
            label: parameters.p_source.clone().unwrap_or_default(),
        })
    }

    fn hash(&self) -> Outcome<Hash> {
        match self.hash {
            Some(named) => hash_of(named),
            None => Err(invalid_field("Cryptographic Parameters name no Hashing Algorithm")),
        }
    }

    /// The hash, where the mask generator has the same: the library has no other.
    fn hash_with_mask(&self) -> Outcome<Hash> {
        let hash = self.hash()?;
        match (self.mask_hash, self.hash) {
            (Some(mask), Some(hash)) if mask != hash => Err(unsupported(format!(
                "{hash} with a Mask Generator of {mask}; a Mask Generator of the same hash is"
            ))),
            _ => Ok(hash),
        }
    }

    /// The signature schemes that fit, the one for a new signature first.
    fn schemes(&self, meta: &ObjectMeta) -> Outcome<Vec<Scheme>> {
        match self.padding {
            Some(PaddingMethod::Pkcs1V15) => Ok(vec![Scheme::Pkcs1(self.hash()?)]),
            Some(PaddingMethod::Pss) => {
                let hash = self.hash_with_mask()?;
                Ok(self.salts(meta, hash)?.iter().map(|&salt| Scheme::Pss(hash, salt)).collect())
            }
            Some(other) => Err(unsupported(format!("a signature with padding {other}; PSS and PKCS1 v1.5 are"))),
            None => {
                Err(invalid_field("Cryptographic Parameters name no Padding Method; PSS and PKCS1 v1.5 are offered"))
            }
        }
    }

    fn salts(&self, meta: &ObjectMeta, hash: Hash) -> Outcome<&'static [Salt]> {
        let Some(asked) = self.salt_bytes else { return Ok(&[Salt::Digest, Salt::Longest]) };
        let longest = longest_salt(meta.length_bits.unwrap_or_default(), hash);
        match usize::try_from(asked).ok() {
            Some(bytes) if bytes == hash.bytes() => Ok(&[Salt::Digest]),
            Some(bytes) if Some(bytes) == longest => Ok(&[Salt::Longest]),
            _ => Err(unsupported(format!(
                "a Salt Length of {asked}; {}, the hash's, and {}, the longest of this key, are",
                hash.bytes(),
                longest.unwrap_or_default()
            ))),
        }
    }
}

/// The hash of a signature or of OAEP.
pub(super) fn hash_of(named: HashingAlgorithm) -> Outcome<Hash> {
    match named {
        HashingAlgorithm::Sha1 => Ok(Hash::Sha1),
        HashingAlgorithm::Sha256 => Ok(Hash::Sha256),
        HashingAlgorithm::Sha384 => Ok(Hash::Sha384),
        HashingAlgorithm::Sha512 => Ok(Hash::Sha512),
        other => Err(unsupported(format!("a key pair's use with {other}; SHA-1, SHA-256, SHA-384 and SHA-512 are"))),
    }
}

/// Padding and hash by the name of both (KMIP 1.4 §9.1.3.2.7).
fn of_signature(
    algorithm: DigitalSignatureAlgorithm,
    parameters: &CryptographicParameters,
) -> Outcome<(Option<PaddingMethod>, Option<HashingAlgorithm>)> {
    use DigitalSignatureAlgorithm as D;
    use HashingAlgorithm as H;
    let hash = match algorithm {
        D::Sha1WithRsaEncryption => H::Sha1,
        D::Sha256WithRsaEncryption => H::Sha256,
        D::Sha384WithRsaEncryption => H::Sha384,
        D::Sha512WithRsaEncryption => H::Sha512,
        D::RsassaPss => return Ok((Some(PaddingMethod::Pss), parameters.hashing_algorithm)),
        other => return Err(unsupported(format!("{other}; RSA with SHA-1 and SHA-2, and RSASSA-PSS, are"))),
    };
    if parameters.padding_method.is_some_and(|padding| padding != PaddingMethod::Pkcs1V15)
        || parameters.hashing_algorithm.is_some_and(|named| named != hash)
    {
        return Err(invalid_field(format!("Cryptographic Parameters name {algorithm}, and another padding or hash")));
    }
    Ok((Some(PaddingMethod::Pkcs1V15), Some(hash)))
}

#[cfg(test)]
mod tests {
    use custody::object::State;
    use kmip::{ResultReason, tables::ObjectType};

    use super::*;

    fn key(object_type: ObjectType) -> ObjectMeta {
        ObjectMeta {
            algorithm: Some(CryptographicAlgorithm::Rsa.code()),
            length_bits: Some(2048),
            ..ObjectMeta::new(object_type.code(), State::Active, true)
        }
    }

    fn own(object_type: ObjectType, padding: PaddingMethod, hash: HashingAlgorithm) -> ObjectMeta {
        let mut meta = key(object_type);
        let (padding_method, hashing_algorithm) = (Some(padding.code()), Some(hash.code()));
        meta.parameters.push(custody::object::Parameters { padding_method, hashing_algorithm, ..Default::default() });
        meta
    }

    fn named(padding: PaddingMethod, hash: HashingAlgorithm) -> CryptographicParameters {
        CryptographicParameters {
            padding_method: Some(padding),
            hashing_algorithm: Some(hash),
            ..CryptographicParameters::default()
        }
    }

    fn reason<T>(outcome: Outcome<T>) -> Option<ResultReason> {
        outcome.err().map(|failure| failure.reason)
    }

    #[test]
    fn the_request_s_parameters_go_before_the_key_s() {
        use {HashingAlgorithm as H, PaddingMethod as P};
        let private = own(ObjectType::PrivateKey, P::Pss, H::Sha256);
        assert_eq!(signing(&private, None), Ok(Scheme::Pss(Hash::Sha256, Salt::Digest)));
        assert_eq!(signing(&private, Some(&named(P::Pkcs1V15, H::Sha512))), Ok(Scheme::Pkcs1(Hash::Sha512)));
        let salt = |bytes| CryptographicParameters { salt_length: Some(bytes), ..named(P::Pss, H::Sha256) };
        assert_eq!(signing(&private, Some(&salt(222))), Ok(Scheme::Pss(Hash::Sha256, Salt::Longest)));
        assert_eq!(signing(&private, Some(&salt(32))), Ok(Scheme::Pss(Hash::Sha256, Salt::Digest)));
        for bytes in [0, 20, 223, -1] {
            assert_eq!(reason(signing(&private, Some(&salt(bytes)))), Some(ResultReason::FeatureNotSupported));
        }
        let by_name = |algorithm| CryptographicParameters {
            digital_signature_algorithm: Some(algorithm),
            hashing_algorithm: Some(H::Sha384),
            ..CryptographicParameters::default()
        };
        let sha_384 = by_name(DigitalSignatureAlgorithm::Sha384WithRsaEncryption);
        assert_eq!(signing(&private, Some(&sha_384)), Ok(Scheme::Pkcs1(Hash::Sha384)));
        let pss = by_name(DigitalSignatureAlgorithm::RsassaPss);
        assert_eq!(signing(&private, Some(&pss)), Ok(Scheme::Pss(Hash::Sha384, Salt::Digest)));
        let other = by_name(DigitalSignatureAlgorithm::Sha512WithRsaEncryption);
        assert_eq!(reason(signing(&private, Some(&other))), Some(ResultReason::InvalidField));
        let ecdsa = by_name(DigitalSignatureAlgorithm::EcdsaWithSha256);
        assert_eq!(reason(signing(&private, Some(&ecdsa))), Some(ResultReason::FeatureNotSupported));
        assert_eq!(reason(signing(&key(ObjectType::PrivateKey), None)), Some(ResultReason::InvalidField));
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        use {HashingAlgorithm as H, PaddingMethod as P};
        let (private, public) = (key(ObjectType::PrivateKey), key(ObjectType::PublicKey));
        for wrong in [named(P::Oaep, H::Sha256), named(P::Pss, H::Md5), named(P::Pkcs1V15, H::Sha1)] {
            assert_eq!(reason(signing(&private, Some(&wrong))), Some(ResultReason::FeatureNotSupported), "{wrong:?}");
        }
        for wrong in [named(P::Pkcs1V15, H::Sha256), named(P::Oaep, H::Sha224), named(P::None, H::Sha256)] {
            assert_eq!(reason(oaep(&public, Some(&wrong))), Some(ResultReason::FeatureNotSupported), "{wrong:?}");
        }
        let mask = |mask| CryptographicParameters {
            mask_generator_hashing_algorithm: Some(mask),
            p_source: Some(b"label".to_vec()),
            ..named(P::Oaep, H::Sha384)
        };
        let label = b"label".to_vec();
        assert_eq!(oaep(&public, Some(&mask(H::Sha384))), Ok(Oaep { hash: Hash::Sha384, label }));
        let failure = oaep(&public, Some(&mask(H::Sha256))).unwrap_err();
        assert_eq!(failure.reason, ResultReason::FeatureNotSupported);
        assert!(failure.message.contains("SHA-384 with a Mask Generator of SHA-256"), "{}", failure.message);
        let trailer = CryptographicParameters { trailer_field: Some(2), ..named(P::Pss, H::Sha256) };
        assert_eq!(reason(signing(&private, Some(&trailer))), Some(ResultReason::FeatureNotSupported));
        let aes = CryptographicParameters {
            cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
            ..named(P::Pss, H::Sha256)
        };
        assert_eq!(reason(signing(&private, Some(&aes))), Some(ResultReason::InvalidField));
    }

    #[test]
    fn a_signature_with_sha_1_is_never_that_of_a_key_for_another_hash() {
        use {HashingAlgorithm as H, PaddingMethod as P};
        let public = own(ObjectType::PublicKey, P::Pss, H::Sha256);
        let both = vec![Scheme::Pss(Hash::Sha256, Salt::Digest), Scheme::Pss(Hash::Sha256, Salt::Longest)];
        assert_eq!(verifying(&public, None), Ok(both));
        let sha_1 = named(P::Pss, H::Sha1);
        assert_eq!(verifying(&public, Some(&sha_1)), Ok(vec![]));
        let unbound = verifying(&key(ObjectType::PublicKey), Some(&sha_1));
        assert_eq!(reason(unbound), Some(ResultReason::FeatureNotSupported));
        let old = verifying(&public, Some(&named(P::Pkcs1V15, H::Sha1)));
        assert_eq!(old, Ok(vec![Scheme::Pkcs1(Hash::Sha1)]));
    }
}
