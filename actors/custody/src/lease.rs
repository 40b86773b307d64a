//! The lease: how long a region serves a tenant without hearing from the holder of its lease key (PROTOCOL §5). Pure.
//!
//! The region draws a nonce and sends it out; a statement over it renews, once, and counts from when the nonce was *drawn*: a
//! renewal held back on the way gains nothing. Within a run CLOCK_BOOTTIME decides. What is stored is how much was left and the
//! highest wall time seen; a restart takes off what went by since, and [`RESTART_COST_MS`] for what may not have been stored. A wall
//! clock below the highest seen leaves nothing; one that jumped ahead only shortens. Within one boot of the machine boottime
//! counts as well, so that a process restart cannot gain by the wall clock at all.

use serde::{Deserialize, Serialize};

use crate::{clock::Now, guards, key_table::LEASE_UNLIMITED};

/// A restart costs this much, as the lease is stored at least this often.
pub const RESTART_COST_MS: u64 = 60_000;
/// The lease is stored at least this often.
pub const STORE_EVERY_MS: u64 = 60_000;
/// Nonces that may be on their way at once; the oldest is forgotten first.
pub const NONCES_DRAWN_MAX: usize = 4;

/// A nonce of the region, to be signed by the lease key.
pub type Nonce = [u8; 32];

/// How long a renewal lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Length {
    Milliseconds(u64),
    /// Never ends; shown as such.
    Unlimited,
}

/// What survives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// `None`: unlimited.
    pub remaining_ms: Option<u64>,
    pub highest_wall_ms: u64,
    pub boottime_ms: u64,
    pub boot: u128,
}

/// Why a renewal did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such nonce is awaited: it was never drawn in this run, was used, or a newer one has been answered")]
pub struct NotAwaited;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Drawn {
    nonce: Nonce,
    at_ms: u64,
}

/// One tenant's lease in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// CLOCK_BOOTTIME milliseconds, or [`LEASE_UNLIMITED`].
    until_ms: u64,
    /// The oldest first.
    drawn: Vec<Drawn>,
    highest_wall_ms: u64,
}

impl Lease {
    /// A tenant that was just provisioned: `length` from now on.
    pub fn provisioned(length: Length, now: Now) -> Self {
        Self { until_ms: deadline(now.boottime_ms, length), drawn: Vec::new(), highest_wall_ms: now.wall_ms }
    }

    /// After a start of the node: what is left of the stored one.
    pub fn restarted(stored: Stored, now: Now) -> Self {
        let until_ms = match stored.remaining_ms {
            None => LEASE_UNLIMITED,
            Some(remaining_ms) => now.boottime_ms.saturating_add(left(remaining_ms, stored, now)),
        };
        Self { until_ms, drawn: Vec::new(), highest_wall_ms: stored.highest_wall_ms.max(now.wall_ms) }
    }

    /// When it ends: CLOCK_BOOTTIME milliseconds, for the gate.
    pub fn until_ms(&self) -> u64 {
        self.until_ms
    }

    /// It has ended.
    pub fn is_over(&self, now: Now) -> bool {
        self.until_ms != LEASE_UNLIMITED && guards::past(self.until_ms, now.boottime_ms)
    }

    /// Remembers a nonce that was drawn now.
    pub fn draw(&mut self, nonce: Nonce, now: Now) {
        self.see(now);
        if self.drawn.len() >= NONCES_DRAWN_MAX {
            self.drawn.remove(0);
        }
        self.drawn.push(Drawn { nonce, at_ms: now.boottime_ms });
    }

    /// A verified statement of the lease key over `nonce`. Uses up the nonce and all older ones; the lease ends `length` after the
    /// nonce was drawn, which may be sooner than before.
    pub fn renew(&mut self, nonce: &Nonce, length: Length, now: Now) -> Result<(), NotAwaited> {
        self.see(now);
        let at = self.drawn.iter().position(|drawn| drawn.nonce == *nonce).ok_or(NotAwaited)?;
        let drawn = guards::spend(&mut self.drawn, at).ok_or(NotAwaited)?;
        self.until_ms = deadline(drawn.at_ms, length);
        Ok(())
    }

    /// Ends no later than `length` from now: what a topology file may do.
    pub fn shorten(&mut self, length: Length, now: Now) {
        self.until_ms = self.until_ms.min(deadline(now.boottime_ms, length));
    }

    /// The wall clock's highest value; expiries use it, so that a clock set back revives nothing.
    pub fn see(&mut self, now: Now) -> u64 {
        self.highest_wall_ms = self.highest_wall_ms.max(now.wall_ms);
        self.highest_wall_ms
    }

    /// What to write down now.
    pub fn stored(&mut self, now: Now) -> Stored {
        // A restart counts from the highest wall time. Where the clock stands below it now, that much would not be counted.
        let behind_ms = self.see(now).saturating_sub(now.wall_ms);
        let remaining_ms = self.until_ms.saturating_sub(now.boottime_ms).saturating_sub(behind_ms);
        Stored {
            remaining_ms: (self.until_ms != LEASE_UNLIMITED).then_some(remaining_ms),
            highest_wall_ms: self.highest_wall_ms,
            boottime_ms: now.boottime_ms,
            boot: now.boot,
        }
    }
}

fn deadline(from_ms: u64, length: Length) -> u64 {
    match length {
        Length::Unlimited => LEASE_UNLIMITED,
        Length::Milliseconds(ms) => from_ms.saturating_add(ms).min(LEASE_UNLIMITED - 1),
    }
}

fn left(remaining_ms: u64, stored: Stored, now: Now) -> u64 {
    if now.wall_ms < stored.highest_wall_ms {
        return 0;
    }
    let by_wall = guards::elapsed_ms(stored.highest_wall_ms, now.wall_ms);
    let by_boot = if stored.boot == now.boot { guards::elapsed_ms(stored.boottime_ms, now.boottime_ms) } else { 0 };
    remaining_ms.saturating_sub(by_wall.max(by_boot)).saturating_sub(RESTART_COST_MS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600_000;
    const NOON: Now = Now { boottime_ms: 5 * HOUR, wall_ms: 1_000 * HOUR, boot: 1 };

    fn later(ms: u64) -> Now {
        Now { boottime_ms: NOON.boottime_ms + ms, wall_ms: NOON.wall_ms + ms, boot: 1 }
    }

    #[test]
    fn a_renewal_counts_from_when_its_nonce_was_drawn() {
        let mut lease = Lease::provisioned(Length::Milliseconds(HOUR), NOON);
        lease.draw([1; 32], NOON);
        lease.renew(&[1; 32], Length::Milliseconds(2 * HOUR), later(HOUR / 2)).unwrap();
        assert!(!lease.is_over(later(2 * HOUR - 1)));
        assert!(lease.is_over(later(2 * HOUR)));
    }

    #[test]
    fn a_nonce_works_once_and_never_after_a_newer_one() {
        let mut lease = Lease::provisioned(Length::Milliseconds(HOUR), NOON);
        lease.draw([1; 32], NOON);
        lease.draw([2; 32], later(10));
        assert_eq!(lease.renew(&[3; 32], Length::Unlimited, NOON), Err(NotAwaited));
        assert_eq!(lease.renew(&[2; 32], Length::Milliseconds(HOUR), later(20)), Ok(()));
        assert_eq!(lease.renew(&[2; 32], Length::Milliseconds(HOUR), later(20)), Err(NotAwaited));
        assert_eq!(lease.renew(&[1; 32], Length::Milliseconds(HOUR), later(20)), Err(NotAwaited));
    }

    #[test]
    fn nonces_are_bounded() {
        let mut lease = Lease::provisioned(Length::Unlimited, NOON);
        for nonce in 0..10 {
            lease.draw([nonce; 32], NOON);
        }
        assert_eq!(lease.drawn.len(), NONCES_DRAWN_MAX);
        assert_eq!(lease.renew(&[5; 32], Length::Unlimited, NOON), Err(NotAwaited));
    }

    #[test]
    fn a_restart_takes_off_what_went_by_and_a_minute() {
        let mut lease = Lease::provisioned(Length::Milliseconds(HOUR), NOON);
        let stored = lease.stored(later(HOUR / 4));
        // Another boot: boottime began anew.
        let start = Now { boottime_ms: 7, wall_ms: NOON.wall_ms + HOUR / 2, boot: 2 };
        assert_eq!(Lease::restarted(stored, start).until_ms(), 7 + HOUR / 2 - RESTART_COST_MS);
    }

    #[test]
    fn a_wall_clock_that_went_back_leaves_nothing() {
        let mut lease = Lease::provisioned(Length::Milliseconds(HOUR), NOON);
        let stored = lease.stored(NOON);
        let start = Now { wall_ms: NOON.wall_ms - 1, boot: 2, ..NOON };
        assert!(Lease::restarted(stored, start).is_over(start));
    }

    #[test]
    fn a_lease_renewed_while_the_wall_clock_is_behind_does_not_gain_by_it() {
        let mut lease = Lease::provisioned(Length::Milliseconds(HOUR), NOON);
        let behind = Now { wall_ms: NOON.wall_ms - HOUR / 2, ..NOON };
        let stored = lease.stored(behind);
        let start = Now { boottime_ms: 1, wall_ms: NOON.wall_ms + HOUR / 2, boot: 2 };
        assert!(Lease::restarted(stored, start).is_over(start), "an hour has gone by");
    }

    #[test]
    fn within_one_boot_a_frozen_wall_clock_gains_nothing() {
        let mut lease = Lease::provisioned(Length::Milliseconds(HOUR), NOON);
        let stored = lease.stored(NOON);
        let start = Now { boottime_ms: NOON.boottime_ms + HOUR, ..NOON };
        assert!(Lease::restarted(stored, start).is_over(start));
    }

    #[test]
    fn unlimited_survives_and_a_topology_may_shorten_it() {
        let mut lease = Lease::provisioned(Length::Unlimited, NOON);
        let stored = lease.stored(NOON);
        let mut again = Lease::restarted(stored, later(99 * HOUR));
        assert!(!again.is_over(later(9999 * HOUR)));
        again.shorten(Length::Milliseconds(HOUR), later(99 * HOUR));
        assert!(again.is_over(later(100 * HOUR)));
        again.shorten(Length::Unlimited, later(99 * HOUR));
        assert!(again.is_over(later(100 * HOUR)), "shortening never lengthens");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        WallAhead(u64),
        /// Less than a stored period, then ahead again: what an unstored jump can do.
        Draw,
        Renew(u64),
        Store,
        Restart {
            down_ms: u64,
            new_boot: bool,
            wall_back_ms: u64,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..2 * HOUR).prop_map(Step::Wait),
            (0..2 * HOUR).prop_map(Step::WallAhead),
            Just(Step::Draw),
            (0..3 * HOUR).prop_map(Step::Renew),
            Just(Step::Store),
            ((0..2 * HOUR), any::<bool>(), prop_oneof![Just(0u64), 1..HOUR])
                .prop_map(|(down_ms, new_boot, wall_back_ms)| Step::Restart { down_ms, new_boot, wall_back_ms }),
        ]
    }

    proptest! {
        /// True time runs on its own; the lease is stored at least every minute of a run. Across a restart the wall clock goes on,
        /// jumps ahead, or is set back below what was stored. So: never served later than nonce draw + lease + 1 s.
        #[test]
        fn never_served_after_its_end(steps in proptest::collection::vec(step(), 1..60)) {
            let (mut time, mut now) = (0u64, NOON);
            let mut lease = Lease::provisioned(Length::Milliseconds(HOUR), now);
            let (mut end, mut drawn_at, mut serial) = (HOUR, None::<(Nonce, u64)>, 0u8);
            let mut stored = lease.stored(now);
            for step in steps {
                match step {
                    Step::Wait(ms) => {
                        let mut rest = ms;
                        while rest > 0 {
                            let part = rest.min(STORE_EVERY_MS);
                            rest -= part;
                            time += part;
                            now.boottime_ms += part;
                            now.wall_ms += part;
                            if rest > 0 { stored = lease.stored(now); }
                        }
                    }
                    Step::WallAhead(ms) => now.wall_ms += ms,
                    Step::Draw => {
                        serial = serial.wrapping_add(1);
                        lease.draw([serial; 32], now);
                        drawn_at = Some(([serial; 32], time));
                    }
                    Step::Renew(ms) => if let Some((nonce, at)) = drawn_at.take() {
                        lease.renew(&nonce, Length::Milliseconds(ms), now).unwrap();
                        end = at + ms;
                        stored = lease.stored(now);
                    },
                    Step::Store => stored = lease.stored(now),
                    Step::Restart { down_ms, new_boot, wall_back_ms } => {
                        time += down_ms;
                        // A clock set back below what was seen must lock; one that lags by less cannot be told from time.
                        now.wall_ms = match wall_back_ms {
                            0 => now.wall_ms + down_ms,
                            back => stored.highest_wall_ms - back,
                        };
                        now.boottime_ms = if new_boot { 1 } else { now.boottime_ms + down_ms };
                        now.boot += u128::from(new_boot);
                        lease = Lease::restarted(stored, now);
                        drawn_at = None;
                        stored = lease.stored(now);
                    }
                }
                if !lease.is_over(now) {
                    prop_assert!(time <= end + 1_000, "served at {time}, the lease ended at {end}");
                }
            }
        }
    }
}
