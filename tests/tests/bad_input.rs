//! What people get wrong, with the real binary: topology files, too little lockable memory, approvals that can't count. Each answer
//! says what is wrong and what to do, and nothing is lost.

#[path = "support/foreign.rs"]
#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::support::{Demo, Ran, WAIT, bounded, kcm_path, until};

    fn check(sample: &str, arguments: &[&str]) -> Ran {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology/samples").join(sample);
        Ran::of(&bounded(&kcm_path()).args(arguments).args(["topology", "check"]).arg(file).output().unwrap())
    }

    #[test]
    fn a_topology_with_errors_is_refused_with_code_place_and_remedy() {
        let unknown = check("t0101_unknown_field_bad.toml", &[]).ends_with(2);
        unknown.says(&["T0101", "favourite", "t0101_unknown_field_bad.toml:"]);
        let residency = check("t0201_residency_bad.toml", &[]).ends_with(2);
        residency.says(&["T0201", "residency rule", "this jurisdiction", "Move the region"]);
        let json = check("t0201_residency_bad.toml", &["-o", "json"]).ends_with(2);
        assert!(json.json().to_string().contains("T0201"), "{}", json.said());
        check("demo.toml", &[]).ends_with(0).says(&["is in order"]);
        check("absent.toml", &[]).ends_with(2).says(&["absent.toml", "check the path"]);
    }

    #[test]
    fn a_region_that_may_lock_too_little_memory_refuses_to_start() {
        let demo = Demo::start();
        let mut command = bounded(Path::new("prlimit"));
        command.args(["--memlock=65536:65536", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "--"]);
        command.arg(kcm_path()).args(["run", "--node", "fra-1"]).arg(demo.dir.join("topology.toml"));
        let ran = Ran::of(&command.output().unwrap());
        if ran.stderr.contains("setpriv:") || ran.stderr.contains("prlimit:") {
            println!("too little lockable memory: skipped: setpriv and prlimit are needed to lower the limit");
            return;
        }
        ran.ends_with(6).says(&["RLIMIT_MEMLOCK is 65536 bytes", "LimitMEMLOCK=", "ulimit -l"]);
        demo.kcm("alice", &["status"]).ends_with(0);
    }

    fn shown(demo: &Demo, id: &str) -> Value {
        demo.json("alice", &["proposal", "show", id]).ends_with(0).json()
    }

    /// Has it approved by whoever may, until it is decided, and waits until it is in force everywhere.
    fn ratify(demo: &Demo, id: &str) {
        loop {
            let proposal = shown(demo, id);
            if proposal["state"] != "open" {
                break;
            }
            let person = proposal["may_sign"][0].as_str().unwrap_or_else(|| panic!("nobody may sign: {proposal}"));
            let done = demo.kcm(person, &["proposal", "approve", id]);
            assert!(matches!(done.code, 0 | 3), "{person}: {}", done.said());
        }
        until("it is in force", || shown(demo, id)["state"].clone(), |state| state == "active");
    }

    #[test]
    fn the_proposer_never_approves() {
        let demo = Demo::start();
        let id = demo.propose("carol", &["revoke", "propose", "--tenant", "acme", "--reason", "test"]);
        let refused = demo.kcm("carol", &["proposal", "approve", &id]).ends_with(4);
        refused.says(&["carol", "proposer", "another person"]);
        let bob = demo.kcm("bob", &["proposal", "approve", &id]);
        assert_ne!(bob.code, 0, "bob is in no group that this asks for: {}", bob.said());
        let proposal = shown(&demo, &id);
        assert_eq!((&proposal["state"], proposal["approvals"].as_array().unwrap().len()), (&"open".into(), 0));
        demo.approve("dave", &id);
    }

    #[test]
    fn an_approver_removed_meanwhile_counts_no_more() {
        let demo = Demo::start();
        let key = demo.dir.join("lena.key");
        let (key, enrolment) = (key.to_str().unwrap(), demo.dir.join("lena.enrolment"));
        demo.kcm("alice", &["actor", "keygen", "--person", "lena", "--out", key]).ends_with(0);
        let enrolment = enrolment.to_str().unwrap();
        demo.kcm("lena", &["--key", key, "actor", "enrol", "--tenant", "acme", "--out", enrolment]).ends_with(0);
        // Someone has to take bob's place first: each rule must stay one that any one person's absence can't block.
        let alone = demo.kcm("erin", &["actor", "remove", "bob", "--tenant", "acme", "--reason", "left"]);
        assert_ne!(alone.code, 3, "{}", alone.said());
        alone.says(&["Compliance_Legal"]);
        let add = ["actor", "add", "lena", "--tenant", "acme", "--group", "Compliance_Legal", "--enrolment", enrolment];
        ratify(&demo, &demo.propose("erin", &add));

        demo.revoke("acme");
        let restore = demo.propose("alice", &["key", "restore", "--tenant", "acme", "--reason", "test"]);
        demo.kcm("bob", &["proposal", "approve", &restore]).ends_with(0);
        assert_eq!(shown(&demo, &restore)["approvals"].as_array().unwrap().len(), 1);
        ratify(&demo, &demo.propose("erin", &["actor", "remove", "bob", "--tenant", "acme", "--reason", "left"]));

        // The change of people voids what was approved under the old ones, and says so.
        let after = shown(&demo, &restore);
        assert_eq!(after["state"], "failed", "{after}");
        let why = after["why"].as_str().unwrap();
        assert!(why.contains("ChangeActors") && why.contains("collect the approvals anew"), "{why}");
        demo.kcm("carol", &["proposal", "approve", &restore]).ends_with(4);

        let anew = demo.propose("alice", &["key", "restore", "--tenant", "acme", "--reason", "test"]);
        let bob = demo.kcm("bob", &["proposal", "approve", &anew]).ends_with(4);
        bob.says(&["bob cannot sign for tenant acme", "sign as one of those persons"]);
        for person in ["carol", "dave"] {
            demo.kcm(person, &["proposal", "approve", &anew]).ends_with(0);
        }
        let open = shown(&demo, &anew);
        assert_eq!((&open["state"], &open["missing"][0]), (&"open".into(), &"Compliance_Legal".into()), "{open}");
        demo.kcm("lena", &["--key", key, "proposal", "approve", &anew, "--wait", WAIT]).ends_with(0);
    }
}
