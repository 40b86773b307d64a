//! The store: whose it is, what is forged, what survives.

use std::os::unix::fs::PermissionsExt;

use orbital::names::{Deployment, Digest, Region};
use redb::ReadableDatabase;

use super::*;
use crate::{
    key_table::{Stop, Stops},
    names::{Epoch, Generation, ObjectId, Version},
    object::{ObjectMeta, State},
    rig::{OTHER, TENANT, World, system},
};

fn killed_row() -> TenantRow {
    TenantRow {
        epoch: Epoch(5),
        generation: Generation(2),
        stops: Stops::default().with(Stop::Killed).0,
        halts: [Digest([3; 32])].into_iter().collect(),
        ..TenantRow::default()
    }
}

#[tokio::test]
async fn a_store_of_another_region_or_node_is_refused() {
    let world = World::new();
    world.shelf().close().await;
    let owner = |region| Owner { deployment: Deployment::new("test").unwrap(), region: Region::new(region).unwrap() };
    let refused = Shelf::open(&world.path("store"), owner("ch"), world.key()).err();
    assert!(
        matches!(&refused, Some(Error::ForeignStore { what: "region", found, .. }) if found == "eu"),
        "{refused:?}"
    );
    let other = Arc::new(NodeKey::load_or_create(&world.path("other.key")).unwrap());
    let refused = Shelf::open(&world.path("store"), owner("eu"), other).err();
    assert!(matches!(refused, Some(Error::ForeignStore { what: "a node with key", .. })), "{refused:?}");
    assert!(Shelf::open(&world.path("store"), owner("eu"), world.key()).is_ok());
}

#[tokio::test]
async fn a_tenant_is_provisioned_and_read_back() {
    let world = World::new();
    let shelf = world.shelf();
    shelf.provision(TENANT, TenantRow { head: vec![0, 255, 7], ..TenantRow::default() }).await.unwrap();
    shelf.close().await;
    let rows = world.shelf().tenants().unwrap();
    assert_eq!(rows[&TENANT].head, [0, 255, 7]);
    for file in std::fs::read_dir(world.path("store")).unwrap().map(Result::unwrap).filter(|file| file.path().is_file())
    {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is open to others", file.path().display());
    }
}

/// The database could not be written any more (a full disk): the tombstone alone must keep the tenant stopped.
#[tokio::test]
async fn a_stop_that_reached_only_the_tombstone_survives_a_restart() {
    let world = World::new();
    let shelf = world.shelf();
    shelf.provision(TENANT, TenantRow::default()).await.unwrap();
    shelf.entomb(&TENANT, &killed_row()).unwrap();
    shelf.close().await;
    let row = world.shelf().tenants().unwrap().remove(&TENANT).unwrap();
    assert!(Stops(row.stops).holds(Stop::Killed));
    assert_eq!((row.epoch, row.generation), (Epoch(5), Generation(2)));
    assert_eq!(row.halts, killed_row().halts);
}

#[tokio::test]
async fn a_row_that_was_moved_is_found() {
    let world = World::new();
    let shelf = world.shelf();
    shelf.provision(TENANT, TenantRow::default()).await.unwrap();
    shelf.provision(OTHER, killed_row()).await.unwrap();
    shelf.close().await;
    drop(shelf);
    let database = redb::Database::open(world.path("store").join("custody.redb")).unwrap();
    let view = database.begin_read().unwrap().open_table(TENANTS).unwrap();
    let free = view.get(TENANT.0.as_bytes().as_slice()).unwrap().unwrap().value().to_vec();
    drop(view);
    let transaction = database.begin_write().unwrap();
    let other = OTHER.0.as_bytes().as_slice();
    transaction.open_table(TENANTS).unwrap().insert(other, free.as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(world.shelf().tenants(), Err(Error::Forged { table: "tenants", .. })));
}

#[tokio::test]
async fn the_first_of_two_first_keys_is_kept() {
    let world = World::new();
    let shelf = world.shelf();
    let key = |byte| StoredKey { version: Version(1), blob: vec![byte; 40] };
    assert_eq!(shelf.put_key(&TENANT, None, key(1)).await.unwrap(), key(1));
    assert_eq!(shelf.put_key(&TENANT, None, key(2)).await.unwrap(), key(1));
    let newer = StoredKey { version: Version(2), blob: vec![9] };
    shelf.put_key(&TENANT, None, newer.clone()).await.unwrap();
    assert_eq!(shelf.newest_key(&TENANT, None).unwrap(), Some(newer));
    assert_eq!(shelf.newest_key(&OTHER, None).unwrap(), None);
}

#[tokio::test]
async fn many_writers_share_commits_and_each_is_durable() {
    let world = World::new();
    let shelf = world.shelf();
    let keys = (1..=200u64).map(|n| StoredKey { version: Version(n), blob: n.to_be_bytes().to_vec() });
    let written = futures::future::join_all(keys.map(|key| shelf.put_key(&TENANT, None, key))).await;
    assert!(written.iter().all(Result::is_ok));
    shelf.close().await;
    assert_eq!(world.shelf().newest_key(&TENANT, None).unwrap().map(|key| key.version), Some(Version(200)));
}

fn object(groups: &[&str], state: State) -> ObjectRow {
    let mut meta = ObjectMeta::new(2, state, true);
    for group in groups {
        meta.groups.push((*group).to_owned());
    }
    ObjectRow::new(system("orders"), meta, vec![1], 5)
}

/// How many objects are in a group, and how many index entries there are.
fn members(shelf: &Shelf, group: &str) -> usize {
    let mut found = 0;
    let by = Some(By::Term(Term::Group(group)));
    shelf
        .walk(&TENANT, &system("orders"), by, |_, _| {
            found += 1;
            true
        })
        .unwrap();
    found
}

#[tokio::test]
async fn the_index_follows_every_change() {
    let shelf = World::new().shelf();
    let ids = [1, 2, 3].map(|n| ObjectId::from_random([n; 16]));
    let rows = [object(&["a", "b"], State::Active), object(&["a"], State::Active), object(&[], State::Active)];
    shelf.put_objects(&TENANT, ids.into_iter().zip(rows)).await.unwrap();
    assert_eq!((members(&shelf, "a"), members(&shelf, "b"), members(&shelf, "c")), (2, 1, 0));
    let change = |meta: &mut ObjectMeta| -> Result<(), Error> {
        meta.groups = vec!["c".to_owned(), "b".to_owned()].into();
        Ok(())
    };
    shelf.change_object(&TENANT, &system("orders"), ids[0], Aim::Amend, change).await.unwrap();
    assert_eq!((members(&shelf, "a"), members(&shelf, "b"), members(&shelf, "c")), (1, 1, 1));
    let mut others = 0;
    let by = Some(By::Term(Term::Group("a")));
    shelf
        .walk(&TENANT, &system("billing"), by, |_, _| {
            others += 1;
            true
        })
        .unwrap();
    assert_eq!(others, 0, "another system's");
}

#[tokio::test]
async fn a_store_from_before_the_index_gets_it_when_it_is_opened() {
    let world = World::new();
    let shelf = world.shelf();
    let rows = (0..20u8).map(|n| (ObjectId::from_random([n; 16]), object(&["a"], State::Active)));
    shelf.put_objects(&TENANT, rows).await.unwrap();
    let mut shelf = Some(shelf);
    // That it is whole, that it is of the first terms alone, or nothing is said of it.
    for (mark, expected) in [(Some(&b"2"[..]), 0), (Some(b""), 20), (None, 20)] {
        shelf.take().unwrap().close().await;
        let database = redb::Database::open(world.path("store").join("custody.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        assert!(transaction.delete_table(BY_TERM).unwrap());
        let mut meta = transaction.open_table(META).unwrap();
        assert!(meta.remove(b"by_term".as_slice()).unwrap().is_some());
        if let Some(mark) = mark {
            let key = world.key();
            let rows = Rows { key: &key, region: "eu" };
            meta.insert(b"by_term".as_slice(), rows.write(Table::Meta, b"by_term", 1, mark).as_slice()).unwrap();
        }
        drop(meta);
        transaction.commit().unwrap();
        drop(database);
        let again = world.shelf();
        assert_eq!(members(&again, "a"), expected, "they are found by the index, and by nothing else");
        shelf = Some(again);
    }
}
