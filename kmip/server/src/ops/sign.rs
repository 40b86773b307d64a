//! Sign and Signature Verify (KMIP 1.4 §4.31, §4.32): RSA with PSS and PKCS #1 v1.5, in one part.

use custody::{key_table::Borrow, object::ObjectMeta, rsa::Signed};
use kmip::{
    ResultReason,
    ops::{Answer, sign, signature_verify},
    tables::{UsageMask, ValidityIndicator},
};

use super::{Allowed, Done, Turn, Used, cipher::data_of, mac::in_one_part, rsa};
use crate::refusal::{self, Outcome, fail, invalid_field};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: &sign::Request<'_>) -> Outcome<Done> {
    in_one_part(request.correlation_value, request.init_indicator, request.final_indicator)?;
    let signed = signed_of(request.data, request.digested_data)?;
    let made = |borrow: &Borrow, meta: &ObjectMeta| {
        let scheme = rsa::signing(meta, request.cryptographic_parameters.as_ref())?;
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
        let schemes = rsa::verifying(meta, request.cryptographic_parameters.as_ref())?;
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

fn signed_of<'a>(data: Option<&'a [u8]>, digested: Option<&'a [u8]>) -> Outcome<Signed<'a>> {
    match (data, digested) {
        (Some(_), Some(_)) => Err(invalid_field("Data and Digested Data are both given; one of them is signed")),
        (None, Some(digest)) => Ok(Signed::Digest(digest)),
        (data, None) => data_of(data).map(Signed::Data),
    }
}
