//! Renewals of leases that wait for their turn in a lane.
//!
//! Each Hello asks for one a tenant, and they count in no window, since nobody acknowledges them by the ledger. So many go out a turn and
//! no more, so that a region of thousands of tenants still hears what else it is told; the rest waits, up to a limit. What is dropped is
//! asked for again by the tenant's next Hello. Stops that a region told us of go back to it the same way, in the critical lane.

use std::collections::VecDeque;

use orbital::directive::Directive;

/// Most renewals that one lane carries in one turn, which is a tick of its courier.
pub(crate) const RENEWALS_PER_TURN_MAX: usize = 128;
/// Most renewals that wait.
pub(crate) const RENEWALS_WAITING_MAX: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Renewals {
    waiting: VecDeque<Directive>,
    /// Gone out in this turn.
    gone: usize,
}

impl Renewals {
    /// False: too many wait, and this one was dropped.
    pub(crate) fn put(&mut self, renewal: Directive) -> bool {
        let room = self.waiting.len() < RENEWALS_WAITING_MAX;
        if room {
            self.waiting.push_back(renewal);
        }
        room
    }

    /// The next that may go out in this turn.
    pub(crate) fn next(&mut self) -> Option<Directive> {
        let renewal = if self.gone < RENEWALS_PER_TURN_MAX { self.waiting.pop_front() } else { None };
        self.gone += usize::from(renewal.is_some());
        renewal
    }

    pub(crate) fn next_turn(&mut self) {
        self.gone = 0;
    }
}

#[cfg(test)]
mod tests {
    use orbital::names::{Digest, TenantId};

    use super::*;

    fn renewal(n: usize) -> Directive {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_be_bytes());
        Directive::Hold { tenant: TenantId(Digest(digest)) }
    }

    #[test]
    fn ten_thousand_renewals_go_out_in_order_so_many_a_turn_and_a_limit_waits() {
        let mut renewals = Renewals::default();
        let taken = (0..10_000).filter(|n| renewals.put(renewal(*n))).count();
        assert_eq!(taken, RENEWALS_WAITING_MAX);
        let mut gone = Vec::new();
        while gone.len() < taken {
            let before = gone.len();
            gone.extend(std::iter::from_fn(|| renewals.next()));
            assert_eq!(gone.len() - before, RENEWALS_PER_TURN_MAX);
            renewals.next_turn();
        }
        assert_eq!(gone, (0..taken).map(renewal).collect::<Vec<_>>());
        assert!(renewals.next().is_none() && renewals.put(renewal(1)) && renewals.next().is_some());
    }
}
