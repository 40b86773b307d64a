//! Derive Key (KMIP 1.4 §4.6): a key or secret data that follows from objects that are here; each names the other by a link.
//!
//! The base is a Symmetric Key or Secret Data that is Active and may derive. Data of the derivation may stand in an object of Secret
//! Data too. A key's own Cryptographic Parameters say for which hash or mode it derives ("if no match is found, then an error is
//! returned"); secret data has no such attribute, and the request's are taken.

use custody::{
    kdf::{FIXED_BYTES_MAX, Kdf, Pbkdf2},
    key_table::{Borrow, Pending, Purpose},
    keyring::New,
    names::ObjectId,
    object::ObjectMeta,
    vault::{Expose, Secret},
};
use kmip::{
    ResultReason,
    ops::{
        Answer,
        derive_key::{self, DerivationParameters},
    },
    tables::{
        CryptographicAlgorithm, DerivationMethod, KeyFormatType, LinkType, ObjectType, SecretDataType, UsageMask,
    },
};
use parking_lot::Mutex;
use policy::Operation;

use super::{
    Allowed, Turn, create,
    derivation::{Method, method},
    store::new_id,
    unwrapped,
};
use crate::{
    attributes::{self, INSTANCES_MAX, generator, replace::link},
    lifecycle,
    refusal::{self, Outcome, fail, invalid_field, unsupported},
};

/// Most objects that one base names as derived from it.
const DERIVED_MAX: usize = 8 * INSTANCES_MAX;

const DATA: Expose = Expose::because("data of a derivation stand in an object");

/// An object from which something is derived.
struct Base {
    object: Allowed,
    meta: ObjectMeta,
}

pub(super) async fn perform(turn: &mut Turn<'_, '_>, request: derive_key::Request<'_>) -> Outcome<()> {
    let bases = bases(turn, &request.unique_identifiers)?;
    let meta = derived(turn, &request)?;
    let bytes = bytes(&meta)?;
    let parameters = &request.derivation_parameters;
    let (base, data) = roles(&bases, request.derivation_method, parameters)?;
    let secret = match method(&base.meta, request.derivation_method, parameters)? {
        Method::Pbkdf2 { hmac, salt, iterations } => {
            let work = Pbkdf2::new(hmac, salt, iterations, bytes).map_err(|error| refusal::of_custody(&error))?;
            in_steps(turn, &base.object, work).await?
        }
        other => at_once(turn, base, &other, data, bytes).await?,
    };
    let id = new_id()?;
    let _naming = turn.reserve(&[(&meta, None)]).await?;
    turn.spend(&base.object, base.meta.usage_limits, bytes, true).await?;
    let (from, now_s) = (bases.iter().map(|base| base.object.id).collect(), turn.now_s);
    turn.store_beside(from, vec![New { object: id, meta, secret }], relate(&bases, id, now_s)).await?;
    let unique_identifier = &turn.made(id);
    turn.success(&Answer::DeriveKey(derive_key::Answer { unique_identifier, template_attribute: None }));
    Ok(())
}

/// "Note that the current value of the ID Placeholder SHALL NOT be used in place of a Unique Identifier in this operation."
fn bases(turn: &mut Turn<'_, '_>, ids: &[&str]) -> Outcome<Vec<Base>> {
    let (first, others) = ids.split_first().ok_or_else(|| {
        fail(ResultReason::InvalidMessage, "Derive Key names no Unique Identifier, and takes no ID Placeholder for one")
    })?;
    let mut objects = vec![turn.object(Operation::DeriveKey, Some(first))?];
    for other in others {
        let object = turn.other(Operation::DeriveKey, other)?;
        if objects.iter().any(|one| one.id == object.id) {
            return Err(invalid_field("Derive Key names the same Unique Identifier twice"));
        }
        objects.push(object);
    }
    let looked_up = |object: Allowed| turn.meta(object.id).map(|meta| Base { object, meta });
    let bases = objects.into_iter().map(looked_up).collect::<Outcome<Vec<_>>>()?;
    bases.iter().try_for_each(|base| may_derive(&base.meta, turn.now_s))?;
    Ok(bases)
}

fn may_derive(meta: &ObjectMeta, now_s: i64) -> Outcome<()> {
    if !matches!(ObjectType::from_code(meta.object_type), Some(ObjectType::SymmetricKey | ObjectType::SecretData)) {
        return Err(invalid_field("only from a Symmetric Key or Secret Data something is derived"));
    }
    // §11.7: what is not able to be used to derive a key is an Invalid Field.
    let may = unwrapped(meta).and_then(|()| lifecycle::may_protect(meta, UsageMask::DERIVE_KEY, now_s));
    may.map_err(|failure| invalid_field(failure.message))
}

/// What the new object is.
fn derived(turn: &Turn<'_, '_>, request: &derive_key::Request<'_>) -> Outcome<ObjectMeta> {
    let mut meta = attributes::meta_of(request.object_type, &request.template_attribute, turn.now_s)?;
    generator::check(meta.rng)?;
    meta.rng = None;
    meta.key_format = Some(KeyFormatType::Raw.code());
    meta.dates.original_creation = Some(turn.now_s);
    match request.object_type {
        ObjectType::SymmetricKey => {}
        ObjectType::SecretData => meta.secret_kind = Some(SecretDataType::Seed.code()),
        other => return Err(invalid_field(format!("Derive Key makes a Symmetric Key or Secret Data, not a {other}"))),
    }
    Ok(meta)
}

/// "If a key is created, then the client SHALL specify both its Cryptographic Length and Cryptographic Algorithm."
fn bytes(meta: &ObjectMeta) -> Outcome<usize> {
    if meta.object_type == ObjectType::SymmetricKey.code() {
        if meta.algorithm == Some(CryptographicAlgorithm::TripleDes.code()) {
            return Err(unsupported("a derived key of Triple DES; AES and HMAC are"));
        }
        return create::drawn(meta).map(|(bytes, _)| bytes);
    }
    let bits = meta.length_bits.ok_or_else(|| invalid_field("what is derived needs a Cryptographic Length"))?;
    match usize::try_from(bits / 8) {
        Ok(bytes) if bits.is_multiple_of(8) && bytes > 0 => Ok(bytes),
        _ => Err(invalid_field(format!("what is derived has whole bytes, not {bits} bits"))),
    }
}

/// The data that a derivation is of.
enum Data<'a> {
    None,
    Given(&'a [u8]),
    Object(&'a Allowed),
}

/// Which of the objects is the key, and where the data are. "If both are provided, then an error SHALL be returned."
fn roles<'a>(
    bases: &'a [Base],
    method: DerivationMethod,
    parameters: &DerivationParameters<'a>,
) -> Outcome<(&'a Base, Data<'a>)> {
    let is_data = |base: &&Base| base.meta.object_type == ObjectType::SecretData.code();
    let given = parameters.derivation_data;
    let needs_data = !matches!(method, DerivationMethod::Pbkdf2 | DerivationMethod::Hash);
    match (bases, given) {
        ([one], None) if !needs_data => Ok((one, Data::None)),
        ([one], Some(_)) if !needs_data || is_data(&one) => Err(ambiguous()),
        ([one], Some(data)) => Ok((one, Data::Given(data))),
        ([one, other], None) if needs_data => {
            let (key, data) = if is_data(&other) { (one, other) } else { (other, one) };
            if is_data(&key) == is_data(&data) {
                return Err(invalid_field("of the two objects one is the key and the other Secret Data with the data"));
            }
            Ok((key, Data::Object(&data.object)))
        }
        ([_, _], Some(_)) => Err(ambiguous()),
        ([_], None) => Err(invalid_field("Derivation Data is missing, as bytes or as an object of Secret Data")),
        _ => Err(invalid_field("more objects are named than the method takes")),
    }
}

fn ambiguous() -> kmip::message::Failure {
    // §11.7.
    fail(ResultReason::InvalidMessage, "data are given twice: by Derivation Data and by the object that is named")
}

async fn at_once(
    turn: &Turn<'_, '_>,
    base: &Base,
    method: &Method<'_>,
    data: Data<'_>,
    bytes: usize,
) -> Outcome<Secret> {
    let of_object;
    let data = match data {
        Data::None => &[],
        Data::Given(data) => data,
        Data::Object(object) => {
            of_object = derive(turn, object, |_| Ok(Kdf::Copy), 0).await?;
            of_object.expose(DATA)
        }
    };
    if data.len() > FIXED_BYTES_MAX {
        return Err(invalid_field(format!("Derivation Data has more than {FIXED_BYTES_MAX} bytes")));
    }
    derive(turn, &base.object, |meta| method.kdf(meta, data), bytes).await
}

async fn derive<'d>(
    turn: &Turn<'_, '_>,
    object: &Allowed,
    kdf: impl Fn(&ObjectMeta) -> Outcome<Kdf<'d>>,
    bytes: usize,
) -> Outcome<Secret> {
    let job = |borrow: &Borrow, meta: &ObjectMeta| {
        let derived: Result<Pending<Secret>, _> = borrow.derive(kdf(meta)?, bytes);
        derived.map(|derived| ((), derived)).map_err(|error| refusal::of_custody(&error))
    };
    turn.protect(object, UsageMask::DERIVE_KEY, job).await.map(|used| used.given)
}

/// Between two steps other requests are served; one derivation of a system goes on at a time.
async fn in_steps(turn: &Turn<'_, '_>, object: &Allowed, work: Pbkdf2) -> Outcome<Secret> {
    let _turn = turn.server.deriving(turn.caller.tenant(), turn.caller.system()).await;
    let work = Mutex::new(work);
    loop {
        let step = |borrow: Borrow| {
            let meta = borrow.meta().ok_or_else(refusal::not_found)?;
            may_derive(meta, turn.now_s)?;
            let done = work.lock().step(&borrow).map_err(|error| refusal::of_custody(&error))?;
            borrow.finish(done).map_err(refusal::of_stop)
        };
        if turn.with_key(object, Purpose::Protect, step).await? {
            return work.into_inner().finish().map_err(|error| refusal::of_custody(&error));
        }
        tokio::task::yield_now().await;
    }
}

/// Links the new object and its bases with each other.
fn relate(
    bases: &[Base],
    id: ObjectId,
    now_s: i64,
) -> impl FnOnce(&mut [ObjectMeta], &mut [ObjectMeta]) -> Outcome<()> + Send + 'static {
    let from: Vec<_> = bases.iter().map(|base| base.object.text).collect();
    move |old, new| {
        for (base, text) in old.iter_mut().zip(&from) {
            may_derive(base, now_s)?;
            let derived = base.links.iter().filter(|link| link.kind == LinkType::DerivedKeyLink.code()).count();
            if derived >= DERIVED_MAX {
                let message = format!(
                    "the base names {DERIVED_MAX} derived objects already; delete its Derived Key Links that are of no use any more"
                );
                return Err(fail(ResultReason::IndexOutOfBounds, message));
            }
            base.links.push(link(LinkType::DerivedKeyLink, &id.text()));
            base.dates.last_change = Some(now_s);
            for new in new.iter_mut() {
                new.links.push(link(LinkType::DerivationBaseObjectLink, text));
            }
        }
        Ok(())
    }
}
