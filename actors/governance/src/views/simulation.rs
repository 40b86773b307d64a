//! What a stop would reach, and whom, as the desk shows it. Nothing here decides.

use std::collections::BTreeSet;

use orbital::names::{Group, Region, System, TenantId, TenantName};
use serde::Serialize;

/// What revoking a tenant now would and would not reach.
#[derive(Clone, Debug, Serialize)]
pub struct Simulation {
    pub tenant: TenantId,
    pub name: TenantName,
    /// Who has to sign.
    pub rule: Vec<(Group, u64)>,
    pub regions: Vec<SimulatedRegion>,
    /// Every system of the trust root: whom the kill would lock out.
    pub systems: Vec<SimulatedSystem>,
    /// *Our nodes locked*: milliseconds until no region serves; none says that one of them never would by itself.
    pub nodes_locked_ms: Option<u64>,
    /// *Clients locked out*: seconds until a running mongod that holds a fetched key stops, after our nodes locked (its default poll).
    pub clients_locked_out_s: u64,
    /// What would go on, in words.
    pub goes_on: Vec<String>,
}

/// One region in a simulation.
#[derive(Clone, Debug, Serialize)]
pub struct SimulatedRegion {
    pub region: Region,
    /// The critical lane is up: the kill arrives at once.
    pub connected: bool,
    pub hello_ms: Option<u64>,
    pub keys: Option<u64>,
    /// Seconds left of its lease now; none says unlimited or not known, `lease` says which.
    pub lease_left_s: Option<u64>,
    pub lease: SimulatedLease,
    /// Milliseconds until it is locked; none says never by itself.
    pub locked_ms: Option<u64>,
}

/// One system in a simulation: what its clients ask of all regions together, as those last said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SimulatedSystem {
    pub system: System,
    /// Caller rules that name it: client CAs and certificates.
    pub callers: u64,
    /// Connections open; none where no region has said anything.
    pub connections: Option<u64>,
    /// Requests a minute.
    pub per_minute: Option<u64>,
    /// When its last request was answered anywhere, in Unix milliseconds; none: not since the regions' nodes started, as far as is known.
    pub last_ms: Option<u64>,
    /// Where its clients came, since the nodes there started.
    pub regions: BTreeSet<Region>,
}

/// What is known of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SimulatedLease {
    Limited,
    Unlimited,
    /// The region has not said, so the trust root's term is taken.
    Assumed,
}
