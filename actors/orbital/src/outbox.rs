//! Outbox: what one region is still owed in one lane, as pure state.
//!
//! At least once, in order, without end (DESIGN §5). The rows live in the ledger; the outbox decides which of them to send now: never more
//! than a window at once, again after a back-off until the region has acknowledged. A lost link forgets what was in flight.

use std::collections::BTreeMap;

use crate::{lane::Lane, names::Digest};

/// Most unacknowledged frames on the way at once in one lane: the back-pressure that the transport lacks.
pub const WINDOW: usize = 64;
/// First wait before a frame is sent again.
pub const RETRY_FIRST_MS: u64 = 100;
/// Longest wait.
pub const RETRY_MAX_MS: u64 = 5_000;
/// Sends of a critical frame at [`RETRY_FIRST_MS`] before the wait grows.
pub const CRITICAL_EAGER_SENDS: u32 = 100;
/// A directive unacknowledged for this long is stalled, and somebody is told.
pub const STALLED_AFTER_MS: u64 = 5_000;

/// A row of the ledger as the outbox sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The ledger's id, by which it is settled.
    pub id: u64,
    pub sequence: u64,
    pub digest: Digest,
    pub created_ms: u64,
}

#[derive(Clone, Debug)]
struct Pending {
    row: Row,
    sends: u32,
    again_at_ms: Option<u64>,
    alerted: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The ledger owes this.
    Owed(Row),
    Connected,
    Disconnected,
    /// The region answered the directive with this digest.
    Acknowledged(Digest),
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Send {
        id: u64,
        sequence: u64,
        base: u64,
    },
    Settle {
        id: u64,
        digest: Digest,
    },
    /// A directive has waited too long; said once.
    Stalled {
        id: u64,
        waited_ms: u64,
    },
}

/// One lane to one region.
#[derive(Clone, Debug)]
pub struct Outbox {
    lane: Lane,
    connected: bool,
    pending: BTreeMap<u64, Pending>,
}

impl Outbox {
    pub fn new(lane: Lane) -> Self {
        Self { lane, connected: false, pending: BTreeMap::new() }
    }

    pub fn depth(&self) -> usize {
        self.pending.len()
    }

    /// Age of the oldest unacknowledged row.
    pub fn oldest_ms(&self, now_ms: u64) -> Option<u64> {
        self.pending.values().map(|p| now_ms.saturating_sub(p.row.created_ms)).max()
    }

    /// The lowest unacknowledged sequence.
    pub fn base(&self) -> u64 {
        self.pending.keys().next().copied().unwrap_or(0)
    }

    pub fn step(&mut self, event: Event, now_ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Owed(row) => {
                let fresh = Pending { row, sends: 0, again_at_ms: None, alerted: false };
                self.pending.entry(fresh.row.sequence).or_insert(fresh);
            }
            Event::Connected => {
                self.connected = true;
                self.pending.values_mut().for_each(|p| p.again_at_ms = None);
            }
            Event::Disconnected => self.connected = false,
            Event::Acknowledged(digest) => self.settle(digest, &mut effects),
            Event::Tick => self.alert(now_ms, &mut effects),
        }
        if self.connected {
            self.send(now_ms, &mut effects);
        }
        effects
    }

    fn settle(&mut self, digest: Digest, effects: &mut Vec<Effect>) {
        let done: Vec<u64> = self.pending.values().filter(|p| p.row.digest == digest).map(|p| p.row.sequence).collect();
        for sequence in done {
            if let Some(p) = self.pending.remove(&sequence) {
                effects.push(Effect::Settle { id: p.row.id, digest });
            }
        }
    }

    fn alert(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        for p in self.pending.values_mut().filter(|p| !p.alerted) {
            let waited_ms = now_ms.saturating_sub(p.row.created_ms);
            if waited_ms >= STALLED_AFTER_MS {
                p.alerted = true;
                effects.push(Effect::Stalled { id: p.row.id, waited_ms });
            }
        }
    }

    fn send(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let (lane, base) = (self.lane, self.base());
        for p in self.pending.values_mut().take(WINDOW).filter(|p| p.again_at_ms.is_none_or(|at| now_ms >= at)) {
            p.again_at_ms = Some(now_ms + wait_ms(lane, p.sends));
            p.sends = p.sends.saturating_add(1);
            effects.push(Effect::Send { id: p.row.id, sequence: p.row.sequence, base });
        }
    }
}

/// Wait after the n-th send.
fn wait_ms(lane: Lane, sends: u32) -> u64 {
    let doublings = match lane {
        Lane::Critical => sends.saturating_sub(CRITICAL_EAGER_SENDS),
        Lane::Ordinary => sends.saturating_add(2),
    };
    RETRY_FIRST_MS.saturating_mul(1 << doublings.min(6)).min(RETRY_MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sequence: u64) -> Row {
        Row { id: 100 + sequence, sequence, digest: Digest([u8::try_from(sequence % 251).unwrap(); 32]), created_ms: 0 }
    }
    fn sent(effects: &[Effect]) -> Vec<u64> {
        effects
            .iter()
            .filter_map(|e| if let Effect::Send { sequence, .. } = e { Some(*sequence) } else { None })
            .collect()
    }

    #[test]
    fn nothing_is_sent_without_a_link_and_everything_after_a_reconnect() {
        let mut outbox = Outbox::new(Lane::Ordinary);
        assert!(outbox.step(Event::Owed(row(1)), 0).is_empty());
        assert_eq!(sent(&outbox.step(Event::Connected, 1)), [1]);
        assert!(outbox.step(Event::Tick, 2).is_empty());
        outbox.step(Event::Disconnected, 3);
        assert_eq!(sent(&outbox.step(Event::Connected, 4)), [1]);
    }

    #[test]
    fn the_window_bounds_what_is_on_the_way() {
        let mut outbox = Outbox::new(Lane::Ordinary);
        for n in 1..=200 {
            outbox.step(Event::Owed(row(n)), 0);
        }
        assert_eq!(sent(&outbox.step(Event::Connected, 0)).len(), WINDOW);
        assert_eq!(sent(&outbox.step(Event::Acknowledged(row(1).digest), 1)), [65]);
    }

    #[test]
    fn a_critical_frame_is_sent_again_every_100_ms_at_first() {
        let mut outbox = Outbox::new(Lane::Critical);
        outbox.step(Event::Connected, 0);
        outbox.step(Event::Owed(row(1)), 0);
        assert!(outbox.step(Event::Tick, 99).is_empty());
        assert_eq!(sent(&outbox.step(Event::Tick, 100)), [1]);
        assert_eq!(sent(&outbox.step(Event::Tick, 200)), [1]);
    }

    #[test]
    fn a_stalled_directive_is_said_once() {
        let mut outbox = Outbox::new(Lane::Critical);
        outbox.step(Event::Owed(row(1)), 0);
        assert_eq!(
            outbox.step(Event::Tick, STALLED_AFTER_MS),
            [Effect::Stalled { id: 101, waited_ms: STALLED_AFTER_MS }]
        );
        assert!(outbox.step(Event::Tick, STALLED_AFTER_MS + 1).is_empty());
    }

    proptest::proptest! {
        /// Whatever is lost, everything owed is settled once the link stays up and the region answers.
        #[test]
        fn nothing_is_ever_dropped(count in 1u64..150, drops: Vec<bool>) {
            let mut outbox = Outbox::new(Lane::Ordinary);
            for n in 1..=count { outbox.step(Event::Owed(Row { digest: Digest([0; 32]), ..row(n) }), 0); }
            let mut rows: BTreeMap<u64, Digest> = BTreeMap::new();
            for n in 1..=count {
                let mut digest = [0u8; 32];
                digest[..8].copy_from_slice(&n.to_le_bytes());
                rows.insert(n, Digest(digest));
            }
            let mut outbox = Outbox::new(Lane::Ordinary);
            for (n, digest) in &rows { outbox.step(Event::Owed(Row { digest: *digest, ..row(*n) }), 0); }
            let (mut now, mut settled, mut drops) = (0, 0, drops.into_iter());
            let mut todo = outbox.step(Event::Connected, now);
            while settled < count {
                let mut next = Vec::new();
                for effect in todo {
                    match effect {
                        Effect::Send { sequence, .. } if !drops.next().unwrap_or(false) => {
                            next.extend(outbox.step(Event::Acknowledged(rows[&sequence]), now));
                        }
                        Effect::Settle { .. } => settled += 1,
                        _ => {}
                    }
                }
                now += RETRY_MAX_MS;
                next.extend(outbox.step(Event::Tick, now));
                todo = next;
                proptest::prop_assert!(now < 10_000 * RETRY_MAX_MS);
            }
            proptest::prop_assert_eq!(outbox.depth(), 0);
        }
    }
}
