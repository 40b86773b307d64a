//! Which fields of a topology are governed: what no operator changes alone (DESIGN §4, ApplyTopology).
//!
//! A field is governed unless it is listed here as free, so that a field that a later schema adds cannot become a way round the people
//! who decide. Free is what only moves load and places: addresses, folders, sizes, pauses, and where a node keeps its own keys.

use std::path::{Path, PathBuf};

use crate::{
    Checked,
    build::Base,
    reader::shapes,
    tree::{Node, Value},
};

shapes! {
    SitePart {
        required id: orbital::names::TenantId,
        required warrant: PathBuf,
    }
}

/// Who decides about the governed fields, and where their decision lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The digest of the genesis of the operators' trust root.
    pub id: orbital::names::TenantId,
    /// The file that proves what was decided: `kcm topology apply` writes it.
    pub warrant: PathBuf,
}

/// One field of a topology file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The names on the way to it, outermost first.
    pub path: Vec<String>,
    /// A text as it stands, a number or truth value in digits or words, a list as JSON.
    pub value: String,
    /// Whether an operator alone may change it.
    pub free: bool,
    /// A file whose content decides whom somebody trusts, and is governed, too.
    pub content: Option<PathBuf>,
}

/// Fields that only move load and places; `*` stands for one name.
const FREE: &[&[&str]] = &[
    &["generation"],
    &["site", "warrant"],
    &["governance", "address"],
    &["governance", "rest"],
    &["governance", "orbital"],
    &["governance", "orbital_critical"],
    &["governance", "health"],
    &["governance", "store"],
    &["governance", "portal"],
    &["governance", "standby", "*", "address"],
    &["governance", "standby", "*", "rest"],
    &["governance", "standby", "*", "orbital"],
    &["governance", "standby", "*", "orbital_critical"],
    &["governance", "standby", "*", "health"],
    &["governance", "standby", "*", "store"],
    &["orbital", "ack_budget"],
    &["l1", "*", "probe"],
    &["l1", "*", "listen"],
    &["l1", "*", "store"],
    &["region", "*", "cache", "locked_memory"],
    &["region", "*", "cache", "idle_evict"],
    &["region", "*", "node", "*", "kmip"],
    &["region", "*", "node", "*", "kmip_https"],
    &["region", "*", "node", "*", "stop"],
    &["region", "*", "node", "*", "health"],
    &["region", "*", "node", "*", "store"],
    &["region", "*", "node", "*", "highwater"],
    &["region", "*", "node", "*", "zone"],
    &["region", "*", "edge", "*", "kmip"],
    &["region", "*", "edge", "*", "quota", "ops_per_s"],
    &["region", "*", "edge", "*", "quota", "connections"],
    // Where a node keeps its own keys, and the certificates that others verify.
    &["governance", "frame_key"],
    &["governance", "lease_key"],
    &["governance", "checkpoint_key"],
    &["governance", "rest_tls", OWN],
    &["governance", "orbital_tls", OWN],
    &["governance", "ledger", OWN],
    &["governance", "standby", "*", "rest_tls", OWN],
    &["governance", "standby", "*", "orbital_tls", OWN],
    &["region", "*", "node", "*", "frame_key"],
    &["region", "*", "node", "*", "report_key"],
    &["region", "*", "node", "*", "hpke_key"],
    &["region", "*", "node", "*", "kmip_tls", OWN],
    &["region", "*", "node", "*", "orbital_tls", OWN],
];

/// Stands for `cert` and `key`.
const OWN: &str = "cert|key";

fn is_free(path: &[String]) -> bool {
    let named = |want: &str, name: &str| match want {
        "*" => true,
        OWN => matches!(name, "cert" | "key"),
        _ => want == name,
    };
    FREE.iter()
        .any(|pattern| pattern.len() == path.len() && pattern.iter().zip(path).all(|(want, name)| named(want, name)))
}

impl Checked {
    /// Every field of the file, in the order of their paths, the default of none.
    pub fn fields(&self) -> Vec<Field> {
        let mut found = Vec::new();
        if let Some(tree) = &self.tree {
            walk(tree, &mut Vec::new(), &Base(&self.base), &mut found);
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }
}

fn walk(node: &Node, path: &mut Vec<String>, base: &Base<'_>, found: &mut Vec<Field>) {
    if let Value::Table(entries) = &node.value {
        for (key, inner) in entries {
            path.push(key.text.clone());
            walk(inner, path, base, found);
            path.pop();
        }
        return;
    }
    let value = match &node.value {
        Value::Text(text) => text.clone(),
        other => json(other).to_string(),
    };
    // Whom a listener or a dialer trusts stands in a file.
    let content = path.last().filter(|last| *last == "ca").map(|_| base.path(Path::new(&value)));
    found.push(Field { path: path.clone(), value, free: is_free(path), content });
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Number(number) => (*number).into(),
        Value::Truth(truth) => (*truth).into(),
        Value::List(items) => items.iter().map(|item| json(&item.value)).collect(),
        Value::Table(entries) => entries
            .iter()
            .map(|(key, inner)| (key.text.clone(), json(&inner.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Other(name) => (*name).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Field> {
        fields("t.toml", text)
    }

    fn fields(name: &str, text: &str) -> Vec<Field> {
        crate::check(&Path::new("/etc/kcm").join(name), text).fields()
    }

    fn free(text: &str) -> Vec<(String, bool)> {
        of(text).into_iter().map(|field| (field.path.join("."), field.free)).collect()
    }

    #[test]
    fn what_only_moves_load_is_free_and_all_else_is_not() {
        let text = "generation = 3\nsomething_new = 1\n[region.eu]\nreport_public = \"x\"\n[region.eu.cache]\nlocked_memory = \"1GiB\"\n\
                    [region.eu.node.a]\nkmip = \"1.1.1.1:5696\"\nframe_key = \"k\"\nframe_public = \"p\"\norbital_tls = { ca = \"ca.pem\", cert = \"c\", key = \"k\" }\n";
        let expected = [
            ("generation", true),
            ("region.eu.cache.locked_memory", true),
            ("region.eu.node.a.frame_key", true),
            ("region.eu.node.a.frame_public", false),
            ("region.eu.node.a.kmip", true),
            ("region.eu.node.a.orbital_tls.ca", false),
            ("region.eu.node.a.orbital_tls.cert", true),
            ("region.eu.node.a.orbital_tls.key", true),
            ("region.eu.report_public", false),
            ("something_new", false),
        ];
        assert_eq!(free(text), expected.map(|(path, free)| (path.to_owned(), free)));
    }

    #[test]
    fn what_the_ecosystem_page_names_as_governed_is() {
        let paths =
            ["residency.eu.allow", "l1.a.endpoint", "l1.a.mode", "l1.a.auth.eu.role_arn", "tls.identity", "pin.acme"];
        let more =
            ["region.eu.autonomy.serve_cached", "orbital.critical.ack_budget", "region.eu.edge.e.peers", "site.id"];
        for path in paths.into_iter().chain(more) {
            let path: Vec<_> = path.split('.').map(str::to_owned).collect();
            assert!(!is_free(&path), "{path:?}");
        }
        // A tenant or region called as a free field is none.
        for path in [&["pin", "store"][..], &["pin", "key"], &["governance", "login", "groups", "cert"], &["key"]] {
            assert!(!is_free(&path.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()), "{path:?}");
        }
    }

    #[test]
    fn values_are_texts_whatever_the_format_and_the_content_of_a_ca_counts() {
        let toml = of("a = [\"x\", \"y\"]\nb = true\nc = 3\n[t]\nca = \"ca/x.pem\"\n");
        let json = fields("t.json", r#"{"t": {"ca": "ca/x.pem"}, "c": 3, "b": true, "a": ["x", "y"]}"#);
        assert_eq!(toml, json);
        let values: Vec<_> = toml.iter().map(|field| field.value.as_str()).collect();
        assert_eq!(values, ["[\"x\",\"y\"]", "true", "3", "ca/x.pem"]);
        assert_eq!(
            toml.iter().filter_map(|f| f.content.clone()).collect::<Vec<_>>(),
            [PathBuf::from("/etc/kcm/ca/x.pem")]
        );
    }
}
