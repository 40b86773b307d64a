//! Decrypt (KMIP 1.4 §4.30): takes back what Encrypt gave.
//!
//! Before 1.4 a request has no field for the authentication tag; there the last 16 bytes of Data are it.

use custody::{dek::Mode, key_table::Purpose, names::Epoch};
use kmip::{
    ProtocolVersion,
    ops::{Answer, decrypt},
    tables::UsageMask,
};
use zeroize::Zeroizing;

use super::{
    Allowed, Done, Turn,
    encrypt::{TAG_BYTES, mode, single_part},
};
use crate::{
    lifecycle,
    refusal::{self, Outcome, invalid_field},
};

pub(super) async fn perform(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &decrypt::Request<'_>,
) -> Outcome<Done> {
    let streams =
        request.correlation_value.is_some() || request.init_indicator.is_some() || request.final_indicator.is_some();
    let data = single_part(streams, request.data)?;
    let iv = request
        .iv_counter_nonce
        .ok_or_else(|| invalid_field("IV/Counter/Nonce is missing; send what Encrypt returned"))?;
    let (now_s, version) = (turn.now_s, turn.version);
    let (text, epoch) = turn
        .with_key(object, Purpose::Process, |borrow| -> Outcome<(Zeroizing<Vec<u8>>, Epoch)> {
            let meta = borrow.meta().ok_or_else(refusal::not_found)?;
            lifecycle::may_process(meta, UsageMask::DECRYPT, now_s)?;
            let mode = mode(meta, request.cryptographic_parameters.as_ref())?;
            let (sealed, tag) = split_tag(mode, data, request.authentication_tag, version);
            let text = borrow.decrypt(mode, iv, request.additional_data.unwrap_or_default(), sealed, tag);
            let text = text.map_err(|error| refusal::of_custody(&error))?;
            let epoch = borrow.epoch();
            Ok((borrow.finish(text).map_err(refusal::of_stop)?, epoch))
        })
        .await?;
    turn.success(&Answer::Decrypt(decrypt::Answer {
        unique_identifier: &object.text,
        data: Some(&text),
        correlation_value: None,
    }));
    Ok(Done { epoch })
}

/// Ciphertext and tag. What is too short to hold a tag has none, and fails in the cipher.
fn split_tag<'a>(
    mode: Mode,
    data: &'a [u8],
    tag: Option<&'a [u8]>,
    version: ProtocolVersion,
) -> (&'a [u8], Option<&'a [u8]>) {
    if mode != Mode::Gcm || tag.is_some() || version.knows(ProtocolVersion::V1_4) {
        return (data, tag);
    }
    let tag_bytes = usize::try_from(TAG_BYTES).unwrap_or_default();
    match data.len().checked_sub(tag_bytes).and_then(|at| data.split_at_checked(at)) {
        Some((sealed, tag)) => (sealed, Some(tag)),
        None => (data, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_stands_in_its_field_or_at_the_end() {
        let data = [7; 20];
        let (old, new) = (ProtocolVersion::V1_2, ProtocolVersion::V1_4);
        assert_eq!(split_tag(Mode::Gcm, &data, None, old), (&data[..4], Some(&data[4..])));
        assert_eq!(split_tag(Mode::Gcm, &data, None, new), (&data[..], None));
        assert_eq!(split_tag(Mode::Gcm, &data, Some(b"tag"), new), (&data[..], Some(&b"tag"[..])));
        assert_eq!(split_tag(Mode::Gcm, &data[..15], None, old), (&data[..15], None));
        assert_eq!(split_tag(Mode::CbcPkcs5, &data, None, old), (&data[..], None));
    }
}
