//! Each resource, as far as governance alone can answer.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body_util::BodyExt;
use ledger::{Checkpoint, verify_consistency, verify_inclusion};
use orbital::{
    chain::Genesis,
    change::Action,
    names::Digest,
    note::Note,
    sign::Signed,
    testing::{World, link_l1},
    vote::Role,
};
use serde_json::{Value, json};

use crate::house::House;

/// A proposal of `action`, as its proposer would post it.
pub(crate) fn proposed(world: &World, action: Action, proposer: &str) -> (Value, Signed) {
    let mut change = world.change(action);
    // A provisioned tenant is at epoch 0; grants name the next.
    change.epoch = u64::from(!change.kind().is_stop());
    let bytes = change.to_bytes().unwrap();
    let mut world_now = World::founded("test", "acme", |root| *root = world.trust().clone());
    world_now.expires = now() + 3600;
    let signed = world_now.propose(&bytes, proposer);
    (json!({ "change": URL_SAFE_NO_PAD.encode(&bytes), "proposal": signed }), signed)
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn a_tenant_is_founded_listed_and_its_chain_verifies_at_home() {
    let house = House::new().await;
    let genesis = serde_json::to_value(house.world.genesis()).unwrap();
    let founded = house.post("/v1/tenants", &genesis).await;
    let id = house.world.tenant().to_string();
    assert_eq!((founded.status, founded.body["id"].as_str()), (202, Some(id.as_str())));
    assert_eq!(founded.headers["location"], format!("/v1/tenants/{id}"));
    assert_eq!(house.post("/v1/tenants", &genesis).await.code(), "tenant-known");

    let list = house.get("/v1/tenants").await;
    assert_eq!(list.body["items"][0]["id"], id.as_str());
    assert_eq!(house.get("/v1/tenants/acme").await.body["name"], "acme");
    assert_eq!(house.get("/v1/tenants/nobody").await.code(), "unknown-tenant");

    let trust = house.get("/v1/tenants/acme/trust").await.body;
    let genesis: Genesis = serde_json::from_value(trust["genesis"].clone()).unwrap();
    assert_eq!(genesis.found().unwrap().tenant(), house.world.tenant());
    assert_eq!(trust["links"], json!([]));
    let forged = {
        let mut g = trust["genesis"].clone();
        g["signatures"]["alice"] = g["signatures"]["bob"].clone();
        g
    };
    assert_eq!(house.post("/v1/tenants", &forged).await.code(), "bad-genesis");
}

#[tokio::test]
async fn actors_come_in_pages_with_a_link_to_the_next() {
    let house = House::furnished().await;
    let first = house.get("/v1/tenants/acme/actors?limit=2").await;
    let people = |said: &crate::house::Said| -> Vec<String> {
        said.body["items"].as_array().unwrap().iter().map(|a| a["person"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(people(&first), ["alice", "bob"]);
    let next = first.body["next"].as_str().unwrap();
    let path = format!("/v1/tenants/acme/actors?limit=2&after={next}");
    assert_eq!(first.headers["link"], format!("<{path}>; rel=\"next\""));
    assert_eq!(people(&house.get(&path).await)[0], "carol");
    assert_eq!(house.get("/v1/tenants/acme/actors?limit=0").await.code(), "bad-query");
}

#[tokio::test]
async fn a_kill_is_proposed_by_one_and_ratified_by_another() {
    let house = House::furnished().await;
    let (body, statement) = proposed(&house.world, Action::RevokeL1 {}, "carol");
    let taken = house.post("/v1/proposals", &body).await;
    assert_eq!(taken.status, 202, "{:?}", taken.body);
    let id = taken.body["id"].as_str().unwrap().to_owned();
    assert_eq!(taken.headers["location"], format!("/v1/proposals/{id}"));
    assert_eq!(taken.body["state"], "open");
    assert_eq!(taken.body["may_sign"], json!(["dave", "heidi"]));

    let own = house.world.answer(Role::Approve, &statement, "carol");
    let refused = house.post(&format!("/v1/proposals/{id}/approve"), &json!({ "vote": own })).await;
    assert_eq!((refused.status, refused.code()), (403, "proposer-approves"));

    let vote = house.world.answer(Role::Approve, &statement, "dave");
    let ratified = house.post(&format!("/v1/proposals/{id}/approve"), &json!({ "vote": vote })).await;
    assert_eq!((ratified.status, ratified.body["state"].as_str()), (202, Some("applying")), "{:?}", ratified.body);
    let shown = house.get(&format!("/v1/proposals/{id}")).await.body;
    assert!(shown["certificate"].is_object());
    assert_eq!(shown["regions"]["eu-frankfurt"]["confirmation"], "waiting");
    assert_eq!(house.get("/v1/tenants/acme").await.body["killed"], true);

    let late = house.world.answer(Role::Reject, &statement, "heidi");
    let closed = house.post(&format!("/v1/proposals/{id}/reject"), &json!({ "vote": late })).await;
    assert_eq!((closed.status, closed.code()), (409, "proposal-closed"));
}

#[tokio::test]
async fn proposals_are_listed_by_what_is_asked_and_taken_back_by_their_proposer() {
    let house = House::furnished().await;
    house.taken().await;
    let (body, statement) = proposed(&house.world, link_l1("arn:aws:kms:eu-central-1:1:key/1"), "alice");
    let taken = house.post("/v1/proposals", &body).await;
    assert_eq!(taken.status, 202, "{:?}", taken.body);
    let id = taken.body["id"].as_str().unwrap().to_owned();
    let count = |said: crate::house::Said| said.body["items"].as_array().unwrap().len();
    assert_eq!(count(house.get("/v1/proposals?tenant=acme&state=open&kind=LinkL1").await), 1);
    assert_eq!(count(house.get("/v1/proposals?state=active").await), 0);
    assert_eq!(house.get("/v1/proposals?state=asleep").await.code(), "unreadable");
    assert_eq!(house.get("/v1/proposals?colour=red").await.code(), "bad-query");
    assert_eq!(house.get("/v1/tenants/acme/keys").await.body["items"][0]["standing"], "proposed");

    let path = format!("/v1/proposals/{id}/withdraw");
    let other = house.world.answer(Role::Reject, &statement, "bob");
    assert_eq!(house.post(&path, &json!({ "vote": other })).await.code(), "not-the-proposer");
    let own = house.world.answer(Role::Reject, &statement, "alice");
    assert_eq!(house.post(&path, &json!({ "vote": own })).await.body["state"], "withdrawn");
    assert_eq!(house.get("/v1/proposals/none-of-these").await.code(), "unknown-proposal");
}

#[tokio::test]
async fn every_proposal_is_on_one_page_while_new_ones_come() {
    let house = House::furnished().await;
    let mut made = std::collections::BTreeSet::new();
    for who in ["carol", "dave", "heidi", "carol", "dave"] {
        let taken = house.post("/v1/proposals", &proposed(&house.world, Action::RevokeL1 {}, who).0).await;
        made.insert(taken.body["id"].as_str().unwrap().to_owned());
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/proposals?limit=2".to_owned());
    loop {
        let page = house.get(&path).await;
        seen.extend(page.body["items"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap().to_owned()));
        let Some(link) = page.headers.get("link") else { break };
        path = link.to_str().unwrap().trim_start_matches('<').split('>').next().unwrap().to_owned();
        // Newer than the page: it is on none that follows.
        house.post("/v1/proposals", &proposed(&house.world, Action::RevokeL1 {}, "heidi").0).await;
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert_eq!(seen.into_iter().collect::<std::collections::BTreeSet<_>>(), made);
    assert_eq!(house.get("/v1/proposals?after=Ym9i").await.code(), "bad-query", "a cursor of another list");
}

#[tokio::test]
async fn what_is_not_json_or_of_another_shape_is_named() {
    let house = House::furnished().await;
    let text = http::Request::post("/v1/proposals").header("content-type", "text/plain");
    assert_eq!(house.send(text, b"{}".to_vec()).await.code(), "not-json");
    let more = house.post("/v1/proposals", &json!({ "change": "", "proposal": {}, "more": 1 })).await;
    assert_eq!((more.status, more.code()), (400, "unreadable"));
    assert_eq!(more.body["errors"][0]["pointer"], "");
    assert_eq!(house.post("/v1/regions", &json!({})).await.code(), "method-not-allowed");
    assert_eq!(house.get("/v1/nothing").await.code(), "no-such-path");
}

#[tokio::test]
async fn the_ledger_is_paged_and_verified() {
    let house = House::furnished().await;
    let first = house.get("/v1/audit/entries?limit=1").await;
    assert_eq!(first.body["items"][0]["sequence"], 1);
    assert_eq!(house.get("/v1/audit/entries?after=x").await.code(), "bad-query");
    let verified = house.get("/v1/audit/verify").await.body;
    assert_eq!(verified["sound"], true);
    assert!(verified["head"].as_str().unwrap().parse::<Digest>().is_ok());
    let simulated = house.post("/v1/tenants/acme/revocations:simulate", &json!({})).await;
    assert_eq!(simulated.body["regions"].as_array().unwrap().len(), 3);
}

/// Base64url digests as they stand in an answer.
fn hashes(body: &Value) -> Vec<[u8; 32]> {
    body["proof"].as_array().unwrap().iter().map(|d| d.as_str().unwrap().parse::<Digest>().unwrap().0).collect()
}

#[tokio::test]
async fn whoever_holds_a_checkpoint_is_proven_what_came_before_and_what_came_after() {
    let house = House::furnished().await;
    let early = house.get("/v1/audit/checkpoint").await.body;
    for action in [Action::RevokeL1 {}, Action::BlockTenant {}] {
        assert_eq!(house.post("/v1/proposals", &proposed(&house.world, action, "carol").0).await.status, 202);
    }
    let late = house.get("/v1/audit/checkpoint").await.body;
    let head = |body: &Value| {
        let note = Note::parse(body["note"].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(note.check(&body["verifier"].as_str().unwrap().parse().unwrap()), Ok(None));
        Checkpoint::parse(note.text()).unwrap().head
    };
    let (early, late) = (head(&early), head(&late));
    assert!(early.size < late.size);
    let proof = house.get(&format!("/v1/audit/consistency?old={}&new={}", early.size, late.size)).await.body;
    assert_eq!(verify_consistency(&early, &late, &hashes(&proof)), Ok(()));
    for entry in house.get("/v1/audit/entries").await.body["items"].as_array().unwrap() {
        let sequence = entry["sequence"].as_u64().unwrap();
        let proof = house.get(&format!("/v1/audit/inclusion?sequence={sequence}&size={}", late.size)).await.body;
        let hash = entry["hash"].as_str().unwrap().parse::<Digest>().unwrap().0;
        assert_eq!(verify_inclusion(sequence, &hash, &late, &hashes(&proof)), Ok(()));
    }
    let more = late.size + 1;
    for (query, code) in [
        (format!("consistency?old={}&new={more}", late.size), "no-such-size"),
        (format!("consistency?old={}&new={}", late.size, early.size), "no-such-size"),
        (format!("inclusion?sequence=1&size={more}"), "no-such-size"),
        (format!("inclusion?sequence={more}"), "unknown-entry"),
        ("inclusion?sequence=0".into(), "unknown-entry"),
        ("inclusion?sequence=01".into(), "bad-query"),
        ("inclusion?sequence=1&sequence=1".into(), "bad-query"),
        ("inclusion?size=1".into(), "bad-query"),
        ("consistency?old=1".into(), "bad-query"),
    ] {
        assert_eq!(house.get(&format!("/v1/audit/{query}")).await.code(), code, "{query}");
    }
}

#[tokio::test]
async fn events_are_told_and_resume_after_the_last_one_seen() {
    let house = House::new().await;
    let stream = |last: Option<String>| {
        let mut request = http::Request::get("/v1/events").header("host", "localhost");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        request.body(Default::default()).unwrap()
    };
    // What an open stream hears from, to the first whole message that is no comment.
    async fn message(body: &mut hyper::body::Incoming) -> String {
        let mut text = String::new();
        loop {
            let frame = body.frame().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            if text.contains("data:") && text.ends_with("\n\n") {
                return text;
            }
        }
    }
    let mut sender = house.sender().await;
    let mut live = sender.send_request(stream(None)).await.unwrap().into_body();
    let genesis = serde_json::to_value(house.world.genesis()).unwrap();
    house.post("/v1/tenants", &genesis).await;
    let first = message(&mut live).await;
    let id: u64 = first.lines().find_map(|l| l.strip_prefix("id:")).unwrap().trim().parse().unwrap();

    let mut again = house.sender().await;
    let mut resumed = again.send_request(stream(Some((id - 1).to_string()))).await.unwrap().into_body();
    assert!(message(&mut resumed).await.contains(&format!("id:{id}")));
    // Numbers that are gone, here those of another run, are told plainly; the first thing heard says where to go on.
    let mut behind = house.sender().await;
    let mut behind = behind.send_request(stream(Some("1".to_owned()))).await.unwrap().into_body();
    let told = message(&mut behind).await;
    assert!(told.contains("event:missed") && told.contains("id:"), "{told}");
    let bad = house.send(http::Request::get("/v1/events").header("last-event-id", "x"), vec![]).await;
    assert_eq!(bad.code(), "bad-query");
}
