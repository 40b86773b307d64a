//! Locks that keep two creations of one name apart.
//!
//! A lock is held across a durable commit, so whoever waits for it waits for the disk. Names are unique in a tenant's system, and each
//! system has a lock of its own: nobody waits for another tenant, nor for another system of the same tenant. There are as many as systems
//! that trust roots name; none is made for a name.

use std::{collections::HashMap, sync::Arc};

use orbital::names::{System, TenantId};
use parking_lot::Mutex as Short;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The locks of one tenant.
type Systems = HashMap<System, Arc<Mutex<()>>>;

/// See the module.
#[derive(Default)]
pub(crate) struct Naming(Short<HashMap<TenantId, Systems>>);

impl Naming {
    /// Waits for the creations of this system that came first.
    pub(crate) async fn lock(&self, tenant: &TenantId, system: &System) -> OwnedMutexGuard<()> {
        let lock = self.of(tenant, system);
        lock.lock_owned().await
    }

    fn of(&self, tenant: &TenantId, system: &System) -> Arc<Mutex<()>> {
        let mut tenants = self.0.lock();
        let systems = tenants.entry(*tenant).or_default();
        if let Some(lock) = systems.get(system) {
            return lock.clone();
        }
        systems.entry(system.clone()).or_default().clone()
    }
}

/// The guard of a batch that is done or undone as a whole: taken by its first item that takes a name, held until the batch is durable.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Option<OwnedMutexGuard<()>>>);

impl Kept {
    /// Takes the guard, unless an item before has.
    pub(crate) async fn keep(&self, lock: impl Future<Output = OwnedMutexGuard<()>>) {
        let mut kept = self.0.lock().await;
        if kept.is_none() {
            *kept = Some(lock.await);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// The guard, if it is to be had at once.
    fn at_once(naming: &Naming, tenant: u32, system: &str) -> Option<OwnedMutexGuard<()>> {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&tenant.to_be_bytes());
        let (tenant, system) = (TenantId(orbital::names::Digest(bytes)), System::new(system).unwrap());
        let waiting = std::pin::pin!(naming.lock(&tenant, &system));
        match waiting.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(guard) => Some(guard),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_system_waits_for_itself_alone() {
        let naming = Naming::default();
        let held: Vec<_> = (0..500)
            .flat_map(|tenant| ["orders", "billing"].map(|system| (tenant, system)))
            .map(|(tenant, system)| at_once(&naming, tenant, system).expect("nobody else holds it"))
            .collect();
        assert!(at_once(&naming, 7, "orders").is_none(), "two creations of one system");
        drop(held);
        assert!(at_once(&naming, 7, "orders").is_some());
        assert_eq!(naming.0.lock().values().map(HashMap::len).sum::<usize>(), 1_000, "one for each system");
    }
}
