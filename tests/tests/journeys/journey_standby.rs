//! Governance moves from its file into a PostgreSQL, by way of an encrypted backup, and gets a second place. The active one is killed, and
//! the other goes on with every region, as the same node.

use std::{
    fs,
    net::TcpListener,
    time::{Duration, Instant},
};

use ledger::testing::Postgres;

use crate::{
    demo::{Demo, NODES, eventually, until},
    rest::Events,
};

const DATABASE: &str = "governance";

/// The demo's ledger, encrypted to somebody of its own, and verified with that key alone.
fn back_up(demo: &Demo) -> (String, String) {
    let (backup, key, written) = demo.backed_up();
    let verified = demo.ok(None, &["backup", "verify", &backup, "--identity", &key]);
    assert_eq!(verified["head"], written["head"]);
    let text = fs::read(&backup).unwrap();
    assert!(!text.windows(8).any(|bytes| bytes == b"proposal"), "the backup can be read by anybody");
    (backup, key)
}

/// The regions' addresses of governance change with its topology, and the ledger lies in the database.
fn restore(demo: &Demo, (backup, key): &(String, String)) {
    let words = ["backup", "restore", backup, &demo.topology(), "--identity", key];
    demo.ok(None, &words);
    let again = demo.kcm(None, &words);
    assert_eq!(again.code, 4, "a ledger that is not empty is not filled again: {again:?}");
}

struct Standby {
    rest: String,
    health: String,
}

/// The demo's topology with the database and a second place.
fn add_standby(demo: &Demo, server: &Postgres) -> Standby {
    let path = demo.dir().join("topology.toml");
    let password = demo.file("db.password");
    fs::write(&password, format!("{}\n", ledger::testing::ROLE.1)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let ledger = format!(
        "ledger = {{ kind = \"postgres\", hosts = [\"127.0.0.1:{}\"], database = \"{DATABASE}\", user = \"{}\", password_file = \"{}\" }}",
        server.port,
        ledger::testing::ROLE.0,
        password.display()
    );
    let before = "ledger = { kind = \"redb\" }";
    assert!(text.contains(before), "{text}");
    let text = text.replace(before, &ledger);
    // All four at once, so that no two are the same.
    let free = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [rest, orbital, critical, health] = free.map(|socket| socket.local_addr().unwrap().to_string());
    let standby = format!(
        "\n[governance.standby.gov-2]\nrest = \"{rest}\"\norbital = \"{orbital}\"\norbital_critical = \"{critical}\"\n\
         health = \"{health}\"\nstore = \"{}\"\n",
        demo.file("gov-2").display()
    );
    fs::write(&path, format!("{text}{standby}")).unwrap();
    Standby { rest, health }
}

async fn stands_by(health: &str) -> bool {
    let said = node::demo::processes::get(health.parse().unwrap(), "/readyz").await;
    said.is_some_and(|(_, body)| body["status"] == "sealed" && body["reasons"][0]["what"] == "this node stands by")
}

/// Where `gov-1` tells of itself.
fn health_of_the_first(demo: &Demo) -> String {
    let path = demo.dir().join("topology.toml");
    let checked = topology::check(&path, &fs::read_to_string(&path).unwrap());
    checked.model().unwrap().governance().unwrap().health.to_string()
}

fn answers(demo: &Demo) -> bool {
    demo.kcm(None, &["tenant", "list"]).code == 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_place_of_governance_takes_over() {
    if !Postgres::is_here() {
        return;
    }
    let server = Postgres::start(&[]).unwrap();
    let mut demo = Demo::start();
    let keys = demo.use_everywhere("acme").await;
    demo.ask_to_end("gov-1");
    let backup = back_up(&demo);
    server.ledger(DATABASE).unwrap();
    let standby = add_standby(&demo, &server);
    restore(&demo, &backup);
    let first = health_of_the_first(&demo);
    // The regions learn where else governance may be.
    for node in NODES {
        demo.ask_to_end(node);
        demo.run(node);
    }
    demo.run("gov-1");
    until("gov-1 answers", || answers(&demo).then_some(()));
    demo.run("gov-2");
    eventually("gov-2 stands by", async || stands_by(&standby.health).await.then_some(())).await;
    eventually("every region serves", async || {
        for key in &keys {
            demo.try_open(key).await.ok()?;
        }
        Some(())
    })
    .await;

    let terms = || -> u64 {
        let count = server.sql(DATABASE, "select count(*) from openkcm.terms");
        count.unwrap().parse().unwrap()
    };
    let was_active = terms();
    demo.kill_9("gov-1");
    let killed = Instant::now();
    let context = demo.dir().join("demo.json");
    let before = demo.json["portal"]["url"].as_str().unwrap().strip_prefix("https://").unwrap().to_owned();
    let text = fs::read_to_string(&context).unwrap();
    assert!(text.contains(&before));
    fs::write(&context, text.replace(&before, &standby.rest)).unwrap();
    demo.json = serde_json::from_str(&fs::read_to_string(&context).unwrap()).unwrap();
    until("gov-2 answers", || answers(&demo).then_some(()));
    println!("the other place answered {} ms after the kill", killed.elapsed().as_millis());
    assert!(killed.elapsed() < Duration::from_secs(15), "a node whose process is gone holds no lock");
    assert_eq!(terms(), was_active + 1, "one node became active, once");

    let mut events = Events::watch(&demo).await;
    let id = demo.propose("carol", &["revoke", "propose", "--tenant", "acme", "--reason", "a journey"]);
    demo.approve("dave", &id);
    for _each_region in NODES {
        events.next("acknowledged", |e| e["proposal"] == *id).await;
    }
    demo.refused(&keys).await;

    demo.run("gov-1");
    eventually("the first one stands by now", async || stands_by(&first).await.then_some(())).await;
    assert_eq!(terms(), was_active + 1, "standing by makes no term");
    demo.end();
}
