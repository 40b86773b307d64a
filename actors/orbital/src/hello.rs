//! Hello: what a region holds, said in groups of tenants, so that it fits its frames however many tenants there are.
//!
//! A group names the span of ids that it speaks of, and every tenant of that span that the region holds: it is true by itself. Nothing is
//! put together from several groups, so one that is lost, doubled, or cut off from the rest by a restart leaves the others as true as
//! they were. A tenant is unknown to a region only where a group covers its id and does not name it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, BadBody},
    names::{NodeName, TenantId},
    report::{Load, Observed},
};

/// Most tenants of one group: so much work, and so many renewals, one frame asks of governance at most.
pub const HELLO_TENANTS_MAX: usize = 512;
/// Largest sum of what a group says of its tenants, in bytes: a frame of the ordinary lane that nothing behind it waits long for. A
/// tenant with as many kills and restores as a region remembers takes less than half of it.
pub const HELLO_BYTES_MAX: usize = 256 * 1024;

/// A range of tenant ids: after the one, up to and with the other; none is the respective end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub after: Option<TenantId>,
    pub until: Option<TenantId>,
}

impl Span {
    pub fn covers(&self, tenant: &TenantId) -> bool {
        self.after.is_none_or(|after| *tenant > after) && self.until.is_none_or(|until| *tenant <= until)
    }

    /// The entries of a map whose ids are covered.
    pub fn of<'m, V>(
        &self,
        map: &'m BTreeMap<TenantId, V>,
    ) -> impl Iterator<Item = (&'m TenantId, &'m V)> + use<'m, V> {
        let (from, until) = (self.after.map_or(Bound::Unbounded, Bound::Excluded), self.until);
        map.range((from, Bound::Unbounded)).take_while(move |(id, _)| until.is_none_or(|until| **id <= until))
    }
}

/// One group of a region's tenants, and how the node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub node: NodeName,
    pub members: BTreeSet<NodeName>,
    pub load: Load,
    /// CLOCK_BOOTTIME of the node when this was said, milliseconds: within one run of it, what was said earlier is old news.
    pub said_ms: u64,
    pub span: Span,
    pub tenants: BTreeMap<TenantId, Observed>,
    /// Held as well, but nothing can be said of them now.
    pub unsaid: BTreeSet<TenantId>,
}

impl Hello {
    /// A group that speaks of no tenant yet, and of all ids after this one.
    pub fn after(after: Option<TenantId>, node: NodeName, load: Load, said_ms: u64) -> Self {
        let (members, span) = (BTreeSet::from([node.clone()]), Span { after, until: None });
        Self { node, members, load, said_ms, span, tenants: BTreeMap::new(), unsaid: BTreeSet::new() }
    }

    /// Takes what is `held` of the span, in ascending order, as far as it fits; the span ends with the last that did. None says that the
    /// tenant is held and nothing can be said of it; so it is with one that is too large for any group.
    #[must_use]
    pub fn fill(mut self, held: impl Iterator<Item = (TenantId, Option<Observed>)>) -> Self {
        let (mut bytes, mut last) = (0_usize, None);
        for (tenant, observed) in held {
            let said = observed.and_then(|o| Some((codec::encode(&(tenant, &o)).ok()?.len(), o)));
            let (more, observed) = said.filter(|(more, _)| *more <= HELLO_BYTES_MAX).unzip();
            // Not said, it is an id of 43 characters with its length.
            bytes += more.unwrap_or(64);
            let full = self.len() >= HELLO_TENANTS_MAX || bytes > HELLO_BYTES_MAX;
            if full && last.is_some() {
                self.span.until = last;
                return self;
            }
            match observed {
                Some(observed) => _ = self.tenants.insert(tenant, observed),
                None => _ = self.unsaid.insert(tenant),
            }
            last = Some(tenant);
        }
        self
    }

    /// Tenants that it names.
    fn len(&self) -> usize {
        self.tenants.len() + self.unsaid.len()
    }

    /// What every group keeps to: a limit, and tenants of its span alone.
    pub(crate) fn checked(self) -> Result<Self, BadBody> {
        let outside = self.tenants.keys().chain(&self.unsaid).find(|tenant| !self.span.covers(tenant));
        if let Some(tenant) = outside {
            return Err(BadBody::Unreadable(format!("tenant {tenant} is outside of the span of its Hello")));
        }
        if self.len() > HELLO_TENANTS_MAX {
            let found = self.len();
            return Err(BadBody::Unreadable(format!(
                "a Hello names at most {HELLO_TENANTS_MAX} tenants, found {found}"
            )));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
