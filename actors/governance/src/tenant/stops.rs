//! What people did in the last hour towards stops that are not in force.
//!
//! A stop is never refused for want of room (PROTOCOL §4), yet one person alone can propose stops and withdraw them without end. So each
//! person has a limit an hour, of their own: nobody uses up another's. The first few of their entries may use the ledger's reserve, down
//! to the part that is kept for stops in force; the entry that ratifies a stop always may.

use std::collections::VecDeque;

use ledger::Room;
use orbital::names::{Person, ProposalId};

use crate::error::Refusal;

/// How long an entry counts.
const WINDOW_MS: u64 = 3_600_000;
/// Most stops that one person may propose within [`WINDOW_MS`] without one of them being ratified.
pub(crate) const STOPS_PER_PERSON_MAX: usize = 16;
/// Most entries of one person within [`WINDOW_MS`], proposed or answered, that may use the ledger's reserve.
pub(crate) const STOPS_RESERVED_PER_PERSON_MAX: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Done {
    at_ms: u64,
    person: Person,
    proposal: ProposalId,
    opened: bool,
}

impl Done {
    /// Also false for what a clock that ran ahead left: nobody is kept from a stop by it.
    fn counts(&self, now_ms: u64) -> bool {
        self.at_ms.abs_diff(now_ms) < WINDOW_MS
    }
}

/// See the module. Oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stops(VecDeque<Done>);

impl Stops {
    pub(crate) fn opened(&mut self, at_ms: u64, person: &Person, proposal: &ProposalId) {
        self.push(at_ms, person, proposal, true);
    }

    /// An approval or a confirmation. Beyond what may use the reserve nothing depends on the count.
    pub(crate) fn answered(&mut self, at_ms: u64, person: &Person, proposal: &ProposalId) {
        if self.by(person, at_ms).count() < STOPS_RESERVED_PER_PERSON_MAX {
            self.push(at_ms, person, proposal, false);
        }
    }

    /// A stop in force was meant: it does not count.
    pub(crate) fn ratified(&mut self, proposal: &ProposalId) {
        self.0.retain(|done| done.proposal != *proposal);
    }

    /// Whether this person may propose one more.
    pub(crate) fn check(&self, person: &Person, now_ms: u64) -> Result<(), Refusal> {
        let opened: Vec<_> = self.by(person, now_ms).filter(|done| done.opened).map(|done| done.at_ms).collect();
        // The first that leaves the window makes room.
        match opened.iter().min() {
            Some(first) if opened.len() >= STOPS_PER_PERSON_MAX => Err(Refusal::TooManyStops {
                person: person.clone(),
                count: opened.len(),
                wait_s: first.saturating_add(WINDOW_MS).saturating_sub(now_ms).div_ceil(1_000),
            }),
            _ => Ok(()),
        }
    }

    /// What this person's next entry may use, unless it ratifies a stop.
    pub(crate) fn room(&self, person: &Person, now_ms: u64) -> Room {
        let few = self.by(person, now_ms).count() < STOPS_RESERVED_PER_PERSON_MAX;
        if few { Room::Opening } else { Room::Ordinary }
    }

    fn by<'a>(&'a self, person: &'a Person, now_ms: u64) -> impl Iterator<Item = &'a Done> {
        self.0.iter().filter(move |done| done.person == *person && done.counts(now_ms))
    }

    fn push(&mut self, at_ms: u64, person: &Person, proposal: &ProposalId, opened: bool) {
        self.0.retain(|done| done.counts(at_ms));
        self.0.push_back(Done { at_ms, person: person.clone(), proposal: proposal.clone(), opened });
    }
}
