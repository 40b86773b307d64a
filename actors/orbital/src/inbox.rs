//! Inbox: what a region takes from one lane, as pure state.
//!
//! The ordinary lane is taken in order: a frame ahead of a gap waits for the sender's next try. Stops are taken on arrival and told apart
//! by digest, never by sequence (PROTOCOL §4). A sender that restarted counts anew; a frame of an older incarnation is refused.

use crate::{frame::Head, lane::Lane};

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Take,
    /// Seen before: answer again, since the answer may have been lost. Applying is idempotent by digest.
    Again,
    /// Something before it is missing: say nothing, the sender tries again in order.
    Gap,
    /// Of a run of the sender that is over.
    Stale,
}

/// One lane from one sender.
#[derive(Clone, Debug)]
pub struct Inbox {
    lane: Lane,
    incarnation: u64,
    last: u64,
}

impl Inbox {
    pub fn new(lane: Lane) -> Self {
        Self { lane, incarnation: 0, last: 0 }
    }

    pub fn step(&mut self, head: &Head) -> Verdict {
        if head.sequence == 0 {
            return Verdict::Take;
        }
        if self.lane == Lane::Critical {
            return Verdict::Take;
        }
        if head.incarnation < self.incarnation {
            return Verdict::Stale;
        }
        if head.incarnation > self.incarnation {
            self.incarnation = head.incarnation;
            self.last = 0;
        }
        if head.sequence <= self.last {
            return Verdict::Again;
        }
        // All before `base` is acknowledged, by this region, maybe in an earlier run of it.
        if head.sequence == self.last + 1 || head.sequence == head.base {
            self.last = head.sequence;
            return Verdict::Take;
        }
        Verdict::Gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Deployment, NodeName};

    fn head(incarnation: u64, sequence: u64, base: u64) -> Head {
        Head {
            deployment: Deployment::new("d").unwrap(),
            sender: NodeName::new("gov").unwrap(),
            receiver: NodeName::new("fra-1").unwrap(),
            lane: Lane::Ordinary,
            incarnation,
            term: 1,
            sequence,
            base,
        }
    }

    #[test]
    fn the_ordinary_lane_is_taken_in_order() {
        let mut inbox = Inbox::new(Lane::Ordinary);
        assert_eq!(inbox.step(&head(1, 5, 5)), Verdict::Take);
        assert_eq!(inbox.step(&head(1, 7, 5)), Verdict::Gap);
        assert_eq!(inbox.step(&head(1, 6, 5)), Verdict::Take);
        assert_eq!(inbox.step(&head(1, 5, 5)), Verdict::Again);
        assert_eq!(inbox.step(&head(1, 7, 6)), Verdict::Take);
    }

    #[test]
    fn a_sender_that_restarted_counts_anew_and_its_past_is_refused() {
        let mut inbox = Inbox::new(Lane::Ordinary);
        inbox.step(&head(2, 9, 9));
        assert_eq!(inbox.step(&head(1, 10, 9)), Verdict::Stale);
        assert_eq!(inbox.step(&head(3, 9, 9)), Verdict::Take);
    }

    #[test]
    fn a_stop_is_taken_whatever_came_before() {
        let mut inbox = Inbox::new(Lane::Critical);
        for n in [9, 3, 3] {
            assert_eq!(inbox.step(&head(1, n, 1)), Verdict::Take);
        }
    }
}
