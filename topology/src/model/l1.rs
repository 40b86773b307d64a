//! A model's L1: where customers keep their keys, and how each region signs in there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
};

use orbital::names::{Jurisdiction, NodeName, Region, TenantName};

use crate::{Mode, Provider, units::Span};

/// A place where customers keep L1 keys. Which key a tenant links is no part of a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1 {
    pub provider: L1Provider,
    /// The tenants whose keys lie here, by their label in [`Topology::pins`]: nobody else gets the credentials below (PROTOCOL §1).
    pub tenants: BTreeSet<TenantName>,
    pub mode: Mode,
    /// The country in which its keys lie.
    pub jurisdiction: Jurisdiction,
    /// How often a region asks for the keys' state.
    pub probe: Span,
    /// How each region makes itself known there. A region without an entry uses its environment (workload identity).
    pub auth: BTreeMap<Region, L1Auth>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum L1Provider {
    AwsKms {
        /// Such as `eu-central-1`.
        region: String,
        /// `None`: AWS itself. Else the URL of something that speaks its API.
        endpoint: Option<String>,
    },
    AzureKeyVault {
        /// `https://VAULT.vault.azure.net`, or that of a Managed HSM.
        endpoint: String,
        /// Where Entra ID hands out tokens.
        login: String,
        /// The directory (tenant) of Entra ID that knows the region's application.
        directory: String,
        /// What vouches for both.
        ca: PathBuf,
    },
    GoogleKms {
        /// `https://HOST[:PORT]`.
        endpoint: String,
        /// What vouches for the server.
        ca: PathBuf,
    },
    Kmip {
        /// `HOST:PORT`.
        address: String,
        /// What vouches for the server.
        ca: PathBuf,
    },
    VaultTransit {
        /// `https://HOST[:PORT]`.
        endpoint: String,
        /// What vouches for the server.
        ca: PathBuf,
        /// Where the engine is mounted.
        mount: String,
        /// `None`: the root namespace.
        namespace: Option<String>,
    },
    Pkcs11 {
        /// The vendor's shared library.
        module: PathBuf,
        token_label: String,
        /// Tells tokens of one label apart.
        token_serial: Option<String>,
    },
    /// A process of this deployment, for development: `kcm run --node NODE`.
    Soft { node: NodeName, listen: SocketAddr, store: PathBuf },
}

impl L1Provider {
    pub fn kind(&self) -> Provider {
        match self {
            Self::AwsKms { .. } => Provider::AwsKms,
            Self::AzureKeyVault { .. } => Provider::AzureKeyVault,
            Self::GoogleKms { .. } => Provider::GoogleKms,
            Self::Kmip { .. } => Provider::Kmip,
            Self::VaultTransit { .. } => Provider::VaultTransit,
            Self::Pkcs11 { .. } => Provider::Pkcs11,
            Self::Soft { .. } => Provider::Soft,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L1Auth {
    pub credentials_file: Option<PathBuf>,
    pub role_arn: Option<String>,
}
