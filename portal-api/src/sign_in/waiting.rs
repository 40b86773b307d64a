//! Sign-ins that have begun: what the answer of the provider must fit, by the digest of its `state`. Each is taken once, well or not.

use std::{collections::HashMap, net::IpAddr};

use super::secret::Trace;

/// Most sign-ins that have begun; for one more, the oldest of its address gives way, else the oldest of all.
pub const WAITING_MAX: usize = 1_024;
/// Most of one IPv4 address or one IPv6 /64 network.
pub const WAITING_PER_SOURCE_MAX: usize = 32;
/// How long a person may take at the provider.
pub const WAITING_MS: u64 = 10 * 60 * 1_000;

/// One sign-in that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    /// The digest of the secret in the browser that began it.
    pub(crate) browser: Trace,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    /// Where the browser goes afterwards: a path of ours.
    pub(crate) to: String,
    pub(crate) source: IpAddr,
    pub(crate) since_ms: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Waiting(HashMap<Trace, Begun>);

impl Waiting {
    pub(crate) fn enter(&mut self, state: Trace, begun: Begun) {
        let now_ms = begun.since_ms;
        self.0.retain(|_, row| now_ms.saturating_sub(row.since_ms) <= WAITING_MS);
        let own = self.0.values().filter(|row| row.source == begun.source).count();
        if own >= WAITING_PER_SOURCE_MAX {
            self.give_way(|row| row.source == begun.source);
        } else if self.0.len() >= WAITING_MAX {
            self.give_way(|_| true);
        }
        self.0.insert(state, begun);
    }

    /// The sign-in of this state, which has none from now on.
    pub(crate) fn take(&mut self, state: &Trace, now_ms: u64) -> Option<Begun> {
        self.0.remove(state).filter(|row| now_ms.saturating_sub(row.since_ms) <= WAITING_MS)
    }

    fn give_way(&mut self, among: impl Fn(&Begun) -> bool) {
        let oldest = self.0.iter().filter(|(_, row)| among(row)).min_by_key(|(_, row)| row.since_ms);
        if let Some(state) = oldest.map(|(state, _)| *state) {
            self.0.remove(&state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(last: u8, since_ms: u64) -> Begun {
        let (nonce, verifier, to) = (String::new(), String::new(), "/".to_owned());
        Begun { browser: [0; 32], nonce, verifier, to, source: IpAddr::from([10, 0, 0, last]), since_ms }
    }

    fn state(number: usize) -> Trace {
        let mut state = [0; 32];
        state[..8].copy_from_slice(&number.to_be_bytes());
        state
    }

    #[test]
    fn each_is_taken_once_and_in_time() {
        let mut waiting = Waiting::default();
        waiting.enter(state(1), begun(1, 0));
        waiting.enter(state(2), begun(1, 0));
        assert!(waiting.take(&state(1), WAITING_MS).is_some());
        assert!(waiting.take(&state(1), 0).is_none(), "taken before");
        assert!(waiting.take(&state(2), WAITING_MS + 1).is_none(), "too late");
        assert!(waiting.take(&state(2), 0).is_none(), "and gone");
    }

    #[test]
    fn whoever_begins_many_pushes_out_their_own() {
        let mut waiting = Waiting::default();
        waiting.enter(state(0), begun(2, 0));
        for number in 1..=WAITING_PER_SOURCE_MAX + 1 {
            waiting.enter(state(number), begun(1, number as u64));
        }
        assert!(waiting.take(&state(1), 100).is_none(), "its own oldest");
        assert!(waiting.take(&state(2), 100).is_some() && waiting.take(&state(0), 100).is_some());
    }

    #[test]
    fn there_are_never_more_than_the_limit() {
        let mut waiting = Waiting::default();
        for number in 0..WAITING_MAX + 10 {
            let source = u8::try_from(number / WAITING_PER_SOURCE_MAX).unwrap();
            waiting.enter(state(number), begun(source, number as u64));
            assert!(waiting.0.len() <= WAITING_MAX);
        }
        assert!(waiting.take(&state(9), 2_000).is_none() && waiting.take(&state(10), 2_000).is_some());
    }
}
