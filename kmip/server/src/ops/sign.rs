//! Sign and Signature Verify (KMIP 1.4 §4.31, §4.32): RSA with PSS and PKCS #1 v1.5, and ECDSA, in one part.

use custody::{
    key_table::Borrow,
    object::ObjectMeta,
    signature::{Scheme, Signed},
};
use kmip::{
    CryptographicParameters, ResultReason,
    ops::{Answer, sign, signature_verify},
    tables::{ObjectType, UsageMask, ValidityIndicator},
};

use super::{
    Allowed, Done, Turn, Used,
    cipher::data_of,
    ec,
    halves::{Family, Half},
    mac::in_one_part,
    rsa,
};
use crate::refusal::{self, Outcome, denied, fail, invalid_field};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: &sign::Request<'_>) -> Outcome<Done> {
    in_one_part(request.correlation_value, request.init_indicator, request.final_indicator)?;
    let signed = signed_of(request.data, request.digested_data)?;
    let made = |borrow: &Borrow, meta: &ObjectMeta| {
        let scheme = signing(meta, request.cryptographic_parameters.as_ref())?;
        borrow.sign(scheme, signed).map(|signature| ((), signature)).map_err(|error| refusal::of_custody(&error))
    };
    let Used { given: signature, limits, epoch, .. } = turn.protect(object, UsageMask::SIGN, made).await?;
    let (Signed::Data(bytes) | Signed::Digest(bytes)) = signed;
    turn.spend(object, limits, bytes.len(), true).await?;
    turn.success(&Answer::Sign(sign::Answer {
        unique_identifier: &object.text,
        signature_data: Some(&signature),
        correlation_value: None,
    }));
    Ok(Done { epoch })
}

pub(super) async fn verify(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &signature_verify::Request<'_>,
) -> Outcome<Done> {
    in_one_part(request.correlation_value, request.init_indicator, request.final_indicator)?;
    let signed = signed_of(request.data, request.digested_data)?;
    let missing = || fail(ResultReason::InvalidMessage, "Signature Data is missing");
    let claimed = request.signature_data.ok_or_else(missing)?;
    let verified = |borrow: &Borrow, meta: &ObjectMeta| {
        let schemes = verifying(meta, request.cryptographic_parameters.as_ref())?;
        borrow.verify(&schemes, signed, claimed).map(|valid| ((), valid)).map_err(|error| refusal::of_custody(&error))
    };
    let Used { given: valid, epoch, .. } = turn.process(object, UsageMask::VERIFY, verified).await?;
    let validity_indicator = if valid { ValidityIndicator::Valid } else { ValidityIndicator::Invalid };
    turn.success(&Answer::SignatureVerify(signature_verify::Answer {
        unique_identifier: &object.text,
        validity_indicator,
        data: None,
        correlation_value: None,
    }));
    Ok(Done { epoch })
}

/// The scheme of a new signature.
pub(super) fn signing(meta: &ObjectMeta, asked: Option<&CryptographicParameters>) -> Outcome<Scheme> {
    match family(meta, ObjectType::PrivateKey, "Sign")? {
        Family::Rsa => rsa::signing(meta, asked),
        Family::Ec => ec::scheme(meta, asked).and_then(|scheme| {
            let legacy = || refusal::unsupported("a new signature with SHA-1; SHA-256, SHA-384 and SHA-512 are");
            scheme.signs().then_some(scheme).ok_or_else(legacy)
        }),
    }
}

/// The schemes under any of which a signature is valid.
pub(super) fn verifying(meta: &ObjectMeta, asked: Option<&CryptographicParameters>) -> Outcome<Vec<Scheme>> {
    match family(meta, ObjectType::PublicKey, "Signature Verify")? {
        Family::Rsa => rsa::verifying(meta, asked),
        Family::Ec => ec::scheme(meta, asked).map(|scheme| vec![scheme]),
    }
}

fn family(meta: &ObjectMeta, object_type: ObjectType, operation: &str) -> Outcome<Family> {
    let half = Half::of(meta).filter(|_| meta.object_type == object_type.code());
    half.map(|half| half.family).ok_or_else(|| {
        denied(format!("{operation} takes a {object_type} of RSA or of an elliptic curve, and the object is none"))
    })
}

fn signed_of<'a>(data: Option<&'a [u8]>, digested: Option<&'a [u8]>) -> Outcome<Signed<'a>> {
    match (data, digested) {
        (Some(_), Some(_)) => Err(invalid_field("Data and Digested Data are both given; one of them is signed")),
        (None, Some(digest)) => Ok(Signed::Digest(digest)),
        (data, None) => data_of(data).map(Signed::Data),
    }
}

#[cfg(test)]
mod tests {
    use custody::{
        ec::Curve,
        object::State,
        signature::{Hash, Salt},
    };
    use kmip::tables::{CryptographicAlgorithm, HashingAlgorithm, PaddingMethod};

    use super::*;

    fn key(object_type: ObjectType, algorithm: CryptographicAlgorithm, bits: u32) -> ObjectMeta {
        ObjectMeta {
            algorithm: Some(algorithm.code()),
            length_bits: Some(bits),
            ..ObjectMeta::new(object_type.code(), State::Active, true)
        }
    }

    fn reason<T>(outcome: Outcome<T>) -> Option<ResultReason> {
        outcome.err().map(|failure| failure.reason)
    }

    #[test]
    fn each_half_does_its_own_by_its_family() {
        use {CryptographicAlgorithm as A, ObjectType as T};
        let named = CryptographicParameters {
            padding_method: Some(PaddingMethod::Pss),
            hashing_algorithm: Some(HashingAlgorithm::Sha256),
            ..CryptographicParameters::default()
        };
        let pss = Scheme::Pss(Hash::Sha256, Salt::Digest);
        assert_eq!(signing(&key(T::PrivateKey, A::Rsa, 2048), Some(&named)), Ok(pss));
        let named = CryptographicParameters { padding_method: None, ..named };
        let ecdsa = Scheme::Ecdsa(Curve::P384, Hash::Sha256);
        for algorithm in [A::Ec, A::Ecdsa] {
            assert_eq!(signing(&key(T::PrivateKey, algorithm, 384), Some(&named)), Ok(ecdsa));
            assert_eq!(verifying(&key(T::PublicKey, algorithm, 384), Some(&named)), Ok(vec![ecdsa]));
        }
        let denied = Some(ResultReason::PermissionDenied);
        for algorithm in [A::Rsa, A::Ec] {
            assert_eq!(reason(signing(&key(T::PublicKey, algorithm, 384), Some(&named))), denied);
            assert_eq!(reason(verifying(&key(T::PrivateKey, algorithm, 384), Some(&named))), denied);
        }
        for wrong in [key(T::SymmetricKey, A::Aes, 256), key(T::SymmetricKey, A::Rsa, 2048)] {
            assert_eq!(reason(signing(&wrong, Some(&named))), denied);
        }
        assert_eq!(reason(signing(&key(T::PrivateKey, A::Ecdh, 384), Some(&named))), denied);
    }
}
