//! Routing: which of a tenant's events are told to whom, and over which channel. The tenant's people decide it ([`crate::change::Action`]);
//! the channels themselves, with their secrets, are the operators'.
//!
//! It is governance's alone: no region reads it, no version of the trust root holds it, and nothing that is told this way decides anything.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::names::{Channel, Group, Mailbox, Person};

/// Most routes of one tenant.
pub const ROUTES_MAX: usize = 64;
/// Most addresses, groups or people of one route.
pub const ROUTE_NAMES_MAX: usize = 32;

macro_rules! occasions {
    ($($(#[$doc:meta])* $name:ident = $word:literal $weight:literal;)*) => {
        /// What people are told of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Occasion { $($(#[$doc])* #[serde(rename = $word)] $name,)* }

        impl Occasion {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word in a routing.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
            /// Somebody should look soon: the keys of a tenant may not be as people take them to be.
            pub const fn is_grave(self) -> bool {
                match self { $(Self::$name => $weight,)* }
            }
        }
    };
}

occasions! {
    /// A proposal waits for signers.
    ApprovalWaiting = "approval-waiting" false;
    /// Its quorum is met.
    Approved = "approved" false;
    /// A revocation has its quorum and waits to be fired: one person can stop the tenant from now on.
    RevocationArmed = "revocation-armed" true;
    /// It ended without coming into force: rejected, withdrawn, expired or failed.
    Rejected = "rejected" false;
    /// Its time is nearly over, and signers are missing.
    Expiring = "expiring" false;
    /// A stop (revoke, suspend, block, terminate) is in force and on its way to the regions.
    StopRunning = "stop-running" true;
    /// Every region that it names has confirmed a stop.
    StopConfirmed = "stop-confirmed" true;
    /// A ratified change waits for regions that stay silent.
    RegionUnconfirmed = "region-unconfirmed" true;
    /// The link to the customer's KMS is in force in every region that it names.
    L1Active = "l1-active" false;
    /// A region finds the customer's KMS in another state than before.
    L1Health = "l1-health" true;
    /// Two certified successors of one trust version were met: the tenant is frozen but for stops.
    TrustForked = "trust-forked" true;
    /// Cold keys sign a recovery, which comes into force after its delay; or it has.
    Recovery = "recovery" true;
    /// A region that is cut off soon ends serving the tenant.
    LeaseEnding = "lease-ending" true;
    /// A region has taken the tenant's genesis, and with it all have.
    TenantProvisioned = "tenant-provisioned" false;
    /// A region refused the tenant's genesis.
    ProvisioningFailed = "provisioning-failed" true;
    /// The genesis is owed to a region again.
    ProvisioningRetried = "provisioning-retried" false;
}

impl std::fmt::Display for Occasion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for Occasion {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.iter().map(|o| o.word()).collect::<Vec<_>>().join(", ");
        let found = Self::ALL.iter().copied().find(|o| o.word() == text);
        found.ok_or_else(|| format!("`{text}` is no event that is told; known are {}", known()))
    }
}

/// One route: these events go over this channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub events: BTreeSet<Occasion>,
    /// Of what waits for signers, only what waits for one of these groups or people; where both are empty, everything. Other events wait
    /// for nobody and are not narrowed.
    #[serde(default)]
    pub groups: BTreeSet<Group>,
    #[serde(default)]
    pub people: BTreeSet<Person>,
    pub channel: Channel,
    /// Over a channel for e-mail: to whom.
    #[serde(default)]
    pub to: BTreeSet<Mailbox>,
}

/// A tenant's routes. What none of them takes goes to the site's default channel, so that nothing of weight is told to nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    pub routes: Vec<Route>,
}

impl Routing {
    /// # Errors
    /// A sentence about the first route that is none.
    pub fn check(&self) -> Result<(), String> {
        if self.routes.len() > ROUTES_MAX {
            return Err(format!("a tenant has at most {ROUTES_MAX} routes, found {}", self.routes.len()));
        }
        for (at, route) in self.routes.iter().enumerate() {
            let at = at.saturating_add(1);
            if route.events.is_empty() {
                return Err(format!(
                    "route {at} (over {}) names no event: name one, or leave the route out",
                    route.channel
                ));
            }
            if [route.groups.len(), route.people.len(), route.to.len()].iter().any(|n| *n > ROUTE_NAMES_MAX) {
                return Err(format!("route {at} (over {}) names more than {ROUTE_NAMES_MAX} of a kind", route.channel));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for occasion in Occasion::ALL {
            assert_eq!(occasion.word().parse::<Occasion>(), Ok(*occasion));
            assert_eq!(serde_json::to_value(occasion).unwrap(), occasion.word());
        }
        assert!("approval".parse::<Occasion>().unwrap_err().contains("approval-waiting"));
    }

    #[test]
    fn a_routing_has_limits() {
        let route = |events: &[Occasion]| Route {
            events: events.iter().copied().collect(),
            groups: [].into(),
            people: [].into(),
            channel: Channel::new("c").unwrap(),
            to: [].into(),
        };
        assert!(Routing { routes: vec![route(&[])] }.check().unwrap_err().contains("route 1"));
        assert!(Routing { routes: vec![route(Occasion::ALL); ROUTES_MAX] }.check().is_ok());
        assert!(Routing { routes: vec![route(Occasion::ALL); ROUTES_MAX + 1] }.check().is_err());
        let mut wide = route(Occasion::ALL);
        wide.to = (0..=ROUTE_NAMES_MAX).map(|n| Mailbox::new(&format!("a{n}@x")).unwrap()).collect();
        assert!(Routing { routes: vec![wide] }.check().is_err());
    }
}
