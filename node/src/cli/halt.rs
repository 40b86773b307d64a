//! Stops, and what lifts each kind: `kcm revoke propose`, `kcm tenant block|unblock|terminate`, `kcm key suspend|resume|restore`.

use std::collections::BTreeSet;

use orbital::{
    change::{Action, FireUntil},
    halt::Halt,
    names::{Digest, Region},
};

use super::{
    Global,
    compose::{self, Subject, Wish},
    exit::{Failure, Report},
    simulate, wire,
};

/// Proposes a stop; whom it locks out is shown to its proposer first, and to everybody who approves.
pub(crate) async fn set(
    global: &Global,
    action: Action,
    tenant: &str,
    region: Vec<Region>,
    reason: &str,
) -> Result<Report, Failure> {
    let subject = Subject::of(global, tenant).await?;
    let evidence = match action {
        // Nobody is locked out: what is protected can still be read.
        Action::SuspendL1 {} => None,
        _ => simulate::evidence(global, &subject).await,
    };
    let regions = Some(region).filter(|r| !r.is_empty()).map(BTreeSet::from_iter);
    compose::propose_with(global, &subject, Wish { action, regions, reason }, evidence).await
}

/// Proposes a kill that stops nothing until one of its signers fires it. Whom it would lock out now is shown as for any.
pub(crate) async fn arm(global: &Global, tenant: &str, until: FireUntil, reason: &str) -> Result<Report, Failure> {
    let subject = Subject::of(global, tenant).await?;
    let evidence = simulate::evidence(global, &subject).await;
    let (chain, epoch) = (&subject.chain, subject.tenant.epoch);
    let bytes = compose::change(chain, epoch, Action::RevokeL1 {}, None, reason, evidence.as_deref())?;
    compose::propose_bytes(global, &subject, compose::armed(&bytes, until)?, evidence).await
}

/// Proposes to lift these, or all of this kind that are in force.
pub(crate) async fn lift(
    global: &Global,
    halt: Halt,
    tenant: &str,
    given: Vec<Digest>,
    reason: &str,
) -> Result<Report, Failure> {
    let subject = Subject::of(global, tenant).await?;
    let names = if given.is_empty() { in_force(&subject.tenant, halt) } else { BTreeSet::from_iter(given) };
    if names.is_empty() {
        let (kind, word) = (halt.lifting(names).kind(), halt.word());
        return Err(Failure::usage(format!("there is nothing to lift: the tenant is not {word}"))
            .because(format!("{kind} lifts what it names, and nothing of this kind is in force"))
            .fix("see what holds: kcm tenant show TENANT"));
    }
    compose::propose(global, &subject, Wish { action: halt.lifting(names), regions: None, reason }).await
}

/// What the portal says is in force; whoever signs sees each by name.
pub(crate) fn in_force(tenant: &wire::Tenant, halt: Halt) -> BTreeSet<Digest> {
    let (known, lifted) = match halt {
        Halt::Kill => (&tenant.kills, &tenant.restored),
        Halt::Block => (&tenant.blocks, &tenant.unblocked),
        Halt::Suspension => (&tenant.suspensions, &tenant.resumed),
    };
    known.difference(lifted).copied().collect()
}
