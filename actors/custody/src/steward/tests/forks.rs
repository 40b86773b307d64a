//! Two certified successors of one trust version: what freezes, what goes on, what a restart still knows, what settles it.

use super::*;

impl House {
    /// A successor of the present version that is not followed.
    fn aside(&self, name: &str) -> Certificate {
        let system = System::new(name).unwrap();
        let next = self.world.next(|root| assert!(root.systems.insert(system.clone())));
        self.world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"])
    }
    fn trust(&self, link: &Certificate) -> Directive {
        Directive::Trust(self.world.warrant(link.clone()))
    }
    /// A region that follows one successor, and another successor of the same version.
    async fn beside(&mut self) -> (Run, Certificate) {
        let run = self.served().await;
        self.world.epoch = 2;
        let other = self.aside("other");
        let ours = self.another_version(0);
        run.applied(&self.trust(&ours)).await;
        self.world.epoch = 3;
        (run, other)
    }
    /// What declares versions void.
    fn settles(&mut self, void: impl IntoIterator<Item = Digest>) -> Certificate {
        let next = self.world.next(|root| root.void.extend(void));
        self.world.certificate(Action::ChangeActors { next }, "erin", &["alice"])
    }
}

fn root(link: &Certificate) -> Digest {
    Change::from_bytes(&link.change).unwrap().action.next().unwrap().digest().unwrap()
}

impl Run {
    fn forked(&self) -> bool {
        self.held().stops.forked
    }
}

#[tokio::test]
async fn a_second_successor_freezes_all_but_stops_over_restarts_until_it_is_void() {
    let mut house = House::new();
    let (run, other) = house.beside().await;
    assert!(!run.forked());
    let why = run.refused(&house.trust(&other)).await;
    assert!(why.contains("two certified versions") && why.contains(&root(&other).to_string()), "{why}");
    run.stop().await;
    let run = house.start().await;
    assert!(run.forked(), "it is durable");
    let told: Vec<_> = run.steward.branches();
    assert_eq!(told.len(), 2, "both successors are told");
    assert!(told.contains(&other));
    // What is held serves on, by leases for the head that stood.
    run.applied(&house.lease(&run.held())).await;
    assert!(run.is_served());
    run.unseals().await.unwrap();
    // No grant, and no other version, not even a ChangeActors that settles nothing.
    let link = Directive::Link(house.world.warrant(house.world.link("k2")));
    assert!(run.refused(&link).await.contains("two certified versions"));
    let more = house.aside("more");
    assert!(run.refused(&house.trust(&more)).await.contains("two certified versions"));
    let mute = house.settles([Digest([9; 32])]);
    assert!(run.refused(&house.trust(&mute)).await.contains("two certified versions"));
    // A stop stops, brings no link along, and is lifted by nothing.
    let version = run.held().trust_version;
    let (kill, digest) = house.kill_bringing(vec![]);
    run.applied(&kill).await;
    assert!(run.stops().holds(Stop::Killed));
    assert!(run.refused(&house.restore(4, digest)).await.contains("two certified versions"));
    assert_eq!(run.held().trust_version, version);
    // What settles it is durable, and then grants are taken again.
    house.world.epoch = 4;
    let settles = house.settles([root(&other)]);
    run.applied(&house.trust(&settles)).await;
    house.world.extend(&settles);
    assert!(!run.forked());
    assert!(run.steward.branches().is_empty());
    run.stop().await;
    let run = house.start().await;
    assert!(!run.forked());
    assert!(!run.refused(&house.trust(&other)).await.contains("two certified versions"), "void for good");
    run.applied(&house.restore(5, digest)).await;
}

#[tokio::test]
async fn what_nobody_certified_freezes_nothing() {
    let mut house = House::new();
    let (run, mut other) = house.beside().await;
    other.approvals.clear();
    run.refused(&house.trust(&other)).await;
    let (kill, _) = house.kill_bringing(vec![other]);
    run.refused(&kill).await;
    assert!(!run.forked());
}

#[tokio::test]
async fn a_stop_of_the_other_branch_stops_and_its_links_freeze() {
    let mut house = House::new();
    let (run, other) = house.beside().await;
    let trusted = run.held().trust;
    // Somebody who knows the other branch alone kills.
    let mut elsewhere = World::new();
    elsewhere.epoch = 2;
    elsewhere.extend(&other);
    let certificate = elsewhere.kill();
    let kill = Warrant { tenant: run.tenant, links: vec![other], certificate };
    let ack = run.applied(&Directive::Kill(kill.clone())).await;
    assert_eq!(ack.change, Some(Change::digest_of(&kill.certificate.change)));
    assert!(run.stops().holds(Stop::Killed) && run.forked());
    run.stop().await;
    let run = house.start().await;
    assert!(run.stops().holds(Stop::Killed) && run.forked());
    assert_eq!(run.held().trust, trusted, "the branch that was held is held");
    run.applied(&Directive::Kill(kill)).await;
}

#[tokio::test]
async fn a_stop_brings_no_link_to_a_frozen_tenant() {
    let mut house = House::new();
    let (run, other) = house.beside().await;
    run.refused(&house.trust(&other)).await;
    let version = run.held().trust_version;
    let more = house.another_version(1);
    let (kill, _) = house.kill_bringing(vec![more]);
    run.applied(&kill).await;
    assert_eq!((run.held().trust_version, run.stops().holds(Stop::Killed)), (version, true));
}
