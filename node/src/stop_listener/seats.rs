//! Seats: how many connections there are at once, in all and of one address.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of a listener.
pub(super) struct Seats {
    room: Arc<Semaphore>,
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    per_source: usize,
}

/// One place, given back on drop.
pub(super) struct Seat {
    _room: OwnedSemaphorePermit,
    source: IpAddr,
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Seats {
    pub(super) fn new(connections: usize, per_source: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(connections)), taken: Arc::default(), per_source }
    }

    /// Waits until there is a place.
    pub(super) async fn room(&self) -> io::Result<OwnedSemaphorePermit> {
        Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)
    }

    /// A seat for this address, unless it has as many as one address may.
    pub(super) fn take(&self, room: OwnedSemaphorePermit, source: IpAddr) -> Option<Seat> {
        let source = source.to_canonical();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(source).or_default();
        if *count >= self.per_source {
            return None;
        }
        *count += 1;
        Some(Seat { _room: room, source, taken: self.taken.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_takes_its_share_and_gives_it_back() {
        let seats = Seats::new(3, 2);
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = seats.take(seats.room().await.unwrap(), one).unwrap();
        let _second = seats.take(seats.room().await.unwrap(), one).unwrap();
        assert!(seats.take(seats.room().await.unwrap(), one).is_none());
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        assert!(seats.take(seats.room().await.unwrap(), mapped).is_none(), "the same address in its other spelling");
        let third = seats.take(seats.room().await.unwrap(), other).unwrap();
        assert_eq!(seats.room.available_permits(), 0);
        drop((first, third));
        assert_eq!(seats.taken.lock().unwrap().clone(), BTreeMap::from([(one, 1)]));
        assert!(seats.take(seats.room().await.unwrap(), one).is_some());
    }
}
