//! The decisions: one function a directive, each from what it needs to the next standing.

use super::*;

/// A directive that may be performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub next: Standing,
    pub effects: Vec<Effect>,
    /// The change that it carried.
    pub change: Option<Digest>,
}

impl Judged {
    /// The halt that it sets.
    pub(crate) fn stops(&self) -> Option<Halt> {
        self.effects.iter().find_map(|effect| if let Effect::Stop(halt) = effect { Some(*halt) } else { None })
    }
}

/// Who judges, and when.
#[derive(Clone, Copy)]
struct Judging<'a> {
    me: &'a Identity,
    /// Unix seconds.
    now: u64,
}

impl Standing {
    /// Decides about a directive for this tenant. `now` is in Unix seconds.
    pub fn step(&self, directive: &Directive, me: &Identity, now: u64) -> Result<Judged, Refusal> {
        match directive {
            Directive::Provision { .. } => Err(Refusal::Known(self.tenant())),
            Directive::Probe { change, proposal, .. } => self.probe(change, proposal, me),
            Directive::Hold { .. } => self.hold(me),
            Directive::Link(warrant) => self.link(warrant, me, now),
            Directive::Kill(warrant)
            | Directive::Block(warrant)
            | Directive::Suspend(warrant)
            | Directive::Shred(warrant)
            | Directive::Annul { warrant, .. } => self.stop_by(warrant, me, now),
            Directive::Restore(warrant) => self.lift(warrant, "restore", Halt::Kill, Judging { me, now }),
            Directive::Unblock(warrant) => self.lift(warrant, "unblock", Halt::Block, Judging { me, now }),
            Directive::Resume(warrant) => self.lift(warrant, "resume", Halt::Suspension, Judging { me, now }),
            Directive::Trust(warrant) => self.extend(warrant, "trust", Judging { me, now }),
            Directive::Callers(warrant) => self.extend(warrant, "callers", Judging { me, now }),
            Directive::Lease(signed) => self.lease(signed, me),
            // Told, not done: what it asks for is said by itself.
            Directive::Recall { .. } => Ok(Judged { next: self.clone(), effects: Vec::new(), change: None }),
        }
    }

    /// A stop. It holds if it is certified under either branch of a fork that its links prove; that the tenant freezes is decided after it.
    pub(crate) fn stop_by(&self, warrant: &Warrant, me: &Identity, now: u64) -> Result<Judged, Refusal> {
        let reached = match self.reach(warrant, now) {
            // Under the version that is in force here: what waits stops nobody.
            Err(Refusal::Recovering { .. }) => self.as_far(warrant, now).0,
            Err(Refusal::Forked { .. }) => {
                let (reached, _) = self.as_far(warrant, now);
                let judged = match (reached.halt(&warrant.certificate, me, now), reached.branch(warrant)) {
                    (Err(_), Some(branch)) => reached.halt_under(&branch, &warrant.certificate, me, now)?,
                    (ours, _) => ours?,
                };
                return Ok(Judged { next: self.with_stops_of(&judged.next), ..judged });
            }
            reached => reached?,
        };
        let mut judged = reached.halt(&warrant.certificate, me, now)?;
        if reached.is_forked() {
            judged.next = self.with_stops_of(&judged.next);
        }
        Ok(judged)
    }

    /// As far as the warrant's links lead.
    pub(crate) fn reach(&self, warrant: &Warrant, now: u64) -> Result<Self, Refusal> {
        if warrant.tenant != self.tenant() {
            return Err(Refusal::Unknown(warrant.tenant));
        }
        self.clone().follow(&warrant.links, Some(now))
    }

    /// The chain as far as the warrant's links lead, and the certificate checked under it.
    fn certified(&self, warrant: &Warrant, now: u64) -> Result<(Self, Certified), Refusal> {
        let followed = self.reach(warrant, now)?;
        let certified = certify(&warrant.certificate, &followed.chain, now)?;
        followed.check_unforked()?;
        Ok((followed, certified))
    }

    fn grant_epoch(&self, certified: &Certified) -> Result<u64, Refusal> {
        let (found, here) = (certified.change().epoch, self.epoch);
        let leaps = found.saturating_sub(here) > EPOCH_STEP_MAX;
        if guards::follows(found, here) && !leaps { Ok(found) } else { Err(Refusal::Epoch { found, here }) }
    }

    /// A stop: applied on arrival, told apart by digest, whatever the epoch. The links that came with it were followed before. Its
    /// certificate says which halt it is, not the directive that brought it.
    pub(crate) fn halt(&self, certificate: &Certificate, me: &Identity, now: u64) -> Result<Judged, Refusal> {
        self.halt_under(&self.chain, certificate, me, now)
    }

    /// As [`Standing::halt`], with a certificate that may be of another branch.
    pub(crate) fn halt_under(
        &self,
        chain: &Chain,
        certificate: &Certificate,
        me: &Identity,
        now: u64,
    ) -> Result<Judged, Refusal> {
        // What it knows it acknowledges again, whatever the date: only an armed stop that is new here comes too late.
        let known = self.halts.kind_of(&orbital::change::Change::digest_of(&certificate.change)).is_some();
        let certified = certify(certificate, chain, if known { 0 } else { now })?;
        let Some(halt) = Halt::set_by(&certified.change().action) else {
            return Err(Refusal::WrongChange { directive: "stop", kind: certified.change().kind() });
        };
        if self.is_outside(me) && !certified.change().regions.contains(&me.region) {
            // It is for others, and its links say that this region has left: that stops more.
            let effects = vec![Effect::Leave, Effect::Persist];
            return Ok(Judged { next: self.clone(), effects, change: Some(certified.digest()) });
        }
        names_region(&certified, me)?;
        let mut next = self.clone();
        next.know(halt, certified.digest());
        if next.halts.kind_of(&certified.digest()).is_some() {
            next.proofs.insert(certificate);
        }
        let terminates = matches!(certified.change().action, Action::TerminateTenant {});
        next.for_good |= terminates;
        // One too many to be named stops everything, whatever it was.
        let halt = if next.for_good { Halt::Kill } else { halt };
        let mut effects = Vec::new();
        if next.is_halted(halt) {
            effects.push(Effect::Stop(halt));
        }
        effects.extend(terminates.then_some(Effect::Shred));
        effects.push(Effect::Persist);
        Ok(Judged { next, effects, change: Some(certified.digest()) })
    }

    /// What lifts halts by name, each kind of change its own. It is valid whatever else holds: it lifts no other stop.
    fn lift(&self, warrant: &Warrant, directive: &'static str, halt: Halt, by: Judging<'_>) -> Result<Judged, Refusal> {
        let (mut next, certified) = self.certified(warrant, by.now)?;
        let names = match Halt::lifted_by(&certified.change().action) {
            Some((lifts, names)) if lifts == halt => names,
            _ => return Err(Refusal::WrongChange { directive, kind: certified.change().kind() }),
        };
        names_region(&certified, by.me)?;
        if next.for_good {
            return Err(Refusal::KilledForGood);
        }
        let change = Some(certified.digest());
        if names.is_subset(next.lifted.of(halt)) {
            // It may have become durable and no more before the world failed: a halt that is still there is looked at again.
            let again = if next.is_halted(halt) { Vec::new() } else { vec![Effect::Lift(halt)] };
            return Ok(Judged { effects: again, next, change });
        }
        next.epoch = next.grant_epoch(&certified)?;
        next.lifted.of_mut(halt).extend(names);
        next.proofs.insert(&warrant.certificate);
        if next.lifted.len() > HALTS_MAX {
            return Err(Refusal::TooManyLifted);
        }
        let mut effects = next.in_force(self, by.me);
        if !next.is_halted(halt) {
            effects.push(Effect::Lift(halt));
        }
        Ok(Judged { next, effects, change })
    }

    fn link(&self, warrant: &Warrant, me: &Identity, now: u64) -> Result<Judged, Refusal> {
        let (mut next, certified) = self.certified(warrant, now)?;
        let Action::LinkL1 { l1 } = &certified.change().action else {
            return Err(Refusal::WrongChange { directive: "link", kind: certified.change().kind() });
        };
        names_region(&certified, me)?;
        if me.hyok.contains(&l1.provider) {
            certified.check_user_verified(next.trust())?;
        }
        next.check_inside(me)?;
        let change = Some(certified.digest());
        if next.linked.as_ref().is_some_and(|l| l.change == certified.digest()) {
            // It may have become durable and no more before the world failed: in force again, but it lifts nothing twice.
            let again = vec![Effect::Link(l1.clone()), Effect::Hold];
            return Ok(Judged { effects: if next.is_killed() { Vec::new() } else { again }, next, change });
        }
        if next.is_killed() {
            return Err(Refusal::Killed);
        }
        next.epoch = next.grant_epoch(&certified)?;
        let (epoch, certificate) = (next.epoch, Some(warrant.certificate.clone()));
        next.linked = Some(Linked { l1: l1.clone(), change: certified.digest(), epoch, certificate });
        let mut effects = next.in_force(self, me);
        effects.extend([Effect::LiftL1Stop, Effect::Link(l1.clone()), Effect::Hold]);
        Ok(Judged { next, effects, change })
    }

    /// A new version of the trust root.
    fn extend(&self, warrant: &Warrant, directive: &'static str, by: Judging<'_>) -> Result<Judged, Refusal> {
        let followed = self.reach(warrant, by.now)?;
        // A fork freezes everything but stops and recovery.
        let freezes = !warrant.certificate.is_recovery();
        let change = Some(orbital::change::Change::digest_of(&warrant.certificate.change));
        if followed.has_link(&warrant.certificate) {
            if freezes {
                followed.check_unforked()?;
            }
            // A kill may have brought it as a link: it is known, and not durable yet.
            let mut effects = followed.in_force(self, by.me);
            // Again, until it was whole once: nothing else says whether it was.
            let again = if followed.is_named(by.me) { Effect::Join } else { Effect::Leave };
            let moved = matches!(
                orbital::change::Change::from_bytes(&warrant.certificate.change)?.action,
                Action::ChangeResidency { .. }
            );
            if moved && !effects.contains(&again) {
                effects.insert(0, again);
            }
            return Ok(Judged { effects, next: followed, change });
        }
        if let Some(fork) = followed.met(&warrant.certificate) {
            return Err(forks::refusal(&fork));
        }
        // Its own certificate, under the version that it follows; then what may be done to a killed tenant.
        let certified = certify(&warrant.certificate, &followed.chain, by.now)?;
        let kind = certified.change().kind();
        if certified.change().action.next().is_none() || (directive == "callers") != (kind == ChangeKind::ChangeCallers)
        {
            return Err(Refusal::WrongChange { directive, kind });
        }
        // One that takes this region out came before the kill, and only takes away.
        let leaves = certified.change().action.next().is_some_and(|next| !next.regions.contains_key(&by.me.region));
        if followed.is_killed() && !kind.allowed_when_killed() && !leaves {
            return Err(Refusal::Killed);
        }
        let epoch = followed.grant_epoch(&certified)?;
        let mut next = followed.follow(std::slice::from_ref(&warrant.certificate), Some(by.now))?;
        if freezes {
            next.check_unforked()?;
        }
        next.epoch = epoch;
        Ok(Judged { effects: next.in_force(self, by.me), next, change })
    }

    /// A new head, in the order in which it comes into force: durable first, but for what stops.
    pub(crate) fn in_force(&self, before: &Self, me: &Identity) -> Vec<Effect> {
        let (first, then): (Vec<_>, Vec<_>) =
            self.shown_effects(before, me).partition(|effect| *effect == Effect::Leave);
        first.into_iter().chain([Effect::Persist]).chain(then).collect()
    }

    /// What a longer chain makes necessary once it is durable, whichever directive brought its links.
    pub(crate) fn shown_effects(&self, before: &Self, me: &Identity) -> impl Iterator<Item = Effect> {
        let (now, then) = (self.trust(), before.trust());
        let shown = match (now.callers != then.callers, now.policy != then.policy) {
            (true, _) => Some(Effect::Callers),
            (false, true) => Some(Effect::Policy),
            (false, false) => None,
        };
        let retired = then.systems.difference(&now.systems).cloned().map(Effect::Retire).collect::<Vec<_>>();
        let place = match (before.is_named(me), self.is_named(me)) {
            (true, false) => Some(Effect::Leave),
            (false, true) => Some(Effect::Join),
            (_, _) => None,
        };
        place.into_iter().chain(shown).chain(self.has_other_terms(before).then_some(Effect::Terms)).chain(retired)
    }

    /// Whether a region that is cut off serves on for another time than before.
    pub fn has_other_terms(&self, before: &Self) -> bool {
        let terms = |standing: &Self| (standing.trust().lease.seconds, standing.trust().l1.grace);
        terms(self) != terms(before)
    }

    fn hold(&self, me: &Identity) -> Result<Judged, Refusal> {
        self.check_inside(me)?;
        if self.is_killed() {
            return Err(Refusal::Killed);
        }
        if self.is_halted(Halt::Block) {
            return Err(Refusal::Blocked);
        }
        if self.linked.is_none() {
            return Err(Refusal::NotLinked);
        }
        Ok(Judged { next: self.clone(), effects: vec![Effect::Hold], change: None })
    }

    fn lease(&self, signed: &orbital::sign::Signed, me: &Identity) -> Result<Judged, Refusal> {
        let trust = self.trust();
        self.check_inside(me)?;
        signed.verify(orbital::sign::Kind::Lease, &trust.lease.key)?;
        let grant = LeaseGrant::read(signed)?;
        let elsewhere = [
            (grant.deployment == me.deployment, "deployment"),
            (grant.tenant == self.tenant(), "tenant"),
            (grant.region == me.region, "region"),
            (grant.trust == self.chain.digest(), "trust version"),
            (grant.epoch == self.epoch, "epoch"),
            (grant.kills == self.halts.names(), "set of stops"),
            (grant.restored == self.lifted.names(), "set of lifted stops"),
        ];
        if let Some((_, what)) = elsewhere.into_iter().find(|(same, _)| !same) {
            return Err(Refusal::LeaseElsewhere(what));
        }
        let most = trust.lease.seconds;
        if most != 0 && (grant.seconds == 0 || grant.seconds > most) {
            return Err(Refusal::LeaseTooLong { found: grant.seconds, most });
        }
        let renew = Effect::Renew { nonce: grant.nonce, seconds: grant.seconds };
        Ok(Judged { next: self.clone(), effects: vec![renew], change: None })
    }

    /// Needs the proposer's signed statement that names this KeyRef; changes nothing.
    fn probe(&self, change: &[u8], proposal: &orbital::sign::Signed, me: &Identity) -> Result<Judged, Refusal> {
        use orbital::{
            change::Change,
            vote::{Role, Vote},
        };
        let read = Change::from_bytes(change)?;
        let vote = Vote::read(Role::Propose, proposal)?;
        let digest = Change::digest_of(change);
        let Action::LinkL1 { l1 } = &read.action else {
            return Err(Refusal::WrongChange { directive: "probe", kind: read.kind() });
        };
        let here = vote.change == digest
            && (vote.tenant, read.tenant) == (self.tenant(), self.tenant())
            && vote.deployment == me.deployment
            && read.regions.contains(&me.region);
        self.check_inside(me)?;
        let key = vote.key_in(self.trust()).filter(|_| here).ok_or(Refusal::ProbeElsewhere)?;
        key.verify(Role::Propose, proposal)?;
        let probe = Effect::Probe { change: digest, l1: l1.clone() };
        Ok(Judged { next: self.clone(), effects: vec![probe], change: Some(digest) })
    }
}

fn names_region(certified: &Certified, me: &Identity) -> Result<(), Refusal> {
    if certified.change().regions.contains(&me.region) {
        Ok(())
    } else {
        Err(Refusal::ForOtherRegions(me.region.clone()))
    }
}
