//! A ledger that was put back from a backup: what it takes back from the regions, and what it decides before.

use orbital::{certificate::Certificate, report::Observed};

use super::{
    super::{
        recall::{caught_up, question, recalled},
        report::forked,
    },
    levels::{history, observed},
    *,
};

/// What a region keeps, and tells whoever lacks it (`custody`, `standing/proofs.rs`).
fn kept(full: &Tenant, asked: &Directive) -> Vec<Certificate> {
    let Directive::Recall { version, known, .. } = asked else { panic!("{}", asked.name()) };
    let links = full.links.iter().skip(usize::try_from(*version).unwrap() - 1).cloned();
    let halts = full.halts.iter().filter(|(name, _)| !known.contains(name)).map(|(_, stop)| stop.certificate.clone());
    let others =
        full.grants.iter().filter(|grant| !known.contains(&grant.digest) && grant.change.action.next().is_none());
    let mut told: Vec<_> = links.chain(halts).chain(others.map(|grant| grant.certificate.clone())).collect();
    told.sort_by_key(|told| {
        Change::from_bytes(&told.change).map(|change| (change.trust_version, change.epoch)).unwrap()
    });
    told
}

/// What a region that is level with this tenant says.
fn said(full: &Bench) -> Observed {
    observed(full, [])
}

/// A bench whose ledger is that of another, and ends after so many records.
fn cut(full: &Bench, records: usize) -> Bench {
    let mut bench = Bench::new();
    (bench.records, bench.restored, bench.now_ms) = (full.records[..records].to_vec(), Some(7), full.now_ms);
    bench.tenant = bench.replayed();
    bench
}

fn hear(bench: &mut Bench, observed: &Observed) {
    for (at, _) in REGIONS {
        let seen = Seen {
            observed: Some(observed.clone()),
            at_ms: Some(1),
            version: Some(observed.trust_version),
            in_vain: false,
        };
        bench.seen.insert(region(at), seen);
    }
}

fn take(bench: &mut Bench, certificate: Certificate) -> bool {
    let decided = recalled(&bench.tenant, &bench.facts(), &region("us-east"), certificate).unwrap();
    let took = decided.is_some();
    decided.into_iter().for_each(|decision| bench.commit(decision));
    took
}

/// Wherever the backup ends (every second place is tried), the regions bring it to where it was.
#[test]
fn whatever_was_forgotten_is_taken_back() {
    let full = history();
    // As one region tells it, and as several may that each tell a part.
    for (at, backwards) in (0..full.records.len()).step_by(2).map(|at| (at, at % 4 == 2)) {
        let mut bench = cut(&full, at);
        let observed = said(&full);
        hear(&mut bench, &observed);
        let mut asked = 0;
        while let Some(question) = question(&bench.tenant, &region("us-east"), &observed) {
            asked += 1;
            assert!(asked < 4, "cut at {at}: asked for ever");
            let mut told = kept(&full.tenant, &question);
            if backwards {
                told.sort_by_key(|told| Change::from_bytes(&told.change).unwrap().action.next().is_none());
            }
            for certificate in told {
                take(&mut bench, certificate.clone());
                assert!(!take(&mut bench, certificate), "cut at {at}: told twice, taken once");
            }
        }
        let (ours, theirs) = (&bench.tenant, &full.tenant);
        assert_eq!(ours.chain, theirs.chain, "cut at {at}");
        assert_eq!((&ours.links, ours.link, ours.epoch), (&theirs.links, theirs.link, theirs.epoch), "cut at {at}");
        assert_eq!(
            (&ours.halts, &ours.lifted, &ours.grants),
            (&theirs.halts, &theirs.lifted, &theirs.grants),
            "cut at {at}"
        );
        assert_eq!(bench.replayed(), bench.tenant, "cut at {at}");
        assert!(
            ours.proposals.values().all(|proposal| !proposal.state.is_pending()),
            "cut at {at}: {:?}",
            ours.proposals
        );
        // Nothing is missing any more: the restore is over, and stays so.
        let caught = caught_up(&bench.tenant, &bench.facts()).unwrap_or_else(|| panic!("cut at {at}"));
        bench.commit(caught);
        assert!(caught_up(&bench.tenant, &bench.facts()).is_none());
        bench.seen.clear();
        let more = bench.register("more");
        bench.propose(more, "alice").unwrap();
    }
}

fn refused(found: Result<ProposalId, Error>) -> String {
    match found {
        Err(Error::Refused(refusal @ crate::error::Refusal::BehindRegions { .. })) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_but_a_stop_is_decided_before_every_region_was_heard_and_none_holds_more() {
    let mut full = Bench::new();
    full.linked();
    let action = full.register("one");
    let id = full.propose(action, "alice").unwrap();
    full.approve(&id, "bob").unwrap();
    let mut bench = cut(&full, 0);
    let register = |bench: &mut Bench, name: &str| {
        let action = bench.register(name);
        bench.propose(action, "alice")
    };
    assert!(refused(register(&mut bench, "a")).contains("has not been heard since"));
    assert!(caught_up(&bench.tenant, &bench.facts()).is_none());
    // One that holds more is enough, also where nothing was put back.
    for restored in [Some(7), None] {
        bench.restored = restored;
        bench.seen.clear();
        let seen = |observed| Seen { observed: Some(observed), at_ms: Some(1), version: None, in_vain: false };
        bench.seen.insert(region("ch-zurich"), seen(said(&full)));
        let why = refused(register(&mut bench, "z"));
        assert!(why.contains("region ch-zurich holds trust version 2, and here is 1"), "{why}");
        let other = Observed { trust: Digest([1; 32]), trust_version: 1, ..said(&full) };
        bench.seen.insert(region("ch-zurich"), seen(other));
        assert!(refused(register(&mut bench, "b")).contains("another trust version 1"));
        let grants = Observed { trust: bench.tenant.chain.digest(), trust_version: 1, ..said(&full) };
        bench.seen.insert(region("ch-zurich"), seen(grants));
        assert!(refused(register(&mut bench, "c")).contains("holds grants"));
    }
    // Whoever has one region cannot bar every change by what it says and never shows; after a restore the operators settle that.
    bench.seen.get_mut(&region("ch-zurich")).unwrap().in_vain = true;
    bench.restored = Some(7);
    assert!(refused(register(&mut bench, "d")).contains("holds grants"));
    bench.restored = None;
    register(&mut bench, "e").unwrap();
    let stop = bench.propose(Action::RevokeL1 {}, "carol").unwrap();
    assert_eq!(bench.approve(&stop, "dave").unwrap(), State::Applying);
}

#[test]
fn a_region_is_asked_ever_more_rarely_until_it_tells() {
    let (mut levels, zurich) = (Levels::default(), region("ch-zurich"));
    let asked: Vec<u64> = (0..40).filter(|second| levels.asked(&zurich, second * 1_000).is_some()).collect();
    assert_eq!(asked, [0, 1, 3, 7, 12, 17, 22, 27, 32, 37]);
    assert_eq!(levels.asked(&zurich, 42_000), Some(11));
    levels.told(&zurich);
    assert_eq!(levels.asked(&zurich, 42_000), Some(1));
}

/// Votes that were enough once, and never came into force before the people changed: no region makes a grant of them later.
#[test]
fn a_grant_that_passed_by_is_not_taken_from_a_region() {
    let mut bench = Bench::new();
    let late = bench.world.link("k");
    let register = bench.register("one");
    let id = bench.propose(register, "alice").unwrap();
    bench.approve(&id, "bob").unwrap();
    let refused = |bench: &Bench| {
        recalled(&bench.tenant, &bench.facts(), &region("us-east"), late.clone()).map(|_| ()).unwrap_err().to_string()
    };
    assert!(refused(&bench).contains("version"), "{}", refused(&bench));
    bench.restored = Some(7);
    assert!(refused(&bench).contains("another grant has epoch 1"), "{}", refused(&bench));
}

/// What was collected before the backup and came into force after it is in force, and what was collected beside it is void.
#[test]
fn a_proposal_of_the_backup_that_has_come_into_force_since_goes_on() {
    let mut full = Bench::new();
    let (one, two) = (full.register("one"), full.register("two"));
    let (one, two) = (full.propose(one, "alice").unwrap(), full.propose(two, "alice").unwrap());
    let records = full.records.len();
    full.approve(&one, "bob").unwrap();
    let link = full.tenant.links[0].clone();
    full.records.truncate(records);
    full.tenant = full.replayed();
    assert!(take(&mut full, link));
    let state = |id| full.tenant.proposals[id].state;
    assert_eq!((state(&one), state(&two)), (State::Applying, State::Failed));
    assert_eq!(full.last.owe.len(), 3, "each region is told, and answers that it has it");
    assert_eq!(full.replayed(), full.tenant);
}

#[test]
fn what_is_not_certified_under_our_chain_is_not_taken_and_a_second_successor_is_a_fork() {
    let mut bench = Bench::new();
    let system = |bench: &Bench, name: &str| {
        let system = System::new(name).unwrap();
        let next = bench.world.next(|root| _ = root.systems.insert(system.clone()));
        bench.world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"])
    };
    let (other, mut unsigned) = (system(&bench, "other"), system(&bench, "unsigned"));
    unsigned.approvals.clear();
    assert!(recalled(&bench.tenant, &bench.facts(), &region("us-east"), unsigned).is_err());
    let ours = bench.register("ours");
    let id = bench.propose(ours, "alice").unwrap();
    bench.approve(&id, "bob").unwrap();
    assert!(recalled(&bench.tenant, &bench.facts(), &region("us-east"), other.clone()).is_err());
    assert!(forked(&bench.tenant, &region("us-east"), other).is_some());
    // Whoever holds another version 2 is asked for the link that made it.
    let elsewhere = Observed { trust: Digest([1; 32]), ..said(&bench) };
    let asked = question(&bench.tenant, &region("us-east"), &elsewhere);
    assert!(matches!(asked, Some(Directive::Recall { version: 1, .. })), "{asked:?}");
    assert!(question(&bench.tenant, &region("us-east"), &said(&bench)).is_none());
}

/// A link with its quorum that was withdrawn before its probes were good: whoever has the votes makes no link of them.
#[test]
fn what_ended_here_without_coming_into_force_is_not_taken() {
    let mut bench = Bench::new();
    let id = bench.propose(link_l1("k"), "alice").unwrap();
    assert_eq!(bench.approve(&id, "bob").unwrap(), State::Ratified);
    let proposal = &bench.tenant.proposals[&id];
    let certificate = Certificate {
        change: proposal.change.to_bytes().unwrap(),
        proposal: proposal.statement.clone(),
        approvals: proposal.approvals.iter().map(|answer| answer.signed.clone()).collect(),
        confirmations: Vec::new(),
    };
    let taken = |bench: &Bench| {
        let found = recalled(&bench.tenant, &bench.facts(), &region("us-east"), certificate.clone());
        found.map(|decision| decision.is_some()).map_err(|why| why.to_string())
    };
    assert_eq!(taken(&bench), Ok(true), "while it waits it may have come into force elsewhere");
    assert_eq!(bench.withdraw(&id, "alice").unwrap(), State::Withdrawn);
    assert!(taken(&bench).unwrap_err().contains("its proposal is withdrawn here"));
    bench.restored = Some(7);
    assert!(taken(&bench).is_err());
    let opened = bench.records.iter().position(|(_, record)| matches!(record, Record::Opened { .. })).unwrap();
    let (mut late, expires) = (cut(&bench, opened + 1), bench.tenant.proposals[&id].proposed.expires);
    (late.now_ms, late.restored) = ((expires + 1) * 1_000, None);
    assert_eq!(late.expire(&id), State::Expired);
    assert!(taken(&late).is_err());
    late.restored = Some(7);
    assert_eq!(taken(&late), Ok(true), "it ran out here after it was put back, and may have been in force before");
}

/// The delay of a recovery is counted by each region: one alone cannot say that it is over.
#[test]
fn a_recovery_is_taken_back_once_every_region_follows_it() {
    let mut bench = Bench::of(|root| root.recovery = Some(testing::recovery_terms()));
    let action = Action::ChangeActors { next: bench.world.next(|_| ()) };
    let recovery = bench.world.recovery(action, &["north", "east"]);
    assert!(!take(&mut bench, recovery.clone()), "nobody has spoken");
    let past = Observed { trust_version: 2, ..said(&bench) };
    hear(&mut bench, &past);
    let behind = Observed { trust_version: 1, ..past };
    let seen = Seen { observed: Some(behind), at_ms: Some(1), version: None, in_vain: false };
    let other = bench.seen.insert(region("ch-zurich"), seen).unwrap();
    assert!(!take(&mut bench, recovery.clone()), "one waits still");
    bench.seen.insert(region("ch-zurich"), other);
    assert!(take(&mut bench, recovery));
    assert_eq!(bench.tenant.chain.version(), 2);
}
