//! What can go wrong in custody, in the words of the person who has to act on it.
//!
//! Three kinds, as everywhere: a *refusal* (we say no: a stop, a foreign id), a *fault* (the world failed: disk, memory, the
//! customer's KMS; try again) and a *bug* (stop). [`Error::kind`] tells them apart. The hot path does not use this enum: a borrow
//! answers [`crate::key_table::Unborrowed`], which is a few bytes and allocates nothing.

use orbital::names::{System, TenantId};

use crate::{
    key_table::Refused,
    names::{Generation, ObjectId},
};

/// Who erred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// We say no, and will say no again.
    Refusal,
    /// The world failed; the same call may succeed later.
    Fault,
    /// Stored or computed bytes that cannot be: do not go on with them.
    Bug,
}

/// Everything that custody's calls can answer besides success.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    // locked memory
    #[error(
        "cannot lock {bytes} bytes of memory for keys ({why}): RLIMIT_MEMLOCK is {limit}. \
         Raise it (systemd: LimitMEMLOCK=, shell: ulimit -l) or lower the number of key slots"
    )]
    MemoryNotLocked { bytes: usize, limit: String, why: String },
    #[error(
        "cannot prepare locked memory: {call} failed ({why}). Keys are refused rather than kept in ordinary memory"
    )]
    Memory { call: &'static str, why: String },
    #[error("cannot harden this process: {call} failed ({why}). Core dumps and debuggers could read keys")]
    NotHardened { call: &'static str, why: String },
    #[error(
        "the locked memory is full: {used} of {total} slots of 64 bytes are in use. Raise the number of key slots of this node"
    )]
    VaultFull { used: usize, total: usize },
    #[error("a secret has between 1 and {max} bytes, found {found}")]
    SecretLength { found: usize, max: usize },
    #[error("the system's random generator failed ({0})")]
    Random(String),

    // wrapped keys
    #[error(
        "a wrapped {what} does not belong here: its {field} is not the one expected. It may have been moved from another place"
    )]
    Transplanted { what: &'static str, field: &'static str },
    #[error("a wrapped {what} is damaged: {why}. Restore the store from a replica or a backup")]
    Damaged { what: &'static str, why: &'static str },
    #[error("encryption under the parent key failed. This is a bug: report it")]
    Seal,
    #[error("the {cipher} operation was refused: {why}")]
    Cipher { cipher: &'static str, why: &'static str },

    // the tenant's gate
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(
        "the key came back from its parent under generation {began}, but the tenant is at {now}: a stop came between"
    )]
    Stale { began: Generation, now: Generation },
    #[error("tenant {0} is not known in this region")]
    UnknownTenant(TenantId),
    #[error("tenant {0} has no L1 linked in this region: link one, or wait until its link has been delivered")]
    NotLinked(TenantId),
    #[error("system {system} of tenant {tenant} has no object {object}")]
    Absent { tenant: TenantId, system: System, object: ObjectId },
    #[error("object {0} has been destroyed: only its attributes are left")]
    Destroyed(ObjectId),
    #[error("the key of object {0} is not here: only its attributes were registered")]
    KeyElsewhere(ObjectId),
    #[error("object {0} is archived: recover it first")]
    Archived(ObjectId),
    #[error("object {0} was changed by another request meanwhile: nothing was written. Send it again")]
    Contended(ObjectId),
    #[error("object {0} exists: ask for its replacement, or import under another id")]
    Exists(ObjectId),
    #[error("object {0} is one of another system of the tenant: import under another id")]
    Taken(ObjectId),
    #[error("object {0} comes with its own id, which others know: it is no part of a draft")]
    NoDraft(ObjectId),
    #[error("object {0} may not be exported: `exportable` was fixed to no when it was created")]
    NotExportable(ObjectId),
    #[error("an object's {what} may have at most {max} {unit}, found {found}")]
    TooLarge { what: &'static str, max: usize, unit: &'static str, found: usize },

    // the customer's KMS
    #[error(
        "this node has no L1 provider `{provider}` for tenant {tenant}: configure it in the topology, with the tenant's credential"
    )]
    NoProvider { tenant: TenantId, provider: String },
    #[error(
        "the customer's KMS says {state} of key {key} ({why}): the tenant is stopped here until the key answers again"
    )]
    L1Stopped { key: String, state: crate::l1::State, why: String },
    #[error("the customer's KMS cannot be reached for key {key} ({why}): try again")]
    L1Unreachable { key: String, why: String },
    #[error("the key cache does not answer: the node is starting or stopping. Try again")]
    Unavailable,

    // the disk
    #[error(
        "the store could not {what} ({why}). Nothing was acknowledged; free space or repair the disk, then try again"
    )]
    Store { what: &'static str, why: String },
    #[error("row {key} of table {table} fails its check: it was changed outside this node. Restore the store")]
    Forged { table: &'static str, key: String },
    #[error(
        "the store at {path} belongs to {what} {found}, this node is {expected}: start it with its own store, or with an empty folder"
    )]
    ForeignStore { path: String, what: &'static str, found: String, expected: String },
    #[error("file {path}: {what} failed ({why})")]
    File { path: String, what: &'static str, why: String },
    #[error(
        "file {path} is damaged or was written by another node: {why}. The node serves nobody until a fresh head arrives"
    )]
    BadFile { path: String, why: &'static str },
    #[error("tenant {0} has no tombstone space: it was never provisioned here")]
    NoTombstone(TenantId),
    #[error("tenant {0} is provisioned here already")]
    AlreadyProvisioned(TenantId),
}

impl Error {
    /// Who erred: decides the KMIP result reason and whether a client may try again.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused(refused) if refused.try_again() => Kind::Fault,
            Self::Refused(_)
            | Self::Absent { .. }
            | Self::Destroyed(_)
            | Self::KeyElsewhere(_)
            | Self::Archived(_)
            | Self::Exists(_)
            | Self::Taken(_)
            | Self::NoDraft(_)
            | Self::NotExportable(_)
            | Self::TooLarge { .. }
            | Self::SecretLength { .. }
            | Self::Cipher { .. }
            | Self::UnknownTenant(_)
            | Self::AlreadyProvisioned(_)
            | Self::ForeignStore { .. }
            | Self::L1Stopped { .. } => Kind::Refusal,
            Self::MemoryNotLocked { .. }
            | Self::Memory { .. }
            | Self::NotHardened { .. }
            | Self::VaultFull { .. }
            | Self::Random(_)
            | Self::Stale { .. }
            | Self::Contended(_)
            | Self::NotLinked(_)
            | Self::NoProvider { .. }
            | Self::L1Unreachable { .. }
            | Self::Unavailable
            | Self::Store { .. }
            | Self::File { .. }
            | Self::NoTombstone(_) => Kind::Fault,
            Self::Transplanted { .. }
            | Self::Damaged { .. }
            | Self::Seal
            | Self::Forged { .. }
            | Self::BadFile { .. } => Kind::Bug,
        }
    }
}
