//! What is copied, what is set anew, and how dates move.

use custody::object::{Custom, Name, Revocation};
use kmip::AttributeValue;

use super::*;

const NOW: i64 = 1_000_000;

fn key() -> ObjectMeta {
    let mut key = ObjectMeta { algorithm: Some(3), length_bits: Some(256), usage_mask: 12, ..meta() };
    key.names.push(Name { value: "master".to_owned(), kind: 1 });
    key.groups.push("group".to_owned());
    key.contact = Some("ops".to_owned());
    key.custom.insert("x-ID".to_owned(), vec![Custom::Text("a".to_owned())].into());
    key.dates.initial = Some(100);
    key.dates.activation = Some(200);
    key
}

fn meta() -> ObjectMeta {
    ObjectMeta::new(2, State::Active, true)
}

fn wish(offset_s: Option<u32>, attributes: &[(StandardAttribute, AttributeValue)]) -> Wish {
    let attributes = attributes.iter().map(|(name, value)| Attribute::new(*name, value.clone())).collect();
    Wish { offset_s, template: TemplateAttribute { template_names: vec![], attributes } }
}

fn reason(old: &ObjectMeta, wish: &Wish) -> Option<ResultReason> {
    replacement(old, wish, NOW).err().map(|failure| failure.reason)
}

/// Tables 173 and 177.
#[test]
fn a_replacement_has_what_the_key_had_but_for_what_the_table_names() {
    let mut old = ObjectMeta {
        state: State::Compromised,
        revocation: Some(Revocation { reason: 2, message: None }),
        usage_limits: Some(UsageLimits { total: 10, count: 3, unit: 1 }),
        digest: Some(orbital::names::Digest([7; 32])),
        fresh: false,
        ..key()
    };
    old.links.push(link(LinkType::PublicKeyLink, "other"));
    old.dates.compromise = Some(400);
    old.dates.compromise_occurrence = Some(300);
    old.dates.destroy = Some(500);
    let new = replacement(&old, &wish(None, &[]), NOW).unwrap();
    let Dates {
        initial, activation, compromise, compromise_occurrence, destroy, last_change, original_creation, ..
    } = new.dates;
    assert_eq!((initial, last_change, original_creation), (Some(NOW), Some(NOW), Some(NOW)));
    assert_eq!((activation, compromise, compromise_occurrence, destroy), (Some(200), None, None, None));
    assert_eq!((new.revocation.as_ref(), new.digest, new.links.len()), (None, None, 0));
    assert_eq!(new.usage_limits, Some(UsageLimits { total: 10, count: 10, unit: 1 }));
    assert_eq!((new.state, new.fresh, new.rng), (State::Active, true, Some(generator::OURS)));
    let same = |meta: &ObjectMeta| {
        let (algorithm, bits, mask) = (meta.algorithm, meta.length_bits, meta.usage_mask);
        (algorithm, bits, mask, meta.names.clone(), meta.groups.clone(), meta.contact.clone(), meta.custom.clone())
    };
    assert_eq!(same(&new), same(&old));
}

/// Tables 172 and 176.
#[test]
fn an_offset_moves_every_date_by_as_much() {
    let mut old = key();
    old.dates = Dates {
        activation: Some(200),
        process_start: Some(250),
        protect_stop: Some(2_000_000),
        deactivation: Some(3_000_000),
        ..old.dates
    };
    let new = replacement(&old, &wish(Some(50), &[]), NOW).unwrap();
    let by = NOW + 50 - 200;
    let Dates { activation, process_start, protect_stop, deactivation, .. } = new.dates;
    assert_eq!((activation, process_start), (Some(NOW + 50), Some(250 + by)));
    assert_eq!((protect_stop, deactivation), (Some(2_000_000 + by), Some(3_000_000 + by)));
    assert_eq!(new.state, State::PreActive);
    assert_eq!(replacement(&old, &wish(Some(0), &[]), NOW).unwrap().state, State::Active);
    let copied = replacement(&old, &wish(None, &[]), NOW).unwrap().dates;
    assert_eq!((copied.process_start, copied.deactivation), (Some(250), Some(3_000_000)));
    old.dates = Dates::default();
    assert_eq!(replacement(&old, &wish(Some(9), &[]), NOW).unwrap().dates.activation, Some(NOW + 9));
    old.dates.deactivation = Some(5);
    assert_eq!(reason(&old, &wish(Some(9), &[])), Some(ResultReason::IllegalOperation), "from where would it move?");
}

/// §11.5, §11.6.
#[test]
fn an_offset_and_dates_contradict_each_other() {
    use StandardAttribute as A;
    for name in [A::ActivationDate, A::ProcessStartDate, A::ProtectStopDate, A::DeactivationDate] {
        let given = [(name, AttributeValue::DateTime(2_000_000))];
        assert_eq!(reason(&key(), &wish(Some(1), &given)), Some(ResultReason::InvalidMessage), "{name:?}");
        assert_eq!(reason(&key(), &wish(None, &given)), None, "{name:?}");
    }
    let ends = [(A::DeactivationDate, AttributeValue::DateTime(500))];
    assert_eq!(replacement(&key(), &wish(None, &ends), NOW).unwrap().state, State::Deactivated);
}

#[test]
fn what_the_client_gives_goes_before_what_is_copied() {
    use AttributeValue as V;
    use StandardAttribute as A;
    let given = [
        (A::CryptographicLength, V::Integer(128)),
        (A::ContactInformation, V::Text("dev".to_owned())),
        (A::ObjectGroup, V::Text("group".to_owned())),
        (A::ObjectGroup, V::Text("another".to_owned())),
        (A::Name, V::name("master")),
    ];
    let new = replacement(&key(), &wish(None, &given), NOW).unwrap();
    assert_eq!((new.length_bits, new.contact.as_deref()), (Some(128), Some("dev")));
    assert_eq!(new.groups.iter().collect::<Vec<_>>(), ["group", "another"]);
    assert_eq!(new.names.len(), 1);
    let invalid = Some(ResultReason::InvalidField);
    assert_eq!(reason(&key(), &wish(None, &[(A::CryptographicAlgorithm, V::Enumeration(2))])), invalid);
    assert_eq!(reason(&key(), &wish(None, &[(A::State, V::Enumeration(2))])), invalid);
    let rng = kmip::RngParameters { rng_algorithm: kmip::ttlv::Enumeration(2), ..generator::shown(&generator::OURS) };
    assert_eq!(reason(&key(), &wish(None, &[(A::RandomNumberGenerator, V::RandomNumberGenerator(rng))])), invalid);
}

#[test]
fn what_was_not_to_leave_does_not_leave_as_its_replacement() {
    use AttributeValue::Boolean;
    use StandardAttribute as A;
    let kept = ObjectMeta { extractable: false, sensitive: true, exportable: false, ..key() };
    let new = replacement(&kept, &wish(None, &[]), NOW).unwrap();
    assert_eq!(
        (new.extractable, new.exportable, new.never_extractable, new.always_sensitive),
        (false, false, true, true)
    );
    for (name, on) in [(A::Extractable, true), (A::Sensitive, false)] {
        assert_eq!(
            reason(&kept, &wish(None, &[(name, Boolean(on))])),
            Some(ResultReason::PermissionDenied),
            "{name:?}"
        );
    }
    let narrowed = replacement(&key(), &wish(None, &[(A::Extractable, Boolean(false))]), NOW).unwrap();
    assert_eq!((narrowed.exportable, narrowed.never_extractable), (false, true));
    let gone = ObjectMeta { state: State::Destroyed, ..key() };
    assert_eq!(reason(&gone, &wish(None, &[])), Some(ResultReason::PermissionDenied));
}

#[test]
fn names_go_over_and_one_link_names_the_replacement() {
    let (mut old, mut new) = (key(), meta());
    old.links.push(link(LinkType::ReplacementObjectLink, "a destroyed one"));
    supersede(&mut old, "old", &mut new, "new", NOW);
    assert!(old.names.is_empty());
    assert_eq!(old.dates.last_change, Some(NOW));
    assert_eq!(old.links.iter().collect::<Vec<_>>(), [&link(LinkType::ReplacementObjectLink, "new")]);
    assert_eq!(linked(&new, LinkType::ReplacedObjectLink), Some("old"));
}
