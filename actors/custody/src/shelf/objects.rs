//! Managed objects at rest: attributes in the clear, the key wrapped, both under one tag; indexes by system and by name.

use aws_lc_rs::digest;
use orbital::names::{System, TenantId};
use redb::ReadTransaction;
use serde::{Deserialize, Serialize};

use super::{
    BY_NAME, BY_SYSTEM, BY_TERM, Index, OBJECTS, Shelf,
    rows::{Rows, Table},
    terms::{Term, prefix},
    writer::failed,
};
use crate::{
    error::Error,
    names::ObjectId,
    object::{META_BYTES_MAX, ObjectMeta},
};

/// What a change is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    Amend,
    /// The wrapped key goes as well.
    Destroy,
    /// An archived object comes back. For no other aim is one changed.
    Recover,
}

/// A stored object.
#[derive(Clone, Debug)]
pub struct Row {
    pub system: System,
    pub meta: ObjectMeta,
    /// Empty once destroyed.
    pub wrapped: Vec<u8>,
    /// Counts changes, from 1.
    pub revision: u64,
    created_ms: u64,
}

/// What the objects that are looked for have in common.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    Object(ObjectId),
    Name(&'a str),
    Term(Term<'a>),
}

impl By<'_> {
    /// Whether it is this object.
    pub fn fits(&self, object: ObjectId, meta: &ObjectMeta) -> bool {
        match self {
            Self::Object(id) => *id == object,
            Self::Name(name) => meta.names.iter().any(|known| known.value == *name),
            Self::Term(term) => term.fits(meta),
        }
    }
}

/// The part of a row that is JSON.
#[derive(Serialize, Deserialize)]
struct Described {
    system: System,
    created_ms: u64,
    meta: ObjectMeta,
}

impl Row {
    /// A row to be stored for the first time.
    pub fn new(system: System, meta: ObjectMeta, wrapped: Vec<u8>, created_ms: u64) -> Self {
        Self { system, meta, wrapped, revision: 1, created_ms }
    }

    /// Why there is no key in it, if there is none.
    pub(crate) fn keyless(&self, object: ObjectId) -> Option<Error> {
        match self.meta.state.is_destroyed() {
            _ if !self.wrapped.is_empty() => None,
            false if self.meta.key_elsewhere => Some(Error::KeyElsewhere(object)),
            _ => Some(Error::Destroyed(object)),
        }
    }

    /// This row in the place of another: among the others it stands where that one stood.
    pub(super) fn in_place_of(self, old: &Self) -> Self {
        Self { created_ms: old.created_ms, revision: old.revision + 1, ..self }
    }

    /// Changes the attributes of `object`. On an error the row is of no use any more.
    pub(crate) fn change<T, E: From<Error>>(
        &mut self,
        object: ObjectId,
        aim: Aim,
        change: impl FnOnce(&mut ObjectMeta) -> Result<T, E>,
    ) -> Result<T, E> {
        if aim != Aim::Recover && self.meta.is_archived() {
            return Err(Error::Archived(object).into());
        }
        let before = self.meta.clone();
        let done = change(&mut self.meta)?;
        if aim != Aim::Destroy && !self.meta.keeps(&before) {
            let why = "type, exportable, destruction and whether the key is here are fixed";
            return Err(Error::Cipher { cipher: "attribute", why }.into());
        }
        if aim == Aim::Destroy {
            self.wrapped.clear();
        }
        self.revision += 1;
        Ok(done)
    }

    /// When it was stored first, milliseconds since 1970.
    pub(crate) fn created_ms(&self) -> u64 {
        self.created_ms
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        self.meta.check()?;
        let described = Described { system: self.system.clone(), created_ms: self.created_ms, meta: self.meta.clone() };
        let json = serde_json::to_vec(&described).map_err(failed("write an object"))?;
        if json.len() > META_BYTES_MAX {
            return Err(Error::TooLarge { what: "attributes", max: META_BYTES_MAX, unit: "bytes", found: json.len() });
        }
        let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
        Ok([length.to_be_bytes().as_slice(), &json, &self.wrapped].concat())
    }

    fn decode(revision: u64, content: &[u8]) -> Result<Self, Error> {
        let short = || Error::Damaged { what: "object", why: "its row ends too early" };
        let (length, rest) = content.split_first_chunk::<4>().ok_or_else(short)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| short())?;
        let (json, wrapped) = rest.split_at_checked(length).ok_or_else(short)?;
        let Described { system, created_ms, meta } = serde_json::from_slice(json).map_err(failed("read an object"))?;
        Ok(Self { system, meta, wrapped: wrapped.to_vec(), revision, created_ms })
    }
}

impl Shelf {
    /// One object of one system; `None` for an absent and for a foreign one alike.
    pub fn object(&self, tenant: &TenantId, system: &System, object: ObjectId) -> Result<Option<Row>, Error> {
        let key = place(tenant, object);
        self.base.read(|view| {
            let table = view.open_table(OBJECTS).map_err(failed("read"))?;
            let Some(stored) = table.get(key.as_slice()).map_err(failed("read"))? else { return Ok(None) };
            let row = decode(&self.rows(), &key, stored.value())?;
            Ok((row.system == *system).then_some(row))
        })
    }

    /// Walks a system's objects, newest first, of the same millisecond by descending id, until `each` says stop (`false`): all of them, or those of one id, name or term. Only
    /// the first takes longer the more objects there are.
    pub fn walk(
        &self,
        tenant: &TenantId,
        system: &System,
        by: Option<By<'_>>,
        mut each: impl FnMut(ObjectId, Row) -> bool,
    ) -> Result<(), Error> {
        let mut each = |object, row: Row| {
            // An index holds digests: what it finds is compared with the value itself.
            row.system != *system || !by.is_none_or(|by| by.fits(object, &row.meta)) || each(object, row)
        };
        match by {
            Some(By::Object(object)) => {
                if let Some(row) = self.object(tenant, system, object)? {
                    each(object, row);
                }
                Ok(())
            }
            Some(By::Name(name)) => {
                let mut found = vec![];
                self.each_indexed(tenant, BY_NAME, &name_prefix(tenant, system, name), |object, row| {
                    found.push((object, row));
                    true
                })?;
                found.sort_by_key(|(object, row)| std::cmp::Reverse((row.created_ms, *object)));
                for (object, row) in found {
                    if !each(object, row) {
                        break;
                    }
                }
                Ok(())
            }
            Some(By::Term(term)) => self.each_indexed(tenant, BY_TERM, &prefix(tenant, system, &term), each),
            None => self.each_indexed(tenant, BY_SYSTEM, &system_prefix(tenant, system), each),
        }
    }

    /// The objects of an index's entries that begin with `prefix`, the last first.
    fn each_indexed(
        &self,
        tenant: &TenantId,
        index: Index,
        prefix: &[u8],
        mut each: impl FnMut(ObjectId, Row) -> bool,
    ) -> Result<(), Error> {
        self.base.read(|view| {
            let index = view.open_table(index).map_err(failed("read"))?;
            let end = after(prefix);
            for entry in index.range(prefix..end.as_slice()).map_err(failed("read"))?.rev() {
                let (key, _) = entry.map_err(failed("read"))?;
                let Some((object, row)) = self.indexed(view, tenant, key.value())? else { continue };
                if !each(object, row) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn indexed(
        &self,
        view: &ReadTransaction,
        tenant: &TenantId,
        index: &[u8],
    ) -> Result<Option<(ObjectId, Row)>, Error> {
        let Some(object) = index.last_chunk::<16>().copied().map(ObjectId::from_stored) else { return Ok(None) };
        let key = place(tenant, object);
        let table = view.open_table(OBJECTS).map_err(failed("read"))?;
        let stored = table.get(key.as_slice()).map_err(failed("read"))?;
        stored.map(|stored| Ok((object, decode(&self.rows(), &key, stored.value())?))).transpose()
    }
}

pub(super) fn decode(rows: &Rows<'_>, key: &[u8], stored: &[u8]) -> Result<Row, Error> {
    let (revision, content) = rows.read(Table::Objects, key, stored)?;
    Row::decode(revision, content)
}

pub(super) fn names(meta: &ObjectMeta) -> Vec<String> {
    meta.names.iter().map(|name| name.value.clone()).collect()
}

pub(super) fn place(tenant: &TenantId, object: ObjectId) -> Vec<u8> {
    [tenant.0.as_bytes().as_slice(), object.as_bytes()].concat()
}

fn system_prefix(tenant: &TenantId, system: &System) -> Vec<u8> {
    [tenant.0.as_bytes().as_slice(), &short_digest(&[system.as_str().as_bytes()])].concat()
}

pub(super) fn by_system(tenant: &TenantId, system: &System, created_ms: u64, object: ObjectId) -> Vec<u8> {
    [system_prefix(tenant, system).as_slice(), &created_ms.to_be_bytes(), object.as_bytes()].concat()
}

pub(super) fn name_prefix(tenant: &TenantId, system: &System, name: &str) -> Vec<u8> {
    [tenant.0.as_bytes().as_slice(), &short_digest(&[system.as_str().as_bytes(), b"\0", name.as_bytes()])].concat()
}

/// 16 bytes of SHA-256: an index entry of fixed length for names of any.
pub(super) fn short_digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let whole = context.finish();
    whole.as_ref().first_chunk().copied().unwrap_or_default()
}

/// The end of the range of keys that begin with `prefix`.
pub(super) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}
