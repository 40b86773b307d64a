//! Seats: how many connections there are at once, in all and of one network, and who gives way when all places are taken.
//!
//! A stop must always find a place, and whoever connects last may be the one who brings it. So nobody is turned away while another's
//! request is not whole yet: the oldest of those gives up its place, first within the newcomer's own network if that has its share, else
//! within the network that holds the most. A connection whose stop is being judged never gives way.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

/// Bits of an IPv6 address that name its network: whoever has one address of it has them all (RFC 4291 §2.5.4).
const IPV6_NETWORK_BITS: u32 = 64;

/// The places of a listener.
pub(super) struct Seats {
    taken: Arc<Taken>,
    connections: usize,
    per_source: usize,
}

#[derive(Default)]
struct Taken {
    places: Mutex<Places>,
    /// A place may have become free, or its holder may give way.
    changed: Notify,
}

/// By age: the oldest has the smallest number.
#[derive(Default)]
struct Places {
    next: u64,
    held: BTreeMap<u64, Place>,
}

struct Place {
    source: IpAddr,
    /// Its request is whole and has no answer yet.
    judged: bool,
    called: Arc<Notify>,
}

/// One place, given back on drop.
pub(super) struct Seat {
    number: u64,
    taken: Arc<Taken>,
    called: Arc<Notify>,
}

impl Seats {
    pub(super) fn new(connections: usize, per_source: usize) -> Self {
        Self { taken: Arc::default(), connections, per_source }
    }

    /// Waits until a newcomer could have a place: one is free, or someone would give way.
    pub(super) async fn room(&self) {
        loop {
            let changed = self.taken.changed.notified();
            if self.taken.with(|places| places.held.len() < self.connections || places.held.values().any(|p| !p.judged))
            {
                return;
            }
            changed.await;
        }
    }

    /// A seat for this address. None if every stop of its network, or every stop here, is being judged.
    pub(super) fn take(&self, source: IpAddr) -> Option<Seat> {
        let source = network(source);
        self.taken.with(|places| {
            if places.of(source) >= self.per_source {
                places.give_way(|place| place.source == source)?;
            } else if places.held.len() >= self.connections {
                places.give_way(|_| true)?;
            }
            let (number, called) = (places.next, Arc::new(Notify::new()));
            places.next += 1;
            places.held.insert(number, Place { source, judged: false, called: called.clone() });
            Some(Seat { number, taken: self.taken.clone(), called })
        })
    }
}

impl Taken {
    fn with<T>(&self, job: impl FnOnce(&mut Places) -> T) -> T {
        job(&mut self.places.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Places {
    fn of(&self, source: IpAddr) -> usize {
        self.held.values().filter(|place| place.source == source).count()
    }

    /// Takes the place of one `among` those that may lose it: the oldest of the network that holds the most.
    fn give_way(&mut self, among: impl Fn(&Place) -> bool) -> Option<()> {
        let yielding = self.held.iter().filter(|(_, place)| !place.judged && among(place));
        let (&number, _) = yielding.max_by_key(|(number, place)| (self.of(place.source), Reverse(**number)))?;
        let place = self.held.remove(&number)?;
        place.called.notify_one();
        Some(())
    }
}

impl Seat {
    /// Ends when the place was given to another.
    pub(super) async fn called(&self) {
        self.called.notified().await;
    }

    /// The request is whole: from here on nobody takes the place. False if somebody has.
    pub(super) fn keep(&self) -> bool {
        self.taken.with(|places| places.held.get_mut(&self.number).map(|place| place.judged = true)).is_some()
    }

    /// The answer is there: the place may be given to another again.
    pub(super) fn yields(&self) {
        self.taken.with(|places| _ = places.held.get_mut(&self.number).map(|place| place.judged = false));
        self.taken.changed.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.with(|places| _ = places.held.remove(&self.number));
        self.taken.changed.notify_one();
    }
}

/// What counts as one sender: an IPv4 address, in whatever spelling, or an IPv6 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> IPV6_NETWORK_BITS)).into(),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn was_called(seat: &Seat) -> bool {
        seat.called().now_or_never().is_some()
    }

    #[test]
    fn an_ipv6_network_is_one_sender_and_so_is_an_ipv4_address_in_both_spellings() {
        assert_eq!(network(address("2001:db8:1:2::1")), network(address("2001:db8:1:2:ffff:ffff:ffff:ffff")));
        assert_ne!(network(address("2001:db8:1:2::1")), network(address("2001:db8:1:3::1")));
        assert_eq!(network(address("::ffff:127.0.0.1")), network(address("127.0.0.1")));
        assert_ne!(network(address("127.0.0.2")), network(address("127.0.0.1")));
    }

    #[test]
    fn within_a_network_the_oldest_gives_way() {
        let seats = Seats::new(8, 2);
        let other = seats.take(address("192.0.2.1")).unwrap();
        let first = seats.take(address("2001:db8::1")).unwrap();
        let second = seats.take(address("2001:db8::2")).unwrap();
        let third = seats.take(address("2001:db8::3")).unwrap();
        assert_eq!([&other, &first, &second, &third].map(was_called), [false, true, false, false]);
        assert!(!first.keep(), "its place is another's");
        drop(first);
        assert_eq!(seats.taken.with(|places| places.held.len()), 3, "and is not given back twice");
    }

    #[test]
    fn the_network_with_the_most_places_gives_way() {
        let seats = Seats::new(4, 3);
        let honest = seats.take(address("192.0.2.1")).unwrap();
        let flood: Vec<_> = (0..3).map(|_| seats.take(address("192.0.2.2")).unwrap()).collect();
        let newcomer = seats.take(address("192.0.2.3")).unwrap();
        assert!(was_called(&flood[0]));
        assert!(![&honest, &flood[1], &flood[2], &newcomer].into_iter().any(was_called));
    }

    #[tokio::test]
    async fn what_is_judged_keeps_its_place() {
        let seats = Seats::new(2, 1);
        let (one, other) = (seats.take(address("192.0.2.1")).unwrap(), seats.take(address("192.0.2.2")).unwrap());
        assert!(one.keep());
        assert!(seats.take(address("192.0.2.1")).is_none(), "its network has its share");
        assert!(seats.room().now_or_never().is_some(), "the other would give way");
        assert!(other.keep());
        assert!(seats.room().now_or_never().is_none() && seats.take(address("192.0.2.3")).is_none());
        one.yields();
        assert!(seats.room().now_or_never().is_some());
        let newcomer = seats.take(address("192.0.2.3")).unwrap();
        assert!(was_called(&one) && !was_called(&other));
        newcomer.keep();
        let waits = seats.room();
        tokio::pin!(waits);
        assert!(waits.as_mut().now_or_never().is_none());
        drop(other);
        waits.await;
    }
}
