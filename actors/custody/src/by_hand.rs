//! Stops that came by hand: kept here until governance brings them back, so that it learns them and carries them to the other regions.
//!
//! In memory alone: the stop itself is durable before this. A process that ends before governance is back forgets the certificate; governance
//! then knows the stop by the digest in the Hello, which bars every grant, and another delivery tells it here again.

use std::collections::VecDeque;

use orbital::{
    certificate::Certificate,
    change::Change,
    directive::Directive,
    names::Digest,
    report::{Outcome, SyncAck},
    sign::Signed,
};
use parking_lot::Mutex;

/// Most stops kept. Each has a quorum of some tenant behind it; one more is known to governance by its digest alone.
pub const BY_HAND_MAX: usize = 64;
/// Most of them that governance is told at once; the next time goes on with the others.
pub const TOLD_AT_ONCE_MAX: usize = 4;

/// See the module.
#[derive(Debug, Default)]
pub struct ByHand(Mutex<VecDeque<(Digest, Certificate)>>);

impl ByHand {
    /// A directive came by hand, and this is the region's answer: a stop that is in force is kept.
    pub fn answered(&self, directive: &[u8], ack: &Signed) {
        let applied = SyncAck::peek(ack).is_ok_and(|ack| ack.outcome == Outcome::Applied);
        let Some((digest, certificate)) = kill(directive).filter(|_| applied) else { return };
        let mut kept = self.0.lock();
        if kept.iter().any(|(known, _)| *known == digest) {
            return;
        }
        if kept.len() < BY_HAND_MAX {
            kept.push_back((digest, certificate));
        } else {
            tracing::warn!(%digest, "more than {BY_HAND_MAX} stops wait for governance: it learns this one by its digest alone");
        }
    }

    /// Governance sent this directive: it has the stop that it carries.
    pub fn brought(&self, directive: &[u8]) {
        // Every directive passes here, and hardly ever does a stop wait.
        let waits = !self.0.lock().is_empty();
        if let Some((digest, _)) = waits.then(|| kill(directive)).flatten() {
            self.0.lock().retain(|(known, _)| *known != digest);
        }
    }

    /// Those to tell now: each in its turn, however long the others stay.
    pub fn turn(&self) -> Vec<Certificate> {
        let mut kept = self.0.lock();
        let count = kept.len().min(TOLD_AT_ONCE_MAX);
        let told = kept.iter().take(count).map(|(_, certificate)| certificate.clone()).collect();
        kept.rotate_left(count);
        told
    }
}

fn kill(directive: &[u8]) -> Option<(Digest, Certificate)> {
    match Directive::decode(directive) {
        Ok(Directive::Kill(warrant)) => Some((Change::digest_of(&warrant.certificate.change), warrant.certificate)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orbital::{
        names::NodeName,
        sign::{Kind, SecretKey},
        testing::{World, region},
    };

    use super::*;

    fn ack(outcome: Outcome) -> Signed {
        let world = World::new();
        let ack = SyncAck {
            domain: Kind::SyncAck.domain(),
            deployment: world.deployment(),
            tenant: world.tenant(),
            region: region("us-east"),
            directive: Digest([0; 32]),
            change: None,
            outcome,
            why: String::new(),
            members: BTreeSet::from([NodeName::new("iad-1").unwrap()]),
            trust_version: 1,
            epoch: 0,
            generation: 1,
            at_us: 1,
            took_us: 1,
        };
        ack.sign(&SecretKey::from_seed(&[1; 32])).unwrap()
    }

    /// So many different stops.
    fn kills(count: usize) -> Vec<Vec<u8>> {
        let world = World::new();
        let certificate = world.kill();
        let other = |n: usize| Certificate { change: n.to_be_bytes().to_vec(), ..certificate.clone() };
        (0..count).map(|n| Directive::Kill(world.warrant(other(n))).encode().unwrap()).collect()
    }

    #[test]
    fn a_stop_is_told_until_governance_brings_it() {
        let (stops, applied) = (ByHand::default(), ack(Outcome::Applied));
        let directives = kills(6);
        for directive in directives.iter().chain(&directives) {
            stops.answered(directive, &applied);
        }
        let told: BTreeSet<_> = (0..2).flat_map(|_| stops.turn()).map(|c| c.change).collect();
        assert_eq!(told.len(), 6, "each has its turn, and is kept once");
        directives.iter().skip(1).for_each(|directive| stops.brought(directive));
        assert_eq!(stops.turn().len(), 1);
        assert_eq!(stops.turn().len(), 1, "it is told again");
        stops.brought(&directives[0]);
        assert_eq!(stops.turn(), []);
    }

    #[test]
    fn what_is_not_in_force_or_no_stop_is_not_kept_and_there_is_a_limit() {
        let stops = ByHand::default();
        stops.answered(&kills(1)[0], &ack(Outcome::Refused));
        let world = World::new();
        let link = Directive::Link(world.warrant(world.link("k"))).encode().unwrap();
        stops.answered(&link, &ack(Outcome::Applied));
        assert_eq!(stops.turn(), []);
        let applied = ack(Outcome::Applied);
        kills(BY_HAND_MAX + 1).iter().for_each(|directive| stops.answered(directive, &applied));
        assert_eq!(stops.0.lock().len(), BY_HAND_MAX);
    }
}
