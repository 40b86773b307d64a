//! Why a node does not run, in the words of the person who started it.

use std::{io, net::SocketAddr, path::PathBuf};

/// `kcm run` cannot start, or ends badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot read {path}: {why}. Check the path, and that this user may read it")]
    Unreadable { path: PathBuf, why: io::Error },
    #[error("the topology has errors:\n{0}")]
    Topology(String),
    #[error("the topology's decision: {0}")]
    Site(String),
    #[error(transparent)]
    UnknownNode(#[from] topology::UnknownNode),
    #[error(
        "cannot listen on {address} ({what}): {why}. Is another process there? Change the address in the topology file"
    )]
    Listen { what: &'static str, address: SocketAddr, why: io::Error },
    #[error("`{0}` is no address that can be dialed: {1}")]
    Dial(String, String),
    #[error(transparent)]
    KeyFile(#[from] crate::keyfiles::KeyFileError),
    #[error(transparent)]
    Tls(#[from] crate::cluster::tls::TlsError),
    #[error(transparent)]
    Lane(#[from] crate::cluster::LaneError),
    #[error(transparent)]
    Rest(#[from] portal_api::ApiError),
    #[error("ledger: {0}")]
    Ledger(#[from] ledger::LedgerError),
    #[error(transparent)]
    Governance(#[from] governance::Fault),
    #[error(transparent)]
    Custody(#[from] custody::Error),
    #[error("a stored tenant cannot be opened: {0}")]
    Steward(#[from] custody::steward::Unmet),
    #[error("the default policy bundle: {0}")]
    Policy(#[from] policy::PolicyError),
    #[error("notify.{name}: {why}")]
    Notify { name: String, why: String },
    #[error("L1 {name}: {why}")]
    L1 { name: String, why: String },
    #[error(transparent)]
    SoftL1(#[from] crate::soft_l1::SoftL1Error),
    #[error("the region's audit log: {0}")]
    Audit(String),
    #[error("KMIP's TLS: {0}")]
    KmipTls(String),
    #[error("the runtime does not start: {0}")]
    Runtime(io::Error),
    #[error("an actor does not start: {0}")]
    Actor(String),
    #[error(
        "{path} names keys that are not the ones in the topology: {what}. Put the right file there, or its public half into the file"
    )]
    OtherKey { path: PathBuf, what: &'static str },
    #[error("{0}")]
    Other(String),
}
