//! What objects are found by besides their names and their system: one index entry a value of an attribute that clients search by.
//!
//! ```text
//! by_term   tenant · digest of system, attribute and value · created · object -> ()
//! ```
//! An object without such attributes has no entry, and costs none when it is made. The index holds digests: what it finds is compared
//! with the value itself.

use std::collections::BTreeSet;

use orbital::names::{System, TenantId};
use redb::{ReadableTable, WriteTransaction};

use super::{
    BY_TERM, META, OBJECTS,
    objects::{Row, decode, short_digest},
    rows::{Rows, Table},
    writer::failed,
};
use crate::{
    error::Error,
    names::ObjectId,
    object::{Application, Custom, ObjectMeta},
};

/// The key of the record that says that every object has its entries.
const INDEXED: &[u8] = b"by_term";
/// What the record holds: of which terms. A store that has entries of fewer gets the others when it is opened.
const TERMS: &[u8] = b"2";

/// Certificate Sign of a Cryptographic Usage Mask (KMIP 1.4 §9.1.3.3.1).
const CERTIFICATE_SIGN: u32 = 0x1000;

/// A value by which objects are found.
#[derive(Clone, Copy, Debug)]
pub enum Term<'a> {
    /// KMIP 1.4 §3.33.
    Group(&'a str),
    /// §3.35: the id that a link names, whatever its kind.
    Linked(&'a str),
    /// §3.36: namespace and data.
    Application(&'a Application),
    /// §3.40, whatever its kind.
    AlternativeName(&'a str),
    /// §3.39: the name of the attribute and one of its values.
    Custom(&'a str, &'a Custom),
    /// §3.11: whom a certificate is of, DER of a Name.
    Subject(&'a [u8]),
    /// §3.19: the mask has Certificate Sign.
    SignsCertificates,
}

impl Term<'_> {
    /// Whether an object with these attributes has the value.
    pub fn fits(&self, meta: &ObjectMeta) -> bool {
        match *self {
            Self::Group(group) => meta.groups.iter().any(|one| one == group),
            Self::Linked(to) => meta.links.iter().any(|link| link.to == to),
            Self::Application(application) => meta.applications.contains(application),
            Self::AlternativeName(name) => meta.alternative_names.iter().any(|one| one.value == name),
            Self::Custom(name, value) => meta.custom.get(name).is_some_and(|values| values.contains(value)),
            Self::Subject(name) => meta.certificate.as_ref().is_some_and(|one| one.subject == name),
            Self::SignsCertificates => meta.usage_mask & CERTIFICATE_SIGN != 0,
        }
    }

    fn digest(&self, system: &System) -> [u8; 16] {
        let (kind, name, value) = match *self {
            Self::Group(group) => (b"1", "", group.as_bytes().to_vec()),
            Self::Linked(to) => (b"2", "", to.as_bytes().to_vec()),
            Self::Application(one) => (b"3", one.namespace.as_str(), one.value.as_bytes().to_vec()),
            Self::AlternativeName(name) => (b"4", "", name.as_bytes().to_vec()),
            Self::Custom(name, value) => (b"5", name, serde_json::to_vec(value).unwrap_or_default()),
            Self::Subject(name) => (b"6", "", name.to_vec()),
            Self::SignsCertificates => (b"7", "", vec![]),
        };
        // With the length of each part before the last, no two terms are the same bytes.
        let lengths = [system.as_str().len(), name.len()].map(|length| u32::try_from(length).unwrap_or(u32::MAX));
        let [of_system, of_name] = lengths.map(u32::to_be_bytes);
        short_digest(&[kind, &of_system, system.as_str().as_bytes(), &of_name, name.as_bytes(), &value])
    }
}

fn each_term(meta: &ObjectMeta) -> impl Iterator<Item = Term<'_>> {
    let custom = meta.custom.iter().flat_map(|(name, values)| values.iter().map(|value| Term::Custom(name, value)));
    let groups = meta.groups.iter().map(|group| Term::Group(group));
    let links = meta.links.iter().map(|link| Term::Linked(&link.to));
    let names = meta.alternative_names.iter().map(|name| Term::AlternativeName(&name.value));
    let subject = meta.certificate.iter().map(|one| Term::Subject(&one.subject));
    let signs = Some(Term::SignsCertificates).filter(|term| term.fits(meta));
    let texts = groups.chain(links).chain(meta.applications.iter().map(Term::Application)).chain(names).chain(custom);
    texts.chain(subject).chain(signs)
}

/// How the entries of the objects with this value begin.
pub(super) fn prefix(tenant: &TenantId, system: &System, term: &Term<'_>) -> Vec<u8> {
    [tenant.0.as_bytes().as_slice(), &term.digest(system)].concat()
}

fn entries(tenant: &TenantId, row: &Row, meta: &ObjectMeta, object: ObjectId) -> BTreeSet<Vec<u8>> {
    let entry = |term: Term<'_>| {
        let created = row.created_ms().to_be_bytes();
        [prefix(tenant, &row.system, &term).as_slice(), &created, object.as_bytes()].concat()
    };
    each_term(meta).map(entry).collect()
}

/// Brings the entries of an object up to date; `before` are its attributes as they were, `None` for a new one.
pub(super) fn index(
    transaction: &WriteTransaction,
    tenant: &TenantId,
    object: ObjectId,
    row: &Row,
    before: Option<&ObjectMeta>,
) -> Result<(), Error> {
    let before = before.map(|meta| entries(tenant, row, meta, object)).unwrap_or_default();
    let now = entries(tenant, row, &row.meta, object);
    if before == now {
        return Ok(());
    }
    let mut table = transaction.open_table(BY_TERM).map_err(failed("write"))?;
    for gone in before.difference(&now) {
        table.remove(gone.as_slice()).map_err(failed("write"))?;
    }
    for new in now.difference(&before) {
        table.insert(new.as_slice(), ()).map_err(failed("write"))?;
    }
    Ok(())
}

/// Makes the index, and once the entries of a store that is older than it.
pub(super) fn prepare(transaction: &WriteTransaction, rows: &Rows<'_>) -> Result<(), Error> {
    transaction.open_table(BY_TERM).map_err(failed("open"))?;
    let mut meta = transaction.open_table(META).map_err(failed("open"))?;
    if let Some(record) = meta.get(INDEXED).map_err(failed("read"))?
        && rows.read(Table::Meta, INDEXED, record.value())?.1 == TERMS
    {
        return Ok(());
    }
    let objects = transaction.open_table(OBJECTS).map_err(failed("open"))?;
    for entry in objects.iter().map_err(failed("read"))? {
        let (key, stored) = entry.map_err(failed("read"))?;
        let (key, stored) = (key.value(), stored.value());
        let Some((tenant, id)) = key.split_first_chunk::<32>() else { continue };
        let Some(object) = id.first_chunk::<16>().copied().map(ObjectId::from_stored) else { continue };
        match decode(rows, key, stored) {
            Ok(row) => index(transaction, &TenantId(orbital::names::Digest(*tenant)), object, &row, None)?,
            // Whoever reads it is told; nobody else is kept from their keys.
            Err(why) => tracing::warn!(%object, %why, "an object cannot be indexed"),
        }
    }
    let done = rows.write(Table::Meta, INDEXED, 1, TERMS);
    meta.insert(INDEXED, done.as_slice()).map_err(failed("write"))?;
    Ok(())
}
