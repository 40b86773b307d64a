//! How a key is wrapped under its parent, and refuses to be opened anywhere else.
//!
//! A wrapped blob is `length of header (2 bytes, big endian) · header · nonce (12) · ciphertext · tag (16)`. The header is the
//! associated data of the AES-256-GCM: format, kind, tenant, region, the key's own id, its parent's id, parent version, version
//! and generation. A blob that was moved to another tenant, region, system, object or version does not open, and one that was
//! not even written for this place says which field differs. An L2's header stands before what the customer's KMS wrapped, and
//! is bound there by the encryption context.

use std::sync::Arc;

use orbital::names::{Region, System, TenantId};

use crate::{
    aead::{self, NONCE_BYTES, Nonces, TAG_BYTES},
    error::Error,
    names::{Generation, ObjectId, Version},
    vault::{Expose, Secret, Slab},
};

/// The only format there is.
const FORMAT: u8 = 1;
/// Bytes of an L2 or L3: AES-256.
pub const WRAPPING_KEY_BYTES: usize = 32;
/// Separates this use of the parent key from any other.
const DOMAIN: &[u8] = b"openkcm/wrapped/v1\0";

/// What is wrapped; the parent follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The tenant's key in this region, under the customer's L1.
    L2,
    /// A system's key, under the L2.
    L3(System),
    /// A managed object, under its system's L3.
    Object { system: System, object: ObjectId },
}

impl Subject {
    fn kind(&self) -> u8 {
        match self {
            Self::L2 => 2,
            Self::L3(_) => 3,
            Self::Object { .. } => 4,
        }
    }
    fn word(&self) -> &'static str {
        match self {
            Self::L2 => "L2",
            Self::L3(_) => "L3",
            Self::Object { .. } => "object",
        }
    }
    fn id(&self) -> Vec<u8> {
        match self {
            Self::L2 => Vec::new(),
            Self::L3(system) => system.as_str().as_bytes().to_vec(),
            Self::Object { object, .. } => object.as_bytes().to_vec(),
        }
    }
    fn parent(&self) -> &[u8] {
        match self {
            Self::L2 | Self::L3(_) => b"",
            Self::Object { system, .. } => system.as_str().as_bytes(),
        }
    }
}

/// Where a blob belongs: everything that must be as expected before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub tenant: TenantId,
    pub region: Region,
    pub subject: Subject,
}

/// The counters of a blob: read from it, authenticated with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Which version of the parent wraps it.
    pub parent_version: Version,
    /// Its own version.
    pub version: Version,
    /// The tenant's generation in which it was wrapped.
    pub generation: Generation,
}

/// The header bytes for this place and these counters.
pub fn header(place: &Place, counters: Counters) -> Vec<u8> {
    let mut bytes = vec![FORMAT, place.subject.kind()];
    bytes.extend_from_slice(place.tenant.0.as_bytes());
    for field in [place.region.as_str().as_bytes(), &place.subject.id(), place.subject.parent()] {
        // Names have at most 256 bytes, so a length of two bytes always fits.
        bytes.extend_from_slice(&u16::try_from(field.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    for counter in [counters.parent_version.0, counters.version.0, counters.generation.0] {
        bytes.extend_from_slice(&counter.to_be_bytes());
    }
    bytes
}

/// Reads a blob's header, compares each field with the place, and answers its counters and what follows the header.
pub fn read<'a>(place: &Place, blob: &'a [u8]) -> Result<(Counters, &'a [u8]), Error> {
    let what = place.subject.word();
    let short = Error::Damaged { what, why: "it ends too early" };
    let (header, rest) = sized(blob).ok_or_else(|| short.clone())?;
    let mut left = header;
    let mut same = |expected: &[u8], field| match left.split_at_checked(expected.len()) {
        Some((found, rest)) if found == expected => {
            left = rest;
            Ok(())
        }
        _ => Err(Error::Transplanted { what, field }),
    };
    same(&[FORMAT], "format")?;
    same(&[place.subject.kind()], "kind")?;
    same(place.tenant.0.as_bytes(), "tenant")?;
    same(&with_length(place.region.as_str().as_bytes()), "region")?;
    same(&with_length(&place.subject.id()), "id")?;
    same(&with_length(place.subject.parent()), "parent")?;
    let [parent_version, version, generation] = counters(left).ok_or(short)?;
    let counters = Counters {
        parent_version: Version(parent_version),
        version: Version(version),
        generation: Generation(generation),
    };
    Ok((counters, rest))
}

fn with_length(field: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(field.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    bytes.extend_from_slice(field);
    bytes
}

fn sized(blob: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = blob.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn counters(bytes: &[u8]) -> Option<[u64; 3]> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    let (second, rest) = rest.split_first_chunk::<8>()?;
    let third: &[u8; 8] = rest.try_into().ok()?;
    Some([first, second, third].map(|counter| u64::from_be_bytes(*counter)))
}

/// Puts the header before bytes that someone else wrapped: the customer's KMS, for an L2.
pub fn label(place: &Place, counters: Counters, wrapped: &[u8]) -> Vec<u8> {
    let mut blob = with_length(&header(place, counters));
    blob.extend_from_slice(wrapped);
    blob
}

/// Wraps `secret` under `parent` for this place.
pub fn wrap(parent: &Secret, place: &Place, counters: Counters, secret: &Secret) -> Result<Vec<u8>, Error> {
    let header = header(place, counters);
    let nonce = Nonces::draw()?;
    let mut blob = with_length(&header);
    blob.extend_from_slice(&nonce);
    let start = blob.len();
    blob.resize(start + secret.len(), 0);
    let sealed = blob.get_mut(start..).ok_or(Error::Seal)?;
    let text = secret.expose(Expose::because("wrap it under its parent"));
    let key = parent.expose(Expose::because("wrap a child key"));
    let tag = aead::provider().seal(key, &nonce, &aad(&header), text, sealed)?;
    blob.extend_from_slice(&tag);
    Ok(blob)
}

/// Opens a blob of this place into locked memory.
pub fn unwrap(parent: &Secret, place: &Place, blob: &[u8], slab: &Arc<Slab>) -> Result<(Secret, Counters), Error> {
    let what = place.subject.word();
    let short = || Error::Damaged { what, why: "it ends too early" };
    let (counters, rest) = read(place, blob)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(short)?;
    let (sealed, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or_else(short)?;
    let aad = aad(&header(place, counters));
    let key = parent.expose(Expose::because("unwrap a child key"));
    let secret = slab.fill(sealed.len(), |out| {
        let not_ours = |_| Error::Damaged { what, why: "its parent key does not open it, or it was changed" };
        aead::provider().open(key, nonce, &aad, sealed, tag, out).map_err(not_ours)
    })?;
    Ok((secret, counters))
}

/// The length of the secret in a blob, without opening it.
pub fn secret_bytes(blob: &[u8]) -> usize {
    sized(blob).map_or(0, |(_, rest)| rest.len().saturating_sub(NONCE_BYTES + TAG_BYTES))
}

fn aad(header: &[u8]) -> Vec<u8> {
    [DOMAIN, header].concat()
}

#[cfg(test)]
mod tests {
    use orbital::names::Digest;
    use proptest::prelude::*;

    use super::*;
    use crate::vault::Wanted;

    const COUNTERS: Counters = Counters { parent_version: Version(1), version: Version(2), generation: Generation(3) };
    const LOOK: Expose = Expose::because("a test looks at what it wrote");

    fn place() -> Place {
        Place {
            tenant: TenantId(Digest([9; 32])),
            region: Region::new("eu-frankfurt").unwrap(),
            subject: Subject::Object { system: System::new("orders").unwrap(), object: ObjectId::from_random([1; 16]) },
        }
    }

    #[test]
    fn what_was_wrapped_opens_in_its_place() {
        let slab = Slab::open(64, Wanted::Best).unwrap();
        let (parent, child) = (slab.random(32).unwrap(), slab.random(96).unwrap());
        let blob = wrap(&parent, &place(), COUNTERS, &child).unwrap();
        assert_eq!(secret_bytes(&blob), 96);
        let (opened, counters) = unwrap(&parent, &place(), &blob, &slab).unwrap();
        assert!(opened.expose(LOOK) == child.expose(LOOK));
        assert_eq!(counters, COUNTERS);
    }

    #[test]
    fn no_other_place_opens_it() {
        let slab = Slab::open(64, Wanted::Best).unwrap();
        let (parent, child) = (slab.random(32).unwrap(), slab.random(32).unwrap());
        let blob = wrap(&parent, &place(), COUNTERS, &child).unwrap();
        let system = |text| System::new(text).unwrap();
        let object = ObjectId::from_random([1; 16]);
        let others = [
            (Place { tenant: TenantId(Digest([8; 32])), ..place() }, "tenant"),
            (Place { region: Region::new("eu-frankfurz").unwrap(), ..place() }, "region"),
            (Place { region: Region::new("eu").unwrap(), ..place() }, "region"),
            (Place { subject: Subject::Object { system: system("orderz"), object }, ..place() }, "parent"),
            (
                Place {
                    subject: Subject::Object { system: system("orders"), object: ObjectId::from_random([2; 16]) },
                    ..place()
                },
                "id",
            ),
            (Place { subject: Subject::L3(system("orders")), ..place() }, "kind"),
            (Place { subject: Subject::L2, ..place() }, "kind"),
        ];
        for (other, differs) in others {
            match unwrap(&parent, &other, &blob, &slab).err() {
                Some(Error::Transplanted { field, .. }) => assert_eq!(field, differs),
                found => panic!("{differs}: {found:?}"),
            }
        }
    }

    #[test]
    fn another_parent_does_not_open_it() {
        let slab = Slab::open(64, Wanted::Best).unwrap();
        let (parent, other, child) = (slab.random(32).unwrap(), slab.random(32).unwrap(), slab.random(32).unwrap());
        let blob = wrap(&parent, &place(), COUNTERS, &child).unwrap();
        assert!(matches!(unwrap(&other, &place(), &blob, &slab), Err(Error::Damaged { .. })));
        assert_eq!(slab.usage().slots_used, 3, "a failed unwrap keeps no slot");
    }

    proptest! {
        /// Every byte of a blob matters: header (counters too), nonce, ciphertext, tag.
        #[test]
        fn any_change_of_a_blob_is_refused(at: prop::sample::Index, flip in 1u8..) {
            let slab = Slab::open(64, Wanted::Best).unwrap();
            let (parent, child) = (slab.random(32).unwrap(), slab.random(32).unwrap());
            let mut blob = wrap(&parent, &place(), COUNTERS, &child).unwrap();
            let at = at.index(blob.len());
            blob[at] ^= flip;
            prop_assert!(unwrap(&parent, &place(), &blob, &slab).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_panic(blob: Vec<u8>) {
            let slab = Slab::open(64, Wanted::Best).unwrap();
            let parent = slab.random(32).unwrap();
            prop_assert!(unwrap(&parent, &place(), &blob, &slab).is_err());
        }
    }
}
