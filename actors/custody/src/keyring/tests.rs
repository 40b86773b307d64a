//! Objects from creation to destruction, over restarts, stops and strangers.

mod by_index;
mod import;

use std::collections::BTreeSet;

use super::*;
use crate::{
    dek::{Iv, Mode},
    key_table::Stop,
    object::{NAMES_MAX, Name, State},
    rig::{LOOK, Node, OTHER, TENANT, World, meta, system},
    shelf::TenantRow,
};

async fn create(node: &Node, name: &str) -> ObjectId {
    let mut meta = meta();
    meta.names.push(Name { value: name.to_owned(), kind: 1 });
    let fill = |out: &mut [u8]| {
        out.fill(0x5a);
        Ok(())
    };
    node.keyring.create_object(&TENANT, &system("orders"), meta, 32, fill).await.unwrap()
}

async fn export(node: &Node, object: ObjectId) -> Result<Vec<u8>, Error> {
    node.keyring.export(&TENANT, &system("orders"), object, LOOK).await.map(|bytes| bytes.to_vec())
}

fn named(node: &Node, name: &str) -> Vec<ObjectId> {
    let filter = Filter { by: Some(By::Name(name)), ..Filter::default() };
    node.keyring.locate(&TENANT, &system("orders"), filter, |_, _| true).unwrap().ids
}

fn destroyed(meta: &mut ObjectMeta) -> Result<(), Error> {
    meta.state = State::Destroyed;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_survives_a_restart_wrapped() {
    let world = World::new();
    let node = world.start().await;
    let object = create(&node, "k").await;
    let borrow = node.keyring.borrow(&TENANT, &system("orders"), object, Purpose::Protect).unwrap();
    let sealed = borrow.encrypt(Mode::Gcm, None, b"aad", b"text").unwrap();
    let sealed = borrow.finish(sealed).unwrap();
    node.stop().await;
    let bytes = std::fs::read(world.path("store").join("custody.redb")).unwrap();
    assert!(!bytes.windows(16).any(|window| window == [0x5a; 16]), "key bytes stand in the store");
    let node = world.start().await;
    let miss = node.keyring.borrow(&TENANT, &system("orders"), object, Purpose::Process).err();
    assert_eq!(miss, Some(Unborrowed::Miss));
    node.keyring.warm(&TENANT, &system("orders"), object).await.unwrap();
    let borrow = node.keyring.borrow(&TENANT, &system("orders"), object, Purpose::Process).unwrap();
    let text = borrow
        .decrypt(
            Mode::Gcm,
            sealed.drawn.as_ref().map(Iv::as_slice),
            b"aad",
            &sealed.bytes,
            sealed.tag.as_ref().map(<[u8; 16]>::as_slice),
        )
        .unwrap();
    assert_eq!(&*borrow.finish(text).unwrap(), b"text");
    assert_eq!(export(&node, object).await.unwrap(), [0x5a; 32]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_created_together_is_stored_with_the_change_beside_it_or_not_at_all() {
    let world = World::new();
    let node = world.start().await;
    let old = create(&node, "k").await;
    let ids = [ObjectId::random().unwrap(), ObjectId::random().unwrap()];
    let halves = || {
        [(ids[0], b"first!"), (ids[1], b"second")].map(|(object, bytes)| {
            let secret = node.keyring.hold::<Error>(6, |slot| {
                slot.copy_from_slice(bytes);
                Ok(())
            });
            New { object, meta: meta(), secret: secret.unwrap() }
        })
    };
    let all = || node.keyring.locate(&TENANT, &system("orders"), Filter::default(), |_, _| true).unwrap().total;
    let many = |second: &mut ObjectMeta, names: usize| {
        (0..names).for_each(|number| {
            second.names.push(Name { value: number.to_string(), kind: 1 });
        });
    };
    // Each names what it changes first, then what is wrong with it: the last new object, the old one, the change itself.
    type Change<'a> = &'a (dyn Fn(&mut ObjectMeta, &mut ObjectMeta) -> Result<(), Error> + Sync);
    let wrong: [Change<'_>; 3] = [
        &|_, second| {
            many(second, NAMES_MAX + 1);
            Ok(())
        },
        &|old, _| destroyed(old),
        &|_, _| Err(Error::Unavailable),
    ];
    let orders = system("orders");
    for (number, wrong) in wrong.into_iter().enumerate() {
        let mut changed = node.keyring.object(&TENANT, &orders, old).unwrap().meta;
        changed.names = vec![].into();
        let mut second = meta();
        let refused = wrong(&mut changed, &mut second).err();
        let change = move |olds: &mut [ObjectMeta], news: &mut [ObjectMeta]| -> Result<(), Error> {
            (olds[0], news[1]) = (changed, second);
            refused.map_or(Ok(()), Err)
        };
        let made = node.keyring.create_beside(&TENANT, &orders, vec![old], halves().into(), change).await;
        assert!(made.is_err(), "{number}");
        assert_eq!((all(), named(&node, "k")), (1, vec![old]), "{number}");
        assert!(node.keyring.borrow(&TENANT, &orders, ids[0], Purpose::Process).is_err());
    }
    let change = |olds: &mut [ObjectMeta], news: &mut [ObjectMeta]| -> Result<(), Error> {
        std::mem::swap(&mut olds[0].names, &mut news[1].names);
        Ok(())
    };
    node.keyring.create_beside(&TENANT, &orders, vec![old], halves().into(), change).await.unwrap();
    let borrow = node.keyring.borrow(&TENANT, &orders, ids[1], Purpose::Process).unwrap();
    assert_eq!(borrow.meta().unwrap().names.len(), 1, "the table has the attributes that were stored");
    drop(borrow);
    node.stop().await;
    let node = world.start().await;
    assert_eq!(named(&node, "k"), [ids[1]]);
    assert_eq!(export(&node, ids[0]).await.unwrap(), b"first!");
    assert_eq!(export(&node, ids[1]).await.unwrap(), b"second");
    assert_eq!(export(&node, old).await.unwrap(), [0x5a; 32]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_created_beside_what_is_archived() {
    let world = World::new();
    let node = world.start().await;
    let (orders, old) = (system("orders"), create(&node, "k").await);
    let archive = |meta: &mut ObjectMeta| {
        meta.dates.archive = Some(1);
        Ok::<(), Error>(())
    };
    node.keyring.update(&TENANT, &orders, old, archive).await.unwrap();
    let draft = node.keyring.draft(&TENANT);
    for keyring in [&node.keyring, &draft] {
        let none = |_: &mut [ObjectMeta], _: &mut [ObjectMeta]| Ok::<(), Error>(());
        let refused = keyring.create_beside(&TENANT, &orders, vec![old], vec![], none).await;
        assert!(matches!(refused, Err(Error::Archived(object)) if object == old), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_equals_an_absent_one() {
    let world = World::new();
    let node = world.start().await;
    let object = create(&node, "k").await;
    let nothing = ObjectId::random().unwrap();
    for (tenant, name, id) in [(OTHER, "orders", object), (TENANT, "billing", object), (TENANT, "orders", nothing)] {
        let ring = &node.keyring;
        assert_eq!(ring.borrow(&tenant, &system(name), id, Purpose::Process).err(), Some(Unborrowed::Miss));
        let answers = [
            ring.warm(&tenant, &system(name), id).await.err(),
            ring.object(&tenant, &system(name), id).err(),
            ring.update(&tenant, &system(name), id, |_| Ok::<(), Error>(())).await.err(),
            ring.destroy(&tenant, &system(name), id, destroyed).await.err(),
            ring.export(&tenant, &system(name), id, LOOK).await.err(),
        ];
        assert!(answers.iter().all(|why| matches!(why, Some(Error::Absent { .. }))), "{answers:?}");
    }
    assert_eq!(export(&node, object).await.unwrap(), [0x5a; 32]);
    let filter = Filter { by: Some(By::Name("k")), ..Filter::default() };
    assert_eq!(node.keyring.locate(&OTHER, &system("orders"), filter, |_, _| true).unwrap(), Located::default());
    assert_eq!(node.keyring.locate(&TENANT, &system("billing"), filter, |_, _| true).unwrap(), Located::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_key_is_elsewhere_is_its_attributes() {
    let world = World::new();
    let node = world.start().await;
    let mut named_k = meta();
    named_k.names.push(Name { value: "k".to_owned(), kind: 1 });
    let object = node.keyring.create_keyless(&TENANT, &system("orders"), named_k).await.unwrap();
    let here = |meta: &mut ObjectMeta| -> Result<(), Error> {
        meta.key_elsewhere = false;
        Ok(())
    };
    let kept = node.keyring.update(&TENANT, &system("orders"), object, here).await;
    assert!(matches!(kept, Err(Error::Cipher { .. })), "{kept:?}");
    assert!(matches!(export(&node, object).await, Err(Error::KeyElsewhere(id)) if id == object));
    node.stop().await;
    let node = world.start().await;
    assert!(matches!(export(&node, object).await, Err(Error::KeyElsewhere(_))));
    let found = node.keyring.object(&TENANT, &system("orders"), object).unwrap();
    assert_eq!((found.meta.key_elsewhere, found.key_bytes), (true, 0));
    assert_eq!(named(&node, "k"), [object]);
    node.keyring.destroy(&TENANT, &system("orders"), object, destroyed).await.unwrap();
    assert!(matches!(export(&node, object).await, Err(Error::Destroyed(_))));
    node.table.kill(&TENANT, Stop::Killed).unwrap();
    assert!(node.keyring.create_keyless(&TENANT, &system("orders"), meta()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_object_keeps_its_attributes_only() {
    let world = World::new();
    let node = world.start().await;
    let object = create(&node, "k").await;
    node.keyring.destroy(&TENANT, &system("orders"), object, destroyed).await.unwrap();
    assert!(matches!(export(&node, object).await, Err(Error::Destroyed(_))));
    let found = node.keyring.object(&TENANT, &system("orders"), object).unwrap();
    assert_eq!((found.meta.state, found.key_bytes), (State::Destroyed, 0));
    assert!(node.shelf.object(&TENANT, &system("orders"), object).unwrap().unwrap().wrapped.is_empty());
    node.stop().await;
    let node = world.start().await;
    assert!(matches!(export(&node, object).await, Err(Error::Destroyed(_))));
    assert_eq!(named(&node, "k"), [object]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fixed_at_creation_stays() {
    let world = World::new();
    let node = world.start().await;
    let object = create(&node, "k").await;
    let changes: [fn(&mut ObjectMeta); 3] =
        [|meta| meta.exportable = false, |meta| meta.object_type = 7, |meta| meta.state = State::Destroyed];
    for change in changes {
        let answer = node
            .keyring
            .update(&TENANT, &system("orders"), object, move |meta| {
                change(meta);
                Ok::<(), Error>(())
            })
            .await;
        assert!(answer.is_err());
    }
    let refused = node
        .keyring
        .update(&TENANT, &system("orders"), object, |meta| {
            meta.usage_mask = 1;
            Err::<(), _>(Error::Seal)
        })
        .await;
    assert!(matches!(refused, Err(Error::Seal)));
    assert_eq!(node.keyring.object(&TENANT, &system("orders"), object).unwrap().meta.usage_mask, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_seen_by_the_next_borrow_and_after_a_restart() {
    let world = World::new();
    let node = world.start().await;
    let object = create(&node, "k").await;
    let deactivate = |meta: &mut ObjectMeta| {
        meta.state = State::Deactivated;
        Ok::<(), Error>(())
    };
    node.keyring.update(&TENANT, &system("orders"), object, deactivate).await.unwrap();
    let state = |node: &Node| {
        node.keyring.borrow(&TENANT, &system("orders"), object, Purpose::Process).unwrap().meta().unwrap().state
    };
    assert_eq!(state(&node), State::Deactivated);
    node.stop().await;
    let node = world.start().await;
    node.keyring.warm(&TENANT, &system("orders"), object).await.unwrap();
    assert_eq!(state(&node), State::Deactivated);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_updates_lose_nothing() {
    let world = World::new();
    let node = world.start().await;
    let object = create(&node, "k").await;
    let add = |n: u32| {
        let keyring = node.keyring.clone();
        async move {
            let change = move |meta: &mut ObjectMeta| {
                meta.groups.push(n.to_string());
                Ok::<(), Error>(())
            };
            keyring.update(&TENANT, &system("orders"), object, change).await
        }
    };
    let all = futures::future::join_all((0..50).map(|n| tokio::spawn(add(n)))).await;
    assert!(all.iter().all(|one| one.as_ref().is_ok_and(Result::is_ok)));
    let stored = node.keyring.object(&TENANT, &system("orders"), object).unwrap().meta.groups;
    assert_eq!(stored.iter().collect::<BTreeSet<_>>().len(), 50);
    let borrowed = node.keyring.borrow(&TENANT, &system("orders"), object, Purpose::Process).unwrap();
    assert_eq!(borrowed.meta().unwrap().groups, stored, "the table holds the newest revision");
}

#[tokio::test(flavor = "multi_thread")]
async fn locate_finds_by_name_and_in_order() {
    let world = World::new();
    let node = world.start().await;
    let mut objects = Vec::new();
    for name in ["a", "b", "a"] {
        objects.push(create(&node, name).await);
        node.clock.forward(1);
    }
    assert_eq!(named(&node, "a"), [objects[2], objects[0]]);
    assert!(named(&node, "c").is_empty());
    let rename = |meta: &mut ObjectMeta| {
        meta.names.replace(0, Name { value: "c".to_owned(), kind: 1 });
        Ok::<(), Error>(())
    };
    node.keyring.update(&TENANT, &system("orders"), objects[0], rename).await.unwrap();
    assert_eq!((named(&node, "a"), named(&node, "c")), (vec![objects[2]], vec![objects[0]]));
    let all = |offset, max| {
        let filter = Filter { by: None, offset, max };
        node.keyring.locate(&TENANT, &system("orders"), filter, |_, meta| meta.object_type == 2).unwrap()
    };
    assert_eq!(all(0, None).ids, [objects[2], objects[1], objects[0]]);
    assert_eq!(all(1, Some(1)), Located { ids: vec![objects[1]], total: 3 });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_exported_is_not() {
    let world = World::new();
    let node = world.start().await;
    let mut meta = meta();
    meta.exportable = false;
    let object = node.keyring.create_object(&TENANT, &system("orders"), meta, 32, |_| Ok(())).await.unwrap();
    assert!(matches!(export(&node, object).await, Err(Error::NotExportable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_tenant_gets_nothing_and_another_everything() {
    let world = World::new();
    let node = world.start().await;
    let object = create(&node, "k").await;
    node.table.kill(&TENANT, Stop::Killed).unwrap();
    let ring = &node.keyring;
    let answers = [
        ring.create_object(&TENANT, &system("orders"), meta(), 32, |_| Ok(())).await.err(),
        ring.object(&TENANT, &system("orders"), object).err(),
        ring.warm(&TENANT, &system("orders"), object).await.err(),
        ring.locate(&TENANT, &system("orders"), Filter::default(), |_, _| true).err(),
        export(&node, object).await.err(),
        ring.warm_system(&TENANT, &system("orders")).await.err(),
    ];
    let killed = |why: &Option<Error>| matches!(why, Some(Error::Refused(Refused { why: Stop::Killed })));
    assert!(answers.iter().all(killed), "{answers:?}");
    assert!(ring.create_object(&OTHER, &system("orders"), meta(), 32, |_| Ok(())).await.is_ok());
}

/// The kill is durable before it is acknowledged: whatever else is lost, the next run knows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_tenant_stays_killed_after_a_restart() {
    let world = World::new();
    let node = world.start().await;
    let object = create(&node, "k").await;
    let drained = node.table.kill(&TENANT, Stop::Killed).unwrap();
    let row = TenantRow {
        generation: drained.generation(),
        stops: Stop::Killed.bit(),
        ..node.shelf.tenants().unwrap().remove(&TENANT).unwrap()
    };
    node.shelf.entomb(&TENANT, &row).unwrap();
    node.stop().await;
    let node = world.start().await;
    assert!(matches!(export(&node, object).await, Err(Error::Refused(Refused { why: Stop::Killed }))));
    assert_eq!(node.generation(), drained.generation());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_vault_is_an_error_that_says_so() {
    let world = World::new();
    let node = world.start().await;
    let mut held = Vec::new();
    while let Ok(secret) = node.slab.random(512) {
        held.push(secret);
    }
    let full = node.keyring.create_object(&TENANT, &system("orders"), meta(), 512, |_| Ok(())).await;
    assert!(matches!(full, Err(Error::VaultFull { .. })), "{full:?}");
    drop(held);
    assert!(node.keyring.create_object(&TENANT, &system("orders"), meta(), 512, |_| Ok(())).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_moved_between_objects_is_refused() {
    let world = World::new();
    let node = world.start().await;
    let (one, other) = (create(&node, "a").await, create(&node, "b").await);
    let stolen = node.shelf.object(&TENANT, &system("orders"), one).unwrap().unwrap();
    node.shelf.put_objects(&TENANT, [(other, stolen)]).await.unwrap();
    node.table.remove(&TENANT, &KeyId::Object(other));
    let refused = node.keyring.warm(&TENANT, &system("orders"), other).await;
    assert!(matches!(refused, Err(Error::Transplanted { field: "id", .. })), "{refused:?}");
}

fn renamed(to: &'static str) -> impl FnOnce(&mut ObjectMeta) -> Result<(), Error> + Send + 'static {
    move |meta| {
        meta.names.push(Name { value: to.to_owned(), kind: 1 });
        Ok(())
    }
}

fn all(keyring: &Keyring) -> Vec<ObjectId> {
    keyring.locate(&TENANT, &system("orders"), Filter::default(), |_, _| true).unwrap().ids
}

async fn draw(keyring: &Keyring) -> ObjectId {
    let fill = |out: &mut [u8]| {
        out.fill(1);
        Ok(())
    };
    keyring.create_object(&TENANT, &system("orders"), meta(), 32, fill).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_seen_by_itself_and_committed_at_once() {
    let world = World::new();
    let node = world.start().await;
    let (changed, gone) = (create(&node, "a").await, create(&node, "b").await);
    let draft = node.keyring.draft(&TENANT);
    let orders = system("orders");
    let made = draw(&draft).await;
    for name in ["c", "d"] {
        draft.update(&TENANT, &orders, changed, renamed(name)).await.unwrap();
    }
    draft.destroy(&TENANT, &orders, gone, destroyed).await.unwrap();
    assert_eq!(all(&draft).len(), 3);
    let filter = Filter { by: Some(By::Name("d")), ..Filter::default() };
    assert_eq!(draft.locate(&TENANT, &orders, filter, |_, _| true).unwrap().ids, [changed]);
    assert!(draft.object(&TENANT, &orders, gone).unwrap().meta.state.is_destroyed());
    assert!(matches!(draft.export(&TENANT, &orders, gone, LOOK).await, Err(Error::Destroyed(_))));
    assert!(draft.borrow(&TENANT, &orders, changed, Purpose::Process).unwrap().meta().unwrap().names.len() == 3);
    // Nobody else sees any of it.
    assert_eq!(all(&node.keyring).len(), 2);
    assert!(named(&node, "d").is_empty());
    assert!(node.keyring.object(&TENANT, &orders, made).is_err());
    assert_eq!(export(&node, gone).await.unwrap(), [0x5a; 32]);
    let before = node.shelf.commits();
    draft.commit(Purpose::Protect).await.unwrap();
    drop(draft);
    assert_eq!(node.shelf.commits(), before + 1, "one transaction");
    assert_eq!((all(&node.keyring).len(), named(&node, "d")), (3, vec![changed]));
    assert!(matches!(export(&node, gone).await, Err(Error::Destroyed(_))));
    let meta = node.keyring.borrow(&TENANT, &orders, changed, Purpose::Process).unwrap().meta().cloned();
    assert_eq!(meta.unwrap().names.len(), 3, "the table follows");
    node.stop().await;
    let node = world.start().await;
    assert_eq!(export(&node, made).await.unwrap(), [1; 32]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_is_not_committed_leaves_nothing() {
    let world = World::new();
    let node = world.start().await;
    let old = create(&node, "a").await;
    let keys = node.table.keys_of(&TENANT);
    let draft = node.keyring.draft(&TENANT);
    draw(&draft).await;
    draft.destroy(&TENANT, &system("orders"), old, destroyed).await.unwrap();
    assert_eq!(node.table.keys_of(&TENANT), keys + 1);
    drop(draft);
    assert_eq!(node.table.keys_of(&TENANT), keys, "its keys are zeroized");
    assert_eq!((all(&node.keyring), export(&node, old).await.unwrap()), (vec![old], vec![0x5a; 32]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_of_an_object_that_another_changed_is_refused_whole() {
    let world = World::new();
    let node = world.start().await;
    let (old, orders) = (create(&node, "a").await, system("orders"));
    let draft = node.keyring.draft(&TENANT);
    draw(&draft).await;
    draft.update(&TENANT, &orders, old, renamed("mine")).await.unwrap();
    node.keyring.update(&TENANT, &orders, old, renamed("theirs")).await.unwrap();
    assert!(matches!(draft.commit(Purpose::Protect).await, Err(Error::Contended(object)) if object == old));
    drop(draft);
    assert_eq!((all(&node.keyring), named(&node, "mine"), named(&node, "theirs")), (vec![old], vec![], vec![old]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_wins_over_a_draft() {
    let world = World::new();
    let node = world.start().await;
    let draft = node.keyring.draft(&TENANT);
    draw(&draft).await;
    node.table.kill(&TENANT, Stop::Killed).unwrap();
    assert!(matches!(draft.commit(Purpose::Protect).await, Err(Error::Refused(_))));
    // Nor once it is lifted: what the batch computed was computed before.
    node.table.lift(&TENANT, Stop::Killed);
    assert!(matches!(draft.commit(Purpose::Protect).await, Err(Error::Stale { .. })));
    assert!(all(&node.keyring).is_empty());
}
