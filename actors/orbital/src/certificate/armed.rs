//! Armed stops: signed in advance, and void until one of those who signed fires them (DESIGN §4).
//!
//! The fire is a vote like the others, with a nonce of its own, and stands among the last words of the certificate. Fired twice it is the
//! same stop: stops are told apart by digest, and one that was lifted by name stays lifted.

use super::{Certificate, Uncertified, known_key};
use crate::{
    change::{Change, ChangeKind},
    quorum::Signers,
    sign::Signed,
    trust::TrustRoot,
    vote::{Role, Vote},
};

/// Longest time between the end of collecting and the last moment to fire, in seconds: 400 days.
pub const ARMED_SECONDS_MAX: u64 = 400 * 24 * 3_600;

/// How long after its date an armed stop that was fired in time still finds a region that did not hear of it, in seconds.
pub const ARMED_DELIVERY_SECONDS: u64 = 24 * 3_600;

/// That a stop which was armed was fired by one whose signature counted for it, and arrives in its time; nothing is asked of other changes.
/// When it was fired no signature proves: whoever fires looks at the date itself, and the last moment to arrive bounds it for all.
pub(super) fn check_fired(
    certificate: &Certificate,
    change: &Change,
    proposed: &Vote,
    (trust, signers): (&TrustRoot, &Signers),
    now: u64,
) -> Result<(), Uncertified> {
    let Some(until) = change.armed.map(|until| until.0) else { return Ok(()) };
    if change.kind() != ChangeKind::RevokeL1 {
        return Err(Uncertified::Unarmable(change.kind()));
    }
    if until > proposed.expires.saturating_add(ARMED_SECONDS_MAX) {
        return Err(Uncertified::ArmedTooLong { until });
    }
    if now > until.saturating_add(ARMED_DELIVERY_SECONDS) {
        return Err(Uncertified::ArmedOver { until, now });
    }
    let verify = trust.rule(change.kind())?.verify;
    let mut doubt = None;
    for signed in &certificate.confirmations {
        let Ok(fire) = Vote::read(Role::Fire, signed) else { continue };
        match fired(certificate, &fire, signed, proposed, trust) {
            Ok(proved) if proved >= verify && signers.who_proved(verify).contains(&fire.person) => return Ok(()),
            Ok(_) => _ = doubt.get_or_insert(Uncertified::FiredByOther(fire.person)),
            Err(why) => _ = doubt.get_or_insert(why),
        }
    }
    Err(doubt.unwrap_or(Uncertified::Unfired { until }))
}

fn fired(
    certificate: &Certificate,
    fire: &Vote,
    signed: &Signed,
    proposed: &Vote,
    trust: &TrustRoot,
) -> Result<crate::quorum::Verify, Uncertified> {
    if !fire.answers(proposed, &certificate.proposal) {
        return Err(Uncertified::OtherProposal { person: fire.person.clone() });
    }
    let proved = known_key(fire, trust)?.verify(Role::Fire, signed);
    proved.map_err(|why| Uncertified::Answer { person: fire.person.clone(), why })
}

/// Whether a last word is a fire.
pub(super) fn is_fire(signed: &Signed) -> bool {
    Vote::read(Role::Fire, signed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use crate::{
        change::{Action, FireUntil},
        halt::Halt,
        testing::{EXPIRES, NOW, World, spoilt},
    };

    const UNTIL: u64 = EXPIRES + 3_600;

    fn armed(world: &World, until: u64, action: Action) -> Certificate {
        let change = Change { armed: Some(FireUntil(until)), ..world.change(action) };
        world.sign_change(&change, "carol", &["dave"])
    }

    #[test]
    fn an_armed_stop_waits_for_one_of_its_signers_to_fire_it() {
        let world = World::new();
        let mut kill = armed(&world, UNTIL, Action::RevokeL1 {});
        let at = |kill: &Certificate, now| certify(kill, world.chain(), now).map(|_| ());
        assert_eq!(at(&kill, NOW), Err(Uncertified::Unfired { until: UNTIL }));
        let fire = |name: &str| world.answer(Role::Fire, &kill.proposal, name);
        let (carol, dave, erin) = (fire("carol"), fire("dave"), fire("erin"));
        let by_approval = world.answer(Role::Approve, &kill.proposal, "dave");
        let of_another = world.answer(Role::Fire, &world.kill().proposal, "dave");
        kill.confirmations = vec![by_approval];
        assert_eq!(at(&kill, NOW), Err(Uncertified::Unfired { until: UNTIL }));
        kill.confirmations = vec![erin.clone()];
        assert!(matches!(at(&kill, NOW), Err(Uncertified::FiredByOther(_))));
        kill.confirmations = vec![of_another];
        assert!(matches!(at(&kill, NOW), Err(Uncertified::OtherProposal { .. })));
        kill.confirmations = vec![spoilt(dave.clone())];
        assert!(matches!(at(&kill, NOW), Err(Uncertified::Answer { .. })));
        for good in [vec![carol], vec![dave.clone()], vec![erin, dave]] {
            kill.confirmations = good;
            assert_eq!(at(&kill, NOW), Ok(()));
            let last = UNTIL + super::ARMED_DELIVERY_SECONDS;
            assert_eq!(at(&kill, last), Ok(()));
            assert!(matches!(at(&kill, last + 1), Err(Uncertified::ArmedOver { .. })));
        }
    }

    #[test]
    fn a_revocation_alone_is_armed_and_not_for_ever() {
        let world = World::new();
        let fired = |until, action| {
            let mut stop = armed(&world, until, action);
            stop.confirmations = vec![world.answer(Role::Fire, &stop.proposal, "dave")];
            certify(&stop, world.chain(), NOW).map(|_| ())
        };
        let most = EXPIRES + super::ARMED_SECONDS_MAX;
        assert_eq!(fired(most, Action::RevokeL1 {}), Ok(()));
        assert!(matches!(fired(most + 1, Action::RevokeL1 {}), Err(Uncertified::ArmedTooLong { .. })));
        assert!(matches!(fired(most, Halt::Block.action()), Err(Uncertified::Unarmable(_))));
    }
}
