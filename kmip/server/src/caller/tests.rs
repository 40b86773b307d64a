//! Certificates against anchors: every way to be a tenant's client, and every way not to be one.

use std::collections::BTreeMap;

use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, SanType};
use rustls::pki_types::{CertificateDer, UnixTime};

pub(crate) use super::people::{Authority, caller, caller_of, system, tenant};
use super::*;

fn now() -> UnixTime {
    UnixTime::now()
}

fn anchors(rules: &[(TenantId, Vec<CallerRule>)]) -> (Anchors, Vec<AnchorFault>) {
    Anchors::of(rules.iter().map(|(tenant, rules)| (tenant, rules.as_slice())))
}

fn pin(leaf: &CertificateDer<'_>, name: &str) -> CallerRule {
    CallerRule { anchor: Anchor::Fingerprint(anchors::sha256(leaf)), system: system(name), name: None, turn: NOT_YET }
}

fn named(rule: CallerRule, name: &str) -> CallerRule {
    CallerRule { name: Some(system(name)), ..rule }
}

fn since(rule: CallerRule, turn: u64) -> CallerRule {
    CallerRule { turn, ..rule }
}

fn whose(anchors: &Anchors, chain: &[CertificateDer<'_>]) -> Result<(TenantId, String), NotACaller> {
    anchors.identify(chain, now()).map(|caller| (*caller.tenant(), caller.system().to_string()))
}

fn is(number: u8, name: &str) -> Result<(TenantId, String), NotACaller> {
    Ok((tenant(number), name.to_owned()))
}

#[test]
fn the_anchor_decides_the_tenant_whatever_the_certificate_says() {
    let (one, two, nobody) = (Authority::new("one"), Authority::new("two"), Authority::new("orbital"));
    let (anchors, faults) = anchors(&[(tenant(1), vec![one.rule("orders")]), (tenant(2), vec![two.rule("ledger")])]);
    assert!(faults.is_empty());
    let claims_two = |parameters: &mut CertificateParams| parameters.distinguished_name.push(DnType::CommonName, "two");
    assert_eq!(whose(&anchors, &[one.leaf(|_| {})]), is(1, "orders"));
    assert_eq!(whose(&anchors, &[one.leaf(claims_two)]), is(1, "orders"));
    assert_eq!(whose(&anchors, &[two.leaf(|_| {})]), is(2, "ledger"));
    // A CA of another port of this system is nobody here.
    assert_eq!(whose(&anchors, &[nobody.leaf(|_| {})]), Err(NotACaller::UnknownIssuer));
    assert_eq!(whose(&anchors, &[nobody.leaf(|_| {}), one.der()]), Err(NotACaller::UnknownIssuer));
    assert_eq!(whose(&anchors, &[]), Err(NotACaller::NoCertificate));
    assert!(matches!(whose(&anchors, &[CertificateDer::from(vec![1, 2, 3])]), Err(NotACaller::Unreadable(_))));
    let long = vec![one.leaf(|_| {}); CHAIN_CERTIFICATES_MAX + 1];
    assert!(matches!(whose(&anchors, &long), Err(NotACaller::ChainTooLong(_))));
}

#[test]
fn authorities_of_one_name_are_told_apart_by_their_keys() {
    let (one, two) = (Authority::new("KMIP CA"), Authority::new("KMIP CA"));
    let (anchors, faults) = anchors(&[(tenant(1), vec![one.rule("orders")]), (tenant(2), vec![two.rule("ledger")])]);
    assert!(faults.is_empty());
    assert_eq!(whose(&anchors, &[one.leaf(|_| {})]), is(1, "orders"));
    assert_eq!(whose(&anchors, &[two.leaf(|_| {})]), is(2, "ledger"));
}

#[test]
fn dates_and_purpose_count() {
    let one = Authority::new("one");
    let (anchors, _) = anchors(&[(tenant(1), vec![one.rule("orders")])]);
    let expired = |parameters: &mut CertificateParams| parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let early = |parameters: &mut CertificateParams| parameters.not_before = rcgen::date_time_ymd(4000, 1, 1);
    let server = |parameters: &mut CertificateParams| {
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    for (leaf, why) in [
        (one.leaf(expired), NotACaller::Expired),
        (one.leaf(early), NotACaller::Expired),
        (one.leaf(server), NotACaller::NotForClients),
    ] {
        assert_eq!(whose(&anchors, std::slice::from_ref(&leaf)), Err(why.clone()));
        // A fingerprint vouches for who it is, not for its dates and its purpose.
        let (pinned, _) = self::anchors(&[(tenant(1), vec![pin(&leaf, "orders")])]);
        assert_eq!(whose(&pinned, &[leaf]), Err(why));
    }
}

#[test]
fn names_only_narrow() {
    let one = Authority::new("one");
    let rules = vec![named(one.rule("orders"), "urn:app:orders"), named(one.rule("ledger"), "ledger.example")];
    let (anchors, _) = anchors(&[(tenant(1), rules)]);
    let uri = |name: &'static str| {
        move |parameters: &mut CertificateParams| {
            parameters.subject_alt_names.push(SanType::URI(name.try_into().unwrap()));
        }
    };
    let dns = |parameters: &mut CertificateParams| {
        parameters.subject_alt_names.push(SanType::DnsName("ledger.example".try_into().unwrap()));
    };
    let cn = |parameters: &mut CertificateParams| {
        parameters.distinguished_name.push(DnType::CommonName, "ledger.example");
    };
    assert_eq!(whose(&anchors, &[one.leaf(uri("urn:app:orders"))]), is(1, "orders"));
    assert_eq!(whose(&anchors, &[one.leaf(dns)]), is(1, "ledger"));
    assert_eq!(whose(&anchors, &[one.leaf(cn)]), is(1, "ledger"));
    assert_eq!(whose(&anchors, &[one.leaf(uri("urn:app:other"))]), Err(NotACaller::NameMissing));
    let both = |parameters: &mut CertificateParams| {
        dns(parameters);
        uri("urn:app:orders")(parameters);
    };
    assert_eq!(whose(&anchors, &[one.leaf(both)]), Err(NotACaller::NamesContradict));
    let label = anchors.identify(&[one.leaf(dns)], now()).unwrap();
    assert_eq!(label.label(), "ledger.example");
}

#[test]
fn a_fingerprint_vouches_for_one_certificate() {
    let outside = Authority::new("a public CA");
    let (leaf, sibling) = (outside.leaf(|_| {}), outside.leaf(|_| {}));
    let (anchors, faults) = anchors(&[(tenant(1), vec![pin(&leaf, "orders")])]);
    assert!(faults.is_empty());
    assert_eq!(whose(&anchors, std::slice::from_ref(&leaf)), is(1, "orders"));
    assert_eq!(whose(&anchors, &[leaf, outside.der()]), is(1, "orders"));
    assert_eq!(whose(&anchors, &[sibling]), Err(NotACaller::UnknownIssuer));
}

#[test]
fn within_a_tenant_the_fingerprint_goes_before_the_authority() {
    let one = Authority::new("one");
    let leaf = one.leaf(|_| {});
    let (anchors, _) = anchors(&[(tenant(1), vec![one.rule("orders"), pin(&leaf, "backup")])]);
    assert_eq!(whose(&anchors, &[leaf]), is(1, "backup"));
    assert_eq!(whose(&anchors, &[one.leaf(|_| {})]), is(1, "orders"));
}

/// Certificates are public: whoever names another's as its own must not get its clients, must not lock them out, and gets noticed.
#[test]
fn what_a_tenant_held_first_stays_its_own() {
    let root = Authority::new("root");
    let issuing = root.below("issuing");
    let leaf = issuing.leaf(|_| {});
    let chain = [leaf.clone(), issuing.der()];
    let honest = |number| (tenant(number), vec![since(root.rule("orders"), 3)]);
    for (theft, seen) in [(root.rule("x"), true), (issuing.rule("x"), false), (pin(&leaf, "x"), false)] {
        for later in [4, NOT_YET] {
            // The order of the tenants' ids says nothing.
            for (owner, thief) in [(1, 2), (2, 1)] {
                let rules = BTreeMap::from([honest(owner), (tenant(thief), vec![since(theft.clone(), later)])]);
                let (anchors, faults) = Anchors::of(rules.iter().map(|(tenant, rules)| (tenant, rules.as_slice())));
                assert_eq!(whose(&anchors, &chain), is(owner, "orders"));
                let expected = AnchorFault::Held {
                    tenant: tenant(thief),
                    holder: tenant(owner),
                    anchor: root.rule("orders").anchor.id(),
                };
                assert_eq!(faults, if seen { vec![expected] } else { vec![] });
                assert_eq!(anchors.faults(), faults);
            }
        }
    }
    let pins = [(tenant(1), vec![since(pin(&leaf, "orders"), 2)]), (tenant(2), vec![since(pin(&leaf, "x"), 1)])];
    let (anchors, faults) = anchors(&pins);
    assert_eq!(whose(&anchors, &chain), is(2, "x"));
    assert!(matches!(faults.as_slice(), [AnchorFault::Held { .. }]));
}

/// What a holder's own rules refuse does not fall to whoever named its CA later.
#[test]
fn a_client_that_its_holder_refuses_is_nobodys() {
    let root = Authority::new("root");
    let rules = [
        (tenant(1), vec![since(named(root.rule("orders"), "urn:app:orders"), 1)]),
        (tenant(2), vec![since(root.rule("x"), 2)]),
    ];
    assert_eq!(whose(&anchors(&rules).0, &[root.leaf(|_| {})]), Err(NotACaller::NameMissing));
}

#[test]
fn a_holder_keeps_its_clients_by_the_earliest_of_its_claims() {
    let root = Authority::new("root");
    let leaf = root.leaf(|_| {});
    let rules = [
        (tenant(1), vec![since(root.rule("orders"), 1), since(pin(&leaf, "backup"), 9)]),
        (tenant(2), vec![since(pin(&leaf, "x"), 5)]),
    ];
    assert_eq!(whose(&anchors(&rules).0, &[leaf]), is(1, "orders"));
}

#[test]
fn a_ca_stays_the_same_when_its_certificate_is_renewed() {
    let (before, other) = (Authority::new("root"), Authority::new("root"));
    let renewed = Authority(CertifiedIssuer::self_signed(Authority::parameters("root"), before.key()).unwrap());
    assert_ne!(before.der(), renewed.der());
    let id = |authority: &Authority| authority.rule("x").anchor.id();
    assert_eq!(id(&before), id(&renewed));
    assert_ne!(id(&before), id(&other));
    let rules = [(tenant(1), vec![since(renewed.rule("x"), 2)]), (tenant(2), vec![since(before.rule("orders"), 1)])];
    assert_eq!(whose(&anchors(&rules).0, &[renewed.leaf(|_| {})]), is(2, "orders"));
    // The same key under another name is no way round its holder.
    let renamed = Authority(CertifiedIssuer::self_signed(Authority::parameters("other"), before.key()).unwrap());
    let rules = [(tenant(1), vec![since(renamed.rule("x"), 2)]), (tenant(2), vec![since(before.rule("orders"), 1)])];
    assert_eq!(whose(&anchors(&rules).0, &[renamed.leaf(|_| {})]), Err(NotACaller::UnknownIssuer));
}

/// Claims that nobody made first, such as two of one turn.
#[test]
fn what_two_tenants_claim_at_once_belongs_to_neither() {
    let root = Authority::new("root");
    let issuing = root.below("issuing");
    let leaf = issuing.leaf(|_| {});
    let chain = [leaf.clone(), issuing.der()];
    let honest = (tenant(1), vec![root.rule("orders")]);
    assert_eq!(whose(&anchors(std::slice::from_ref(&honest)).0, &chain), is(1, "orders"));
    for (theft, seen) in [(root.rule("x"), true), (issuing.rule("x"), false), (pin(&leaf, "x"), false)] {
        for order in [[honest.clone(), (tenant(2), vec![theft.clone()])], [(tenant(0), vec![theft]), honest.clone()]] {
            let (anchors, faults) = anchors(&order);
            assert_eq!(whose(&anchors, &chain), Err(NotACaller::Contested));
            assert_eq!(!faults.is_empty(), seen, "{faults:?}");
        }
    }
    let pins = [(tenant(1), vec![pin(&leaf, "orders")]), (tenant(2), vec![pin(&leaf, "x")])];
    let (anchors, faults) = anchors(&pins);
    assert_eq!(whose(&anchors, &chain), Err(NotACaller::Contested));
    assert!(matches!(faults.as_slice(), [AnchorFault::Contested { .. }]));
}

#[test]
fn an_authority_below_its_own_root_is_no_contest() {
    let root = Authority::new("root");
    let issuing = root.below("issuing");
    let (anchors, _) = anchors(&[(tenant(1), vec![root.rule("orders"), issuing.rule("ledger")])]);
    // The nearest authority decides the system.
    assert_eq!(whose(&anchors, &[issuing.leaf(|_| {}), issuing.der()]), is(1, "ledger"));
    assert_eq!(whose(&anchors, &[root.leaf(|_| {})]), is(1, "orders"));
}

#[test]
fn a_table_changes_as_a_whole_and_names_what_is_not_in_force() {
    let (one, table) = (Authority::new("one"), AnchorTable::default());
    assert!(table.set(tenant(1), vec![one.rule("orders")]).is_empty());
    let leaf = [one.leaf(|_| {})];
    let before = table.current();
    assert_eq!(whose(&before, &leaf), is(1, "orders"));
    let bad = CallerRule { anchor: Anchor::Ca(vec![0; 10]), system: system("x"), name: None, turn: NOT_YET };
    assert!(matches!(table.set(tenant(2), vec![bad]).as_slice(), [AnchorFault::Unreadable { .. }]));
    assert_eq!(whose(&table.current(), &leaf), is(1, "orders"));
    table.remove(&tenant(1));
    assert_eq!(whose(&table.current(), &leaf), Err(NotACaller::UnknownIssuer));
    assert_eq!(whose(&before, &leaf), is(1, "orders"), "a snapshot stays as it was");
}
