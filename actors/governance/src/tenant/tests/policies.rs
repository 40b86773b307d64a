//! ChangePolicy: only valid bundles that lock nobody out, in force for their own tenant from the next decision on.

use orbital::{change::ChangeKind, names::Group, quorum::Need};

use super::*;
use crate::policies::Policies;

/// The default policies and more.
fn bundle(more: &str) -> Vec<u8> {
    let default = Bundle::default_bundle().unwrap();
    let policies = format!("{}\n{more}\n", default.policies_text());
    let bundle = Bundle::parse_strict(default.schema_text(), &policies, default.entities_text()).unwrap();
    bundle.canonical().to_vec()
}

fn forbid(action: &str) -> String {
    format!(r#"@id("more") forbid (principal is Person, action == Action::"{action}", resource);"#)
}

fn change(bench: &Bench, bundle: Vec<u8>) -> Action {
    let next = bench.world.next(|root| root.policy = orbital::sign::Kind::Policy.digest(&bundle));
    Action::ChangePolicy { next, bundle }
}

/// What proposing it by erin ends in.
fn proposed(bundle: Vec<u8>) -> Result<ProposalId, Error> {
    let mut bench = Bench::new();
    let action = change(&bench, bundle);
    bench.propose(action, "erin")
}

#[test]
fn what_is_not_valid_is_not_proposed() {
    let broken = String::from_utf8(bundle("")).unwrap().replacen("principal.home", "principal.house", 1);
    for bytes in [b"no bundle".to_vec(), broken.into_bytes()] {
        let refused = proposed(bytes).unwrap_err();
        assert_eq!(refused.code(), "bad-policy", "{refused}");
    }
}

#[test]
fn what_would_lock_the_tenant_out_is_not_proposed() {
    for kind in [
        "RevokeL1",
        "RestoreL1",
        "BlockTenant",
        "UnblockTenant",
        "SuspendL1",
        "ResumeL1",
        "ChangeActors",
        "ChangeQuorum",
        "ChangePolicy",
    ] {
        for wish in ["propose", "approve"] {
            let refused = proposed(bundle(&forbid(&format!("{wish}:{kind}")))).unwrap_err();
            assert_eq!(refused.code(), "bad-policy");
            assert!(refused.to_string().contains(kind), "{refused}");
        }
    }
    proposed(bundle(&forbid("propose:LinkL1"))).expect("a tenant may forbid itself other things");
    // Whoever may not read it is told that there is no such tenant, whatever else is permitted.
    assert_eq!(proposed(bundle(&forbid("read"))).unwrap_err().code(), "bad-policy");
}

/// Policies that fit the rules of their day: rules that they do not fit would lock the tenant out as well.
#[test]
fn rules_that_the_policies_do_not_fit_are_not_proposed() {
    let only = r#"@id("only") forbid (principal is Person, action in [Action::"propose:RevokeL1", Action::"approve:RevokeL1"], resource)
        unless { principal.groups.contains(Group::"Senior_Leadership") };"#;
    let mut bench = Bench::new();
    let policies = Policies::new(Evaluator::new(Bundle::default_bundle().unwrap()));
    let action = change(&bench, bundle(only));
    let proposal = bench.propose(action, "erin").unwrap();
    bench.approve(&proposal, "judy").unwrap();
    policies.enter(bench.tenant.id(), bench.tenant.chain.current(), &bench.tenant.links);
    bench.evaluator = policies.of(bench.tenant.id());
    let mut revoke_by = |groups: &[&str]| {
        let need =
            groups.iter().map(|group| Need { group: Group::new(group).unwrap(), count: 2 / groups.len() as u64 });
        let next = bench.world.next(|root| root.rules.get_mut(&ChangeKind::RevokeL1).unwrap().need = need.collect());
        bench.propose(Action::ChangeQuorum { next }, "erin").map(drop).map_err(|e| e.code())
    };
    assert_eq!(revoke_by(&["Security_Ops", "Compliance_Legal"]), Err("bad-policy"));
    assert_eq!(revoke_by(&["Senior_Leadership"]), Ok(()));
}

/// Where the proposer confirms last, someone must be there who may propose and approve.
#[test]
fn a_proposer_who_confirms_must_be_one_who_may_approve() {
    let apart = r#"@id("proposers") forbid (principal is Person, action == Action::"propose:RevokeL1", resource)
        unless { principal.groups.contains(Group::"Security_Ops") };
        @id("approvers") forbid (principal is Person, action == Action::"approve:RevokeL1", resource)
        when { principal.groups.contains(Group::"Security_Ops") };"#;
    for (confirm, found) in [(false, Ok(())), (true, Err("bad-policy"))] {
        let mut bench = Bench::of(|root| root.rules.get_mut(&ChangeKind::RevokeL1).unwrap().confirm = confirm);
        let action = change(&bench, bundle(apart));
        assert_eq!(bench.propose(action, "erin").map(drop).map_err(|e| e.code()), found);
    }
}

#[test]
fn they_are_the_tenants_own_from_the_next_decision_on_and_survive_a_start() {
    let mut bench = Bench::new();
    let policies = Policies::new(Evaluator::new(Bundle::default_bundle().unwrap()));
    let (id, other) = (bench.tenant.id(), World::of("test", "globex").tenant());
    let enter = |bench: &mut Bench| {
        policies.enter(id, bench.tenant.chain.current(), &bench.tenant.links);
        bench.evaluator = policies.of(id);
    };
    enter(&mut bench);
    assert!(Arc::ptr_eq(&policies.of(id), policies.site()));
    let action = change(&bench, bundle(&forbid("propose:LinkL1")));
    let proposal = bench.propose(action, "erin").unwrap();
    assert_eq!(bench.approve(&proposal, "judy").unwrap(), State::Applying);
    enter(&mut bench);
    assert_eq!(bench.propose(link_l1("k"), "alice").unwrap_err().code(), "policy-denies");
    assert!(Arc::ptr_eq(&policies.of(other), policies.site()), "another tenant's are untouched");
    // As after a start: from the chain alone.
    let again = Policies::new(Evaluator::new(Bundle::default_bundle().unwrap()));
    again.enter(id, bench.tenant.chain.current(), &bench.tenant.links);
    assert_eq!(again.of(id).bundle().digest(), bench.tenant.chain.current().policy);
    let action = change(&bench, bundle(""));
    let proposal = bench.propose(action, "erin").unwrap();
    bench.approve(&proposal, "judy").unwrap();
    enter(&mut bench);
    bench.propose(link_l1("k"), "alice").expect("permitted again");
}

#[test]
fn what_cannot_be_evaluated_permits_nothing() {
    let mut bench = Bench::new();
    let policies = Policies::new(Evaluator::new(Bundle::default_bundle().unwrap()));
    let mut root = bench.tenant.chain.current().clone();
    root.policy = orbital::names::Digest([7; 32]);
    policies.enter(bench.tenant.id(), &root, &[]);
    bench.evaluator = policies.of(bench.tenant.id());
    assert_eq!(bench.propose(Action::RevokeL1 {}, "carol").unwrap_err().code(), "policy-denies");
}

/// Trying and telling again follow the right to propose a routing.
#[test]
fn who_may_not_propose_a_routing_tries_none() {
    use crate::tenant::portrait::check_router;
    let mut bench = Bench::new();
    let alice = orbital::testing::person("alice");
    assert_eq!(check_router(&bench.tenant, &bench.facts(), &alice), Ok(()));
    assert!(check_router(&bench.tenant, &bench.facts(), &orbital::testing::person("mallory")).is_err());
    let forbidden = Bundle::parse_canonical(&bundle(&forbid("propose:ChangeRouting"))).unwrap();
    bench.evaluator = Arc::new(Evaluator::new(forbidden));
    assert_eq!(check_router(&bench.tenant, &bench.facts(), &alice).unwrap_err().code(), "policy-denies");
}
