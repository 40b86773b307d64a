//! Genuine libmongocrypt against a demo: both flows work until something stops them, for that tenant alone. The drivers' table of
//! `docs/mongodb.md`.

#[path = "support/authority.rs"]
#[cfg(test)]
mod authority;

#[path = "support/foreign.rs"]
#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use super::{
        authority::{Authority, EXPIRED, VALID},
        support::{Client, Demo, Ran, bounded, script, until, venv},
    };

    const FLOWS: [&str; 2] = ["local", "delegated"];
    const RIGHT: &str = "11 right, 0 skipped";

    fn run(venv: &Path, client: &Client, arguments: &[&str]) -> Ran {
        let mut python = bounded(&venv.join("bin/python"));
        python.arg(script("mongocrypt.py")).args(arguments);
        client.arguments(&mut python);
        Ran::of(&python.output().unwrap())
    }

    fn mongocrypt(venv: &Path, client: &Client, flow: &str) -> Ran {
        run(venv, client, &["--flow", flow])
    }

    /// A driver's work: a data key of each flow, and a value that it sealed.
    struct Work<'v> {
        venv: &'v Path,
        kept: Vec<(&'static str, PathBuf)>,
    }

    impl<'v> Work<'v> {
        fn of(venv: &'v Path, demo: &Demo, client: &Client) -> Self {
            let keep = |flow: &'static str| {
                let path = demo.dir.join(flow);
                run(venv, client, &["--flow", flow, "--keep", path.to_str().unwrap()]).ends_with(0).says(&[RIGHT]);
                (flow, path)
            };
            Self { venv, kept: FLOWS.map(keep).to_vec() }
        }

        /// Each flow: a later driver opens what is there, and one makes a new data key.
        fn each(&self, client: &Client) -> impl Iterator<Item = Ran> {
            self.kept.iter().flat_map(|(flow, path)| {
                let open = run(self.venv, client, &["--open", path.to_str().unwrap()]);
                [open, mongocrypt(self.venv, client, flow)]
            })
        }

        #[track_caller]
        fn goes_on(&self, client: &Client) {
            self.each(client).for_each(|ran| drop(ran.ends_with(0)));
        }

        #[track_caller]
        fn fails(&self, client: &Client, words: &[&str]) {
            self.each(client).for_each(|ran| drop(ran.ends_with(1).says(words)));
        }

        /// The first is opened again, in the end.
        fn opens_again(&self, client: &Client) {
            let open = || run(self.venv, client, &["--open", self.kept[0].1.to_str().unwrap()]);
            until("a driver opens its data key", open, |ran| ran.code == 0);
        }

        fn is_refused_in_the_end(&self, client: &Client, why: &str) {
            let open = || run(self.venv, client, &["--open", self.kept[0].1.to_str().unwrap()]);
            until("a driver is refused", open, |ran| ran.code == 1 && ran.said().contains(why));
        }
    }

    /// What `kcm kmip conf mongodb` says to a driver is what it needs.
    fn configured(venv: &Path, demo: &Demo) {
        let pem = demo.dir.join("acme-mongo.pem");
        let place = ["--tenant", "acme", "--region", "eu-frankfurt", "--pem", pem.to_str().unwrap()];
        let conf = demo.json("alice", &[["kmip", "conf", "mongodb"].as_slice(), &place].concat()).ends_with(0).json();
        let (provider, tls) = (&conf["kmsProviders"]["kmip"], &conf["tlsOptions"]["kmip"]);
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let pem = text(&tls["tlsCertificateKeyFile"]);
        let client = Client {
            address: text(&provider["endpoint"]),
            ca: text(&tls["tlsCAFile"]).into(),
            cert: pem.clone().into(),
            key: pem.into(),
        };
        mongocrypt(venv, &client, "delegated").ends_with(0).says(&[RIGHT]);
    }

    #[test]
    fn libmongocrypt_conforms_until_its_tenant_is_revoked() {
        let Some(venv) = venv("libmongocrypt") else { return };
        let demo = Demo::start();
        configured(&venv, &demo);
        for flow in FLOWS {
            mongocrypt(&venv, &demo.client(0, "acme"), flow).ends_with(0).says(&[RIGHT]);
        }
        let work = Work::of(&venv, &demo, &demo.client(0, "acme"));
        demo.revoke("acme");
        work.fails(&demo.client(0, "acme"), &["MongoCryptError", "Item Not Found"]);
        for (region, flow) in [(0, "delegated"), (1, "delegated"), (2, "local")] {
            let refused = mongocrypt(&venv, &demo.client(region, "acme"), flow);
            refused.ends_with(1).says(&["MongoCryptError", "Item Not Found"]);
            mongocrypt(&venv, &demo.client(region, "globex"), flow).ends_with(0).says(&[RIGHT]);
        }
    }
    #[test]
    fn a_driver_learns_what_stops_it() {
        let Some(venv) = venv("libmongocrypt") else { return };
        let mut demo = Demo::start();
        let (client, other) = (demo.client(0, "acme"), demo.client(0, "globex"));
        let work = Work::of(&venv, &demo, &client);

        let denied = "Permission Denied";
        demo.json("alice", &["soft-l1", "disable", "--tenant", "acme"]).ends_with(0);
        work.is_refused_in_the_end(&client, denied);
        work.fails(&client, &["MongoCryptError", denied]);
        demo.json("alice", &["soft-l1", "enable", "--tenant", "acme"]).ends_with(0);
        work.opens_again(&client);
        work.goes_on(&client);

        demo.kill("l1-acme");
        work.goes_on(&client);
        demo.kill("fra-1");
        work.fails(&client, &["ConnectionRefusedError"]);
        demo.run("fra-1");
        until("the other tenant is served again", || mongocrypt(&venv, &other, "local"), |ran| ran.code == 0);
        work.is_refused_in_the_end(&client, "General Failure");
        work.fails(&client, &["MongoCryptError", "General Failure"]);
    }

    #[test]
    fn a_driver_with_an_expired_certificate_is_refused_in_the_handshake() {
        let Some(venv) = venv("libmongocrypt") else { return };
        let demo = Demo::start();
        let (ours, ca) = (Authority::new(), demo.dir.join("clients.pem"));
        fs::write(&ca, ours.pem()).unwrap();
        let add = ["caller", "add", "--tenant", "acme", "--system", "orders", "--ca", ca.to_str().unwrap()];
        demo.approve("bob", &demo.propose("alice", &add));
        let client = |name: &str, until| {
            let (cert, key) = ours.issue(&demo.dir, name, until, "spiffe://example/orders");
            Client { cert, key, ..demo.client(0, "acme") }
        };
        let work = Work::of(&venv, &demo, &client("new", VALID));
        work.goes_on(&client("newer", VALID));
        work.fails(&client("old", EXPIRED), &["CERTIFICATE_EXPIRED"]);
    }
}
