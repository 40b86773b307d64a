//! The vault in a process that may lock little memory: it refuses with words that help, and never keeps keys in ordinary memory.
//!
//! Each test runs this very file again as a child process without CAP_IPC_LOCK and with a low RLIMIT_MEMLOCK.

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use custody::vault::{Slab, Wanted};

    const CHILD: &str = "CUSTODY_MEMORY_LIMIT_CHILD";

    /// Runs `test` of this file as a child that may lock `limit` bytes. `None` where `setpriv` or `prlimit` is not installed or not allowed.
    fn child(test: &str, limit: usize) -> Option<Output> {
        let me = std::env::current_exe().expect("this test has a file");
        let mut command = Command::new("prlimit");
        command.arg(format!("--memlock={limit}:{limit}"));
        command.args(["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "--"]);
        command.arg(me).args(["--exact", test, "--nocapture"]).env(CHILD, "1");
        let output = command.output().ok()?;
        let refused = String::from_utf8_lossy(&output.stderr).contains("setpriv:");
        (!refused).then_some(output)
    }

    fn is_child() -> bool {
        std::env::var_os(CHILD).is_some()
    }

    #[test]
    fn too_little_lockable_memory_is_refused_with_the_limit_and_the_remedy() {
        if is_child() {
            for wanted in [Wanted::Best, Wanted::LockedOnly] {
                let why = Slab::open(16 * 1024, wanted).err().expect("a megabyte cannot be locked").to_string();
                assert!(why.contains("RLIMIT_MEMLOCK is 65536 bytes"), "{why}");
                assert!(why.contains("LimitMEMLOCK=") && why.contains("ulimit -l"), "{why}");
            }
            return;
        }
        let test = "tests::too_little_lockable_memory_is_refused_with_the_limit_and_the_remedy";
        let Some(output) = child(test, 65536) else {
            eprintln!("skipped: setpriv and prlimit are needed to lower the limit");
            return;
        };
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the child ran no test");
    }

    #[test]
    fn within_the_limit_an_ordinary_process_gets_its_slots() {
        if is_child() {
            let slab = Slab::open(512, Wanted::Best).expect("32 KiB can be locked");
            assert_eq!(slab.usage().slots_total, 512);
            return;
        }
        let test = "tests::within_the_limit_an_ordinary_process_gets_its_slots";
        let Some(output) = child(test, 65536) else { return };
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
