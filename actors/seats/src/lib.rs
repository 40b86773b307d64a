//! Seats: how many strangers a listener hears at once, in all and of one network, and who gives way when all places are taken.
//!
//! Whoever connects last may be the one who matters: the bearer of a stop, a region whose link is back, an honest client beside a flood. So
//! nobody is turned away while somebody else is silent: the oldest of the silent gives up its place, first within the newcomer's own network
//! if that has its share, else within the network that holds the most. A connection that has said who it is, or brought what it came for,
//! leaves its seat or keeps it ([`Seat::keep`]); it never gives way.
//!
//! A listener that honest clients may storm together gives each some time that nobody takes from it ([`Seats::patient`]). Else the newest of
//! the storm would end the oldest, whose handshake is nearly done, and nobody would get in.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::Instant,
};

/// Bits of an IPv6 address that name its network: whoever has one address of it has them all (RFC 4291 §2.5.4).
const IPV6_NETWORK_BITS: u32 = 64;

/// The places of a listener.
#[derive(Debug)]
pub struct Seats {
    taken: Arc<Taken>,
    connections: usize,
    per_source: usize,
    /// How long a place is safe from newcomers.
    grace: Duration,
}

#[derive(Debug, Default)]
struct Taken {
    places: Mutex<Places>,
    /// A place may have become free, or its holder may give way.
    changed: Notify,
}

/// By age: the oldest has the smallest number.
#[derive(Debug, Default)]
struct Places {
    next: u64,
    held: BTreeMap<u64, Place>,
    /// How many each network holds.
    of: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Place {
    source: IpAddr,
    /// From here on somebody else may have it; none while it is kept.
    yields_at: Option<Instant>,
    called: Arc<Notify>,
}

/// One place, given back on drop.
#[derive(Debug)]
pub struct Seat {
    number: u64,
    taken: Arc<Taken>,
    called: Arc<Notify>,
}

impl Seats {
    /// `connections` places in all, `per_source` of one IPv4 address or one IPv6 /64 network.
    pub fn new(connections: usize, per_source: usize) -> Self {
        Self::patient(connections, per_source, Duration::ZERO)
    }

    /// As [`Self::new`], but nobody gives way within `grace` of their coming.
    pub fn patient(connections: usize, per_source: usize, grace: Duration) -> Self {
        Self { taken: Arc::default(), connections, per_source, grace }
    }

    /// Waits until a newcomer could have a place: one is free, or someone would give way. Cancel-safe.
    pub async fn room(&self) {
        loop {
            let changed = self.taken.changed.notified();
            let next = match self.taken.with(|places| places.next_room(self.connections)) {
                Some(at) if at <= Instant::now() => return,
                next => next,
            };
            let in_time = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = in_time => {}
            }
        }
    }

    /// The next connection, once there is room for it, and its seat: see [`Seats::take`]. Cancel-safe.
    pub async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr, Option<Seat>)> {
        self.room().await;
        let (stream, from) = listener.accept().await?;
        Ok((stream, from, self.take(from.ip())))
    }

    /// A seat for this address. None where nobody may give way to it: all of its network's places, or all places, are kept or new.
    pub fn take(&self, source: IpAddr) -> Option<Seat> {
        let (source, now) = (network(source), Instant::now());
        self.taken.with(|places| {
            if places.of(source) >= self.per_source {
                places.give_way(now, Some(source))?;
            } else if places.held.len() >= self.connections {
                places.give_way(now, None)?;
            }
            let (number, called) = (places.next, Arc::new(Notify::new()));
            places.next += 1;
            *places.of.entry(source).or_default() += 1;
            let place = Place { source, yields_at: Some(now + self.grace), called: called.clone() };
            places.held.insert(number, place);
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
        self.of.get(&source).copied().unwrap_or_default()
    }

    /// When a newcomer may have a place; none if that needs somebody to leave.
    fn next_room(&self, connections: usize) -> Option<Instant> {
        if self.held.len() < connections {
            return Some(Instant::now());
        }
        self.held.values().filter_map(|place| place.yields_at).min()
    }

    /// Takes the place of the oldest that may lose it: of this network, else of the one that holds the most.
    fn give_way(&mut self, now: Instant, among: Option<IpAddr>) -> Option<()> {
        let mut yielding = self.held.iter().filter(|(_, place)| place.yields_at.is_some_and(|at| at <= now));
        let (&number, _) = match among {
            Some(source) => yielding.find(|(_, place)| place.source == source),
            None => yielding.max_by_key(|(number, place)| (self.of(place.source), Reverse(**number))),
        }?;
        self.leave(number).map(|place| place.called.notify_one())
    }

    fn leave(&mut self, number: u64) -> Option<Place> {
        let place = self.held.remove(&number)?;
        if let Some(count) = self.of.get_mut(&place.source) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&place.source);
            }
        }
        Some(place)
    }
}

impl Seat {
    /// Ends when the place was given to another.
    pub async fn called(&self) {
        self.called.notified().await;
    }

    /// Does this as long as the place is not another's; none if it became that.
    pub async fn hold<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.called() => None,
            done = work => Some(done),
        }
    }

    /// From here on nobody takes the place. False if somebody has.
    pub fn keep(&self) -> bool {
        self.taken.with(|places| places.held.get_mut(&self.number).map(|place| place.yields_at = None)).is_some()
    }

    /// The place may be given to another again.
    pub fn yields(&self) {
        let now = Instant::now();
        self.taken.with(|places| _ = places.held.get_mut(&self.number).map(|place| place.yields_at = Some(now)));
        self.taken.changed.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.with(|places| _ = places.leave(self.number));
        self.taken.changed.notify_one();
    }
}

/// What counts as one sender: an IPv4 address, in whatever spelling, or an IPv6 network.
pub fn network(address: IpAddr) -> IpAddr {
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

    #[tokio::test]
    async fn within_the_grace_nobody_gives_way() {
        let (grace, began) = (Duration::from_secs(1), Instant::now());
        let seats = Seats::patient(2, 1, grace);
        let first = seats.take(address("192.0.2.1")).unwrap();
        let second = seats.take(address("192.0.2.2")).unwrap();
        assert!(seats.take(address("192.0.2.1")).is_none() && seats.take(address("192.0.2.3")).is_none());
        assert_eq!([&first, &second].map(was_called), [false, false]);
        seats.room().await;
        assert!(began.elapsed() >= grace, "the wait is for the oldest's grace");
        let _newcomer = seats.take(address("192.0.2.3")).unwrap();
        assert_eq!([&first, &second].map(was_called), [true, false]);
        drop((first, second));
        assert_eq!(seats.taken.with(|places| places.of.len()), 1, "a network without places is forgotten");
    }
}
