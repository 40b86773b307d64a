//! A demo whose first tenant's key lies at an AWS KMS, played by a ministack server with IAM: the key is linked by two people, three
//! regions use it, the customer disables it at the KMS alone, and each region stops by itself; enabled again, each goes on.

#[path = "support/foreign.rs"]
#[cfg(test)]
mod support;

#[path = "support/wire.rs"]
#[cfg(test)]
mod wire;

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        path::{Path, PathBuf},
        process::{Child, Command, Stdio},
        time::Duration,
    };

    use kmip::ResultReason;
    use node::kmip_client::Sealed;
    use serde_json::Value;

    use super::{
        support::{Demo, Ran, bounded, kcm_path, script, until, venv},
        wire::{connect, runtime},
    };

    const REGION: &str = "eu-central-1";
    const PLAINTEXT: &[u8] = b"only as long as the customer's KMS agrees";

    /// A ministack process of its own; ended with this value.
    struct Kms {
        venv: PathBuf,
        process: Child,
        endpoint: String,
        _folder: tempfile::TempDir,
    }

    impl Drop for Kms {
        fn drop(&mut self) {
            drop(self.process.kill());
            drop(self.process.wait());
        }
    }

    impl Kms {
        fn start(venv: &Path) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let process = Command::new(venv.join("bin/ministack"))
                .current_dir(folder.path())
                .envs([("AUTH", "true"), ("BIND_HOST", "127.0.0.1"), ("SERVICES", "kms,iam,sts,cloudtrail")])
                .envs([("MINISTACK_REGION", REGION), ("IOT_MTLS_ENABLED", "0"), ("CLOUDTRAIL_RECORDING", "1")])
                .env("GATEWAY_PORT", port.to_string())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let endpoint = format!("http://127.0.0.1:{port}");
            let mut kms = Self { venv: venv.to_owned(), process, endpoint, _folder: folder };
            until(
                "ministack is up",
                || (kms.process.try_wait().unwrap(), healthy(port)),
                |(ended, healthy)| {
                    assert!(ended.is_none(), "ministack ended: {ended:?}");
                    *healthy
                },
            );
            kms
        }

        fn python(&self, name: &str, arguments: &[&str]) -> Value {
            let mut python = bounded(&self.venv.join("bin/python"));
            python.arg(script(name)).args([&self.endpoint, REGION]).args(arguments);
            Ran::of(&python.output().unwrap()).ends_with(0).json()
        }

        /// What the customer does as the account's root: create, disable, enable, use.
        fn root(&self, act: &str, key: Option<&str>) -> Value {
            self.python("ministack_key.py", &[&[act], key.as_slice()].concat())
        }
    }

    fn healthy(port: u16) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer.starts_with("HTTP/1.1 200"))
        };
        ask().unwrap_or(false)
    }

    /// A key of one region and what it sealed.
    struct Used {
        region: usize,
        id: String,
        sealed: Sealed,
    }

    fn use_everywhere(demo: &Demo, tenant: &str) -> Vec<Used> {
        let in_region = |region| {
            runtime().block_on(async {
                let mut client = connect(&demo.client(region, tenant)).await.unwrap();
                let id = client.create_active().await.unwrap();
                let sealed = client.encrypt(&id, PLAINTEXT).await.unwrap();
                Used { region, id, sealed }
            })
        };
        (0..demo.regions()).map(in_region).collect()
    }

    /// Each region's reason, in order; none where the data opened.
    fn reasons(demo: &Demo, tenant: &str, used: &[Used]) -> Vec<Option<ResultReason>> {
        let reason = |used: &Used| {
            runtime().block_on(async {
                let mut client = connect(&demo.client(used.region, tenant)).await.unwrap();
                match client.decrypt(&used.id, &used.sealed).await {
                    Ok(plain) => {
                        assert_eq!(plain, PLAINTEXT);
                        None
                    }
                    Err(error) => Some(error.reason().unwrap_or_else(|| panic!("{error}"))),
                }
            })
        };
        used.iter().map(reason).collect()
    }

    /// What `kcm key list` shows of each region.
    fn seen(demo: &Demo) -> Vec<String> {
        let listed = demo.json("alice", &["key", "list", "--tenant", "acme"]).ends_with(0).json();
        let regions = listed["items"][0]["regions"].as_object().unwrap();
        regions.values().map(|region| region["l1"].as_str().unwrap_or("-").to_lowercase()).collect()
    }

    fn credentials(user: &Value) -> [(&'static str, &str); 3] {
        let text = |name: &str| user[name].as_str().unwrap();
        [("AWS_ACCESS_KEY_ID", text("access_key")), ("AWS_SECRET_ACCESS_KEY", text("secret")), ("AWS_REGION", REGION)]
    }

    /// A demo whose first tenant has its key at a KMS of its own.
    fn linked(venv: &Path) -> (Kms, Demo, String) {
        let kms = Kms::start(venv);
        let user = kms.python("ministack_user.py", &["demo"]);
        let demo = Demo::start_with(&["--aws", &kms.endpoint], &credentials(&user));
        let key = kms.root("create", None)["arn"].as_str().unwrap().to_owned();
        let link = ["key", "link", "--tenant", "acme", "--provider", "acme-aws", "--ref", &key, "--reason", "test"];
        let id = demo.propose("alice", &link);
        demo.approve("bob", &id);
        (kms, demo, key)
    }

    #[test]
    fn the_customer_stops_and_resumes_every_region_at_aws() {
        let Some(venv) = venv("kcm demo --aws on ministack") else { return };
        let (kms, demo, key) = linked(&venv);

        let (ours, theirs) = (use_everywhere(&demo, "acme"), use_everywhere(&demo, "globex"));
        assert_eq!(reasons(&demo, "acme", &ours), [None; 3]);
        until("governance sees the key", || seen(&demo), |states| *states == ["enabled"; 3]);

        kms.root("disable", Some(&key));
        let denied = [Some(ResultReason::PermissionDenied); 3];
        until("each region stops by itself", || reasons(&demo, "acme", &ours), |found| *found == denied);
        until("governance sees why", || seen(&demo), |states| *states == ["disabled"; 3]);
        assert_eq!(reasons(&demo, "globex", &theirs), [None; 3], "another tenant's KMS is another's");

        kms.root("enable", Some(&key));
        until("each region goes on by itself", || reasons(&demo, "acme", &ours), |found| *found == [None; 3]);
        until("governance sees that", || seen(&demo), |states| *states == ["enabled"; 3]);
    }

    /// What three regions say that they asked, against what the server wrote down by itself.
    fn reconciled(kms: &Kms, demo: &Demo, edit: impl Fn(&mut Vec<Value>)) -> (i32, Value) {
        let path = demo.dir.join("trail.json");
        let fetched = kms.python("ministack_trail.py", &[path.to_str().unwrap()]);
        let mut trail: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        edit(trail["Records"].as_array_mut().unwrap());
        std::fs::write(&path, trail.to_string()).unwrap();
        let stores = ["fra-1", "zrh-1", "iad-1"].map(|node| demo.dir.join(node).join("store").display().to_string());
        let mut words = vec!["audit", "reconcile", "--cloudtrail", path.to_str().unwrap()];
        words.extend(stores.iter().flat_map(|store| ["--region-log", store]));
        words.extend(["--to", fetched["whole_until"].as_str().unwrap()]);
        let ran = demo.json("alice", &words);
        (ran.code, ran.json())
    }

    #[test]
    fn the_regions_books_and_the_customers_agree_until_somebody_else_uses_the_key() {
        let Some(venv) = venv("kcm audit reconcile on ministack") else { return };
        let (kms, demo, key) = linked(&venv);
        use_everywhere(&demo, "acme");
        let none = |found: &Value, side: &str| found[side].as_array().unwrap().is_empty();

        // A region writes its log a moment after it was answered.
        let books = || reconciled(&kms, &demo, |_| {});
        let (_, agreed) = until("the two agree", books, |(code, found)| *code == 0 && found["agree"] == true);
        assert!(agreed["matched"].as_u64().unwrap() >= 3 * 4, "a probe and an unwrap in each region: {agreed}");
        assert!(none(&agreed, "only_in_ours") && agreed["keys"].as_array().unwrap().contains(&key.as_str().into()));

        kms.root("use", Some(&key));
        let stranger = |(code, found): &(i32, Value)| *code == 6 && !none(found, "only_in_cloudtrail");
        let (_, found) = until("the stranger is seen", books, stranger);
        let event = &found["only_in_cloudtrail"][0];
        assert_eq!(
            (&event["operation"], &event["principal"]),
            (&"Encrypt".into(), &"arn:aws:iam::000000000000:user/test".into())
        );

        let decrypts = |event: &Value| event["eventName"] == "Decrypt";
        let (code, short) = reconciled(&kms, &demo, |records| {
            let first = records.iter().rposition(decrypts).unwrap();
            records.remove(first);
        });
        assert!(code == 6 && short["only_in_ours"].as_array().unwrap().len() == 1, "{short}");
        assert_eq!(short["only_in_ours"][0]["call"]["call"], "Decrypt");
    }

    #[test]
    fn a_key_that_is_named_is_linked_by_the_demo_and_the_story_runs_on_it() {
        let Some(venv) = venv("kcm demo --aws --script on ministack") else { return };
        let kms = Kms::start(&venv);
        let user = kms.python("ministack_user.py", &["demo"]);
        let key = kms.root("create", None)["arn"].as_str().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let story = |key: Option<&str>| {
            let mut command = bounded(&kcm_path());
            command
                .args(["demo", "--script", "kill-switch", "--aws", &kms.endpoint, "--dir"])
                .arg(folder.path().join("demo"));
            command.envs(credentials(&user)).envs(key.map(|key| ("KCM_DEMO_AWS_KEY", key)));
            Ran::of(&command.output().unwrap())
        };
        story(None).ends_with(6).says(&["KCM_DEMO_AWS_KEY=ARN", "acme"]);
        assert!(!folder.path().join("demo").exists(), "nothing was started for a story that cannot be told");
        story(Some(&key)).ends_with(0).says(&["Observed: each step."]);
    }

    #[test]
    fn a_key_that_is_disabled_or_unreachable_at_link_time_is_shown_with_why() {
        let Some(venv) = venv("a key link on a disabled key") else { return };
        let mut kms = Kms::start(&venv);
        let user = kms.python("ministack_user.py", &["demo"]);
        let demo = Demo::start_with(&["--aws", &kms.endpoint], &credentials(&user));
        let key = kms.root("create", None)["arn"].as_str().unwrap().to_owned();
        kms.root("disable", Some(&key));
        let link = ["key", "link", "--tenant", "acme", "--provider", "acme-aws", "--ref", &key, "--reason", "test"];
        let probed = |id: &str, state: &str| {
            let shown = || demo.json("alice", &["proposal", "show", id]).ends_with(0).json();
            let all = |shown: &Value| {
                let probes = shown["probes"].as_object().unwrap();
                probes.len() == 3 && probes.values().all(|probe| probe["state"] == state)
            };
            let shown = until("each region reports its probe", shown, all);
            assert!(
                shown["probes"].as_object().unwrap().values().all(|p| !p["why"].as_str().unwrap().is_empty()),
                "{shown}"
            );
        };
        let id = demo.propose("alice", &link);
        probed(&id, "DISABLED");
        demo.kcm("alice", &["proposal", "show", &id])
            .ends_with(0)
            .says(&["DISABLED", "the customer's KMS says DISABLED"]);

        kms.process.kill().unwrap();
        kms.process.wait().unwrap();
        demo.kcm("alice", &["key", "probe", &id]).ends_with(0);
        probed(&id, "UNREACHABLE");
        let unlinked = runtime().block_on(async {
            let mut client = connect(&demo.client(0, "acme")).await.unwrap();
            client.create_active().await.map(drop).unwrap_err().to_string()
        });
        assert!(unlinked.contains("link"), "{unlinked}");
    }
}
