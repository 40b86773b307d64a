//! Azure Key Vault, of a small server that speaks its REST interface and that of Entra ID's token endpoint (`tests/foreign/azure_kms.py`); its
//! customer acts by the same interface as an administrator, the region signs in with a certificate.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use custody::l1::{Azure, AzureOptions, Fault, L1, L1Error, State, Stop, observed, recipe};
use orbital::names::KeyRef;
use serde_json::{Value, json};

use crate::{
    cloud::Server,
    soft::{certificates, closed_port},
    suite::{Act, Customer, Later, conforms, context, hex, shown, stop_of, unreachable},
};

struct Customers {
    server: Server,
    region: Azure,
    stranger: Azure,
    nowhere: Azure,
    made: usize,
}

fn l1_at(server: &Server, (port, login): (u16, u16), ca: &Path, application: &str) -> Azure {
    let options = AzureOptions {
        endpoint: format!("https://localhost:{port}"),
        login: format!("https://localhost:{login}"),
        directory: "acme.example".to_owned(),
        ca: ca.to_owned(),
        credentials: server.file(&format!("{application}.credentials")),
    };
    Azure::connect(options).unwrap()
}

impl Customers {
    fn start() -> Option<Self> {
        let server = Server::start("azure-key-vault", "azure_kms.py")?;
        let (ca, here) = (server.file("ca.pem"), (server.port, server.port));
        let (region, stranger) = (l1_at(&server, here, &ca, "region"), l1_at(&server, here, &ca, "stranger"));
        // Its references are of the vault that is there, so that only the network fails.
        let nowhere = l1_at(&server, (server.port, closed_port()), &ca, "region");
        let customers = Self { region, stranger, nowhere, made: 0, server };
        customers.permit(&recipe::AZURE_ACTIONS);
        Some(customers)
    }

    fn l1(&self, application: &str) -> Azure {
        l1_at(&self.server, (self.server.port, self.server.port), &self.server.file("ca.pem"), application)
    }

    /// What the region's application may do with the keys.
    fn permit(&self, actions: &[&str]) {
        self.test("roles", &json!({ "region": actions }));
    }

    fn test(&self, what: &str, body: &Value) -> Value {
        self.server.ask("POST", &format!("/test/{what}"), body)
    }

    fn vault(&self, method: &str, path: &str, body: &Value) -> Value {
        self.server.ask(method, &format!("{path}?api-version=7.4"), body)
    }

    fn make(&mut self, form: &Value) -> KeyRef {
        self.made += 1;
        let name = format!("key-{}", self.made);
        self.vault("POST", &format!("/keys/{name}/create"), form);
        KeyRef::new(format!("https://localhost:{}/keys/{name}", self.server.port)).unwrap()
    }

    fn make_rsa(&mut self) -> KeyRef {
        self.make(&json!({ "kty": "RSA", "key_size": 2048, "key_ops": ["wrapKey", "unwrapKey"] }))
    }

    /// The path below the vault's address.
    fn path<'t>(&self, identifier: &'t str) -> &'t str {
        identifier.strip_prefix(&format!("https://localhost:{}", self.server.port)).unwrap()
    }

    fn of(&self, method: &str, key: &KeyRef, rest: &str, body: &Value) -> Value {
        self.vault(method, &format!("{}{rest}", self.path(key.as_str())), body)
    }

    /// The path of the key's current version.
    fn current(&self, key: &KeyRef) -> String {
        let shown = self.of("GET", key, "", &json!({}));
        self.path(shown["key"]["kid"].as_str().unwrap()).to_owned()
    }

    fn enable(&self, version: &str, enabled: bool) {
        self.vault("PATCH", version, &json!({ "attributes": { "enabled": enabled } }));
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
        Box::pin(async { self.make_rsa() })
    }
    fn absent_key(&self) -> KeyRef {
        KeyRef::new(format!("https://localhost:{}/keys/never-made", self.server.port)).unwrap()
    }
    fn act<'a>(&'a self, key: &'a KeyRef, act: Act) -> Later<'a, ()> {
        Box::pin(async move {
            match act {
                Act::Disable => self.enable(&self.current(key), false),
                Act::Enable => self.enable(&self.current(key), true),
                Act::ScheduleDeletion => drop(self.of("DELETE", key, "", &json!({}))),
                Act::Deny => self.permit(&[]),
                Act::Allow => self.permit(&recipe::AZURE_ACTIONS),
            }
        })
    }
}

#[tokio::test]
async fn azure_key_vault_conforms() {
    let Some(mut customer) = Customers::start() else { return };
    conforms(&mut customer).await;
}

/// Azure's own library for Python meets the same server, and opens what the region has wrapped: form, version, length of a blob's head are 20 bytes.
#[tokio::test]
async fn azures_own_library_opens_what_a_region_wrapped() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make_rsa();
    let blob = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    let seen = customer.server.seen_by("official_azure.py", &["key-1", &hex(&blob[20..276])]);
    let expected = json!({
        "opened": 32, "round": true, "enabled": false, "gone": "KeyNotFound", "recoverable": true, "stranger": "Authentication failed",
        "other": [400, "BadParameter", null], "disabled": [403, "Forbidden", "KeyDisabled"], "create": [403, "Forbidden", "ForbiddenByRbac"],
    });
    assert_eq!(seen, expected);
}

/// A Managed HSM has AES keys, too. One that is too short is no L1.
#[tokio::test]
async fn an_aes_key_of_a_managed_hsm_wraps() {
    let Some(mut customer) = Customers::start() else { return };
    let aes = |bits: u32| json!({ "kty": "oct-HSM", "key_size": bits, "key_ops": ["wrapKey", "unwrapKey"] });
    let (key, other, short) = (customer.make(&aes(256)), customer.make(&aes(256)), customer.make(&aes(128)));
    let l1 = &customer.region;
    let blob = l1.wrap(&key, &context(), &[7; 32]).await.unwrap();
    let mut slot = [0; 32];
    assert!(l1.unwrap(&key, &context(), &blob).await.unwrap().pour(&mut slot) && slot == [7; 32]);
    assert!(matches!(l1.unwrap(&other, &context(), &blob).await.map(drop), Err(L1Error::Mismatch { .. })));
    assert!(matches!(l1.wrap(&short, &context(), &[7; 32]).await, Err(L1Error::Unfit { .. })));
}

/// New wraps take the new version; an old blob opens until its own version is disabled, which is the customer's word on that blob.
#[tokio::test]
async fn a_rotated_key_opens_old_blobs_until_their_version_is_disabled() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make_rsa();
    let old = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    let first = customer.current(&key);
    customer.of("POST", &key, "/create", &json!({ "kty": "RSA" }));
    assert_ne!(customer.current(&key), first);
    assert!(customer.region.unwrap(&key, &context(), &old).await.is_ok());
    customer.enable(&first, false);
    assert_eq!(stop_of(customer.region.unwrap(&key, &context(), &old).await.map(drop)), Stop::Disabled);
    assert_eq!(customer.region.describe(&key).await.unwrap().state, State::Enabled);
    let new = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    assert!(customer.region.unwrap(&key, &context(), &new).await.is_ok());
}

/// Soft deletion can be taken back; a purge cannot. A key of the same name that is made after it opens nothing and stops nobody.
#[tokio::test]
async fn a_purged_key_is_deleted_and_its_namesake_opens_nothing() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make_rsa();
    let blob = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    customer.of("DELETE", &key, "", &json!({}));
    assert_eq!(observed(&customer.region.describe(&key).await), Some(State::PendingDeletion));
    customer.vault("DELETE", "/deletedkeys/key-1", &json!({}));
    assert_eq!(observed(&customer.region.describe(&key).await), Some(State::Deleted));
    assert_eq!(stop_of(customer.region.unwrap(&key, &context(), &blob).await.map(drop)), Stop::Deleted);
    customer.made -= 1;
    assert_eq!(customer.make_rsa(), key);
    assert!(matches!(customer.region.unwrap(&key, &context(), &blob).await.map(drop), Err(L1Error::Mismatch { .. })));
}

/// A customer that takes the operations from a key has stopped it; one of another type, or of another vault, can't be an L1.
#[tokio::test]
async fn a_key_that_may_not_unwrap_is_disabled_and_others_are_unfit() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make_rsa();
    customer.vault("PATCH", &customer.current(&key), &json!({ "key_ops": ["wrapKey"] }));
    assert_eq!(customer.region.describe(&key).await.unwrap().state, State::Disabled);
    assert_eq!(stop_of(customer.region.wrap(&key, &context(), &[7; 32]).await), Stop::Disabled);
    let current = customer.current(&key);
    let at = |rest: &str| KeyRef::new(format!("https://localhost:{}{rest}", customer.server.port)).unwrap();
    for bad in [
        at(&current),
        at("/keys/"),
        at("/keys/a/../b"),
        at("/secrets/a"),
        KeyRef::new("key-1").unwrap(),
        KeyRef::new("https://other.vault.azure.net/keys/key-1").unwrap(),
    ] {
        let refused = customer.region.describe(&bad).await.unwrap_err();
        assert!(matches!(refused, L1Error::Unfit { .. }), "{bad}: {refused}");
    }
}

/// Each of the permissions that `kcm l1 permissions` prints is needed.
#[tokio::test]
async fn what_is_printed_is_the_least_that_suffices() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make_rsa();
    let blob = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    for left_out in recipe::AZURE_ACTIONS {
        customer.permit(&recipe::AZURE_ACTIONS.into_iter().filter(|one| *one != left_out).collect::<Vec<_>>());
        let said = shown(&customer.region, &key, &blob).await;
        assert!(said.contains(&Some(State::Forbidden)), "{left_out}: {said:?}");
    }
}

#[tokio::test]
async fn a_server_of_another_ca_is_not_asked() {
    let Some(mut customer) = Customers::start() else { return };
    let (key, other) = (customer.make_rsa(), customer.server.file("other.pem"));
    drop(certificates(&other));
    let elsewhere = l1_at(&customer.server, (customer.server.port, customer.server.port), &other, "region");
    assert_eq!(unreachable(&elsewhere, &key).await, Fault::Network);
}

/// What is not the customer's word is a fault, at the vault as at the sign-in.
#[tokio::test]
async fn a_failing_server_stops_nobody() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make_rsa();
    for (how, fault) in [
        (json!({ "code": 429, "error": "Throttled" }), Fault::Throttled),
        (json!({ "code": 503, "error": "ServiceUnavailable" }), Fault::Server),
        (json!({ "code": 403, "error": "Forbidden", "inner": "ForbiddenByFirewall" }), Fault::Network),
        (json!({ "code": 403, "error": "Forbidden" }), Fault::Unknown),
        (json!({ "code": 401, "error": "Unauthorized" }), Fault::Credential),
        (json!({ "code": 404, "error": "VaultNotFound" }), Fault::Unknown),
        (json!({ "code": 403, "raw": "<html>a proxy's page</html>" }), Fault::Unknown),
        (json!({ "code": 200, "raw": "<html>a proxy's page</html>" }), Fault::Unknown),
        (json!({ "code": 200, "raw": "{\"value\":\"AA\"}" }), Fault::Unknown),
        (json!({ "code": 302, "raw": "" }), Fault::Unknown),
    ] {
        let l1 = customer.l1("region");
        customer.test("spoil", &json!({}));
        assert!(l1.describe(&key).await.is_ok(), "it signs in first");
        customer.test("spoil", &how);
        if how["code"] == 200 {
            let refused = l1.wrap(&key, &context(), &[7; 32]).await.unwrap_err();
            assert_eq!(refused.state(), Some(State::Unreachable), "{how}: {refused}");
        } else {
            assert_eq!(unreachable(&l1, &key).await, fault, "{how}");
        }
    }
    for (status, fault) in [(429, Fault::Throttled), (503, Fault::Server)] {
        customer.test("spoil", &json!({ "login": status }));
        assert_eq!(unreachable(&customer.l1("region"), &key).await, fault, "sign-in: {status}");
    }
    customer.test("spoil", &json!({ "code": 200, "raw": "{}" }));
    assert_eq!(unreachable(&customer.l1("region"), &key).await, Fault::Unknown, "a sign-in without a token");
}

/// One sign-in serves many calls; a token that the vault takes no more is replaced without anybody noticing.
#[tokio::test]
async fn a_token_serves_until_the_vault_takes_it_no_more() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make_rsa();
    let signed_in = || customer.test("count", &json!({}))["signed_in"].as_u64().unwrap();
    for _ in 0..3 {
        assert!(customer.region.describe(&key).await.is_ok());
    }
    assert_eq!(signed_in(), 1);
    customer.test("revoke", &json!({}));
    assert!(customer.region.describe(&key).await.is_ok());
    assert_eq!(signed_in(), 2);
}

/// Whoever replaces the credential need not restart the node, and the two proofs are worth the same.
#[tokio::test]
async fn a_replaced_credential_counts_at_the_next_sign_in() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make_rsa();
    assert!(customer.l1("secret").describe(&key).await.is_ok(), "by its secret");
    let file = customer.server.file("region.credentials");
    let (ours, l1) = (fs::read_to_string(&file).unwrap(), customer.l1("region"));
    fs::write(&file, ours.replace("region.pem", "stranger.pem")).unwrap();
    assert_eq!(unreachable(&l1, &key).await, Fault::Credential, "another's certificate");
    fs::write(&file, &ours).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(unreachable(&l1, &key).await, Fault::Credential, "others can read it");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(l1.describe(&key).await.is_ok());
    let secret = fs::read_to_string(customer.server.file("secret.credentials")).unwrap();
    fs::write(customer.server.file("secret.credentials"), format!("{}x\n", secret.trim_end())).unwrap();
    assert_eq!(unreachable(&customer.l1("secret"), &key).await, Fault::Credential, "a wrong secret");
}
