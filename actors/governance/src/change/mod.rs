//! Changes: for each kind its risk in words, exhaustive, and what a region needs to catch up.

mod catch_up;

use orbital::{
    certificate::Certificate,
    change::{Action, ChangeKind},
    directive::{Directive, Warrant},
    names::TenantId,
};

pub(crate) use catch_up::{CatchUp, carried, links_after, stops, whole_chain};

/// What a change does and what it cannot take back, for whoever is about to sign it.
pub(crate) const fn risk(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::ProvisionTenant => {
            "Founds a tenant. Its first people decide everything later; compare their keys' fingerprints."
        }
        ChangeKind::LinkL1 => {
            "Ties the tenant's keys to this key at the customer's KMS. Whoever controls that key can stop the tenant; if it is \
             deleted, everything below it is lost."
        }
        ChangeKind::SwitchL1 => "Moves the tenant's keys under another L1. Both must answer until the move is done.",
        ChangeKind::UnlinkL1 => {
            "Takes the tenant's keys away from the customer's KMS. The customer's off switch is gone afterwards."
        }
        ChangeKind::SuspendL1 => {
            "In the regions named nothing new is protected for this tenant: clients that encrypt, create or sign fail until it is resumed. What is \
             protected can still be read."
        }
        ChangeKind::ResumeL1 => "Lifts the suspensions that it names: the tenant's keys protect new data again.",
        ChangeKind::RevokeL1 => {
            "The kill switch: the regions named stop everything for this tenant at once and destroy its keys in memory. Databases \
             stop. Only a RestoreL1 with a larger quorum brings it back."
        }
        ChangeKind::RestoreL1 => {
            "Lifts the kills that it names. If the reason for a kill still stands, data is exposed again."
        }
        ChangeKind::MigrateCsekToCmk => {
            "Makes new keys under the customer's L1 and destroys the internal key. There is no way back to old backups."
        }
        ChangeKind::RotateL2 => "Makes a new tenant key; what was wrapped before is re-wrapped.",
        ChangeKind::RotateL3 => "Makes a new key of one system; what was wrapped before is re-wrapped.",
        ChangeKind::RegisterSystem => "Lets a new application or database have keys of this tenant.",
        ChangeKind::RetireSystem => {
            "Takes an application's or database's keys out of use, with its callers. It stops working; registered anew it has its keys again."
        }
        ChangeKind::ChangeCallers => {
            "Changes which client certificates use which system. A wrong anchor hands keys to a stranger; a missing one locks out a \
             database. Open connections are closed."
        }
        ChangeKind::ChangeActors => {
            "Changes who can decide for this tenant. Compare every new key's fingerprint with its owner. Open proposals are voided."
        }
        ChangeKind::ChangeQuorum => {
            "Changes how many of whom must sign. A weaker rule makes every later decision weaker. Open proposals are voided."
        }
        ChangeKind::ChangePolicy => {
            "Changes the Cedar policies: who may propose and which caller may do what. Open proposals are voided."
        }
        ChangeKind::ChangeRouting => {
            "Changes who is told of what, from now on. Whoever is left out learns of proposals and stops no more unless they look."
        }
        ChangeKind::ChangeLease => {
            "Changes how long a region that is cut off serves on. A longer lease makes the kill switch slower there."
        }
        ChangeKind::ChangeResidency => {
            "Changes where the tenant's keys may exist. A region that is taken out destroys every key of the tenant there, for good: what only it \
             had is lost. A region that is added serves nobody before a LinkL1 names it."
        }
        ChangeKind::BlockTenant => {
            "The regions named serve nobody of this tenant and destroy its keys in memory. Clients fail, and are told that the tenant is \
             blocked, until it is unblocked."
        }
        ChangeKind::UnblockTenant => "Lifts the blocks that it names: the tenant is served again.",
        ChangeKind::TerminateTenant => {
            "Destroys every key of the tenant in every region, for ever: nothing lifts it. Its data cannot be read again by anybody, except from \
             backups of a region's store and with the customer's own key."
        }
        ChangeKind::ApplyTopology => {
            "Changes whom the parts of the system trust, where keys may be, and whose KMS is asked. Compare what is signed with your own copy of the file."
        }
    }
}

/// The directive that carries a certified change; none for what is governance's alone.
pub(crate) fn directive(
    tenant: TenantId,
    action: &Action,
    links: Vec<Certificate>,
    certificate: Certificate,
) -> Option<Directive> {
    Directive::carrying(action, Warrant { tenant, links, certificate })
}

/// Kinds that must reach every region of the trust root: the next version, which each region needs to follow the chain, and the end.
pub(crate) const fn reaches_all(action: &Action) -> bool {
    match action {
        Action::RegisterSystem { .. }
        | Action::RetireSystem { .. }
        | Action::TerminateTenant {}
        | Action::ChangeCallers { .. }
        | Action::ChangeActors { .. }
        | Action::ChangeQuorum { .. }
        | Action::ChangeLease { .. }
        | Action::ChangeResidency { .. }
        | Action::ChangePolicy { .. } => true,
        Action::LinkL1 { .. }
        | Action::RevokeL1 {}
        | Action::RestoreL1 { .. }
        | Action::BlockTenant {}
        | Action::UnblockTenant { .. }
        | Action::SuspendL1 {}
        | Action::ResumeL1 { .. }
        | Action::ChangeRouting { .. }
        | Action::ApplyTopology { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orbital::{directive::Needs, halt::Halt, lane::Lane, testing::World};

    use super::*;

    #[test]
    fn every_kind_has_a_risk_in_words() {
        let texts: BTreeSet<_> = ChangeKind::ALL.into_iter().map(risk).collect();
        assert_eq!(texts.len(), ChangeKind::ALL.len());
        assert!(texts.iter().all(|text| text.ends_with('.')));
    }

    #[test]
    fn a_stop_and_nothing_else_takes_the_critical_lane() {
        let world = World::new();
        let kill = world.kill();
        for stop in Halt::ALL.map(|halt| halt.action()).into_iter().chain([Action::TerminateTenant {}]) {
            let directive = directive(world.tenant(), &stop, vec![], kill.clone()).unwrap();
            assert_eq!((Lane::of(&directive), directive.needs()), (Lane::Critical, Needs::StopCertificate));
        }
        let lifts = Halt::ALL.map(|halt| halt.lifting(BTreeSet::new()));
        for action in lifts.into_iter().chain([orbital::testing::link_l1("k")]) {
            let directive = super::directive(world.tenant(), &action, vec![], kill.clone()).unwrap();
            assert_eq!((Lane::of(&directive), directive.needs()), (Lane::Ordinary, Needs::Certificate));
        }
    }
}
