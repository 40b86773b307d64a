//! Encrypt (KMIP 1.4 §4.29): AES in GCM, and in ECB, CBC, CTR, CFB and OFB, in one part or in several; RSA-OAEP in one.
//!
//! Without an IV in the request the server draws one and returns it, whether or not Random IV asks for it: a nonce of the server's
//! is never worse. Before 1.4 an answer has no field for the authentication tag; there it follows the ciphertext within Data.

use custody::{
    dek::{Encrypted, Iv, Mode, Padding},
    key_table::{Borrow, Pending, Purpose},
    names::Epoch,
    object::{ObjectMeta, UsageLimits},
};
use kmip::{
    ProtocolVersion,
    ops::{Answer, encrypt, in_place},
    tables::{ObjectType, UsageMask},
    ttlv::Record,
};

use super::{
    Allowed, Done, Turn, Used,
    cipher::{self, Cipher, data_of},
    rsa,
    usable::usable,
};
use crate::{
    correlation::Correlation,
    refusal::{self, Outcome, invalid_field},
    streams::{Direction, Part, Stream},
};

pub(super) async fn perform(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &encrypt::Request<'_>,
) -> Outcome<Done> {
    match Part::of(request.init_indicator, request.correlation_value, request.final_indicator)? {
        Part::Whole => whole(turn, object, request).await,
        Part::First => first(turn, object, request).await,
        Part::Middle(correlation) => next(turn, object, request, correlation, false).await,
        Part::Last(correlation) => next(turn, object, request, correlation, true).await,
    }
}

async fn whole(turn: &mut Turn<'_, '_>, object: &Allowed, request: &encrypt::Request<'_>) -> Outcome<Done> {
    let data = data_of(request.data)?;
    let mark = turn.writer.mark();
    let borrow = turn.borrowed(object, Purpose::Protect).await?;
    let (limits, epoch) = seal(turn, object, request, data, borrow)?;
    let spent = turn.spend(object, limits, data.len(), true).await;
    spent.inspect_err(|_| turn.writer.take_back(mark))?;
    Ok(Done { epoch })
}

/// Encrypts, and writes the answer: what AES encrypts, straight into it.
fn seal(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &encrypt::Request<'_>,
    data: &[u8],
    borrow: Borrow,
) -> Outcome<(Option<UsageLimits>, Epoch)> {
    let meta = usable(&borrow, UsageMask::ENCRYPT, turn.now_s)?;
    let (limits, epoch) = (meta.usage_limits, borrow.epoch());
    if meta.object_type == ObjectType::PublicKey.code() {
        let sealed = by_rsa(&borrow, meta, request, data)?;
        let sealed = borrow.finish(sealed).map_err(refusal::of_stop)?;
        answer(turn, object, Given { sealed: &sealed, tag_bytes: None, correlation: None });
        return Ok((limits, epoch));
    }
    let Cipher { mode, tag_bytes } = cipher::cipher(meta, request.cryptographic_parameters.as_ref())?;
    let additional = request.additional_data.unwrap_or_default();
    let behind = if has_tag_field(turn.version) || mode != Mode::Gcm { 0 } else { tag_bytes };
    let room = mode.room(data.len());
    let fill = |place: &mut [u8]| -> Outcome<_> {
        let (place, tag_place) = place.split_at_mut_checked(room).unwrap_or_default();
        let sealed = borrow.encrypt_into(mode, request.iv_counter_nonce, additional, data, place);
        let sealed = borrow.finish(sealed.map_err(|error| refusal::of_custody(&error))?).map_err(refusal::of_stop)?;
        let tag = sealed.tag.iter().flatten();
        tag_place.iter_mut().zip(tag).for_each(|(place, byte)| *place = *byte);
        Ok((sealed.bytes + behind, sealed))
    };
    turn.writer.success_with(turn.head, |writer| -> Outcome<_> {
        let sealed = in_place::data(writer, &object.text, room + behind, fill)?;
        let tail = in_place::Encrypted {
            iv_counter_nonce: sealed.drawn.as_ref().map(Iv::as_slice),
            authentication_tag: sealed.tag.as_ref().and_then(|tag| tag.get(..tag_bytes)),
        };
        tail.write_fields(writer);
        Ok((limits, epoch))
    })
}

fn by_rsa(
    borrow: &Borrow,
    meta: &ObjectMeta,
    request: &encrypt::Request<'_>,
    data: &[u8],
) -> Outcome<Pending<Encrypted>> {
    if request.iv_counter_nonce.is_some() || request.additional_data.is_some() {
        return Err(invalid_field("RSA-OAEP has no IV and no additional data; its label is P Source"));
    }
    let oaep = rsa::oaep(meta, request.cryptographic_parameters.as_ref())?;
    borrow.rsa_encrypt(oaep.hash, &oaep.label, data).map_err(|error| refusal::of_custody(&error))
}

async fn first(turn: &mut Turn<'_, '_>, object: &Allowed, request: &encrypt::Request<'_>) -> Outcome<Done> {
    let (iv, additional) = (request.iv_counter_nonce, request.additional_data.unwrap_or_default());
    // Settles mode and IV before anything is kept: an encryption of nothing.
    let nothing = |borrow: &Borrow, meta: &ObjectMeta| {
        let cipher = cipher::cipher(meta, request.cryptographic_parameters.as_ref())?;
        let sealed = borrow.encrypt(open_ended(cipher.mode), iv, additional, b"");
        Ok((cipher, sealed.map_err(|error| refusal::of_custody(&error))?))
    };
    let Used { found: cipher, given: begun, .. } = turn.protect(object, UsageMask::ENCRYPT, nothing).await?;
    let iv = iv.or_else(|| begun.drawn.as_ref().map(Iv::as_slice));
    let owner = turn.stream_owner(object, Direction::Encrypt)?;
    let mut stream = Stream::new(owner, cipher.mode, cipher.tag_bytes, iv, additional);
    let data = request.data.unwrap_or_default();
    stream.add(data)?;
    go_on(turn, object, (None, stream), Added { bytes: data.len(), last: false }, begun.drawn).await
}

async fn next(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &encrypt::Request<'_>,
    correlation: &[u8],
    last: bool,
) -> Outcome<Done> {
    if request.iv_counter_nonce.is_some() || request.additional_data.is_some() {
        return Err(invalid_field("IV and additional data belong to the first part (Init Indicator)"));
    }
    let owner = turn.stream_owner(object, Direction::Encrypt)?;
    let (name, mut stream) = turn.server.streams().take(correlation, &owner, turn.now_s)?;
    let data = request.data.unwrap_or_default();
    stream.add(data)?;
    go_on(turn, object, (Some(name), stream), Added { bytes: data.len(), last }, None).await
}

/// What the part that came adds.
struct Added {
    bytes: usize,
    last: bool,
}

/// Encrypts as much of the stream as is settled, answers what is new of it, and keeps the stream if another part is to come.
async fn go_on(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    (name, mut stream): (Option<Correlation>, Stream),
    Added { bytes, last }: Added,
    drawn: Option<Iv>,
) -> Outcome<Done> {
    let (mode, text) =
        if last { (stream.mode, stream.data.as_slice()) } else { (open_ended(stream.mode), stream.settled()) };
    let seal = |borrow: &Borrow, _: &ObjectMeta| {
        let sealed = borrow.encrypt(mode, stream.iv.as_deref(), &stream.additional, text);
        Ok(((), sealed.map_err(|error| refusal::of_custody(&error))?))
    };
    let Used { given: sealed, limits, epoch, .. } = turn.protect(object, UsageMask::ENCRYPT, seal).await?;
    turn.spend(object, limits, bytes, name.is_none()).await?;
    let fresh = sealed.bytes.get(stream.given..).unwrap_or_default().to_vec();
    let sealed = Encrypted { bytes: fresh, drawn, tag: sealed.tag };
    let (tag_bytes, mut correlation) = (last.then_some(stream.tag_bytes), None);
    if !last {
        stream.given = stream.given.saturating_add(sealed.bytes.len());
        correlation = Some(turn.server.streams().keep(name, stream, turn.now_s)?);
    }
    answer(turn, object, Given { sealed: &sealed, tag_bytes, correlation });
    Ok(Done { epoch })
}

/// The mode for a part that is not the last: padding comes at the end.
fn open_ended(mode: Mode) -> Mode {
    match mode {
        Mode::Gcm => Mode::Gcm,
        Mode::Block(block) => Mode::Block(custody::dek::Block { padding: Padding::None, ..block }),
    }
}

/// Before 1.4, the tag stands behind the ciphertext.
fn has_tag_field(version: ProtocolVersion) -> bool {
    version.knows(ProtocolVersion::V1_4)
}

/// What the client gets.
struct Given<'a> {
    sealed: &'a Encrypted,
    /// None before the last part.
    tag_bytes: Option<usize>,
    correlation: Option<Correlation>,
}

fn answer(turn: &mut Turn<'_, '_>, object: &Allowed, given: Given<'_>) {
    let Given { sealed, tag_bytes, correlation } = given;
    let data = sealed.bytes.as_slice();
    let tag = sealed.tag.as_ref().zip(tag_bytes).and_then(|(tag, bytes)| tag.get(..bytes));
    let appended = tag.filter(|_| !has_tag_field(turn.version)).map(|tag| [data, tag].concat());
    turn.success(&Answer::Encrypt(encrypt::Answer {
        unique_identifier: &object.text,
        data: Some(appended.as_deref().unwrap_or(data)),
        iv_counter_nonce: sealed.drawn.as_ref().map(Iv::as_slice),
        correlation_value: correlation.as_ref().map(<[u8; 16]>::as_slice),
        authentication_tag: tag,
    }));
}
