//! What regions reported and the tenant has not looked at yet.
//!
//! Each report costs a commit. Were they handled as they come, a stop would wait behind all of them in the actor's mailbox; so they are
//! put here, and the actor takes one at a time between other messages. Answers to stops come first; the rest keeps its order, since a
//! Hello means something only after the acknowledgements that the region sent before it.

use std::collections::VecDeque;

use orbital::{
    certificate::Certificate,
    names::Region,
    report::{Observed, Probed},
    sign::Signed,
};

/// Most reports that wait; more are dropped, and the regions repeat what matters.
pub(crate) const REPORTS_MAX: usize = 4_096;

/// One report of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    Acknowledged {
        ack: Signed,
        received_us: u64,
    },
    Probed(Probed),
    /// A stop that people handed straight to the region.
    Stopped(Certificate),
    /// One of two certified successors of one trust version that the region has met.
    Branch(Certificate),
    /// What stands in the region, and is not known here.
    Recalled(Certificate),
    /// What the region holds of the tenant, as of its last Hello.
    Observed(Option<Observed>),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    stops: VecDeque<(Region, Report)>,
    others: VecDeque<(Region, Report)>,
}

impl Reports {
    /// Puts a report in; `stop` says that it came in the critical lane. True when nothing waited before.
    pub(crate) fn put(&mut self, region: Region, report: Report, stop: bool) -> bool {
        let first = self.stops.is_empty() && self.others.is_empty();
        let queue = if stop { &mut self.stops } else { &mut self.others };
        let hello = |(at, report): &(Region, Report)| *at == region && matches!(report, Report::Observed(_));
        // Only the newest of two Hellos in a row says anything.
        if matches!(report, Report::Observed(_)) && queue.back().is_some_and(hello) {
            queue.pop_back();
        }
        if queue.len() < REPORTS_MAX {
            queue.push_back((region, report));
        } else {
            tracing::warn!(%region, "more than {REPORTS_MAX} reports wait; one was dropped, the region repeats it");
        }
        first
    }

    pub(crate) fn take(&mut self) -> Option<(Region, Report)> {
        self.stops.pop_front().or_else(|| self.others.pop_front())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stops.is_empty() && self.others.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use orbital::{sign::Signature, testing::region};

    use super::*;

    fn ack(n: u64) -> Report {
        let signed = Signed { statement: vec![], signature: Signature([0; 64]).into() };
        Report::Acknowledged { ack: signed, received_us: n }
    }
    fn taken(reports: &mut Reports) -> Vec<Report> {
        std::iter::from_fn(|| reports.take().map(|(_, report)| report)).collect()
    }

    #[test]
    fn answers_to_stops_come_first_and_the_rest_in_order() {
        let mut reports = Reports::default();
        assert!(reports.put(region("a"), ack(1), false));
        assert!(!reports.put(region("a"), Report::Observed(None), false));
        reports.put(region("a"), ack(2), false);
        reports.put(region("a"), ack(3), true);
        assert_eq!(taken(&mut reports), [ack(3), ack(1), Report::Observed(None), ack(2)]);
        assert!(reports.put(region("a"), ack(4), true));
    }

    #[test]
    fn hellos_in_a_row_are_one_and_there_is_a_limit() {
        let mut reports = Reports::default();
        for _ in 0..3 {
            reports.put(region("a"), Report::Observed(None), false);
        }
        reports.put(region("b"), Report::Observed(None), false);
        assert_eq!(taken(&mut reports).len(), 2);
        (0..REPORTS_MAX as u64 + 5).for_each(|n| _ = reports.put(region("a"), ack(n), false));
        assert_eq!(taken(&mut reports).len(), REPORTS_MAX);
    }
}
