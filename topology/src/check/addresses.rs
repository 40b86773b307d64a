//! T0302: two listeners on one address. Hosts are told apart by their addresses: nodes that share one are on one host, and in
//! development all are; only there can a loopback or wildcard address of one node clash with another's.

use std::net::{IpAddr, SocketAddr};

use crate::{
    file::File,
    finding::{At, Code, Finding},
};

/// A node with what it listens on.
pub(super) struct Listeners<'a> {
    pub(super) name: String,
    /// What others reach from elsewhere.
    pub(super) open: Vec<(&'static str, &'a At<SocketAddr>)>,
    /// What only this host reaches.
    pub(super) health: Option<&'a At<SocketAddr>>,
}

impl Listeners<'_> {
    /// Addresses that name a host: neither wildcard nor loopback.
    fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        self.open.iter().map(|(_, a)| a.value.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
    }
    pub(super) fn on_one_host(&self, other: &Self) -> bool {
        self.hosts().any(|ip| other.hosts().any(|o| o == ip))
    }
}

fn named<'a>(fields: &[(&'static str, &'a Option<At<SocketAddr>>)]) -> Vec<(&'static str, &'a At<SocketAddr>)> {
    fields.iter().filter_map(|(name, address)| address.as_ref().map(|a| (*name, a))).collect()
}

pub(super) fn governance(file: &File) -> Option<Listeners<'_>> {
    let part = &file.governance.as_ref()?.value;
    let name = part.node.as_ref().map_or("governance".to_owned(), |n| n.value.to_string());
    let open = [("rest", &part.rest), ("orbital", &part.orbital), ("orbital_critical", &part.orbital_critical)];
    Some(Listeners { name, open: named(&open), health: part.health.as_ref() })
}

/// Its standbys.
pub(super) fn standbys(file: &File) -> impl Iterator<Item = Listeners<'_>> {
    file.standbys().iter().map(|(name, part)| {
        let part = &part.value;
        let open = [("rest", &part.rest), ("orbital", &part.orbital), ("orbital_critical", &part.orbital_critical)];
        Listeners { name: name.value.to_string(), open: named(&open), health: part.health.as_ref() }
    })
}

pub(super) fn regions(file: &File) -> impl Iterator<Item = Listeners<'_>> {
    file.regions().iter().flat_map(|(_, region)| {
        let nodes = region.value.nodes().iter().map(|(name, node)| Listeners {
            name: name.value.to_string(),
            open: named(&[
                ("kmip", &node.value.kmip),
                ("kmip_https", &node.value.kmip_https),
                ("stop", &node.value.stop),
            ]),
            health: node.value.health.as_ref(),
        });
        let edges = region.value.edges().iter().map(|(name, edge)| Listeners {
            name: name.value.to_string(),
            open: named(&[("kmip", &edge.value.kmip)]),
            health: None,
        });
        nodes.chain(edges)
    })
}

fn l1s(file: &File) -> impl Iterator<Item = Listeners<'_>> {
    file.l1s().iter().map(|(name, l1)| Listeners {
        name: l1.value.node.as_ref().map_or(name.value.0.clone(), |n| n.value.to_string()),
        open: named(&[("listen", &l1.value.listen)]),
        health: None,
    })
}

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    let governance = governance(file).into_iter().chain(standbys(file));
    let all: Vec<Listeners<'_>> = governance.chain(regions(file)).chain(l1s(file)).collect();
    for (index, left) in all.iter().enumerate() {
        within(left, findings);
        for right in all.iter().skip(index + 1) {
            if file.is_development() || left.on_one_host(right) {
                between(left, right, findings);
            }
        }
    }
}

fn each<'l>(node: &'l Listeners<'_>) -> impl Iterator<Item = (&'static str, &'l At<SocketAddr>)> {
    node.open.iter().copied().chain(node.health.map(|h| ("health", h)))
}

fn within(node: &Listeners<'_>, findings: &mut Vec<Finding>) {
    for (index, (left, here)) in each(node).enumerate() {
        for (right, there) in each(node).skip(index + 1) {
            if overlap(&here.value, &there.value) {
                let who = format!("`{left}` and `{right}` of `{}`", node.name);
                findings.push(clash(&who, (here, left), (there, right)));
            }
        }
    }
}

fn between(left: &Listeners<'_>, right: &Listeners<'_>, findings: &mut Vec<Finding>) {
    for (field, here) in each(left) {
        for (other, there) in each(right).filter(|(_, there)| overlap(&here.value, &there.value)) {
            let who = format!("`{}` and `{}`", left.name, right.name);
            findings.push(clash(&who, (here, field), (there, other)));
        }
    }
}

fn overlap(left: &SocketAddr, right: &SocketAddr) -> bool {
    let everywhere = left.ip().is_unspecified() || right.ip().is_unspecified();
    left.port() == right.port() && (everywhere || left.ip() == right.ip())
}

fn clash(who: &str, left: (&At<SocketAddr>, &str), right: (&At<SocketAddr>, &str)) -> Finding {
    let message = format!("{who} listen on the same address {}", left.0.value);
    Finding::new(Code::AddressClash, message, "Give one of them another port or address.")
        .at(&right.0.place, format!("`{}` here", right.1))
        .at(&left.0.place, format!("and `{}` here", left.1))
}
