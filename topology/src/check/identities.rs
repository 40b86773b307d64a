//! T0303: one node, one name, one key. Also T0304, the edge that takes anyone.

use std::{collections::BTreeMap, fmt::Display};

use crate::{
    file::File,
    finding::{At, Code, Finding, Place},
    reader::wrong,
};

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    template(file, findings);
    names(file, findings);
    keys(file, findings);
    for (name, edge) in file.regions().iter().flat_map(|(_, region)| region.value.edges()) {
        for peer in edge.value.peers.iter().flat_map(|list| &list.value) {
            peers(name.value.as_str(), peer, findings);
        }
    }
}

/// The identity of a node must name the node: else every certificate fits every node.
fn template(file: &File, findings: &mut Vec<Finding>) {
    let Some(identity) = file.tls.as_ref().and_then(|tls| tls.value.identity.as_ref()) else { return };
    let text = &identity.value;
    let missing: Vec<&str> = ["{plane}", "{name}"].into_iter().filter(|part| !text.contains(part)).collect();
    if !missing.is_empty() {
        let message = format!(
            "`identity` lacks {}: certificates of different nodes could not be told apart",
            missing.join(" and ")
        );
        let help = "Write it as \"spiffe://{deployment}/{plane}/{name}\".";
        findings.push(Finding::new(Code::Identity, message, help).at(&identity.place, "the same for several nodes"));
    }
    let rest = text.replace("{deployment}", "").replace("{plane}", "").replace("{name}", "");
    if !text.starts_with("spiffe://") || rest.contains(['{', '}']) || text.chars().any(char::is_whitespace) {
        let why = "must be a SPIFFE id with the parts {deployment}, {plane} and {name} alone";
        findings.push(wrong(&identity.place, why));
    }
}

fn names(file: &File, findings: &mut Vec<Finding>) {
    let governance = file.governance.as_ref().and_then(|g| g.value.node.as_ref()).into_iter();
    let standbys = file.standbys().iter().map(|(name, _)| name);
    let l1s = file.l1s().iter().filter_map(|(_, l1)| l1.value.node.as_ref());
    let crypto = file.regions().iter().flat_map(|(_, region)| {
        let nodes = region.value.nodes().iter().map(|(name, _)| name);
        nodes.chain(region.value.edges().iter().map(|(name, _)| name))
    });
    let all = governance.chain(standbys).chain(l1s).chain(crypto).map(|name| (&name.value, &name.place));
    unique("node name", "Name each node once: its name is its identity, its certificate and its key.", all, findings);
}

/// One key, one use (PROTOCOL §2): whoever holds a key that two parts share can speak for both.
fn keys(file: &File, findings: &mut Vec<Finding>) {
    let governance = file.governance.iter().flat_map(|g| [&g.value.frame_public, &g.value.lease_public]);
    let regions = file.regions().iter().flat_map(|(_, region)| {
        let own = [&region.value.report_public, &region.value.hpke_public];
        own.into_iter().chain(region.value.nodes().iter().map(|(_, node)| &node.value.frame_public))
    });
    let all = governance.chain(regions).flatten().map(|key| (&key.value, &key.place));
    unique("public key", "Make a key of its own for each use.", all, findings);
}

fn unique<'a, K: Ord + Display + 'a>(
    what: &str,
    help: &str,
    all: impl Iterator<Item = (&'a K, &'a Place)>,
    findings: &mut Vec<Finding>,
) {
    let mut seen: BTreeMap<&K, &Place> = BTreeMap::new();
    for (key, place) in all {
        match seen.get(key) {
            None => drop(seen.insert(key, place)),
            Some(first) => {
                let message = format!("the {what} `{key}` is used twice");
                let finding = Finding::new(Code::Identity, message, help);
                findings.push(finding.at(place, "here again").at(first, "first here"));
            }
        }
    }
}

/// `*` may end the last part of an id, no more: the rest says whose certificates they are.
fn peers(edge: &str, peer: &At<String>, findings: &mut Vec<Finding>) {
    let text = &peer.value;
    let fixed = text.split('*').next().unwrap_or_default();
    let parts = fixed.strip_prefix("spiffe://").map_or(0, |rest| rest.split('/').filter(|p| !p.is_empty()).count());
    let last = fixed.len() + 1 == text.len();
    if text.contains('*') && (parts < 2 || !last) {
        let message = format!("`peers = [\"{text}\"]` of edge `{edge}` would accept any certificate of the trust root");
        let help = "Name the clients: \"spiffe://DOMAIN/db/mongo-*\"; `*` may stand at the end of the last part only.";
        findings.push(Finding::new(Code::WildcardPeers, message, help).at(&peer.place, "accepts too many"));
    } else if !text.starts_with("spiffe://") {
        findings.push(wrong(&peer.place, "must be SPIFFE ids, such as \"spiffe://DOMAIN/db/mongo-*\""));
    }
}
