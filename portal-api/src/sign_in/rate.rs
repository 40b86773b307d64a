//! How often something may be tried: so many a minute from one address, so many from all together.

use std::{collections::HashMap, net::IpAddr};

const WINDOW_MS: u64 = 60_000;

/// Attempts of the present minute.
#[derive(Debug)]
pub(crate) struct Rate {
    since_ms: u64,
    all: u32,
    /// At most as many as `most`: what is refused is not counted.
    by: HashMap<IpAddr, u32>,
    most: u32,
    most_per_source: u32,
}

impl Rate {
    pub(crate) fn new(most: u32, most_per_source: u32) -> Self {
        Self { since_ms: 0, all: 0, by: HashMap::new(), most, most_per_source }
    }

    /// Counts one attempt, if there is room for it.
    pub(crate) fn attempt(&mut self, source: IpAddr, now_ms: u64) -> bool {
        let room = self.has_room(source, now_ms);
        if room {
            self.all += 1;
            *self.by.entry(source).or_default() += 1;
        }
        room
    }

    pub(crate) fn has_room(&mut self, source: IpAddr, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.since_ms) >= WINDOW_MS {
            (self.since_ms, self.all) = (now_ms, 0);
            self.by.clear();
        }
        self.all < self.most && self.by.get(&source).is_none_or(|own| *own < self.most_per_source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_a_share_and_a_minute_is_a_minute() {
        let mut rate = Rate::new(3, 2);
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let tried: Vec<_> = [one, one, one, two, two].map(|from| rate.attempt(from, 5)).into();
        assert_eq!(tried, [true, true, false, true, false]);
        assert!(!rate.attempt(two, WINDOW_MS - 1) && rate.attempt(one, WINDOW_MS));
    }
}
