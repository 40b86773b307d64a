//! Recoveries by cold keys: when one that has come may be followed here (PROTOCOL §3, [`orbital::recovery`]).

use std::collections::BTreeMap;

use orbital::{
    certificate::{Certificate, Uncertified},
    change::Change,
    names::Digest,
    recovery::Waiting,
    vote::{Role, Vote},
};

use super::{Refusal, Standing};

impl Standing {
    /// Recoveries of the present version that wait here.
    pub fn recoveries(&self) -> &Waiting {
        &self.recoveries
    }

    /// When each of them may be followed: Unix seconds.
    pub fn recoveries_due(&self) -> BTreeMap<Digest, u64> {
        let terms = self.trust().recovery.as_ref();
        let due = |(change, _): (&Digest, u64)| Some((*change, self.recoveries.due(change, terms?)?));
        self.recoveries.iter().filter_map(due).collect()
    }

    /// That this link, which is certified, is no recovery, or one whose time has come here.
    pub(super) fn check_ripe(&self, link: &Certificate, now: u64) -> Result<(), Refusal> {
        let Some(terms) = self.trust().recovery.as_ref().filter(|_| link.is_recovery()) else { return Ok(()) };
        let change = Change::digest_of(&link.change);
        let until = self.recoveries.due(&change, terms).unwrap_or(now.saturating_add(terms.delay_seconds));
        if until <= now { Ok(()) } else { Err(Refusal::Recovering { change, until }) }
    }

    /// As far as these links lead, and the first receipt of a recovery that stands in their way.
    pub(crate) fn receiving<'l>(
        &self,
        links: impl IntoIterator<Item = &'l Certificate>,
        now: u64,
    ) -> Result<Self, Refusal> {
        let mut next = self.clone();
        for link in links {
            match next.clone().follow(std::slice::from_ref(link), Some(now)) {
                Ok(longer) => next = longer,
                Err(Refusal::Recovering { change, .. }) => {
                    next.receive(link, change, now)?;
                    break;
                }
                Err(why) => return Err(why),
            }
        }
        Ok(next)
    }

    fn receive(&mut self, link: &Certificate, change: Digest, now: u64) -> Result<(), Refusal> {
        let expired = Vote::read(Role::Recover, &link.proposal)?.expires;
        let known = self.recoveries.iter().any(|(known, _)| *known == change);
        match () {
            () if known => Ok(()),
            () if now > expired => Err(Uncertified::Expired { expired, now }.into()),
            () if self.recoveries.receive(change, now) => Ok(()),
            () => Err(Refusal::TooManyRecoveries),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orbital::{
        change::Action,
        directive::{Directive, Warrant},
        testing::{NOW, World, person, recovery_terms, region},
        vote::Role as Voice,
    };

    use super::{
        super::{Identity, tests::here},
        *,
    };

    struct Bench {
        world: World,
        me: Identity,
        standing: Standing,
    }

    impl Bench {
        fn new() -> Self {
            let world = World::founded("test", "acme", |root| root.recovery = Some(recovery_terms()));
            let me = here(&world);
            let standing =
                Standing::found(&world.genesis(), &[], Digest([1; 32]), &me, &BTreeSet::from([world.tenant()]), NOW);
            Self { standing: standing.unwrap(), world, me }
        }
        fn recovery(&self) -> Certificate {
            let bob = self.world.newcomer("bob", &["Compliance_Legal"]);
            let next = self.world.next(|root| _ = root.actors.insert(person("bob"), bob));
            self.world.recovery(Action::ChangeActors { next }, &["north", "east"])
        }
        fn trust(&mut self, certificate: &Certificate, now: u64) -> Result<(), Refusal> {
            let warrant = self.world.warrant(certificate.clone());
            match self.standing.step(&Directive::Trust(warrant), &self.me, now) {
                Ok(judged) => {
                    self.standing = Standing::from_bytes(&judged.next.to_bytes()?, &self.me)?;
                    Ok(())
                }
                Err(why) => {
                    let next = self.standing.receiving([certificate], now)?;
                    self.standing = Standing::from_bytes(&next.to_bytes()?, &self.me)?;
                    Err(why)
                }
            }
        }
    }

    const DELAY: u64 = orbital::recovery::RECOVERY_DELAY_SECONDS_MIN;

    #[test]
    fn a_recovery_waits_from_its_first_receipt_over_restarts_and_repeats() {
        let mut bench = Bench::new();
        let recovery = bench.recovery();
        let until = NOW + DELAY;
        for now in [NOW, NOW + 5, until - 1] {
            assert!(matches!(bench.trust(&recovery, now), Err(Refusal::Recovering { until: u, .. }) if u == until));
        }
        // Another one has a time of its own.
        let other = bench.recovery();
        assert!(matches!(bench.trust(&other, NOW + 9), Err(Refusal::Recovering { until: u, .. }) if u == until + 9));
        assert_eq!(bench.trust(&recovery, until), Ok(()));
        assert_eq!((bench.standing.trust().version, bench.standing.recoveries().is_empty()), (2, true));
        assert_eq!(bench.trust(&recovery, until), Ok(()), "known by now");
        assert!(bench.trust(&other, until + 9).is_err());
        assert!(!bench.standing.is_forked());
    }

    #[test]
    fn an_ordinary_successor_cancels_it() {
        let mut bench = Bench::new();
        let recovery = bench.recovery();
        assert!(bench.trust(&recovery, NOW).is_err());
        let next = bench.world.next(|_| ());
        let cancels = bench.world.certificate(Action::ChangeActors { next }, "erin", &["alice"]);
        assert_eq!(bench.trust(&cancels, NOW + 1), Ok(()));
        assert!(bench.standing.recoveries().is_empty());
        let late = bench.standing.step(&Directive::Trust(bench.world.warrant(recovery)), &bench.me, NOW + 2 * DELAY);
        assert!(matches!(late, Err(Refusal::Uncertified(Uncertified::Stale { .. }))), "{late:?}");
    }

    #[test]
    fn what_waits_hinders_no_stop_and_carries_none() {
        let mut bench = Bench::new();
        let (recovery, kill) = (bench.recovery(), bench.world.kill());
        let mut recovered = World::founded("test", "acme", |root| root.recovery = Some(recovery_terms()));
        recovered.extend(&recovery);
        let with = |kill: &Certificate| {
            let (links, certificate) = (vec![recovery.clone()], kill.clone());
            Directive::Kill(Warrant { tenant: recovered.tenant(), links, certificate })
        };
        let judged = bench.standing.step(&with(&kill), &bench.me, NOW).unwrap();
        assert!(judged.next.is_killed() && judged.next.trust().version == 1);
        // Made under the version that the recovery would bring.
        let early = bench.standing.step(&with(&recovered.kill()), &bench.me, NOW);
        assert!(matches!(early, Err(Refusal::Uncertified(Uncertified::Ahead { .. }))), "{early:?}");
        assert!(bench.trust(&recovery, NOW).is_err());
        let ripe = bench.standing.step(&with(&recovered.kill()), &bench.me, NOW + DELAY).unwrap();
        assert!(ripe.next.is_killed() && ripe.next.trust().version == 2);
    }

    #[test]
    fn a_fork_does_not_freeze_a_recovery() {
        let mut bench = Bench::new();
        let grow = |bench: &Bench, name: &str| {
            let system = orbital::names::System::new(name).unwrap();
            let next = bench.world.next(|root| _ = root.systems.insert(system.clone()));
            bench.world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"])
        };
        let (ours, other) = (grow(&bench, "ours"), grow(&bench, "other"));
        bench.trust(&ours, NOW).unwrap();
        assert!(bench.standing.meet(&other));
        bench.world.extend(&ours);
        let recovery = bench.recovery();
        assert!(matches!(bench.trust(&recovery, NOW), Err(Refusal::Recovering { .. })));
        assert_eq!(bench.trust(&recovery, NOW + DELAY), Ok(()));
        assert!(bench.standing.is_forked(), "it changes persons; they settle the fork");
    }

    #[test]
    fn a_region_that_enters_behind_a_recovery_waits_like_every_other() {
        let mut world = World::founded("test", "acme", |root| {
            root.recovery = Some(recovery_terms());
            root.regions.remove(&region("us-east"));
        });
        let me = Identity { region: region("us-east"), ..here(&world) };
        let me = Identity { report_key: world.report_key("us-east").public(), ..me };
        let identity = World::new().trust().regions[&region("us-east")].clone();
        let me = Identity { hpke_key: identity.hpke_key, ..me };
        let recovery = world.recovery(Action::ChangeActors { next: world.next(|_| ()) }, &["north", "south"]);
        world.extend(&recovery);
        let next = world.next(|root| _ = root.regions.insert(region("us-east"), identity));
        let enters = world.certificate(Action::ChangeResidency { next }, "alice", &["bob"]);
        let (links, pinned) = ([recovery, enters.clone()], BTreeSet::from([world.tenant()]));
        let found = |now| Standing::found(&world.genesis(), &links, Digest([1; 32]), &me, &pinned, now).unwrap();
        let standing = found(NOW);
        assert_eq!((standing.trust().version, standing.is_outside(&me)), (1, true));
        let standing = Standing::from_bytes(&standing.to_bytes().unwrap(), &me).unwrap();
        let trust = Directive::Trust(Warrant { links: links.to_vec(), ..world.warrant(enters) });
        assert!(matches!(standing.step(&trust, &me, NOW + DELAY - 1), Err(Refusal::Recovering { .. })));
        let judged = standing.step(&trust, &me, NOW + DELAY).unwrap();
        assert_eq!((judged.next.trust().version, judged.next.is_outside(&me)), (3, false));
    }

    #[test]
    fn a_recovery_whose_collecting_has_ended_begins_no_wait() {
        let mut bench = Bench::new();
        bench.world.expires = NOW;
        let recovery = bench.recovery();
        let late = bench.trust(&recovery, NOW + 1);
        assert!(matches!(late, Err(Refusal::Uncertified(Uncertified::Expired { .. }))), "{late:?}");
        assert!(bench.standing.recoveries().is_empty());
        assert!(Vote::read(Voice::Recover, &recovery.proposal).is_ok());
    }
}
