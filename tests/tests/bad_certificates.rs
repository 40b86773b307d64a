//! Certificates that are missing, of the wrong CA or expired, at each of the three doors: REST, KMIP, Orbital. Whoever is refused learns
//! why from the command, and whoever runs the node from its log.

#[path = "support/authority.rs"]
#[cfg(test)]
mod authority;

#[path = "support/foreign.rs"]
#[cfg(test)]
mod support;

#[path = "support/wire.rs"]
#[cfg(test)]
mod wire;

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use node::kmip_client::tls_config;
    use rustls::pki_types::ServerName;
    use serde_json::Value;
    use tokio::{io::AsyncReadExt, net::TcpStream};
    use tokio_rustls::TlsConnector;

    use super::{
        authority::{Authority, EXPIRED, VALID},
        support::{Client, Demo, Ran, bounded, kcm_path},
        wire::{connect, runtime},
    };

    fn certs(demo: &Demo, name: &str) -> PathBuf {
        demo.dir.join("certs").join(name)
    }

    /// `kcm tenant list` with one file of the context's portal replaced.
    fn with_portal(demo: &Demo, files: &[(&str, &Path)]) -> Ran {
        let mut context = demo.json.clone();
        for (name, path) in files {
            context["portal"][*name] = Value::String(path.display().to_string());
        }
        let path = demo.dir.join("other.json");
        fs::write(&path, context.to_string()).unwrap();
        Ran::of(&bounded(&kcm_path()).args(["tenant", "list", "--context"]).arg(path).output().unwrap())
    }

    /// What a client of this certificate is told at a door that it has no business at. TLS 1.3 refuses after the handshake.
    fn told(address: &str, ca: &Path, (cert, key): (&Path, &Path)) -> String {
        runtime().block_on(async {
            let tls = TlsConnector::from(tls_config(ca, cert, key).unwrap());
            let tcp = TcpStream::connect(address).await.unwrap();
            let read = async {
                let mut stream = tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await?;
                stream.read_u8().await
            };
            read.await.unwrap_err().to_string()
        })
    }

    fn orbital(demo: &Demo) -> String {
        let topology = fs::read_to_string(demo.dir.join("topology.toml")).unwrap();
        let line = topology.lines().find(|line| line.starts_with("orbital = ")).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    }

    #[test]
    fn a_missing_file_is_named() {
        let demo = Demo::start();
        let absent = demo.dir.join("absent.pem");
        with_portal(&demo, &[("cert", &absent)]).ends_with(2).says(&["absent.pem", "check the path"]);
        for (node, file) in [
            ("fra-1", "fra-1-kmip.pem"),
            ("fra-1", "fra-1-orbital.pem"),
            ("gov-1", "gov-1-rest.pem"),
            ("gov-1", "orbital-ca.pem"),
        ] {
            let present = certs(&demo, file).display().to_string();
            let topology = demo.topology_with("absent.toml", &present, &absent.display().to_string());
            let refused = demo.try_run(node, &topology).ends_with(6);
            refused.says(&["T0103", "absent.pem", node, "Put the file there"]);
        }
    }

    #[test]
    fn a_certificate_of_the_wrong_ca_opens_no_door() {
        let demo = Demo::start();
        let (client, client_key) = (certs(&demo, "acme-client.pem"), certs(&demo, "acme-client.key"));
        let refused = with_portal(&demo, &[("cert", &client), ("key", &client_key)]).ends_with(6);
        refused.says(&["UnknownCA", "issued by the REST CA"]);
        demo.logs("gov-1", "portal: connection refused");
        let other = with_portal(&demo, &[("ca", &certs(&demo, "kmip-ca.pem"))]).ends_with(6);
        other.says(&["UnknownIssuer", "portal.ca"]);

        let (portal, portal_key) = (certs(&demo, "portal-client.pem"), certs(&demo, "portal-client.key"));
        let kmip = Client { cert: portal.clone(), key: portal_key.clone(), ..demo.client(0, "acme") };
        let why = told(&kmip.address, &kmip.ca, (&kmip.cert, &kmip.key));
        assert!(why.contains("UnknownCA"), "{why}");
        demo.logs("fra-1", "UnknownIssuer");

        let why = told(&orbital(&demo), &certs(&demo, "orbital-ca.pem"), (&portal, &portal_key));
        assert!(why.contains("UnknownCA"), "{why}");
        demo.logs("gov-1", "connection refused: invalid peer certificate: UnknownIssuer");
    }

    #[test]
    fn an_expired_certificate_opens_no_door_and_a_valid_one_of_that_ca_does() {
        let mut demo = Demo::start();
        let ours = Authority::new();
        let (dir, person) = (demo.dir.clone(), "spiffe://kcm-demo/person/alice");
        let (old, old_key) = ours.issue(&dir, "old", EXPIRED, person);
        let (new, new_key) = ours.issue(&dir, "new", VALID, person);
        demo.kill("gov-1");
        ours.join(&certs(&demo, "rest-ca.pem"));
        ours.join(&certs(&demo, "orbital-ca.pem"));
        demo.run("gov-1");
        demo.governed();

        let refused = with_portal(&demo, &[("cert", &old), ("key", &old_key)]).ends_with(6);
        refused.says(&["CertificateExpired", "is it still valid"]);
        with_portal(&demo, &[("cert", &new), ("key", &new_key)]).ends_with(0);

        let why = told(&orbital(&demo), &certs(&demo, "orbital-ca.pem"), (&old, &old_key));
        assert!(why.contains("CertificateExpired"), "{why}");
        demo.logs("gov-1", "connection refused: invalid peer certificate: certificate expired");
        // A certificate of the right CA that names no node of the topology comes no further.
        told(&orbital(&demo), &certs(&demo, "orbital-ca.pem"), (&new, &new_key));
        demo.logs("gov-1", "which the topology does not know as a peer here");

        let ca = dir.join("clients.pem");
        fs::write(&ca, ours.pem()).unwrap();
        let add = ["caller", "add", "--tenant", "acme", "--system", "orders", "--ca", ca.to_str().unwrap()];
        let id = demo.propose("alice", &add);
        demo.approve("bob", &id);
        let of = |cert: &Path, key: &Path| Client { cert: cert.into(), key: key.into(), ..demo.client(0, "acme") };
        runtime().block_on(async { connect(&of(&new, &new_key)).await.unwrap().create_active().await.unwrap() });
        let kmip = of(&old, &old_key);
        let why = told(&kmip.address, &kmip.ca, (&kmip.cert, &kmip.key));
        assert!(why.contains("CertificateExpired"), "{why}");
        demo.logs("fra-1", "invalid peer certificate: Expired");
    }
}
