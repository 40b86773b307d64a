//! The ways out for notices, as a topology has them.

use std::{collections::BTreeSet, path::PathBuf};

use orbital::names::{Mailbox, TenantId, TenantName};

use super::{Governance, Model};
use crate::{MailTls, NotifyKind};

/// A way out for notices. Its secrets stand in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    pub target: NotifyTarget,
    /// PEM of the authority that verifies the receiver; `None`: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Whose routings may name it, by their label in [`crate::Topology::pins`]; empty: everybody's.
    pub tenants: BTreeSet<TenantName>,
    /// Takes what no tenant's route takes.
    pub default: bool,
}

/// Where a way out leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyTarget {
    /// An incoming webhook; whoever knows its URL may post.
    Slack { url_file: PathBuf },
    /// Events API v2; `url` is for something else that speaks it.
    Pagerduty { url: Option<String>, key_file: PathBuf },
    /// Standard Webhooks, signed with the secret.
    Webhook { url: NotifyUrl, secret_file: PathBuf },
    Smtp {
        host: String,
        port: u16,
        tls: MailTls,
        from: Mailbox,
        /// Account and the file of its password.
        login: Option<(String, PathBuf)>,
        /// To whom, where no routing says so.
        to: BTreeSet<Mailbox>,
    },
}

/// The address of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyUrl {
    Plain(String),
    /// In a file, since it is a secret.
    File(PathBuf),
}

impl NotifyTarget {
    pub fn kind(&self) -> NotifyKind {
        match self {
            Self::Slack { .. } => NotifyKind::Slack,
            Self::Pagerduty { .. } => NotifyKind::Pagerduty,
            Self::Webhook { .. } => NotifyKind::Webhook,
            Self::Smtp { .. } => NotifyKind::Smtp,
        }
    }
}

impl Model {
    /// The pinned ids of the tenants that may use a way out; empty says everybody.
    pub fn notify_tenants(&self, channel: &Notify) -> BTreeSet<TenantId> {
        channel.tenants.iter().filter_map(|label| self.pins.get(label).copied()).collect()
    }
}

impl Governance {
    /// What links in notices begin with.
    pub fn portal_url(&self) -> String {
        let own = || format!("https://{}", self.dial(self.rest));
        self.portal.as_ref().map_or_else(own, |portal| portal.trim_end_matches('/').to_owned())
    }
}
