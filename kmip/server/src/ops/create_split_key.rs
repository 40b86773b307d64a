//! Create Split Key (KMIP 1.4 §4.38): a new symmetric key, or a key or secret data that is here, as parts that are objects each.
//!
//! What a key may, its parts may: algorithm, length and usage mask are the key's, and a part is Sensitive as the key is, so that nobody
//! gets by its parts what Get refuses. A key that is not Extractable is not split at all: its bytes never leave the vault.

use custody::{
    key_table::Purpose,
    keyring::New,
    object::{ObjectMeta, Split, State, digest_of},
    split::{self, Method, PARTS_MAX},
    vault::Expose,
};
use kmip::{
    ResultReason,
    message::Failure,
    ops::{Answer, create_split_key},
    tables::{KeyFormatType, ObjectType, SplitKeyMethod},
};
use policy::{Operation, Permitted};
use zeroize::Zeroizing;

use super::{Allowed, Turn, create, store::new_id, unwrapped};
use crate::{
    attributes::{self, generator},
    lifecycle,
    refusal::{self, Outcome, denied, fail, invalid_field, unsupported},
};

/// What the answer takes for each part: a Unique Identifier with its head.
const ID_BYTES: usize = 48;

const SPLIT: Expose = Expose::because("a key is split into parts that are objects of their own");

pub(super) async fn perform(turn: &mut Turn<'_, '_>, request: create_split_key::Request<'_>) -> Outcome<()> {
    if !matches!(request.object_type, ObjectType::SplitKey | ObjectType::SymmetricKey) {
        return Err(invalid_field(format!("Create Split Key makes Split Keys, not a {}", request.object_type)));
    }
    let shape = shape(turn, &request)?;
    let mut meta = attributes::meta_of(ObjectType::SplitKey, &request.template_attribute, turn.now_s)?;
    if !meta.names.is_empty() || meta.usage_limits.is_some() {
        return Err(invalid_field(
            "a Name or Usage Limits for all parts at once; they are of one object: add them to each part",
        ));
    }
    let key = match request.unique_identifier {
        None => {
            let permitted = turn.system(Operation::CreateSplitKey)?;
            drawn(turn, permitted, &mut meta)?
        }
        Some(id) => {
            let object = turn.object(Operation::CreateSplitKey, Some(id))?;
            of_object(turn, &object, &mut meta).await?
        }
    };
    if !shape.method.takes(key.bytes.len()) {
        return Err(invalid_field("a key of an odd number of bytes is not split in GF(2^16); choose GF(2^8)"));
    }
    let parts = split::split(shape.method, &key.bytes, shape.split.parts, shape.split.threshold);
    let parts = parts.map_err(|error| refusal::of_custody(&error))?;
    let mut new = vec![];
    for (number, bytes) in parts {
        let split = Split { part: u32::from(number), of: key.digest, ..shape.split.clone() };
        let meta = ObjectMeta { split: Some(Box::new(split)), ..meta.clone() };
        new.push(New { object: new_id()?, meta, secret: turn.hold_copy(&bytes)? });
    }
    let ids: Vec<_> = new.iter().map(|one| one.object).collect();
    turn.store_all(new).await?;
    let texts: Vec<_> = ids.iter().map(|id| id.text()).collect();
    // §4.38: the ID Placeholder is that of the first part.
    if let Some(&first) = ids.first() {
        turn.made(first);
    }
    let unique_identifiers = texts.iter().map(|text| &**text).collect();
    turn.success(&Answer::CreateSplitKey(create_split_key::Answer { unique_identifiers, template_attribute: None }));
    Ok(())
}

struct Shape {
    method: Method,
    /// Of the first part.
    split: Split,
}

fn shape(turn: &Turn<'_, '_>, request: &create_split_key::Request<'_>) -> Outcome<Shape> {
    let method = method_of(request.method)?;
    if request.prime_field_size.is_some() {
        return Err(invalid_field("Prime Field Size belongs to Polynomial Sharing Prime Field"));
    }
    let number = |number: i32| u32::try_from(number).ok().filter(|number| (1..=PARTS_MAX).contains(number));
    let (Some(parts), Some(threshold)) = (number(request.parts), number(request.threshold)) else {
        return Err(invalid_field(format!("Split Key Parts and Split Key Threshold are 1 to {PARTS_MAX} here")));
    };
    if threshold > parts || method == Method::Xor && threshold != parts {
        return Err(invalid_field(
            "Split Key Threshold is at most Split Key Parts, and with XOR, where all parts are needed, the same",
        ));
    }
    if turn.room < ID_BYTES * ids(parts) {
        let message = "the answer, a Unique Identifier for each part, would be longer than the client takes; raise Maximum \
                       Response Size, or make fewer parts";
        return Err(fail(ResultReason::ResponseTooLarge, message));
    }
    let split = Split { parts, part: 1, threshold, method: request.method.code(), prime_field_size: None, of: None };
    Ok(Shape { method, split })
}

fn ids(parts: u32) -> usize {
    usize::try_from(parts).unwrap_or(usize::MAX)
}

/// The methods that are offered.
pub(super) fn method_of(method: SplitKeyMethod) -> Outcome<Method> {
    match method {
        SplitKeyMethod::Xor => Ok(Method::Xor),
        SplitKeyMethod::PolynomialSharingGf2To8 => Ok(Method::Gf2To8),
        SplitKeyMethod::PolynomialSharingGf2To16 => Ok(Method::Gf2To16),
        // §11.39, §11.40.
        other @ SplitKeyMethod::PolynomialSharingPrimeField => Err(invalid_field(format!(
            "the Split Key Method {other} is not supported; XOR and Polynomial Sharing GF (2^8) and GF (2^16) are"
        ))),
    }
}

struct Key {
    bytes: Zeroizing<Vec<u8>>,
    /// By which the parts are known to make it again.
    digest: Option<orbital::names::Digest>,
}

/// A new key, as Create draws it.
fn drawn(turn: &Turn<'_, '_>, _: Permitted, meta: &mut ObjectMeta) -> Outcome<Key> {
    generator::check(meta.rng)?;
    meta.rng = Some(generator::OURS);
    let (length, draw) = create::drawn(meta)?;
    turn.put_off_if_cold()?;
    let mut bytes = Zeroizing::new(vec![0; length]);
    draw(&mut bytes).map_err(|error| refusal::of_custody(&error))?;
    meta.key_format = Some(KeyFormatType::Raw.code());
    meta.dates.original_creation = Some(turn.now_s);
    let digest = digest_of(&ObjectMeta { object_type: ObjectType::SymmetricKey.code(), ..meta.clone() }, &bytes);
    Ok(Key { bytes, digest })
}

/// A key that is here. "If the attributes supplied in the request do not match those of the key supplied, the attributes of the key take
/// precedence."
async fn of_object(turn: &Turn<'_, '_>, object: &Allowed, meta: &mut ObjectMeta) -> Outcome<Key> {
    let splits = |key: &ObjectMeta| may_be_split(key, turn.now_s).map(|()| key.clone());
    let (key, bytes) = turn.exported(object, Purpose::Protect, SPLIT, splits).await?;
    (meta.algorithm, meta.length_bits, meta.usage_mask) = (key.algorithm, key.length_bits, key.usage_mask);
    (meta.rng, meta.secret_kind) = (key.rng, key.secret_kind);
    meta.dates.original_creation = key.dates.original_creation.or(Some(turn.now_s));
    meta.key_format = Some(KeyFormatType::Raw.code());
    restrict(meta, &key);
    let digest = if key.key_format == Some(KeyFormatType::Raw.code()) { key.digest } else { None };
    Ok(Key { bytes, digest })
}

fn may_be_split(key: &ObjectMeta, now_s: i64) -> Outcome<()> {
    unwrapped(key)?;
    if !matches!(ObjectType::from_code(key.object_type), Some(ObjectType::SymmetricKey | ObjectType::SecretData)) {
        return Err(unsupported("to split another object than a Symmetric Key or Secret Data"));
    }
    if key.usage_limits.is_some() {
        return Err(denied("the key has Usage Limits, which its parts could not hold"));
    }
    takes_part(key, now_s)
}

/// Extractable, and neither revoked nor destroyed.
pub(super) fn takes_part(meta: &ObjectMeta, now_s: i64) -> Outcome<()> {
    if !meta.extractable || !meta.exportable {
        return Err(fail(
            ResultReason::NotExtractable,
            "the object is not Extractable: it is neither split nor joined",
        ));
    }
    match lifecycle::state_at(meta, now_s) {
        State::PreActive | State::Active => Ok(()),
        state => Err(not_in_use(state)),
    }
}

fn not_in_use(state: State) -> Failure {
    denied(format!(
        "the object is {}; keys are split and joined while they are Pre-Active or Active",
        lifecycle::wire_state(state)
    ))
}

/// Whatever is made of `from` leaves no more freely than that did.
pub(super) fn restrict(meta: &mut ObjectMeta, from: &ObjectMeta) {
    meta.sensitive |= from.sensitive;
    meta.always_sensitive = meta.sensitive && from.always_sensitive;
}
