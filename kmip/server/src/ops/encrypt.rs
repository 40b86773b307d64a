//! Encrypt (KMIP 1.4 §4.29): AES in GCM, and in ECB, CBC, CTR, CFB and OFB, in one part or in several; RSA-OAEP in one.
//!
//! Without an IV in the request the server draws one and returns it, whether or not Random IV asks for it: a nonce of the server's
//! is never worse. Before 1.4 an answer has no field for the authentication tag; there it follows the ciphertext within Data.

use custody::{
    dek::{Encrypted, Iv, Mode, Padding},
    key_table::{Borrow, Pending},
    object::ObjectMeta,
};
use kmip::{
    ProtocolVersion,
    ops::{Answer, encrypt},
    tables::{ObjectType, UsageMask},
};

use super::{
    Allowed, Done, Turn, Used,
    cipher::{self, data_of},
    rsa,
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
    let iv = request.iv_counter_nonce;
    let additional = request.additional_data.unwrap_or_default();
    let parameters = request.cryptographic_parameters.as_ref();
    let seal = |borrow: &Borrow, meta: &ObjectMeta| {
        if meta.object_type == ObjectType::PublicKey.code() {
            return by_rsa(borrow, meta, request, data).map(|sealed| (None, sealed));
        }
        let cipher = cipher::cipher(meta, parameters)?;
        let sealed = borrow.encrypt(cipher.mode, iv, additional, data);
        Ok((Some(cipher.tag_bytes), sealed.map_err(|error| refusal::of_custody(&error))?))
    };
    let Used { found: tag_bytes, given: sealed, limits, epoch } =
        turn.protect(object, UsageMask::ENCRYPT, seal).await?;
    turn.spend(object, limits, data.len(), true).await?;
    answer(turn, object, Given { sealed: &sealed, tag_bytes, correlation: None });
    sealed.give_back();
    Ok(Done { epoch })
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
    let appended = tag.filter(|_| !turn.version.knows(ProtocolVersion::V1_4)).map(|tag| [data, tag].concat());
    turn.success(&Answer::Encrypt(encrypt::Answer {
        unique_identifier: &object.text,
        data: Some(appended.as_deref().unwrap_or(data)),
        iv_counter_nonce: sealed.drawn.as_ref().map(Iv::as_slice),
        correlation_value: correlation.as_ref().map(<[u8; 16]>::as_slice),
        authentication_tag: tag,
    }));
}
