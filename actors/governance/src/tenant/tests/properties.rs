//! Whatever people and regions do: nothing comes into force without a certificate that holds, and a replay gives the live state.

use orbital::certificate::certify;
use proptest::prelude::*;

use super::*;

const PEOPLE: [&str; 7] = ["alice", "bob", "carol", "dave", "erin", "frank", "judy"];
const REGIONS: [&str; 3] = ["eu-frankfurt", "ch-zurich", "us-east"];

#[derive(Clone, Debug)]
enum Doing {
    Propose { what: u8, who: usize },
    Answer { which: prop::sample::Index, role: u8, who: usize },
    Withdraw { which: prop::sample::Index, who: usize },
    Probe { which: prop::sample::Index, at: usize, good: bool },
    Ack { which: prop::sample::Index, good: bool },
    Later { seconds: u64 },
}

fn doing() -> impl Strategy<Value = Doing> {
    let which = || any::<prop::sample::Index>();
    let who = || 0..PEOPLE.len();
    prop_oneof![
        3 => (0u8..8, who()).prop_map(|(what, who)| Doing::Propose { what, who }),
        8 => (which(), 0u8..10, who()).prop_map(|(which, role, who)| Doing::Answer { which, role, who }),
        1 => (which(), who()).prop_map(|(which, who)| Doing::Withdraw { which, who }),
        4 => (which(), 0..REGIONS.len(), prop::bool::weighted(0.9))
            .prop_map(|(which, at, good)| Doing::Probe { which, at, good }),
        4 => (which(), prop::bool::weighted(0.9)).prop_map(|(which, good)| Doing::Ack { which, good }),
        1 => (1u64..2_000).prop_map(|seconds| Doing::Later { seconds }),
    ]
}

fn pick(bench: &Bench, which: &prop::sample::Index) -> Option<ProposalId> {
    let ids: Vec<_> = bench.tenant.proposals.keys().cloned().collect();
    (!ids.is_empty()).then(|| which.get(&ids).clone())
}

/// A refusal is an answer, too; what must not happen is checked afterwards.
fn act(bench: &mut Bench, doing: Doing) {
    match doing {
        Doing::Propose { what, who } => {
            bench.world.expires = bench.now_ms / 1_000 + 3_600;
            let names = bench.tenant.halt_names();
            let lifting = |halt: Halt| halt.lifting(names.of(halt).clone());
            let action = match what {
                0 => link_l1("k"),
                1 => Halt::Kill.action(),
                2 => lifting(Halt::Kill),
                3 => Halt::Block.action(),
                4 => lifting(Halt::Block),
                5 => Halt::Suspension.action(),
                6 => lifting(Halt::Suspension),
                _ => bench.register(&format!("system-{}", bench.records.len())),
            };
            let _refused_or_not = bench.propose(action, PEOPLE[who]);
        }
        Doing::Answer { which, role, who } => {
            let Some(id) = pick(bench, &which) else { return };
            let role = if role == 0 { Role::Reject } else { Role::Approve };
            let _refused_or_not = bench.answer(&id, role, PEOPLE[who]);
        }
        Doing::Withdraw { which, who } => {
            let Some(id) = pick(bench, &which) else { return };
            let _refused_or_not = bench.withdraw(&id, PEOPLE[who]);
        }
        Doing::Probe { which, at, good } => {
            let Some(id) = pick(bench, &which) else { return };
            let state = if good { L1State::Enabled } else { L1State::Disabled };
            bench.probe(&id, REGIONS[at], state, "", "");
        }
        Doing::Ack { which, good } => {
            if bench.owed.is_empty() {
                return;
            }
            let (at, directive) = which.get(&bench.owed).clone();
            let outcome = if good { Outcome::Applied } else { Outcome::Refused };
            bench.acknowledge(at.as_str(), &directive, outcome);
        }
        Doing::Later { seconds } => {
            bench.now_ms += seconds * 1_000;
            for id in bench.tenant.running.clone() {
                bench.expire(&id);
            }
        }
    }
}

/// What came into force by this decision must be certified under the chain as it was before, at this time.
fn check(before: &Tenant, bench: &Bench, from: usize) -> Result<(), TestCaseError> {
    for (at_ms, record) in &bench.records[from..] {
        let Record::Applied { proposal, certificate, .. } = record else { continue };
        let certified = certify(certificate, &before.chain, at_ms / 1_000);
        prop_assert!(certified.is_ok(), "{proposal} came into force: {certified:?}");
        let change = certified.unwrap().change().clone();
        prop_assert!(change.kind().is_stop() || change.epoch == before.epoch + 1);
        for halt in Halt::ALL.into_iter().filter(|halt| is_halted(before, *halt)) {
            prop_assert!(halt.allows(change.kind()), "{} and {}", halt.word(), change.kind());
        }
        if matches!(change.action, Action::LinkL1 { .. }) {
            let probes = &bench.tenant.proposals[proposal].probes;
            prop_assert!(probes.values().all(|p| p.state == Some(L1State::Enabled)));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn nothing_comes_into_force_uncertified_and_a_replay_is_the_live_state(steps in prop::collection::vec(doing(), 1..40)) {
        let mut bench = Bench::new();
        for step in steps {
            let (before, from) = (bench.tenant.clone(), bench.records.len());
            act(&mut bench, step);
            check(&before, &bench, from)?;
            // Every ordinary proposal that still waits could come into force: none rests on an old trust or epoch.
            for proposal in bench.tenant.running.iter().map(|id| &bench.tenant.proposals[id]) {
                if proposal.state.is_pending() && !proposal.is_stop() {
                    prop_assert_eq!(proposal.change.trust_version, bench.tenant.chain.version());
                    prop_assert_eq!(proposal.change.epoch, bench.tenant.epoch + 1);
                }
            }
        }
        prop_assert_eq!(bench.replayed(), bench.tenant);
    }
}
