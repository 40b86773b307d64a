//! Governance in foreign hands: with every key of governance, and without the signatures of people, no directive moves a tenant.

use std::collections::{BTreeMap, BTreeSet};

use node::{
    demo::people::{Founding, KEY, Keyring},
    keyfiles,
};
use orbital::{
    canon::Text,
    certificate::Certificate,
    chain::{Chain, Genesis},
    change::{Action, Change, L1Ref},
    directive::{Directive, LeaseGrant, Warrant},
    enrol::Enrolment,
    names::{Digest, KeyName, KeyRef, NodeName, Person, Region, System},
    report::{Observed, Outcome},
    sign::{Kind, SecretKey},
    trust::{ActorKey, Algorithm, Anchor, CallerRule, TrustRoot},
    vote::{Role, Signer, Vote},
};
use serde_json::Value;

use crate::{
    demo::{Demo, NODES},
    rest,
    usurper::Usurper,
};

/// When collecting ends: the year 2100.
const EXPIRES: u64 = 4_102_444_800;

/// What the forger has: everything of governance, keys of its own, and people's keys where it corrupted some.
struct Forger {
    chain: Chain,
    epoch: u64,
    /// Signs in people's names with keys that are not theirs.
    own: SecretKey,
    people: BTreeMap<&'static str, SecretKey>,
    made: u32,
}

impl Forger {
    fn nonce(&mut self) -> String {
        self.made += 1;
        // 16 bytes as base64url: the last character holds two bits.
        format!("{:021}A", self.made)
    }

    fn change(&mut self, action: Action) -> Vec<u8> {
        let root = self.chain.current().clone();
        let change = Change {
            domain: Kind::Change.domain(),
            deployment: root.deployment,
            tenant: self.chain.tenant(),
            trust_version: root.version,
            epoch: self.epoch + 1,
            regions: root.regions.into_keys().collect(),
            reason: Text::new("forged").unwrap(),
            nonce: self.nonce(),
            evidence: None,
            armed: None,
            action,
        };
        change.to_bytes().unwrap()
    }

    /// With the persons' own keys where `really`, else with the forger's in their names.
    fn certificate(&mut self, action: Action, proposer: &str, approvers: &[&str], really: bool) -> Certificate {
        let change = self.change(action);
        let nonces: Vec<_> = (0..=approvers.len()).map(|_| self.nonce()).collect();
        let signer = |name: &str, nonce: &String| Signer {
            person: Person::new(name).unwrap(),
            key: KeyName::new(KEY).unwrap(),
            secret: if really { &self.people[name] } else { &self.own },
            origin: Text::new("cli").unwrap(),
            nonce: nonce.clone(),
        };
        let root = self.chain.current();
        let proposal = Vote::propose(&change, root, EXPIRES, &signer(proposer, &nonces[0])).unwrap();
        let answer = |(name, nonce)| Vote::answer(Role::Approve, &proposal, &signer(name, nonce)).unwrap();
        let approvals = approvers.iter().copied().zip(&nonces[1..]).map(answer).collect();
        Certificate { change, proposal, approvals, confirmations: Vec::new() }
    }

    fn warrant(&self, certificate: Certificate) -> Warrant {
        Warrant { tenant: self.chain.tenant(), links: Vec::new(), certificate }
    }

    fn next(&self, alter: impl FnOnce(&mut TrustRoot)) -> Box<TrustRoot> {
        let mut next = self.chain.current().clone();
        next.tenant = Some(self.chain.tenant());
        next.version += 1;
        next.previous = Some(self.chain.digest());
        alter(&mut next);
        Box::new(next)
    }

    /// Each kind of directive that moves something, without what it needs.
    fn directives(&mut self, foreign: Genesis, old_link: Certificate) -> Vec<(&'static str, Directive)> {
        let stranger = orbital::names::TenantId(Kind::Trust.digest(&foreign.root));
        let tenant = self.chain.tenant();
        let theirs = Action::LinkL1 {
            l1: L1Ref { provider: System::new("acme-soft").unwrap(), key: KeyRef::new("soft:stolen").unwrap() },
        };
        let restore = Action::RestoreL1 { kills: BTreeSet::from([Digest([7; 32])]) };
        let own = |who: &str| {
            let (algorithm, public) = (Algorithm::Ed25519, self.own.public().into());
            let enrolment = Enrolment::new(tenant, Person::new(who).unwrap(), algorithm, public);
            ActorKey { algorithm, public, independent: true, proof: Some(enrolment.sign(&self.own).unwrap().signature) }
        };
        let people = Action::ChangeActors {
            next: self.next(|root| {
                let carol = root.actors.get_mut(&Person::new("carol").unwrap()).unwrap();
                carol.keys.values_mut().for_each(|key| *key = own("carol"));
            }),
        };
        let anchor = Anchor::Fingerprint { digest: Digest([9; 32]) };
        let callers = Action::ChangeCallers {
            next: self.next(|root| {
                root.callers.insert(CallerRule { anchor, system: System::new("orders").unwrap(), name: None });
            }),
        };
        let kill = || Action::RevokeL1 {};
        let probe = self.certificate(theirs.clone(), "alice", &[], false);
        let mut warrant = |action: &Action, proposer, approvers: &[&str], really| {
            let certificate = self.certificate(action.clone(), proposer, approvers, really);
            self.warrant(certificate)
        };
        vec![
            ("a tenant that nobody pinned", Directive::Provision { genesis: foreign, links: Vec::new() }),
            (
                "a probe that nobody proposed",
                Directive::Probe { tenant, change: probe.change, proposal: probe.proposal },
            ),
            ("a hold of no tenant", Directive::Hold { tenant: stranger }),
            ("a link in people's names", Directive::Link(warrant(&theirs, "alice", &["bob"], false))),
            ("a link by one person", Directive::Link(warrant(&theirs, "alice", &[], true))),
            ("a kill in people's names", Directive::Kill(warrant(&kill(), "carol", &["dave"], false))),
            ("a kill by one person", Directive::Kill(warrant(&kill(), "carol", &[], true))),
            ("a kill by another group", Directive::Kill(warrant(&kill(), "alice", &["bob"], true))),
            (
                "a restore in people's names",
                Directive::Restore(warrant(&restore, "alice", &["bob", "carol", "dave"], false)),
            ),
            ("people by the forger", Directive::Trust(warrant(&people, "erin", &["alice"], false))),
            ("people by one person", Directive::Trust(warrant(&people, "erin", &[], true))),
            ("callers by the forger", Directive::Callers(warrant(&callers, "alice", &["bob"], false))),
            ("callers by one person", Directive::Callers(warrant(&callers, "alice", &[], true))),
            ("a certified link as a kill", Directive::Kill(self.warrant(old_link.clone()))),
            ("a certified link as a restore", Directive::Restore(self.warrant(old_link.clone()))),
            ("a recorded link that was replaced", Directive::Link(self.warrant(old_link))),
        ]
    }

    /// A renewal by a key that is not the lease key, over the region's own nonce; and by the lease key over a nonce that nobody drew.
    fn leases(&self, region: &Region, observed: &Observed, lease_key: &SecretKey) -> Vec<(&'static str, Directive)> {
        let grant = LeaseGrant {
            domain: Kind::Lease.domain(),
            deployment: self.chain.current().deployment.clone(),
            tenant: self.chain.tenant(),
            region: region.clone(),
            trust: observed.trust,
            epoch: observed.epoch,
            kills: observed.halts.names(),
            restored: observed.lifted.names(),
            nonce: observed.lease_nonce.clone().unwrap(),
            seconds: 900,
        };
        let undrawn = LeaseGrant { nonce: Digest([5; 32]).to_string(), ..grant.clone() };
        vec![
            ("a lease by another key", Directive::Lease(grant.sign(&self.own).unwrap())),
            ("a lease over no nonce", Directive::Lease(undrawn.sign(lease_key).unwrap())),
        ]
    }
}

/// What may differ between two looks at a tenant that nothing happened to.
fn still(observed: BTreeMap<orbital::names::TenantId, Observed>) -> BTreeMap<orbital::names::TenantId, Observed> {
    let blank =
        |(tenant, seen)| (tenant, Observed { lease_left: None, lease_nonce: None, usage: BTreeMap::new(), ..seen });
    observed.into_iter().map(blank).collect()
}

/// The certificate of the first link, after another has taken its place.
async fn replaced_link(demo: &Demo) -> Certificate {
    let page = rest::get(demo, "/v1/proposals?tenant=acme&kind=LinkL1").await;
    let first = page["items"][0]["id"].as_str().unwrap().to_owned();
    let link =
        ["key", "link", "--tenant", "acme", "--provider", "acme-soft", "--ref", "soft:acme-root", "--reason", "anew"];
    let id = demo.propose("alice", &link);
    demo.ok(Some("bob"), &["proposal", "approve", &id, "--wait", "30s"]);
    let view: Value = rest::get(demo, &format!("/v1/proposals/{first}")).await;
    serde_json::from_value(view["certificate"].clone()).unwrap()
}

fn forger(demo: &Demo, epoch: u64) -> Forger {
    let genesis = std::fs::read(demo.dir().join("acme.genesis.json")).unwrap();
    let genesis: Genesis = serde_json::from_slice(&genesis).unwrap();
    let key = |name| (name, keyfiles::read_ed25519(&demo.dir().join(format!("keys/{name}.key"))).unwrap());
    Forger {
        chain: genesis.found().unwrap(),
        epoch,
        own: SecretKey::from_seed(&[66; 32]),
        people: ["alice", "bob", "carol", "erin"].map(key).into(),
        made: 0,
    }
}

/// A sound genesis of a tenant that no topology pins, for the very same regions.
fn foreign(demo: &Demo, root: &TrustRoot) -> Genesis {
    let folder = demo.file("mallory");
    std::fs::create_dir(&folder).unwrap();
    let founding = Founding {
        deployment: &root.deployment,
        name: "mallory",
        regions: root.regions.clone(),
        system: "orders",
        callers: BTreeSet::new(),
        policy: root.policy,
        lease_key: root.lease.key,
    };
    founding.sign(&Keyring::make(&folder).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn governance_alone_moves_nothing() {
    let demo = Demo::start();
    let ours = demo.use_everywhere("acme").await;
    let old_link = replaced_link(&demo).await;
    let epoch = demo.ok(None, &["tenant", "show", "acme"])["epoch"].as_u64().unwrap();
    let mut forger = forger(&demo, epoch);
    let directives = forger.directives(foreign(&demo, forger.chain.current()), old_link);

    demo.kill_9("gov-1");
    let topology = demo.dir().join("topology.toml");
    let checked = topology::check(&topology, &std::fs::read_to_string(&topology).unwrap());
    let mut usurper = Usurper::usurp(checked.into_model().unwrap()).await;
    let lease_key = keyfiles::read_ed25519(&demo.dir().join("gov-1/lease.key")).unwrap();
    for node in NODES {
        let name = NodeName::new(node).unwrap();
        let regions = &usurper.model().regions;
        let region = regions.iter().find(|(_, part)| part.nodes.contains_key(&name)).unwrap().0.clone();
        let report_key = forger.chain.current().regions[&region].report_key;
        let before = usurper.hello(&name).await;
        assert_eq!(before.len(), 2);
        for (what, directive) in &directives {
            refused(&mut usurper, &name, &report_key, what, directive).await;
        }
        let observed = usurper.hello(&name).await[&forger.chain.tenant()].clone();
        for (what, directive) in forger.leases(&region, &observed, &lease_key) {
            refused(&mut usurper, &name, &report_key, what, &directive).await;
        }
        assert_eq!(still(usurper.hello(&name).await), still(before), "{node}");
    }
    demo.served(&ours).await;
    usurper.stop().await;
    demo.end();
}

async fn refused(
    usurper: &mut Usurper,
    node: &NodeName,
    report_key: &orbital::sign::PublicKey,
    what: &str,
    directive: &Directive,
) {
    let ack = usurper.answer(node, report_key, directive).await;
    assert_eq!(ack.outcome, Outcome::Refused, "{what} in {node}: {ack:?}");
    assert!(!ack.why.is_empty(), "{what} in {node}: {ack:?}");
}
