//! Notices from the decision to a receiver on loopback: what is told to whom, what is tried again, and that nothing gets lost or waits.

mod foreign;
mod receiver;

use std::{path::Path, time::Duration};

use governance::{
    State,
    notify::{Channel, Channels, Delivery, DeliveryFilter, DeliveryState, Hidden, Notifying, Pace, Roots, Target, Url},
};
use ledger::Ledger;
use orbital::{
    change::Action,
    names::Channel as Name,
    report::L1State,
    routing::{Occasion, Route, Routing},
    testing::{NOW, link_l1},
    vote::Role,
};

use crate::support::{House, OPERATOR, correlation};
use receiver::{Receiver, Say};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// `ops` hears what nobody routed, `page` and `hook` what is routed to them.
fn notifying(ops: &Receiver, page: &Receiver, hook: &Receiver, journal: Option<&Path>) -> Notifying {
    let url = |to: &Receiver, path: &str| Url::new(&format!("http://127.0.0.1:{}{path}", to.port), true).unwrap();
    let roots = || Roots::system().unwrap();
    let channel = |target, default| Channel { target, tenants: [].into(), to: [].into(), default };
    let key = Hidden::new("0123456789abcdef0123456789abcdef");
    let secret = Hidden::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let channels = [
        (name("ops"), channel(Target::Slack { url: url(ops, "/services/T0/B0/sesame"), roots: roots() }, true)),
        (name("page"), channel(Target::Pagerduty { url: url(page, "/v2/enqueue"), key, roots: roots() }, false)),
        (name("hook"), channel(Target::Webhook { url: url(hook, "/hook"), secret, roots: roots() }, false)),
    ];
    Notifying {
        channels: Channels(channels.into()),
        journal: journal.map(Into::into),
        links: "https://kcm.example".into(),
        pace: Pace { attempt: Duration::from_millis(300), ..Pace::default() },
    }
}

struct Told {
    house: House,
    ops: Receiver,
    page: Receiver,
    hook: Receiver,
    _folder: tempfile::TempDir,
}

impl Told {
    async fn new() -> Self {
        let (ops, page, hook) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("notices.jsonl");
        let house = House::telling(notifying(&ops, &page, &hook, Some(&journal))).await;
        house.desk().provision(house.world.genesis(), correlation()).await.unwrap();
        house.until_settled().await;
        let told = Self { house, ops, page, hook, _folder: folder };
        let one = |log: &[Delivery]| !log.is_empty() && log.iter().all(|d| d.state == DeliveryState::Delivered);
        told.until_logged("the tenant is told to be there", one).await;
        assert_eq!(told.titles(), ["[kcm] acme: the tenant is provisioned in every region"]);
        told
    }

    fn titles(&self) -> Vec<String> {
        self.ops.came().iter().map(|came| came.body["text"].as_str().unwrap().to_owned()).collect()
    }

    /// Time passes with each look.
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let look = || {
            self.house.clock.forward(20);
            holds(self)
        };
        self.house.until(what, look).await;
    }

    async fn log(&self) -> Vec<Delivery> {
        self.house.desk().deliveries(DeliveryFilter::default()).await.unwrap()
    }

    async fn until_logged(&self, what: &str, holds: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
        let waiting = async {
            loop {
                let log = self.log().await;
                if holds(&log) {
                    return log;
                }
                self.house.clock.forward(20);
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("in vain until {what}"))
    }

    async fn route(&mut self, routes: Vec<Route>) {
        let replaces = self.house.desk().routing("acme").await.unwrap().change;
        let action = Action::ChangeRouting { routing: Routing { routes }, replaces };
        let view = self.house.propose(action, "alice").await.unwrap();
        let view = self.house.approve(&view, "bob").await.unwrap();
        // No region is asked.
        assert_eq!(view.state, State::Active);
    }
}

fn to(channel: &str, events: &[Occasion]) -> Route {
    let events = events.iter().copied().collect();
    Route { events, groups: [].into(), people: [].into(), channel: name(channel), to: [].into() }
}

#[tokio::test]
async fn a_kill_is_told_from_its_proposal_to_the_last_region_with_a_link() {
    let told = Told::new().await;
    let view = told.house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    told.until("it waits", |told| told.titles().iter().any(|t| t.contains("RevokeL1 waits for signers"))).await;
    told.house.approve(&view, "dave").await.unwrap();
    told.house.until_state(&view.id, State::Active).await;
    told.until("it is confirmed", |told| told.titles().iter().any(|t| t.contains("confirmed by every region"))).await;
    let titles = told.titles();
    for said in ["RevokeL1 waits", "RevokeL1 is approved", "RevokeL1 is in force", "RevokeL1 is confirmed"] {
        assert_eq!(titles.iter().filter(|t| t.contains(said)).count(), 1, "{said}: {titles:?}");
    }
    let came = told.ops.came();
    let waiting = came.iter().find(|c| c.body.to_string().contains("waits for signers")).unwrap();
    let text = waiting.body["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(text.contains(&format!("<https://kcm.example/v1/proposals/{}|Look>", view.id)), "{text}");
    assert!(text.contains("Senior_Leadership") && text.contains("carol"), "{text}");
    assert_eq!(waiting.path, "/services/T0/B0/sesame");
    // A receiver has a notice before its answer is back.
    told.until_logged("each is delivered", |log| log.iter().all(|d| d.state == DeliveryState::Delivered)).await;
}

#[tokio::test]
async fn a_quorum_changes_who_is_told_and_no_region_hears_of_it() {
    let mut told = Told::new().await;
    let (epoch, version) = (told.house.world.epoch, told.house.world.chain().version());
    told.route(vec![to("hook", &[Occasion::ApprovalWaiting, Occasion::L1Active])]).await;
    assert_eq!(told.house.desk().tenant("acme").await.unwrap().summary.epoch, epoch - 1, "no epoch");
    told.house.until_settled().await;
    assert_eq!(told.house.world.chain().version(), version);
    // The people go on under the same epoch.
    let view = told.house.propose(link_l1("k"), "alice").await.unwrap();
    // What is decided before anybody looked waits for nobody, and is not told to wait.
    told.until("the hook hears that it waits", |told| told.hook.count() == 1).await;
    told.house.approve(&view, "bob").await.unwrap();
    told.house.until_state(&view.id, State::Active).await;
    told.until("the hook hears of it", |told| told.hook.count() == 2).await;
    let came = told.hook.came();
    assert_eq!(came[0].body["type"], "approval-waiting");
    assert_eq!(came[1].body["type"], "l1-active");
    assert_eq!(came[0].body["data"]["name"], "acme");
    assert!(came[0].headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    assert_eq!(came[0].bytes.first(), Some(&b'{'));
    // What it did not route goes to the site's default: that the link is approved.
    told.until("the rest", |told| told.titles().iter().any(|t| t.contains("LinkL1 is approved"))).await;
    assert!(!told.titles().iter().any(|t| t.contains("LinkL1 waits")));
    // A restart reads the same routing from the ledger.
    told.house.restart().await;
    let routing = told.house.desk().routing("acme").await.unwrap();
    assert_eq!((routing.routing.routes.len(), routing.channels.len()), (1, 3));
}

#[tokio::test]
async fn a_routing_is_made_upon_the_present_one_and_over_what_there_is() {
    let mut told = Told::new().await;
    let refused = |replaces, routes: Vec<Route>| Action::ChangeRouting { routing: Routing { routes }, replaces };
    let gone =
        told.house.propose(refused(None, vec![to("nowhere", &[Occasion::Approved])]), "alice").await.unwrap_err();
    assert!(gone.code() == "bad-routing" && gone.to_string().contains("hook, ops, page"), "{gone}");
    told.route(vec![to("hook", &[Occasion::Approved])]).await;
    let stale = told.house.propose(refused(None, vec![to("page", &[Occasion::Approved])]), "alice").await.unwrap_err();
    assert_eq!(stale.code(), "stale-routing");
    let change = told.house.world.change(refused(None, vec![]));
    assert!(!change.regions.is_empty());
    let bytes = change.to_bytes().unwrap();
    let statement = told.house.world.propose(&bytes, "alice");
    assert_eq!(
        told.house.desk().propose(bytes, statement, None, correlation()).await.unwrap_err().code(),
        "reaches-no-region"
    );
}

#[tokio::test]
async fn an_incident_is_opened_and_resolved_by_the_proposals_id() {
    let mut told = Told::new().await;
    told.route(vec![to("page", &[Occasion::ApprovalWaiting])]).await;
    let view = told.house.propose(link_l1("k"), "alice").await.unwrap();
    // The routing's own approval goes over it too, and resolves what nobody opened.
    let of = |told: &Told| {
        told.page.came().into_iter().filter(|c| c.body["dedup_key"] == view.id.as_str()).collect::<Vec<_>>()
    };
    told.until("somebody is called", |told| of(told).len() == 1).await;
    let vote = told.house.world.answer(Role::Reject, &view.proposal, "bob");
    told.house.desk().answer(view.id.clone(), Role::Reject, vote, correlation()).await.unwrap();
    told.until("it is over", |told| of(told).len() == 2).await;
    let [opened, closed] = of(&told).try_into().unwrap();
    assert_eq!((&opened.body["event_action"], &closed.body["event_action"]), (&"trigger".into(), &"resolve".into()));
    assert_eq!(opened.body["routing_key"], "0123456789abcdef0123456789abcdef");
}

#[tokio::test]
async fn failures_are_tried_again_refusals_are_not_and_both_can_be_replayed() {
    let told = Told::new().await;
    let before = told.ops.count();
    told.ops.will([Say::Status(500, None), Say::Hang, Say::Status(429, Some(30)), Say::Status(200, None)]);
    let view = told.house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    told.until("the third attempt was put off", |told| told.ops.count() == before + 3).await;
    let asked_ms = told.house.desk().deliveries(DeliveryFilter::default()).await.unwrap()[0].tried_ms;
    let log = told.until_logged("it is told", |log| log[0].state == DeliveryState::Delivered).await;
    assert_eq!(log[0].attempts, 4, "{log:#?}");
    assert!(
        log[0].tried_ms.unwrap() >= asked_ms.unwrap_or(0) + 30_000 || log[0].tried_ms.unwrap() >= NOW * 1_000 + 30_000
    );
    let vote = told.house.world.answer(Role::Reject, &view.proposal, "carol");
    told.ops.will([Say::Status(404, None)]);
    told.house.desk().withdraw(view.id.clone(), vote, correlation()).await.unwrap();
    let log = told.until_logged("it is refused", |log| log.iter().any(|d| d.state == DeliveryState::Failed)).await;
    let failed = log.iter().find(|d| d.state == DeliveryState::Failed).unwrap();
    assert!(failed.attempts == 1 && failed.why.contains("404"), "{}", failed.why);
    let shown = serde_json::to_string(&log).unwrap();
    assert!(!shown.contains("sesame") && !shown.contains("whsec_"), "{shown}");
    // Told again by hand, under the same id.
    let count = told.ops.count();
    let again = told.house.desk().replay(&failed.id).await.unwrap();
    assert_eq!((again.state, again.attempts, &again.id), (DeliveryState::Waiting, 0, &failed.id));
    told.until("it is told", |told| told.ops.count() == count + 1).await;
    told.until_logged("the log says so", |log| log.iter().all(|d| d.state == DeliveryState::Delivered)).await;
    assert_eq!(told.house.desk().replay("nothing").await.unwrap_err().code(), "unknown-delivery");
}

#[tokio::test]
async fn a_crash_loses_no_notice_and_repeats_none() {
    let mut told = Told::new().await;
    told.ops.will([Say::Hang]);
    let view = told.house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    let before = told.ops.count();
    told.until("it is tried", |told| told.ops.count() > before || told.titles().iter().any(|t| t.contains("waits")))
        .await;
    told.house.restart().await;
    let log = told.until_logged("it is told", |log| log.iter().all(|d| d.state == DeliveryState::Delivered)).await;
    let waiting: Vec<_> = log.iter().filter(|d| d.notice.occasion == Some(Occasion::ApprovalWaiting)).collect();
    assert_eq!(waiting.len(), 1);
    let count = told.ops.count();
    told.house.restart().await;
    told.house.approve(&view, "dave").await.unwrap();
    told.until("the rest is told", |told| told.titles().iter().any(|t| t.contains("confirmed by every"))).await;
    assert_eq!(told.ops.count(), count + 3, "approved, running, confirmed: {:?}", told.titles());
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_decision_and_no_stop() {
    let told = Told::new().await;
    told.ops.will(std::iter::repeat_n(Say::Hang, 2));
    told.house.propose(link_l1("k"), "alice").await.unwrap();
    let before = told.ops.count();
    // The clock of the attempts is real: this kill is over long before the first attempt gives up.
    let view = told.house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    told.house.approve(&view, "dave").await.unwrap();
    told.house.until_state(&view.id, State::Active).await;
    told.until("the stop is told", |told| told.titles().iter().skip(before).any(|t| t.contains("RevokeL1"))).await;
}

#[tokio::test]
async fn a_test_is_told_and_who_may_not_route_may_not_try() {
    let told = Told::new().await;
    let desk = told.house.desk();
    assert_eq!(desk.test_notice("acme", Some(name("nothing"))).await.unwrap_err().code(), "untold");
    let [one] = desk.test_notice("acme", Some(name("hook"))).await.unwrap().try_into().unwrap();
    assert_eq!(one.notice.occasion, None);
    told.until("the hook hears it", |told| told.hook.count() == 1).await;
    let came = told.hook.came();
    assert_eq!(
        (&came[0].body["type"], came[0].headers["webhook-id"].to_str().unwrap()),
        (&"test".into(), one.id.as_str())
    );
    assert_eq!(desk.seen_by(OPERATOR).test_notice("acme", None).await.unwrap()[0].channel, name("ops"));
    assert_eq!(desk.seen_by("eve").test_notice("acme", None).await.unwrap_err().code(), "unknown-tenant");
    assert!(desk.seen_by("eve").deliveries(DeliveryFilter::default()).await.unwrap().is_empty());
    let head = told.house.ledger.head().unwrap().sequence;
    desk.seen_by("alice").test_notice("acme", None).await.unwrap();
    assert_eq!(told.house.ledger.head().unwrap().sequence, head, "nothing is written for a test");
}

#[tokio::test]
async fn what_stands_in_no_entry_is_told_too() {
    let told = Told::new().await;
    let view = told.house.propose(link_l1("k"), "alice").await.unwrap();
    // Half of its hour.
    told.house.clock.forward(31 * 60 * 1_000);
    told.until("it is told that time runs out", |told| told.titles().iter().any(|t| t.contains("LinkL1 expires in 2")))
        .await;
    assert_eq!(told.titles().iter().filter(|t| t.contains("expires in")).count(), 1);
    let vote = told.house.world.answer(Role::Reject, &view.proposal, "bob");
    told.house.desk().answer(view.id.clone(), Role::Reject, vote, correlation()).await.unwrap();

    told.house.hello("eu-frankfurt", None);
    told.house.region("eu-frankfurt", |r| r.health = L1State::Forbidden);
    told.house.hello("eu-frankfurt", None);
    told.until("the KMS refuses", |told| told.titles().iter().any(|t| t.contains("[kcm !] acme: eu-frankfurt finds")))
        .await;
    told.house.region("eu-frankfurt", |r| r.health = L1State::Enabled);
    told.house.murmur("eu-frankfurt");
    told.house.hello("eu-frankfurt", None);
    told.until("and not any more", |told| told.titles().iter().any(|t| t.contains("KMS in order again"))).await;

    // 600 s of lease, and nobody renews.
    told.house.clock.forward(460 * 1_000);
    told.until("the lease ends", |told| told.titles().iter().any(|t| t.contains("eu-frankfurt ends serving"))).await;

    told.house.region("us-east", |r| r.mute = true);
    let view = told.house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    told.house.approve(&view, "dave").await.unwrap();
    told.until("a region is silent", |told| {
        told.titles().iter().any(|t| t.contains("RevokeL1 is unconfirmed by us-east"))
    })
    .await;
    assert!(!told.titles().iter().any(|t| t.contains("confirmed by every region")));
}
