//! Dry runs, entity tags, idempotency keys, held reads, and the page that shows the description.

use orbital::{
    change::Action,
    testing::{link_l1, region},
    vote::Role,
};
use serde_json::{Value, json};

use crate::{
    house::{House, Said},
    resources::proposed,
};

/// A POST with one more header.
async fn post_with(house: &House, path: &str, body: &Value, (name, value): (&str, &str)) -> Said {
    let request = http::Request::post(path).header("content-type", "application/json").header(name, value);
    house.send(request, body.to_string().into_bytes()).await
}

async fn get_with(house: &House, path: &str, headers: &[(&str, &str)]) -> Said {
    let request = headers.iter().fold(http::Request::get(path), |request, (name, value)| request.header(*name, *value));
    house.send(request, Vec::new()).await
}

fn etag(said: &Said) -> String {
    said.headers["etag"].to_str().unwrap().to_owned()
}

async fn entries(house: &House) -> usize {
    house.get("/v1/audit/entries").await.body["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let house = House::furnished().await;
    house.taken().await;
    let (body, _) = proposed(&house.world, link_l1("k"), "alice");
    let before = entries(&house).await;
    let signed = house.post("/v1/proposals?dry_run=true", &body).await;
    assert_eq!(signed.status, 200, "{:?}", signed.body);
    assert_eq!((&signed.body["signed"], &signed.body["exists"]), (&json!(true), &json!(false)));
    let named =
        house.post("/v1/proposals?dry_run=true", &json!({ "change": body["change"], "proposer": "alice" })).await;
    assert_eq!((named.status, &named.body["id"]), (200, &signed.body["id"]), "{:?}", named.body);
    let can: Vec<_> =
        named.body["quorum"]["can_approve"].as_array().unwrap().iter().map(|c| c["person"].clone()).collect();
    assert_eq!(can, ["bob", "grace"]);
    assert_eq!(entries(&house).await, before, "nothing was written");
    assert_eq!(house.get("/v1/proposals").await.body["items"], json!([]));
    // Without a signature nothing is proposed, and both are neither.
    let unsigned = house.post("/v1/proposals", &json!({ "change": body["change"], "proposer": "alice" })).await;
    assert_eq!((unsigned.status, unsigned.code()), (400, "unreadable"));
    let mut both = body.clone();
    both["proposer"] = json!("alice");
    assert_eq!(house.post("/v1/proposals?dry_run=true", &both).await.status, 400);
    assert_eq!(house.post("/v1/proposals?dry_run=perhaps", &body).await.code(), "bad-query");
    // What would be refused is refused, in the same words.
    assert_eq!(house.post("/v1/proposals", &body).await.status, 202);
    assert_eq!(house.post("/v1/proposals?dry_run=true", &body).await.body["exists"], true);
    let (rival, _) = proposed(&house.world, link_l1("other"), "alice");
    for path in ["/v1/proposals?dry_run=true", "/v1/proposals"] {
        let refused = house.post(path, &rival).await;
        assert_eq!((refused.status, refused.code()), (409, "object-busy"), "{:?}", refused.body);
    }
    let (kill, _) = proposed(&house.world, Action::RevokeL1 {}, "carol");
    assert_eq!(house.post("/v1/proposals", &kill).await.status, 202, "a stop waits for nobody");
}

#[tokio::test]
async fn what_has_changed_since_it_was_read_is_not_answered() {
    let house = House::furnished().await;
    let (body, statement) = proposed(&house.world, Action::RevokeL1 {}, "carol");
    let taken = house.post("/v1/proposals", &body).await;
    let path = format!("/v1/proposals/{}", taken.body["id"].as_str().unwrap());
    let read = etag(&house.get(&path).await);
    assert_eq!(read, etag(&taken), "what was taken is what is shown");
    assert_eq!(get_with(&house, &path, &[("if-none-match", &read)]).await.status, 304);

    let vote = |role, who| json!({ "vote": house.world.answer(role, &statement, who) });
    let rejected =
        post_with(&house, &format!("{path}/reject"), &vote(Role::Reject, "heidi"), ("if-match", &read)).await;
    assert_eq!(rejected.status, 202, "{:?}", rejected.body);
    let approve = format!("{path}/approve");
    let stale = post_with(&house, &approve, &vote(Role::Approve, "dave"), ("if-match", &read)).await;
    assert_eq!((stale.status, stale.code()), (412, "changed-since"), "{:?}", stale.body);
    assert_ne!(etag(&house.get(&path).await), read);
    let fresh = post_with(&house, &approve, &vote(Role::Approve, "dave"), ("if-match", &etag(&rejected))).await;
    assert_eq!((fresh.status, &fresh.body["state"]), (202, &json!("applying")));
    for path in ["/v1/tenants/acme", "/v1/tenants/acme/trust"] {
        let tag = etag(&house.get(path).await);
        assert_eq!(get_with(&house, path, &[("if-none-match", &tag)]).await.status, 304, "{path}");
    }
}

#[tokio::test]
async fn a_call_that_is_sent_twice_is_done_once() {
    let house = House::furnished().await;
    let (body, statement) = proposed(&house.world, Action::RevokeL1 {}, "carol");
    let key = ("idempotency-key", "\"8e03978e-40d5\"");
    let first = post_with(&house, "/v1/proposals", &body, key).await;
    let again = post_with(&house, "/v1/proposals", &body, key).await;
    assert_eq!((first.status, again.status, &again.body), (202, 202, &first.body));
    assert_eq!(
        (&again.headers["location"], &again.headers["idempotency-replayed"]),
        (&first.headers["location"], &"true".parse().unwrap())
    );
    let (other, _) = proposed(&house.world, Action::RevokeL1 {}, "dave");
    let reused = post_with(&house, "/v1/proposals", &other, key).await;
    assert_eq!((reused.status, reused.code()), (422, "idempotency-key-reused"));
    // What the memory here has lost, the ledger knows: the same words again, without a key.
    let path = format!("/v1/proposals/{}", first.body["id"].as_str().unwrap());
    let vote = json!({ "vote": house.world.answer(Role::Approve, &statement, "dave") });
    let ratified = house.post(&format!("{path}/approve"), &vote).await;
    let before = entries(&house).await;
    let again = house.post(&format!("{path}/approve"), &vote).await;
    assert_eq!((again.status, &again.body), (202, &ratified.body));
    let genesis = serde_json::to_value(house.world.genesis()).unwrap();
    assert_eq!(house.post("/v1/tenants", &genesis).await.code(), "tenant-known");
    let founded = post_with(&house, "/v1/tenants", &genesis, ("idempotency-key", "found-acme")).await;
    assert_eq!((founded.status, &founded.body["id"]), (202, &json!(house.world.tenant().to_string())));
    assert_eq!(entries(&house).await, before);
}

#[tokio::test]
async fn a_held_read_ends_when_the_proposal_moves_or_the_time_is_over() {
    let house = House::furnished().await;
    let (body, statement) = proposed(&house.world, Action::RevokeL1 {}, "carol");
    let taken = house.post("/v1/proposals", &body).await;
    let path = format!("/v1/proposals/{}", taken.body["id"].as_str().unwrap());
    let vote = json!({ "vote": house.world.answer(Role::Approve, &statement, "dave") });
    let approve = format!("{path}/approve");
    // Its connection stands already, so that it is held before the answer's has shaken hands; were it later, it would not be held at all.
    let mut waiting = house.sender().await;
    let read = http::Request::get(&path).header("host", "localhost").header("prefer", "wait=30");
    let read = read.header("if-none-match", etag(&taken)).body(Default::default()).unwrap();
    let (held, ratified) = tokio::join!(waiting.send_request(read), house.post(&approve, &vote));
    let held = Said::of(held.unwrap()).await;
    assert_eq!(ratified.status, 202);
    assert_eq!((held.status, &held.body["state"]), (200, &json!("applying")), "{:?}", held.body);
    assert_eq!(held.headers["preference-applied"], "wait=30");
    let tag = etag(&held);
    // What the caller has is not what there is: no wait at all, even with none to come.
    let stale = get_with(&house, &path, &[("prefer", "wait=30"), ("if-none-match", &etag(&taken))]).await;
    assert_eq!((stale.status, etag(&stale)), (200, tag.clone()));
    let over = get_with(&house, &path, &[("prefer", "wait=1"), ("if-none-match", &tag)]).await;
    assert_eq!((over.status, &over.headers["preference-applied"]), (304, &"wait=1".parse().unwrap()));
    assert!(held.body["regions"][region("us-east").as_str()].is_object());
}

#[tokio::test]
async fn the_page_runs_its_own_script_alone() {
    let house = House::new().await;
    let page = house.get("/docs").await;
    assert_eq!(page.status, 200);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
}
