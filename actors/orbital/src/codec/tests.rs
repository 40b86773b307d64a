//! Every directive, report and body there and back, cut short, and with any bit turned.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    chain::Genesis,
    directive::{Directive, LINKS_PER_DIRECTIVE_MAX, Warrant},
    frame::{FRAME_BYTES_MAX, Frame, Head},
    halt::{Halt, Halts},
    hello::{Hello, Span},
    lane::Lane,
    names::{Correlation, Deployment, Digest, NAME_BYTES_MAX, NodeName, TenantId},
    report::{Body, L1State, Load, Observed, Probed, Report, Stops},
    sign::SecretKey,
    testing::World,
};

fn directives(world: &World) -> Vec<Directive> {
    let (link, tenant) = (world.link("k"), world.tenant());
    let warrant = || Warrant { links: vec![world.kill()], ..world.warrant(world.kill()) };
    let all = vec![
        Directive::Provision { genesis: world.genesis(), links: vec![world.kill()] },
        Directive::Probe { tenant, change: link.change.clone(), proposal: link.proposal.clone() },
        Directive::Hold { tenant },
        Directive::Link(world.warrant(link.clone())),
        Directive::Kill(warrant()),
        Directive::Restore(warrant()),
        Directive::Trust(warrant()),
        Directive::Callers(warrant()),
        Directive::Lease(link.proposal),
        Directive::Block(warrant()),
        Directive::Unblock(warrant()),
        Directive::Suspend(warrant()),
        Directive::Resume(warrant()),
        Directive::Shred(warrant()),
        Directive::Annul { genesis: Box::new(world.genesis()), warrant: warrant() },
    ];
    let names: BTreeSet<_> = all.iter().map(Directive::name).collect();
    assert_eq!(names.len(), 15, "one of each: a new directive belongs here");
    all
}

fn observed() -> Observed {
    Observed {
        trust_version: 2,
        trust: Digest([1; 32]),
        epoch: 3,
        generation: 4,
        halts: [(Halt::Kill, Digest([2; 32])), (Halt::Block, Digest([4; 32]))].into_iter().collect(),
        lifted: Halts::default(),
        linked: Some(Digest([3; 32])),
        l1: L1State::PendingDeletion,
        stops: Stops { killed: true, sealed: true, ..Stops::default() },
        lease_left: None,
        keys: 5,
        lease_nonce: Some("AAAA".to_owned()),
        usage: Default::default(),
        recoveries: Default::default(),
    }
}

fn reports(world: &World) -> Vec<Report> {
    let load = Load { memory: "memfd_secret".to_owned(), ..Load::default() };
    let hello = Hello {
        span: Span { after: Some(TenantId(Digest([0; 32]))), until: None },
        tenants: BTreeMap::from([(world.tenant(), observed())]),
        unsaid: BTreeSet::from([TenantId(Digest([255; 32]))]),
        ..Hello::after(None, NodeName::new("fra-1").unwrap(), load, 7)
    };
    let probed = Probed {
        tenant: world.tenant(),
        change: Digest([1; 32]),
        state: L1State::Forbidden,
        resolved: "k".to_owned(),
        why: "refused".to_owned(),
        took_ms: 7,
    };
    vec![
        Report::Hello(hello),
        Report::SyncAck(world.kill().proposal),
        Report::Probed(probed),
        Report::Stopped(world.kill()),
        Report::Branch(world.kill()),
    ]
}

fn bodies(world: &World) -> Vec<Body> {
    let correlation = Correlation::new("c-1").unwrap();
    let directive = directives(world)[4].encode().unwrap();
    let report = reports(world)[0].encode().unwrap();
    vec![
        Body::Heartbeat,
        Body::Directive { correlation: correlation.clone(), decided_ms: 1, directive },
        Body::Report { correlation: Some(correlation), report: report.clone() },
        Body::Report { correlation: None, report },
    ]
}

/// There and back; every prefix is refused; a turned bit gives another value or none.
fn holds<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = encode(value).unwrap();
    assert_eq!(&decode::<T>(&bytes).unwrap(), value);
    // Each length up to 300 bytes, then some: a whole genesis has thousands.
    let places = || (0..bytes.len()).filter(|at| *at < 300 || at % 97 == 0);
    for at in places() {
        assert!(decode::<T>(&bytes[..at]).is_err(), "cut at {at}");
        let mut turned = bytes.clone();
        turned[at] ^= 1 << (at % 8);
        assert!(decode::<T>(&turned).ok().as_ref() != Some(value), "byte {at} says nothing");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(decode::<T>(&longer), Err(BadBody::Unreadable(_))));
}

#[test]
fn every_variant_reads_back_and_no_mutation_passes_for_it() {
    let world = World::new();
    directives(&world).iter().for_each(holds);
    reports(&world).iter().for_each(holds);
    bodies(&world).iter().for_each(holds);
}

#[test]
fn each_directive_travels_in_its_own_lane() {
    let world = World::new();
    for directive in directives(&world) {
        let body = Body::Directive {
            correlation: Correlation::new("c").unwrap(),
            decided_ms: 0,
            directive: directive.encode().unwrap(),
        };
        let stop = directive.stop().is_some();
        assert_eq!((Lane::Critical.carries(&body), Lane::Ordinary.carries(&body)), (stop, !stop));
    }
    let junk = Body::Directive { correlation: Correlation::new("c").unwrap(), decided_ms: 0, directive: vec![1, 9] };
    assert!(Lane::BOTH.iter().all(|lane| !lane.carries(&junk)));
}

#[test]
fn another_version_is_named_and_an_empty_body_refused() {
    let mut bytes = encode(&Body::Heartbeat).unwrap();
    bytes[0] = 2;
    assert_eq!(decode::<Body>(&bytes), Err(BadBody::Version(Some(2))));
    assert_eq!(decode::<Body>(&[]), Err(BadBody::Version(None)));
    assert_eq!(decode::<Body>(&vec![VERSION; BODY_BYTES_MAX + 1]), Err(BadBody::TooLarge));
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    // A directive of 2^60 bytes, says its length.
    let mut bytes = encode(&Body::Report { correlation: None, report: vec![] }).unwrap();
    let at = bytes.len() - 8;
    bytes[at..].copy_from_slice(&(1u64 << 60).to_le_bytes());
    assert!(matches!(decode::<Body>(&bytes), Err(BadBody::Unreadable(_))));
}

#[test]
fn the_largest_directive_fits_its_frame() {
    let world = World::new();
    let overhead = Directive::Provision { genesis: Genesis { root: vec![], ..world.genesis() }, links: vec![] };
    let room = CARRIED_BYTES_MAX - overhead.encode().unwrap().len();
    // base64 takes four characters for three bytes.
    let sized = |root: usize| Directive::Provision {
        genesis: Genesis { root: vec![0; root], ..world.genesis() },
        links: vec![],
    };
    assert_eq!(sized(room / 4 * 3 + 3).encode(), Err(BadBody::TooLarge));
    let directive = sized(room / 4 * 3).encode().unwrap();
    let longest = "x".repeat(NAME_BYTES_MAX);
    let head = Head {
        deployment: Deployment::new(&longest).unwrap(),
        sender: NodeName::new(&longest).unwrap(),
        receiver: NodeName::new(&longest).unwrap(),
        lane: Lane::Ordinary,
        incarnation: u64::MAX,
        term: u64::MAX,
        sequence: u64::MAX,
        base: u64::MAX,
    };
    let body = Body::Directive { correlation: Correlation::new(&longest).unwrap(), decided_ms: u64::MAX, directive };
    let sealed = Frame { head, body }.seal(&SecretKey::from_seed(&[1; 32])).unwrap();
    assert!(sealed.len() <= FRAME_BYTES_MAX);
}

#[test]
fn links_have_a_limit() {
    let world = World::new();
    let mut small = world.link("k");
    (small.change, small.approvals) = (vec![], vec![]);
    small.proposal.statement.clear();
    let with = |count| Directive::Kill(Warrant { links: vec![small.clone(); count], ..world.warrant(small.clone()) });
    Directive::decode(&with(LINKS_PER_DIRECTIVE_MAX).encode().unwrap()).unwrap();
    let many = with(LINKS_PER_DIRECTIVE_MAX + 1).encode().unwrap();
    assert!(matches!(Directive::decode(&many), Err(BadBody::Unreadable(why)) if why.contains("links")));
}

proptest::proptest! {
    #[test]
    fn any_bytes_decode_without_panic(mut bytes: Vec<u8>, versioned: bool) {
        if versioned { bytes.insert(0, VERSION); }
        _ = Directive::decode(&bytes);
        _ = Report::decode(&bytes);
        _ = decode::<Body>(&bytes);
    }
}
