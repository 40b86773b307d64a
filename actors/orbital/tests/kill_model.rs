//! The kill protocol, every state of it: two regions, two kills, grants ordered by epochs, crashes at each step, and a network that
//! loses, repeats and reorders: whatever a script decides may arrive anywhere, any number of times, or never. All is decided before the first
//! step, since a decision that has not arrived anywhere changes nothing.
//!
//! PROTOCOL §9.1: serving ⇒ every known kill is restored by name; after a SyncAck of a kill nothing is served until then. Each guard has a
//! variant without it, and the checker must find the failure; a model that cannot fail shows nothing.
//!
//! The step is an abstract of custody's standing. What is pure in `orbital` is the real thing: what may be done to a killed tenant
//! (`ChangeKind`), and what governance finds missing (`reconcile`).

use orbital::{
    change::ChangeKind,
    halt::Halts,
    names::{Digest, TenantId},
    reconcile::{Desired, Gap, reconcile},
    report::{L1State, Observed, Stops},
};
use stateright::{Checker, HasDiscoveries, Model, Property};

const REGIONS: usize = 2;
/// Kills are bits of a mask: this many.
const KILLS: u8 = 2;
const CRASHES_MAX: u8 = 2;

/// A guard made a no-op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// Kills are kept in memory alone.
    DurableKills,
    /// Epochs are kept in memory alone.
    DurableEpoch,
    /// SyncAck waits for nothing.
    AckAfterDurable,
    /// Restoring is by name: without it a restore lifts whatever kill is set.
    RestoreByName,
    /// A killed tenant takes no grant but a restore: without it a link lifts the kill.
    LinkRefusedWhenKilled,
    /// An unseal that began before a kill is thrown away.
    Generation,
}

/// What is decided and certified. Sets of kills are bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Decision {
    Link { epoch: u8 },
    Kill { kill: u8 },
    Restore { kills: u8, epoch: u8 },
}

impl Decision {
    fn kind(self) -> ChangeKind {
        match self {
            Self::Link { .. } => ChangeKind::LinkL1,
            Self::Kill { .. } => ChangeKind::RevokeL1,
            Self::Restore { .. } => ChangeKind::RestoreL1,
        }
    }
}

/// What a region holds, and what of it survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Facts {
    kills: u8,
    restored: u8,
    epoch: u8,
    /// Epoch of the link in force; 0 is none.
    linked: u8,
    /// What restores named, whatever the region made of it.
    named: u8,
}

impl Facts {
    fn killed(self) -> bool {
        self.kills & !self.restored != 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Unseal {
    Idle,
    Running,
    /// A kill or a newer link came in between.
    Overtaken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    now: Facts,
    stored: Facts,
    serving: bool,
    unseal: Unseal,
    /// What this region ever acknowledged: kills, and the highest link.
    acked: u8,
    acked_link: u8,
    /// The decision that waits for the disk.
    answering: Option<Decision>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct World {
    decided: [Decision; 5],
    /// Sorted: the regions are alike.
    places: [Place; REGIONS],
    crashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Arrive(usize, Decision),
    Store(usize),
    BeginUnseal(usize),
    EndUnseal(usize),
    Crash(usize),
}

struct Protocol(Without);

const KNOWN: &str = "who serves knows of no kill that is not restored by name";
const ACKED: &str = "after a SyncAck of a kill nothing is served until it is restored by name";
const GRANTS: &str = "no older link comes back after a newer one was acknowledged";
const RECONCILED: &str = "whoever takes what reconcile finds missing knows every kill";

impl Protocol {
    /// The region's decision about a directive: new facts, or none if it is refused.
    fn judge(&self, now: Facts, decision: Decision) -> Option<Facts> {
        if now.killed() && !decision.kind().allowed_when_killed() && self.0 != Without::LinkRefusedWhenKilled {
            return None;
        }
        match decision {
            Decision::Kill { kill } => Some(Facts { kills: now.kills | kill, ..now }),
            Decision::Link { epoch } if epoch == now.linked => Some(now),
            Decision::Link { epoch } if epoch > now.epoch => {
                let kills = if self.0 == Without::LinkRefusedWhenKilled { 0 } else { now.kills };
                Some(Facts { epoch, linked: epoch, kills, ..now })
            }
            Decision::Restore { kills, .. } if now.restored & kills == kills => Some(now),
            Decision::Restore { kills, epoch } if epoch > now.epoch => {
                let lifted = if self.0 == Without::RestoreByName { u8::MAX } else { kills };
                Some(Facts { epoch, restored: now.restored | lifted, named: now.named | kills, ..now })
            }
            Decision::Link { .. } | Decision::Restore { .. } => None,
        }
    }

    fn arrive(&self, place: &mut Place, decision: Decision) -> Option<()> {
        let next = self.judge(place.now, decision)?;
        if next.killed() {
            place.serving = false;
        }
        if (next.killed() || next.linked != place.now.linked) && place.unseal == Unseal::Running {
            place.unseal = Unseal::Overtaken;
        }
        if next.linked != place.now.linked {
            place.serving = false;
        }
        place.now = next;
        place.answering = Some(decision);
        if self.0 == Without::AckAfterDurable {
            acknowledge(place, decision);
        }
        Some(())
    }

    fn store(&self, place: &mut Place) -> Option<()> {
        let decision = place.answering.take()?;
        acknowledge(place, decision);
        place.stored = place.now;
        if self.0 == Without::DurableKills {
            (place.stored.kills, place.stored.restored) = (0, 0);
        }
        if self.0 == Without::DurableEpoch {
            place.stored.epoch = 0;
        }
        Some(())
    }
}

fn acknowledge(place: &mut Place, decision: Decision) {
    match decision {
        Decision::Kill { kill } => place.acked |= kill,
        Decision::Link { epoch } => place.acked_link = place.acked_link.max(epoch),
        Decision::Restore { .. } => {}
    }
}

fn crash(place: &mut Place) {
    *place = Place { now: place.stored, serving: false, unseal: Unseal::Idle, answering: None, ..*place };
}

/// Each order of two links and a restore of each set of kills; the kills themselves have no order.
fn scripts() -> Vec<[Decision; 5]> {
    let kills = (1 << KILLS) - 1;
    let script = |restored_at: u8, named: u8| {
        let grant = |epoch| match epoch == restored_at {
            true => Decision::Restore { kills: named, epoch },
            false => Decision::Link { epoch },
        };
        [grant(1), grant(2), grant(3), Decision::Kill { kill: 1 }, Decision::Kill { kill: 2 }]
    };
    (1..=3).flat_map(|at| (1..=kills).map(move |named| script(at, named))).collect()
}

fn killed(decided: &[Decision]) -> u8 {
    decided.iter().map(|d| if let Decision::Kill { kill } = d { *kill } else { 0 }).fold(0, |all, k| all | k)
}

fn restored_by_name(decided: &[Decision]) -> u8 {
    decided.iter().map(|d| if let Decision::Restore { kills, .. } = d { *kills } else { 0 }).fold(0, |all, k| all | k)
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let (now, stored) = (Facts::default(), Facts::default());
        let (serving, unseal, answering) = (false, Unseal::Idle, None);
        let place = Place { now, stored, serving, unseal, acked: 0, acked_link: 0, answering };
        scripts().into_iter().map(|decided| World { decided, places: [place; REGIONS], crashes: 0 }).collect()
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for (at, place) in world.places.iter().enumerate() {
            match place.answering {
                Some(_) => steps.push(Step::Store(at)),
                None => steps.extend(world.decided.iter().map(|d| Step::Arrive(at, *d))),
            }
            match place.unseal {
                Unseal::Idle if place.now.linked > 0 && !place.now.killed() && !place.serving => {
                    steps.push(Step::BeginUnseal(at));
                }
                Unseal::Idle => {}
                Unseal::Running | Unseal::Overtaken => steps.push(Step::EndUnseal(at)),
            }
            if world.crashes < CRASHES_MAX {
                steps.push(Step::Crash(at));
            }
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = *world;
        let (Step::Arrive(at, _) | Step::Store(at) | Step::BeginUnseal(at) | Step::EndUnseal(at) | Step::Crash(at)) =
            step;
        let place = next.places.get_mut(at)?;
        match step {
            Step::Arrive(_, decision) => self.arrive(place, decision)?,
            Step::Store(_) => self.store(place)?,
            Step::BeginUnseal(_) => place.unseal = Unseal::Running,
            Step::EndUnseal(_) => {
                place.serving |= place.unseal == Unseal::Running || self.0 == Without::Generation;
                place.unseal = Unseal::Idle;
            }
            Step::Crash(_) => {
                crash(place);
                next.crashes += 1;
            }
        }
        next.places.sort_unstable();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(KNOWN, |_, w| serving_places(w).all(|p| !p.now.killed())),
            Property::always(ACKED, |_, w| serving_places(w).all(|p| p.acked & !p.now.named == 0)),
            Property::always(GRANTS, |_, w| serving_places(w).all(|p| p.now.linked >= p.acked_link)),
            Property::always(RECONCILED, |m: &Self, w: &World| w.places.into_iter().all(|p| m.heals(&w.decided, p))),
            Property::sometimes("serves again after a restore", |_, w| {
                serving_places(w).any(|p| p.now.restored != 0 && p.acked != 0)
            }),
            Property::sometimes("serves again after a crash", |_, w: &World| {
                w.crashes > 0 && serving_places(w).count() == REGIONS
            }),
            Property::sometimes("both regions acknowledge both kills", |_, w: &World| {
                w.places.iter().all(|p| p.acked == (1 << KILLS) - 1)
            }),
        ]
    }
}

fn serving_places(world: &World) -> impl Iterator<Item = Place> {
    world.places.into_iter().filter(|p| p.serving)
}

impl Protocol {
    /// Gives a region what the real `reconcile` finds missing: afterwards it knows every kill, and stands still for those that no restore
    /// names.
    fn heals(&self, decided: &[Decision], place: Place) -> bool {
        let desired = Desired {
            tenant: TenantId(Digest([0; 32])),
            trust_version: 1,
            epoch: u64::from(decided.iter().map(|d| grant_epoch(*d)).max().unwrap_or(0)),
            halts: digests(killed(decided)),
            lifted: digests(restored_by_name(decided)),
            linked: None,
        };
        let mut facts = place.now;
        for gap in reconcile(&desired, Some(&observed(facts))) {
            if let Gap::Halt(digest) = gap {
                let kill = digest.as_bytes().first().copied().unwrap_or(0);
                facts = self.judge(facts, Decision::Kill { kill }).unwrap_or(facts);
            }
        }
        facts.kills & killed(decided) == killed(decided)
    }
}

fn grant_epoch(decision: Decision) -> u8 {
    match decision {
        Decision::Link { epoch } | Decision::Restore { epoch, .. } => epoch,
        Decision::Kill { .. } => 0,
    }
}

fn digests(kills: u8) -> Halts {
    (0..KILLS).map(|bit| 1 << bit).filter(|kill| kills & kill != 0).map(|kill| Digest([kill; 32])).collect()
}

fn observed(facts: Facts) -> Observed {
    Observed {
        trust_version: 1,
        trust: Digest([0; 32]),
        epoch: u64::from(facts.epoch),
        generation: 0,
        halts: digests(facts.kills),
        lifted: digests(facts.restored),
        linked: (facts.linked > 0).then_some(Digest([facts.linked; 32])),
        l1: L1State::Enabled,
        stops: Stops { killed: facts.killed(), ..Stops::default() },
        lease_left: None,
        keys: 0,
        lease_nonce: None,
        usage: Default::default(),
        recoveries: Default::default(),
    }
}

#[test]
fn the_protocol_holds_in_every_state() {
    let checker = Protocol(Without::Nothing).checker().threads(2).spawn_bfs().join();
    println!(
        "{} states, {} of them distinct, depth {}",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
    assert!(
        checker.unique_state_count() > 100_000,
        "only {} states: the bounds are too narrow",
        checker.unique_state_count()
    );
}

/// The variant without a guard fails, and on the property that the guard is there for.
fn fails(without: Without, property: &'static str) {
    let found = HasDiscoveries::AnyOf([property].into());
    let checker = Protocol(without).checker().threads(2).finish_when(found).spawn_bfs().join();
    let path = checker.discovery(property).map(stateright::Path::into_actions);
    assert!(path.is_some(), "without {without:?} nothing fails: {property}");
    println!("without {without:?}: {path:?}");
}

#[test]
fn kills_in_memory_alone_are_served_after_a_crash() {
    fails(Without::DurableKills, ACKED);
}

#[test]
fn epochs_in_memory_alone_let_an_older_link_return() {
    fails(Without::DurableEpoch, GRANTS);
}

#[test]
fn an_acknowledgement_before_the_disk_is_a_lie() {
    fails(Without::AckAfterDurable, ACKED);
}

#[test]
fn a_link_that_lifts_a_kill_is_found() {
    fails(Without::LinkRefusedWhenKilled, ACKED);
}

#[test]
fn a_restore_that_lifts_what_it_does_not_name_is_found() {
    fails(Without::RestoreByName, ACKED);
}

#[test]
fn a_late_unseal_is_found() {
    fails(Without::Generation, KNOWN);
}
