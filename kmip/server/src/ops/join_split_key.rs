//! Join Split Key (KMIP 1.4 §4.39): parts make the key again.
//!
//! Parts that were made here know the digest of their key, so that wrong parts make none. Parts that were registered do not: whether
//! they belong together shows in their numbers alone.

use custody::{
    Error,
    key_table::Purpose,
    object::{ObjectMeta, Split, digest_of},
    split::{self, PARTS_MAX, Part},
    vault::Expose,
};
use kmip::{
    ResultReason,
    ops::{Answer, join_split_key},
    tables::{KeyFormatType, ObjectType, SecretDataType, SplitKeyMethod},
};
use policy::Operation;

use super::{
    Allowed, Turn,
    create_split_key::{method_of, restrict, takes_part},
    unwrapped,
};
use crate::{
    attributes,
    refusal::{self, Outcome, denied, fail, invalid_field, unsupported},
};

const JOIN: Expose = Expose::because("parts of a key make the key");

/// A part that is here.
struct Found {
    meta: ObjectMeta,
    split: Split,
    part: Part,
}

pub(super) async fn perform(turn: &mut Turn<'_, '_>, request: join_split_key::Request<'_>) -> Outcome<()> {
    if !matches!(request.object_type, ObjectType::SymmetricKey | ObjectType::SecretData) {
        return Err(unsupported(format!("to join a {}; a Symmetric Key and Secret Data are", request.object_type)));
    }
    let mut found = vec![];
    for object in named(turn, &request.unique_identifiers)? {
        found.push(part(turn, &object).await?);
    }
    let first = one_key(&found)?;
    let mut meta =
        attributes::meta_of(request.object_type, &request.template_attribute.unwrap_or_default(), turn.now_s)?;
    describe(&mut meta, request.secret_data_type, &found)?;
    let method = SplitKeyMethod::from_code(first.split.method)
        .ok_or_else(|| invalid_field("a part has a Split Key Method that is not defined"))?;
    let parts: Vec<Part> = found.iter().map(|one| one.part.clone()).collect();
    let key = split::join(method_of(method)?, &parts)
        .ok_or_else(|| invalid_field("two parts have one Key Part Identifier, or parts differ in their length"))?;
    check(&meta, first, &key)?;
    let fill = |slot: &mut [u8]| -> Result<(), Error> {
        slot.copy_from_slice(&key);
        Ok(())
    };
    let id = turn.store(meta, key.len(), fill).await?;
    let unique_identifier = &turn.made(id);
    turn.success(&Answer::JoinSplitKey(join_split_key::Answer { unique_identifier, template_attribute: None }));
    Ok(())
}

/// The objects that the request names; the audit has the first.
fn named(turn: &mut Turn<'_, '_>, ids: &[&str]) -> Outcome<Vec<Allowed>> {
    let (first, others) = match ids {
        [first, others @ ..] if ids.len() <= ids_max() => (first, others),
        _ => return Err(invalid_field(format!("Join Split Key names 1 to {PARTS_MAX} parts, not {}", ids.len()))),
    };
    let mut objects = vec![turn.object(Operation::JoinSplitKey, Some(first))?];
    for other in others {
        objects.push(turn.other(Operation::JoinSplitKey, other)?);
    }
    Ok(objects)
}

fn ids_max() -> usize {
    usize::try_from(PARTS_MAX).unwrap_or(usize::MAX)
}

async fn part(turn: &Turn<'_, '_>, object: &Allowed) -> Outcome<Found> {
    let joins = |meta: &ObjectMeta| {
        unwrapped(meta)?;
        takes_part(meta, turn.now_s)?;
        let split = meta.split.as_deref().ok_or_else(|| invalid_field("only Split Keys are joined"))?;
        let number = u16::try_from(split.part).map_err(|_| invalid_field("Key Part Identifier is too large"))?;
        Ok((meta.clone(), split.clone(), number))
    };
    let ((meta, split, number), bytes) = turn.exported(object, Purpose::Protect, JOIN, joins).await?;
    Ok(Found { meta, split, part: (number, bytes) })
}

/// What the parts say of their key must be one, and they must be enough.
fn one_key(found: &[Found]) -> Outcome<&Found> {
    let first = found.first().ok_or_else(refusal::not_found)?;
    let says = |one: &Found| {
        let Split { parts, part: _, threshold, method, prime_field_size, of } = one.split.clone();
        (parts, threshold, method, prime_field_size, of, one.meta.algorithm, one.meta.length_bits)
    };
    if found.iter().any(|one| says(one) != says(first)) {
        return Err(invalid_field(
            "the parts are not of one key: number, threshold, method, algorithm or length differ",
        ));
    }
    let needed = usize::try_from(first.split.threshold).unwrap_or(usize::MAX);
    if found.len() < needed {
        // §11.40.
        let message = format!("{needed} parts make the key, and {} are named", found.len());
        return Err(fail(ResultReason::CryptographicFailure, message));
    }
    Ok(first)
}

/// The key is what its parts are of, and may no more than they.
fn describe(meta: &mut ObjectMeta, kind: Option<SecretDataType>, found: &[Found]) -> Outcome<()> {
    meta.key_format = Some(KeyFormatType::Raw.code());
    if meta.object_type == ObjectType::SecretData.code() {
        let own = found.first().and_then(|one| one.meta.secret_kind).and_then(SecretDataType::from_code);
        meta.secret_kind = Some(kind.or(own).unwrap_or(SecretDataType::Password).code());
    } else if kind.is_some() {
        return Err(invalid_field("Secret Data Type belongs to Secret Data"));
    }
    let mut allowed = u32::MAX;
    for Found { meta: part, .. } in found {
        for (said, known) in [(&mut meta.algorithm, part.algorithm), (&mut meta.length_bits, part.length_bits)] {
            if said.is_some() && *said != known {
                return Err(invalid_field(
                    "Cryptographic Algorithm or Cryptographic Length is another than the parts'",
                ));
            }
            *said = known;
        }
        if part.usage_mask != 0 {
            allowed &= part.usage_mask;
        }
        restrict(meta, part);
    }
    if meta.usage_mask == 0 && allowed != u32::MAX {
        meta.usage_mask = allowed;
    }
    if meta.usage_mask & !allowed != 0 {
        return Err(denied("Cryptographic Usage Mask allows what the parts' does not"));
    }
    Ok(())
}

/// The key that came out is the one that was split, as far as the parts know it.
fn check(meta: &ObjectMeta, first: &Found, key: &[u8]) -> Outcome<()> {
    if let Some(of) = first.split.of {
        let symmetric = ObjectMeta { object_type: ObjectType::SymmetricKey.code(), ..meta.clone() };
        return if digest_of(&symmetric, key) == Some(of) {
            Ok(())
        } else {
            Err(invalid_field("the parts do not make the key that they were made of"))
        };
    }
    let bits = u32::try_from(key.len() * 8).ok();
    if meta.object_type == ObjectType::SymmetricKey.code() && meta.length_bits != bits {
        return Err(invalid_field("the parts make a key of another length than their Cryptographic Length"));
    }
    Ok(())
}
