//! Rules at their edges: each case is the production sample with one part changed.

#![cfg(test)]

use std::{collections::BTreeMap, fs, path::Path};

use orbital::names::{NodeName, Region};
use topology::{Checked, Code, Files, L1Provider, NodeRole, check};

fn sample(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)).unwrap()
}

fn with(edits: &[(&str, &str)]) -> Checked {
    let mut text = sample("production.toml");
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    check(Path::new("/etc/kcm/topology.toml"), &text)
}

fn codes(edits: &[(&str, &str)]) -> Vec<&'static str> {
    with(edits).findings.iter().map(|f| f.code.as_str()).collect()
}

/// The codes of production with its L1 at another provider, as its edits alter it.
fn l1_at(provider: &str, edits: &[(&str, &str)]) -> Vec<&'static str> {
    let first = [("provider = \"aws-kms\"", provider), ("region   = \"eu-central-1\"\n", "")];
    codes(&[&first[..], edits].concat())
}

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

#[test]
fn one_port_on_two_hosts_is_no_clash() {
    let everywhere = [("10.1.0.11:5696", "0.0.0.0:5696"), ("10.1.0.12:5696", "0.0.0.0:5696")];
    assert_eq!(codes(&everywhere), [] as [&str; 0]);
    // The same two on one host: their `stop` addresses tell.
    let one_host = [everywhere[0], everywhere[1], ("10.1.0.12:7500", "10.1.0.11:7501")];
    assert_eq!(codes(&one_host), ["T0302", "T0302"]);
}

#[test]
fn kmip_over_https_is_a_second_door_of_a_node_that_has_the_first() {
    let kmip = "kmip         = \"10.1.0.11:5696\"\n";
    let https = |port: u16| format!("kmip_https   = \"10.1.0.11:{port}\"\n");
    let both = with(&[(kmip, &format!("{kmip}{}", https(443)))]);
    assert_eq!(both.findings, []);
    let nodes = both.model().unwrap().regions.values().flat_map(|region| region.nodes.values());
    let doors: Vec<_> = nodes.filter_map(|node| node.kmip.as_ref()?.https).collect();
    assert_eq!(doors, ["10.1.0.11:443".parse().unwrap()]);
    assert_eq!(codes(&[(kmip, &format!("{kmip}{}", https(5696)))]), ["T0302"]);
    assert!(codes(&[(kmip, &https(443))]).contains(&"T0106"));
}

#[test]
fn in_development_all_nodes_are_on_one_host() {
    let development = ("deployment =", "development = true\ndeployment =");
    // Three `health` listeners on 127.0.0.1:9400.
    assert_eq!(codes(&[development]), ["T0302", "T0302", "T0302"]);
}

#[test]
fn planes_that_meet_on_loopback_alone_share_a_host() {
    let loopback = [
        ("10.0.0.1:8443", "127.0.0.1:8443"),
        ("10.0.0.1:7400", "127.0.0.1:7400"),
        ("10.0.0.1:7401", "127.0.0.1:7401"),
        ("10.1.0.11:5696", "127.0.0.1:5696"),
        ("10.1.0.11:7500", "127.0.0.1:7500"),
    ];
    assert_eq!(codes(&loopback), ["T0305"]);
    // A loopback listener beside one that others reach says nothing about the host.
    assert_eq!(codes(&loopback[2..3]), [] as [&str; 0]);
    assert_eq!(codes(&loopback[..4]), [] as [&str; 0]);
}

#[test]
fn an_aws_region_must_be_known_or_explained() {
    assert_eq!(codes(&[("eu-central-1", "eu-centrall-1")]), ["T0102"]);
    assert!(with(&[("eu-central-1", "eu-centrall-1")]).findings[0].message.contains("did you mean `eu-central-1`?"));
    let said = "eu-mars-1\"\njurisdiction = \"DE";
    assert_eq!(codes(&[("eu-central-1", said)]), [] as [&str; 0]);
    let contradicts = "eu-central-1\"\njurisdiction = \"FR";
    assert_eq!(codes(&[("eu-central-1", contradicts)]), ["T0102"]);
    let foreign = "eu-mars-1\"\njurisdiction = \"US";
    assert_eq!(codes(&[("eu-central-1", foreign)]), ["T0202"]);
    let fields = ("provider = \"aws-kms\"", "provider = \"aws-kms\"\nlisten = \"10.0.0.9:1\"");
    assert_eq!(codes(&[fields]), ["T0102"]);
}

/// The L1 of production at Google, as its edits alter it.
fn google(edits: &[(&str, &str)]) -> Vec<&'static str> {
    let at = "provider = \"google-kms\"\njurisdiction = \"DE\"\nca = \"google.pem\"";
    l1_at(at, edits)
}

#[test]
fn google_has_an_address_of_its_own_and_is_vouched_for() {
    assert_eq!(google(&[]), [] as [&str; 0]);
    let private =
        |endpoint: &str| google(&[("ca = \"google.pem\"", &format!("ca = \"google.pem\"\nendpoint = \"{endpoint}\""))]);
    assert_eq!(private("https://kms.p.googleapis.com"), [] as [&str; 0]);
    assert_eq!(private("http://kms.p.googleapis.com"), ["T0102"]);
    assert_eq!(google(&[("ca = \"google.pem\"", "")]), ["T0106"]);
    assert_eq!(google(&[("ca = \"google.pem\"", "ca = \"google.pem\"\nmount = \"transit\"")]), ["T0102"]);
}

/// The L1 of production at Azure, as its edits alter it.
fn azure(edits: &[(&str, &str)]) -> Vec<&'static str> {
    let at = "provider = \"azure-key-vault\"\njurisdiction = \"DE\"\nendpoint = \"https://acme.vault.azure.net\"\n\
              directory = \"acme.example\"\nca = \"azure.pem\"";
    l1_at(at, edits)
}

#[test]
fn azure_is_named_with_its_directory_and_is_asked_over_tls_alone() {
    assert_eq!(azure(&[]), [] as [&str; 0]);
    let login = |url: &str| azure(&[("ca = \"azure.pem\"", &format!("ca = \"azure.pem\"\nlogin = \"{url}\""))]);
    assert_eq!(login("https://login.microsoftonline.us"), [] as [&str; 0]);
    assert_eq!(login("http://login.microsoftonline.us"), ["T0102"]);
    assert_eq!(azure(&[("https://acme.vault", "http://acme.vault")]), ["T0102"]);
    for needed in
        ["endpoint = \"https://acme.vault.azure.net\"\n", "directory = \"acme.example\"\n", "ca = \"azure.pem\""]
    {
        assert_eq!(azure(&[(needed, "")]), ["T0106"], "{needed}");
    }
    assert_eq!(azure(&[("ca = \"azure.pem\"", "ca = \"azure.pem\"\nmount = \"transit\"")]), ["T0102"]);
    assert_eq!(google(&[("ca = \"google.pem\"", "ca = \"google.pem\"\ndirectory = \"acme.example\"")]), ["T0102"]);
}

#[test]
fn a_key_manager_has_an_address_and_is_vouched_for() {
    let at = "provider = \"kmip\"\njurisdiction = \"DE\"\naddress = \"kms.acme.example:5696\"\nca = \"kmip.pem\"";
    let kmip = |edits: &[(&str, &str)]| l1_at(at, edits);
    assert_eq!(kmip(&[]), [] as [&str; 0]);
    assert_eq!(kmip(&[("example:5696", "example")]), [] as [&str; 0], "the port is KMIP's own");
    assert!(kmip(&[("example:5696", "example:kmip")]).contains(&"T0102"));
    for needed in ["address = \"kms.acme.example:5696\"\n", "ca = \"kmip.pem\""] {
        assert_eq!(kmip(&[(needed, "")]), ["T0106"], "{needed}");
    }
    assert_eq!(kmip(&[("ca = \"kmip.pem\"", "ca = \"kmip.pem\"\nendpoint = \"https://kms.acme.example\"")]), ["T0102"]);
}

/// The L1 of production at an OpenBao server, as its edits alter it.
fn transit(edits: &[(&str, &str)]) -> Vec<&'static str> {
    let at = "provider = \"vault-transit\"\njurisdiction = \"DE\"\nendpoint = \"https://bao.acme.example\"\nca = \"bao.pem\"";
    l1_at(at, edits)
}

#[test]
fn a_transit_engine_is_reached_over_tls_and_has_no_roles() {
    assert_eq!(transit(&[]), [] as [&str; 0]);
    assert_eq!(transit(&[("https://bao", "http://bao")]), ["T0102"]);
    assert_eq!(transit(&[("ca = \"bao.pem\"", "")]), ["T0106"]);
    assert_eq!(transit(&[("jurisdiction = \"DE\"\nendpoint", "endpoint")]), ["T0106"]);
    assert_eq!(transit(&[("jurisdiction = \"DE\"\nendpoint", "jurisdiction = \"US\"\nendpoint")]), ["T0202"]);
    assert_eq!(transit(&[("ca = \"bao.pem\"", "ca = \"bao.pem\"\nlisten = \"10.0.0.9:1\"")]), ["T0102"]);
    let role = "[l1.acme-aws.auth.eu-frankfurt]\nrole_arn = \"arn:aws:iam::1:role/kcm\"\n[residency.eu-only]";
    assert_eq!(transit(&[("[residency.eu-only]", role)]), ["T0102"]);
    let meant_for_it = ("region   = \"eu-central-1\"", "region   = \"eu-central-1\"\nnamespace = \"kcm\"");
    assert_eq!(codes(&[meant_for_it]), ["T0102"], "AWS has no namespaces");
}

#[test]
fn a_token_needs_its_module_and_label() {
    let at = "provider = \"pkcs11\"\njurisdiction = \"DE\"\nmodule = \"/usr/lib/hsm.so\"\ntoken_label = \"acme\"";
    let token = |edits: &[(&str, &str)]| l1_at(at, edits);
    assert_eq!(token(&[]), [] as [&str; 0]);
    assert_eq!(token(&[("module = \"/usr/lib/hsm.so\"\n", "")]), ["T0106"]);
    assert_eq!(token(&[("\ntoken_label = \"acme\"", "")]), ["T0106"]);
    assert_eq!(token(&[("module =", "endpoint = \"https://x\"\nmodule =")]), ["T0102"]);
    assert_eq!(token(&[("module =", "pin = \"87654321\"\nmodule =")]), ["T0501"], "a PIN is a secret");
}

#[test]
fn an_empty_list_of_operators_is_none() {
    assert_eq!(codes(&[("[\"spiffe://acme-sovereign/person/olga\"]", "[]")]), ["T0504"]);
}

#[test]
fn regions_need_governance() {
    let text = sample("production.toml");
    let (head, rest) = text.split_once("[governance]").unwrap();
    let (_, rest) = rest.split_once("[l1.acme-aws]").unwrap();
    let checked = check(Path::new("/etc/kcm/topology.toml"), &format!("{head}[l1.acme-aws]{rest}"));
    assert_eq!(checked.findings.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(), ["T0106"]);
    assert!(checked.findings[0].message.contains("[governance]"), "{}", checked.findings[0].message);
}

#[test]
fn half_a_lease_key_is_none() {
    assert_eq!(codes(&[("frame_key ", "lease_key = \"lease.key\"\nframe_key ")]), ["T0106"]);
}

/// The login of a file that is in order, as [`login`] alters it.
const LOGIN: &str = r#"[governance.login]
issuer = "https://idp.acme.example"
client_id = "kcm"
client_secret_file = "login.secret"
redirect = "https://portal.acme.example/v1/signin/callback"
ca = "idp.pem"
groups_claim = "groups"
groups = { "theirs of legal" = "Compliance_Legal" }
mfa = { amr = ["mfa"] }

"#;

fn login(edits: &[(&str, &str)]) -> Checked {
    let mut text = LOGIN.to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    with(&[("[l1.acme-aws]", &format!("{text}[l1.acme-aws]"))])
}

#[test]
fn a_login_that_is_in_order_has_its_defaults() {
    let login = login(&[]).into_model().unwrap().governance().unwrap().login.clone().unwrap();
    assert_eq!((login.max_age, login.idle), (topology::LOGIN_MAX_AGE_DEFAULT, topology::LOGIN_IDLE_DEFAULT));
    assert_eq!(login.client_secret_file, Path::new("/etc/kcm/login.secret"));
    assert_eq!(login.groups.unwrap().map["theirs of legal"].as_str(), "Compliance_Legal");
    assert_eq!((login.scopes, login.audience), (vec![], None));
}

#[test]
fn each_part_of_a_login_that_is_wrong_is_found() {
    let table = [
        ("issuer = \"https://idp.acme.example\"", "issuer = \"http://idp.acme.example\"", "T0306"),
        ("issuer = \"https://idp.acme.example\"", "issuer = \"http://127.0.0.1:80\"", "T0306"),
        ("issuer = \"https://idp.acme.example\"", "issuer = \"https://idp.acme.example?x\"", "T0102"),
        ("issuer = \"https://idp.acme.example\"", "issuer = \"https://me@idp.acme.example\"", "T0102"),
        ("issuer = \"https://idp.acme.example\"", "issuer = \"idp.acme.example\"", "T0102"),
        ("ca = \"idp.pem\"\n", "", "T0106"),
        ("client_id = \"kcm\"\n", "", "T0106"),
        ("client_id = \"kcm\"", "client_id = \"k c\"", "T0102"),
        ("client_secret_file = \"login.secret\"", "client_secret = \"s\"\nclient_secret_file = \"x\"", "T0501"),
        ("redirect = \"https", "redirect = \"http", "T0102"),
        ("/v1/signin/callback", "/v1/signin", "T0102"),
        ("groups_claim = \"groups\"\n", "", "T0106"),
        ("{ \"theirs of legal\" = \"Compliance_Legal\" }", "{}", "T0102"),
        ("{ \"theirs of legal\" = \"Compliance_Legal\" }", "{ \"a\" = \"b c\" }", "T0102"),
        ("mfa = { amr = [\"mfa\"] }", "mfa = { amr = [] }", "T0102"),
        ("mfa = { amr = [\"mfa\"] }", "mfa = { amx = [\"mfa\"] }", "T0101"),
        ("ca =", "max_age = \"25h\"\nca =", "T0102"),
        ("ca =", "idle = \"13h\"\nca =", "T0102"),
        ("ca =", "idle = \"59s\"\nca =", "T0102"),
        ("ca =", "scopes = [\"a b\"]\nca =", "T0102"),
        ("ca =", "colour = \"red\"\nca =", "T0101"),
    ];
    for (from, to, code) in table {
        let checked = login(&[(from, to)]);
        assert!(checked.findings.iter().any(|f| f.code.as_str() == code), "{to}: {}", checked.explain(false));
        assert!(checked.has_errors(), "{to}");
    }
}

#[test]
fn plain_http_is_for_a_provider_on_this_machine_in_development() {
    let plain = |issuer: &str| {
        let text = LOGIN.replacen("https://idp.acme.example", issuer, 1).replacen("ca = \"idp.pem\"\n", "", 1);
        let edits =
            [("deployment =", "development = true\ndeployment ="), ("[l1.acme-aws]", &format!("{text}[l1.acme-aws]"))];
        let found = with(&edits).findings;
        found.iter().filter(|f| f.code == Code::DevelopmentOnly).count()
    };
    for on_this_machine in ["http://127.0.0.1:8080", "http://localhost:8080/realm", "http://[::1]:8080", "http://[::1]"]
    {
        assert_eq!(plain(on_this_machine), 0, "{on_this_machine}");
    }
    for elsewhere in ["http://10.0.0.1", "http://localhost.evil.example", "http://idp.acme.example:80"] {
        assert_eq!(plain(elsewhere), 1, "{elsewhere}");
    }
}

#[test]
fn half_a_checkpoint_key_is_none_and_a_whole_one_is_read() {
    assert_eq!(codes(&[("frame_key ", "checkpoint_key = \"c.key\"\nframe_key ")]), ["T0106"]);
    let public = "BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgY";
    assert_eq!(codes(&[("frame_key ", &format!("checkpoint_public = \"{public}\"\nframe_key "))]), ["T0106"]);
    let twice = with(&[]).into_model().unwrap().governance().unwrap().frame_public;
    let twice = format!("checkpoint_key = \"c.key\"\ncheckpoint_public = \"{twice}\"\nframe_key ");
    assert_eq!(codes(&[("frame_key ", &twice)]), ["T0102"]);
    let both = format!("checkpoint_key = \"c.key\"\ncheckpoint_public = \"{public}\"\nframe_key ");
    let model = with(&[("frame_key ", &both)]).into_model().unwrap();
    let checkpoint = model.governance().unwrap().checkpoint.clone().unwrap();
    assert_eq!((checkpoint.key.as_path(), checkpoint.public.0), (Path::new("/etc/kcm/c.key"), [6; 32]));
}

#[test]
fn an_address_for_dialling_replaces_the_wildcard() {
    let anywhere = [("10.0.0.1:7400", "0.0.0.0:7400"), ("10.0.0.1:7401", "[::]:7401")];
    assert_eq!(codes(&anywhere), ["T0106"]);
    let with_address = [anywhere[0], anywhere[1], ("rest ", "address = \"gov.acme.example\"\nrest ")];
    let model = with(&with_address).into_model().unwrap();
    let governance = model.governance().unwrap();
    assert_eq!(governance.orbital_dials(), ["gov.acme.example:7400"]);
    assert_eq!(governance.orbital_critical_dials(), ["gov.acme.example:7401"]);
    let plain = with(&[]).into_model().unwrap();
    assert_eq!(plain.governance().unwrap().orbital_dials(), ["10.0.0.1:7400"]);
}

#[test]
fn a_broken_file_keeps_its_secrets() {
    let checked = with(&[("region   = ", "pin = \"geheim-7\"\nregion   = "), ("allow = [\"EU\", \"EEA\"]", "allow =")]);
    let codes: Vec<_> = checked.findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, [Code::SecretInline, Code::Syntax]);
    assert!(!checked.explain(false).contains("geheim-7"));
    for (file, text) in [("t.yaml", "l1:\n  a:\n    pin: geheim-7\n  a: {\n"), ("t.json", "{\"pin\": \"geheim-7\", }")]
    {
        let checked = check(Path::new(file), text);
        assert!(checked.has_errors());
        assert!(!checked.explain(false).contains("geheim-7"), "{}", checked.explain(false));
    }
}

#[test]
fn paths_begin_at_the_folder_of_the_file() {
    let model = with(&[]).into_model().unwrap();
    let NodeRole::Crypto { region, node, part } = model.node(&name("fra-1")).unwrap() else { panic!() };
    assert_eq!(region.as_str(), "eu-frankfurt");
    assert_eq!(node.frame_key, Path::new("/etc/kcm/fra-1/frame.key"));
    assert_eq!(node.store, Path::new("/var/lib/kcm/fra-1"));
    assert_eq!(part.autonomy.unwrap().serve_cached.to_string(), "8h");
    assert_eq!(model.governance().unwrap().ledger.path_in(Path::new("/s")).unwrap(), Path::new("/s/ledger.redb"));
}

#[test]
fn a_node_is_found_by_name_with_its_role_and_identity() {
    let model = check(Path::new("demo.toml"), &sample("demo.toml")).into_model().unwrap();
    assert!(matches!(model.node(&name("gov-1")), Ok(NodeRole::Governance(_))));
    assert!(matches!(model.node(&name("l1-soft")), Ok(NodeRole::SoftL1 { name: "soft", .. })));
    assert!(matches!(model.node(&name("mongo-fra")), Ok(NodeRole::Edge { .. })));
    assert_eq!(model.nodes().len(), 6);
    assert_eq!(model.identity_of(&name("gov-1")).unwrap(), "spiffe://acme-sovereign/governance/gov-1");
    assert_eq!(model.identity_of(&name("zrh-1")).unwrap(), "spiffe://acme-sovereign/crypto/zrh-1");
    let unknown = model.node(&name("fra-2")).unwrap_err().to_string();
    assert!(unknown.contains("no node `fra-2`; did you mean `fra-1`?") && unknown.contains("zrh-1"), "{unknown}");
    let zurich: Region = "ch-zurich".parse().unwrap();
    assert_eq!(model.region(&zurich).unwrap().locked_memory.to_string(), "64MiB");
    let aws = model.l1_named("acme-aws").unwrap();
    assert_eq!(aws.jurisdiction.as_str(), "DE");
    assert!(matches!(&aws.provider, L1Provider::AwsKms { endpoint: Some(url), .. } if url == "http://127.0.0.1:4566"));
}

/// JSON, and YAML of which JSON is a part, give the same model as TOML.
#[test]
fn the_same_file_in_json_and_yaml_is_the_same_model() {
    for file in ["demo.toml", "production.toml"] {
        let text = sample(file);
        let model = check(Path::new(file), &text).into_model().unwrap();
        let json = serde_json::to_string_pretty(&toml::from_str::<toml::Value>(&text).unwrap()).unwrap();
        for name in ["t.json", "t.yaml"] {
            let checked = check(Path::new(name), &json);
            assert_eq!(checked.model(), Some(&model), "{}", checked.explain(false));
        }
    }
}

#[test]
fn a_format_without_places_names_the_field() {
    let yaml = "schema: v1\ndeployment: acme\nresidency:\n  nordic:\n    allow: [no, SE]\n    alow: []\n";
    let checked = check(Path::new("t.yaml"), yaml);
    let explained = checked.explain(false);
    assert!(explained.contains("at: residency.nordic.allow"), "{explained}");
    assert!(explained.contains("did you mean `NO`?") && explained.contains("did you mean `allow`?"), "{explained}");
    assert_eq!(checked.to_json()[0]["labels"][0]["path"], "residency.nordic.alow");
}

/// Files that exist, with the URIs of those that are certificates.
struct Disk(BTreeMap<String, Vec<String>>);

impl Files for Disk {
    fn readable(&self, path: &Path) -> Result<(), String> {
        let known = self.0.contains_key(&path.display().to_string());
        if known { Ok(()) } else { Err("no such file".into()) }
    }
    fn line(&self, path: &Path) -> Result<String, String> {
        self.0.get(&path.display().to_string()).and_then(|lines| lines.first().cloned()).ok_or("empty".into())
    }
    fn san_uris(&self, path: &Path) -> Result<Vec<String>, String> {
        Ok(self.0.get(&path.display().to_string()).cloned().unwrap_or_default())
    }
}

#[test]
fn files_are_checked_for_the_node_that_runs() {
    let checked = with(&[]);
    let fra_1 = name("fra-1");
    let files = ["ca/orbital.pem", "fra-1/kmip.pem", "fra-1/kmip.key", "fra-1/orbital.pem", "fra-1/orbital.key"];
    let keys = ["fra-1/frame.key", "fra-1/report.key", "fra-1/hpke.key"];
    let all = files.iter().chain(&keys).map(|f| (format!("/etc/kcm/{f}"), vec![]));
    let mut disk = Disk(all.collect());
    let found = |disk: &Disk| checked.check_files(Some(&fra_1), disk);
    let mut issue = |uri: &str| disk.0.insert("/etc/kcm/fra-1/orbital.pem".into(), vec![uri.into()]);
    issue("spiffe://acme-sovereign/crypto/fra-1");
    assert_eq!(found(&disk), []);
    disk.0.insert("/etc/kcm/fra-1/orbital.pem".into(), vec!["spiffe://acme-sovereign/governance/fra-1".into()]);
    let foreign = found(&disk);
    assert_eq!(foreign.iter().map(|f| f.code).collect::<Vec<_>>(), [Code::Identity]);
    assert!(foreign[0].message.contains("lacks SAN `spiffe://acme-sovereign/crypto/fra-1`: it is for spiffe://"));
    assert!(foreign[0].labels[0].place.span.is_some());
    disk.0.remove("/etc/kcm/fra-1/orbital.pem");
    disk.0.remove("/etc/kcm/fra-1/hpke.key");
    let missing = found(&disk);
    assert_eq!(missing.iter().map(|f| f.code).collect::<Vec<_>>(), [Code::Dangling, Code::Dangling]);
    assert!(missing[0].message.contains("cannot be read: no such file"));
    // All nodes: those of fra-2 and of governance are not on this host.
    assert!(checked.check_files(None, &disk).len() > 10);
    assert!(checked.check_files(Some(&name("nobody")), &disk).is_empty());
}

#[test]
fn a_way_out_has_the_fields_of_its_kind_and_is_encrypted() {
    let notify = |text: &str| codes(&[("[pin]", &format!("{text}\n[pin]"))]);
    let none = [] as [&str; 0];
    assert_eq!(notify("[notify.a]\nkind = \"slack\"\nurl_file = \"u\""), none);
    assert_eq!(notify("[notify.a]\nkind = \"slack\""), ["T0106"]);
    assert_eq!(notify("[notify.a]\nkind = \"slack\"\nurl_file = \"u\"\nhost = \"h\""), ["T0102"]);
    assert_eq!(notify("[notify.a]\nkind = \"webhook\"\nsecret_file = \"s\""), ["T0106"]);
    assert_eq!(notify("[notify.a]\nkind = \"webhook\"\nsecret_file = \"s\"\nurl = \"http://127.0.0.1/\""), ["T0307"]);
    assert_eq!(
        notify("[notify.a]\nkind = \"webhook\"\nsecret = \"s\"\nsecret_file = \"s\"\nurl = \"https://h/\""),
        ["T0501"]
    );
    let smtp = "[notify.a]\nkind = \"smtp\"\nhost = \"h\"\nfrom = \"a@b\"";
    assert_eq!(notify(smtp), none);
    for (more, code) in [
        ("default = true", "T0106"),
        ("user = \"u\"", "T0106"),
        ("port = 65536", "T0102"),
        ("to = [\"nobody\"]", "T0102"),
        ("tenants = [\"globex\"]", "T0103"),
        ("tls = \"none\"", "T0307"),
    ] {
        assert_eq!(notify(&format!("{smtp}\n{more}")), [code], "{more}");
    }
    let two = "[notify.a]\nkind = \"slack\"\nurl_file = \"u\"\ndefault = true\n";
    assert_eq!(notify(&format!("{two}{}", two.replace(".a]", ".b]"))), ["T0102"]);
    let plain = "[notify.a]\nkind = \"webhook\"\nsecret_file = \"s\"\nurl = \"http://[::1]:8080/x\"\n[notify.b]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\ntls = \"none\"\nfrom = \"a@b\"\n[pin]";
    let development = codes(&[("[pin]", plain), ("deployment =", "development = true\ndeployment =")]);
    assert!(!development.contains(&"T0307"), "{development:?}");
}

#[test]
fn a_url_in_a_file_is_looked_at_and_never_shown() {
    let edits = [("[pin]", "[notify.a]\nkind = \"slack\"\nurl_file = \"slack.url\"\n[pin]")];
    let checked = with(&edits);
    let of = |url: &str| {
        let disk = Disk([("/etc/kcm/slack.url".to_owned(), vec![url.to_owned()])].into());
        let found = checked.check_files(Some(&name("gov-1")), &disk);
        let about: Vec<_> = found.into_iter().filter(|f| f.code == Code::Unencrypted).collect();
        assert!(!format!("{about:?}").contains("sesame"));
        about.len()
    };
    assert_eq!(of("https://hooks.slack.com/services/sesame"), 0);
    assert_eq!(of("http://hooks.slack.com/services/sesame"), 1);
    assert_eq!(of("sesame"), 1);
}

/// The credentials of an L1 are for the tenants that it names and no others (PROTOCOL §1).
#[test]
fn an_l1_is_of_pinned_tenants() {
    let model = check(Path::new("demo.toml"), &sample("demo.toml")).into_model().unwrap();
    let pin = |label: &str| model.pins[&label.parse().unwrap()];
    assert_eq!(model.l1_tenants("acme-aws"), [pin("acme")].into());
    assert_eq!(model.l1_tenants("soft"), [pin("globex")].into());
    assert!(model.l1_tenants("nowhere").is_empty());
    assert_eq!(codes(&[("tenants  = [\"acme\"]\n", "")]), ["T0106"]);
    assert_eq!(codes(&[("tenants  = [\"acme\"]", "tenants  = [\"acme\", \"globex\"]")]), ["T0103"]);
    assert!(with(&[("[\"acme\"]", "[\"acmee\"]")]).findings[0].message.contains("did you mean `acme`?"));
    // Nobody is a tenant too: such an L1 serves none.
    assert_eq!(codes(&[("[\"acme\"]", "[]")]), [] as [&str; 0]);
}

const LEDGER: &str = "store            = \"/var/lib/kcm/gov\"\n";

fn with_ledger(fields: &str) -> String {
    format!("{LEDGER}ledger = {{ {fields} }}\n")
}

#[test]
fn a_ledger_in_postgresql_is_encrypted_or_on_loopback_in_development() {
    let login = "database = \"kcm\", user = \"kcm\", password_file = \"p\"";
    let codes_of = |fields: &str, more: &[(&str, &str)]| {
        let ledger = with_ledger(fields);
        let edits: Vec<_> = std::iter::once((LEDGER, ledger.as_str())).chain(more.iter().copied()).collect();
        codes(&edits)
    };
    let at = |host: &str, more: &str| format!("kind = \"postgres\", hosts = [\"{host}\"], {login}{more}");
    assert_eq!(codes_of(&at("db.example", ", ca = \"ca.pem\""), &[]), [] as [&str; 0]);
    assert_eq!(codes_of(&at("db.example", ""), &[]), ["T0307"]);
    assert_eq!(codes_of(&at("127.0.0.1", ""), &[]), ["T0307"], "loopback, and no development");
    let clashes = ["T0302", "T0302", "T0302"];
    let development = [("deployment =", "development = true\ndeployment =")];
    assert_eq!(codes_of(&at("127.0.0.1:6000", ""), &development), clashes);
    assert!(codes_of(&at("10.0.0.9", ""), &development).contains(&"T0307"));
    assert!(codes_of(&at("localhost", ""), &development).contains(&"T0307"), "a name may lead anywhere");
    assert_eq!(codes_of("kind = \"postgres\"", &[]), ["T0106"]);
    assert_eq!(codes_of(&at("db.example", ", ca = \"c\", cert = \"d\""), &[]), ["T0106"]);
    assert_eq!(codes_of(&at("db.example", ", ca = \"c\", path = \"d\""), &[]), ["T0102"]);
    assert_eq!(codes_of("kind = \"redb\", ca = \"c\", user = \"u\"", &[]), ["T0102", "T0102"]);
    assert_eq!(codes_of(&at("db.example:0", ", ca = \"c\""), &[]), ["T0106", "T0102"]);
    let inline = "kind = \"postgres\", hosts = [\"d\"], database = \"k\", user = \"k\", password = \"x\", ca = \"c\"";
    assert!(codes_of(inline, &[]).contains(&"T0501"));
}

#[test]
fn a_standby_is_the_same_node_at_another_place() {
    let model = check(Path::new("/etc/kcm/t.toml"), &sample("postgres.toml")).into_model().unwrap();
    let NodeRole::Governance(main) = model.node(&name("gov-1")).unwrap() else { panic!() };
    let NodeRole::Governance(standby) = model.node(&name("gov-2")).unwrap() else { panic!() };
    assert_eq!((&standby.node, &standby.frame_key, &standby.ledger), (&main.node, &main.frame_key, &main.ledger));
    assert_eq!(model.identity_of(&name("gov-2")).unwrap(), model.identity_of(&name("gov-1")).unwrap());
    assert_eq!(standby.rest_tls.cert, Path::new("/etc/kcm/rest-2.pem"));
    assert_eq!(standby.orbital_tls, main.orbital_tls);
    assert_eq!(main.orbital_dials(), ["10.0.0.1:7400", "10.0.0.2:7400"]);
    assert_eq!(main.orbital_critical_dials(), ["10.0.0.1:7401", "10.0.0.2:7401"]);
    let edited = |from: &str, to: &str| {
        let text = sample("postgres.toml");
        assert!(text.contains(from), "{from}");
        let checked = check(Path::new("t.toml"), &text.replacen(from, to, 1));
        checked.findings.iter().map(|f| f.code.as_str()).collect::<Vec<_>>()
    };
    let postgres = sample("postgres.toml").lines().find(|line| line.starts_with("ledger ")).unwrap().to_owned();
    assert_eq!(edited(&postgres, "ledger = { kind = \"redb\" }"), ["T0102"]);
    assert_eq!(edited("standby.gov-2]", "standby.fra-1]"), ["T0303"]);
    assert_eq!(edited("10.0.0.2:7400", "10.0.0.2:8443"), ["T0302"]);
    assert_eq!(edited("10.0.0.2:7400", "0.0.0.0:7400"), ["T0106"]);
    assert_eq!(edited("\"10.0.0.2:7400\"", "\"10.1.0.11:7400\""), ["T0305", "T0302"]);
}
