//! Google Cloud KMS, of a small server that speaks its REST interface (`tests/foreign/google_kms.py`); its customer acts by the same
//! interface as an administrator, the region signs in with a service account's key.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use custody::l1::{Fault, Google, GoogleOptions, L1, L1Error, State, Stop, recipe};
use orbital::names::KeyRef;
use serde_json::{Value, json};

use crate::{
    cloud::Server,
    soft::{certificates, closed_port},
    suite::{Act, Customer, Later, conforms, context, hex, shown, stop_of, unreachable},
};

const RING: &str = "projects/acme/locations/europe-west3/keyRings/kcm";

/// What Google is here.
struct Cloud(Server);

impl Cloud {
    /// `None`, and a line that says so, where there is no Python environment.
    fn start() -> Option<Self> {
        Server::start("google-kms", "google_kms.py").map(Self)
    }

    /// What the customer's administrator does.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.0.ask(method, &format!("/v1/{path}"), body)
    }

    /// The least that a region needs, for whoever is in `members`.
    fn bind(&self, members: &[&str]) {
        let role = recipe::GOOGLE_PERMISSIONS.join(",");
        let members: Vec<_> =
            members.iter().map(|name| format!("serviceAccount:{name}@acme.iam.gserviceaccount.com")).collect();
        self.ask(
            "POST",
            &format!("{RING}:setIamPolicy"),
            &json!({ "policy": { "bindings": [{ "role": role, "members": members }] } }),
        );
    }

    fn l1(&self, account: &str) -> Google {
        self.l1_at(self.0.port, &self.0.file("ca.pem"), account)
    }

    fn l1_at(&self, port: u16, ca: &Path, account: &str) -> Google {
        let options = GoogleOptions {
            endpoint: format!("https://localhost:{port}"),
            ca: ca.to_owned(),
            credentials: self.0.file(&format!("{account}.json")),
        };
        Google::connect(options).unwrap()
    }
}

struct Customers {
    server: Cloud,
    region: Google,
    stranger: Google,
    nowhere: Google,
    made: usize,
}

impl Customers {
    fn start() -> Option<Self> {
        let server = Cloud::start()?;
        server.bind(&["region"]);
        let ca = server.0.file("ca.pem");
        let (region, stranger) = (server.l1("region"), server.l1("stranger"));
        Some(Self { region, stranger, nowhere: server.l1_at(closed_port(), &ca, "region"), made: 0, server })
    }

    fn make(&mut self, purpose: &str) -> KeyRef {
        self.made += 1;
        let path = format!("{RING}/cryptoKeys?cryptoKeyId=key-{}", self.made);
        let made = self.server.ask("POST", &path, &json!({ "purpose": purpose }));
        KeyRef::new(made["name"].as_str().unwrap()).unwrap()
    }

    fn state(&self, key: &KeyRef, version: u32, state: &str) {
        let path = format!("{key}/cryptoKeyVersions/{version}?updateMask=state");
        self.server.ask("PATCH", &path, &json!({ "state": state }));
    }

    /// A new version, which new wraps take.
    fn rotate(&self, key: &KeyRef) {
        self.server.ask("POST", &format!("{key}/cryptoKeyVersions"), &json!({}));
        self.server.ask("POST", &format!("{key}:updatePrimaryVersion"), &json!({ "cryptoKeyVersionId": "2" }));
    }
}

impl Customer for Customers {
    fn region(&self) -> &dyn L1 {
        &self.region
    }
    fn stranger(&self) -> &dyn L1 {
        &self.stranger
    }
    fn nowhere(&self) -> &dyn L1 {
        &self.nowhere
    }
    fn fresh_key(&mut self) -> Later<'_, KeyRef> {
        Box::pin(async { self.make("ENCRYPT_DECRYPT") })
    }
    fn absent_key(&self) -> KeyRef {
        KeyRef::new(format!("{RING}/cryptoKeys/never-made")).unwrap()
    }
    fn act<'a>(&'a self, key: &'a KeyRef, act: Act) -> Later<'a, ()> {
        Box::pin(async move {
            match act {
                Act::Disable => self.state(key, 1, "DISABLED"),
                Act::Enable => self.state(key, 1, "ENABLED"),
                Act::ScheduleDeletion => {
                    self.server.ask("POST", &format!("{key}/cryptoKeyVersions/1:destroy"), &json!({}));
                }
                Act::Deny => self.server.bind(&[]),
                Act::Allow => self.server.bind(&["region"]),
            }
        })
    }
}

#[tokio::test]
async fn google_cloud_kms_conforms() {
    let Some(mut customer) = Customers::start() else { return };
    conforms(&mut customer).await;
}

/// Google's own library for Python meets the same server, and opens what the region has wrapped.
#[tokio::test]
async fn googles_own_library_opens_what_a_region_wrapped() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make("ENCRYPT_DECRYPT");
    let blob = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    let arguments = [key.as_str(), &hex(&blob[1..]), &hex(&context().aad())];
    let seen = customer.server.0.seen_by("official_google.py", &arguments);
    let expected = json!({
        "opened": 32, "state": "ENABLED", "round": true, "other": [400, null], "update": [403, "IAM_PERMISSION_DENIED"],
        "disabled": [400, null], "absent": [404, null], "stranger": [401, null],
    });
    assert_eq!(seen, expected);
}

/// New wraps take the new version; an old blob opens until its own version is disabled, which is the customer's word on that blob.
#[tokio::test]
async fn a_rotated_key_opens_old_blobs_until_their_version_is_stopped() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make("ENCRYPT_DECRYPT");
    let old = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    customer.rotate(&key);
    assert!(customer.region.unwrap(&key, &context(), &old).await.is_ok());
    customer.state(&key, 1, "DISABLED");
    assert_eq!(stop_of(customer.region.unwrap(&key, &context(), &old).await.map(drop)), Stop::Disabled);
    assert_eq!(customer.region.describe(&key).await.unwrap().state, State::Enabled);
    let new = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    assert!(customer.region.unwrap(&key, &context(), &new).await.is_ok());
    customer.state(&key, 1, "DESTROYED");
    assert_eq!(stop_of(customer.region.unwrap(&key, &context(), &old).await.map(drop)), Stop::Deleted);
}

#[tokio::test]
async fn a_key_of_another_purpose_is_unfit() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make("ASYMMETRIC_SIGN");
    assert!(matches!(customer.region.describe(&key).await, Err(L1Error::Unfit { .. })));
}

/// Each of the permissions that `kcm l1 permissions` prints is needed.
#[tokio::test]
async fn what_is_printed_is_the_least_that_suffices() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make("ENCRYPT_DECRYPT");
    let blob = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    customer.state(&key, 1, "DISABLED");
    for left_out in recipe::GOOGLE_PERMISSIONS {
        let role =
            recipe::GOOGLE_PERMISSIONS.iter().filter(|one| **one != left_out).copied().collect::<Vec<_>>().join(",");
        let member = "serviceAccount:region@acme.iam.gserviceaccount.com";
        let policy = json!({ "policy": { "bindings": [{ "role": role, "members": [member] }] } });
        customer.server.ask("POST", &format!("{RING}:setIamPolicy"), &policy);
        let said = shown(&customer.region, &key, &blob).await;
        assert!(said.contains(&Some(State::Forbidden)), "{left_out}: {said:?}");
    }
}

#[tokio::test]
async fn a_server_of_another_ca_is_not_asked() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make("ENCRYPT_DECRYPT");
    let other = customer.server.0.file("other.pem");
    drop(certificates(&other));
    let elsewhere = customer.server.l1_at(customer.server.0.port, &other, "region");
    assert_eq!(unreachable(&elsewhere, &key).await, Fault::Network);
}

/// What changes between Google and the region is a fault, and so is whatever is not the customer's word.
#[tokio::test]
async fn a_changed_value_and_a_failing_server_stop_nobody() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make("ENCRYPT_DECRYPT");
    let l1 = &customer.region;
    let blob = l1.wrap(&key, &context(), &[7; 32]).await.unwrap();
    let spoil = |how: &Value| drop(customer.server.ask("POST", &format!("{RING}:spoil"), how));
    for field in ["ciphertext", "verifiedPlaintextCrc32c", "verifiedAdditionalAuthenticatedDataCrc32c"] {
        spoil(&json!({ "change": field }));
        let refused = l1.wrap(&key, &context(), &[7; 32]).await.unwrap_err();
        assert!(refused.state() == Some(State::Unreachable) && refused.to_string().contains("checksum"), "{refused}");
    }
    spoil(&json!({ "change": "plaintext" }));
    let refused = l1.unwrap(&key, &context(), &blob).await.map(drop).unwrap_err();
    assert!(refused.state() == Some(State::Unreachable) && refused.to_string().contains("checksum"), "{refused}");
    for (how, fault) in [
        (json!({ "code": 429, "status": "RESOURCE_EXHAUSTED" }), Fault::Throttled),
        (json!({ "code": 503, "status": "UNAVAILABLE" }), Fault::Server),
        (json!({ "code": 403, "status": "PERMISSION_DENIED" }), Fault::Unknown),
        (json!({ "code": 400, "status": "FAILED_PRECONDITION" }), Fault::Unknown),
        (json!({ "code": 403, "raw": "<html>a proxy's page</html>" }), Fault::Unknown),
        (json!({ "code": 200, "raw": "<html>a proxy's page</html>" }), Fault::Unknown),
        (json!({ "code": 302, "raw": "" }), Fault::Unknown),
    ] {
        spoil(&how);
        assert_eq!(unreachable(l1, &key).await, fault, "{how}");
    }
}

/// Whoever replaces the credential file need not restart the node.
#[tokio::test]
async fn a_replaced_credential_counts_at_the_next_call() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make("ENCRYPT_DECRYPT");
    let file = |name: &str| customer.server.0.file(&format!("{name}.json"));
    let ours = fs::read(file("region")).unwrap();
    fs::copy(file("stranger"), file("region")).unwrap();
    assert_eq!(unreachable(&customer.region, &key).await, Fault::Credential);
    fs::write(file("region"), &ours).unwrap();
    fs::set_permissions(file("region"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(unreachable(&customer.region, &key).await, Fault::Credential, "others can read it");
    fs::set_permissions(file("region"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(customer.region.describe(&key).await.is_ok());
}
