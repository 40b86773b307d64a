//! Routing a notice: pure. A tenant's routes first; what none of them takes goes to the site's default channel, so that a tenant which has
//! routed nothing is not silent, and none can make the site deaf to it.

use orbital::{
    names::{Channel as Name, Mailbox},
    routing::{Occasion, Route, Routing},
};

use super::{
    channel::{Channel, Channels, Kind},
    notice::{Delivery, DeliveryState, Notice},
};

/// Every delivery that a notice becomes. A route over a channel that is no more becomes one that was dropped: the log says so.
pub(super) fn route(notice: &Notice, routing: Option<&Routing>, channels: &Channels, now_ms: u64) -> Vec<Delivery> {
    let routes = routing.map_or(&[][..], |routing| routing.routes.as_slice());
    let mut found: Vec<Delivery> = Vec::new();
    for route in routes {
        let channel = channels.open_to(notice.tenant).find(|(name, _)| **name == route.channel);
        let kind = channel.map(|(_, channel)| channel.target.kind());
        if !takes(route, kind, notice) {
            continue;
        }
        match channel {
            Some((name, channel)) => found.extend(over(notice, name, channel, &route.to, now_ms)),
            None => found.push(nowhere(notice, &route.channel, now_ms)),
        }
    }
    let reached = found.iter().any(|delivery| delivery.state == DeliveryState::Waiting);
    if !reached && let Some((name, channel)) = channels.default_for(notice.tenant) {
        found.extend(over(notice, name, channel, &channel.to, now_ms));
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    found
}

/// Over one channel, to whom it leads by itself: for a test.
pub(super) fn over_channel(notice: &Notice, name: &Name, channels: &Channels, now_ms: u64) -> Vec<Delivery> {
    let channel = channels.open_to(notice.tenant).find(|(known, _)| *known == name);
    channel.map(|(name, channel)| over(notice, name, channel, &channel.to, now_ms)).unwrap_or_default()
}

fn over<'a>(
    notice: &'a Notice,
    name: &'a Name,
    channel: &'a Channel,
    to: &'a std::collections::BTreeSet<Mailbox>,
    now_ms: u64,
) -> Vec<Delivery> {
    let to = if to.is_empty() { &channel.to } else { to };
    match channel.target.kind() {
        // One mail an address: an address that a server refuses must not keep the others from theirs.
        Kind::Smtp => to.iter().map(|to| Delivery::new(notice, name, Some(to.clone()), now_ms)).collect(),
        Kind::Slack | Kind::Pagerduty | Kind::Webhook => vec![Delivery::new(notice, name, None, now_ms)],
    }
}

fn nowhere(notice: &Notice, name: &Name, now_ms: u64) -> Delivery {
    let why = format!(
        "the topology has no channel {name} for this tenant any more: have the operators add it, or change the routing"
    );
    Delivery { state: DeliveryState::Dropped, why, ..Delivery::new(notice, name, None, now_ms) }
}

fn takes(route: &Route, kind: Option<Kind>, notice: &Notice) -> bool {
    let Some(occasion) = notice.occasion else { return true };
    let opened = |of: &Occasion| route.events.contains(of);
    // Whoever was called is told when it is over.
    let follows = kind == Some(Kind::Pagerduty) && notice.closes && opens(occasion).iter().any(opened);
    if !route.events.contains(&occasion) && !follows {
        return false;
    }
    let waits = !notice.groups.is_empty() || !notice.people.is_empty();
    let narrow = !route.groups.is_empty() || !route.people.is_empty();
    let meant = notice.groups.iter().any(|group| route.groups.contains(group))
        || notice.people.iter().any(|person| route.people.contains(person));
    !waits || !narrow || meant
}

/// What opened the incident that this ends.
const fn opens(occasion: Occasion) -> &'static [Occasion] {
    match occasion {
        Occasion::Approved | Occasion::Rejected | Occasion::RevocationArmed => {
            &[Occasion::ApprovalWaiting, Occasion::Expiring]
        }
        Occasion::StopConfirmed | Occasion::L1Active => &[Occasion::StopRunning, Occasion::RegionUnconfirmed],
        Occasion::TenantProvisioned => &[Occasion::ProvisioningFailed, Occasion::ProvisioningRetried],
        Occasion::ApprovalWaiting
        | Occasion::Expiring
        | Occasion::StopRunning
        | Occasion::RegionUnconfirmed
        | Occasion::L1Health
        | Occasion::TrustForked
        | Occasion::Recovery
        | Occasion::LeaseEnding
        | Occasion::ProvisioningFailed
        | Occasion::ProvisioningRetried => &[],
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use orbital::names::{Digest, Group, TenantId, TenantName};

    use super::*;
    use crate::notify::{Hidden, MailTls, Roots, Target, post::Url};

    pub(crate) fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// Over each kind one; `hook` belongs to one tenant, `slack` is the default.
    pub(crate) fn channels() -> Channels {
        let (url, roots) = (|u: &str| Url::new(u, true).unwrap(), || Roots::system().unwrap());
        let channel = |target, default| Channel { target, tenants: [].into(), to: [].into(), default };
        let secret = Hidden::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let mail = Target::Smtp {
            host: "127.0.0.1".into(),
            port: 1,
            tls: MailTls::StartTls,
            from: Mailbox::new("kcm@x").unwrap(),
            login: None,
            ca: None,
        };
        let hook = Target::Webhook { url: url("https://h.example/x"), secret, roots: roots() };
        let key = Hidden::new("0123456789abcdef0123456789abcdef");
        Channels(
            [
                (
                    name("slack"),
                    channel(
                        Target::Slack { url: url("https://hooks.slack.com/services/T0/B0/sesame"), roots: roots() },
                        true,
                    ),
                ),
                (
                    name("page"),
                    channel(Target::Pagerduty { url: url("https://p.example/v2/enqueue"), key, roots: roots() }, false),
                ),
                (name("hook"), Channel { tenants: [TenantId(Digest([1; 32]))].into(), ..channel(hook, false) }),
                (name("mail"), channel(mail, false)),
            ]
            .into(),
        )
    }

    pub(crate) fn notice(occasion: Occasion) -> Notice {
        Notice {
            about: format!("{occasion}/p1"),
            occasion: Some(occasion),
            tenant: TenantId(Digest([1; 32])),
            name: TenantName::new("acme").unwrap(),
            at_ms: 1_767_225_600_000,
            title: "RevokeL1 waits for signers".into(),
            lines: vec![("Proposer".into(), "alice".into()), ("Reason".into(), "<!channel> & so".into())],
            link: "https://kcm.example/v1/proposals/p1".into(),
            proposal: Some(orbital::names::ProposalId::new("p1").unwrap()),
            correlation: None,
            stop: false,
            groups: vec![],
            people: vec![],
            incident: "p1".into(),
            closes: matches!(occasion, Occasion::Approved | Occasion::Rejected | Occasion::StopConfirmed),
        }
    }

    fn to(events: &[Occasion], channel: &str) -> Route {
        Route {
            events: events.iter().copied().collect(),
            groups: [].into(),
            people: [].into(),
            channel: name(channel),
            to: [].into(),
        }
    }

    fn reached(notice: &Notice, routes: Vec<Route>) -> BTreeSet<String> {
        let found = route(notice, Some(&Routing { routes }), &channels(), 7);
        let shown = |d: Delivery| {
            format!(
                "{}{}{}",
                d.channel,
                d.to.map_or(String::new(), |to| format!(":{to}")),
                if d.state == DeliveryState::Dropped { " dropped" } else { "" }
            )
        };
        found.into_iter().map(shown).collect()
    }

    fn set(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn what_no_route_takes_goes_to_the_default() {
        let waiting = notice(Occasion::ApprovalWaiting);
        assert_eq!(reached(&waiting, vec![]), set(&["slack"]));
        assert_eq!(reached(&waiting, vec![to(&[Occasion::Approved], "hook")]), set(&["slack"]));
        assert_eq!(reached(&waiting, vec![to(&[Occasion::ApprovalWaiting], "hook")]), set(&["hook"]));
        assert_eq!(route(&waiting, None, &channels(), 7).len(), 1);
    }

    #[test]
    fn a_route_over_nothing_is_in_the_log_and_the_default_hears_of_it() {
        let waiting = notice(Occasion::ApprovalWaiting);
        assert_eq!(reached(&waiting, vec![to(&[Occasion::ApprovalWaiting], "gone")]), set(&["gone dropped", "slack"]));
        // Another tenant's channel is none.
        let other = Notice { tenant: TenantId(Digest([2; 32])), ..waiting };
        assert_eq!(reached(&other, vec![to(&[Occasion::ApprovalWaiting], "hook")]), set(&["hook dropped", "slack"]));
    }

    #[test]
    fn each_address_has_a_mail_of_its_own_once() {
        let mut mail = to(&[Occasion::ApprovalWaiting], "mail");
        mail.to = ["a@x", "b@x"].map(|m| Mailbox::new(m).unwrap()).into();
        let twice = vec![mail.clone(), mail];
        assert_eq!(reached(&notice(Occasion::ApprovalWaiting), twice), set(&["mail:a@x", "mail:b@x"]));
    }

    #[test]
    fn who_is_not_waited_for_is_not_called() {
        let group = |name: &str| Group::new(name).unwrap();
        let mut route = to(&[Occasion::ApprovalWaiting, Occasion::StopRunning], "hook");
        route.groups = [group("Security_Ops")].into();
        let mut waiting = notice(Occasion::ApprovalWaiting);
        waiting.groups = vec![group("Compliance_Legal")];
        assert_eq!(reached(&waiting, vec![route.clone()]), set(&["slack"]));
        waiting.groups.push(group("Security_Ops"));
        assert_eq!(reached(&waiting, vec![route.clone()]), set(&["hook"]));
        waiting.groups.clear();
        waiting.people = vec![orbital::names::Person::new("bob").unwrap()];
        assert_eq!(reached(&waiting, vec![route.clone()]), set(&["slack"]));
        route.people = waiting.people.iter().cloned().collect();
        assert_eq!(reached(&waiting, vec![route.clone()]), set(&["hook"]));
        // What waits for nobody is for all whom the route is for.
        assert_eq!(reached(&notice(Occasion::StopRunning), vec![route]), set(&["hook"]));
    }

    #[test]
    fn whoever_was_called_is_told_when_it_is_over() {
        let approved = notice(Occasion::Approved);
        assert_eq!(reached(&approved, vec![to(&[Occasion::ApprovalWaiting], "page")]), set(&["page"]));
        assert_eq!(reached(&approved, vec![to(&[Occasion::ApprovalWaiting], "hook")]), set(&["slack"]));
        assert_eq!(
            reached(&notice(Occasion::StopConfirmed), vec![to(&[Occasion::StopRunning], "page")]),
            set(&["page"])
        );
    }
}
