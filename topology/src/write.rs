//! A topology as canonical TOML. What is written reads back as the same topology.

use std::{
    fmt::{Display, Write as _},
    path::Path,
};

use crate::{
    Ledger,
    file::SCHEMA,
    login,
    model::{
        CryptoNode, Edge, Governance, L1, L1Provider, MutualTls, Notify, NotifyTarget, NotifyUrl, RegionPart,
        ServerTls, Topology,
    },
};

/// Lines of `key = value` under headers.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    pub(crate) fn header(&mut self, path: &[&str]) {
        let path: Vec<String> = path.iter().map(|part| key(part)).collect();
        let gap = if self.0.is_empty() { "" } else { "\n" };
        let _infallible = writeln!(self.0, "{gap}[{}]", path.join("."));
    }
    /// A value that needs no quotes, or brings its own.
    fn raw(&mut self, name: &str, value: impl Display) {
        let _infallible = writeln!(self.0, "{} = {value}", key(name));
    }
    pub(crate) fn text(&mut self, name: &str, value: impl Display) {
        self.raw(name, quoted(&value.to_string()));
    }
    pub(crate) fn path(&mut self, name: &str, value: &Path) {
        self.text(name, value.display());
    }
    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }
    pub(crate) fn list(&mut self, name: &str, values: &[String]) {
        let values: Vec<String> = values.iter().map(|v| quoted(v)).collect();
        self.raw(name, format_args!("[{}]", values.join(", ")));
    }
    pub(crate) fn inline(&mut self, name: &str, fields: &[(&str, String)]) {
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value))).collect();
        self.raw(name, format_args!("{{ {} }}", fields.join(", ")));
    }
    fn mutual(&mut self, name: &str, tls: &MutualTls) {
        let path = |p: &Path| p.display().to_string();
        self.inline(name, &[("ca", path(&tls.ca)), ("cert", path(&tls.cert)), ("key", path(&tls.key))]);
    }
    fn server(&mut self, name: &str, tls: &ServerTls) {
        self.inline(name, &[("cert", tls.cert.display().to_string()), ("key", tls.key.display().to_string())]);
    }
}

fn key(text: &str) -> String {
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { text.to_owned() } else { quoted(text) }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _infallible = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Writes the topology as a file of schema v1. Paths are written as they stand in the model.
pub fn to_toml(topology: &Topology) -> String {
    let mut page = Page::default();
    page.text("schema", SCHEMA);
    page.text("deployment", &topology.deployment);
    page.raw("generation", topology.generation);
    page.raw("development", topology.development);
    page.header(&["tls"]);
    page.text("identity", &topology.identity);
    if let Some(site) = &topology.site {
        page.header(&["site"]);
        page.text("id", site.id);
        page.path("warrant", &site.warrant);
    }
    if let Some(part) = &topology.governance {
        governance(&mut page, part);
    }
    for (name, part, main) in topology.governance.iter().flat_map(|g| g.standbys.iter().map(move |(n, s)| (n, s, g))) {
        standby(&mut page, name.as_str(), part, main);
    }
    page.header(&["orbital"]);
    page.text("transport", topology.orbital.transport.as_str());
    page.text("ack_budget", topology.orbital.ack_budget);
    let (budget, resend) = (topology.orbital.critical_ack_budget, topology.orbital.critical_resend);
    page.inline("critical", &[("ack_budget", budget.to_string()), ("resend", resend.to_string())]);
    for (name, part) in &topology.l1 {
        l1(&mut page, name, part);
    }
    for (name, rule) in &topology.residency {
        page.header(&["residency", name]);
        page.list("allow", &rule.allow);
        page.text("material_leaves", rule.material_leaves.as_str());
    }
    for (name, part) in &topology.regions {
        region(&mut page, name.as_str(), part);
    }
    for (name, part) in &topology.notify {
        notify(&mut page, name.as_str(), part);
    }
    if !topology.pins.is_empty() {
        page.header(&["pin"]);
        topology.pins.iter().for_each(|(name, id)| page.text(name.as_str(), id));
    }
    page.0
}

fn ledger(page: &mut Page, ledger: &Ledger) {
    let path = |path: &Path| quoted(&path.display().to_string());
    let mut fields = vec![("kind", quoted(ledger.kind().as_str()))];
    match ledger {
        Ledger::Redb { path: file } => fields.extend(file.as_ref().map(|file| ("path", path(file)))),
        Ledger::Postgres(at) => {
            let hosts: Vec<String> = at.hosts.iter().map(|host| quoted(&host.to_string())).collect();
            fields.extend([("hosts", format!("[{}]", hosts.join(", ")))]);
            fields.extend([("database", quoted(&at.database)), ("user", quoted(&at.user))]);
            let files = [("password_file", at.password_file.as_ref()), ("ca", at.ca.as_ref())];
            let own = [("cert", at.own.as_ref().map(|own| &own.0)), ("key", at.own.as_ref().map(|own| &own.1))];
            fields.extend(files.into_iter().chain(own).filter_map(|(name, file)| Some((name, path(file?)))));
        }
    }
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    page.raw("ledger", format_args!("{{ {} }}", fields.join(", ")));
}

/// What each place of governance has for itself.
fn place(page: &mut Page, part: &Governance) {
    page.maybe("address", part.address.as_ref());
    page.text("rest", part.rest);
    page.text("orbital", part.orbital);
    page.text("orbital_critical", part.orbital_critical);
    page.text("health", part.health);
    page.path("store", &part.store);
}

fn standby(page: &mut Page, name: &str, part: &Governance, main: &Governance) {
    page.header(&["governance", "standby", name]);
    place(page, part);
    for (name, own, theirs) in
        [("rest_tls", &part.rest_tls, &main.rest_tls), ("orbital_tls", &part.orbital_tls, &main.orbital_tls)]
    {
        if own != theirs {
            page.mutual(name, own);
        }
    }
}

fn governance(page: &mut Page, part: &Governance) {
    page.header(&["governance"]);
    page.text("node", &part.node);
    place(page, part);
    ledger(page, &part.ledger);
    page.mutual("rest_tls", &part.rest_tls);
    page.mutual("orbital_tls", &part.orbital_tls);
    page.path("frame_key", &part.frame_key);
    page.text("frame_public", part.frame_public);
    if !part.operators.is_empty() {
        let operators: Vec<String> = part.operators.iter().map(ToString::to_string).collect();
        page.list("operators", &operators);
    }
    page.maybe("portal", part.portal.as_ref());
    if let Some(lease) = &part.lease {
        page.path("lease_key", &lease.key);
        page.text("lease_public", lease.public);
    }
    if let Some(checkpoint) = &part.checkpoint {
        page.path("checkpoint_key", &checkpoint.key);
        page.text("checkpoint_public", checkpoint.public);
    }
    if let Some(part) = &part.login {
        login::write(page, part);
    }
}

fn notify(page: &mut Page, name: &str, part: &Notify) {
    page.header(&["notify", name]);
    page.text("kind", part.target.kind().as_str());
    match &part.target {
        NotifyTarget::Slack { url_file } => page.path("url_file", url_file),
        NotifyTarget::Pagerduty { url, key_file } => {
            page.maybe("url", url.as_ref());
            page.path("key_file", key_file);
        }
        NotifyTarget::Webhook { url, secret_file } => {
            match url {
                NotifyUrl::Plain(url) => page.text("url", url),
                NotifyUrl::File(file) => page.path("url_file", file),
            }
            page.path("secret_file", secret_file);
        }
        NotifyTarget::Smtp { host, port, tls, from, login, to } => {
            page.text("host", host);
            page.raw("port", port);
            page.text("tls", tls.as_str());
            page.text("from", from);
            if let Some((user, file)) = login {
                page.text("user", user);
                page.path("password_file", file);
            }
            if !to.is_empty() {
                page.list("to", &to.iter().map(ToString::to_string).collect::<Vec<_>>());
            }
        }
    }
    page.maybe("ca", part.ca.as_ref().map(|p| p.display()));
    if !part.tenants.is_empty() {
        page.list("tenants", &part.tenants.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    if part.default {
        page.raw("default", true);
    }
}

fn l1(page: &mut Page, name: &str, part: &L1) {
    page.header(&["l1", name]);
    page.text("provider", part.provider.kind().as_str());
    let tenants: Vec<String> = part.tenants.iter().map(ToString::to_string).collect();
    page.list("tenants", &tenants);
    page.text("mode", part.mode.as_str());
    page.text("jurisdiction", &part.jurisdiction);
    match &part.provider {
        L1Provider::AwsKms { region, endpoint } => {
            page.text("region", region);
            page.maybe("endpoint", endpoint.as_ref());
        }
        L1Provider::AzureKeyVault { endpoint, login, directory, ca } => {
            page.text("endpoint", endpoint);
            page.text("login", login);
            page.text("directory", directory);
            page.path("ca", ca);
        }
        L1Provider::GoogleKms { endpoint, ca } => {
            page.text("endpoint", endpoint);
            page.path("ca", ca);
        }
        L1Provider::Kmip { address, ca } => {
            page.text("address", address);
            page.path("ca", ca);
        }
        L1Provider::VaultTransit { endpoint, ca, mount, namespace } => {
            page.text("endpoint", endpoint);
            page.path("ca", ca);
            page.text("mount", mount);
            page.maybe("namespace", namespace.as_ref());
        }
        L1Provider::Pkcs11 { module, token_label, token_serial } => {
            page.path("module", module);
            page.text("token_label", token_label);
            page.maybe("token_serial", token_serial.as_ref());
        }
        L1Provider::Soft { node, listen, store } => {
            page.text("node", node);
            page.text("listen", listen);
            page.path("store", store);
        }
    }
    page.text("probe", part.probe);
    for (region, auth) in &part.auth {
        page.header(&["l1", name, "auth", region.as_str()]);
        page.maybe("credentials_file", auth.credentials_file.as_ref().map(|p| p.display()));
        page.maybe("role_arn", auth.role_arn.as_ref());
    }
}

fn region(page: &mut Page, name: &str, part: &RegionPart) {
    page.header(&["region", name]);
    page.text("jurisdiction", &part.jurisdiction);
    page.list("residency", &part.residency);
    page.list("l1", &part.l1);
    page.text("report_public", part.report_public);
    page.text("hpke_public", part.hpke_public);
    if let Some(autonomy) = part.autonomy {
        let fields = [("serve_cached", autonomy.serve_cached.to_string()), ("then", autonomy.then.as_str().to_owned())];
        page.inline("autonomy", &fields);
    }
    let mut cache = vec![("locked_memory", part.locked_memory.to_string())];
    cache.extend(part.idle_evict.map(|span| ("idle_evict", span.to_string())));
    page.inline("cache", &cache);
    for (node, part) in &part.nodes {
        page.header(&["region", name, "node", node.as_str()]);
        self::node(page, part);
    }
    for (edge, part) in &part.edges {
        page.header(&["region", name, "edge", edge.as_str()]);
        self::edge(page, part);
    }
}

fn node(page: &mut Page, part: &CryptoNode) {
    page.maybe("kmip", part.kmip.as_ref().map(|k| k.listen));
    page.maybe("kmip_https", part.kmip.as_ref().and_then(|k| k.https));
    page.text("stop", part.stop);
    page.text("health", part.health);
    page.path("store", &part.store);
    page.path("highwater", &part.highwater);
    if let Some(kmip) = &part.kmip {
        page.server("kmip_tls", &kmip.tls);
    }
    page.mutual("orbital_tls", &part.orbital_tls);
    page.path("frame_key", &part.frame_key);
    page.text("frame_public", part.frame_public);
    page.path("report_key", &part.report_key);
    page.path("hpke_key", &part.hpke_key);
    page.maybe("zone", part.zone.as_ref());
}

fn edge(page: &mut Page, part: &Edge) {
    page.text("kmip", part.kmip);
    page.list("peers", &part.peers);
    let quota = [("ops_per_s", part.ops_per_s), ("connections", part.connections)];
    let quota: Vec<String> = quota.iter().filter_map(|(name, limit)| limit.map(|l| format!("{name} = {l}"))).collect();
    if !quota.is_empty() {
        page.raw("quota", format_args!("{{ {} }}", quota.join(", ")));
    }
}
