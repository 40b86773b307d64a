//! The ways out for notices: each kind has fields of its own (T0106, T0102), at most one is the default, and each is encrypted (T0307).

use std::net::IpAddr;

use crate::{
    file::{File, MailTls, Notify, NotifyKind},
    finding::{At, Code, Finding, Place},
    reader::wrong,
    suggest::did_you_mean,
};

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    let pins: Vec<&str> = file.pins().iter().map(|(name, _)| name.value.as_str()).collect();
    for (name, channel) in file.channels() {
        fields(name.value.as_str(), channel, findings);
        encrypted(name.value.as_str(), &channel.value, file.is_development(), findings);
        for used in channel.value.tenants.iter().flat_map(|list| &list.value) {
            if !pins.contains(&used.value.as_str()) {
                let near = did_you_mean(used.value.as_str(), pins.iter().copied());
                let message = format!(
                    "channel `{}` is for tenant `{}`, which `[pin]` does not have{near}",
                    name.value, used.value
                );
                let help =
                    "Add the tenant's id to `[pin]`, or leave `tenants` out: then every tenant may use the channel.";
                findings.push(Finding::new(Code::Dangling, message, help).at(&used.place, "is nobody's pin"));
            }
        }
    }
    if let Some(portal) = file.governance.as_ref().and_then(|g| g.value.portal.as_ref())
        && let Some(rest) = portal.value.0.strip_prefix("http://")
        && !(file.is_development() && is_loopback(host_of(rest)))
    {
        let help = "Write https://: people follow these links to sign in.";
        let finding = Finding::new(Code::Unencrypted, "links in notices would lead to plain http", help);
        findings.push(finding.at(&portal.place, "not encrypted"));
    }
    let defaults = file.channels().iter().filter_map(|(_, channel)| channel.value.default.as_ref()).filter(|d| d.value);
    for second in defaults.skip(1) {
        findings.push(wrong(&second.place, "is said of two channels: one hears what no route takes"));
    }
}

/// Each field with its place, where it stands.
fn stands(c: &Notify) -> Vec<(&'static str, Option<&Place>)> {
    fn place<T>(field: &Option<At<T>>) -> Option<&Place> {
        field.as_ref().map(|at| &at.place)
    }
    vec![
        ("url", place(&c.url)),
        ("url_file", place(&c.url_file)),
        ("secret_file", place(&c.secret_file)),
        ("key_file", place(&c.key_file)),
        ("host", place(&c.host)),
        ("port", place(&c.port)),
        ("tls", place(&c.tls)),
        ("from", place(&c.from)),
        ("user", place(&c.user)),
        ("password_file", place(&c.password_file)),
        ("to", place(&c.to)),
    ]
}

/// What a kind needs, and what it may have besides.
const fn known(kind: NotifyKind) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        NotifyKind::Slack => (&["url_file"], &[]),
        NotifyKind::Pagerduty => (&["key_file"], &["url"]),
        NotifyKind::Webhook => (&["secret_file"], &["url", "url_file"]),
        NotifyKind::Smtp => (&["host", "from"], &["port", "tls", "user", "password_file", "to"]),
    }
}

fn fields(name: &str, channel: &At<Notify>, findings: &mut Vec<Finding>) {
    let c = &channel.value;
    let Some(kind) = &c.kind else { return };
    let (needs, more) = known(kind.value);
    let word = kind.value.as_str();
    let stands = stands(c);
    let lacks = |field: &str| stands.iter().any(|(known, place)| *known == field && place.is_none());
    let mut missing: Vec<String> = needs.iter().filter(|n| lacks(n)).map(|n| format!("`{n}`")).collect();
    if kind.value == NotifyKind::Webhook && lacks("url") && lacks("url_file") {
        missing.push("`url` or `url_file`".to_owned());
    }
    if c.user.is_some() != c.password_file.is_some() {
        missing.push("one of `user` and `password_file`".to_owned());
    }
    let nobody = c.default.as_ref().is_some_and(|d| d.value) && c.to.as_ref().is_none_or(|to| to.value.is_empty());
    if kind.value == NotifyKind::Smtp && nobody {
        missing.push("`to`, as the default channel".to_owned());
    }
    if !missing.is_empty() {
        let message = format!("channel `{name}` of kind `{word}` lacks {}", missing.join(", "));
        let help = "Add what is missing; `samples/demo.toml` shows each field with its meaning.";
        findings.push(Finding::new(Code::Missing, message, help).at(&kind.place, "this kind needs more"));
    }
    for (field, place) in stands.iter().filter(|(field, _)| !needs.contains(field) && !more.contains(field)) {
        if let Some(place) = place {
            let message = format!("`{field}` means nothing for a channel of kind `{word}`");
            let finding = Finding::new(Code::WrongValue, message, "Remove the field, or correct `kind`.");
            findings.push(finding.at(place, "has no effect").at(&kind.place, "because of this kind"));
        }
    }
    if let Some(port) = c.port.as_ref().filter(|port| u16::try_from(port.value).is_err()) {
        findings.push(wrong(&port.place, "must be 1 to 65535"));
    }
}

/// Nothing leaves the machine in plain text, and in a real deployment nothing at all (REQ-027). A URL in a file is looked at by the node.
fn encrypted(name: &str, c: &Notify, development: bool, findings: &mut Vec<Finding>) {
    let plain = |host: &str| !(development && is_loopback(host));
    let mut told = |place: &Place, what: &str, help: &str| {
        let message = format!("channel `{name}` {what}");
        findings.push(Finding::new(Code::Unencrypted, message, help).at(place, "not encrypted"));
    };
    if let Some(url) = &c.url
        && let Some(rest) = url.value.0.strip_prefix("http://")
        && plain(host_of(rest))
    {
        told(
            &url.place,
            "posts over plain http",
            "Write https://; only a receiver on loopback may be plain, with `development = true`.",
        );
    }
    if let (Some(tls), Some(host)) = (&c.tls, &c.host)
        && tls.value == MailTls::None
        && plain(&host.value.0)
    {
        let help = "Leave `tls` out for STARTTLS, or write \"implicit\"; only a server on loopback may be plain, with `development = true`.";
        told(&tls.place, "sends mails over a plain line", help);
    }
}

/// Why a URL that stands in a file is none to post to.
pub(crate) fn plain(url: &str, development: bool) -> Option<&'static str> {
    match url.strip_prefix("http://") {
        None if url.starts_with("https://") => None,
        None => Some("begins with no https://"),
        Some(rest) if development && is_loopback(host_of(rest)) => None,
        Some(_) => Some("is plain http"),
    }
}

/// The host in what follows the scheme of a URL.
fn host_of(rest: &str) -> &str {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_urls() {
        for (rest, host) in
            [("a.example/x", "a.example"), ("127.0.0.1:80/x", "127.0.0.1"), ("[::1]:80", "::1"), ("a?x", "a")]
        {
            assert_eq!(host_of(rest), host);
        }
        assert!(is_loopback("::1") && is_loopback("127.9.9.9") && !is_loopback("127.0.0.1.evil.example"));
    }
}
