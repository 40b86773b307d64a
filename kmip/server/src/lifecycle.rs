//! The states of a managed object and the moves between them (KMIP 1.4 §3.22, NIST SP 800-57).
//!
//! One table says which event leads where. Two moves come by the clock: an object whose Activation Date has passed is Active, one
//! whose Deactivation Date has passed is Deactivated, whether or not anything was stored at that moment ([`state_at`]).

use custody::object::{Dates, ObjectMeta, State};
use kmip::tables::UsageMask;

use crate::refusal::{self, Outcome};

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Activate,
    /// Revoke for a compromise.
    Compromise,
    /// Revoke for another reason.
    Deactivate,
    Destroy,
}

macro_rules! moves {
    ($($from:ident $event:ident => $to:ident, $number:literal;)*) => {
        /// Where `event` leads from `state`; `None` if the specification knows no such transition.
        pub(crate) fn next(state: State, event: Event) -> Option<State> {
            match (state, event) {
                $((State::$from, Event::$event) => Some(State::$to),)*
                _ => None,
            }
        }

        /// The transitions by their numbers in §3.22.
        #[cfg(test)]
        const MOVES: &[(u8, State, Event, State)] =
            &[$(($number, State::$from, Event::$event, State::$to),)*];
    };
}

moves! {
    PreActive Destroy => Destroyed, 2;
    PreActive Compromise => Compromised, 3;
    PreActive Activate => Active, 4;
    Active Compromise => Compromised, 5;
    Active Deactivate => Deactivated, 6;
    Deactivated Destroy => Destroyed, 7;
    Deactivated Compromise => Compromised, 8;
    Compromised Destroy => DestroyedCompromised, 9;
    Destroyed Compromise => DestroyedCompromised, 10;
}

/// The state at `now_s`, seconds since 1970.
pub(crate) fn state_at(meta: &ObjectMeta, now_s: i64) -> State {
    let passed = |date: Option<i64>| date.is_some_and(|date| date <= now_s);
    match meta.state {
        State::PreActive | State::Active if passed(meta.dates.deactivation) && activated(meta, now_s) => {
            State::Deactivated
        }
        State::PreActive if passed(meta.dates.activation) => State::Active,
        other => other,
    }
}

fn activated(meta: &ObjectMeta, now_s: i64) -> bool {
    meta.state == State::Active || meta.dates.activation.is_some_and(|date| date <= now_s)
}

/// §3.25: the Process Start Date does not precede the Activation Date; §3.26: the Protect Stop Date is not later than the
/// Deactivation Date.
pub(crate) fn check_dates(dates: &Dates) -> Outcome<()> {
    let turned = |first: Option<i64>, then: Option<i64>| first.zip(then).is_some_and(|(first, then)| first > then);
    if turned(dates.activation, dates.process_start) {
        return Err(refusal::invalid_field("the Process Start Date would precede the Activation Date"));
    }
    if turned(dates.protect_stop, dates.deactivation) {
        return Err(refusal::invalid_field("the Protect Stop Date would be later than the Deactivation Date"));
    }
    Ok(())
}

/// The number by which the wire knows a state.
pub(crate) fn wire_state(state: State) -> kmip::State {
    match state {
        State::PreActive => kmip::State::PreActive,
        State::Active => kmip::State::Active,
        State::Deactivated => kmip::State::Deactivated,
        State::Compromised => kmip::State::Compromised,
        State::Destroyed => kmip::State::Destroyed,
        State::DestroyedCompromised => kmip::State::DestroyedCompromised,
    }
}

/// Whether the key may protect new data at `now_s`.
pub(crate) fn may_protect(meta: &ObjectMeta, uses: UsageMask, now_s: i64) -> Outcome<()> {
    protects(meta, now_s)?;
    allowed(meta, uses)
}

/// Whether the key's state and dates let it protect anything at `now_s`.
pub(crate) fn protects(meta: &ObjectMeta, now_s: i64) -> Outcome<()> {
    let state = state_at(meta, now_s);
    if state != State::Active {
        return Err(refusal::denied(format!("the key is {}; only an Active key protects data", wire_state(state))));
    }
    if meta.dates.protect_stop.is_some_and(|stop| stop <= now_s) {
        return Err(refusal::denied("the key's Protect Stop Date has passed"));
    }
    started(meta, now_s)
}

/// Whether the key may process what it protected before. §3.22: a Deactivated or Compromised key still does.
pub(crate) fn may_process(meta: &ObjectMeta, uses: UsageMask, now_s: i64) -> Outcome<()> {
    match state_at(meta, now_s) {
        State::Active | State::Deactivated | State::Compromised => {}
        state => return Err(refusal::denied(format!("the key is {}; activate it first", wire_state(state)))),
    }
    started(meta, now_s)?;
    allowed(meta, uses)
}

fn started(meta: &ObjectMeta, now_s: i64) -> Outcome<()> {
    match meta.dates.process_start {
        Some(start) if start > now_s => Err(refusal::denied("the key's Process Start Date has not come yet")),
        _ => Ok(()),
    }
}

fn allowed(meta: &ObjectMeta, uses: UsageMask) -> Outcome<()> {
    if usage(meta).allows(uses) {
        Ok(())
    } else {
        Err(refusal::denied("the key's Cryptographic Usage Mask does not allow this use"))
    }
}

pub(crate) fn usage(meta: &ObjectMeta) -> UsageMask {
    UsageMask(i32::from_ne_bytes(meta.usage_mask.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 6] = [
        State::PreActive,
        State::Active,
        State::Deactivated,
        State::Compromised,
        State::Destroyed,
        State::DestroyedCompromised,
    ];
    const EVENTS: [Event; 4] = [Event::Activate, Event::Compromise, Event::Deactivate, Event::Destroy];

    /// §3.22: "Only the transitions described above are permitted."
    #[test]
    fn every_state_and_event() {
        let mut drawn = String::new();
        for state in STATES {
            for event in EVENTS {
                let to = next(state, event).map_or("-".to_owned(), |to| format!("{to:?}"));
                drawn.push_str(&format!("{state:?} {event:?} {to}\n"));
            }
        }
        let golden = "\
            PreActive Activate Active\nPreActive Compromise Compromised\nPreActive Deactivate -\nPreActive Destroy Destroyed\n\
            Active Activate -\nActive Compromise Compromised\nActive Deactivate Deactivated\nActive Destroy -\n\
            Deactivated Activate -\nDeactivated Compromise Compromised\nDeactivated Deactivate -\nDeactivated Destroy Destroyed\n\
            Compromised Activate -\nCompromised Compromise -\nCompromised Deactivate -\nCompromised Destroy DestroyedCompromised\n\
            Destroyed Activate -\nDestroyed Compromise DestroyedCompromised\nDestroyed Deactivate -\nDestroyed Destroy -\n\
            DestroyedCompromised Activate -\nDestroyedCompromised Compromise -\nDestroyedCompromised Deactivate -\n\
            DestroyedCompromised Destroy -\n";
        assert_eq!(drawn, golden);
        let numbers: Vec<u8> = MOVES.iter().map(|row| row.0).collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    fn key(state: State) -> ObjectMeta {
        ObjectMeta { usage_mask: 12, ..ObjectMeta::new(2, state, true) }
    }

    #[test]
    fn dates_move_the_state() {
        let mut meta = key(State::PreActive);
        assert_eq!(state_at(&meta, 100), State::PreActive);
        meta.dates.activation = Some(100);
        assert_eq!((state_at(&meta, 99), state_at(&meta, 100)), (State::PreActive, State::Active));
        meta.dates.deactivation = Some(200);
        assert_eq!((state_at(&meta, 199), state_at(&meta, 200)), (State::Active, State::Deactivated));
        meta.dates.activation = None;
        assert_eq!(state_at(&meta, 200), State::PreActive, "what never was active is not deactivated");
        meta.state = State::Compromised;
        assert_eq!(state_at(&meta, 200), State::Compromised);
    }

    #[test]
    fn only_an_active_key_protects_and_only_within_its_dates_and_mask() {
        let uses = UsageMask::ENCRYPT;
        assert!(may_protect(&key(State::Active), uses, 100).is_ok());
        for state in STATES.into_iter().filter(|&state| state != State::Active) {
            assert!(may_protect(&key(state), uses, 100).is_err(), "{state:?}");
        }
        let mut meta = key(State::Active);
        meta.dates.protect_stop = Some(100);
        assert!(may_protect(&meta, uses, 99).is_ok());
        assert!(may_protect(&meta, uses, 100).is_err());
        assert!(may_process(&meta, UsageMask::DECRYPT, 100).is_ok());
        meta.dates.process_start = Some(150);
        assert!(may_process(&meta, UsageMask::DECRYPT, 149).is_err());
        meta = ObjectMeta { usage_mask: 8, ..key(State::Active) };
        assert!(may_protect(&meta, uses, 100).is_err());
        assert!(may_process(&meta, UsageMask::DECRYPT, 100).is_ok());
        assert!(may_process(&ObjectMeta { usage_mask: 0, ..meta }, UsageMask::DECRYPT, 100).is_err());
    }

    #[test]
    fn a_key_out_of_use_still_decrypts_what_it_protected() {
        for (state, ok) in [
            (State::PreActive, false),
            (State::Active, true),
            (State::Deactivated, true),
            (State::Compromised, true),
            (State::Destroyed, false),
            (State::DestroyedCompromised, false),
        ] {
            assert_eq!(may_process(&key(state), UsageMask::DECRYPT, 1).is_ok(), ok, "{state:?}");
        }
    }
}
