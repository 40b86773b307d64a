//! Governance on a full disk: a proposal is refused with words that help, a kill still goes through, and nothing that was there is lost.
//!
//! Needs a small tmpfs of its own, so it runs where mounting one is allowed and says so where it isn't.

#[path = "support/foreign.rs"]
#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Write,
        path::{Path, PathBuf},
        process::Command,
    };

    use serde_json::Value;

    use super::support::{Demo, Ran};

    /// Proposals until the database has used up the pages that it has; each holds 2 KiB of text.
    const PROPOSALS_MAX: usize = 200;

    /// A tmpfs over a store's folder; unmounted at the end, failed test or not.
    struct Small(PathBuf);

    impl Small {
        /// Mounts over the folder, which keeps its files.
        fn over(store: &Path) -> Option<Self> {
            let kept: Vec<_> = fs::read_dir(store).unwrap().flatten().map(|file| file.path()).collect();
            let aside = tempfile::tempdir().unwrap();
            for file in &kept {
                fs::copy(file, aside.path().join(file.file_name().unwrap())).unwrap();
            }
            let mount =
                Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs"]).arg(store).output();
            if !mount.ok()?.status.success() {
                return None;
            }
            let small = Self(store.to_owned());
            for file in fs::read_dir(aside.path()).unwrap().flatten() {
                fs::copy(file.path(), store.join(file.file_name())).unwrap();
            }
            Some(small)
        }

        fn fill(&self) {
            let mut bytes = 4 << 20;
            let mut filler = fs::File::create(self.0.join("filler")).unwrap();
            while bytes > 0 {
                if filler.write_all(&vec![1; bytes]).is_err() {
                    bytes /= 2;
                }
            }
        }

        fn empty(&self) {
            fs::remove_file(self.0.join("filler")).unwrap();
        }
    }

    impl Drop for Small {
        fn drop(&mut self) {
            // A test that is over has nobody to tell.
            drop(Command::new("umount").arg("-l").arg(&self.0).output());
        }
    }

    /// What a person's key file has signed as next versions of a trust.
    fn record(demo: &Demo, person: &str) -> PathBuf {
        let context: Value = serde_json::from_slice(&fs::read(demo.context()).unwrap()).unwrap();
        let known = context["actors"].as_array().unwrap().iter().find(|actor| actor["name"] == person).unwrap();
        demo.dir.join(format!("{}.successors.json", known["key"].as_str().unwrap()))
    }

    fn register(demo: &Demo, number: usize) -> Ran {
        // Each as if it were signed where nobody knows of the others: one key signs one successor of a version.
        drop(fs::remove_file(record(demo, "alice")));
        let (name, reason) = (format!("system-{number}"), "r".repeat(2000));
        demo.json("alice", &["system", "register", &name, "--tenant", "globex", "--reason", &reason])
    }

    fn proposals(demo: &Demo) -> usize {
        let listed = demo.json("alice", &["proposal", "list", "--tenant", "globex"]).ends_with(0);
        listed.json()["items"].as_array().unwrap().len()
    }

    #[test]
    fn a_full_disk_refuses_proposals_takes_a_kill_and_loses_nothing() {
        let mut demo = Demo::start();
        demo.kill("gov-1");
        let Some(small) = Small::over(&demo.dir.join("gov-1/store")) else {
            println!("governance on a full disk: skipped: a tmpfs cannot be mounted here");
            return;
        };
        demo.run("gov-1");
        demo.governed();
        let before = proposals(&demo);

        small.fill();
        let mut made = 0;
        let refused = loop {
            let ran = register(&demo, made);
            if ran.code != 3 {
                break ran;
            }
            made += 1;
            assert!(made < PROPOSALS_MAX, "the disk never was full");
        };
        refused.ends_with(6).says(&["is full", "nothing is lost", "Free space on that file system"]);
        assert_eq!(proposals(&demo), before + made, "what was acknowledged is there, what was refused is not");

        demo.revoke("acme");

        small.empty();
        register(&demo, PROPOSALS_MAX).ends_with(3);
        demo.end_last();
        demo.run("gov-1");
        demo.governed();
        assert_eq!(proposals(&demo), before + made + 1);
        demo.kcm("alice", &["audit", "verify"]).ends_with(0);
        let acme = demo.json("alice", &["tenant", "show", "acme"]).ends_with(0).json();
        assert_eq!(acme["kills"].as_array().unwrap().len(), 1, "{acme}");
        drop(demo);
        drop(small);
    }
}
