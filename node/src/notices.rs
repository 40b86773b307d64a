//! Notices: from the topology's ways out to channels that can be used. Their secrets are read here, from files of their owner alone.

use std::{fs, path::Path};

use governance::notify::{
    BadTarget, Channel, Channels, Hidden, MailTls, Notifying, PAGERDUTY_URL, Pace, Roots, Target, Url,
};
use topology::{Model, Notify, NotifyTarget, NotifyUrl};

use crate::{fault::RunError, keyfiles};

/// Where deliveries are written down, in the store of governance.
const JOURNAL: &str = "notices.jsonl";

/// All ways out of the topology.
///
/// # Errors
/// [`RunError`] where a secret does not read, or a channel leads nowhere that may be told anything.
pub(crate) fn notifying(model: &Model, part: &topology::Governance) -> Result<Notifying, RunError> {
    let named =
        model.notify.iter().map(|(name, channel)| Ok((name.clone(), self::channel(model, name.as_str(), channel)?)));
    Ok(Notifying {
        channels: Channels(named.collect::<Result<_, RunError>>()?),
        journal: Some(part.store.join(JOURNAL)),
        links: part.portal_url(),
        pace: Pace::default(),
    })
}

fn channel(model: &Model, name: &str, channel: &Notify) -> Result<Channel, RunError> {
    let bad = |why: String| RunError::Notify { name: name.to_owned(), why };
    let to = match &channel.target {
        NotifyTarget::Smtp { to, .. } => to.clone(),
        NotifyTarget::Slack { .. } | NotifyTarget::Pagerduty { .. } | NotifyTarget::Webhook { .. } => [].into(),
    };
    let ca = channel.ca.as_deref().map(|path| {
        let read = fs::read(path).map_err(|why| RunError::Unreadable { path: path.to_owned(), why });
        read.map(|pem| (path, pem))
    });
    let target = target(&channel.target, model.development, ca.transpose()?.as_ref(), &bad)?;
    Ok(Channel { target, tenants: model.notify_tenants(channel), to, default: channel.default })
}

fn target(
    target: &NotifyTarget,
    development: bool,
    ca: Option<&(&Path, Vec<u8>)>,
    bad: &dyn Fn(String) -> RunError,
) -> Result<Target, RunError> {
    let wrong = |why: BadTarget| bad(why.to_string());
    let url = |text: &str| Url::new(text, development).map_err(wrong);
    let roots = || match ca {
        Some((path, pem)) => Roots::of(path, pem).map_err(wrong),
        None => Roots::system().map_err(wrong),
    };
    let secret = |path: &Path| Ok::<_, RunError>(Hidden::new(keyfiles::read_line(path)?.as_str()));
    Ok(match target {
        NotifyTarget::Slack { url_file } => {
            Target::Slack { url: url(&keyfiles::read_line(url_file)?)?, roots: roots()? }
        }
        NotifyTarget::Pagerduty { url: named, key_file } => {
            let key = secret(key_file)?;
            if !key.is_routing_key() {
                return Err(bad(format!(
                    "{} holds no integration key: it has 32 letters and digits",
                    key_file.display()
                )));
            }
            Target::Pagerduty { url: url(named.as_deref().unwrap_or(PAGERDUTY_URL))?, key, roots: roots()? }
        }
        NotifyTarget::Webhook { url: named, secret_file } => {
            let secret = secret(secret_file)?;
            if !secret.is_webhook_secret() {
                let file = secret_file.display();
                return Err(bad(format!(
                    "{file} holds no secret of Standard Webhooks: whsec_ and 24 to 64 bytes in base64"
                )));
            }
            let url = match named {
                NotifyUrl::Plain(text) => url(text)?,
                NotifyUrl::File(path) => url(&keyfiles::read_line(path)?)?,
            };
            Target::Webhook { url, secret, roots: roots()? }
        }
        NotifyTarget::Smtp { host, port, tls, from, login, to: _ } => Target::Smtp {
            host: host.clone(),
            port: *port,
            tls: match tls {
                topology::MailTls::StartTls => MailTls::StartTls,
                topology::MailTls::Implicit => MailTls::Implicit,
                topology::MailTls::None => MailTls::None,
            },
            from: from.clone(),
            login: match login {
                Some((user, path)) => Some((user.clone(), secret(path)?)),
                None => None,
            },
            ca: ca.map(|(_, pem)| pem.clone()),
        },
    })
}
