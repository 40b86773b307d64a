//! What joins a region's parts: callers to the listener, observations to the steward, frames to the receivers, all of it to health.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use custody::{
    keeper::Keeper,
    key_cache,
    key_table::Stop,
    receiver::{self, Loads},
    standing::Standing,
    steward::{self, Steward},
    vault::Slab,
};
use kmip_server::{Server, caller, policies::Policies};
use orbital::{
    lane::Lane as Which,
    names::{Digest, NodeName, System, TenantId},
    report::{L1State, Load, Use},
    trust::{Anchor, TrustRoot},
};
use policy::{Bundle, DecisionCache, Evaluator};
use ractor::ActorRef;

use crate::{
    cluster::{Lane, LaneSink, PortWire},
    fault::RunError,
    health::{Health, Readiness, Reason, Status},
};

/// Shows each tenant's callers and policies to the KMIP server.
pub(crate) struct Callers {
    server: Arc<Server>,
    policies: Arc<Policies>,
    evaluator: Arc<Evaluator>,
    default: Digest,
}

impl Callers {
    pub(crate) fn new(server: Arc<Server>, policies: Arc<Policies>) -> Result<Self, RunError> {
        let bundle = Bundle::default_bundle()?;
        let default = bundle.digest();
        Ok(Self { server, policies, evaluator: Arc::new(Evaluator::new(bundle)), default })
    }

    /// The default bundle, the one that is in force already, or the one that a change of the tenant's trust chain brought.
    fn evaluator(&self, standing: &Standing) -> Result<Arc<Evaluator>, String> {
        let named = standing.trust().policy;
        if named == self.default {
            return Ok(self.evaluator.clone());
        }
        let known = self.policies.of(&standing.tenant()).map(|cache| cache.evaluator());
        if let Some(known) = known.filter(|known| known.bundle().digest() == named) {
            return Ok(known);
        }
        let bytes = standing.bundle().ok_or(
            "no change of the tenant's trust chain brought the bundle; the default one of another version may be meant: run that version",
        )?;
        Bundle::parse_canonical(&bytes).map(|bundle| Arc::new(Evaluator::new(bundle))).map_err(|why| why.to_string())
    }
}

/// An anchor as the listener has it.
fn anchor(anchor: &Anchor) -> caller::Anchor {
    match anchor {
        Anchor::Ca { certificate } => caller::Anchor::Ca(certificate.clone()),
        Anchor::Fingerprint { digest } => caller::Anchor::Fingerprint(*digest),
    }
}

impl steward::Callers for Callers {
    fn anchors(&self, trust: &TrustRoot) -> BTreeSet<Digest> {
        trust.callers.iter().map(|rule| anchor(&rule.anchor).id()).collect()
    }
    fn changed(&self, standing: &Standing, claims: &BTreeMap<Digest, u64>) {
        let (tenant, trust) = (standing.tenant(), standing.trust());
        let rule = |rule: &orbital::trust::CallerRule| {
            let anchor = anchor(&rule.anchor);
            let turn = claims.get(&anchor.id()).copied().unwrap_or(caller::NOT_YET);
            caller::CallerRule { anchor, system: rule.system.clone(), name: rule.name.clone(), turn }
        };
        self.policy(standing);
        for fault in self.server.change_callers(tenant, trust.callers.iter().map(rule).collect()) {
            tracing::error!(%tenant, "a caller rule is not in force: {fault}");
        }
    }
    fn policy(&self, standing: &Standing) {
        let (tenant, trust) = (standing.tenant(), standing.trust());
        // The region evaluates exactly the bundle that the trust root names. Without it nobody is permitted anything.
        match self.evaluator(standing) {
            Ok(evaluator) => self.policies.set(tenant, Arc::new(DecisionCache::new(trust.version, evaluator))),
            Err(why) => {
                tracing::error!(%tenant, policy = %trust.policy, "the tenant's policies cannot be evaluated, and every operation is refused: {why}");
                self.policies.remove(&tenant);
            }
        }
    }
    fn close(&self, tenant: &TenantId) {
        let closed = self.server.close_tenant(tenant);
        tracing::info!(%tenant, closed, "connections closed");
    }
    fn used(&self, tenant: &TenantId) -> BTreeMap<System, Use> {
        self.server.used(tenant)
    }
}

/// Brings what the key cache saw to the steward, once there is one.
#[derive(Default)]
pub(crate) struct Watch(OnceLock<Arc<Steward>>);

impl Watch {
    pub(crate) fn follow(&self, steward: Arc<Steward>) {
        let _first = self.0.set(steward);
    }

    pub(crate) fn callback(self: Arc<Self>) -> key_cache::Watch {
        Arc::new(move |seen| {
            // Nothing is linked before the steward has opened the tenants, and each tick tells again.
            let Some(steward) = self.0.get().cloned() else { return };
            tokio::spawn(async move { steward.l1_seen(seen).await });
        })
    }
}

/// Brings a lane's news to its receiver.
pub(crate) struct Sink(pub(crate) ActorRef<receiver::Msg>);

impl Sink {
    fn tell(&self, msg: receiver::Msg) {
        if self.0.cast(msg).is_err() {
            tracing::error!("the receiver of a lane is gone");
        }
    }
}

impl LaneSink for Sink {
    fn up(&self, _: &NodeName, wire: Arc<PortWire>) {
        self.tell(receiver::Msg::Up(wire));
    }
    fn down(&self, _: &NodeName) {
        self.tell(receiver::Msg::Down);
    }
    fn frame(&self, _: &str, frame: Vec<u8>) {
        self.tell(receiver::Msg::Frame(frame));
    }
}

/// A region's node as `/readyz`, `/metrics` and its Hello show it.
pub(crate) struct RegionHealth {
    steward: Arc<Steward>,
    keeper: Arc<Keeper>,
    slab: Arc<Slab>,
    server: Arc<Server>,
    lanes: [OnceLock<(Arc<Lane>, NodeName)>; 2],
}

impl RegionHealth {
    pub(crate) fn new(steward: Arc<Steward>, keeper: Arc<Keeper>, slab: Arc<Slab>, server: Arc<Server>) -> Self {
        Self { steward, keeper, slab, server, lanes: Default::default() }
    }

    /// A lane that stands.
    pub(crate) fn watch(&self, which: Which, lane: Arc<Lane>, governance: NodeName) {
        if let Some(slot) = self.lanes.get(usize::from(which.number())) {
            let _first = slot.set((lane, governance));
        }
    }

    fn connections(&self) -> usize {
        let open = |(tenant, _): &(TenantId, L1State)| self.server.connections().of(tenant);
        self.steward.l1_states().iter().map(open).sum()
    }

    fn reasons(&self) -> Vec<(Status, Reason)> {
        let mut reasons = Vec::new();
        for which in Which::BOTH {
            let up = self
                .lanes
                .get(usize::from(which.number()))
                .and_then(OnceLock::get)
                .is_some_and(|(lane, peer)| lane.is_up(peer));
            if !up {
                reasons.push((
                    Status::Degraded,
                    reason(
                        format!("no {which} lane to governance"),
                        "governance is down, or the network between us is",
                        "keys are served until the lease of each tenant ends; the lane is dialed again by itself",
                    ),
                ));
            }
        }
        for (tenant, l1) in self.steward.l1_states() {
            reasons.extend(self.tenant_reasons(&tenant, l1));
        }
        reasons.extend(self.server.anchor_faults().into_iter().map(|fault| {
            let fix = "its tenant proposes a ChangeCallers without it: `kcm caller remove`";
            (Status::Degraded, reason("a KMIP client anchor is not in force", fault.to_string(), fix))
        }));
        reasons
    }

    fn tenant_reasons(&self, tenant: &TenantId, l1: L1State) -> Vec<(Status, Reason)> {
        let stops = self.steward.stops(tenant);
        let mut reasons: Vec<_> = stops
            .iter()
            .map(|stop| {
                let status = if stop == Stop::Sealed { Status::Sealed } else { Status::Degraded };
                (status, reason(format!("tenant {tenant} is not served"), stop.word(), fix_of(stop)))
            })
            .collect();
        if l1 == L1State::Unreachable {
            let what = format!("the L1 of tenant {tenant} does not answer");
            reasons.push((
                Status::Degraded,
                reason(what, "network, credentials or the customer's KMS", "cached keys serve on within l1_grace"),
            ));
        }
        reasons
    }
}

fn reason(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Reason {
    Reason { what: what.into(), why: why.into(), fix: fix.into() }
}

fn fix_of(stop: Stop) -> &'static str {
    match stop {
        Stop::Killed => "a certified RestoreL1 that names every kill: `kcm key restore`",
        Stop::KilledForGood => "nothing: more kills came than can be restored by name; found a new tenant",
        Stop::Left => {
            "nothing: the tenant's trust root names this region no more; a certified ChangeResidency may name it again"
        }
        Stop::Blocked => "a certified UnblockTenant that names every block: `kcm tenant unblock`",
        Stop::L1Stop => {
            "the customer enables the key again at their KMS; where the trust root says `l1_resume = quorum`, a LinkL1 besides"
        }
        Stop::LeaseOver => "connect the region to the holder of the lease key: it renews by itself",
        Stop::L1Away => "make the customer's KMS reachable",
        Stop::Sealed => {
            "connect the region to the holder of the lease key: a head answering this node's nonce unseals it"
        }
        Stop::Suspended => "a certified ResumeL1 that names every suspension: `kcm key resume`",
    }
}

impl Health for RegionHealth {
    fn ready(&self) -> Readiness {
        let found = self.reasons();
        let sealed = found.iter().any(|(status, _)| *status == Status::Sealed);
        let status = match (sealed, found.is_empty()) {
            (true, _) => Status::Sealed,
            (false, true) => Status::Ready,
            (false, false) => Status::Degraded,
        };
        Readiness { status, reasons: found.into_iter().map(|(_, reason)| reason).collect() }
    }

    fn refresh(&self) {
        let usage = self.slab.usage();
        metrics::gauge!("custody_locked_bytes").set(as_f64(usage.locked_bytes));
        metrics::gauge!("custody_locked_slots", "state" => "used").set(as_f64(usage.slots_used));
        metrics::gauge!("custody_locked_slots", "state" => "total").set(as_f64(usage.slots_total));
        for (tenant, l1) in self.steward.l1_states() {
            let left = lease_left_seconds(self.keeper.lease_left_ms(&tenant));
            metrics::gauge!("custody_lease_left_seconds", "tenant" => tenant.to_string()).set(left);
            let open = self.server.connections().of(&tenant);
            metrics::gauge!("kmip_connections", "tenant" => tenant.to_string()).set(as_f64(open));
            for state in L1_STATES {
                let on = if state == l1 { 1.0 } else { 0.0 };
                metrics::gauge!("custody_l1_state", "tenant" => tenant.to_string(), "state" => word(state)).set(on);
            }
        }
    }
}

const L1_STATES: [L1State; 7] = [
    L1State::Pending,
    L1State::Enabled,
    L1State::Disabled,
    L1State::Forbidden,
    L1State::Unreachable,
    L1State::PendingDeletion,
    L1State::Deleted,
];

/// As reports and the portal spell it.
const fn word(state: L1State) -> &'static str {
    match state {
        L1State::Pending => "PENDING",
        L1State::Enabled => "ENABLED",
        L1State::Disabled => "DISABLED",
        L1State::Forbidden => "FORBIDDEN",
        L1State::Unreachable => "UNREACHABLE",
        L1State::PendingDeletion => "PENDING_DELETION",
        L1State::Deleted => "DELETED",
    }
}

/// Gauges are floating point: exact below 2^53.
fn as_f64(count: usize) -> f64 {
    count as f64
}

/// Infinity where the lease is unlimited.
fn lease_left_seconds(left_ms: Option<u64>) -> f64 {
    left_ms.map_or(f64::INFINITY, |ms| Duration::from_millis(ms).as_secs_f64())
}

impl Loads for RegionHealth {
    fn load(&self) -> Load {
        let usage = self.slab.usage();
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Load {
            locked_bytes: wide(usage.locked_bytes),
            slots_used: wide(usage.slots_used),
            slots_total: wide(usage.slots_total),
            memory: usage.mode.name().to_owned(),
            connections: wide(self.connections()),
        }
    }
    fn heard(&self, lane: Which) {
        if let Some((lane, peer)) = self.lanes.get(usize::from(lane.number())).and_then(OnceLock::get) {
            lane.heard(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_spell_the_states_of_an_l1_as_reports_do() {
        for state in L1_STATES {
            assert_eq!(serde_json::to_value(state).unwrap(), word(state));
        }
    }

    /// A lease may be a year and more: no width of integer on the way cuts it.
    #[test]
    fn a_lease_is_shown_in_full_however_long() {
        const DAY_S: u64 = 24 * 3_600;
        for days in [0, 1, 49, 50, 400, 100_000] {
            let shown = lease_left_seconds(Some(days * DAY_S * 1_000 + 250));
            assert_eq!(shown, (days * DAY_S) as f64 + 0.25, "{days} days");
        }
        assert_eq!(lease_left_seconds(None), f64::INFINITY);
        assert_eq!(as_f64(1 << 40), 1_099_511_627_776.0, "a count of bytes neither");
    }
}
