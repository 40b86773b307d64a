//! What tests of several crates start governance with (feature `testing`).

#![allow(clippy::unwrap_used, reason = "for tests: whatever is wrong should stop one where it stands")]

use orbital::{
    directive::Directive,
    frame::{Frame, Head},
    lane::Lane,
    names::NodeName,
    report::{Body, Outcome, Report, SyncAck},
    sign::Kind,
    testing::{REGIONS, World, region, secret},
};

use crate::Governance;
use crate::notify::{Channel, Channels, Hidden, Notifying, Roots, Target, Url};

/// One way out, to where nobody listens: what is told waits.
pub fn nowhere() -> Notifying {
    let target = Target::Webhook {
        url: Url::new("http://127.0.0.1:9/", true).unwrap(),
        secret: Hidden::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        roots: Roots::system().unwrap(),
    };
    let channel = Channel { target, tenants: [].into(), to: [].into(), default: true };
    let channels = Channels([(orbital::names::Channel::new("ops").unwrap(), channel)].into());
    Notifying { channels, links: "https://kcm.example".into(), ..Notifying::default() }
}

/// Every region of the tests says that it has taken the tenant, which was founded before, and governance has written that down.
pub async fn taken(governance: &Governance, world: &World) {
    let provision = Directive::Provision { genesis: world.genesis(), links: Vec::new() };
    let directive = Directive::digest_of(&provision.encode().unwrap());
    for (name, _) in REGIONS {
        let node = NodeName::new(format!("{name}-1")).unwrap();
        let ack = SyncAck {
            domain: Kind::SyncAck.domain(),
            deployment: world.deployment(),
            tenant: world.tenant(),
            region: region(name),
            directive,
            change: None,
            outcome: Outcome::Applied,
            why: String::new(),
            members: [node.clone()].into(),
            trust_version: 1,
            epoch: 0,
            generation: 1,
            at_us: 1,
            took_us: 1,
        };
        let report = Report::SyncAck(ack.sign(world.report_key(name)).unwrap()).encode().unwrap();
        let head = Head {
            deployment: world.deployment(),
            sender: node.clone(),
            receiver: NodeName::new("gov-1").unwrap(),
            lane: Lane::Ordinary,
            incarnation: 1,
            term: 0,
            sequence: 0,
            base: 0,
        };
        let frame = Frame { head, body: Body::Report { correlation: None, report } };
        governance.received(&node, Lane::Ordinary, frame.seal(&secret("frames", name)).unwrap());
    }
    let (desk, id) = (governance.desk(), world.tenant().to_string());
    let mut events = desk.events(None);
    while !desk.tenant(&id).await.unwrap().summary.unfounded.is_empty() {
        let _looked_again = tokio::time::timeout(std::time::Duration::from_millis(5), events.next()).await;
    }
}
