//! Objects that bring their ids: absent, there already, another system's, and opened by others meanwhile.

use futures::poll;

use super::*;

fn new(node: &Node, object: ObjectId, name: &str, byte: u8) -> New {
    let secret = node.keyring.hold::<Error>(32, |slot| {
        slot.fill(byte);
        Ok(())
    });
    let mut meta = meta();
    meta.names.push(Name { value: name.to_owned(), kind: 1 });
    New { object, meta, secret: secret.unwrap() }
}

async fn import(node: &Node, in_system: &str, new: New, replaces: bool) -> Result<(), Error> {
    node.keyring.import(&TENANT, &system(in_system), new, replaces).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_there_gives_way_only_if_it_is_told_to() {
    let world = World::new();
    let node = world.start().await;
    let (old, later) = (create(&node, "old").await, create(&node, "later").await);
    assert!(
        matches!(import(&node, "orders", new(&node, old, "new", 1), false).await, Err(Error::Exists(id)) if id == old)
    );
    assert_eq!((export(&node, old).await.unwrap(), named(&node, "old")), (vec![0x5a; 32], vec![old]));
    import(&node, "orders", new(&node, old, "new", 1), true).await.unwrap();
    assert_eq!(export(&node, old).await.unwrap(), [1; 32]);
    assert_eq!((named(&node, "old"), named(&node, "new")), (vec![], vec![old]));
    let all =
        |node: &Node| node.keyring.locate(&TENANT, &system("orders"), Filter::default(), |_, _| true).unwrap().ids;
    let before = all(&node);
    assert!(before.contains(&old) && before.contains(&later) && before.len() == 2, "it stands where it stood");
    node.keyring.destroy(&TENANT, &system("orders"), old, destroyed).await.unwrap();
    assert!(matches!(import(&node, "orders", new(&node, old, "new", 1), false).await, Err(Error::Exists(_))));
    import(&node, "orders", new(&node, old, "back", 2), true).await.unwrap();
    let absent = ObjectId::random().unwrap();
    import(&node, "orders", new(&node, absent, "first", 3), false).await.unwrap();
    import(&node, "orders", new(&node, absent, "first", 4), true).await.unwrap();
    node.stop().await;
    let node = world.start().await;
    assert_eq!(export(&node, old).await.unwrap(), [2; 32]);
    assert_eq!((export(&node, absent).await.unwrap(), all(&node).len()), (vec![4; 32], 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_another_system_is_taken_and_one_of_another_tenant_is_not() {
    let world = World::new();
    let node = world.start().await;
    let object = create(&node, "k").await;
    for replaces in [false, true] {
        let refused = import(&node, "billing", new(&node, object, "k", 1), replaces).await;
        assert!(matches!(refused, Err(Error::Taken(id)) if id == object), "{refused:?}");
    }
    node.keyring.import(&OTHER, &system("orders"), new(&node, object, "k", 1), false).await.unwrap();
    assert_eq!(export(&node, object).await.unwrap(), [0x5a; 32]);
    let other = node.keyring.export(&OTHER, &system("orders"), object, LOOK).await.unwrap();
    assert_eq!(*other, [1; 32]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_of_an_object_comes_into_the_table_while_it_is_replaced() {
    let world = World::new();
    let node = world.start().await;
    let (orders, object) = (system("orders"), create(&node, "k").await);
    let mark = node.keyring.evicted(&TENANT, object).unwrap();
    let miss = node.keyring.borrow(&TENANT, &orders, object, Purpose::Process).err();
    assert_eq!(miss, Some(Unborrowed::Miss), "the old key has left");
    assert!(matches!(node.keyring.warm(&TENANT, &orders, object).await, Err(Error::Contended(_))));
    assert!(matches!(import(&node, "orders", new(&node, object, "k", 1), true).await, Err(Error::Contended(_))));
    drop(mark);
    node.keyring.warm(&TENANT, &orders, object).await.unwrap();
    assert_eq!(export(&node, object).await.unwrap(), [0x5a; 32]);
}

/// What a transaction takes along; it writes down what is stored when it goes.
struct Probe(Arc<Shelf>, ObjectId, std::sync::mpsc::Sender<Option<String>>);

impl Drop for Probe {
    fn drop(&mut self) {
        let found = self.0.object(&TENANT, &system("orders"), self.1).unwrap();
        let name = found.and_then(|row| row.meta.names.first().map(|name| name.value.clone()));
        drop(self.2.send(name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_given_up_leaves_its_mark_to_the_commit() {
    let world = World::new();
    let node = world.start().await;
    let object = create(&node, "old").await;
    let New { object, meta, secret } = new(&node, object, "new", 1);
    let (row, _) = node.keyring.sealed(&TENANT, &system("orders"), object, meta, secret).await.unwrap();
    let (sender, told) = std::sync::mpsc::channel();
    let mut request =
        Box::pin(node.shelf.import_object(&TENANT, object, row, Some(Probe(node.shelf.clone(), object, sender))));
    // Its job is in the queue then, and nobody waits for it any more.
    _ = poll!(&mut request);
    drop(request);
    create(&node, "another").await;
    assert_eq!(told.recv().unwrap().as_deref(), Some("new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_imports_nothing_and_neither_does_a_killed_tenant() {
    let world = World::new();
    let node = world.start().await;
    let object = ObjectId::random().unwrap();
    let refused =
        node.keyring.draft(&TENANT).import(&TENANT, &system("orders"), new(&node, object, "k", 1), false).await;
    assert!(matches!(refused, Err(Error::NoDraft(_))), "{refused:?}");
    let kept = new(&node, object, "k", 1);
    node.table.kill(&TENANT, Stop::Killed).unwrap();
    assert!(matches!(import(&node, "orders", kept, false).await, Err(Error::Refused(_))));
}
