//! Import (KMIP 1.4 §4.41), the twin of Export: an object comes back under its own Unique Identifier, with all of its attributes.
//!
//! Where the server differs from the specification:
//!
//! * A Unique Identifier is a UUID, as all are that this server gives; another is refused. So is one that an object of another system of
//!   the tenant has, in the same words: it is as little the caller's as one that cannot be.
//! * A destroyed object is an object still: its identifier is free for an import that replaces it, and for no other.
//! * An import that replaces is asked about as the Destroy of the old object besides. Unlike Destroy it takes one in any state.
//! * In a batch with Undo there is none: others know the identifier, and would meet a key that may be taken back.
//!
//! What `attributes/import.rs` says of the attributes holds, and the object itself is one as by Register.

use custody::{Error, keyring::New, names::ObjectId};
use kmip::{
    Attribute, AttributeValue, ManagedObject,
    ops::{Answer, import},
    tables::{KeyWrapType, ObjectType, StandardAttribute},
};
use policy::{Operation, Permitted};

use super::{Named, Turn, register, store::LEASE_TIME_S, wrap};
use crate::{
    attributes,
    refusal::{self, Outcome, invalid_field},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: import::Request<'_>) -> Outcome<()> {
    let id = id_of(turn, request.unique_identifier)?;
    let replaces = request.replace_existing == Some(true) && is_there(turn, id)?;
    if replaces {
        turn.allowed(Operation::Destroy, id)?;
    }
    let not_wrapped = request.key_wrap_type == Some(KeyWrapType::NotWrapped);
    let (mut object, mut given) = object_of(request)?;
    if object.material().is_absent() {
        return Err(invalid_field("a key whose value is elsewhere cannot be imported"));
    }
    if let Some(block) = object.key_block_mut() {
        if not_wrapped {
            let beside = std::mem::take(&mut block.attributes);
            wrap::unwrap(turn, block).await?;
            block.attributes.extend(beside);
        }
        // §2.1.4: what stands inside the Key Value are attributes like the others.
        let inside = block.attributes.drain(..).filter(|one| !given.contains(one)).collect::<Vec<_>>();
        given.extend(inside);
    }
    let mut meta = attributes::import::imported(object.object_type(), &id.text(), &given, turn.now_s)?;
    register::describe(&mut meta, &mut object)?;
    meta.lease_time_s = meta.lease_time_s.or(Some(LEASE_TIME_S));
    let secret = turn.hold_copy(object.material().expose())?;
    let _naming = turn.reserve(&[(&meta, Some(id))]).await?;
    let (tenant, system) = (turn.caller.tenant(), turn.caller.system());
    let stored = turn.keyring.import(tenant, system, New { object: id, meta, secret }, replaces).await;
    stored.map_err(|error| refusal::of_custody(&error))?;
    let unique_identifier = &turn.made(id);
    turn.success(&Answer::Import(import::Answer { unique_identifier }));
    Ok(())
}

fn id_of(turn: &mut Turn<'_, '_>, text: &str) -> Outcome<ObjectId> {
    let parsed: Result<ObjectId, _> = text.parse();
    *turn.key = match &parsed {
        Ok(id) => Named::Object(id.text()),
        Err(_) => Named::Other(text.to_owned()),
    };
    parsed.map_err(|_| refusal::no_such_identifier())
}

/// Whether the caller's system has the object, in whatever state.
fn is_there(turn: &Turn<'_, '_>, id: ObjectId) -> Outcome<bool> {
    match turn.keyring.object(turn.caller.tenant(), turn.caller.system(), id) {
        Ok(_) | Err(Error::Archived(_)) => Ok(true),
        Err(Error::Absent { .. }) => Ok(false),
        Err(error) => Err(refusal::of_custody(&error)),
    }
}

/// The object and its attributes. Its type is what the attributes say, or else what it is.
fn object_of(mut request: import::Request<'_>) -> Outcome<(ManagedObject, Vec<Attribute>)> {
    let attributes = std::mem::take(&mut request.attributes);
    let brought = request.brought();
    let object_type = match said(&attributes) {
        Some(code) => {
            ObjectType::from_code(code).ok_or_else(|| invalid_field(format!("Object Type {code:#x} is not defined")))?
        }
        None => {
            let mut types =
                brought.objects.iter().map(ManagedObject::object_type).chain(brought.unread.iter().copied());
            types.next().ok_or_else(|| invalid_field("the request brings no object"))?
        }
    };
    Ok((register::object_of(object_type, brought)?, attributes))
}

fn said(attributes: &[Attribute]) -> Option<u32> {
    let found = attributes.iter().find(|one| one.name == StandardAttribute::ObjectType.into())?;
    match found.value {
        AttributeValue::Enumeration(code) => Some(code),
        _ => None,
    }
}
