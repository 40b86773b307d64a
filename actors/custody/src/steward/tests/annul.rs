//! The end of a tenant, met before, between and after what founds and links it: in no order is it served afterwards.

use proptest::prelude::*;

use super::*;

impl House {
    fn annul(&self) -> (Directive, Digest) {
        let end = self.world.certificate(Action::TerminateTenant {}, "carol", &["dave"]);
        let name = Change::digest_of(&end.change);
        (Directive::Annul { genesis: Box::new(self.world.genesis()), warrant: self.world.warrant(end) }, name)
    }
}

#[tokio::test]
async fn a_tenant_that_ended_before_it_came_is_never_founded_here() {
    let house = House::new();
    let run = house.start().await;
    let (annul, name) = house.annul();
    let ack = run.applied(&annul).await;
    assert_eq!((ack.change, ack.trust_version, ack.epoch), (Some(name), 0, 0));
    assert!(run.refused(&house.provision()).await.contains("ended here before it was founded"));
    run.stop().await;
    let run = house.start().await;
    assert!(run.refused(&house.provision()).await.contains("ended here before it was founded"), "over a start");
    run.applied(&annul).await;
    assert!(run.steward.trust(&run.tenant).is_none() && !run.is_served());
}

#[tokio::test]
async fn only_the_certified_end_of_that_very_tenant_ends_it() {
    let house = House::new();
    let run = house.start().await;
    let annul = |certificate| Directive::Annul {
        genesis: Box::new(house.world.genesis()),
        warrant: house.world.warrant(certificate),
    };
    assert!(run.refused(&annul(house.world.kill())).await.contains("annul directive cannot carry a RevokeL1"));
    let alone = house.world.certificate(Action::TerminateTenant {}, "carol", &[]);
    run.refused(&annul(alone)).await;
    let other = World::of("test", "other");
    let end = other.certificate(Action::TerminateTenant {}, "carol", &["dave"]);
    run.refused(&annul(end.clone())).await;
    let stranger = Directive::Annul { genesis: Box::new(other.genesis()), warrant: house.world.warrant(end) };
    run.refused(&stranger).await;
    let mut elsewhere = house.world.change(Action::TerminateTenant {});
    elsewhere.regions.remove(&region(HERE));
    run.refused(&annul(house.world.sign_change(&elsewhere, "carol", &["dave"]))).await;
    run.applied(&house.provision()).await;
}

#[tokio::test]
async fn an_end_is_remembered_without_a_pin_as_far_as_there_is_room() {
    let house = House::new();
    let run = house.start_pinning(BTreeSet::new()).await;
    let (annul, _) = house.annul();
    let change = Digest([7; 32]);
    for n in 0..super::super::annul::ENDED_UNPINNED_MAX {
        let mut id = [9; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        // Many at once share a commit.
        if n % 512 == 0 {
            run.shelf.end(&TenantId(Digest(id)), &change).await.unwrap();
        } else {
            drop(tokio::spawn({
                let shelf = run.shelf.clone();
                async move { shelf.end(&TenantId(Digest(id)), &change).await.unwrap() }
            }));
        }
    }
    while run.shelf.ended().unwrap() < super::super::annul::ENDED_UNPINNED_MAX {
        tokio::task::yield_now().await;
    }
    assert!(run.refused(&annul).await.contains("no more are remembered"));
    run.stop().await;
    // A pinned one always has room.
    let run = house.start().await;
    run.applied(&annul).await;
    run.stop().await;
    // It needs none where it is known.
    let run = house.start_pinning(BTreeSet::new()).await;
    run.applied(&annul).await;
}

/// What may come in any order, any number of times: the genesis, as it was first sent and as it is sent again; the link; the end; a restart.
#[derive(Clone, Copy, Debug)]
enum Step {
    Found,
    FoundAgain,
    Link,
    Annul,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Found),
        Just(Step::FoundAgain),
        Just(Step::Link),
        Just(Step::Annul),
        Just(Step::Restart)
    ];
    proptest::collection::vec(step, 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn in_no_order_is_an_ended_tenant_served(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut house = House::new();
            let (annul, _) = house.annul();
            let link = Directive::Link(house.world.warrant(house.world.link("k")));
            let (mut run, first) = (house.start().await, house.provision());
            let links = vec![house.another_version(1)];
            let again = Directive::Provision { genesis: house.world.genesis(), links };
            let mut ended = false;
            for step in steps {
                match step {
                    Step::Found => _ = run.send(&first).await,
                    Step::FoundAgain => _ = run.send(&again).await,
                    Step::Link => _ = run.send(&link).await,
                    Step::Annul => {
                        let ack = run.send(&annul).await.unwrap();
                        assert_eq!(ack.outcome, Outcome::Applied);
                        ended = true;
                    }
                    Step::Restart => {
                        run.stop().await;
                        run = house.start().await;
                    }
                }
                if ended {
                    let held = run.steward.trust(&run.tenant).is_some();
                    assert!(!run.is_served() && (!held || run.stops().holds(Stop::KilledForGood)));
                    assert!(!held || run.unseals().await.is_err());
                }
            }
        });
    }
}
