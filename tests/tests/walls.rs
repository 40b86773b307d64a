//! Who imports whom: the table of DESIGN §6, held against `cargo metadata` and the sources.

#[cfg(test)]
mod walls {
    use std::collections::{BTreeMap, BTreeSet};

    use cargo_metadata::{DependencyKind, MetadataCommand};
    use tests::tree::{code, root, sources};

    /// Crate, and the crates of this workspace that it may import.
    const MAY_IMPORT: [(&str, &[&str]); 14] = [
        ("kmip", &[]),
        ("orbital", &[]),
        ("ledger", &[]),
        ("seats", &[]),
        ("policy", &["orbital"]),
        ("topology", &["orbital"]),
        ("governance", &["ledger", "orbital", "policy"]),
        ("custody", &["kmip", "ledger", "orbital"]),
        ("kmip-server", &["custody", "kmip", "orbital", "policy", "seats"]),
        ("portal-api", &["governance", "orbital", "seats"]),
        ("node", &BELOW_NODE),
        ("chaos", &BELOW_CHAOS),
        ("fuzz", &["kmip", "kmip-server"]),
        ("tests", &BELOW_TESTS),
    ];
    const BELOW_NODE: [&str; 10] = [
        "custody",
        "governance",
        "kmip",
        "kmip-server",
        "ledger",
        "orbital",
        "policy",
        "portal-api",
        "seats",
        "topology",
    ];
    const BELOW_CHAOS: [&str; 10] = [
        "custody",
        "governance",
        "kmip",
        "kmip-server",
        "ledger",
        "node",
        "orbital",
        "policy",
        "portal-api",
        "topology",
    ];
    const BELOW_TESTS: [&str; 11] = [
        "chaos",
        "custody",
        "governance",
        "kmip",
        "kmip-server",
        "ledger",
        "node",
        "orbital",
        "policy",
        "portal-api",
        "topology",
    ];

    /// Crate from outside, and the crates of this workspace that alone may import it. Every other crate reaches it through them.
    const OWNED: [(&str, &[&str]); 16] = [
        ("aws-config", &["custody"]),
        ("aws-credential-types", &["custody"]),
        ("aws-sdk-kms", &["custody"]),
        ("aws-sdk-sts", &["custody"]),
        ("bincode", &["orbital"]),
        ("cedar-policy", &["policy"]),
        ("cryptoki", &["custody"]),
        ("lettre", &["governance"]),
        ("libc", &["custody"]),
        ("libfuzzer-sys", &["fuzz"]),
        ("memsec", &["custody"]),
        ("mimalloc", &["node"]),
        ("redb", &["custody", "ledger"]),
        ("serde-saphyr", &["topology"]),
        ("thread-priority", &["node"]),
        ("tokio-postgres", &["ledger"]),
    ];

    /// The wall: no path of imports leads from the first to the second.
    const NEVER_REACHES: [(&str, &[&str]); 4] = [
        ("governance", &["custody", "kmip", "kmip-server", "aws-sdk-kms"]),
        ("portal-api", &["custody", "kmip", "kmip-server", "aws-sdk-kms"]),
        ("custody", &["governance", "policy", "portal-api", "cedar-policy"]),
        ("kmip-server", &["governance", "portal-api"]),
    ];

    /// The crates that see no more of orbital than its names.
    const NAMES_ONLY: [&str; 2] = ["topology/src/", "kmip/server/src/"];

    type Graph = BTreeMap<String, BTreeSet<String>>;

    /// Every crate of the workspace with what it imports outside tests, crates from outside included.
    fn imports() -> Graph {
        let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
        let normal = |package: &cargo_metadata::Package| {
            let kept = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
            kept.map(|d| d.name.clone()).collect()
        };
        metadata.packages.iter().map(|package| (package.name.to_string(), normal(package))).collect()
    }

    fn reached(graph: &Graph, from: &str) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from.to_owned()];
        while let Some(at) = open.pop() {
            for next in graph.get(&at).into_iter().flatten() {
                if reached.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        reached
    }

    #[test]
    fn each_crate_imports_what_the_table_allows() {
        let graph = imports();
        let known: BTreeMap<&str, &[&str]> = MAY_IMPORT.into_iter().collect();
        let mut findings = Vec::new();
        for (name, imports) in &graph {
            let Some(allowed) = known.get(name.as_str()) else {
                findings.push(format!("{name}: not in the table of DESIGN §6"));
                continue;
            };
            let ours = imports.iter().filter(|import| graph.contains_key(*import));
            findings.extend(ours.filter(|i| !allowed.contains(&i.as_str())).map(|i| format!("{name} imports {i}")));
        }
        assert_eq!(graph.len(), MAY_IMPORT.len(), "the table and the workspace name the same crates");
        assert!(findings.is_empty(), "against DESIGN §6:\n{}", findings.join("\n"));
    }

    #[test]
    fn no_path_leads_through_the_wall() {
        let graph = imports();
        for (from, never) in NEVER_REACHES {
            let reached = reached(&graph, from);
            assert!(!reached.is_empty(), "{from} has no imports at all: is it still called that?");
            for to in never {
                assert!(!reached.contains(*to), "{from} reaches {to}");
            }
        }
    }

    #[test]
    fn what_one_crate_owns_no_other_imports() {
        let graph = imports();
        for (crate_, owners) in OWNED {
            let importers: Vec<&str> =
                graph.iter().filter(|(_, imports)| imports.contains(crate_)).map(|(name, _)| name.as_str()).collect();
            assert!(
                importers.iter().all(|i| owners.contains(i)),
                "{crate_} belongs to {owners:?}, imported by {importers:?}"
            );
        }
    }

    #[test]
    fn the_reach_of_a_path_is_seen() {
        let edge = |from: &str, to: &[&str]| (from.to_owned(), to.iter().map(|t| (*t).to_owned()).collect());
        let graph: Graph = [edge("a", &["b"]), edge("b", &["c"]), edge("c", &["a"]), edge("d", &[])].into();
        assert_eq!(reached(&graph, "a"), ["a", "b", "c"].map(str::to_owned).into());
    }

    #[test]
    fn unsafe_is_the_vaults_alone() {
        let marks =
            ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait", "unsafe(", "(unsafe_code"];
        let (mut findings, mut in_vault) = (Vec::new(), 0);
        for source in sources().unwrap().iter().filter(|s| s.is_rust() && s.path != "tests/tests/walls.rs") {
            let hits = (1..).zip(source.text.lines()).filter(|(_, line)| marks.iter().any(|m| code(line).contains(m)));
            for (at, line) in hits {
                if source.path.starts_with("actors/custody/src/vault/") {
                    in_vault += 1;
                } else {
                    findings.push(format!("{}:{at}: {}", source.path, line.trim()));
                }
            }
        }
        assert!(findings.is_empty(), "`unsafe` outside actors/custody/src/vault:\n{}", findings.join("\n"));
        assert!(in_vault > 0, "the vault has none either: is this test still looking at the right place?");
    }

    #[test]
    fn bincode_is_the_codecs_alone() {
        let sources = sources().unwrap();
        let uses = sources.iter().filter(|s| s.is_rust() && s.path != "tests/tests/walls.rs");
        let uses = uses.filter(|s| s.text.lines().any(|line| code(line).contains("bincode")));
        let paths: Vec<&str> = uses.map(|s| s.path.as_str()).collect();
        assert_eq!(paths, ["actors/orbital/src/codec.rs"], "DESIGN §2.14: one codec module alone");
    }

    #[test]
    fn some_crates_see_only_the_names_of_orbital() {
        let sources = sources().unwrap();
        let mut findings = Vec::new();
        for source in
            sources.iter().filter(|s| NAMES_ONLY.iter().any(|folder| s.path.starts_with(folder)) && s.is_rust())
        {
            for (at, line) in source.product_lines() {
                let beyond = code(line).split("orbital::").skip(1).find(|rest| !rest.starts_with("names"));
                findings.extend(beyond.map(|_| format!("{}:{at}: {}", source.path, line.trim())));
            }
        }
        assert!(findings.is_empty(), "more of orbital than its names:\n{}", findings.join("\n"));
    }
}
