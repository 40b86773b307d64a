//! How managed objects are made and changed: each of these is one transaction, all of it or nothing, durable before it returns.
//!
//! A job checks and encodes first and writes last: the others of its batch are committed with what it has written.

use std::sync::Arc;

use orbital::names::{System, TenantId};
use redb::{ReadableTable, WriteTransaction};

use super::{
    BY_NAME, BY_SYSTEM, OBJECTS, Shelf,
    objects::{Aim, Row, by_system, decode, name_prefix, names, place},
    rows::{Rows, Table},
    terms,
    writer::failed,
};
use crate::{error::Error, names::ObjectId, object::ObjectMeta};

/// An object as a draft has made or changed it.
#[derive(Clone, Debug)]
pub struct Drafted {
    pub object: ObjectId,
    pub row: Row,
    /// The revision of the stored row that it was made from; `None` for a new object.
    pub base: Option<u64>,
}

/// Objects that were changed and stored together.
pub struct Together<T> {
    /// What the change answered.
    pub done: T,
    /// The attributes and the revision of each old object.
    pub old: Vec<(ObjectMeta, u64)>,
    pub new: Vec<ObjectMeta>,
}

impl Shelf {
    /// Stores new objects and their index entries.
    pub async fn put_objects(
        &self,
        tenant: &TenantId,
        objects: impl IntoIterator<Item = (ObjectId, Row)>,
    ) -> Result<(), Error> {
        let tenant = *tenant;
        let ready = objects.into_iter().map(|(object, row)| Ready::of(&self.rows(), &tenant, object, row, None));
        let ready = ready.collect::<Result<Vec<_>, Error>>()?;
        self.writer.write(move |transaction| write(transaction, &tenant, &ready)).await
    }

    /// Stores an object that brings its id. One of its system that has it is replaced if `replaces` is given, and [`Error::Exists`] if
    /// not; one of another system is [`Error::Taken`]. What is given lives until the answer is durable, whether anyone waits for it or
    /// not.
    pub async fn import_object<M: Send + 'static>(
        self: &Arc<Self>,
        tenant: &TenantId,
        object: ObjectId,
        row: Row,
        replaces: Option<M>,
    ) -> Result<Option<M>, Error> {
        let (shelf, tenant) = (self.clone(), *tenant);
        self.writer
            .write(move |transaction| {
                let old = shelf.stored(transaction, &tenant, object)?;
                let row = match &old {
                    Some(old) if old.system != row.system => return Err(Error::Taken(object)),
                    Some(_) if replaces.is_none() => return Err(Error::Exists(object)),
                    Some(old) => row.in_place_of(old),
                    None => row,
                };
                let ready = Ready::of(&shelf.rows(), &tenant, object, row, old.map(|old| old.meta))?;
                write(transaction, &tenant, std::slice::from_ref(&ready))?;
                Ok(replaces)
            })
            .await
    }

    /// Changes an object's attributes, one change at a time. Answers what `change` did, the attributes and their revision.
    pub async fn change_object<T: Send + 'static, E: From<Error> + Send + 'static>(
        self: &Arc<Self>,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        aim: Aim,
        change: impl FnOnce(&mut ObjectMeta) -> Result<T, E> + Send + 'static,
    ) -> Result<(T, ObjectMeta, u64), E> {
        let (shelf, tenant, system) = (self.clone(), *tenant, system.clone());
        self.writer
            .write(move |transaction| {
                let mut row = shelf.found(transaction, &tenant, &system, object)?;
                let before = row.meta.clone();
                let done = row.change(object, aim, change)?;
                let ready = Ready::of(&shelf.rows(), &tenant, object, row, Some(before))?;
                write(transaction, &tenant, std::slice::from_ref(&ready))?;
                Ok((done, ready.row.meta, ready.row.revision))
            })
            .await
    }

    /// Changes the attributes of `old` objects and stores `new` ones beside them. `change` sees the attributes of both, in this order.
    /// No object may stand in `old` twice.
    pub async fn change_together<T: Send + 'static, E: From<Error> + Send + 'static>(
        self: &Arc<Self>,
        tenant: &TenantId,
        system: &System,
        old: Vec<ObjectId>,
        new: Vec<(ObjectId, Row)>,
        change: impl FnOnce(&mut [ObjectMeta], &mut [ObjectMeta]) -> Result<T, E> + Send + 'static,
    ) -> Result<Together<T>, E> {
        let (shelf, tenant, system) = (self.clone(), *tenant, system.clone());
        self.writer
            .write(move |transaction| {
                let read = |&object: &ObjectId| shelf.found(transaction, &tenant, &system, object);
                let mut rows = old.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
                let before: Vec<ObjectMeta> = rows.iter().map(|row| row.meta.clone()).collect();
                let (ids, mut made): (Vec<ObjectId>, Vec<Row>) = new.into_iter().unzip();
                let done = change_rows(&old, &mut rows, &mut made, change)?;
                let changed = old.into_iter().zip(rows).zip(before.into_iter().map(Some));
                let all = changed.chain(ids.into_iter().zip(made).map(|new| (new, None)));
                let ready = all.map(|((object, row), before)| Ready::of(&shelf.rows(), &tenant, object, row, before));
                let ready = ready.collect::<Result<Vec<_>, Error>>()?;
                write(transaction, &tenant, &ready)?;
                let (new, old): (Vec<_>, Vec<_>) = ready.into_iter().partition(|one| one.before.is_none());
                let old = old.into_iter().map(|one| (one.row.meta, one.row.revision)).collect();
                Ok(Together { done, old, new: new.into_iter().map(|one| one.row.meta).collect() })
            })
            .await
    }

    /// Stores what a draft has made and changed. An object that is not at the revision that the draft saw is [`Error::Contended`].
    pub async fn put_draft(self: &Arc<Self>, tenant: &TenantId, drafted: Vec<Drafted>) -> Result<(), Error> {
        let (shelf, tenant) = (self.clone(), *tenant);
        self.writer
            .write(move |transaction| {
                let mut ready = Vec::with_capacity(drafted.len());
                for Drafted { object, row, base } in drafted {
                    let now = shelf.stored(transaction, &tenant, object)?;
                    if now.as_ref().map(|row| row.revision) != base {
                        return Err(Error::Contended(object));
                    }
                    ready.push(Ready::of(&shelf.rows(), &tenant, object, row, now.map(|row| row.meta))?);
                }
                write(transaction, &tenant, &ready)
            })
            .await
    }

    fn stored(
        &self,
        transaction: &WriteTransaction,
        tenant: &TenantId,
        object: ObjectId,
    ) -> Result<Option<Row>, Error> {
        let key = place(tenant, object);
        get(transaction, &key)?.map(|stored| decode(&self.rows(), &key, &stored)).transpose()
    }

    fn found(
        &self,
        transaction: &WriteTransaction,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
    ) -> Result<Row, Error> {
        let row = self.stored(transaction, tenant, object)?.filter(|row| row.system == *system);
        row.ok_or_else(|| Error::Absent { tenant: *tenant, system: system.clone(), object })
    }
}

/// Changes the rows of `objects`, by the rules of [`Row::change`], and rows that are to be stored for the first time.
pub(crate) fn change_rows<T, E: From<Error>>(
    objects: &[ObjectId],
    old: &mut [Row],
    new: &mut [Row],
    change: impl FnOnce(&mut [ObjectMeta], &mut [ObjectMeta]) -> Result<T, E>,
) -> Result<T, E> {
    let metas = |rows: &[Row]| rows.iter().map(|row| row.meta.clone()).collect::<Vec<_>>();
    let (mut olds, mut news) = (metas(old), metas(new));
    let done = change(&mut olds, &mut news)?;
    for ((object, row), meta) in objects.iter().zip(old).zip(olds) {
        row.change(*object, Aim::Amend, |before| {
            *before = meta;
            Ok::<(), Error>(())
        })?;
    }
    new.iter_mut().zip(news).for_each(|(row, meta)| row.meta = meta);
    Ok(done)
}

/// An object that is ready to be written.
struct Ready {
    object: ObjectId,
    row: Row,
    /// `None` for a new object.
    before: Option<ObjectMeta>,
    key: Vec<u8>,
    stored: Vec<u8>,
}

impl Ready {
    fn of(
        rows: &Rows<'_>,
        tenant: &TenantId,
        object: ObjectId,
        row: Row,
        before: Option<ObjectMeta>,
    ) -> Result<Self, Error> {
        let key = place(tenant, object);
        let stored = rows.write(Table::Objects, &key, row.revision, &row.encode()?);
        Ok(Self { object, row, before, key, stored })
    }
}

fn write(transaction: &WriteTransaction, tenant: &TenantId, ready: &[Ready]) -> Result<(), Error> {
    for Ready { object, row, before, key, stored } in ready {
        put(transaction, key, stored)?;
        if before.is_none() {
            index(transaction, &by_system(tenant, &row.system, row.created_ms(), *object))?;
        }
        terms::index(transaction, tenant, *object, row, before.as_ref())?;
        let before = before.as_ref().map(names).unwrap_or_default();
        rename(transaction, tenant, &row.system, *object, &before, &names(&row.meta))?;
    }
    Ok(())
}

fn get(transaction: &WriteTransaction, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let table = transaction.open_table(OBJECTS).map_err(failed("read"))?;
    let found = table.get(key).map_err(failed("read"))?;
    Ok(found.map(|row| row.value().to_vec()))
}

fn put(transaction: &WriteTransaction, key: &[u8], stored: &[u8]) -> Result<(), Error> {
    let mut table = transaction.open_table(OBJECTS).map_err(failed("write"))?;
    table.insert(key, stored).map_err(failed("write"))?;
    Ok(())
}

fn index(transaction: &WriteTransaction, key: &[u8]) -> Result<(), Error> {
    let mut table = transaction.open_table(BY_SYSTEM).map_err(failed("write"))?;
    table.insert(key, ()).map_err(failed("write"))?;
    Ok(())
}

fn rename(
    transaction: &WriteTransaction,
    tenant: &TenantId,
    system: &System,
    object: ObjectId,
    before: &[String],
    now: &[String],
) -> Result<(), Error> {
    if before == now {
        return Ok(());
    }
    let mut table = transaction.open_table(BY_NAME).map_err(failed("write"))?;
    let key = |name: &String| [name_prefix(tenant, system, name).as_slice(), object.as_bytes()].concat();
    for name in before {
        table.remove(key(name).as_slice()).map_err(failed("write"))?;
    }
    for name in now {
        table.insert(key(name).as_slice(), ()).map_err(failed("write"))?;
    }
    Ok(())
}
