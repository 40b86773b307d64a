//! Where the ledger is kept: in a file of the node's own, or in a PostgreSQL that several nodes reach.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use crate::file::LedgerKind;

/// The port of a host that names none.
pub(crate) const POSTGRES_PORT: u16 = 5432;

/// Where the ledger is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ledger {
    /// One file. `None`: `ledger.redb` in the store; see [`Ledger::path_in`].
    Redb {
        path: Option<PathBuf>,
    },
    Postgres(Postgres),
}

/// A database, and how governance signs in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgres {
    /// The members of one cluster; the one that takes writes is used.
    pub hosts: Vec<HostPort>,
    pub database: String,
    pub user: String,
    pub password_file: Option<PathBuf>,
    /// Verifies the server. `None`: not encrypted, for development on loopback alone.
    pub ca: Option<PathBuf>,
    /// This side's chain and key, for a server that asks for a certificate.
    pub own: Option<(PathBuf, PathBuf)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl HostPort {
    pub(crate) fn is_loopback(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::Redb { path: None }
    }
}

impl Ledger {
    pub fn kind(&self) -> LedgerKind {
        match self {
            Self::Redb { .. } => LedgerKind::Redb,
            Self::Postgres(_) => LedgerKind::Postgres,
        }
    }

    /// The file of a ledger that has one, for a node with this store.
    pub fn path_in(&self, store: &Path) -> Option<PathBuf> {
        match self {
            Self::Redb { path } => Some(path.clone().unwrap_or_else(|| store.join("ledger.redb"))),
            Self::Postgres(_) => None,
        }
    }
}
