//! The site: operators decide about the topology file by a trust root of their own, and nodes run with nothing else.

use std::fs;

use serde_json::Value;

use crate::demo::{Demo, eventually};

/// A description of the site's trust root: the people of a tenant of the demo, as operators.
fn spec(demo: &Demo) -> String {
    let trust = demo.ok(None, &["tenant", "show", "acme"])["trust_root"].clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut spec = format!(
        "deployment = {}\nname = \"site\"\nlease = {{ key = {} }}\n",
        trust["deployment"], trust["lease"]["key"]
    );
    for (person, actor) in trust["actors"].as_object().unwrap() {
        let keys = actor["keys"].as_object().unwrap().iter().map(|(name, key)| format!("{name} = {}", key["public"]));
        let keys: Vec<_> = keys.collect();
        let groups = actor["groups"].as_array().unwrap().iter().map(|g| format!("\"{}\"", text(g))).collect::<Vec<_>>();
        spec.push_str(&format!(
            "[actors.{person}]\ngroups = [{}]\nkeys = {{ {} }}\n",
            groups.join(", "),
            keys.join(", ")
        ));
    }
    spec
}

/// Proposes, approves until it is in force, and writes the certificate.
fn decided(demo: &Demo, file: &str, tenant: &str) -> String {
    let id = demo.propose("alice", &["topology", "propose", file, "--tenant", tenant]);
    demo.approve("bob", &id);
    let out = demo.file(&format!("{tenant}.{id}.json")).display().to_string();
    demo.ok(None, &["proposal", "certificate", &id, "--out", &out]);
    out
}

/// Starts a node that must refuse its file, and gives its last words.
fn refused(demo: &mut Demo, node: &str) -> String {
    let log = demo.dir().join("log").join(format!("{node}.again.log"));
    let before = fs::read_to_string(&log).unwrap_or_default().len();
    demo.run(node);
    demo.until_ended(node);
    fs::read_to_string(&log).unwrap().split_off(before)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_run_with_the_file_that_the_operators_decided() {
    let mut demo = Demo::start();
    let here = demo.use_in("acme", "fra-1").await;
    let (made, genesis) = (demo.file("site.toml"), demo.file("site.genesis.json").display().to_string());
    fs::write(&made, spec(&demo)).unwrap();
    demo.ok(None, &["tenant", "genesis", "--spec", &made.display().to_string(), "--out", &genesis]);
    let people = demo.json["actors"].as_array().unwrap().clone();
    for person in people.iter().map(|p| p["name"].as_str().unwrap()) {
        demo.ok(Some(person), &["tenant", "sign", &genesis]);
    }
    let site = demo.ok(None, &["tenant", "provision", &genesis])["id"].as_str().unwrap().to_owned();

    let path = demo.dir().join("topology.toml");
    let file = path.display().to_string();
    let plain = fs::read_to_string(&path).unwrap();
    let named =
        plain.replacen("\n[tls]", &format!("\n[site]\nid = \"{site}\"\nwarrant = \"topology.warrant\"\n\n[tls]"), 1);
    fs::write(&path, &named).unwrap();
    demo.kill_9("fra-1");
    let said = refused(&mut demo, "fra-1");
    assert!(said.contains("the warrant proves nothing"), "{said}");
    let certificate = decided(&demo, &file, "site");
    demo.ok(None, &["topology", "apply", &file, &certificate]);
    demo.run("fra-1");
    eventually("the region serves with the file that was decided", async || demo.try_open(&here).await.ok()).await;

    // What an operator does alone, and what not: it would hand acme's keys to another KMS account.
    let wider = named.replacen("allow = [\"", "allow = [\"FR\", \"", 1);
    assert_ne!(wider, named, "{named}");
    fs::write(&path, &wider).unwrap();
    demo.kill_9("fra-1");
    let said = refused(&mut demo, "fra-1");
    assert!(said.contains("the file is not what was decided") && said.contains("/residency/"), "{said}");
    let plan = demo.kcm(None, &["topology", "plan", &file]);
    assert_eq!(plan.code, 10, "{plan:?}");
    let moved: Vec<_> =
        plan.json["tenants"].as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect();
    let operators = decided(&demo, &file, "site");
    let alone = demo.kcm(None, &["topology", "apply", &file, &operators]);
    assert_eq!((alone.code, moved.is_empty()), (4, false), "{alone:?}");
    let mut all = vec!["topology".to_owned(), "apply".into(), file.clone(), operators];
    for tenant in ["acme", "globex"].into_iter().filter(|name| moved.contains(&demo.tenant(name).to_owned())) {
        all.push(decided(&demo, &file, tenant));
    }
    demo.ok(None, &all.iter().map(String::as_str).collect::<Vec<_>>());
    demo.run("fra-1");
    eventually("the region serves again", async || demo.try_open(&here).await.ok()).await;
    // Out of the file means out of the rules, and no node that knows the site takes it.
    fs::write(&path, &plain).unwrap();
    demo.kill_9("fra-1");
    let said = refused(&mut demo, "fra-1");
    assert!(said.contains("the file names none"), "{said}");
    demo.end();
}
