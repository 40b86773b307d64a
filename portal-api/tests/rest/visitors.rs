//! Who may see and do what, by the name in the client certificate. What somebody may not see answers as if it were not there.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body_util::BodyExt;
use orbital::{
    change::Action,
    names::{Digest, TenantId},
    testing::{World, link_l1, person},
    trust::TrustRoot,
    vote::Role,
};
use rcgen::SanType;
use serde_json::{Value, json};

use crate::house::{House, OPERATOR, Said};

/// A proposal of `action`, as its proposer would post it.
fn proposed(world: &World, action: Action, proposer: &str) -> Value {
    let mut change = world.change(action);
    // A provisioned tenant is at epoch 0; grants name the next.
    change.epoch = u64::from(!change.kind().is_stop());
    let bytes = change.to_bytes().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut signing = World::founded("test", world.trust().name.as_str(), |root| *root = world.trust().clone());
    signing.expires = now + 3_600;
    let signed = signing.propose(&bytes, proposer);
    json!({ "change": URL_SAFE_NO_PAD.encode(&bytes), "proposal": signed })
}

/// A second tenant beside the house's own.
fn globex(house: &House, alter: impl FnOnce(&mut TrustRoot)) -> World {
    let policy = house.world.trust().policy;
    World::founded("test", "globex", |root| {
        root.policy = policy;
        // Nobody of acme is of globex.
        for (person, actor) in &mut root.actors {
            actor.subject = Some(format!("globex-{person}"));
        }
        alter(root);
    })
}

async fn found(house: &House, world: &World) {
    let genesis = serde_json::to_value(world.genesis()).unwrap();
    let said = house.post("/v1/tenants", &genesis).await;
    assert_eq!(said.status, 202, "{:?}", said.body);
}

async fn get_as(house: &House, name: &str, path: &str) -> Said {
    house.send_as(name, http::Request::get(path), Vec::new()).await
}

async fn post_as(house: &House, name: &str, path: &str, body: &Value) -> Said {
    let request = http::Request::post(path).header("content-type", "application/json");
    house.send_as(name, request, body.to_string().into_bytes()).await
}

fn ids(said: &Said, member: &str) -> Vec<String> {
    let items = said.body["items"].as_array().unwrap();
    items.iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn whom_nobody_knows_learns_nothing() {
    let house = House::furnished().await;
    let document: Value = serde_json::from_str(portal_api::OPENAPI).unwrap();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let at =
                path.replace("{tenant}", "acme").replace("{id}", "no-such-proposal").replace("{file}", "style.css");
            let request = http::Request::builder().method(method.to_uppercase().as_str()).uri(&at);
            let said = house.send_as("mallory", request.header("content-type", "application/json"), vec![]).await;
            if ["/v1/signin", "/v1/session/end"].iter().any(|open| at.starts_with(open)) {
                assert!([400, 401, 404].contains(&said.status), "{at}: {:?}", said.body);
                continue;
            }
            if ["/v1/openapi.json", "/livez", "/docs", "/portal", "/portal/{file}"].contains(&path.as_str()) {
                assert_eq!(said.status, 200, "{at}");
                continue;
            }
            assert_eq!((said.status, said.code()), (403, "unknown-visitor"), "{method} {at}: {:?}", said.body);
            assert!(said.body["detail"].as_str().unwrap().contains("mallory"));
            asked += 1;
        }
    }
    assert!(asked >= 18, "{asked}");
}

#[tokio::test]
async fn a_tenants_person_sees_that_tenant_and_no_other() {
    let house = House::furnished().await;
    let other = globex(&house, |_| ());
    found(&house, &other).await;
    let (acme, globex) = (house.world.tenant().to_string(), other.tenant().to_string());
    let theirs = house.post("/v1/proposals", &proposed(&other, Action::RevokeL1 {}, "carol")).await;
    let theirs = theirs.body["id"].as_str().unwrap_or_else(|| panic!("{:?}", theirs.body)).to_owned();
    let ours = post_as(&house, "carol", "/v1/proposals", &proposed(&house.world, Action::RevokeL1 {}, "carol")).await;
    assert_eq!(ours.status, 202, "{:?}", ours.body);
    let ours = ours.body["id"].as_str().unwrap().to_owned();

    for (name, tenant, proposal) in [("alice", &acme, &ours), ("globex-alice", &globex, &theirs)] {
        assert_eq!(ids(&get_as(&house, name, "/v1/tenants").await, "id"), [tenant.as_str()]);
        assert_eq!(ids(&get_as(&house, name, "/v1/proposals").await, "id"), [proposal.as_str()]);
        let entries = get_as(&house, name, "/v1/audit/entries").await;
        assert_eq!(ids(&entries, "subject"), [tenant.as_str(), tenant.as_str()]);
        assert_eq!(get_as(&house, name, &format!("/v1/proposals/{proposal}")).await.status, 200);
    }
    assert_eq!(ids(&house.get("/v1/tenants").await, "id").len(), 2, "who runs the site sees both");
}

#[tokio::test]
async fn an_entry_that_one_may_not_see_is_proven_to_nobody_and_the_ledgers_growth_to_everybody() {
    let house = House::furnished().await;
    let other = globex(&house, |_| ());
    found(&house, &other).await;
    let inclusion = async |name: &str, sequence: u64| {
        get_as(&house, name, &format!("/v1/audit/inclusion?sequence={sequence}")).await
    };
    let listed = house.get("/v1/audit/entries").await;
    let subjects = ids(&listed, "subject");
    for (name, world) in [("alice", &house.world), ("globex-alice", &other)] {
        for (sequence, subject) in (1..).zip(&subjects) {
            let said = inclusion(name, sequence).await;
            let missing = inclusion(name, 99).await;
            if *subject == world.tenant().to_string() {
                assert_eq!(said.status, 200, "{:?}", said.body);
            } else {
                // The same words as for what is not there.
                let detail = |said: &Said| said.body["detail"].as_str().unwrap().replace(&sequence.to_string(), "99");
                assert_eq!((said.status, said.code()), (404, "unknown-entry"));
                assert_eq!(detail(&said), detail(&missing));
            }
        }
        assert_eq!(get_as(&house, name, "/v1/audit/checkpoint").await.body["size"], subjects.len());
        assert_eq!(get_as(&house, name, "/v1/audit/consistency?old=1&new=2").await.status, 200);
    }
    for path in ["checkpoint", "consistency?old=1&new=2", "inclusion?sequence=1"] {
        assert_eq!(get_as(&house, "mallory", &format!("/v1/audit/{path}")).await.code(), "unknown-visitor");
    }
}

#[tokio::test]
async fn how_much_all_tenants_put_on_a_region_is_for_who_runs_the_site() {
    let house = House::furnished().await;
    let regions = |said: Said| said.body["items"].as_array().unwrap().clone();
    let (ours, theirs) =
        (regions(house.get("/v1/regions").await), regions(get_as(&house, "alice", "/v1/regions").await));
    assert_eq!((ours.len(), theirs.len()), (3, 3));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        // The genesis is owed to a region that is not there.
        assert_eq!(ours["ordinary"]["depth"], 1);
        assert!(ours["load"].is_object());
        assert_eq!(theirs["ordinary"]["connected"], false);
        assert_eq!(theirs["load"], Value::Null);
        for lane in ["critical", "ordinary"] {
            assert_eq!(
                (&theirs[lane]["depth"], &theirs[lane]["oldest_unacknowledged_ms"]),
                (&Value::Null, &Value::Null)
            );
        }
    }
}

/// The same words for what is another's and for what is not there: they differ in the name alone.
#[tokio::test]
async fn what_is_anothers_answers_as_what_is_not_there() {
    let house = House::furnished().await;
    let other = globex(&house, |_| ());
    found(&house, &other).await;
    let change = proposed(&other, Action::RevokeL1 {}, "carol");
    let theirs = house.post("/v1/proposals", &change).await.body["id"].as_str().unwrap().to_owned();
    let (theirs, nothing) =
        ([other.tenant().to_string(), theirs], [TenantId(Digest([0; 32])).to_string(), "p-nothing".into()]);
    let own = house.world.change(Action::RevokeL1 {}).to_bytes().unwrap();
    let vote = house.world.answer(Role::Approve, &house.world.propose(&own, "carol"), "dave");
    let requests = |[tenant, proposal]: &[String; 2]| {
        let answers = ["approve", "reject", "confirm", "fire", "withdraw", "probe"];
        let mut all = vec![
            ("GET", format!("/v1/tenants/{tenant}")),
            ("GET", format!("/v1/tenants/{tenant}/trust")),
            ("GET", format!("/v1/tenants/{tenant}/actors")),
            ("GET", format!("/v1/tenants/{tenant}/keys")),
            ("POST", format!("/v1/tenants/{tenant}/revocations:simulate")),
            ("GET", format!("/v1/proposals?tenant={tenant}")),
            ("GET", format!("/v1/proposals/{proposal}")),
        ];
        all.extend(answers.map(|deed| ("POST", format!("/v1/proposals/{proposal}/{deed}"))));
        all
    };
    for ((method, path), (_, absent)) in requests(&theirs).into_iter().zip(requests(&nothing)) {
        let mut said = Vec::new();
        for path in [&path, &absent] {
            let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
            let body = if method == "POST" { json!({ "vote": vote }).to_string() } else { String::new() };
            let mut answer = house.send_as("alice", request, body.into_bytes()).await;
            assert_eq!(answer.status, 404, "{method} {path}: {:?}", answer.body);
            answer.body["instance"] = Value::Null;
            let mut text = answer.body.to_string();
            for name in theirs.iter().chain(&nothing) {
                text = text.replace(name, "X");
            }
            said.push(text);
        }
        assert_eq!(said[0], said[1], "{method} {path}");
    }
    let refused = post_as(&house, "alice", "/v1/proposals", &change).await;
    assert_eq!((refused.status, refused.code()), (404, "unknown-tenant"));
    assert_eq!(get_as(&house, "alice", "/v1/tenants/globex").await.code(), "unknown-tenant");
}

#[tokio::test]
async fn only_an_operator_founds_a_tenant() {
    let house = House::furnished().await;
    let genesis = serde_json::to_value(globex(&house, |_| ()).genesis()).unwrap();
    for name in ["erin", "alice"] {
        let refused = post_as(&house, name, "/v1/tenants", &genesis).await;
        assert_eq!((refused.status, refused.code()), (403, "not-an-operator"));
        assert!(refused.body["detail"].as_str().unwrap().contains("governance.operators"));
    }
    assert_eq!(ids(&house.get("/v1/tenants").await, "name"), ["acme"]);
    assert_eq!(post_as(&house, OPERATOR, "/v1/tenants", &genesis).await.status, 202);
}

#[tokio::test]
async fn a_probe_is_asked_for_by_whoever_may_propose_the_link() {
    let house = House::governed(
        "@id(\"guests\") forbid(principal == Person::\"judy\", action == Action::\"propose:LinkL1\", resource);",
    )
    .await;
    found(&house, &house.world).await;
    house.taken().await;
    let link = link_l1("arn:aws:kms:eu-central-1:1:key/1");
    let taken = house.post("/v1/proposals", &proposed(&house.world, link, "alice")).await;
    assert_eq!(taken.status, 202, "{:?}", taken.body);
    let path = format!("/v1/proposals/{}", taken.body["id"].as_str().unwrap());
    let probe = format!("{path}/probe");
    assert_eq!(get_as(&house, "judy", &path).await.status, 200, "a person of the tenant reads");
    let refused = post_as(&house, "judy", &probe, &json!({})).await;
    assert_eq!((refused.status, refused.code()), (403, "policy-denies"), "and decides nothing");
    assert_eq!(post_as(&house, "bob", &probe, &json!({})).await.status, 202);
    assert_eq!(post_as(&house, OPERATOR, &probe, &json!({})).await.status, 202);
}

#[tokio::test]
async fn a_certificate_names_a_person_by_subject_or_by_the_deployments_own_name() {
    let house = House::new().await;
    let world = globex(&house, |root| root.actors.get_mut(&person("judy")).unwrap().subject = None);
    found(&house, &world).await;
    let status = async |cn: &str, uri: Option<&str>| {
        let leaf = house.ca.leaf(cn, |params| {
            params.subject_alt_names.extend(uri.map(|uri| SanType::URI(uri.try_into().unwrap())));
        });
        let request = http::Request::get("/v1/tenants/globex").header("host", "localhost").body(Default::default());
        Said::of(house.sender_as(&leaf).await.send_request(request.unwrap()).await.unwrap()).await.status
    };
    assert_eq!(status("x", Some("globex-karl")).await, 200);
    assert_eq!(status("karl", None).await, 403, "whoever is known to the identity provider is known by that alone");
    assert_eq!(status("x", Some("spiffe://test/person/judy")).await, 200);
    assert_eq!(status("judy", None).await, 200);
    assert_eq!(status("x", Some("spiffe://elsewhere/person/judy")).await, 403);
    assert_eq!(status("judy", Some("spiffe://test/person/nobody")).await, 403, "the URI goes before the CN");
}

#[tokio::test]
async fn events_are_those_of_ones_own_tenants() {
    let house = House::furnished().await;
    let other = globex(&house, |_| ());
    let leaf = house.ca.leaf("alice", |_| ());
    let mut sender = house.sender_as(&leaf).await;
    let request = http::Request::get("/v1/events").header("host", "localhost").body(Default::default()).unwrap();
    let mut stream = sender.send_request(request).await.unwrap().into_body();
    found(&house, &other).await;
    house.post("/v1/proposals", &proposed(&other, Action::RevokeL1 {}, "carol")).await;
    house.post("/v1/proposals", &proposed(&house.world, Action::RevokeL1 {}, "carol")).await;
    let mut text = String::new();
    while !text.contains("\"event\":\"proposal\"") {
        let frame = stream.frame().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    assert!(text.contains(&house.world.tenant().to_string()));
    assert!(!text.contains(&other.tenant().to_string()), "{text}");
}
