//! Sign and Signature Verify (KMIP 1.4 §4.31, §4.32): RSA with PSS and PKCS #1 v1.5, in one part.

use custody::{key_table::Purpose, names::Epoch, object::UsageLimits, rsa::Signed};
use kmip::{
    ResultReason,
    ops::{Answer, sign, signature_verify},
    tables::{UsageMask, ValidityIndicator},
};

use super::{Allowed, Done, Turn, cipher::data_of, mac::in_one_part, rsa};
use crate::{
    lifecycle,
    refusal::{self, Outcome, fail, invalid_field},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: &sign::Request<'_>) -> Outcome<Done> {
    in_one_part(request.correlation_value, request.init_indicator, request.final_indicator)?;
    let (now_s, signed) = (turn.now_s, signed_of(request.data, request.digested_data)?);
    let (signature, limits, epoch) = turn
        .with_key(object, Purpose::Protect, |borrow| -> Outcome<(Vec<u8>, Option<UsageLimits>, Epoch)> {
            let meta = borrow.meta().ok_or_else(refusal::not_found)?;
            lifecycle::may_protect(meta, UsageMask::SIGN, now_s)?;
            let scheme = rsa::signing(meta, request.cryptographic_parameters.as_ref())?;
            let signature = borrow.sign(scheme, signed).map_err(|error| refusal::of_custody(&error))?;
            let (limits, epoch) = (meta.usage_limits, borrow.epoch());
            Ok((borrow.finish(signature).map_err(refusal::of_stop)?, limits, epoch))
        })
        .await?;
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
    let (now_s, signed) = (turn.now_s, signed_of(request.data, request.digested_data)?);
    let missing = || fail(ResultReason::InvalidMessage, "Signature Data is missing");
    let claimed = request.signature_data.ok_or_else(missing)?;
    let (valid, epoch) = turn
        .with_key(object, Purpose::Process, |borrow| -> Outcome<(bool, Epoch)> {
            let meta = borrow.meta().ok_or_else(refusal::not_found)?;
            lifecycle::may_process(meta, UsageMask::VERIFY, now_s)?;
            let schemes = rsa::verifying(meta, request.cryptographic_parameters.as_ref())?;
            let valid = borrow.verify(&schemes, signed, claimed).map_err(|error| refusal::of_custody(&error))?;
            let epoch = borrow.epoch();
            Ok((borrow.finish(valid).map_err(refusal::of_stop)?, epoch))
        })
        .await?;
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
