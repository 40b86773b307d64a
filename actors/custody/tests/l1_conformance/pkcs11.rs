//! A token of SoftHSM, loaded by a process of its own, which is this test program again; its customer acts over PKCS#11, too.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Module},
    mechanism::Mechanism,
    object::{Attribute, KeyType},
    session::UserType,
};
use custody::l1::{Fault, L1, L1Error, Pkcs11, Pkcs11Options, State, Stop, pkcs11_host};
use orbital::names::KeyRef;

use crate::suite::{Act, Customer, Later, conforms, context, stop_of, unreachable};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "87654321";

struct Hsm {
    folder: tempfile::TempDir,
}

impl Hsm {
    /// `None`, and a line that says so, where SoftHSM is not installed.
    fn start() -> Option<Self> {
        if !Path::new(MODULE).exists() {
            assert!(std::env::var_os("KCM_VENV").is_none(), "no {MODULE}: run .ci/install softhsm");
            println!("pkcs11 on SoftHSM: skipped: there is no {MODULE} (`make test` installs it)");
            return None;
        }
        let hsm = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(hsm.tokens()).unwrap();
        let tokens = hsm.tokens();
        let conf =
            format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
        fs::write(hsm.conf(), conf).unwrap();
        hsm.token("acme");
        hsm.pin_file("pin", PIN);
        Some(hsm)
    }

    fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    fn conf(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    fn token(&self, label: &str) {
        let mut command = Command::new("softhsm2-util");
        command.args(["--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", PIN]);
        let output = command.env("SOFTHSM2_CONF", self.conf()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn pin_file(&self, name: &str, pin: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, format!("{pin}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    /// What the customer does: one act by one process, as [`the_customer_acts`] reads it.
    fn act(&self, act: &str, name: &str) -> String {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "pkcs11::the_customer_acts", "--ignored", "--nocapture"]);
        command.env("SOFTHSM2_CONF", self.conf()).env("ACT", act).env("NAME", name);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{act} {name}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said.split_once("said ").map(|(_, said)| said.lines().next().unwrap().to_owned()).unwrap_or_default()
    }

    fn options(&self) -> Pkcs11Options {
        let here = std::env::current_exe().unwrap();
        let conf = OsString::from(format!("SOFTHSM2_CONF={}", self.conf().display()));
        let this = ["--exact", "pkcs11::the_process_of_a_module", "--ignored", "--nocapture"].map(OsString::from);
        Pkcs11Options {
            module: MODULE.into(),
            token_label: "acme".to_owned(),
            token_serial: None,
            pin_file: self.folder.path().join("pin"),
            host: ("/usr/bin/env".into(), [conf, here.into()].into_iter().chain(this).collect()),
        }
    }

    fn l1(&self) -> Pkcs11 {
        Pkcs11::connect(self.options()).unwrap()
    }

    fn key(&self, label: &str) -> KeyRef {
        self.act("make", label);
        KeyRef::new(format!("label:{label}")).unwrap()
    }
}

#[test]
#[ignore = "it is the process of a module, which the others start"]
fn the_process_of_a_module() {
    pkcs11_host().unwrap();
}

#[test]
#[ignore = "it is the customer's program, which the others start"]
fn the_customer_acts() {
    let (act, name) = (std::env::var("ACT").unwrap(), std::env::var("NAME").unwrap());
    let module = Module::new(MODULE).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let mut slots = module.get_slots_with_initialized_token().unwrap().into_iter();
    let slot = slots.find(|slot| module.get_token_info(*slot).unwrap().label() == "acme").unwrap();
    let session = module.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&PIN.to_owned().into())).unwrap();
    let label = Attribute::Label(name.as_bytes().to_vec());
    let keys = session.find_objects(std::slice::from_ref(&label)).unwrap();
    let change =
        |template: &[Attribute]| keys.iter().for_each(|key| session.update_attributes(*key, template).unwrap());
    match act.as_str() {
        "make" | "make generic" => {
            let generic = act == "make generic";
            let mechanism = if generic { Mechanism::GenericSecretKeyGen } else { Mechanism::AesKeyGen };
            let mut template = vec![label, Attribute::Id(vec![7, u8::try_from(keys.len()).unwrap()])];
            template.extend([Attribute::Token(true), Attribute::Private(true), Attribute::ValueLen(32.into())]);
            template.extend([Attribute::Encrypt(true), Attribute::Decrypt(true), Attribute::Extractable(false)]);
            template.extend(generic.then_some(Attribute::KeyType(KeyType::GENERIC_SECRET)));
            session.generate_key(&mechanism, &template).unwrap();
        }
        "disable" => change(&[Attribute::Encrypt(false), Attribute::Decrypt(false)]),
        "disable decrypt" => change(&[Attribute::Decrypt(false)]),
        "enable" => change(&[Attribute::Encrypt(true), Attribute::Decrypt(true)]),
        "delete" => keys.iter().for_each(|key| session.destroy_object(*key).unwrap()),
        "serial" => println!("\nsaid {}", module.get_token_info(slot).unwrap().serial_number()),
        other => panic!("{other}"),
    }
}

struct Customers {
    hsm: Hsm,
    region: Pkcs11,
    stranger: Pkcs11,
    nowhere: Pkcs11,
    made: usize,
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
        self.made += 1;
        Box::pin(async { self.hsm.key(&format!("key-{}", self.made)) })
    }
    fn absent_key(&self) -> KeyRef {
        KeyRef::new("label:never-made").unwrap()
    }
    fn act<'a>(&'a self, key: &'a KeyRef, act: Act) -> Later<'a, ()> {
        let act = match act {
            Act::Disable => "disable",
            Act::Enable => "enable",
            Act::ScheduleDeletion | Act::Deny | Act::Allow => unreachable!("it is skipped by name"),
        };
        let label = key.as_str().strip_prefix("label:").unwrap();
        Box::pin(async move { drop(self.hsm.act(act, label)) })
    }
    fn skipped(&self, check: &str) -> Option<&'static str> {
        match check {
            "pending_deletion_stops" => Some("a token deletes a key at once"),
            "a_denied_principal_is_forbidden" => Some("a token has one user and no policy of its keys"),
            _ => None,
        }
    }
}

#[tokio::test]
async fn a_token_conforms_on_softhsm() {
    let Some(hsm) = Hsm::start() else { return };
    let stranger = Pkcs11Options { pin_file: hsm.pin_file("wrong", "11112222"), ..hsm.options() };
    let nowhere = Pkcs11Options { token_label: "nowhere".to_owned(), ..hsm.options() };
    let mut customer = Customers {
        region: hsm.l1(),
        stranger: Pkcs11::connect(stranger).unwrap(),
        nowhere: Pkcs11::connect(nowhere).unwrap(),
        made: 0,
        hsm,
    };
    conforms(&mut customer).await;
}

#[tokio::test]
async fn a_key_that_may_not_open_any_more_is_disabled_and_a_destroyed_one_deleted() {
    let Some(hsm) = Hsm::start() else { return };
    let (l1, key) = (hsm.l1(), hsm.key("root"));
    let blob = l1.wrap(&key, &context(), &[7; 32]).await.unwrap();
    hsm.act("disable decrypt", "root");
    assert_eq!(stop_of(l1.unwrap(&key, &context(), &blob).await.map(drop)), Stop::Disabled);
    assert_eq!(l1.describe(&key).await.unwrap().state, State::Disabled);
    hsm.act("delete", "root");
    assert_eq!(stop_of(l1.unwrap(&key, &context(), &blob).await.map(drop)), Stop::Deleted);
    assert_eq!(stop_of(l1.describe(&key).await), Stop::Deleted);
}

#[tokio::test]
async fn a_reference_names_one_aes_key() {
    let Some(hsm) = Hsm::start() else { return };
    let l1 = hsm.l1();
    let unfit = async |reference: &str| match l1.describe(&KeyRef::new(reference).unwrap()).await {
        Err(L1Error::Unfit { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    hsm.key("twin");
    hsm.key("twin");
    assert!(unfit("label:twin").await.contains("2 secret keys"));
    for id in ["id:0700", "id:0701"] {
        assert_eq!(l1.describe(&KeyRef::new(id).unwrap()).await.unwrap().state, State::Enabled);
    }
    hsm.act("make generic", "generic");
    assert!(unfit("label:generic").await.contains("no AES key"));
    assert!(unfit("twin").await.contains("label:LABEL"));
}

/// A token that is away is out of reach, whatever an open session still believes; back again, it is found again.
#[tokio::test]
async fn a_token_that_is_taken_away_is_a_fault_and_never_a_stop() {
    let Some(hsm) = Hsm::start() else { return };
    let (l1, key) = (hsm.l1(), hsm.key("root"));
    let blob = l1.wrap(&key, &context(), &[7; 32]).await.unwrap();
    let away = hsm.folder.path().join("away");
    fs::rename(hsm.tokens(), &away).unwrap();
    fs::create_dir(hsm.tokens()).unwrap();
    assert_eq!(unreachable(&l1, &key).await, Fault::Network);
    fs::remove_dir(hsm.tokens()).unwrap();
    fs::rename(&away, hsm.tokens()).unwrap();
    assert!(l1.unwrap(&key, &context(), &blob).await.is_ok());
}

/// Another token under the same label is not asked where the topology names the serial number.
#[tokio::test]
async fn a_serial_number_tells_tokens_apart() {
    let Some(hsm) = Hsm::start() else { return };
    let (key, serial) = (hsm.key("root"), hsm.act("serial", "root"));
    let with = |serial: &str| {
        Pkcs11::connect(Pkcs11Options { token_serial: Some(serial.to_owned()), ..hsm.options() }).unwrap()
    };
    assert_eq!(with(&serial).describe(&key).await.unwrap().state, State::Enabled);
    assert_eq!(unreachable(&with("0123456789abcdef"), &key).await, Fault::Network);
    hsm.token("acme");
    let why = hsm.l1().describe(&key).await.unwrap_err().to_string();
    assert!(why.contains("2 tokens") && why.contains("token_serial"), "{why}");
    assert_eq!(with(&serial).describe(&key).await.unwrap().state, State::Enabled);
}

/// Tokens lock themselves after a few wrong PINs, and a region asks every few seconds.
#[tokio::test]
async fn a_refused_pin_is_not_tried_again_and_a_new_one_counts_at_once() {
    let Some(hsm) = Hsm::start() else { return };
    let key = hsm.key("root");
    hsm.pin_file("pin", "11112222");
    let l1 = hsm.l1();
    let why = l1.describe(&key).await.unwrap_err().to_string();
    assert!(why.contains("PinIncorrect"), "{why}");
    for _ in 0..3 {
        let refused = l1.describe(&key).await.unwrap_err();
        assert!(matches!(refused, L1Error::Unreachable { fault: Fault::Credential, .. }), "{refused}");
        assert!(refused.to_string().contains("not tried again"), "{refused}");
    }
    hsm.pin_file("pin", PIN);
    assert_eq!(l1.describe(&key).await.unwrap().state, State::Enabled);
}

#[tokio::test]
async fn a_process_that_dies_hangs_or_loads_nothing_is_a_fault() {
    let Some(hsm) = Hsm::start() else { return };
    let key = hsm.key("root");
    let hosted = |program: &str, arguments: &[&str]| {
        let host = (program.into(), arguments.iter().map(OsString::from).collect());
        Pkcs11::connect(Pkcs11Options { host, ..hsm.options() }).unwrap()
    };
    assert_eq!(unreachable(&hosted("/bin/false", &[]), &key).await, Fault::Server);
    assert_eq!(unreachable(&hosted("/nonexistent", &[]), &key).await, Fault::Server);
    let since = Instant::now();
    let refused = hosted("/bin/sleep", &["60"]).describe(&key).await.unwrap_err();
    assert!(matches!(refused, L1Error::Unreachable { fault: Fault::Network, .. }), "{refused}");
    assert!(since.elapsed().as_secs() < 12, "{:?}", since.elapsed());
    while !children().is_empty() {
        assert!(since.elapsed().as_secs() < 20, "a process that hangs is not ended");
        tokio::task::yield_now().await;
    }
    let module = hsm.conf();
    let l1 = Pkcs11::connect(Pkcs11Options { module, ..hsm.options() }).unwrap();
    let why = l1.describe(&key).await.unwrap_err().to_string();
    assert!(why.contains("network fault") && why.contains("can't be loaded"), "{why}");
    let absent = Pkcs11::connect(Pkcs11Options { module: "/nonexistent.so".into(), ..hsm.options() }).err().unwrap();
    assert!(absent.to_string().contains("correct `module`"), "{absent}");
}

/// Its processes, by what the kernel says of this one's children.
fn children() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks.flat_map(|task| of(task.unwrap()).split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[tokio::test]
async fn a_killed_process_is_replaced_and_the_last_one_ended() {
    let Some(hsm) = Hsm::start() else { return };
    let (l1, key) = (hsm.l1(), hsm.key("root"));
    let blob = l1.wrap(&key, &context(), &[7; 32]).await.unwrap();
    let first = children();
    assert_eq!(first.len(), 1, "one process serves all calls");
    assert!(l1.unwrap(&key, &context(), &blob).await.is_ok());
    assert_eq!(children(), first);
    assert!(Command::new("kill").args(["-9", &first[0]]).stdout(Stdio::null()).status().unwrap().success());
    assert!(l1.unwrap(&key, &context(), &blob).await.is_ok());
    let second = children();
    assert!(!second.is_empty() && second != first, "{first:?} {second:?}");
    drop(l1);
    while !children().is_empty() {
        tokio::task::yield_now().await;
    }
}
