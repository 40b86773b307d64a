//! Transplants (PROTOCOL §9.5): each statement × each member × another kind, role, tenant, region or deployment is refused; and a second,
//! foreign JSON reader agrees with ours about every canonical byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::{Map, Value};

use crate::{
    canon,
    certificate::{Certificate, certify},
    change::{Action, Change},
    directive::LeaseGrant,
    held::Held,
    names::{Digest, NodeName},
    report::{Outcome, SyncAck},
    sign::{Kind, PublicKey, SecretKey, Signed},
    testing::{NOW, World, region},
    trust::TrustRoot,
    vote::{Role, Vote},
};

const KINDS: [Kind; 21] = [
    Kind::Change,
    Kind::Trust,
    Kind::Propose,
    Kind::Approve,
    Kind::Reject,
    Kind::Confirm,
    Kind::Fire,
    Kind::Recover,
    Kind::Lease,
    Kind::Head,
    Kind::SyncAck,
    Kind::Entry,
    Kind::Leaf,
    Kind::Node,
    Kind::Checkpoint,
    Kind::Policy,
    Kind::Frame,
    Kind::Directive,
    Kind::Enrol,
    Kind::Evidence,
    Kind::Held,
];
const ROLES: [Role; 5] = [Role::Propose, Role::Approve, Role::Reject, Role::Confirm, Role::Fire];

fn members(bytes: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(bytes).unwrap()
}

/// Another value of the same shape, one that reads: another digest, the next integer, another name, another list.
fn another(member: &str, value: &Value) -> Value {
    let text = match (member, value) {
        ("kind", _) => "RevokeL1".to_owned(),
        ("outcome", _) => "refused".to_owned(),
        (_, Value::String(text)) if text.parse::<Digest>().is_ok() => Digest([42; 32]).to_string(),
        (_, Value::String(text)) if canon::check_nonce(text).is_ok() => "BBBBBBBBBBBBBBBBBBBBBA".to_owned(),
        (_, Value::String(text)) if text.parse::<u64>().is_ok() => (text.parse::<u64>().unwrap() + 1).to_string(),
        (_, Value::String(text)) => format!("{text}-other"),
        (_, Value::Array(items)) if items.is_empty() => return vec![Digest([42; 32]).to_string()].into(),
        (_, Value::Array(items)) => return items.iter().skip(1).cloned().collect(),
        (_, Value::Object(inner)) => {
            return Value::Object(inner.iter().skip(1).map(|(k, v)| (k.clone(), v.clone())).collect());
        }
        (_, other) => panic!("no statement holds {other}"),
    };
    Value::String(text)
}

/// The statement once for each of its members, with that member altered.
fn alterations(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let whole = members(bytes);
    let altered = |member: &String| {
        let mut other = whole.clone();
        other.insert(member.clone(), another(member, &whole[member]));
        (member.clone(), canon::write("altered", &other).unwrap())
    };
    whole.keys().map(altered).collect()
}

fn lease(world: &World) -> Signed {
    let grant = LeaseGrant {
        domain: Kind::Lease.domain(),
        deployment: world.deployment(),
        tenant: world.tenant(),
        region: region("us-east"),
        trust: world.chain().digest(),
        epoch: 1,
        kills: BTreeSet::from([Digest([1; 32])]),
        restored: BTreeSet::from([Digest([1; 32])]),
        nonce: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        seconds: 60,
    };
    grant.sign(world.lease_key()).unwrap()
}

fn sync_ack(world: &World) -> Signed {
    let ack = SyncAck {
        domain: Kind::SyncAck.domain(),
        deployment: world.deployment(),
        tenant: world.tenant(),
        region: region("us-east"),
        directive: Digest([1; 32]),
        change: Some(Digest([2; 32])),
        outcome: Outcome::Applied,
        why: String::new(),
        members: BTreeSet::from([NodeName::new("iad-1").unwrap()]),
        trust_version: 1,
        epoch: 1,
        generation: 1,
        at_us: 1,
        took_us: 1,
    };
    ack.sign(world.report_key("us-east")).unwrap()
}

fn held(world: &World) -> Signed {
    let held = Held {
        domain: Kind::Held.domain(),
        deployment: world.deployment(),
        tenant: world.tenant(),
        region: region("us-east"),
        nonce: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        version: 1,
        trust: world.chain().digest(),
        forked: BTreeSet::from([Digest([1; 32])]),
        at_us: 1,
    };
    held.sign(world.report_key("us-east")).unwrap()
}

/// One signed statement of each kind that people, regions and lease keys sign, and who signed it.
fn statements(world: &World) -> Vec<(Kind, Signed, PublicKey)> {
    let link = world.link("k");
    let answers = ROLES
        .into_iter()
        .skip(1)
        .map(|role| (role.kind(), world.answer(role, &link.proposal, "bob"), world.key("bob").public()));
    let genesis = world.genesis();
    let signature = genesis.signatures.values().next().copied().unwrap();
    let root = Signed { statement: genesis.root, signature: signature.into() };
    let mut all = vec![
        (Kind::Propose, link.proposal.clone(), world.key("alice").public()),
        (Kind::Trust, root, world.key("alice").public()),
        (Kind::Lease, lease(world), world.lease_key().public()),
        (Kind::SyncAck, sync_ack(world), world.report_key("us-east").public()),
        (Kind::Held, held(world), world.report_key("us-east").public()),
    ];
    all.extend(answers);
    all
}

#[test]
fn a_signature_serves_its_own_kind_bytes_and_key() {
    let (world, other) = (World::new(), World::of("test", "globex"));
    for (kind, signed, key) in statements(&world) {
        signed.verify(kind, &key).unwrap();
        for foreign in KINDS.into_iter().filter(|k| *k != kind) {
            assert!(signed.verify(foreign, &key).is_err(), "{kind:?} as {foreign:?}");
        }
        for (member, statement) in alterations(&signed.statement) {
            let altered = Signed { statement, ..signed.clone() };
            assert!(altered.verify(kind, &key).is_err(), "{kind:?} with another {member}");
        }
        for stranger in statements(&other).iter().map(|(.., key)| key) {
            assert!(signed.verify(kind, stranger).is_err(), "{kind:?} under another key");
        }
    }
}

#[test]
fn no_two_kinds_share_a_digest() {
    let digests: BTreeSet<_> = KINDS.into_iter().map(|kind| kind.digest(b"{}")).collect();
    assert_eq!(digests.len(), KINDS.len());
}

#[test]
fn a_statement_reads_as_nothing_else_even_if_signed_for_it() {
    let world = World::new();
    for (kind, signed, _) in statements(&world) {
        for role in ROLES {
            assert_eq!(Vote::read(role, &signed).is_ok(), role.kind() == kind, "{kind:?} as {role:?}");
        }
        assert_eq!(LeaseGrant::read(&signed).is_ok(), kind == Kind::Lease);
        assert_eq!(SyncAck::peek(&signed).is_ok(), kind == Kind::SyncAck);
        assert_eq!(Held::peek(&signed).is_ok(), kind == Kind::Held);
        assert_eq!(TrustRoot::from_bytes(&signed.statement).is_ok(), kind == Kind::Trust);
        assert!(Change::from_bytes(&signed.statement).is_err());
    }
    // A domain of another kind in an otherwise fitting statement.
    for (kind, signed, _) in statements(&world) {
        let mut other = members(&signed.statement);
        other.insert("domain".to_owned(), Value::String(Kind::Policy.domain()));
        let signed = Signed { statement: canon::write("other", &other).unwrap(), ..signed };
        assert!(ROLES.into_iter().all(|role| Vote::read(role, &signed).is_err()), "{kind:?}");
        assert!(LeaseGrant::read(&signed).is_err() && SyncAck::peek(&signed).is_err());
        assert!(TrustRoot::from_bytes(&signed.statement).is_err());
    }
}

#[test]
fn a_sync_ack_is_of_the_region_whose_key_signed_it() {
    let world = World::new();
    let ack = sync_ack(&world);
    SyncAck::open(&ack, &world.report_key("us-east").public()).unwrap();
    for other in ["eu-frankfurt", "ch-zurich"] {
        assert!(SyncAck::open(&ack, &world.report_key(other).public()).is_err());
    }
}

fn refused(world: &World, certificate: &Certificate) -> bool {
    certify(certificate, world.chain(), NOW).is_err()
}

/// Signs altered votes with the right person's key, as a person who was led to sign something else would.
fn resigned(role: Role, statement: Vec<u8>, key: &SecretKey) -> Signed {
    Signed::new(role.kind(), statement, key)
}

#[test]
fn an_approval_with_any_member_altered_approves_nothing() {
    let world = World::new();
    let link = world.link("k");
    let mut seen = 0;
    for (member, statement) in alterations(&link.approvals[0].statement) {
        let approval = resigned(Role::Approve, statement, world.key("bob"));
        let altered = Certificate { approvals: vec![approval], ..link.clone() };
        // What is the signer's own may differ; all else is what was proposed.
        let own = ["nonce", "origin"].contains(&member.as_str());
        assert_eq!(refused(&world, &altered), !own, "{member}");
        seen += 1;
    }
    assert_eq!(seen, 15, "every member of a vote");
}

#[test]
fn a_proposal_with_any_member_altered_proposes_another_thing() {
    let world = World::new();
    let link = world.link("k");
    for (member, statement) in alterations(&link.proposal.statement) {
        let proposal = resigned(Role::Propose, statement, world.key("alice"));
        // The old approval answers another proposal, whatever was altered.
        assert!(refused(&world, &Certificate { proposal: proposal.clone(), ..link.clone() }), "{member}");
        let own = ["nonce", "origin", "expires"].contains(&member.as_str());
        if let Ok(approval) = Vote::answer(Role::Approve, &proposal, &world.signer("bob")) {
            let anew = Certificate { proposal, approvals: vec![approval], ..link.clone() };
            assert_eq!(refused(&world, &anew), !own, "{member}, approved anew");
        }
    }
}

#[test]
fn a_vote_of_another_role_does_not_approve() {
    let world = World::new();
    for role in ROLES {
        let link = world.link("k");
        let vote = match role {
            Role::Propose => world.propose(&link.change, "bob"),
            _ => world.answer(role, &link.proposal, "bob"),
        };
        assert_eq!(refused(&world, &Certificate { approvals: vec![vote], ..link }), role != Role::Approve, "{role:?}");
    }
}

#[test]
fn a_change_with_any_member_altered_is_not_what_was_signed() {
    let world = World::new();
    let next = world.next(|root| root.callers.clear());
    for certificate in [
        world.link("k"),
        world.kill(),
        world.restore([Digest([1; 32]), Digest([2; 32])]),
        world.certificate(Action::ChangeCallers { next }, "alice", &["bob"]),
    ] {
        assert!(!refused(&world, &certificate));
        for (member, change) in alterations(&certificate.change) {
            assert!(refused(&world, &Certificate { change, ..certificate.clone() }), "{member}");
        }
    }
}

#[test]
fn a_genesis_with_any_member_altered_is_unsigned() {
    let world = World::new();
    for (member, root) in alterations(&world.genesis().root) {
        assert!(crate::chain::Genesis { root, ..world.genesis() }.found().is_err(), "{member}");
    }
}

/// Reads a JSON text a line, refuses duplicate members and numbers, and writes it again as RFC 8785 says. Python's `json` shares no
/// code and no author with ours.
const FOREIGN: &str = r#"
import json, sys
def members(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), "duplicate member"
    return dict(pairs)
def number(text):
    raise ValueError("a number: " + text)
for line in sys.stdin.buffer:
    line = line.rstrip(b"\n")
    value = json.loads(line.decode("utf-8"), object_pairs_hook=members, parse_int=number, parse_float=number)
    def ordered(v):
        if isinstance(v, dict):
            return {k: ordered(v[k]) for k in sorted(v, key=lambda k: k.encode("utf-16-be"))}
        return [ordered(x) for x in v] if isinstance(v, list) else v
    again = json.dumps(ordered(value), separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    assert again == line, (again, line)
print("agreed")
"#;

/// Whether the foreign reader agrees about every line; none if there is no python3 here.
fn foreign_agrees(lines: &[Vec<u8>]) -> Option<bool> {
    let mut python = Command::new("python3");
    python.args(["-c", FOREIGN]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut python = python.spawn().ok()?;
    let mut input = python.stdin.take().unwrap();
    // A reader that gave up closes its end.
    _ = input.write_all(&lines.join(&b'\n'));
    drop(input);
    let output = python.wait_with_output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stderr));
    Some(output.status.success() && output.stdout.starts_with(b"agreed"))
}

#[test]
fn a_foreign_reader_agrees_about_every_canonical_byte() {
    let world = World::new();
    let mut lines: Vec<Vec<u8>> = statements(&world).into_iter().map(|(_, signed, _)| signed.statement).collect();
    lines.extend([world.link("k").change, world.kill().change, world.restore([Digest([1; 32])]).change]);
    let mut runner = TestRunner::deterministic();
    let texts = proptest::collection::btree_map(".{0,8}", proptest::collection::vec(any_text(), 0..3), 0..5);
    lines.extend((0..200).map(|_| {
        let map: BTreeMap<String, Vec<String>> = texts.new_tree(&mut runner).unwrap().current();
        canon::write("a map", &map).unwrap()
    }));
    let Some(agrees) = foreign_agrees(&lines) else {
        println!("SKIPPED a_foreign_reader_agrees_about_every_canonical_byte: no python3 here");
        return;
    };
    assert!(agrees);
    for bad in [r#"{"b":"1","a":"2"}"#, r#"{"a":"1","a":"1"}"#, r#"{"a":1}"#, r#"{"a": "1"}"#, r#"{"a":"\u0061"}"#] {
        assert_eq!(foreign_agrees(&[bad.as_bytes().to_vec()]), Some(false), "{bad}");
    }
}

/// Any text, the control characters and those beyond the basic plane among it.
fn any_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::prop_oneof![proptest::char::range('\0', '\u{7f}'), proptest::char::any()], 0..6)
        .prop_map(|chars| chars.into_iter().collect())
}
