//! What is found by an index is what a look at every object finds, in the same order, whatever has been changed before.

use proptest::prelude::*;

use super::*;
use crate::{
    object::{Application, Certificate, Custom, Link},
    shelf::Term,
};

const TEXTS: [&str; 2] = ["a", "b"];

/// Values that differ in their kind, or only in where one part ends and the next begins.
struct Values {
    applications: [Application; 2],
    custom: [(&'static str, Custom); 4],
}

fn values() -> Values {
    let application = |namespace: &str, value: &str| Application { namespace: namespace.into(), value: value.into() };
    Values {
        applications: [application("a", "bc"), application("ab", "c")],
        custom: [
            ("x-a", Custom::Text("1".to_owned())),
            ("x-a", Custom::Integer(1)),
            ("x-a", Custom::LongInteger(1)),
            ("x-b", Custom::Text("1".to_owned())),
        ],
    }
}

impl Values {
    /// Gives an object those of all values whose bits are set, in place of what it had.
    fn give(&self, meta: &mut ObjectMeta, bits: u16) {
        let has = |at: usize| bits >> at & 1 == 1;
        let texts =
            |from: usize| TEXTS.into_iter().enumerate().filter(move |(at, _)| has(from + at)).map(|(_, text)| text);
        let named = |from| texts(from).map(|text| Name { value: text.to_owned(), kind: 1 }).collect::<Vec<_>>();
        meta.names = named(0).into();
        meta.alternative_names = named(2).into();
        meta.groups = texts(4).map(str::to_owned).collect::<Vec<_>>().into();
        meta.links = texts(6).map(|text| Link { kind: 0x101, to: text.to_owned() }).collect::<Vec<_>>().into();
        let applications = self.applications.iter().enumerate().filter(|(at, _)| has(8 + at));
        meta.applications = applications.map(|(_, one)| one.clone()).collect::<Vec<_>>().into();
        meta.custom.clear();
        for (_, (name, value)) in self.custom.iter().enumerate().filter(|(at, _)| has(10 + at)) {
            meta.custom.entry((*name).to_owned()).or_default().push(value.clone());
        }
        let certificate = || Box::new(Certificate { subject: b"a".to_vec(), ..Certificate::default() });
        meta.certificate = has(14).then(certificate);
        meta.usage_mask = if has(15) { 0x1000 } else { 12 };
    }

    /// All that can be looked for.
    fn all<'a>(&'a self, objects: &'a [ObjectId]) -> impl Iterator<Item = By<'a>> {
        let texts = TEXTS.into_iter().flat_map(|text| {
            [Term::Group(text), Term::Linked(text), Term::AlternativeName(text)]
                .map(By::Term)
                .into_iter()
                .chain([By::Name(text)])
        });
        let applications = self.applications.iter().map(|one| By::Term(Term::Application(one)));
        let custom = self.custom.iter().map(|(name, value)| By::Term(Term::Custom(name, value)));
        let certificates = [Term::Subject(b"a"), Term::Subject(b"b"), Term::SignsCertificates].map(By::Term);
        let absent = [ObjectId::from_random([0; 16])].map(By::Object);
        texts
            .chain(applications)
            .chain(custom)
            .chain(certificates)
            .chain(objects.iter().map(|id| By::Object(*id)))
            .chain(absent)
    }

    fn check(&self, keyring: &Keyring, objects: &[ObjectId]) {
        for by in self.all(objects) {
            for (offset, max) in [(0, None), (1, Some(2))] {
                let locate = |by_index, keep: &dyn Fn(ObjectId, &ObjectMeta) -> bool| {
                    let filter = Filter { by: by_index, offset, max };
                    keyring.locate(&TENANT, &system("orders"), filter, keep).unwrap()
                };
                let looked = locate(None, &|object, meta| by.fits(object, meta));
                assert_eq!(locate(Some(by), &|_, _| true), looked, "{by:?} from {offset}");
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Create(u16),
    Change(usize, u16),
    Destroy(usize, u16),
    Archive(usize),
    Recover(usize, u16),
    Wait,
    /// Begins a draft, or commits the one that was begun.
    Draft,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => any::<u16>().prop_map(Step::Create),
        4 => any::<(usize, u16)>().prop_map(|(which, bits)| Step::Change(which, bits)),
        1 => any::<(usize, u16)>().prop_map(|(which, bits)| Step::Destroy(which, bits)),
        1 => any::<usize>().prop_map(Step::Archive),
        1 => any::<(usize, u16)>().prop_map(|(which, bits)| Step::Recover(which, bits)),
        2 => Just(Step::Wait),
        2 => Just(Step::Draft),
    ];
    proptest::collection::vec(step, 1..30)
}

/// A change that is refused leaves all as it was.
async fn take(keyring: &Keyring, objects: &mut Vec<ObjectId>, step: Step) {
    let orders = system("orders");
    let which = |at: usize| objects.get(at % objects.len().max(1)).copied();
    let give = |bits| {
        move |meta: &mut ObjectMeta| {
            values().give(meta, bits);
            Ok::<(), Error>(())
        }
    };
    let changed = match step {
        Step::Wait | Step::Draft => Ok(()),
        Step::Create(bits) => {
            let mut meta = meta();
            values().give(&mut meta, bits);
            objects.push(keyring.create_object(&TENANT, &orders, meta, 32, |_| Ok(())).await.unwrap());
            Ok(())
        }
        Step::Change(at, bits) => match which(at) {
            Some(object) => keyring.update(&TENANT, &orders, object, give(bits)).await,
            None => Ok(()),
        },
        Step::Archive(at) => match which(at) {
            Some(object) => {
                let archive = |meta: &mut ObjectMeta| {
                    meta.dates.archive = Some(1);
                    Ok(())
                };
                keyring.update(&TENANT, &orders, object, archive).await
            }
            None => Ok(()),
        },
        Step::Recover(at, bits) => match which(at) {
            Some(object) => {
                let recover = move |meta: &mut ObjectMeta| {
                    meta.dates.archive = None;
                    give(bits)(meta)
                };
                keyring.recover(&TENANT, &orders, object, recover).await
            }
            None => Ok(()),
        },
        Step::Destroy(at, bits) => match which(at) {
            Some(object) => {
                let destroy = move |meta: &mut ObjectMeta| {
                    give(bits)(meta)?;
                    destroyed(meta)
                };
                keyring.destroy(&TENANT, &orders, object, destroy).await
            }
            None => Ok(()),
        },
    };
    let refused = changed.err();
    assert!(matches!(refused, None | Some(Error::Archived(_))), "{refused:?}");
}

async fn walk(steps: Vec<Step>) {
    let world = World::new();
    let node = world.start().await;
    let values = values();
    // Another system's objects are no answer.
    let mut foreign = meta();
    values.give(&mut foreign, u16::MAX);
    node.keyring.create_object(&TENANT, &system("billing"), foreign, 32, |_| Ok(())).await.unwrap();
    let (mut draft, mut objects) = (None::<Keyring>, vec![]);
    for step in steps {
        take(draft.as_ref().unwrap_or(&node.keyring), &mut objects, step).await;
        match (step, draft.take()) {
            (Step::Draft, None) => draft = Some(node.keyring.draft(&TENANT)),
            (Step::Draft, Some(open)) => open.commit(Purpose::Protect).await.unwrap(),
            (Step::Wait, open) => {
                node.clock.forward(1);
                draft = open;
            }
            (_, open) => draft = open,
        }
        if let Some(draft) = &draft {
            values.check(draft, &objects);
            // What it has made comes first, and all else where it stood.
            assert!(all(draft).ends_with(&all(&node.keyring)));
        }
        values.check(&node.keyring, &objects);
    }
    drop(draft);
    node.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn an_index_finds_what_a_look_at_every_object_finds(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(walk(steps));
    }
}
