//! Use: how much each system asks of this node now, and when it last did. Whoever thinks about a stop is shown it.
//!
//! A connection counts for itself, in two words that nobody else writes, so that no request waits for the sum. Whoever asks adds them up. It
//! begins with the process: a system that has not come since is not named.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use custody::steward::{USED_SYSTEMS_MAX, Use};
use orbital::names::{System, TenantId};
use parking_lot::Mutex;

use crate::caller::Caller;

/// Milliseconds over which a rate is taken, at least.
const RATE_OVER_MS: u64 = 60_000;

/// What the clients of every tenant's systems ask of this node.
#[derive(Debug)]
pub(crate) struct Usage {
    began: Instant,
    /// The same moment, Unix milliseconds: nothing that was told moves when somebody sets the clock.
    began_ms: u64,
    tenants: Mutex<HashMap<TenantId, HashMap<System, Asked>>>,
}

/// One system.
#[derive(Debug)]
struct Asked {
    open: HashMap<u64, Arc<Tally>>,
    next: u64,
    /// Of connections that have ended.
    gone: Sum,
    /// The sum a while ago, and one that takes its place when it is old enough.
    marks: [Mark; 2],
}

/// Requests until a moment, in milliseconds since the beginning.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    requests: u64,
    at_ms: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    requests: u64,
    /// Milliseconds since the beginning; none where nothing was asked yet.
    last_ms: Option<u64>,
}

/// One connection's own count; nobody else writes it.
#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    /// Milliseconds since the beginning, and one; 0 says never.
    last: AtomicU64,
}

impl Tally {
    fn sum(&self) -> Sum {
        let last_ms = self.last.load(Ordering::Relaxed).checked_sub(1);
        Sum { requests: self.requests.load(Ordering::Relaxed), last_ms }
    }
}

impl Sum {
    fn with(self, other: Self) -> Self {
        Self { requests: self.requests.saturating_add(other.requests), last_ms: self.last_ms.max(other.last_ms) }
    }
}

impl Asked {
    fn new(at_ms: u64) -> Self {
        let mark = Mark { requests: 0, at_ms };
        Self { open: HashMap::new(), next: 0, gone: Sum::default(), marks: [mark; 2] }
    }

    fn sum(&self) -> Sum {
        self.open.values().map(|tally| tally.sum()).fold(self.gone, Sum::with)
    }

    /// Requests a minute: over the last minute or two, or all of them where less than one has passed.
    fn per_minute(&mut self, requests: u64, now_ms: u64) -> u64 {
        let [before, latest] = self.marks;
        if now_ms.saturating_sub(latest.at_ms) >= RATE_OVER_MS {
            self.marks = [latest, Mark { requests, at_ms: now_ms }];
        }
        let from = if now_ms.saturating_sub(latest.at_ms) >= RATE_OVER_MS { latest } else { before };
        let (asked, over) = (requests.saturating_sub(from.requests), now_ms.saturating_sub(from.at_ms));
        if over < RATE_OVER_MS { asked } else { asked.saturating_mul(RATE_OVER_MS).div_ceil(over) }
    }
}

impl Usage {
    pub(crate) fn new(began: Instant, began_ms: u64) -> Self {
        Self { began, began_ms, tenants: Mutex::default() }
    }

    fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// A connection of this caller, until the answer is dropped.
    pub(crate) fn open(self: &Arc<Self>, caller: &Caller) -> Using {
        let (tenant, system, tally) = (*caller.tenant(), caller.system().clone(), Arc::<Tally>::default());
        let mut tenants = self.tenants.lock();
        let systems = tenants.entry(tenant).or_default();
        let now_ms = self.since(Instant::now());
        let asked = systems.entry(system.clone()).or_insert_with(|| Asked::new(now_ms));
        let id = asked.next;
        asked.next = id.wrapping_add(1);
        asked.open.insert(id, tally.clone());
        drop(tenants);
        Using { usage: self.clone(), tenant, system, id, tally }
    }

    /// What a tenant's systems ask, those that came last where there are more than are told.
    pub(crate) fn of(&self, tenant: &TenantId, now: Instant) -> BTreeMap<System, Use> {
        let now_ms = self.since(now);
        let mut tenants = self.tenants.lock();
        let Some(systems) = tenants.get_mut(tenant) else { return BTreeMap::new() };
        if systems.len() > USED_SYSTEMS_MAX {
            forget(systems);
        }
        let told = systems.iter_mut().map(|(system, asked)| {
            let Sum { requests, last_ms } = asked.sum();
            let used = Use {
                connections: u64::try_from(asked.open.len()).unwrap_or(u64::MAX),
                per_minute: asked.per_minute(requests, now_ms),
                last_ms: last_ms.map(|last| self.began_ms.saturating_add(last)),
            };
            (system.clone(), used)
        });
        told.collect()
    }
}

/// Keeps those that came last.
fn forget(systems: &mut HashMap<System, Asked>) {
    let mut last: Vec<_> = systems.values().map(|asked| (!asked.open.is_empty(), asked.sum().last_ms)).collect();
    last.sort_unstable_by(|a, b| b.cmp(a));
    let Some(least) = last.get(USED_SYSTEMS_MAX - 1).copied() else { return };
    let mut room = USED_SYSTEMS_MAX;
    systems.retain(|_, asked| {
        let kept = room > 0 && (!asked.open.is_empty(), asked.sum().last_ms) >= least;
        room -= usize::from(kept);
        kept
    });
}

/// A connection that counts.
#[derive(Debug)]
pub(crate) struct Using {
    usage: Arc<Usage>,
    tenant: TenantId,
    system: System,
    id: u64,
    tally: Arc<Tally>,
}

impl Using {
    /// So many requests were answered, the last one at `done`.
    pub(crate) fn answered(&self, requests: usize, done: Instant) {
        // No other thread writes: a load and a store suffice.
        let requests = u64::try_from(requests).unwrap_or(u64::MAX);
        let before = self.tally.requests.load(Ordering::Relaxed);
        self.tally.requests.store(before.saturating_add(requests), Ordering::Relaxed);
        self.tally.last.store(self.usage.since(done).saturating_add(1), Ordering::Relaxed);
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        let mut tenants = self.usage.tenants.lock();
        if let Some(asked) = tenants.get_mut(&self.tenant).and_then(|systems| systems.get_mut(&self.system))
            && let Some(tally) = asked.open.remove(&self.id)
        {
            asked.gone = asked.gone.with(tally.sum());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::caller::tests::{caller_of, tenant};

    fn usage() -> (Arc<Usage>, Instant) {
        let began = Instant::now();
        (Arc::new(Usage::new(began, 1_000_000)), began)
    }

    fn orders() -> System {
        System::new("orders").unwrap()
    }

    #[test]
    fn each_connection_counts_and_goes_on_counting_when_it_has_ended() {
        let (usage, began) = usage();
        let caller = caller_of(tenant(1), "orders");
        let (one, two) = (usage.open(&caller), usage.open(&caller));
        let at = |seconds| began + Duration::from_secs(seconds);
        one.answered(3, at(10));
        two.answered(2, at(20));
        let told = |seconds: u64| usage.of(&tenant(1), at(seconds))[&orders()];
        assert_eq!(told(30), Use { connections: 2, per_minute: 5, last_ms: Some(1_020_000) });
        drop(two);
        one.answered(1, at(31));
        assert_eq!(told(32), Use { connections: 1, per_minute: 6, last_ms: Some(1_031_000) });
        assert!(usage.of(&tenant(2), at(32)).is_empty(), "another tenant's");
    }

    #[test]
    fn a_rate_is_of_the_last_minutes_and_the_last_use_stays() {
        let (usage, began) = usage();
        let using = usage.open(&caller_of(tenant(1), "orders"));
        let at = |seconds| began + Duration::from_secs(seconds);
        let told = |seconds: u64| usage.of(&tenant(1), at(seconds))[&orders()];
        using.answered(600, at(1));
        assert_eq!(told(60).per_minute, 600);
        assert_eq!(told(90).per_minute, 400, "600 in 90 seconds");
        assert_eq!(told(120).per_minute, 0, "nothing since the first minute");
        using.answered(30, at(150));
        assert_eq!(told(180), Use { connections: 1, per_minute: 30, last_ms: Some(1_150_000) });
        drop(using);
        assert_eq!(told(3_600), Use { connections: 0, per_minute: 0, last_ms: Some(1_150_000) });
        assert_eq!(told(7_200), Use { connections: 0, per_minute: 0, last_ms: Some(1_150_000) });
    }

    #[test]
    fn of_too_many_systems_those_that_came_last_are_told() {
        let (usage, began) = usage();
        for number in 0..=USED_SYSTEMS_MAX {
            let using = usage.open(&caller_of(tenant(1), &format!("s-{number}")));
            using.answered(1, began + Duration::from_millis(number as u64));
        }
        let told = usage.of(&tenant(1), began + Duration::from_secs(9));
        assert_eq!(told.len(), USED_SYSTEMS_MAX);
        assert!(!told.contains_key(&System::new("s-0").unwrap()));
    }
}
