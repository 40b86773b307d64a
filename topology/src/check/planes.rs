//! T0305 and T0306: the planes on hosts of their own, and nothing that protects nothing, outside development.

use super::addresses;
use crate::{
    file::{File, Provider},
    finding::{At, Code, Finding},
};

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    if file.is_development() {
        return;
    }
    soft_l1(file, findings);
    one_host(file, findings);
}

fn soft_l1(file: &File, findings: &mut Vec<Finding>) {
    let providers = file.l1s().iter().filter_map(|(name, l1)| l1.value.provider.as_ref().map(|p| (name, p)));
    for (name, provider) in providers.filter(|(_, p)| p.value == Provider::Soft) {
        let message = format!("L1 `{}` is soft: it keeps its keys in a plain file", name.value.0);
        let help = "Link a key at a KMS or HSM (`provider = \"aws-kms\"`); a soft L1 needs `development = true`, which no real deployment has.";
        findings.push(Finding::new(Code::DevelopmentOnly, message, help).at(&provider.place, "protects nothing"));
    }
}

/// The planes share a host when a node of each listens on one address, or both on loopback alone.
fn one_host(file: &File, findings: &mut Vec<Finding>) {
    for governance in addresses::governance(file).into_iter().chain(addresses::standbys(file)) {
        shares_with_a_region(file, &governance, findings);
    }
}

fn shares_with_a_region(file: &File, governance: &addresses::Listeners<'_>, findings: &mut Vec<Finding>) {
    for node in addresses::regions(file) {
        let loopback = governance.open.iter().zip(node.open.iter()).next().filter(|_| {
            let only = |l: &addresses::Listeners<'_>| l.open.iter().all(|(_, a)| a.value.ip().is_loopback());
            only(governance) && only(&node)
        });
        let shared = governance.open.iter().flat_map(|g| node.open.iter().map(move |n| (g, n)));
        let mut same = shared.filter(|((_, g), (_, n))| g.value.ip() == n.value.ip() && !g.value.ip().is_unspecified());
        let pair = same.find(|((_, g), _)| !g.value.ip().is_loopback()).or(loopback);
        if let Some(((_, of_governance), (_, of_region))) = pair {
            findings.push(mixed(&governance.name, of_governance, &node.name, of_region));
        }
    }
}

fn mixed<T>(governance: &str, left: &At<T>, node: &str, right: &At<T>) -> Finding {
    let message = format!("governance `{governance}` and `{node}` share a host");
    let help = "Give each plane hosts of its own: whoever takes a shared one has both planes. Only `development = true` (as `kcm demo` writes it) allows it.";
    Finding::new(Code::PlaneMixing, message, help).at(&right.place, "a region's node").at(&left.place, "and governance")
}
