//! Channels: the ways out that the operators gave, each with its secret. A tenant's routing only names them.

use std::collections::{BTreeMap, BTreeSet};

use orbital::{
    names::{Channel as Name, Mailbox, TenantId},
    routing::Routing,
};

use super::post::{Roots, Url};

/// Where PagerDuty takes events (Events API v2).
pub const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// A secret that no log, error or answer can show.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hidden")
    }
}

/// What a channel speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Slack,
    Smtp,
    Pagerduty,
    Webhook,
}

/// How a mail server's line is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// STARTTLS, and nothing is said before it.
    StartTls,
    /// From the first byte on.
    Implicit,
    /// Not at all: loopback in development alone.
    None,
}

/// Where a channel leads, and what opens it.
#[derive(Clone, Debug)]
pub enum Target {
    /// An incoming webhook; its URL is the secret.
    Slack { url: Url, roots: Roots },
    /// Events API v2.
    Pagerduty { url: Url, key: Hidden, roots: Roots },
    /// Standard Webhooks: each body signed with HMAC-SHA256.
    Webhook { url: Url, secret: Hidden, roots: Roots },
    Smtp {
        host: String,
        port: u16,
        tls: MailTls,
        from: Mailbox,
        /// Of the account; none for a relay that asks for none.
        login: Option<(String, Hidden)>,
        /// PEM of the authority that verifies the server; none takes the system's.
        ca: Option<Vec<u8>>,
    },
}

impl Target {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Slack { .. } => Kind::Slack,
            Self::Pagerduty { .. } => Kind::Pagerduty,
            Self::Webhook { .. } => Kind::Webhook,
            Self::Smtp { .. } => Kind::Smtp,
        }
    }
}

/// One way out.
#[derive(Clone, Debug)]
pub struct Channel {
    pub target: Target,
    /// Whose routings may name it; empty says everybody's.
    pub tenants: BTreeSet<TenantId>,
    /// Over e-mail, to whom where a routing does not say.
    pub to: BTreeSet<Mailbox>,
    /// Takes what no route of a tenant takes.
    pub default: bool,
}

impl Channel {
    pub(crate) fn is_open_to(&self, tenant: TenantId) -> bool {
        self.tenants.is_empty() || self.tenants.contains(&tenant)
    }
}

/// All of them, by name.
#[derive(Clone, Debug, Default)]
pub struct Channels(pub BTreeMap<Name, Channel>);

impl Channels {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The site's own, which hears what no route takes.
    pub(crate) fn default_for(&self, tenant: TenantId) -> Option<(&Name, &Channel)> {
        self.0.iter().find(|(_, channel)| channel.default && channel.is_open_to(tenant))
    }

    /// Those that a tenant may name.
    pub(crate) fn open_to(&self, tenant: TenantId) -> impl Iterator<Item = (&Name, &Channel)> {
        self.0.iter().filter(move |(_, channel)| channel.is_open_to(tenant))
    }

    /// That a tenant may route over these channels, in this way.
    pub(crate) fn check(&self, tenant: TenantId, routing: &Routing) -> Result<(), String> {
        for route in &routing.routes {
            let name = &route.channel;
            let Some((_, channel)) = self.open_to(tenant).find(|(known, _)| *known == name) else {
                let known = self.open_to(tenant).map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(", ");
                let known = if known.is_empty() { "none".to_owned() } else { known };
                return Err(format!(
                    "there is no channel {name} for this tenant; there are: {known}. The operators name them in the topology (`[notify.{name}]`)"
                ));
            };
            match (channel.target.kind(), route.to.is_empty()) {
                (Kind::Smtp, true) if channel.to.is_empty() => {
                    return Err(format!("the route over {name} names nobody: a mail needs addresses (`to`)"));
                }
                (Kind::Slack | Kind::Pagerduty | Kind::Webhook, false) => {
                    return Err(format!(
                        "the route over {name} names addresses, which mean nothing there: leave `to` out"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use orbital::{
        names::Digest,
        routing::{Occasion, Route},
    };

    use super::*;
    use crate::notify::route::tests::{channels, name};

    #[test]
    fn a_secret_shows_nowhere() {
        let shown = format!("{:?}", channels());
        assert!(shown.contains("hidden") && !shown.contains("T0/B0/sesame") && !shown.contains("whsec_"), "{shown}");
    }

    #[test]
    fn a_tenant_names_what_it_may() {
        let (channels, me, other) = (channels(), TenantId(Digest([1; 32])), TenantId(Digest([2; 32])));
        let over = |channel: &str, to: &[&str]| Routing {
            routes: vec![Route {
                events: [Occasion::Approved].into(),
                groups: [].into(),
                people: [].into(),
                channel: name(channel),
                to: to.iter().map(|to| Mailbox::new(to).unwrap()).collect(),
            }],
        };
        assert_eq!(channels.check(me, &over("hook", &[])), Ok(()));
        assert!(channels.check(other, &over("hook", &[])).unwrap_err().contains("no channel hook"));
        assert_eq!(channels.check(other, &over("mail", &["a@x"])), Ok(()));
        assert!(channels.check(other, &over("mail", &[])).unwrap_err().contains("addresses"));
        assert!(channels.check(other, &over("slack", &["a@x"])).unwrap_err().contains("leave `to` out"));
    }
}
