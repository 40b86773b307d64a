//! A governance with its portal in this process, and a folder with everything that a context names.

use std::{os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use clap::Parser;
use governance::{Checkpointing, Governance, Options, Peer, SystemClock, testing::nowhere};
use orbital::{
    names::{Deployment, NodeName, Person},
    note::{Scheme, Signer},
    testing::{self, PEOPLE, REGIONS, World},
};
use portal_api::tls::Clients;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio::{net::TcpListener, runtime::Runtime};

use super::super::{
    Cli, Start,
    exit::{Failure, Report},
    perform,
};

/// The node's own commands are others' to test.
pub(in crate::cli) const START: Start =
    Start { demo: |_, _| Err(elsewhere()), run: |_, _| Err(elsewhere()), check: |_| Err(elsewhere()) };

fn elsewhere() -> Failure {
    Failure::usage("not part of these tests")
}

pub(in crate::cli) struct House {
    pub(in crate::cli) world: World,
    pub(in crate::cli) folder: tempfile::TempDir,
    // Governance and portal run in it until the house is dropped.
    runtime: Runtime,
    governance: Governance,
}

fn issue(issuer: &Issuer<'static, KeyPair>, cn: &str) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, cn);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

impl House {
    pub(in crate::cli) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let bundle = policy::Bundle::default_bundle().unwrap();
        let world = World::founded("test", "acme", |root| root.policy = bundle.digest());
        let peers = REGIONS.iter().map(|(name, _)| Peer {
            region: testing::region(name),
            node: NodeName::new(format!("{name}-1")).unwrap(),
            frame_public: testing::secret("frames", name).public(),
        });
        let governance = runtime.block_on(Governance::start(Options {
            deployment: Deployment::new("test").unwrap(),
            node: NodeName::new("gov-1").unwrap(),
            incarnation: 1,
            term: 1,
            frame_key: testing::secret("frames", "gov-1"),
            regions: peers.collect(),
            operators: [Person::new("demo").unwrap()].into(),
            hyok: [].into(),
            lease_key: testing::secret("test/acme", "lease"),
            evaluator: policy::Evaluator::new(bundle),
            ledger: Arc::new(ledger::MemoryLedger::new()),
            checkpointing: Some(Checkpointing {
                signer: Signer::new("test/ledger", Scheme::Log, testing::secret("checkpoints", "gov-1")).unwrap(),
                last: None,
            }),
            critical: runtime.handle().clone(),
            clock: Arc::new(SystemClock::default()),
            notifying: nowhere(),
        }));
        let governance = governance.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let (chain, server_key) = issue(&issuer, "portal");
        let (client, client_key) = issue(&issuer, "demo");
        write("ca.pem", &ca);
        write("client.pem", &client);
        write("client.key", &client_key);
        let tls =
            portal_api::tls::server_config(chain.as_bytes(), server_key.as_bytes(), ca.as_bytes(), Clients::Demanded)
                .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(portal_api::serve(listener, tls, governance.desk(), None, std::future::pending()));
        let mut actors = Vec::new();
        for (name, _) in PEOPLE {
            let file = format!("{name}.key");
            write(&file, &world.key(name).to_text(name));
            std::fs::set_permissions(folder.path().join(&file), std::fs::Permissions::from_mode(0o600)).unwrap();
            actors.push(json!({ "name": name, "key": format!("{name}.key") }));
        }
        let portal = json!({
            "url": format!("https://localhost:{port}"), "ca": "ca.pem", "cert": "client.pem", "key": "client.key",
        });
        write("demo.json", &json!({ "portal": portal, "actors": actors }).to_string());
        Self { world, folder, runtime, governance }
    }

    /// A house whose tenant was provisioned by the command itself.
    pub(in crate::cli) fn furnished() -> Self {
        let house = Self::new();
        let genesis = serde_json::to_string(&house.world.genesis()).unwrap();
        std::fs::write(house.path("genesis.json"), genesis).unwrap();
        let report = house.kcm(&["tenant", "provision", &house.named("genesis.json")]).unwrap();
        assert_eq!(report.json["id"], house.world.tenant().to_string());
        house
    }

    /// erin proposes it, and somebody of each group that can approve does until no one is missing. What approvers were shown.
    pub(in crate::cli) fn decided(&self, words: &[&str]) -> String {
        let id = self.kcm(&[&["--as", "erin"], words].concat()).unwrap().json["id"].as_str().unwrap().to_owned();
        let first = self.kcm(&["proposal", "show", &id]).unwrap();
        let mut now = first.json.clone();
        while now["state"] == "open" {
            let next = now["may_sign"][0].as_str().unwrap().to_owned();
            self.kcm(&["--as", &next, "proposal", "approve", &id]).unwrap();
            now = self.kcm(&["proposal", "show", &id]).unwrap().json;
        }
        first.text
    }

    /// Every region has taken the tenant: it can be linked.
    pub(in crate::cli) fn taken(&self) {
        self.runtime.block_on(governance::testing::taken(&self.governance, &self.world));
    }

    pub(in crate::cli) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    pub(in crate::cli) fn named(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Runs a command line in this house.
    pub(in crate::cli) fn kcm(&self, words: &[&str]) -> Result<Report, Failure> {
        self.kcm_as("demo.json", words)
    }

    /// The same with another context of this house.
    pub(in crate::cli) fn kcm_as(&self, context: &str, words: &[&str]) -> Result<Report, Failure> {
        let context = self.named(context);
        let all = ["kcm", "--yes", "--context", &context].into_iter().chain(words.iter().copied());
        perform(Cli::try_parse_from(all).unwrap(), START)
    }
}
