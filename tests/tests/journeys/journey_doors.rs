//! Doors: each has a CA of its own, so no certificate opens another's; and behind the KMIP door no tenant sees another.

use std::{path::PathBuf, sync::Arc};

use kmip::{
    ProtocolVersion, ResultReason,
    client::{read_one, request},
    ops::{self, Answer, Request},
};
use node::{
    cluster::tls::{TlsFiles, identity, roots},
    kmip_client::KmipClient,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::demo::{Demo, NODES, PATIENCE, files};

/// A listener and what a stranger may try there.
struct Door {
    what: String,
    address: String,
    /// CA of its own certificate.
    ca: PathBuf,
    /// What it would answer, if it were asked by the right one.
    hello: Vec<u8>,
}

fn doors(demo: &Demo, topology: &toml::Table) -> Vec<Door> {
    let portal = files(&demo.json["portal"]);
    let governance = &topology["governance"];
    let certs = demo.dir().join("certs");
    let get = b"GET /v1/tenants HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let door = |what: &str, address: &str, ca: PathBuf, hello: &[u8]| Door {
        what: what.to_owned(),
        address: address.to_owned(),
        ca,
        hello: hello.to_vec(),
    };
    let at = |name: &str| governance[name].as_str().unwrap();
    let mut doors = vec![
        door("REST", at("rest"), portal.ca, get),
        door("Orbital, ordinary", at("orbital"), certs.join("orbital-ca.pem"), b"hello"),
        door("Orbital, critical", at("orbital_critical"), certs.join("orbital-ca.pem"), b"hello"),
    ];
    let locate = request(ProtocolVersion::V1_4, &Request::Locate(ops::locate::Request::of(Vec::new())));
    for node in NODES {
        let (kmip, ca) = (&demo.region(node)["kmip"], demo.client("acme").ca);
        doors.push(door(&format!("KMIP of {node}"), kmip["address"].as_str().unwrap(), ca.clone(), &locate));
        let url = kmip["https"].as_str().unwrap();
        let address = url.strip_prefix("https://").unwrap().strip_suffix("/kmip").unwrap();
        doors.push(door(&format!("KMIP over HTTPS of {node}"), address, ca, &post(&locate)));
    }
    doors
}

fn post(message: &[u8]) -> Vec<u8> {
    let length = message.len();
    let head = format!(
        "POST /kmip HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), message].concat()
}

/// The keys that open something, and the doors that they are for.
fn keys(demo: &Demo) -> Vec<(&'static str, &'static str, TlsFiles)> {
    let certs = demo.dir().join("certs");
    let pair = |name: &str| TlsFiles {
        ca: PathBuf::new(),
        cert: certs.join(format!("{name}.pem")),
        key: certs.join(format!("{name}.key")),
    };
    vec![
        ("REST", "the portal's client", files(&demo.json["portal"])),
        ("REST", "governance's REST server", pair("gov-1-rest")),
        ("Orbital", "region fra-1", pair("fra-1-orbital")),
        ("Orbital", "governance", pair("gov-1-orbital")),
        ("KMIP", "acme's client", demo.client("acme")),
        ("KMIP", "globex's client", demo.client("globex")),
        // It vouches for the listener and for no client.
        ("none", "a KMIP server", pair("fra-1-kmip")),
        ("none", "a soft L1", pair("l1-acme")),
    ]
}

/// What comes back before the server ends the connection: nothing where it refuses the certificate.
async fn answer(door: &Door, key: Option<&TlsFiles>) -> usize {
    let config = rustls::ClientConfig::builder().with_root_certificates(roots(&door.ca).unwrap());
    let config = match key {
        Some(files) => {
            let (chain, key) = identity(&files.cert, &files.key).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    let tcp = TcpStream::connect(&door.address).await.unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), tcp).await;
    let Ok(mut stream) = connected else { return 0 };
    // In TLS 1.3 the client learns of its refusal when it reads.
    drop(stream.write_all(&door.hello).await);
    let mut bytes = [0; 64];
    let read = timeout(PATIENCE, stream.read(&mut bytes)).await;
    read.unwrap_or_else(|_| panic!("{} keeps a connection open that it should have refused", door.what)).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_certificate_opens_another_door() {
    let demo = Demo::start();
    let topology = std::fs::read_to_string(demo.dir().join("topology.toml")).unwrap().parse().unwrap();
    let (doors, keys) = (doors(&demo, &topology), keys(&demo));
    for door in &doors {
        assert_eq!(answer(door, None).await, 0, "{} answers who shows no certificate", door.what);
        for (opens, whose, key) in &keys {
            let its_own = door.what.starts_with(opens);
            // That Orbital's own certificates open it is what the demo runs on; it would wait for the cluster's handshake here.
            if its_own && *opens != "Orbital" {
                assert!(answer(door, Some(key)).await > 0, "{} does not open {}", whose, door.what);
            } else if !its_own {
                assert_eq!(answer(door, Some(key)).await, 0, "{} opens {}", whose, door.what);
            }
        }
    }
    demo.end();
}

async fn perform<T>(
    client: &mut KmipClient,
    request: &Request<'_>,
    read: impl FnOnce(Answer<'_>) -> T,
) -> Result<T, ResultReason> {
    let frame = kmip::client::request(ProtocolVersion::V1_4, request);
    let answer = client.exchange(&frame).await.unwrap();
    let answer = read_one(&answer, ProtocolVersion::V1_4, request.operation()).unwrap();
    answer.map(read).map_err(|failure| failure.reason)
}

async fn located(client: &mut KmipClient) -> Vec<String> {
    let locate = Request::Locate(ops::locate::Request::of(Vec::new()));
    let read = |answer: Answer<'_>| match answer {
        Answer::Locate(found) => found.unique_identifiers.iter().map(|id| (*id).to_owned()).collect(),
        _ => panic!("Locate was answered by something else"),
    };
    perform(client, &locate, read).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_sees_nothing_of_another() {
    let demo = Demo::start();
    let ours = demo.use_everywhere("acme").await;
    let theirs = demo.use_everywhere("globex").await;
    for (our, their) in ours.iter().zip(&theirs) {
        let mut client = demo.connect("acme", our.node).await.unwrap();
        assert_eq!(located(&mut client).await, std::slice::from_ref(&our.id));
        let foreign = [
            Request::Get(ops::get::Request::of(&their.id)),
            Request::GetAttributeList(ops::get_attribute_list::Request { unique_identifier: Some(&their.id) }),
            Request::Destroy(ops::destroy::Request { unique_identifier: Some(&their.id) }),
        ];
        for request in &foreign {
            let answer = perform(&mut client, request, |_| ()).await;
            assert_eq!(answer, Err(ResultReason::ItemNotFound), "{:?} of another tenant's key", request.operation());
        }
        assert!(their.open(&mut client).await.is_err_and(|e| e.reason() == Some(ResultReason::ItemNotFound)));
        let mut other = demo.connect("globex", their.node).await.unwrap();
        assert_eq!(located(&mut other).await, std::slice::from_ref(&their.id));
        their.open(&mut other).await.unwrap();
    }
    a_ping_says_where_it_ends(&demo, &ours[0].id, &theirs[0].id);
    demo.end();
}

/// `kcm kmip ping` goes a client's way to a region, as its operator would try it.
fn a_ping_says_where_it_ends(demo: &Demo, own: &str, foreign: &str) {
    let region = demo.region(NODES[0]);
    let name = region["name"].as_str().unwrap();
    let of_context = ["kmip", "ping", "--tenant", "acme", "--region", name];
    let steps = |args: &[&str], code: i32| -> Vec<(String, bool)> {
        let done = demo.kcm(None, args);
        assert_eq!(done.code, code, "kcm {args:?}: {done:?}");
        let said =
            |step: &serde_json::Value| (step["step"].as_str().unwrap().to_owned(), step["ok"].as_bool().unwrap());
        done.json["steps"].as_array().unwrap().iter().map(said).collect()
    };
    let expected = |seen: &[(&str, bool)]| seen.iter().map(|(step, ok)| ((*step).to_owned(), *ok)).collect::<Vec<_>>();
    let way = [("TLS", true), ("identity", true), ("tenant", true), ("version", true), ("Locate", true)];
    assert_eq!(steps(&of_context, 0), expected(&way));
    let tenant = &demo.kcm(None, &of_context).json["steps"][2]["seen"];
    assert_eq!(*tenant, format!("acme ({}), system orders", demo.tenant("acme")));
    let whole = [&way[..], &[("State", true), ("Get", true)]].concat();
    assert_eq!(steps(&[&of_context[..], &["--id", own]].concat(), 0), expected(&whole));
    let refused = [&way[..], &[("State", false), ("Get", false)]].concat();
    assert_eq!(steps(&[&of_context[..], &["--id", foreign]].concat(), 6), expected(&refused));
    // By files: the portal's client is nobody here, and a server that another CA vouches for is not believed.
    let (client, portal) = (demo.client("acme"), files(&demo.json["portal"]));
    let by_files = |ca: &PathBuf, pair: &TlsFiles, seen: &[(&str, bool)]| {
        let address = region["kmip"]["address"].as_str().unwrap();
        let [ca, cert, key] = [ca, &pair.cert, &pair.key].map(|path| path.to_str().unwrap());
        let args = ["kmip", "ping", "--address", address, "--ca", ca, "--cert", cert, "--cert-key", key];
        assert_eq!(steps(&args, 6), expected(seen));
    };
    by_files(&client.ca, &portal, &[("TLS", true), ("identity", false)]);
    by_files(&portal.ca, &client, &[("TLS", false)]);
}
