//! However many tenants there are and whatever is known of them: each is in one group, the groups cover every id, and each fits a frame.

use proptest::{collection::btree_map, prelude::*};

use super::*;
use crate::{
    frame::{Expect, FRAME_BYTES_MAX, Frame, Head},
    lane::Lane,
    names::{Correlation, Deployment, Digest, NAME_BYTES_MAX},
    report::{Body, L1State, Report, Stops},
    sign::SecretKey,
};

type Held = BTreeMap<TenantId, Option<Observed>>;

fn digest(n: u32) -> Digest {
    let mut bytes = [0; 32];
    // The first bytes differ most, as in real digests.
    bytes[..4].copy_from_slice(&n.wrapping_mul(0x9E37_79B1).to_be_bytes());
    Digest(bytes)
}

fn observed(kills: u32) -> Observed {
    Observed {
        trust_version: 2,
        trust: digest(1),
        epoch: 3,
        generation: 4,
        halts: (0..kills).map(digest).collect(),
        lifted: (0..kills).map(digest).collect(),
        linked: Some(digest(2)),
        l1: L1State::Enabled,
        stops: Stops::default(),
        lease_left: Some(86_400),
        keys: 5,
        lease_nonce: Some(digest(3).to_string()),
        usage: Default::default(),
        recoveries: Default::default(),
    }
}

fn named(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// One round of a region that holds this, as groups.
fn round(held: &Held) -> Vec<Hello> {
    let (mut groups, mut after): (Vec<Hello>, _) = (Vec::new(), None);
    loop {
        let hello = Hello::after(after, named(&"n".repeat(NAME_BYTES_MAX)), Load::default(), u64::MAX);
        let rest = hello.span.of(held).map(|(tenant, observed)| (*tenant, observed.clone()));
        let hello = hello.fill(rest);
        after = hello.span.until;
        groups.push(hello);
        if after.is_none() {
            return groups;
        }
    }
}

/// Through a sealed frame with the longest names, and out again.
fn carried(hello: &Hello) -> Hello {
    let (key, name) = (SecretKey::from_seed(&[1; 32]), "x".repeat(NAME_BYTES_MAX));
    let head = Head {
        deployment: Deployment::new(&name).unwrap(),
        sender: named(&name),
        receiver: named(&name),
        lane: Lane::Ordinary,
        incarnation: u64::MAX,
        term: 0,
        sequence: 0,
        base: 0,
    };
    let report = Report::Hello(hello.clone()).encode().unwrap();
    let body = Body::Report { correlation: Some(Correlation::new(&name).unwrap()), report };
    let sealed = Frame { head: head.clone(), body }.seal(&key).unwrap();
    assert!(sealed.len() <= FRAME_BYTES_MAX);
    let Head { deployment, sender, receiver, lane, .. } = head;
    let opened = Frame::open(&sealed, &Expect { deployment, sender, receiver, lane, key: key.public() }).unwrap();
    let Body::Report { report, .. } = opened.body else { panic!("another body") };
    let Report::Hello(read) = Report::decode(&report).unwrap() else { panic!("another report") };
    read
}

/// What a round of groups must be, for any region.
fn holds(held: &Held) {
    let groups = round(held);
    let mut said = Held::new();
    for hello in &groups {
        let (names, unsaid) = (hello.tenants.clone(), hello.unsaid.iter().map(|tenant| (*tenant, None)));
        for (tenant, observed) in names.into_iter().map(|(tenant, o)| (tenant, Some(o))).chain(unsaid) {
            assert!(hello.span.covers(&tenant));
            assert_eq!(said.insert(tenant, observed), None, "in two groups");
        }
        assert!(hello.len() <= HELLO_TENANTS_MAX);
        assert!(Report::Hello(hello.clone()).encode().unwrap().len() <= HELLO_BYTES_MAX + 1024);
        assert_eq!(carried(hello), *hello);
    }
    assert_eq!(said, *held);
    // Each id is of one group, whether the region holds it or not.
    for id in held.keys().copied().chain((0..64).map(|n| TenantId(digest(n)))) {
        assert_eq!(groups.iter().filter(|hello| hello.span.covers(&id)).count(), 1);
    }
    assert_eq!((groups[0].span.after, groups[groups.len() - 1].span.until), (None, None));
    assert!(groups.windows(2).all(|two| two[0].span.until == two[1].span.after));
}

fn regions() -> impl Strategy<Value = Held> {
    let known = prop_oneof![60 => (0_u32..3).prop_map(|n| Some(observed(n))), 4 => Just(None), 1 => Just(Some(observed(1_024)))];
    btree_map((0_u32..5_000).prop_map(|n| TenantId(digest(n))), known, 0..900)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn each_tenant_is_in_one_group_and_each_group_fits_a_frame(held in regions()) {
        holds(&held);
    }

    #[test]
    fn a_span_takes_of_a_map_what_it_covers(ids: BTreeSet<u8>, after: Option<u8>, until: Option<u8>) {
        let id = |n: u8| TenantId(Digest([n; 32]));
        let span = Span { after: after.map(id), until: until.map(id) };
        let map: BTreeMap<_, _> = ids.into_iter().map(|n| (id(n), n)).collect();
        let covered: Vec<_> = map.iter().filter(|(id, _)| span.covers(id)).collect();
        prop_assert_eq!(span.of(&map).collect::<Vec<_>>(), covered);
    }
}

#[test]
fn a_region_of_thousands_of_tenants_says_them_all() {
    let held: Held = (0..10_000).map(|n| (TenantId(digest(n)), Some(observed(n % 3)))).collect();
    assert_eq!(held.len(), 10_000);
    holds(&held);
    assert_eq!(round(&held).len(), 10_000_usize.div_ceil(HELLO_TENANTS_MAX));
}

#[test]
fn an_empty_region_says_so() {
    assert_eq!(round(&Held::new()).iter().map(|hello| hello.span).collect::<Vec<_>>(), [Span::default()]);
}

#[test]
fn a_tenant_too_large_for_any_group_is_named_all_the_same() {
    // For a group, and for any frame at all.
    for kills in [4_000, 20_000] {
        let known = |n| Some(observed(if n == 1 { kills } else { 0 }));
        let groups = round(&(0..3).map(|n| (TenantId(digest(n)), known(n))).collect());
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].tenants.len(), &groups[0].unsaid), (2, &BTreeSet::from([TenantId(digest(1))])));
    }
}

#[test]
fn a_group_that_breaks_its_own_terms_does_not_read() {
    let whole = |span, count| Hello {
        span,
        tenants: (0..count).map(|n| (TenantId(digest(n)), observed(0))).collect(),
        ..Hello::after(None, named("fra-1"), Load::default(), 0)
    };
    let read = |hello| Report::decode(&Report::Hello(hello).encode().unwrap());
    let most = u32::try_from(HELLO_TENANTS_MAX).unwrap();
    read(whole(Span::default(), most)).unwrap();
    assert!(matches!(read(whole(Span::default(), most + 1)), Err(BadBody::Unreadable(why)) if why.contains("at most")));
    let narrow = Span { after: Some(TenantId(digest(1))), until: None };
    assert!(matches!(read(whole(narrow, 2)), Err(BadBody::Unreadable(why)) if why.contains("outside")));
    let mut hidden = whole(narrow, 0);
    hidden.unsaid.insert(TenantId(digest(0)));
    assert!(matches!(read(hidden), Err(BadBody::Unreadable(why)) if why.contains("outside")));
}
