//! The governed part of a topology file: what no operator changes alone, as operators and tenants sign it.
//!
//! It is a flat list of fields, each by its JSON pointer (RFC 6901) with its value as text, so that nobody needs a reader of topology
//! files to see what they sign, and two files that say the same have the same bytes. Which fields are governed says the topology crate.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    canon::{self, Malformed},
    names::TenantId,
};

/// Longest governed part of a topology, in bytes: a change that carries it is still a statement.
pub const GOVERNED_BYTES_MAX: usize = 128 * 1024;
/// What stands behind the pointer of a file whose content is governed, too: its SHA-256.
pub const CONTENT: &str = "/sha256";

/// Governed fields by their pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Governed(BTreeMap<String, String>);

/// A field in which two topologies differ; a side that does not have it is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference<'g> {
    pub pointer: &'g str,
    pub before: Option<&'g str>,
    pub after: Option<&'g str>,
}

impl FromIterator<(String, String)> for Governed {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// A name as one part of a pointer.
pub fn escape(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The names in a list, as a field holds it: JSON.
fn listed(text: &str) -> BTreeSet<String> {
    serde_json::from_str(text).unwrap_or_default()
}

impl Governed {
    /// # Errors
    /// [`Malformed::TooLarge`] beyond [`GOVERNED_BYTES_MAX`], and what [`canon::write`] refuses.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        let bytes = canon::write("a governed topology", &self.0)?;
        if bytes.len() > GOVERNED_BYTES_MAX { Err(Malformed::TooLarge(bytes.len())) } else { Ok(bytes) }
    }

    /// # Errors
    /// Where the bytes are not the one spelling of such a list.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > GOVERNED_BYTES_MAX {
            return Err(Malformed::TooLarge(bytes.len()));
        }
        canon::read("a governed topology", bytes).map(Self)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(pointer, value)| (pointer.as_str(), value.as_str()))
    }

    pub fn get(&self, pointer: &str) -> Option<&str> {
        self.0.get(pointer).map(String::as_str)
    }

    /// Every field in which `next` differs, by pointer.
    pub fn differences<'g>(&'g self, next: &'g Self) -> Vec<Difference<'g>> {
        let pointers: BTreeSet<_> = self.0.keys().chain(next.0.keys()).collect();
        let both = pointers.into_iter().map(|p| Difference { pointer: p, before: self.get(p), after: next.get(p) });
        both.filter(|difference| difference.before != difference.after).collect()
    }

    /// The pinned tenants whose L1, residency or trust `next` moves: each of them has to certify it, too (DESIGN §4). A tenant that is
    /// pinned for the first time has nothing yet that could be moved.
    pub fn moves(&self, next: &Self) -> BTreeSet<TenantId> {
        let differences = self.differences(next);
        let touched = differences.iter().map(|d| d.pointer.split('/').skip(1).map(unescape).collect::<Vec<_>>());
        let names = touched.flat_map(|parts| {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            [self, next].into_iter().flat_map(|side| side.concerned(&parts)).collect::<Vec<_>>()
        });
        names.filter_map(|name| self.get(&format!("/pin/{}", escape(&name)))?.parse().ok()).collect()
    }

    /// The tenants, by label, whom a field of this topology concerns.
    fn concerned(&self, parts: &[&str]) -> BTreeSet<String> {
        match parts {
            ["pin", name] => [(*name).to_owned()].into(),
            ["l1", l1, ..] => self.of_l1(l1),
            ["region", region, ..] => self.of_region(region),
            ["residency", rule, ..] => {
                let under = |region: &String| self.names(&["region", region, "residency"]).contains(*rule);
                self.regions().into_iter().filter(under).flat_map(|region| self.of_region(&region)).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    fn names(&self, parts: &[&str]) -> BTreeSet<String> {
        let pointer: String = parts.iter().map(|part| format!("/{}", escape(part))).collect();
        self.get(&pointer).map(listed).unwrap_or_default()
    }

    fn of_l1(&self, l1: &str) -> BTreeSet<String> {
        self.names(&["l1", l1, "tenants"])
    }

    /// A tenant is in each region that may unseal with an L1 of its own.
    fn of_region(&self, region: &str) -> BTreeSet<String> {
        self.names(&["region", region, "l1"]).iter().flat_map(|l1| self.of_l1(l1)).collect()
    }

    fn regions(&self) -> BTreeSet<String> {
        let region = |pointer: &String| pointer.strip_prefix("/region/")?.split('/').next().map(unescape);
        self.0.keys().filter_map(region).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{names::Digest, sign::Kind};

    fn id(name: &str) -> TenantId {
        TenantId(Kind::Trust.digest(name.as_bytes()))
    }

    /// Two tenants: acme in both regions, globex in the second alone.
    fn site() -> Governed {
        let fields = [
            ("/development", "true"),
            ("/governance/operators", "[\"root\"]"),
            ("/l1/acme-aws/tenants", "[\"acme\"]"),
            ("/l1/acme-aws/mode", "byok"),
            ("/l1/soft/tenants", "[\"globex\"]"),
            ("/l1/soft/jurisdiction", "DE"),
            ("/region/ch/l1", "[\"acme-aws\"]"),
            ("/region/ch/residency", "[\"swiss\"]"),
            ("/region/eu/l1", "[\"acme-aws\",\"soft\"]"),
            ("/region/eu/residency", "[\"europe\"]"),
            ("/residency/europe/allow", "[\"EU\"]"),
            ("/residency/swiss/allow", "[\"CH\"]"),
        ];
        let pins = ["acme", "globex"].map(|name| (format!("/pin/{name}"), id(name).to_string()));
        fields.into_iter().map(|(p, v)| (p.to_owned(), v.to_owned())).chain(pins).collect()
    }

    fn with(pointer: &str, value: Option<&str>) -> Governed {
        let mut next = site();
        match value {
            Some(value) => next.0.insert(pointer.to_owned(), value.to_owned()),
            None => next.0.remove(pointer),
        };
        next
    }

    #[test]
    fn a_governed_part_may_be_as_long_as_the_limit() {
        const MAX: usize = 128 * 1024;
        let of = |bytes: usize| Governed::from_iter([("/a".to_owned(), "x".repeat(bytes))]);
        let frame = of(0).to_bytes().unwrap().len();
        let longest = of(MAX - frame).to_bytes().unwrap();
        assert_eq!(of(1).iter().collect::<Vec<_>>(), [("/a", "x")]);
        assert_eq!(longest.len(), MAX);
        assert_eq!(Governed::from_bytes(&longest), Ok(of(MAX - frame)));
        let beyond = canon::write("a governed topology", &of(MAX - frame + 1).0).unwrap();
        assert_eq!(of(MAX - frame + 1).to_bytes(), Err(Malformed::TooLarge(MAX + 1)));
        assert_eq!(Governed::from_bytes(&beyond), Err(Malformed::TooLarge(MAX + 1)));
    }

    #[test]
    fn a_topology_moves_the_tenants_whose_l1_residency_or_trust_it_touches_and_no_other() {
        let (acme, globex) = (id("acme"), id("globex"));
        let other = Digest([7; 32]).to_string();
        let cases: &[(&str, Option<&str>, &[TenantId])] = &[
            ("/development", None, &[]),
            ("/governance/operators", Some("[\"other\"]"), &[]),
            ("/l1/acme-aws/mode", Some("hyok"), &[acme]),
            ("/l1/acme-aws/endpoint", Some("http://elsewhere"), &[acme]),
            ("/l1/soft/jurisdiction", Some("US"), &[globex]),
            // Who gets an L1 taken away, and who gets in.
            ("/l1/acme-aws/tenants", Some("[\"globex\"]"), &[acme, globex]),
            ("/region/ch/l1", Some("[\"soft\"]"), &[acme, globex]),
            ("/region/ch/report_public", Some("x"), &[acme]),
            ("/residency/europe/allow", Some("[\"EU\",\"US\"]"), &[acme, globex]),
            ("/residency/swiss/allow", Some("[\"US\"]"), &[acme]),
            ("/pin/acme", Some(&other), &[acme]),
            ("/pin/globex", None, &[globex]),
            ("/pin/newcomer", Some(&other), &[]),
        ];
        for (pointer, value, moved) in cases {
            let next = with(pointer, *value);
            assert_eq!(site().moves(&next), moved.iter().copied().collect(), "{pointer}");
            assert_eq!(site().differences(&next).len(), 1, "{pointer}");
        }
        assert!(site().moves(&site()).is_empty() && Governed::default().moves(&site()).is_empty());
    }

    #[test]
    fn names_with_slashes_are_one_part_of_a_pointer() {
        let name = "a/b~1c";
        assert_eq!(unescape(&escape(name)), name);
        let fields = [
            (format!("/l1/{}/tenants", escape(name)), "[\"acme\"]".to_owned()),
            ("/pin/acme".to_owned(), id("acme").to_string()),
        ];
        let now: Governed = fields.into_iter().collect();
        let mut next = now.clone();
        next.0.insert(format!("/l1/{}/mode", escape(name)), "hyok".into());
        assert_eq!(now.moves(&next), [id("acme")].into());
    }

    #[test]
    fn only_the_one_spelling_reads() {
        let bytes = site().to_bytes().unwrap();
        assert_eq!(Governed::from_bytes(&bytes).unwrap(), site());
        let spaced = String::from_utf8(bytes).unwrap().replacen(':', ": ", 1);
        assert!(matches!(Governed::from_bytes(spaced.as_bytes()), Err(Malformed::NotCanonical { .. })));
        let huge = with("/development", Some(&"x".repeat(GOVERNED_BYTES_MAX)));
        assert!(matches!(huge.to_bytes(), Err(Malformed::TooLarge(_))));
        assert!(matches!(Governed::from_bytes(&vec![b'x'; GOVERNED_BYTES_MAX + 1]), Err(Malformed::TooLarge(_))));
    }
}
