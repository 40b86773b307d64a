//! What can go wrong with a ledger. Every message says what to do.

use std::path::PathBuf;

use crate::{batch::BATCH_ROWS_MAX, chain::Broken};

/// A ledger that could not do what was asked. The state is what it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    #[error(
        "the disk that holds the ledger `{}` is full: nothing was written and nothing is lost. Free space on that file system, then \
         repeat the request; stops are still taken while the reserve of 4 MiB lasts", path.display()
    )]
    DiskFull { path: PathBuf },
    #[error("the ledger `{}` is in use by another process: stop that one first, or give this node its own `store`", path.display())]
    InUse { path: PathBuf },
    #[error(
        "the ledger `{}` is damaged ({why}): stop this node, keep the file as evidence, and restore the newest backup", path.display()
    )]
    Damaged { path: PathBuf, why: String },
    #[error(
        "`{}` is a ledger of format {found}; this binary reads format {reads}: use the release that wrote it, or a newer one",
        path.display()
    )]
    Format { path: PathBuf, found: String, reads: u8 },
    #[error("could not {action} `{}`: {why}. Check that the path exists, is on a healthy disk and belongs to this user", path.display())]
    Io { path: PathBuf, action: &'static str, why: String },
    #[error(
        "a {what} has at most {limit} {unit}, found {found}: split it (at most {BATCH_ROWS_MAX} rows of a kind go into one batch)"
    )]
    TooLarge { what: &'static str, unit: &'static str, found: usize, limit: usize },
    #[error("the {what} {why}: give a short printable name")]
    BadText { what: &'static str, why: &'static str },
    #[error("the body of an entry `{kind}` is no JSON ({why}): an auditor could not read it, so it is not appended")]
    BodyIsNoJson { kind: String, why: String },
    #[error("there is no lane {found}: 0 is critical, 1 is ordinary")]
    NoSuchLane { found: u8 },
    #[error(
        "owed directive {id} was never assigned (the newest is {newest}): the acknowledgement belongs to another ledger"
    )]
    NeverOwed { id: u64, newest: u64 },
    #[error("the {what} counter has reached its end: start a new ledger")]
    Exhausted { what: &'static str },
    #[error("there is no entry before {sequence} to begin at: the newest is {newest}")]
    NoSuchEntry { sequence: u64, newest: u64 },
    #[error("the export could not be written: {why}. Check the place that it goes to and export again")]
    Export { why: String },
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("the ledger `{}` is closed: this node ends, and takes nothing more", path.display())]
    Closed { path: PathBuf },
    #[error("this ledger was opened for reading only: open it with the node that owns it to append")]
    ReadOnly,
    #[error(
        "the ledger {place} could not be reached: {why}. Nothing was written; see that the database is up and takes this node's login"
    )]
    Unreachable { place: String, why: String },
    #[error("the ledger {place} is not used: {why}. {fix}")]
    Unfit { place: String, why: String, fix: String },
    #[error("the database of the ledger {place} refused: {why}. Nothing was written; its log says more")]
    Database { place: String, why: String },
    #[error(
        "the disk under the ledger {place} is full, or a quota is: nothing was written and nothing is lost. Make room there; no reserve \
         can be kept on a disk of another machine, so hand stops to the regions meanwhile (`kcm revoke sign`, `kcm revoke deliver`)"
    )]
    ServerFull { place: String },
    #[error(
        "the ledger is not empty (its newest entry is {newest}): a backup is put back into an empty one alone. Name another"
    )]
    NotEmpty { newest: u64 },
    #[error("this node stands by: another one is active on the ledger {place}. Ask that one")]
    StandingBy { place: String },
    #[error(
        "this node appends nothing more to the ledger {place}: {why}. It ends; started again, it stands by or is active anew"
    )]
    Deposed { place: String, why: String },
    #[error(
        "the ledger {place} did not say in time whether what was asked is written ({why}): this node ends, and its next start reads the \
         truth. Look whether it is there before you ask again"
    )]
    InDoubt { place: String, why: String },
}
