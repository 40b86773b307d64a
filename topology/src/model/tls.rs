//! Where the certificates of a listener lie.

use std::path::PathBuf;

/// Paths of PEM files: the CA that verifies the other side, and this side's chain and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutualTls {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Paths of PEM files of a listener whose callers are verified by something else than one CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    pub cert: PathBuf,
    pub key: PathBuf,
}
