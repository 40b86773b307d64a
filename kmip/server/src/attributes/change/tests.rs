//! Each row of the specification's tables, and each error of §11.15 to §11.17, on one object; then what clients see of it.

use kmip::{
    AlternativeName, ApplicationSpecificInformation, CryptographicParameters, KeyValueLocation, Link, UsageLimits,
    tables::{AlternativeNameType, BlockCipherMode, KeyValueLocationType, LinkType},
    ttlv::{Enumeration, LongInteger},
};
use proptest::prelude::*;

use super::{super::generator, *};

mod served;
mod told;

const NOW_S: i64 = 1_000;

fn standard(name: StandardAttribute, value: AttributeValue) -> Attribute {
    Attribute::new(name, value)
}

fn custom(name: &str, text: &str) -> Attribute {
    Attribute {
        name: AttributeName::Custom(name.to_owned()),
        index: None,
        value: AttributeValue::Text(text.to_owned()),
    }
}

fn at(index: i32, attribute: Attribute) -> Attribute {
    Attribute { index: Some(index), ..attribute }
}

/// A key as Register leaves it, with nothing that is not always there.
fn bare(object_type: ObjectType) -> ObjectMeta {
    let mut meta = ObjectMeta::new(object_type.code(), State::PreActive, true);
    meta.usage_mask = 12;
    meta.dates.initial = Some(NOW_S);
    meta
}

/// A value for each attribute that fits, and another one that fits too.
fn value(name: StandardAttribute, other: bool) -> AttributeValue {
    use AttributeValue as V;
    use StandardAttribute as A;
    let more = i64::from(other);
    let text = if other { "other" } else { "one" };
    match name {
        A::Name => V::name(text),
        A::CryptographicParameters => V::CryptographicParameters(CryptographicParameters {
            block_cipher_mode: Some(if other { BlockCipherMode::Cbc } else { BlockCipherMode::Gcm }),
            ..CryptographicParameters::default()
        }),
        A::ActivationDate => V::DateTime(2_000 + more),
        A::ProcessStartDate => V::DateTime(3_000 + more),
        A::ProtectStopDate => V::DateTime(4_000 + more),
        A::DeactivationDate => V::DateTime(5_000 + more),
        A::Link => V::Link(Link { kind: LinkType::NextLink, linked_object_identifier: text.to_owned() }),
        A::ApplicationSpecificInformation => V::ApplicationSpecificInformation(ApplicationSpecificInformation {
            namespace: "LIBRARY-LTO".to_owned(),
            value: Some(text.to_owned()),
        }),
        A::AlternativeName => V::AlternativeName(AlternativeName {
            value: text.to_owned(),
            kind: AlternativeNameType::UninterpretedTextString,
        }),
        A::KeyValueLocation => V::KeyValueLocation(KeyValueLocation {
            value: text.to_owned(),
            kind: KeyValueLocationType::UninterpretedTextString,
        }),
        A::UsageLimits => {
            V::UsageLimits(UsageLimits { total: LongInteger(100 + more), count: None, unit: Enumeration(1) })
        }
        A::RandomNumberGenerator => V::RandomNumberGenerator(generator::shown(&generator::OURS)),
        A::Sensitive => V::Boolean(other),
        A::Extractable => V::Boolean(!other),
        _ => match name.rule().kind {
            kmip::tables::AttributeKind::Integer => V::Integer(1),
            kmip::tables::AttributeKind::Enumeration => V::Enumeration(1),
            kmip::tables::AttributeKind::DateTime => V::DateTime(2_000 + more),
            kmip::tables::AttributeKind::Interval => V::Interval(1),
            kmip::tables::AttributeKind::Boolean => V::Boolean(true),
            _ => V::Text(text.to_owned()),
        },
    }
}

/// A key that has every attribute a client can add.
fn full() -> ObjectMeta {
    let mut meta = bare(ObjectType::SymmetricKey);
    for &name in StandardAttribute::ALL {
        let _ = add(&mut meta, &standard(name, value(name, false)), NOW_S);
    }
    add(&mut meta, &custom("x-a", "one"), NOW_S).unwrap();
    meta.custom.insert("y-a".to_owned(), vec![custody::object::Custom::Integer(1)].into());
    meta
}

fn word(outcome: Outcome<Attribute>) -> String {
    match outcome {
        Ok(_) => "ok".to_owned(),
        Err(failure) => match failure.reason {
            ResultReason::PermissionDenied => "denied".to_owned(),
            ResultReason::IllegalOperation => "illegal".to_owned(),
            ResultReason::InvalidField => "invalid".to_owned(),
            ResultReason::ItemNotFound => "absent".to_owned(),
            other => other.to_string(),
        },
    }
}

/// Add to a key that lacks it, add once more, modify, delete: one line an attribute, as §3 has it row by row.
const RULES: &str = "\
    Unique Identifier: denied denied denied denied\n\
    Name: ok ok ok ok\n\
    Object Type: denied denied denied denied\n\
    Cryptographic Algorithm: denied denied denied denied\n\
    Cryptographic Length: denied denied denied denied\n\
    Cryptographic Parameters: ok ok ok ok\n\
    Cryptographic Domain Parameters: denied denied denied denied\n\
Certificate Type: denied denied denied denied\n\
Certificate Length: denied denied denied denied\n\
X.509 Certificate Identifier: denied denied denied denied\n\
X.509 Certificate Subject: denied denied denied denied\n\
X.509 Certificate Issuer: denied denied denied denied\n\
Certificate Identifier: denied denied denied denied\n\
Certificate Subject: denied denied denied denied\n\
Certificate Issuer: denied denied denied denied\n\
Digital Signature Algorithm: denied denied denied denied\n\
    Digest: denied denied denied denied\n\
    Operation Policy Name: ok illegal denied denied\n\
    Cryptographic Usage Mask: denied denied denied denied\n\
    Lease Time: denied denied denied denied\n\
    Usage Limits: ok illegal ok ok\n\
    State: denied denied denied denied\n\
    Initial Date: denied denied denied denied\n\
    Activation Date: ok illegal ok denied\n\
    Process Start Date: ok illegal ok denied\n\
    Protect Stop Date: ok illegal ok denied\n\
    Deactivation Date: ok illegal ok denied\n\
    Destroy Date: denied denied denied denied\n\
    Compromise Occurrence Date: denied denied denied denied\n\
    Compromise Date: denied denied denied denied\n\
    Revocation Reason: denied denied denied denied\n\
    Archive Date: denied denied denied denied\n\
    Object Group: ok ok ok ok\n\
    Fresh: denied denied denied denied\n\
    Link: ok ok ok ok\n\
    Application Specific Information: ok ok ok ok\n\
    Contact Information: ok illegal ok ok\n\
    Last Change Date: denied denied denied denied\n\
    Alternative Name: ok ok ok ok\n\
    Key Value Present: denied denied denied denied\n\
    Key Value Location: invalid invalid invalid absent\n\
    Original Creation Date: ok illegal denied denied\n\
    Random Number Generator: ok illegal denied denied\n\
    PKCS#12 Friendly Name: ok illegal ok ok\n\
    Description: ok illegal ok ok\n\
    Comment: ok illegal ok ok\n\
    Sensitive: illegal illegal ok denied\n\
    Always Sensitive: denied denied denied denied\n\
    Extractable: illegal illegal ok denied\n\
    Never Extractable: denied denied denied denied\n\
    x-a: ok ok ok ok\n\
    y-a: denied denied denied denied\n";

#[test]
fn every_row_of_the_specification() {
    let mut drawn = String::new();
    let mut row = |name: AttributeName, one: Attribute, other: Attribute| {
        let outcomes = [
            add(&mut bare(ObjectType::SymmetricKey), &one, NOW_S),
            add(&mut full(), &other, NOW_S),
            modify(&mut full(), &other, NOW_S),
            delete(&mut full(), &name, None, NOW_S),
        ];
        drawn.push_str(&format!("{name}: {}\n", outcomes.map(word).join(" ")));
    };
    for &name in StandardAttribute::ALL {
        row(name.into(), standard(name, value(name, false)), standard(name, value(name, true)));
    }
    for name in ["x-a", "y-a"] {
        row(AttributeName::Custom(name.to_owned()), custom(name, "one"), custom(name, "other"));
    }
    assert_eq!(drawn, RULES);
}

#[test]
fn an_attribute_belongs_to_types_of_objects() {
    let secret = |name| word(add(&mut bare(ObjectType::SecretData), &standard(name, value(name, false)), NOW_S));
    for name in [
        StandardAttribute::CryptographicParameters,
        StandardAttribute::ProcessStartDate,
        StandardAttribute::ProtectStopDate,
        StandardAttribute::UsageLimits,
    ] {
        assert_eq!(secret(name), "denied", "{name:?} of secret data");
    }
    for name in [StandardAttribute::ActivationDate, StandardAttribute::Link, StandardAttribute::Name] {
        assert_eq!(secret(name), "ok", "{name:?} of secret data");
    }
    let mut opaque = bare(ObjectType::OpaqueObject);
    let link = standard(StandardAttribute::Link, value(StandardAttribute::Link, false));
    assert_eq!(word(add(&mut opaque, &link, NOW_S)), "denied");
}

/// Modify of the four dates that drive states, in each state, before what they announce and after it.
#[test]
fn dates_are_fixed_when_what_they_announce_has_come() {
    use StandardAttribute as A;
    let outcome = |state, now_s, name| {
        let mut meta = full();
        meta.state = state;
        word(modify(&mut meta, &standard(name, value(name, true)), now_s))
    };
    let row = |state, now_s| {
        [A::ActivationDate, A::ProcessStartDate, A::ProtectStopDate, A::DeactivationDate]
            .map(|name| outcome(state, now_s, name))
    };
    let (ok, no) = ("ok", "denied");
    assert_eq!(row(State::PreActive, 1_000), [ok, ok, ok, ok]);
    assert_eq!(row(State::PreActive, 2_000), [no, ok, ok, ok], "the Activation Date has come");
    assert_eq!(row(State::PreActive, 3_000), [no, no, ok, ok], "the Process Start Date has come");
    assert_eq!(row(State::PreActive, 4_000), [no, no, no, ok], "the Protect Stop Date has come");
    assert_eq!(row(State::PreActive, 5_000), [no, no, no, no], "the Deactivation Date has come");
    assert_eq!(row(State::Active, 1_000), [no, ok, ok, ok]);
    for state in [State::Deactivated, State::Compromised, State::Destroyed, State::DestroyedCompromised] {
        assert_eq!(row(state, 1_000), [no, no, no, no], "{state:?}");
    }
    let mut late = bare(ObjectType::SymmetricKey);
    late.state = State::Compromised;
    let never_was = standard(A::ActivationDate, value(A::ActivationDate, false));
    assert_eq!(word(add(&mut late, &never_was, NOW_S)), "denied", "an Activation Date comes before its transition");
}

#[test]
fn dates_do_not_contradict_each_other() {
    use StandardAttribute as A;
    let mut meta = full();
    let mut set = |name, date| {
        let mut changed = meta.clone();
        let outcome = modify(&mut changed, &standard(name, AttributeValue::DateTime(date)), NOW_S);
        if outcome.is_ok() {
            meta = changed;
        }
        word(outcome)
    };
    assert_eq!(set(A::ProcessStartDate, 1_999), "invalid", "before the Activation Date");
    assert_eq!(set(A::ProcessStartDate, 2_000), "ok");
    assert_eq!(set(A::ActivationDate, 2_001), "invalid", "after the Process Start Date");
    assert_eq!(set(A::ProtectStopDate, 5_001), "invalid", "after the Deactivation Date");
    assert_eq!(set(A::ProtectStopDate, 5_000), "ok");
    assert_eq!(set(A::DeactivationDate, 4_999), "invalid", "before the Protect Stop Date");
}

#[test]
fn a_date_in_the_past_moves_the_state() {
    let mut meta = bare(ObjectType::SymmetricKey);
    let date = |name, date| standard(name, AttributeValue::DateTime(date));
    add(&mut meta, &date(StandardAttribute::ActivationDate, NOW_S), NOW_S).unwrap();
    assert_eq!(meta.state, State::Active, "transition 4");
    add(&mut meta, &date(StandardAttribute::DeactivationDate, NOW_S - 1), NOW_S).unwrap();
    assert_eq!(meta.state, State::Deactivated, "transition 6");
    assert_eq!(
        word(modify(&mut meta, &date(StandardAttribute::DeactivationDate, 9_000), NOW_S)),
        "denied",
        "and there is no way back"
    );
}

#[test]
fn whether_a_key_may_leave_is_only_narrowed() {
    let boolean = |name, on| standard(name, AttributeValue::Boolean(on));
    let mut meta = bare(ObjectType::SymmetricKey);
    modify(&mut meta, &boolean(StandardAttribute::Extractable, false), NOW_S).unwrap();
    modify(&mut meta, &boolean(StandardAttribute::Sensitive, true), NOW_S).unwrap();
    assert!(!meta.extractable && meta.sensitive);
    assert!(!meta.never_extractable && !meta.always_sensitive, "they were not always so");
    assert_eq!(word(modify(&mut meta, &boolean(StandardAttribute::Extractable, true), NOW_S)), "denied");
    assert_eq!(word(modify(&mut meta, &boolean(StandardAttribute::Sensitive, false), NOW_S)), "denied");
    assert_eq!(word(modify(&mut meta, &boolean(StandardAttribute::Sensitive, true), NOW_S)), "ok", "it is so already");
    assert!(meta.exportable, "what was fixed at its creation is not touched");
}

#[test]
fn an_index_names_one_instance_and_stays() {
    let mut meta = bare(ObjectType::SymmetricKey);
    let group = |text: &str| standard(StandardAttribute::ObjectGroup, AttributeValue::Text(text.to_owned()));
    let name = AttributeName::from(StandardAttribute::ObjectGroup);
    assert_eq!(add(&mut meta, &group("a"), NOW_S), Ok(group("a")), "index 0 is left out");
    assert_eq!(add(&mut meta, &group("b"), NOW_S), Ok(at(1, group("b"))));
    assert_eq!(add(&mut meta, &group("c"), NOW_S), Ok(at(2, group("c"))));
    assert_eq!(word(add(&mut meta, &at(3, group("d")), NOW_S)), "invalid", "the server gives the index");
    assert_eq!(word(add(&mut meta, &at(0, group("d")), NOW_S)), "invalid");
    assert_eq!(word(add(&mut meta, &group("b"), NOW_S)), "illegal", "there already");
    assert_eq!(delete(&mut meta, &name, Some(1), NOW_S), Ok(at(1, group("b"))));
    assert_eq!(modify(&mut meta, &at(2, group("C")), NOW_S), Ok(at(2, group("C"))), "it kept its index");
    assert_eq!(word(modify(&mut meta, &at(1, group("x")), NOW_S)), "absent");
    assert_eq!(word(delete(&mut meta, &name, Some(1), NOW_S)), "absent");
    assert_eq!(word(modify(&mut meta, &at(2, group("a")), NOW_S)), "illegal", "another instance has it");
    assert_eq!(modify(&mut meta, &group("A"), NOW_S), Ok(group("A")), "no index is index 0");
    assert_eq!(delete(&mut meta, &name, None, NOW_S), Ok(group("A")));
    assert_eq!(word(delete(&mut meta, &name, Some(-1), NOW_S)), "invalid");
    let comment = |index| Attribute { index, ..standard(StandardAttribute::Comment, AttributeValue::Text("c".into())) };
    assert_eq!(word(modify(&mut meta, &comment(None), NOW_S)), "invalid", "it must be added first");
    add(&mut meta, &comment(None), NOW_S).unwrap();
    assert_eq!(word(modify(&mut meta, &comment(Some(1)), NOW_S)), "absent", "there is one instance");
    assert_eq!(word(modify(&mut meta, &comment(Some(0)), NOW_S)), "ok");
    assert_eq!(word(delete(&mut meta, &StandardAttribute::Comment.into(), Some(1), NOW_S)), "absent");
}

#[test]
fn limits_hold_for_what_is_added_too() {
    let mut meta = bare(ObjectType::SymmetricKey);
    for number in 0..super::super::INSTANCES_MAX {
        add(&mut meta, &custom(&format!("x-{}", number / 2), &number.to_string()), NOW_S).unwrap();
    }
    let full = add(&mut meta, &custom("x-0", "more"), NOW_S).unwrap_err();
    assert_eq!(full.reason, ResultReason::IndexOutOfBounds, "{full:?}");
    delete(&mut meta, &AttributeName::Custom("x-9".to_owned()), None, NOW_S).unwrap();
    add(&mut meta, &custom("x-0", "more"), NOW_S).unwrap();
    let unnamed = ApplicationSpecificInformation { namespace: "n".to_owned(), value: None };
    let unnamed = standard(
        StandardAttribute::ApplicationSpecificInformation,
        AttributeValue::ApplicationSpecificInformation(unnamed),
    );
    let reason = add(&mut meta, &unnamed, NOW_S).unwrap_err().reason;
    assert_eq!(reason, ResultReason::ApplicationNamespaceNotSupported);
}

#[test]
fn a_value_of_another_type_is_refused() {
    for name in [StandardAttribute::ObjectGroup, StandardAttribute::ActivationDate, StandardAttribute::Comment] {
        let wrong = standard(name, AttributeValue::Integer(1));
        assert_eq!(word(add(&mut bare(ObjectType::SymmetricKey), &wrong, NOW_S)), "invalid", "{name:?}");
    }
}

#[test]
fn a_destroyed_object_s_attributes_are_a_record() {
    let mut gone = full();
    gone.state = State::Destroyed;
    assert_eq!(word(add(&mut gone, &custom("x-b", "b"), NOW_S)), "denied");
    assert_eq!(word(modify(&mut gone, &custom("x-a", "b"), NOW_S)), "denied");
    assert_eq!(word(delete(&mut gone, &AttributeName::Custom("x-a".to_owned()), None, NOW_S)), "denied");
    let mut compromised = full();
    compromised.state = State::Compromised;
    assert_eq!(word(add(&mut compromised, &custom("x-b", "b"), NOW_S)), "ok");
}

proptest! {
    /// On an object of any history, what is added and deleted again leaves everything but the Last Change Date as it was.
    #[test]
    fn to_add_and_to_delete_changes_nothing(
        history in proptest::collection::vec((0usize..8, any::<bool>(), 0i32..3), 0..12),
        which in 0usize..8,
    ) {
        let sample = |which: usize, text: &str| match which {
            0 => standard(StandardAttribute::Name, AttributeValue::name(text)),
            1 => standard(StandardAttribute::ObjectGroup, AttributeValue::Text(text.to_owned())),
            2 => standard(StandardAttribute::Comment, AttributeValue::Text(text.to_owned())),
            3 => standard(StandardAttribute::Description, AttributeValue::Text(text.to_owned())),
            4 => standard(StandardAttribute::ContactInformation, AttributeValue::Text(text.to_owned())),
            _ => custom(&format!("x-{which}"), text),
        };
        let mut meta = bare(ObjectType::SymmetricKey);
        for (step, (which, adds, index)) in history.into_iter().enumerate() {
            let attribute = sample(which, &step.to_string());
            let _ = match adds {
                true => add(&mut meta, &attribute, NOW_S),
                false => delete(&mut meta, &attribute.name, Some(index), NOW_S),
            };
        }
        let before = meta.clone();
        if let Ok(added) = add(&mut meta, &sample(which, "new"), NOW_S + 1) {
            prop_assert_eq!(meta.dates.last_change, Some(NOW_S + 1));
            prop_assert_eq!(delete(&mut meta, &added.name, added.index, NOW_S + 2), Ok(added));
            meta.dates.last_change = before.dates.last_change;
        } else {
            // A failure may have touched what custody then throws away.
            meta = before.clone();
        }
        prop_assert_eq!(meta, before);
    }
}
