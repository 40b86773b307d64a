//! MAC and MAC Verify (KMIP 1.4 §4.33, §4.34): HMAC with SHA-1 and SHA-2, in one part.

use custody::{dek::Hmac, key_table::Borrow, object::ObjectMeta};
use kmip::{
    CryptographicParameters, ResultReason,
    ops::{Answer, mac, mac_verify},
    tables::{CryptographicAlgorithm, HashingAlgorithm, ObjectType, UsageMask, ValidityIndicator},
};

use super::{Allowed, Done, Turn, Used, cipher::data_of};
use crate::{
    attributes,
    refusal::{self, Outcome, denied, fail, invalid_field, unsupported},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: &mac::Request<'_>) -> Outcome<Done> {
    in_one_part(request.correlation_value, request.init_indicator, request.final_indicator)?;
    let data = data_of(request.data)?;
    let made = |borrow: &Borrow, meta: &ObjectMeta| {
        let hmac = hmac(meta, request.cryptographic_parameters.as_ref())?;
        borrow.mac(hmac, data).map(|tag| ((), tag)).map_err(|error| refusal::of_custody(&error))
    };
    let Used { given: tag, limits, epoch, .. } = turn.protect(object, UsageMask::MAC_GENERATE, made).await?;
    turn.spend(object, limits, data.len(), true).await?;
    turn.success(&Answer::Mac(mac::Answer {
        unique_identifier: &object.text,
        mac_data: Some(&tag),
        correlation_value: None,
    }));
    Ok(Done { epoch })
}

pub(super) async fn verify(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &mac_verify::Request<'_>,
) -> Outcome<Done> {
    in_one_part(request.correlation_value, request.init_indicator, request.final_indicator)?;
    let data = data_of(request.data)?;
    let claimed = request.mac_data.ok_or_else(|| fail(ResultReason::InvalidMessage, "MAC Data is missing"))?;
    let verified = |borrow: &Borrow, meta: &ObjectMeta| {
        let hmac = hmac(meta, request.cryptographic_parameters.as_ref())?;
        borrow.mac_verify(hmac, data, claimed).map(|valid| ((), valid)).map_err(|error| refusal::of_custody(&error))
    };
    let Used { given: valid, epoch, .. } = turn.process(object, UsageMask::MAC_VERIFY, verified).await?;
    let validity_indicator = if valid { ValidityIndicator::Valid } else { ValidityIndicator::Invalid };
    let unique_identifier = &*object.text;
    turn.success(&Answer::MacVerify(mac_verify::Answer {
        unique_identifier,
        validity_indicator,
        correlation_value: None,
    }));
    Ok(Done { epoch })
}

/// Only Encrypt and Decrypt are offered in several parts.
pub(super) fn in_one_part(correlation: Option<&[u8]>, first: Option<bool>, last: Option<bool>) -> Outcome<()> {
    let streams = correlation.is_some()
        || first.is_some_and(|first| Some(first) != last)
        || last.is_some_and(|last| Some(last) != first);
    if streams {
        return Err(unsupported(
            "this operation in several parts (Correlation Value, Init and Final Indicator); send it in one",
        ));
    }
    Ok(())
}

/// The MAC that the parameters of the request name, or those of the key, or the key's own algorithm.
pub(super) fn hmac(meta: &ObjectMeta, asked: Option<&CryptographicParameters>) -> Outcome<Hmac> {
    if meta.object_type != ObjectType::SymmetricKey.code() {
        return Err(denied("the object is no Symmetric Key; only these make a MAC here"));
    }
    let own = attributes::own_parameters(meta)?;
    let parameters = asked.or(own.as_ref());
    let named = parameters
        .and_then(|parameters| parameters.cryptographic_algorithm)
        .or_else(|| meta.algorithm.and_then(CryptographicAlgorithm::from_code));
    if let Some(hmac) = named.and_then(of_algorithm) {
        return Ok(hmac);
    }
    let hash = parameters.and_then(|parameters| parameters.hashing_algorithm);
    match (hash, hash.and_then(of_hash)) {
        (_, Some(hmac)) => Ok(hmac),
        (Some(hash), None) => {
            Err(unsupported(format!("a MAC with {hash}; SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512 are")))
        }
        (None, None) => Err(invalid_field(
            "neither the request nor the key says which MAC: name HMAC-SHA256 as Cryptographic Algorithm in the Cryptographic Parameters",
        )),
    }
}

pub(super) fn of_algorithm(algorithm: CryptographicAlgorithm) -> Option<Hmac> {
    Some(match algorithm {
        CryptographicAlgorithm::HmacSha1 => Hmac::Sha1,
        CryptographicAlgorithm::HmacSha224 => Hmac::Sha224,
        CryptographicAlgorithm::HmacSha256 => Hmac::Sha256,
        CryptographicAlgorithm::HmacSha384 => Hmac::Sha384,
        CryptographicAlgorithm::HmacSha512 => Hmac::Sha512,
        _ => return None,
    })
}

pub(super) fn of_hash(hash: HashingAlgorithm) -> Option<Hmac> {
    Some(match hash {
        HashingAlgorithm::Sha1 => Hmac::Sha1,
        HashingAlgorithm::Sha224 => Hmac::Sha224,
        HashingAlgorithm::Sha256 => Hmac::Sha256,
        HashingAlgorithm::Sha384 => Hmac::Sha384,
        HashingAlgorithm::Sha512 => Hmac::Sha512,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use custody::object::State;

    use super::*;

    #[test]
    fn the_request_then_the_key_say_which_mac() {
        let key = |algorithm| ObjectMeta { algorithm: Some(algorithm), ..ObjectMeta::new(2, State::Active, true) };
        let named =
            |algorithm: Option<CryptographicAlgorithm>, hash: Option<HashingAlgorithm>| CryptographicParameters {
                cryptographic_algorithm: algorithm,
                hashing_algorithm: hash,
                ..CryptographicParameters::default()
            };
        let (aes, hmac_512) = (CryptographicAlgorithm::Aes.code(), CryptographicAlgorithm::HmacSha512.code());
        let sha_256 = named(Some(CryptographicAlgorithm::HmacSha256), None);
        assert_eq!(hmac(&key(hmac_512), Some(&sha_256)), Ok(Hmac::Sha256));
        assert_eq!(hmac(&key(hmac_512), None), Ok(Hmac::Sha512));
        assert_eq!(hmac(&key(aes), Some(&named(None, Some(HashingAlgorithm::Sha384)))), Ok(Hmac::Sha384));
        let own = custody::object::Parameters { algorithm: Some(9), ..Default::default() };
        assert_eq!(hmac(&ObjectMeta { parameters: vec![own].into(), ..key(aes) }, None), Ok(Hmac::Sha256));
        let reason = |outcome: Outcome<Hmac>| outcome.err().map(|failure| failure.reason);
        assert_eq!(reason(hmac(&key(aes), None)), Some(ResultReason::InvalidField));
        let md5 = named(None, Some(HashingAlgorithm::Md5));
        assert_eq!(reason(hmac(&key(aes), Some(&md5))), Some(ResultReason::FeatureNotSupported));
        let secret = ObjectMeta { object_type: 7, ..key(aes) };
        assert_eq!(reason(hmac(&secret, Some(&sha_256))), Some(ResultReason::PermissionDenied));
    }

    #[test]
    fn several_parts_are_refused() {
        assert_eq!(in_one_part(None, None, None), Ok(()));
        assert_eq!(in_one_part(None, Some(true), Some(true)), Ok(()));
        for streams in [
            in_one_part(Some(b"x"), None, None),
            in_one_part(None, Some(true), None),
            in_one_part(None, None, Some(true)),
        ] {
            assert_eq!(streams.err().map(|failure| failure.reason), Some(ResultReason::FeatureNotSupported));
        }
    }
}
