//! Levelling and leases: what a region that lacks something is owed, and who gets a renewal.

use std::collections::BTreeSet;

use orbital::{
    certificate::certify,
    chain::Chain,
    directive::LeaseGrant,
    halt::Halts,
    report::{Observed, Stops},
};

use super::*;
use crate::tenant::{lease::renewal, level::Levelled};

/// A region that is level with the tenant, and knows these kills besides.
pub(super) fn observed(bench: &Bench, more: impl IntoIterator<Item = Digest>) -> Observed {
    let desired = super::super::level::desired(&bench.tenant, &region("us-east"));
    Observed {
        trust_version: bench.tenant.chain.version(),
        trust: bench.tenant.chain.digest(),
        epoch: desired.epoch,
        generation: 1,
        halts: desired.halts.iter().chain(more.into_iter().map(|kill| (Halt::Kill, kill))).collect(),
        lifted: desired.lifted,
        linked: desired.linked,
        l1: L1State::Enabled,
        stops: Stops::default(),
        lease_left: Some(60),
        keys: 3,
        lease_nonce: Some("AAAAAAAAAAAAAAAAAAAAAA".into()),
        usage: Default::default(),
        recoveries: Default::default(),
    }
}

/// The names of what a region is owed that says this of itself.
pub(super) fn owed_to(bench: &mut Bench, observed: &Observed) -> Vec<&'static str> {
    names(&step(bench, Some(observed)))
}

pub(super) fn step(bench: &mut Bench, observed: Option<&Observed>) -> Levelled {
    step_where(bench, observed, false)
}

fn step_where(bench: &mut Bench, observed: Option<&Observed>, crowded: bool) -> Levelled {
    let (evaluator, claims) = (bench.evaluator.clone(), &bench.claims);
    let facts = Facts {
        now_ms: bench.now_ms,
        evaluator,
        seen: &bench.seen,
        claims,
        hyok: &bench.hyok,
        channels: &bench.channels,
        ports: &bench.ports,
        restored: None,
    };
    bench.levels.step(&bench.tenant, &facts, &bench.pending, &region("us-east"), observed, crowded)
}

pub(super) fn names(levelled: &Levelled) -> Vec<&'static str> {
    levelled.decision.owe.iter().map(|o| o.directive.name()).collect()
}

/// A tenant with a history: link, two versions, a kill and its restore, another version. All acknowledged.
pub(super) fn history() -> Bench {
    let mut bench = Bench::new();
    bench.linked();
    bench.acknowledge_all("link");
    for system in ["one", "two"] {
        let action = bench.register(system);
        let id = bench.propose(action, "alice").unwrap();
        bench.approve(&id, "bob").unwrap();
        bench.acknowledge_all("trust");
    }
    let kill = bench.killed();
    bench.acknowledge_all("kill");
    let restore = bench.propose(Action::RestoreL1 { kills: [kill].into() }, "alice").unwrap();
    for who in ["bob", "carol", "dave"] {
        bench.approve(&restore, who).unwrap();
    }
    bench.acknowledge_all("restore");
    let action = bench.register("three");
    let id = bench.propose(action, "alice").unwrap();
    bench.approve(&id, "bob").unwrap();
    bench.acknowledge_all("trust");
    bench
}

/// Takes directives as a region does, and refuses what a region would refuse.
struct Regional {
    chain: Chain,
    epoch: u64,
    linked: Option<Digest>,
    kills: BTreeSet<Digest>,
    restored: BTreeSet<Digest>,
}

impl Regional {
    fn take(known: Option<Self>, directive: &Directive) -> Self {
        let Directive::Provision { genesis, links } = directive else {
            return known.expect("a tenant is provisioned first").follow(directive);
        };
        let chain = genesis.found().unwrap();
        let mut founded = Self { chain, epoch: 0, linked: None, kills: BTreeSet::new(), restored: BTreeSet::new() };
        links.iter().for_each(|link| founded.extend(link));
        founded
    }

    fn extend(&mut self, link: &orbital::certificate::Certificate) {
        let (chain, certified) = self.chain.extend(link).unwrap();
        (self.chain, self.epoch) = (chain, certified.change().epoch);
    }

    fn follow(mut self, directive: &Directive) -> Self {
        let (Directive::Link(w) | Directive::Restore(w) | Directive::Trust(w) | Directive::Kill(w)) = directive else {
            panic!("{} moves nothing", directive.name())
        };
        w.links.iter().for_each(|link| self.extend(link));
        let certified = certify(&w.certificate, &self.chain, NOW).unwrap();
        let change = certified.change();
        assert!(change.kind().is_stop() || change.epoch > self.epoch, "epochs grow");
        match &change.action {
            Action::LinkL1 { .. } => self.linked = Some(certified.digest()),
            Action::RevokeL1 {} => _ = self.kills.insert(certified.digest()),
            Action::RestoreL1 { kills } => self.restored.extend(kills),
            _ => {
                return {
                    self.extend(&w.certificate);
                    self
                };
            }
        }
        if !change.kind().is_stop() {
            self.epoch = change.epoch;
        }
        self
    }
}

#[test]
fn a_region_that_lost_its_store_gets_the_whole_history_in_order() {
    let mut bench = history();
    // Stops first, in a transaction of their own.
    let levelled = step(&mut bench, None);
    assert_eq!((levelled.level, names(&levelled), levelled.decision.room), (false, vec!["kill"], ledger::Room::Stop));
    bench.commit(levelled.decision);
    // Long after: what is on its way is not owed a second time, however often the region says that it lacks it.
    bench.now_ms += 600_000;
    let levelled = step(&mut bench, None);
    assert_eq!(names(&levelled), ["provision", "link", "trust", "restore", "trust"]);
    assert_eq!(levelled.decision.room, ledger::Room::Ordinary);
    let sent: Vec<_> = levelled.decision.owe.iter().map(|o| o.directive.clone()).collect();
    bench.commit(levelled.decision);
    assert_eq!(bench.replayed(), bench.tenant);
    bench.now_ms += 600_000;
    assert!(names(&step(&mut bench, None)).is_empty(), "nothing is owed twice");
    let region = sent.iter().fold(None, |known, directive| Some(Regional::take(known, directive))).unwrap();
    assert_eq!(region.chain.digest(), bench.tenant.chain.digest());
    assert_eq!((region.epoch, region.linked), (bench.tenant.epoch, bench.tenant.link));
    assert_eq!(region.restored, bench.tenant.lifted.kills);
}

#[test]
fn a_region_that_is_level_is_left_alone() {
    let mut bench = history();
    let seen = observed(&bench, [Digest([3; 32])]);
    let levelled = step(&mut bench, Some(&seen));
    assert!(levelled.level && levelled.decision.is_empty());
}

#[test]
fn a_region_that_is_behind_gets_what_came_after() {
    let mut bench = history();
    let mut seen = observed(&bench, []);
    (seen.trust_version, seen.epoch) = (2, 2);
    seen.lifted.clear();
    let levelled = step(&mut bench, Some(&seen));
    assert_eq!(names(&levelled), ["trust", "restore", "trust"]);
}

#[test]
fn what_a_region_refuses_is_tried_again_later_and_later() {
    let mut bench = history();
    let mut seen = observed(&bench, []);
    seen.halts.clear();
    let mut owed_at = Vec::new();
    for second in 0..30_u64 {
        bench.now_ms = (NOW + second) * 1_000;
        let levelled = step(&mut bench, Some(&seen));
        if names(&levelled) == ["kill"] {
            owed_at.push(second);
            bench.commit(levelled.decision);
            let kill = bench.newest("us-east", "kill");
            bench.acknowledge("us-east", &kill, Outcome::Refused);
        }
    }
    assert_eq!(owed_at, [0, 1, 3, 7, 12, 17, 22, 27]);
}

#[test]
fn a_hello_that_left_before_a_kill_came_does_not_send_it_again() {
    let mut bench = history();
    let mut seen = observed(&bench, []);
    seen.halts.clear();
    let kill = *bench.tenant.halts.keys().next().unwrap();
    bench.levels.taken(&region("us-east"), kill, bench.now_ms);
    assert!(names(&step(&mut bench, Some(&seen))).is_empty());
    bench.now_ms += 10_000;
    assert_eq!(names(&step(&mut bench, Some(&seen))), ["kill"]);
}

#[test]
fn an_older_version_is_active_once_a_newer_one_is_acknowledged() {
    let mut bench = Bench::new();
    let mut ids = Vec::new();
    for system in ["one", "two"] {
        let action = bench.register(system);
        let id = bench.propose(action, "alice").unwrap();
        bench.approve(&id, "bob").unwrap();
        ids.push(id);
    }
    bench.acknowledge_all("trust");
    assert_eq!(ids.iter().map(|id| bench.tenant.proposals[id].state).collect::<Vec<_>>(), [State::Active; 2]);
    assert_eq!(bench.replayed(), bench.tenant);
}

#[test]
fn a_lease_is_renewed_for_a_region_that_asks_and_is_level() {
    let mut bench = history();
    bench.linked_again();
    let key = bench.world.lease_key();
    let good = observed(&bench, []);
    let renewed = |seen: &Observed| renewal(&bench.tenant, &region("us-east"), seen, key).unwrap();
    let Some(Directive::Lease(signed)) = renewed(&good) else { panic!("no renewal") };
    signed.verify(Kind::Lease, &key.public()).unwrap();
    let grant = LeaseGrant::read(&signed).unwrap();
    assert_eq!((grant.seconds, grant.region, Some(grant.nonce)), (3_600, region("us-east"), good.lease_nonce.clone()));
    assert_eq!((grant.kills, grant.restored), (good.halts.names(), good.lifted.names()));
    let refused = [
        Observed { lease_nonce: None, ..good.clone() },
        Observed { epoch: good.epoch - 1, ..good.clone() },
        Observed { trust: Digest([1; 32]), ..good.clone() },
        Observed { halts: Halts::default(), ..good.clone() },
        Observed { lifted: Halts::default(), ..good.clone() },
    ];
    for (at, seen) in refused.iter().enumerate() {
        assert!(renewed(seen).is_none(), "{at}");
    }
    let other = orbital::testing::secret("a witness", "lease");
    assert!(
        renewal(&bench.tenant, &region("us-east"), &good, &other).unwrap().is_none(),
        "another holds the lease key"
    );
    let unknown = [(Halt::Kill, Digest([8; 32]))];
    let more = Observed { halts: good.halts.iter().chain(unknown).collect(), ..good.clone() };
    assert!(renewed(&more).is_some(), "a region may know of more stops than we do");
}

impl Bench {
    /// A history of which the last step reaches all regions.
    fn linked_again(&mut self) {
        let action = self.register("four");
        let id = self.propose(action, "alice").unwrap();
        self.approve(&id, "bob").unwrap();
        self.acknowledge_all("trust");
    }
}

/// Each time it is owed is an entry and a row that stay: for a tenant that nobody ever pins, that must not go on at one pace.
#[test]
fn a_genesis_that_no_region_pins_is_owed_again_later_and_later() {
    let mut bench = Bench::new();
    let mut owed_at = Vec::new();
    for second in 0..2_000_u64 {
        bench.now_ms = (NOW + second) * 1_000;
        let levelled = step(&mut bench, None);
        if names(&levelled) == ["provision"] {
            owed_at.push(second);
            bench.commit(levelled.decision);
            let genesis = bench.newest("us-east", "provision");
            bench.acknowledge("us-east", &genesis, Outcome::Refused);
        }
    }
    assert_eq!(owed_at, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1_111, 1_411, 1_711]);
}

#[test]
fn a_region_that_was_started_anew_is_not_kept_waiting() {
    let mut bench = Bench::new();
    let place = region("us-east");
    bench.levels.follow(&place, 1);
    let owed = |bench: &mut Bench, second: u64| {
        bench.now_ms = (NOW + second) * 1_000;
        let levelled = step(bench, None);
        let owed = names(&levelled) == ["provision"];
        if owed {
            bench.commit(levelled.decision);
            let genesis = bench.newest("us-east", "provision");
            bench.acknowledge("us-east", &genesis, Outcome::Refused);
        }
        owed
    };
    assert!([0, 1, 3, 7, 15].iter().all(|second| owed(&mut bench, *second)));
    bench.levels.follow(&place, 1);
    assert!(!owed(&mut bench, 16));
    bench.levels.follow(&place, 2);
    assert!(owed(&mut bench, 17));
}

#[test]
fn a_crowded_region_is_owed_its_kills_alone_and_the_rest_later_without_a_wait() {
    let mut bench = history();
    let crowded = step_where(&mut bench, None, true);
    assert!(names(&crowded).iter().all(|name| *name == "kill") && !crowded.level);
    // As soon as there is room: nothing was tried, so nothing is waited for.
    while names(&step_where(&mut bench, None, true)) == ["kill"] {}
    assert_eq!(names(&step(&mut bench, None)).first(), Some(&"provision"));
}

#[test]
fn a_region_far_behind_gets_its_kill_in_parts_that_fit() {
    let mut bench = Bench::new();
    for n in 0..120 {
        let action = bench.register(&format!("system-{n}"));
        let link = bench.world.certificate(action, "alice", &["bob"]);
        bench.world.extend(&link);
        bench.tenant.links.push(link);
    }
    bench.tenant.chain = bench.world.chain().clone();
    let kill = bench.killed();
    let parts = |owe: &[super::super::decision::Owe]| -> Vec<Directive> {
        owe.iter().filter(|o| o.region == region("us-east")).map(|o| o.directive.clone()).collect()
    };
    let owed = parts(&bench.last.owe);
    assert!(owed.len() > 1);
    let (mut chain, mut held) = (bench.world.genesis().found().unwrap(), 0);
    for directive in &owed {
        Directive::decode(&directive.encode().unwrap()).unwrap();
        let Directive::Kill(warrant) = directive else { panic!("{} is owed", directive.name()) };
        assert_eq!(Change::digest_of(&warrant.certificate.change), kill);
        chain = warrant.links.iter().fold(chain, |chain, link| chain.extend(link).unwrap().0);
        held += usize::from(certify(&warrant.certificate, &chain, NOW).is_ok());
    }
    assert_eq!((chain.digest(), held), (bench.tenant.chain.digest(), 1), "it holds with the last one");
    // A region that has lost them on the way says what it holds, and gets them anew.
    owed.iter().for_each(|part| bench.acknowledge("us-east", part, Outcome::Refused));
    let mut seen = observed(&bench, []);
    seen.halts.clear();
    assert_eq!(parts(&step(&mut bench, Some(&seen)).decision.owe), owed);
}
