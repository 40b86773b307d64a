//! The decisions without actors: a bench that decides, folds, and keeps every record, so that a replay can be held against it.

mod armed;
mod delegation;
mod forks;
mod founding;
mod levels;
mod policies;
mod preview;
mod properties;
mod recall;
mod recovery;
mod refusals;
mod residency;
mod simulated;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ledger::Room;
use orbital::{
    change::{Action, Change},
    directive::Directive,
    halt::Halt,
    lane::Lane,
    names::{Correlation, Digest, NodeName, ProposalId, Region, System},
    report::{L1State, Outcome, Probed, SyncAck},
    sign::{Kind, Signed},
    testing::{self, NOW, REGIONS, World, link_l1, region},
    vote::Role,
};
use policy::{Bundle, Evaluator};

use super::{
    answer::{Answering, answer, expire, withdraw},
    decision::{Decision, Facts, Owe, Seen},
    file::id_of,
    level::Levels,
    pending::Pending,
    propose::{Proposing, propose},
    record::Record,
    report::{acknowledged, probed},
    state::Tenant,
};
use crate::{Peer, claims::Claims, error::Error, fleet::Ports, notify::Channels, proposal::State};

pub(super) struct Bench {
    pub(super) world: World,
    pub(super) tenant: Tenant,
    pub(super) evaluator: Arc<Evaluator>,
    pub(super) seen: BTreeMap<Region, Seen>,
    pub(super) claims: Claims,
    pub(super) hyok: BTreeSet<System>,
    pub(super) channels: Channels,
    pub(super) ports: Ports,
    pub(super) restored: Option<u64>,
    pub(super) pending: Pending,
    pub(super) levels: Levels,
    pub(super) now_ms: u64,
    pub(super) records: Vec<(u64, Record)>,
    /// Everything ever owed, as it was sent.
    pub(super) owed: Vec<(Region, Directive)>,
    pub(super) last: Decision,
    next_id: u64,
}

/// A deployment with the regions of the tests.
fn ports() -> Ports {
    let peers = REGIONS.iter().map(|(name, _)| Peer {
        region: testing::region(name),
        node: NodeName::new(format!("{name}-1")).unwrap(),
        frame_public: testing::secret("frames", name).public(),
    });
    Ports::new(&peers.collect::<Vec<_>>()).unwrap()
}

pub(super) fn correlation() -> Correlation {
    Correlation::new("test").unwrap()
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::of(|_| ())
    }

    /// A tenant that every region has taken.
    pub(super) fn of(alter: impl FnOnce(&mut orbital::trust::TrustRoot)) -> Self {
        let mut bench = Self::unfounded(alter);
        let provision = bench.owe_genesis();
        for (at, _) in REGIONS {
            bench.acknowledge(at, &provision, Outcome::Applied);
        }
        bench.owed.clear();
        bench
    }

    /// Each region is owed the genesis.
    pub(super) fn owe_genesis(&mut self) -> Directive {
        let provision = Directive::Provision { genesis: self.world.genesis(), links: Vec::new() };
        let owe = REGIONS.map(|(at, _)| Owe { region: region(at), directive: provision.clone() });
        self.commit(Decision { owe: owe.into(), ..Decision::default() });
        provision
    }

    /// A tenant that no region has heard of.
    pub(super) fn unfounded(alter: impl FnOnce(&mut orbital::trust::TrustRoot)) -> Self {
        let evaluator = Arc::new(Evaluator::new(Bundle::default_bundle().unwrap()));
        let mut world = World::founded("test", "acme", |root| {
            root.policy = evaluator.bundle().digest();
            alter(root);
        });
        world.expires = NOW + 3_600;
        Self {
            tenant: Tenant::found(world.genesis(), NOW * 1_000).unwrap(),
            world,
            evaluator,
            seen: BTreeMap::new(),
            claims: Claims::default(),
            hyok: BTreeSet::new(),
            channels: Channels::default(),
            ports: ports(),
            restored: None,
            pending: Pending::default(),
            levels: Levels::default(),
            now_ms: NOW * 1_000,
            records: Vec::new(),
            owed: Vec::new(),
            last: Decision::default(),
            next_id: 1,
        }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        let (evaluator, seen) = (self.evaluator.clone(), &self.seen);
        Facts {
            now_ms: self.now_ms,
            evaluator,
            seen,
            claims: &self.claims,
            hyok: &self.hyok,
            channels: &self.channels,
            ports: &self.ports,
            restored: self.restored,
        }
    }

    /// As the actor commits, without a ledger; every record goes through its stored form.
    pub(super) fn commit(&mut self, decision: Decision) {
        decision.batch(self.tenant.id(), &correlation(), self.now_ms).expect("a decision that can be written");
        self.last = decision.clone();
        for owe in decision.owe {
            let digest = Directive::digest_of(&owe.directive.encode().unwrap());
            self.pending.add(owe.region.clone(), self.next_id, digest, &owe.directive);
            self.next_id += 1;
            self.owed.push((owe.region, owe.directive));
        }
        self.pending.settled(&decision.settle);
        for record in decision.records {
            let stored = Record::from_body(1, &record.to_body().unwrap()).unwrap();
            assert_eq!(stored, record);
            self.tenant.apply(self.now_ms, &correlation(), stored).expect("a decision that fits its state");
            self.records.push((self.now_ms, record));
        }
        self.follow();
    }

    /// The people make their next changes under what is in force.
    fn follow(&mut self) {
        let known = usize::try_from(self.world.chain().version()).unwrap() - 1;
        for link in self.tenant.links.iter().skip(known) {
            self.world.extend(link);
        }
        self.world.epoch = self.tenant.epoch + 1;
    }

    /// The state that the records alone give.
    pub(super) fn replayed(&self) -> Tenant {
        let mut tenant = Tenant::found(self.world.genesis(), NOW * 1_000).unwrap();
        for (at_ms, record) in &self.records {
            tenant.apply(*at_ms, &correlation(), record.clone()).unwrap();
        }
        tenant
    }

    pub(super) fn propose_change(&mut self, change: &Change, who: &str) -> Result<ProposalId, Error> {
        let bytes = change.to_bytes().unwrap();
        let statement = self.world.propose(&bytes, who);
        self.propose_signed(bytes, statement)
    }

    pub(super) fn propose_signed(&mut self, bytes: Vec<u8>, statement: Signed) -> Result<ProposalId, Error> {
        self.propose_shown(bytes, statement, None)
    }

    pub(super) fn propose_shown(
        &mut self,
        bytes: Vec<u8>,
        statement: Signed,
        evidence: Option<String>,
    ) -> Result<ProposalId, Error> {
        let id = id_of(Change::digest_of(&bytes)).unwrap();
        if let Proposing::New(decision) = propose(&self.tenant, &self.facts(), bytes, statement, evidence)? {
            self.commit(decision);
        }
        Ok(id)
    }

    pub(super) fn propose(&mut self, action: Action, who: &str) -> Result<ProposalId, Error> {
        self.propose_change(&self.world.change(action), who)
    }

    pub(super) fn answer(&mut self, id: &ProposalId, role: Role, who: &str) -> Result<State, Error> {
        let vote = self.world.answer(role, &self.tenant.proposals[id].statement, who);
        self.answer_signed(id, role, vote)
    }

    pub(super) fn answer_signed(&mut self, id: &ProposalId, role: Role, vote: Signed) -> Result<State, Error> {
        let answering = Answering { id, role, vote, received_ms: self.now_ms };
        let decision = answer(&self.tenant, &self.facts(), answering)?;
        self.commit(decision);
        Ok(self.tenant.proposals[id].state)
    }

    pub(super) fn approve(&mut self, id: &ProposalId, who: &str) -> Result<State, Error> {
        self.answer(id, Role::Approve, who)
    }

    pub(super) fn withdraw(&mut self, id: &ProposalId, who: &str) -> Result<State, Error> {
        let vote = self.world.answer(Role::Reject, &self.tenant.proposals[id].statement, who);
        let decision = withdraw(&self.tenant, &self.facts(), id, vote)?;
        self.commit(decision);
        Ok(self.tenant.proposals[id].state)
    }

    pub(super) fn expire(&mut self, id: &ProposalId) -> State {
        let decision = expire(&self.tenant, &self.facts(), id);
        self.commit(decision);
        self.tenant.proposals[id].state
    }

    pub(super) fn probe(&mut self, id: &ProposalId, at: &str, state: L1State, resolved: &str, why: &str) -> State {
        let change = self.tenant.proposals[id].digest;
        let tenant = self.tenant.id();
        let report = Probed { tenant, change, state, resolved: resolved.into(), why: why.into(), took_ms: 3 };
        let decision = probed(&self.tenant, &self.facts(), &self.pending, &region(at), report).unwrap();
        self.commit(decision);
        self.tenant.proposals[id].state
    }

    pub(super) fn probe_all(&mut self, id: &ProposalId) -> State {
        for at in ["eu-frankfurt", "ch-zurich", "us-east"] {
            self.probe(id, at, L1State::Enabled, "", "");
        }
        self.tenant.proposals[id].state
    }

    /// The newest directive of this name that a region was owed.
    pub(super) fn newest(&self, at: &str, name: &str) -> Directive {
        let of = |(to, d): &&(Region, Directive)| *to == region(at) && d.name() == name;
        self.owed.iter().rev().find(of).unwrap_or_else(|| panic!("{at} was owed no {name}")).1.clone()
    }

    pub(super) fn ack(&self, at: &str, directive: &Directive, outcome: Outcome) -> (SyncAck, Signed) {
        let links = directive.links().len() as u64;
        let change = crate::change::carried(directive);
        let made = change.and_then(|c| self.tenant.by_change(c)).and_then(|p| p.made_version());
        let ack = SyncAck {
            domain: Kind::SyncAck.domain(),
            deployment: self.world.deployment(),
            tenant: self.tenant.id(),
            region: region(at),
            directive: Directive::digest_of(&directive.encode().unwrap()),
            change,
            outcome,
            why: if outcome == Outcome::Refused { "as the test asks".into() } else { String::new() },
            members: std::collections::BTreeSet::new(),
            trust_version: made.unwrap_or(1 + links),
            epoch: self.tenant.epoch,
            generation: 1,
            at_us: 1,
            took_us: 1_000,
        };
        let signed = ack.sign(self.world.report_key(at)).unwrap();
        (ack, signed)
    }

    pub(super) fn acknowledge(&mut self, at: &str, directive: &Directive, outcome: Outcome) {
        let ack = self.ack(at, directive, outcome);
        let decision = acknowledged(&self.tenant, &self.facts(), &self.pending, ack, 7).unwrap();
        self.commit(decision);
    }

    /// All regions acknowledge their newest directive of this name.
    pub(super) fn acknowledge_all(&mut self, name: &str) {
        for at in ["eu-frankfurt", "ch-zurich", "us-east"] {
            let directive = self.newest(at, name);
            self.acknowledge(at, &directive, Outcome::Applied);
        }
    }

    pub(super) fn register(&mut self, system: &str) -> Action {
        let system = System::new(system).unwrap();
        let next = self.world.next(|root| assert!(root.systems.insert(system.clone())));
        Action::RegisterSystem { system, next }
    }

    /// A link that is in force.
    pub(super) fn linked(&mut self) -> ProposalId {
        let id = self.propose(link_l1("k"), "alice").unwrap();
        self.probe_all(&id);
        assert_eq!(self.approve(&id, "bob").unwrap(), State::Applying);
        id
    }

    /// A kill that is in force, and its digest.
    pub(super) fn killed(&mut self) -> Digest {
        let id = self.propose(Action::RevokeL1 {}, "carol").unwrap();
        assert_eq!(self.approve(&id, "dave").unwrap(), State::Applying);
        self.tenant.proposals[&id].digest
    }
}

#[test]
fn a_link_waits_for_every_probe_and_for_the_quorum() {
    let mut bench = Bench::new();
    let id = bench.propose(link_l1("k"), "alice").unwrap();
    assert_eq!(bench.owed.iter().filter(|(_, d)| d.name() == "probe").count(), 3);
    assert_eq!(bench.probe(&id, "eu-frankfurt", L1State::Enabled, "k", ""), State::Open);
    assert_eq!(bench.approve(&id, "bob").unwrap(), State::Ratified);
    assert!(bench.owed.iter().all(|(_, d)| d.name() == "probe"));
    assert_eq!(bench.probe(&id, "ch-zurich", L1State::Forbidden, "", "no permission"), State::Ratified);
    assert_eq!(bench.probe(&id, "us-east", L1State::Enabled, "", ""), State::Ratified);
    assert_eq!(bench.tenant.link, None);
    let again = super::answer::probe_again(&bench.tenant, &bench.facts(), &id, None).unwrap();
    assert_eq!(again.owe.len(), 1);
    bench.commit(again);
    assert_eq!(bench.probe(&id, "ch-zurich", L1State::Enabled, "", ""), State::Applying);
    assert_eq!(bench.tenant.link, Some(bench.tenant.proposals[&id].digest));
    assert_eq!((bench.tenant.epoch, bench.last.owe.len()), (1, 3));
    bench.acknowledge_all("link");
    assert_eq!(bench.tenant.proposals[&id].state, State::Active);
    assert_eq!(bench.replayed(), bench.tenant);
}

#[test]
fn another_name_of_a_key_is_not_linked() {
    let mut bench = Bench::new();
    let id = bench.propose(link_l1("alias/k"), "alice").unwrap();
    bench.probe(&id, "eu-frankfurt", L1State::Enabled, "arn:k", "");
    bench.probe(&id, "ch-zurich", L1State::Enabled, "alias/k", "");
    bench.probe(&id, "us-east", L1State::Enabled, "alias/k", "");
    assert!(bench.tenant.proposals[&id].probes[&region("eu-frankfurt")].why.contains("arn:k"));
    assert_eq!(bench.approve(&id, "bob").unwrap(), State::Ratified);
    // The failed one was asked again with the approval; the same answer does not help.
    assert_eq!(bench.probe(&id, "eu-frankfurt", L1State::Enabled, "arn:k", ""), State::Ratified);
    assert_eq!(bench.tenant.link, None);
}

fn is_halted(tenant: &Tenant, halt: Halt) -> bool {
    !tenant.halt_names().of(halt).is_subset(tenant.lifted.of(halt))
}

#[test]
fn a_stop_outlives_rejections_other_proposals_and_a_new_trust_root() {
    let mut bench = Bench::new();
    let stop = bench.propose(Action::RevokeL1 {}, "carol").unwrap();
    assert_eq!(bench.last.room, Room::Opening);
    assert_eq!(bench.answer(&stop, Role::Reject, "heidi").unwrap(), State::Open);
    let action = bench.register("billing");
    let other = bench.propose(action, "alice").unwrap();
    assert_eq!(bench.approve(&other, "bob").unwrap(), State::Applying);
    assert_eq!(bench.tenant.chain.version(), 2);
    assert_eq!(bench.approve(&stop, "dave").unwrap(), State::Applying);
    assert_eq!((bench.last.room, is_halted(&bench.tenant, Halt::Kill)), (Room::Stop, true));
    let Directive::Kill(warrant) = bench.newest("us-east", "kill") else { panic!() };
    assert_eq!(warrant.links.len(), 1, "the link to version 2 travels along");
    assert!(bench.last.owe.iter().all(|o| Lane::of(&o.directive) == Lane::Critical));
    // A kill in force bars what a killed tenant may not do, and lets through what lifts it.
    bench.acknowledge_all("kill");
    assert_eq!(bench.tenant.proposals[&stop].state, State::Active);
    let kills = bench.tenant.halts.keys().copied().collect();
    let restore = bench.propose(Action::RestoreL1 { kills }, "alice").unwrap();
    for (who, state) in [("bob", State::Open), ("carol", State::Open), ("dave", State::Applying)] {
        assert_eq!(bench.approve(&restore, who).unwrap(), state, "{who}");
    }
    assert!(!is_halted(&bench.tenant, Halt::Kill));
    assert_eq!(bench.replayed(), bench.tenant);
}

/// A block and a suspension go the way of a kill: at once, in the critical lane, until what lifts their own kind names them.
#[test]
fn a_block_and_a_suspension_are_stops_that_their_own_change_lifts() {
    for (halt, stops, lifts) in [(Halt::Block, "block", "unblock"), (Halt::Suspension, "suspend", "resume")] {
        let mut bench = Bench::new();
        let stop = bench.propose(halt.action(), "carol").unwrap();
        assert_eq!(bench.approve(&stop, "dave").unwrap(), State::Applying);
        assert_eq!((bench.last.room, is_halted(&bench.tenant, halt)), (Room::Stop, true));
        assert!(bench.last.owe.iter().all(|o| Lane::of(&o.directive) == Lane::Critical));
        bench.acknowledge_all(stops);
        assert_eq!(bench.tenant.proposals[&stop].state, State::Active);
        let names = bench.tenant.halt_names().names();
        let other = bench.propose(Halt::Kill.lifting(names.clone()), "alice").unwrap_err();
        assert_eq!(other.code(), "other-stop", "{other}");
        let link = bench.propose(link_l1("k"), "alice").map_err(|e| e.code().to_owned());
        assert_eq!(link.is_ok(), halt == Halt::Suspension, "{link:?}");
        let lift = bench.propose(halt.lifting(names), "alice").unwrap();
        assert_eq!(bench.approve(&lift, "bob").unwrap(), State::Applying);
        assert!(!is_halted(&bench.tenant, halt));
        bench.acknowledge_all(lifts);
        assert_eq!(bench.tenant.proposals[&lift].state, State::Active);
        assert_eq!(bench.replayed(), bench.tenant);
    }
}

#[test]
fn a_terminated_tenant_takes_nothing_but_stops_and_its_lease_ends() {
    let mut bench = Bench::new();
    bench.linked();
    let end = bench.propose(Action::TerminateTenant {}, "carol").unwrap();
    assert_eq!(bench.approve(&end, "dave").unwrap(), State::Applying);
    assert_eq!(bench.last.room, Room::Stop);
    assert!(bench.last.owe.iter().all(|o| o.directive.name() == "shred" && Lane::of(&o.directive) == Lane::Critical));
    let names = bench.tenant.halt_names().names();
    for action in [Halt::Kill.lifting(names), link_l1("k")] {
        assert_eq!(bench.propose(action, "alice").unwrap_err().code(), "tenant-terminated");
    }
    bench.propose(Action::RevokeL1 {}, "carol").expect("a stop is never refused");
    // A region that lost it gets it again, as what it is.
    let mut seen = levels::observed(&bench, []);
    let renewed = |bench: &Bench, seen: &orbital::report::Observed| {
        super::lease::renewal(&bench.tenant, &region("us-east"), seen, bench.world.lease_key()).unwrap()
    };
    assert!(renewed(&bench, &seen).is_none());
    seen.halts.clear();
    bench.acknowledge_all("shred");
    bench.now_ms += 60_000;
    assert_eq!(levels::owed_to(&mut bench, &seen), ["shred"]);
    assert_eq!(bench.tenant.proposals[&end].state, State::Active);
    assert_eq!(bench.replayed(), bench.tenant);
}

#[test]
fn a_grant_voids_what_rests_on_the_old_trust_or_epoch() {
    let mut bench = Bench::new();
    let action = bench.register("billing");
    let first = bench.propose(action, "alice").unwrap();
    let link = bench.propose(link_l1("k"), "alice").unwrap();
    let stop = bench.propose(Action::RevokeL1 {}, "carol").unwrap();
    bench.approve(&first, "bob").unwrap();
    assert_eq!(bench.tenant.proposals[&link].state, State::Failed);
    assert!(bench.tenant.proposals[&link].why.as_ref().unwrap().contains("came into force first"));
    assert_eq!(bench.tenant.proposals[&stop].state, State::Open);
    assert_eq!(bench.approve(&link, "bob").unwrap_err().code(), "proposal-closed");
    assert_eq!(bench.replayed(), bench.tenant);
}

#[test]
fn a_kill_is_never_given_up_and_a_refused_grant_fails() {
    let mut bench = Bench::new();
    let link = bench.linked();
    for (at, outcome) in
        [("eu-frankfurt", Outcome::Applied), ("ch-zurich", Outcome::Refused), ("us-east", Outcome::Applied)]
    {
        let directive = bench.newest(at, "link");
        bench.acknowledge(at, &directive, outcome);
    }
    assert_eq!(bench.tenant.proposals[&link].state, State::Failed);
    assert_eq!(bench.tenant.proposals[&link].why.as_deref(), Some("ch-zurich: as the test asks"));
    bench.killed();
    for at in ["eu-frankfurt", "ch-zurich", "us-east"] {
        let directive = bench.newest(at, "kill");
        bench.acknowledge(at, &directive, Outcome::Refused);
    }
    let stop = bench.tenant.proposals.values().find(|p| p.is_stop()).unwrap();
    assert_eq!(stop.state, State::Applying);
}

#[test]
fn an_answer_that_came_twice_is_written_once() {
    let mut bench = Bench::new();
    bench.killed();
    let kill = bench.newest("us-east", "kill");
    bench.acknowledge("us-east", &kill, Outcome::Applied);
    assert_eq!(bench.last.settle.len(), 1);
    let before = bench.records.len();
    bench.acknowledge("us-east", &kill, Outcome::Applied);
    assert_eq!((bench.records.len(), bench.last.is_empty()), (before, true));
}

#[test]
fn an_acknowledgement_must_be_the_regions_own() {
    let bench = Bench::new();
    let kill = Directive::Kill(bench.world.warrant(bench.world.kill()));
    let (ack, signed) = bench.ack("us-east", &kill, Outcome::Applied);
    let open = |at: &str, signed: &Signed| {
        super::report::open_ack(&bench.tenant, &region(at), signed).map_err(|e| e.to_string())
    };
    assert!(open("us-east", &signed).is_ok());
    assert!(open("eu-frankfurt", &signed).unwrap_err().contains("report key"));
    let forged = ack.sign(bench.world.report_key("ch-zurich")).unwrap();
    assert!(open("us-east", &forged).unwrap_err().contains("signature"));
    let other = SyncAck { region: region("ch-zurich"), ..ack.clone() }.sign(bench.world.report_key("us-east")).unwrap();
    assert!(open("us-east", &other).unwrap_err().contains("another region"));
    let foreign = World::of("test", "globex").tenant();
    let other = SyncAck { tenant: foreign, ..ack }.sign(bench.world.report_key("us-east")).unwrap();
    assert!(open("us-east", &other).unwrap_err().contains("another tenant"));
}
