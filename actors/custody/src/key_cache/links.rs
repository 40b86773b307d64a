//! Each tenant's link as it was put last, and the serials that tell links from one another. A revived cache starts with them.

use std::collections::BTreeMap;

use orbital::names::{System, TenantId};

use crate::unseal::Link;

/// A tenant's link, and where it leads.
struct Linked {
    provider: System,
    link: Link,
    /// It is about to be replaced, if only by its like.
    muted: bool,
}

/// All tenants' links.
#[derive(Default)]
pub(super) struct Links {
    tenants: BTreeMap<TenantId, Linked>,
    last_serial: u64,
}

impl Links {
    /// The tenant's link from now on. Answers it with its serial, which a repeated one keeps unless it was muted.
    pub(super) fn put(&mut self, tenant: TenantId, provider: System, mut link: Link) -> Link {
        let same = |before: &&Linked| !before.muted && before.provider == provider && before.link.key == link.key;
        link.serial = match self.tenants.get(&tenant).filter(same) {
            Some(before) => before.link.serial,
            None => {
                self.last_serial += 1;
                self.last_serial
            }
        };
        self.tenants.insert(tenant, Linked { provider, link: link.clone(), muted: false });
        link
    }

    pub(super) fn mute(&mut self, tenant: &TenantId) {
        if let Some(linked) = self.tenants.get_mut(tenant) {
            linked.muted = true;
        }
    }

    pub(super) fn grace(&mut self, tenant: &TenantId, l1_grace_ms: Option<u64>) {
        if let Some(linked) = self.tenants.get_mut(tenant) {
            linked.link.l1_grace_ms = l1_grace_ms;
        }
    }

    pub(super) fn all(&self) -> Vec<(TenantId, Link)> {
        self.tenants.iter().map(|(tenant, linked)| (*tenant, linked.link.clone())).collect()
    }
}
