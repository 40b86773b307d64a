//! Shuts the process against core dumps and, for everyone but root, against debuggers and `/proc/PID/mem`.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit,
};

use crate::error::Error;

/// Proof that [`harden_process`] succeeded; a composition root asks for it before it opens the slab.
#[derive(Debug)]
pub struct Hardened(());

/// PR_SET_DUMPABLE 0 and RLIMIT_CORE 0, each read back. Call once, before any key is unsealed.
pub fn harden_process() -> Result<Hardened, Error> {
    let failed = |call| move |why: rustix::io::Errno| Error::NotHardened { call, why: why.to_string() };
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("prctl(PR_SET_DUMPABLE, 0)"))?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(failed("setrlimit(RLIMIT_CORE, 0)"))?;
    let dumpable = dumpable_behavior().map_err(failed("prctl(PR_GET_DUMPABLE)"))?;
    if dumpable != DumpableBehavior::NotDumpable {
        return Err(Error::NotHardened {
            call: "prctl(PR_SET_DUMPABLE, 0)",
            why: "the process is still dumpable".into(),
        });
    }
    if getrlimit(Resource::Core).current != Some(0) {
        return Err(Error::NotHardened { call: "setrlimit(RLIMIT_CORE, 0)", why: "the limit did not change".into() });
    }
    Ok(Hardened(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardened_process_leaves_no_core() {
        assert!(harden_process().is_ok());
        assert_eq!(dumpable_behavior().ok(), Some(DumpableBehavior::NotDumpable));
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
    }
}
