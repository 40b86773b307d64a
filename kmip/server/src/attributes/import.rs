//! The attributes of an object that is imported (KMIP 1.4 §4.41): "all attributes MUST be set to the supplied values rather than any
//! server generated values". Those that are not supplied are as of an object that is registered. Where the server differs:
//!
//! * Digest, and what a certificate says of itself, are read from the object: what is supplied of them changes nothing.
//! * State is what the dates say at the time of the import. One that they contradict is refused, and so is a destroyed object: it has
//!   no bytes to bring.
//! * Always Sensitive needs Sensitive, and Never Extractable excludes Extractable. Whether the key may leave is fixed now, by
//!   Extractable (PROTOCOL §8).

use custody::object::{Dates, ObjectMeta, Revocation, State, UsageLimits};
use kmip::{
    Attribute, AttributeValue,
    tables::{AttributeName, ObjectType, StandardAttribute},
};

use super::{
    set,
    slots::{single, slots},
    wrong_type,
};
use crate::{
    lifecycle,
    refusal::{Outcome, invalid_field},
};

/// What an imported object of this type and identifier is by its attributes.
pub(crate) fn imported(object_type: ObjectType, id: &str, attributes: &[Attribute], now_s: i64) -> Outcome<ObjectMeta> {
    let mut meta = ObjectMeta::new(object_type.code(), State::PreActive, true);
    let (mut given, mut seen) = (Given::default(), vec![]);
    for attribute in attributes {
        if let Some(name) = single(&attribute.name) {
            if attribute.index.is_some_and(|index| index != 0) || seen.contains(&name) {
                return Err(invalid_field(format!("{} has one instance, of index 0", name.rule().name)));
            }
            seen.push(name);
        }
        match &attribute.name {
            AttributeName::Standard(name) if !given.take(&mut meta, *name, &attribute.value, id)? => {
                put(&mut meta, attribute)?;
            }
            AttributeName::Standard(_) => {}
            AttributeName::Custom(_) => put(&mut meta, attribute)?,
        }
    }
    meta.dates.initial = meta.dates.initial.or(Some(now_s));
    meta.dates.last_change = meta.dates.last_change.or(Some(now_s));
    lifecycle::check_dates(&meta.dates)?;
    meta.state = state_of(&meta.dates, given.state, now_s)?;
    given.protect(&mut meta)?;
    Ok(meta)
}

/// Attributes that say something of others.
#[derive(Default)]
struct Given {
    state: Option<State>,
    always_sensitive: Option<bool>,
    never_extractable: Option<bool>,
}

impl Given {
    /// Takes an attribute that no client gives otherwise; `false` for those that may be given.
    fn take(
        &mut self,
        meta: &mut ObjectMeta,
        name: StandardAttribute,
        value: &AttributeValue,
        id: &str,
    ) -> Outcome<bool> {
        use AttributeValue as V;
        use StandardAttribute as A;
        match (name, value) {
            (A::UniqueIdentifier, V::Text(text)) if text.eq_ignore_ascii_case(id) => {}
            (A::ObjectType, V::Enumeration(code)) if *code == meta.object_type => {}
            (A::UniqueIdentifier, V::Text(_)) | (A::ObjectType, V::Enumeration(_)) => {
                return Err(invalid_field(format!("{} is another among the attributes", name.rule().name)));
            }
            (A::State, V::Enumeration(code)) => self.state = Some(state(*code)?),
            (A::AlwaysSensitive, V::Boolean(on)) => self.always_sensitive = Some(*on),
            (A::NeverExtractable, V::Boolean(on)) => self.never_extractable = Some(*on),
            (A::LeaseTime, V::Interval(seconds)) => meta.lease_time_s = Some(*seconds),
            (A::RevocationReason, V::RevocationReason(reason)) => {
                meta.revocation = Some(Revocation { reason: reason.code.code(), message: reason.message.clone() });
            }
            (A::UsageLimits, V::UsageLimits(limits)) => {
                set(meta, name, value)?;
                count(meta.usage_limits.as_mut(), limits.count.map(|count| count.0))?;
            }
            (A::KeyValuePresent, V::Boolean(true)) => {}
            (A::KeyValuePresent, V::Boolean(false)) => {
                return Err(invalid_field("a key whose value is elsewhere cannot be imported"));
            }
            (name, V::DateTime(date)) => {
                return Ok(date_of(&mut meta.dates, name).map(|at| *at = Some(*date)).is_some());
            }
            (name, _) if is_read_from_the_object(name) => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn protect(&self, meta: &mut ObjectMeta) -> Outcome<()> {
        meta.exportable = meta.extractable;
        meta.always_sensitive = self.always_sensitive.unwrap_or(meta.sensitive);
        meta.never_extractable = self.never_extractable.unwrap_or(!meta.extractable);
        if meta.always_sensitive && !meta.sensitive {
            return Err(invalid_field("the object is Always Sensitive, but not Sensitive"));
        }
        if meta.never_extractable && meta.extractable {
            return Err(invalid_field("the object is Never Extractable, but Extractable"));
        }
        Ok(())
    }
}

/// Puts an instance under the index that it had.
fn put(meta: &mut ObjectMeta, attribute: &Attribute) -> Outcome<()> {
    match (single(&attribute.name), attribute.index) {
        (Some(name), _) => set(meta, name, &attribute.value),
        (None, None) => {
            slots(meta, &attribute.name)?.add(&attribute.value, kmip::ResultReason::InvalidField).map(|_| ())
        }
        (None, Some(index)) => {
            let index = usize::try_from(index).map_err(|_| invalid_field("Attribute Index is negative"))?;
            slots(meta, &attribute.name)?.put(index, &attribute.value)
        }
    }
}

fn is_read_from_the_object(name: StandardAttribute) -> bool {
    use StandardAttribute as A;
    matches!(
        name,
        A::Digest
            | A::CertificateType
            | A::X509CertificateIdentifier
            | A::X509CertificateSubject
            | A::X509CertificateIssuer
            | A::CertificateIdentifier
            | A::CertificateSubject
            | A::CertificateIssuer
    )
}

/// The dates that the server sets otherwise.
fn date_of(dates: &mut Dates, name: StandardAttribute) -> Option<&mut Option<i64>> {
    use StandardAttribute as A;
    Some(match name {
        A::InitialDate => &mut dates.initial,
        A::DestroyDate => &mut dates.destroy,
        A::CompromiseOccurrenceDate => &mut dates.compromise_occurrence,
        A::CompromiseDate => &mut dates.compromise,
        A::ArchiveDate => &mut dates.archive,
        A::LastChangeDate => &mut dates.last_change,
        _ => return None,
    })
}

/// §3.21: what is left, of what there was.
fn count(limits: Option<&mut UsageLimits>, count: Option<i64>) -> Outcome<()> {
    let (Some(limits), Some(count)) = (limits, count) else { return Ok(()) };
    if !(0..=limits.total).contains(&count) {
        return Err(invalid_field("Usage Limits Count is below 0 or above Usage Limits Total"));
    }
    limits.count = count;
    Ok(())
}

fn state(code: u32) -> Outcome<State> {
    Ok(match kmip::State::from_code(code) {
        Some(kmip::State::PreActive) => State::PreActive,
        Some(kmip::State::Active) => State::Active,
        Some(kmip::State::Deactivated) => State::Deactivated,
        Some(kmip::State::Compromised) => State::Compromised,
        Some(kmip::State::Destroyed) => State::Destroyed,
        Some(kmip::State::DestroyedCompromised) => State::DestroyedCompromised,
        None => return Err(wrong_type("State")),
    })
}

/// The state that the dates tell; the one that is given may be older, as the clock went on since.
fn state_of(dates: &Dates, given: Option<State>, now_s: i64) -> Outcome<State> {
    use State as S;
    if dates.destroy.is_some() || given.is_some_and(S::is_destroyed) {
        return Err(invalid_field(
            "a destroyed object has no bytes; import what was exported before it was destroyed, without Destroy Date",
        ));
    }
    let past = |date: Option<i64>| date.is_some_and(|date| date <= now_s);
    if dates.compromise.is_some_and(|date| date > now_s) {
        return Err(invalid_field("the Compromise Date has not come yet"));
    }
    let told = match (past(dates.activation), past(dates.deactivation)) {
        _ if dates.compromise.is_some() => S::Compromised,
        (true, true) => S::Deactivated,
        (true, false) => S::Active,
        (false, _) => S::PreActive,
    };
    match (given.unwrap_or(told), told) {
        (given, told) if given == told => Ok(told),
        (S::PreActive, S::Active | S::Deactivated) | (S::Active, S::Deactivated) => Ok(told),
        (given, told) => {
            let (given, told) = (lifecycle::wire_state(given), lifecycle::wire_state(told));
            Err(invalid_field(format!("State is {given}, but by its dates the object is {told}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use custody::names::ObjectId;
    use kmip::{ProtocolVersion, tables::StandardAttribute as A};
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::attributes::attributes_of;

    const NOW_S: i64 = 1_000;

    fn id() -> ObjectId {
        ObjectId::from_random([7; 16])
    }

    fn import(list: &[(A, AttributeValue)]) -> Outcome<ObjectMeta> {
        let attributes: Vec<_> = list.iter().map(|(name, value)| Attribute::new(*name, value.clone())).collect();
        imported(ObjectType::SymmetricKey, &id().text(), &attributes, NOW_S)
    }

    #[test]
    fn the_state_is_what_the_dates_say() {
        use kmip::State as W;
        let date = AttributeValue::DateTime;
        let at = |state: W, dates: &[(A, i64)]| {
            let dates = dates.iter().map(|(name, at)| (*name, date(*at)));
            let list: Vec<_> =
                [(A::State, AttributeValue::Enumeration(state.code()))].into_iter().chain(dates).collect();
            import(&list).map(|meta| meta.state).ok()
        };
        let (past, activated) = ((A::ActivationDate, 1), [(A::ActivationDate, 1), (A::DeactivationDate, 2)]);
        assert_eq!(at(W::PreActive, &[]), Some(State::PreActive));
        assert_eq!(at(W::Active, &[past]), Some(State::Active));
        assert_eq!(at(W::PreActive, &[past]), Some(State::Active), "the clock went on");
        assert_eq!(at(W::Active, &activated), Some(State::Deactivated), "the clock went on");
        assert_eq!(at(W::Compromised, &[(A::CompromiseDate, 1)]), Some(State::Compromised));
        assert_eq!(import(&[(A::ActivationDate, date(1))]).unwrap().state, State::Active);
        for (state, dates) in [
            (W::Active, &[] as &[(A, i64)]),
            (W::Active, &[(A::ActivationDate, NOW_S + 1)]),
            (W::Active, &[past, (A::CompromiseDate, 1)]),
            (W::Deactivated, &[past]),
            (W::Compromised, &[past]),
            (W::Active, &[past, (A::CompromiseDate, NOW_S + 1)]),
            (W::Active, &[past, (A::DestroyDate, 1)]),
            (W::Destroyed, &activated),
            (W::DestroyedCompromised, &[(A::CompromiseDate, 1)]),
        ] {
            assert_eq!(at(state, dates), None, "{state} {dates:?}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let on = AttributeValue::Boolean;
        let reason = |list: &[(A, AttributeValue)]| import(list).err().map(|one| one.reason);
        let refused = Some(kmip::ResultReason::InvalidField);
        assert_eq!(reason(&[(A::NeverExtractable, on(true))]), refused);
        assert_eq!(reason(&[(A::AlwaysSensitive, on(true))]), refused);
        assert_eq!(reason(&[(A::UniqueIdentifier, AttributeValue::Text("other".to_owned()))]), refused);
        assert_eq!(reason(&[(A::ObjectType, AttributeValue::Enumeration(7))]), refused);
        assert_eq!(reason(&[(A::KeyValuePresent, on(false))]), refused);
        assert_eq!(
            reason(&[
                (A::Comment, AttributeValue::Text(String::new())),
                (A::Comment, AttributeValue::Text(String::new()))
            ]),
            refused
        );
        for count in [-1, 11] {
            assert_eq!(reason(&[(A::UsageLimits, limits(10, count))]), refused, "{count}");
        }
        assert_eq!(import(&[(A::UsageLimits, limits(10, 3))]).unwrap().usage_limits.unwrap().count, 3);
        let kept = import(&[(A::Extractable, on(false)), (A::NeverExtractable, on(false))]).unwrap();
        assert_eq!((kept.exportable, kept.extractable, kept.never_extractable), (false, false, false));
    }

    fn limits(total: i64, count: i64) -> AttributeValue {
        let unit = kmip::ttlv::Enumeration(1);
        let (total, count) = (kmip::ttlv::LongInteger(total), Some(kmip::ttlv::LongInteger(count)));
        AttributeValue::UsageLimits(kmip::UsageLimits { total, count, unit })
    }

    #[test]
    fn an_index_is_kept_and_has_its_bound() {
        let group = |index, value: &str| Attribute {
            index,
            ..Attribute::new(A::ObjectGroup, AttributeValue::Text(value.to_owned()))
        };
        let import = |list: &[Attribute]| imported(ObjectType::SymmetricKey, &id().text(), list, NOW_S);
        let meta = import(&[group(Some(3), "a"), group(None, "b"), group(None, "c")]).unwrap();
        let found: Vec<_> = meta.groups.indexed().map(|(index, group)| (index, group.as_str())).collect();
        assert_eq!(found, [(0, "b"), (1, "c"), (3, "a")]);
        for wrong in [[group(Some(1), "a"), group(Some(1), "b")], [group(None, "a"), group(Some(64), "b")]] {
            assert!(import(&wrong).is_err());
        }
        let comment = Attribute { index: Some(1), ..Attribute::new(A::Comment, AttributeValue::Text(String::new())) };
        assert!(import(&[comment]).is_err());
    }

    prop_compose! {
        fn metas()(
            groups in vec(option::of("[a-z]{1,4}"), 0..5),
            names in vec("[a-z]{1,4}", 0..3),
            texts in (option::of("[a-z]*"), option::of("[a-z]*"), option::of("[a-z]*")),
            dates in (option::of(0..NOW_S), option::of(0..NOW_S), option::of(0..NOW_S), option::of(0..NOW_S)),
            (total, left) in (0i64..100, 0i64..100),
            (sensitive, always, extractable, never, fresh) in any::<(bool, bool, bool, bool, bool)>(),
            (lease, reason, custom) in (option::of(any::<u32>()), option::of(1u32..8), option::of(any::<i32>())),
            compromised in any::<bool>(),
        ) -> ObjectMeta {
            use custody::object::{Custom, Name};
            let mut meta = ObjectMeta::new(2, State::PreActive, extractable);
            let distinct = |list: &[String], one: &String| !list.contains(one);
            let mut seen = vec![];
            for (index, group) in groups.into_iter().enumerate() {
                let Some(group) = group.filter(|group| distinct(&seen, group)) else { continue };
                seen.push(group.clone());
                meta.groups.put(index, group);
            }
            let mut seen = vec![];
            for value in names {
                if distinct(&seen, &value) {
                    seen.push(value.clone());
                    meta.names.push(Name { value, kind: 1 });
                }
            }
            (meta.contact, meta.description, meta.comment) = texts;
            let (activation, deactivation, initial, last) = dates;
            meta.dates = Dates {
                activation, deactivation, initial: initial.or(Some(5)), last_change: last.or(Some(6)),
                original_creation: initial, compromise: compromised.then_some(9), compromise_occurrence: last, ..Dates::default()
            };
            meta.state = state_of(&meta.dates, None, NOW_S).unwrap();
            meta.usage_limits = Some(UsageLimits { total: total.max(left), count: left, unit: 2 });
            (meta.sensitive, meta.always_sensitive) = (sensitive, sensitive && always);
            (meta.extractable, meta.never_extractable) = (extractable, !extractable && never);
            (meta.fresh, meta.lease_time_s) = (fresh, lease);
            meta.revocation = reason.map(|reason| Revocation { reason, message: None });
            if let Some(value) = custom {
                meta.custom.insert("y-of-the-server".to_owned(), vec![Custom::Integer(value)].into());
            }
            meta
        }
    }

    proptest! {
        #[test]
        fn what_was_exported_is_imported_as_it_was(meta in metas()) {
            let all = attributes_of(&id().text(), &meta, ProtocolVersion::V1_4, NOW_S);
            prop_assert_eq!(imported(ObjectType::SymmetricKey, &id().text(), &all, NOW_S).unwrap(), meta);
        }
    }
}
