//! T0103: every name that is used is defined somewhere; and T0102 where a field makes no sense beside another.

use std::{net::SocketAddr, path::Path};

use orbital::names::TenantName;

use crate::{
    file::File,
    finding::{At, Code, Finding},
    reader::Host,
    suggest::did_you_mean,
    units::PublicKey,
};

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    let l1s: Vec<&str> = file.l1s().iter().map(|(name, _)| name.value.0.as_str()).collect();
    let rules: Vec<&str> = file.rules().iter().map(|(name, _)| name.value.0.as_str()).collect();
    let pins: Vec<&str> = file.pins().iter().map(|(name, _)| name.value.as_str()).collect();
    let regions: Vec<&str> = file.regions().iter().map(|(name, _)| name.value.as_str()).collect();
    for (name, region) in file.regions() {
        let who = format!("region `{}`", name.value);
        for used in region.value.residency.iter().flat_map(|list| &list.value) {
            defined(&who, "residency rule", "residency", used, &used.value.0, &rules, findings);
        }
        for used in region.value.l1.iter().flat_map(|list| &list.value) {
            defined(&who, "L1", "l1", used, &used.value.0, &l1s, findings);
        }
    }
    for (name, l1) in file.l1s() {
        let who = format!("`auth` of L1 `{}`", name.value.0);
        for (used, _) in l1.value.auth.iter().flat_map(|table| &table.value.entries) {
            defined(&who, "region", "region", used, used.value.as_str(), &regions, findings);
        }
        for used in l1.value.tenants.iter().flat_map(|list| &list.value) {
            pinned(&name.value.0, used, &pins, findings);
        }
    }
    store_rules(file, findings);
}

fn defined<T>(
    who: &str,
    kind: &str,
    table: &str,
    used: &At<T>,
    name: &str,
    known: &[&str],
    findings: &mut Vec<Finding>,
) {
    if known.contains(&name) {
        return;
    }
    let near = did_you_mean(name, known.iter().copied());
    let message = format!("{who} names {kind} `{name}`, which no `[{table}.…]` defines{near}");
    let help = match known {
        [] => format!("Add `[{table}.{name}]`."),
        _ => format!("Add `[{table}.{name}]`, or use one of: {}.", known.join(", ")),
    };
    findings.push(Finding::new(Code::Dangling, message, help).at(&used.place, "names nothing"));
}

/// An L1's credentials belong to tenants whose ids are known: a label without a pin is nobody.
fn pinned(l1: &str, used: &At<TenantName>, known: &[&str], findings: &mut Vec<Finding>) {
    let label = used.value.as_str();
    if known.contains(&label) {
        return;
    }
    let near = did_you_mean(label, known.iter().copied());
    let message = format!("L1 `{l1}` names tenant `{label}`, which `[pin]` does not have{near}");
    let help = match known {
        [] => format!("Add `{label} = \"…\"` with the tenant's id to `[pin]`."),
        _ => format!("Add `{label} = \"…\"` with the tenant's id to `[pin]`, or use one of: {}.", known.join(", ")),
    };
    findings.push(Finding::new(Code::Dangling, message, help).at(&used.place, "is nobody's pin"));
}

/// The high-water file must survive a restore of the store, so it cannot lie in it (PROTOCOL §6).
fn store_rules(file: &File, findings: &mut Vec<Finding>) {
    for (name, node) in file.regions().iter().flat_map(|(_, region)| region.value.nodes()) {
        if let (Some(store), Some(highwater)) = (&node.value.store, &node.value.highwater)
            && inside(&highwater.value, &store.value)
        {
            let message = format!("the high-water file of `{}` lies inside its store", name.value);
            let help = "Put it on another path: it must tell when the store was put back to a backup, so no backup of the store may hold it.";
            let finding = Finding::new(Code::WrongValue, message, help);
            findings.push(finding.at(&highwater.place, "would be restored too").at(&store.place, "the store"));
        }
        if let (Some(kmip), None) = (&node.value.kmip, &node.value.kmip_tls) {
            let message = format!("node `{}` listens for KMIP without `kmip_tls`", name.value);
            let help = "Add `kmip_tls = { cert = \"…\", key = \"…\" }`: KMIP is served over TLS alone.";
            findings.push(Finding::new(Code::Missing, message, help).at(&kmip.place, "needs a certificate"));
        }
        if let (Some(https), None) = (&node.value.kmip_https, &node.value.kmip) {
            let message = format!("node `{}` listens for KMIP over HTTPS without `kmip`", name.value);
            let help = "Add `kmip`: HTTPS is a second door of the same server, with the certificate of `kmip_tls`.";
            findings.push(Finding::new(Code::Missing, message, help).at(&https.place, "needs `kmip`"));
        }
    }
    if let Some(governance) = &file.governance {
        let main = &governance.value;
        reached(&main.address, [&main.orbital, &main.orbital_critical], findings);
        for (_, part) in file.standbys() {
            reached(&part.value.address, [&part.value.orbital, &part.value.orbital_critical], findings);
        }
        if governance.value.lease_key.is_some() != governance.value.lease_public.is_some() {
            let message = "`lease_key` and `lease_public` belong together";
            let help = "Give both (governance renews leases) or neither (each tenant does).";
            findings.push(Finding::new(Code::Missing, message, help).at(&governance.place, "has one of the two"));
        }
        let checkpoint = governance.value.checkpoint_public.as_ref();
        let others = [&governance.value.frame_public, &governance.value.lease_public];
        let twice = |key: &&At<PublicKey>| others.into_iter().flatten().any(|other| other.value == key.value);
        if let Some(key) = checkpoint.filter(twice) {
            let message = "`checkpoint_public` is the key of frames or leases as well";
            let help = "Make a key of its own (`kcm actor keygen`): one key, one use (PROTOCOL §2).";
            findings.push(Finding::new(Code::WrongValue, message, help).at(&key.place, "is used twice"));
        }
        if governance.value.checkpoint_key.is_some() != governance.value.checkpoint_public.is_some() {
            let message = "`checkpoint_key` and `checkpoint_public` belong together";
            let help = "Give both (governance signs checkpoints of its ledger) or neither (there are none).";
            findings.push(Finding::new(Code::Missing, message, help).at(&governance.place, "has one of the two"));
        }
    }
}

/// Who listens everywhere must say where that is.
fn reached(address: &Option<At<Host>>, lanes: [&Option<At<SocketAddr>>; 2], findings: &mut Vec<Finding>) {
    let nowhere = lanes.into_iter().flatten().find(|a| a.value.ip().is_unspecified());
    if let (None, Some(listen)) = (address, nowhere) {
        let message = format!("no region can dial {}", listen.value);
        let help = "Add `address` beside it: the name or IP address by which regions reach it.";
        findings.push(Finding::new(Code::Missing, message, help).at(&listen.place, "listens everywhere, is nowhere"));
    }
}

fn inside(path: &Path, folder: &Path) -> bool {
    let clean = |p: &Path| p.components().collect::<std::path::PathBuf>();
    clean(path).starts_with(clean(folder))
}
