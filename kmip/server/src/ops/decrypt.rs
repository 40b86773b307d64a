//! Decrypt (KMIP 1.4 §4.30): takes back what Encrypt gave, in one part or, what AES encrypted, in several.
//!
//! Before 1.4 a request has no field for the authentication tag; there the last bytes of Data are it.

use custody::{
    dek::Mode,
    key_table::{Borrow, Pending, Purpose},
    names::Epoch,
    object::ObjectMeta,
};
use kmip::{
    ProtocolVersion, ResultReason,
    ops::{Answer, decrypt, in_place},
    tables::{ObjectType, UsageMask},
};
use zeroize::Zeroizing;

use super::{
    Allowed, Done, Turn,
    cipher::{self, Cipher, data_of},
    rsa,
    usable::usable,
};
use crate::{
    correlation::Correlation,
    lifecycle,
    refusal::{self, Outcome, fail, invalid_field},
    streams::{Direction, Part, Stream},
};

pub(super) async fn perform(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &decrypt::Request<'_>,
) -> Outcome<Done> {
    match Part::of(request.init_indicator, request.correlation_value, request.final_indicator)? {
        Part::Whole => {
            let sealed = Sealed {
                cipher: None,
                iv: request.iv_counter_nonce,
                additional: request.additional_data.unwrap_or_default(),
                data: data_of(request.data)?,
            };
            opened(turn, object, request, &sealed).await
        }
        Part::First => first(turn, object, request).await,
        Part::Middle(correlation) => next(turn, object, request, correlation).await,
        Part::Last(correlation) => last(turn, object, request, correlation).await,
    }
}

/// What is to be decrypted, from one request or from the parts of a stream.
struct Sealed<'a> {
    /// None: as the request says.
    cipher: Option<Cipher>,
    iv: Option<&'a [u8]>,
    additional: &'a [u8],
    data: &'a [u8],
}

/// The key may, and these parameters name a cipher.
async fn settled(turn: &Turn<'_, '_>, object: &Allowed, request: &decrypt::Request<'_>) -> Outcome<(Cipher, Epoch)> {
    let now_s = turn.now_s;
    turn.with_key(object, Purpose::Process, |borrow| {
        let meta = borrow.meta().ok_or_else(refusal::not_found)?;
        lifecycle::may_process(meta, UsageMask::DECRYPT, now_s)?;
        let cipher = cipher::cipher(meta, request.cryptographic_parameters.as_ref())?;
        check_iv(cipher, request.iv_counter_nonce)?;
        Ok((cipher, borrow.epoch()))
    })
    .await
}

/// Decrypts, and writes the answer.
async fn opened(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &decrypt::Request<'_>,
    sealed: &Sealed<'_>,
) -> Outcome<Done> {
    let borrow = turn.borrowed(object, Purpose::Process).await?;
    open(turn, object, request, sealed, borrow)
}

/// What AES decrypts, straight into the answer.
fn open(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &decrypt::Request<'_>,
    sealed: &Sealed<'_>,
    borrow: Borrow,
) -> Outcome<Done> {
    let meta = usable(&borrow, UsageMask::DECRYPT, turn.now_s)?;
    let epoch = borrow.epoch();
    if sealed.cipher.is_none() && meta.object_type == ObjectType::PrivateKey.code() {
        let text = by_rsa(&borrow, meta, request, sealed.data)?;
        let text = borrow.finish(text).map_err(refusal::of_stop)?;
        answer(turn, object, Some(&text), None);
        return Ok(Done { epoch });
    }
    let named = || cipher::cipher(meta, request.cryptographic_parameters.as_ref());
    let cipher = sealed.cipher.map_or_else(named, Ok)?;
    check_iv(cipher, sealed.iv)?;
    let (data, tag) = split_tag(cipher, sealed.data, request.authentication_tag, turn.version);
    turn.writer.success_with(turn.head, |writer| {
        in_place::data(writer, &object.text, cipher.mode.room(data.len()), |place| {
            let text = borrow.decrypt_into(cipher.mode, sealed.iv, sealed.additional, data, tag, place);
            let bytes = borrow.finish(text.map_err(|error| refusal::of_custody(&error))?).map_err(refusal::of_stop)?;
            Ok((bytes, Done { epoch }))
        })
    })
}

fn by_rsa(
    borrow: &Borrow,
    meta: &ObjectMeta,
    request: &decrypt::Request<'_>,
    data: &[u8],
) -> Outcome<Pending<Zeroizing<Vec<u8>>>> {
    if request.iv_counter_nonce.is_some() || request.additional_data.is_some() || request.authentication_tag.is_some() {
        return Err(invalid_field("RSA-OAEP has no IV, no additional data and no tag; its label is P Source"));
    }
    let oaep = rsa::oaep(meta, request.cryptographic_parameters.as_ref())?;
    borrow.rsa_decrypt(oaep.hash, &oaep.label, data).map_err(|error| refusal::of_custody(&error))
}

/// Nothing leaves before the last part: until then neither tag nor padding has been seen.
async fn first(turn: &mut Turn<'_, '_>, object: &Allowed, request: &decrypt::Request<'_>) -> Outcome<Done> {
    let (cipher, epoch) = settled(turn, object, request).await?;
    let owner = turn.stream_owner(object, Direction::Decrypt)?;
    let additional = request.additional_data.unwrap_or_default();
    let mut stream = Stream::new(owner, cipher.mode, cipher.tag_bytes, request.iv_counter_nonce, additional);
    stream.add(request.data.unwrap_or_default())?;
    let name = turn.server.streams().keep(None, stream, turn.now_s)?;
    answer(turn, object, None, Some(name));
    Ok(Done { epoch })
}

async fn next(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &decrypt::Request<'_>,
    correlation: &[u8],
) -> Outcome<Done> {
    let (name, stream) = taken(turn, object, request, correlation)?;
    let now_s = turn.now_s;
    let epoch = turn
        .with_key(object, Purpose::Process, |borrow| {
            let meta = borrow.meta().ok_or_else(refusal::not_found)?;
            lifecycle::may_process(meta, UsageMask::DECRYPT, now_s).map(|()| borrow.epoch())
        })
        .await?;
    turn.server.streams().keep(Some(name), stream, now_s)?;
    answer(turn, object, None, Some(name));
    Ok(Done { epoch })
}

async fn last(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &decrypt::Request<'_>,
    correlation: &[u8],
) -> Outcome<Done> {
    let (_, stream) = taken(turn, object, request, correlation)?;
    let sealed = Sealed {
        cipher: Some(Cipher { mode: stream.mode, tag_bytes: stream.tag_bytes }),
        iv: stream.iv.as_deref(),
        additional: &stream.additional,
        data: &stream.data,
    };
    opened(turn, object, request, &sealed).await
}

/// The stream with this part's data.
fn taken(
    turn: &Turn<'_, '_>,
    object: &Allowed,
    request: &decrypt::Request<'_>,
    correlation: &[u8],
) -> Outcome<(Correlation, Stream)> {
    if request.iv_counter_nonce.is_some() || request.additional_data.is_some() {
        return Err(invalid_field("IV and additional data belong to the first part (Init Indicator)"));
    }
    let owner = turn.stream_owner(object, Direction::Decrypt)?;
    let (name, mut stream) = turn.server.streams().take(correlation, &owner, turn.now_s)?;
    stream.add(request.data.unwrap_or_default())?;
    Ok((name, stream))
}

fn answer(turn: &mut Turn<'_, '_>, object: &Allowed, text: Option<&[u8]>, correlation: Option<Correlation>) {
    turn.success(&Answer::Decrypt(decrypt::Answer {
        unique_identifier: &object.text,
        data: text,
        correlation_value: correlation.as_ref().map(<[u8; 16]>::as_slice),
    }));
}

fn check_iv(cipher: Cipher, iv: Option<&[u8]>) -> Outcome<()> {
    if cipher.mode.needs_iv() && iv.is_none() {
        return Err(fail(ResultReason::InvalidMessage, "IV/Counter/Nonce is missing; send what Encrypt returned"));
    }
    Ok(())
}

/// Ciphertext and tag. What is too short to hold a tag has none, and fails in the cipher.
fn split_tag<'a>(
    cipher: Cipher,
    data: &'a [u8],
    tag: Option<&'a [u8]>,
    version: ProtocolVersion,
) -> (&'a [u8], Option<&'a [u8]>) {
    if cipher.mode != Mode::Gcm || tag.is_some() || version.knows(ProtocolVersion::V1_4) {
        return (data, tag);
    }
    match data.len().checked_sub(cipher.tag_bytes).and_then(|at| data.split_at_checked(at)) {
        Some((sealed, tag)) => (sealed, Some(tag)),
        None => (data, None),
    }
}

#[cfg(test)]
mod tests {
    use custody::dek::{Block, Chaining, Padding};

    use super::*;

    #[test]
    fn the_tag_stands_in_its_field_or_at_the_end() {
        let data = [7; 20];
        let (old, new) = (ProtocolVersion::V1_2, ProtocolVersion::V1_4);
        let gcm = Cipher { mode: Mode::Gcm, tag_bytes: 16 };
        assert_eq!(split_tag(gcm, &data, None, old), (&data[..4], Some(&data[4..])));
        assert_eq!(split_tag(Cipher { tag_bytes: 12, ..gcm }, &data, None, old), (&data[..8], Some(&data[8..])));
        assert_eq!(split_tag(gcm, &data, None, new), (&data[..], None));
        assert_eq!(split_tag(gcm, &data, Some(b"tag"), new), (&data[..], Some(&b"tag"[..])));
        assert_eq!(split_tag(gcm, &data[..15], None, old), (&data[..15], None));
        let cbc = Mode::Block(Block { chaining: Chaining::Cbc, padding: Padding::Pkcs5 });
        assert_eq!(split_tag(Cipher { mode: cbc, ..gcm }, &data, None, old), (&data[..], None));
    }
}
