//! A customer's key manager: PyKMIP's server (`tests/foreign/kmip_keys.py`), whose administrator makes keys and says what others may do with them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use custody::l1::{Fault, KeyManager, KeyManagerOptions, L1, L1Error, State, Stop, observed};
use orbital::names::KeyRef;

use crate::{
    cloud::Server,
    soft::{certificates, closed_port},
    suite::{Act, Customer, Later, conforms, context, stop_of, unreachable},
};

/// What others than the keys' owner may do, by the names of PyKMIP, which asks for Get where a key is used.
const ALLOWED: [&str; 2] = ["GET", "GET_ATTRIBUTES"];

struct Customers {
    server: Server,
    region: KeyManager,
    nameless: KeyManager,
    nowhere: KeyManager,
}

fn l1_at(server: &Server, port: u16, ca: &Path, client: &str) -> KeyManager {
    let options = KeyManagerOptions {
        address: format!("localhost:{port}"),
        ca: ca.to_owned(),
        credentials: server.file(&format!("{client}.pem")),
    };
    KeyManager::connect(options).unwrap()
}

impl Customers {
    fn start() -> Option<Self> {
        let server = Server::start("kmip", "kmip_keys.py")?;
        let ca = server.file("ca.pem");
        let at = |port, client| l1_at(&server, port, &ca, client);
        let (region, nameless) = (at(server.port, "region"), at(server.port, "nameless"));
        let nowhere = at(closed_port(), "region");
        Some(Self { region, nameless, nowhere, server })
    }

    /// A key that is not active yet.
    fn make(&self, masks: &[&str]) -> KeyRef {
        let made = self.server.run(&[&["create"], masks].concat());
        KeyRef::new(made.as_str().unwrap()).unwrap()
    }

    fn make_active(&self) -> KeyRef {
        let key = self.make(&[]);
        self.act_on("activate", &key);
        key
    }

    fn act_on(&self, verb: &str, key: &KeyRef) {
        self.server.run(&[verb, key.as_str()]);
    }

    /// The server looks for new policies once a second: waits until this one counts.
    async fn allow(&self, key: &KeyRef, allowed: &[&str], state: State) {
        self.server.run(&[&["allow"], allowed].concat());
        while observed(&self.region.describe(key).await) != Some(state) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Customer for Customers {
    fn region(&self) -> &dyn L1 {
        &self.region
    }
    fn stranger(&self) -> &dyn L1 {
        &self.nameless
    }
    fn nowhere(&self) -> &dyn L1 {
        &self.nowhere
    }
    fn fresh_key(&mut self) -> Later<'_, KeyRef> {
        Box::pin(async { self.make_active() })
    }
    fn absent_key(&self) -> KeyRef {
        KeyRef::new("4711").unwrap()
    }
    fn act<'a>(&'a self, key: &'a KeyRef, act: Act) -> Later<'a, ()> {
        Box::pin(async move {
            match act {
                Act::Deny => self.allow(key, &[], State::Forbidden).await,
                Act::Allow => self.allow(key, &ALLOWED, State::Enabled).await,
                Act::Disable | Act::Enable | Act::ScheduleDeletion => unreachable!("skipped by name"),
            }
        })
    }
    fn skipped(&self, check: &str) -> Option<&'static str> {
        match check {
            "disabled_stops_and_enabling_resumes" => Some("KMIP deactivates for good: a test of its own"),
            "pending_deletion_stops" => Some("KMIP destroys at once: a test of its own"),
            _ => None,
        }
    }
}

#[tokio::test]
async fn a_key_manager_conforms() {
    let Some(mut customer) = Customers::start() else { return };
    conforms(&mut customer).await;
}

/// Not active yet, revoked, destroyed: each is told by the server for all three operations.
#[tokio::test]
async fn a_key_that_is_not_active_stops() {
    let Some(customer) = Customers::start() else { return };
    let (key, l1) = (customer.make(&[]), &customer.region);
    assert_eq!(l1.describe(&key).await.unwrap().state, State::Disabled);
    assert_eq!(stop_of(l1.wrap(&key, &context(), &[7; 32]).await), Stop::Disabled);
    customer.act_on("activate", &key);
    let blob = l1.wrap(&key, &context(), &[7; 32]).await.unwrap();
    customer.act_on("revoke", &key);
    assert_eq!(l1.describe(&key).await.unwrap().state, State::Disabled);
    assert_eq!(stop_of(l1.wrap(&key, &context(), &[7; 32]).await), Stop::Disabled);
    assert_eq!(stop_of(l1.unwrap(&key, &context(), &blob).await.map(drop)), Stop::Disabled);
    customer.act_on("destroy", &key);
    assert_eq!(observed(&l1.describe(&key).await), Some(State::Deleted));
    assert_eq!(stop_of(l1.unwrap(&key, &context(), &blob).await.map(drop)), Stop::Deleted);
}

/// Each of the permissions that docs/l1.md names is needed.
#[tokio::test]
async fn what_is_documented_is_the_least_that_suffices() {
    let Some(customer) = Customers::start() else { return };
    let (key, l1) = (customer.make_active(), &customer.region);
    let blob = l1.wrap(&key, &context(), &[7; 32]).await.unwrap();
    customer.allow(&key, &["GET"], State::Forbidden).await;
    customer.allow(&key, &["GET_ATTRIBUTES"], State::Enabled).await;
    assert_eq!(stop_of(l1.wrap(&key, &context(), &[7; 32]).await), Stop::Forbidden);
    assert_eq!(stop_of(l1.unwrap(&key, &context(), &blob).await.map(drop)), Stop::Forbidden);
}

#[tokio::test]
async fn a_key_that_may_not_decrypt_is_unfit() {
    let Some(customer) = Customers::start() else { return };
    let key = customer.make(&["ENCRYPT"]);
    assert!(matches!(customer.region.describe(&key).await, Err(L1Error::Unfit { .. })));
}

/// A server of another authority is not asked, and one that does not know ours says so or hangs up: both are faults.
#[tokio::test]
async fn another_authority_is_a_fault_on_either_side() {
    let Some(customer) = Customers::start() else { return };
    let (key, other) = (customer.make_active(), customer.server.file("other.pem"));
    drop(certificates(&other));
    let elsewhere = l1_at(&customer.server, customer.server.port, &other, "region");
    assert_eq!(unreachable(&elsewhere, &key).await, Fault::Network);
    let stranger = l1_at(&customer.server, customer.server.port, &customer.server.file("ca.pem"), "stranger");
    let fault = unreachable(&stranger, &key).await;
    assert!(matches!(fault, Fault::Credential | Fault::Network), "{fault:?}");
}

/// Whoever replaces the credential file need not restart the node.
#[tokio::test]
async fn a_replaced_credential_counts_at_the_next_call() {
    let Some(customer) = Customers::start() else { return };
    let (key, file) = (customer.make_active(), customer.server.file("region.pem"));
    let ours = fs::read(&file).unwrap();
    fs::copy(customer.server.file("nameless.pem"), &file).unwrap();
    assert_eq!(unreachable(&customer.region, &key).await, Fault::Credential);
    fs::write(&file, &ours).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(unreachable(&customer.region, &key).await, Fault::Credential, "others can read it");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(customer.region.describe(&key).await.is_ok());
}
