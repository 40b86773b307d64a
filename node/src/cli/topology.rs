//! `kcm topology plan`, `propose` and `apply`: what a file changes, who has to decide it, and the decision as the nodes want it.
//!
//! Nobody is asked but the files: a plan compares with the warrant in force, `apply` gathers decisions that prove themselves. What the
//! nodes demand is checked here by the same code ([`crate::site`]), so that a warrant that was written is one that they take.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use orbital::{
    change::Action,
    names::TenantId,
    site::{CONTENT, Difference, Governed},
};
use serde_json::json;
use topology::{Field, Model, Site};

use super::{
    Global,
    compose::{self, Subject, Wish},
    evidence::CertificateFile,
    exit::{Exit, Failure, Report},
    files,
};
use crate::site::{self, Decided, Warrant};

/// `kcm topology`.
#[derive(Clone, Debug, Subcommand)]
pub enum TopologyCommand {
    /// Say everything that is wrong with a topology file
    #[command(after_help = "Example: kcm topology check topology.toml --node fra-1")]
    Check(CheckArgs),
    #[command(flatten)]
    Decide(Decide),
}

/// What is about decisions.
#[derive(Clone, Debug, Subcommand)]
pub enum Decide {
    /// Say what a file changes, and who has to decide it; ends with 10 if anything
    #[command(after_help = "Example: kcm topology plan topology.toml --against topology.old.toml")]
    Plan {
        /// The topology file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The file before, to see also what needs no decision
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// Propose the file to the site's operators, or to a tenant that it moves
    #[command(after_help = "Example: kcm --as olga topology propose topology.toml --tenant site")]
    Propose {
        /// The topology file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Pinned name, or id: the site, or a tenant that the plan names
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Write the file's warrant, by which nodes take it, from the decisions about it
    #[command(after_help = "Example: kcm topology apply topology.toml site.json acme.json")]
    Apply {
        /// The topology file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What `kcm proposal certificate` wrote: of the site, and of each tenant that the file moves
        #[arg(value_name = "CERTIFICATE", required = true)]
        certificates: Vec<PathBuf>,
    },
}

/// `kcm topology check`, which the node itself does.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The topology file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Look at the files of this node, too: they are on this machine
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
}

/// A file that is sound, with what its nodes would be held to.
struct Read {
    model: Model,
    fields: Vec<Field>,
    site: Site,
    governed: Governed,
}

pub(crate) async fn perform(global: &Global, command: Decide) -> Result<Report, Failure> {
    match command {
        Decide::Plan { file, against } => plan(&file, against.as_deref()),
        Decide::Propose { file, tenant, reason } => propose(global, &file, &tenant, &reason).await,
        Decide::Apply { file, certificates } => apply(&file, &certificates),
    }
}

fn unsound(file: &Path) -> impl Fn(&dyn std::fmt::Display) -> Failure {
    let place = file.display().to_string();
    move |why| {
        Failure::usage("the topology cannot be used")
            .at(&place)
            .because(why)
            .fix("`kcm topology check` says everything that is wrong with a file")
    }
}

/// The model of a sound file, and its fields.
pub(crate) fn checked(file: &Path) -> Result<(Model, Vec<Field>), Failure> {
    let unsound = unsound(file);
    let text = fs::read_to_string(file).map_err(|e| unsound(&e))?;
    let path = fs::canonicalize(file).map_err(|e| unsound(&e))?;
    let checked = topology::check(&path, &text);
    let (fields, why) = (checked.fields(), checked.explain(false));
    Ok((checked.into_model().ok_or_else(|| unsound(&why))?, fields))
}

fn read(file: &Path) -> Result<Read, Failure> {
    let (model, fields) = checked(file)?;
    let site = model.site.clone().ok_or_else(|| {
        Failure::usage("the topology names no site")
            .at(file.display())
            .because("without `[site]` whoever writes the file decides alone, and no decision is asked for")
            .fix("found the operators' trust root (docs/topology.md), and put `[site]` with its id and the path of the warrant into the file")
    })?;
    let (governed, unread) = site::governed(&fields);
    match unread.iter().next() {
        None => Ok(Read { model, fields, site, governed }),
        Some((pointer, why)) => Err(Failure::usage("a file whose content is decided upon cannot be read")
            .at(format!("{}, {pointer}", file.display()))
            .because(why)
            .fix(
                "put the CA certificates of all nodes where the topology has them, on the machine on which you propose",
            )),
    }
}

/// What is in force: nothing before the first warrant.
fn in_force(read: &Read) -> Result<Option<Decided>, Failure> {
    if !read.site.warrant.exists() {
        return Ok(None);
    }
    let proven = Warrant::read(&read.site.warrant).and_then(|w| w.verify(read.site.id, &read.model.deployment));
    proven.map(Some).map_err(|why| {
        Failure::denied("the warrant in force proves nothing")
            .at(read.site.warrant.display())
            .because(why)
            .fix("fetch it from a node that runs, or take it away if this topology was never decided upon")
    })
}

/// The decision that this file needs.
fn wanted(read: &Read) -> Result<Decided, Failure> {
    let before = in_force(read)?;
    let serial = before.as_ref().map_or(0, |decided| decided.serial).saturating_add(1);
    let tenants = before.map(|decided| decided.governed.moves(&read.governed)).unwrap_or_default();
    Ok(Decided { serial, governed: read.governed.clone(), tenants })
}

fn line(difference: &Difference<'_>, free: bool) -> String {
    let (sign, what) = match (difference.before, difference.after) {
        (None, after) => ('+', after.unwrap_or_default().to_owned()),
        (Some(before), None) => ('-', before.to_owned()),
        (Some(before), Some(after)) => ('~', format!("{before} -> {after}")),
    };
    let (sign, decided) = if free { (sign, "needs no decision") } else { ('!', "GOVERNED") };
    format!("  {sign} {}  {what}  {decided}", difference.pointer)
}

/// The free fields of a file, as the governed ones are written.
fn free(fields: &[Field]) -> Governed {
    fields.iter().filter(|field| field.free).map(|field| (site::pointer(field), field.value.clone())).collect()
}

fn plan(file: &Path, against: Option<&Path>) -> Result<Report, Failure> {
    let read = read(file)?;
    let (old_governed, old_free) = match against {
        Some(old) => {
            let (_, fields) = checked(old)?;
            (site::governed(&fields).0, Some(free(&fields)))
        }
        None => (in_force(&read)?.map(|decided| decided.governed).unwrap_or_default(), None),
    };
    let now_free = free(&read.fields);
    let governed = old_governed.differences(&read.governed);
    let free = old_free.as_ref().map(|old| old.differences(&now_free)).unwrap_or_default();
    let tenants = old_governed.moves(&read.governed);
    let mut lines: Vec<String> =
        free.iter().map(|d| line(d, true)).chain(governed.iter().map(|d| line(d, false))).collect();
    let labels: Vec<String> = tenants.iter().map(|tenant| label(&read.model, *tenant)).collect();
    lines.push(match (governed.is_empty(), labels.is_empty()) {
        (true, _) => "Nothing that is governed changes: no decision is needed.".to_owned(),
        (false, true) => format!("{} governed fields change: the site's operators decide.", governed.len()),
        (false, false) => format!(
            "{} governed fields change: the site's operators decide, and each tenant that it moves does, too: {}.",
            governed.len(),
            labels.join(", ")
        ),
    });
    let change = |d: &Difference<'_>| json!({ "pointer": d.pointer, "before": d.before, "after": d.after });
    let json = json!({
        "governed": governed.iter().map(change).collect::<Vec<_>>(),
        "free": free.iter().map(change).collect::<Vec<_>>(),
        "tenants": tenants,
    });
    let exit = if governed.is_empty() && free.is_empty() { Exit::Done } else { Exit::PlanHasChanges };
    Ok(Report::new(json, lines.join("\n")).ending(exit))
}

/// A pinned tenant as the file calls it.
fn label(model: &Model, tenant: TenantId) -> String {
    let name = model.pins.iter().find(|(_, id)| **id == tenant).map(|(name, _)| name.to_string());
    name.map_or_else(|| tenant.to_string(), |name| format!("{name} ({tenant})"))
}

async fn propose(global: &Global, file: &Path, tenant: &str, reason: &str) -> Result<Report, Failure> {
    let read = read(file)?;
    let Decided { serial, governed, tenants } = wanted(&read)?;
    let subject = Subject::of(global, tenant).await?;
    let whose = subject.tenant.id;
    if whose != read.site.id && !tenants.contains(&whose) {
        return Err(Failure::usage("this file is not for that tenant to decide")
            .at(file.display())
            .because(format!("it moves nothing of {whose}; the site of the file is {}", read.site.id))
            .fix("`kcm topology plan` says who has to decide"));
    }
    let governed = governed.to_bytes().map_err(compose::unsignable)?;
    let action = Action::ApplyTopology { serial, governed, tenants };
    compose::propose(global, &subject, Wish { action, regions: Some(BTreeSet::new()), reason }).await
}

fn apply(file: &Path, certificates: &[PathBuf]) -> Result<Report, Failure> {
    let read = read(file)?;
    let mut tenants = BTreeMap::new();
    for path in certificates {
        let certificate: CertificateFile = files::read_json("certificate", path)?;
        let whose = certificate.genesis.found().map_err(|e| {
            Failure::denied("a certificate's genesis founds nobody").at(path.display()).because(e).fix("fetch it anew")
        })?;
        tenants.insert(whose.tenant(), certificate);
    }
    let missing = || {
        Failure::usage("the site's own decision is not among the certificates")
            .because(format!("none is of the site {}", read.site.id))
            .fix("write it with `kcm proposal certificate PROPOSAL --out FILE`, and name it here")
    };
    let site = tenants.remove(&read.site.id).ok_or_else(missing)?;
    let warrant = Warrant { site, tenants };
    let denied = |why: String| {
        Failure::denied("the decisions do not carry this file")
            .at(file.display())
            .because(why)
            .fix("have exactly this file decided (`kcm topology propose`), and gather the certificates anew; nothing was written")
    };
    let decided = warrant.verify(read.site.id, &read.model.deployment).map_err(denied)?;
    decided.check_says(&read.governed, &BTreeMap::new()).map_err(denied)?;
    if let Some(before) = in_force(&read)? {
        decided.check_after(before.serial, &before.governed).map_err(denied)?;
    }
    files::write_json("warrant", &read.site.warrant, &warrant, true)?;
    let text = format!(
        "The warrant of serial {} is in {}. Copy it and the file to every node, and start the nodes again, one after the other: each holds \
         its file to it.",
        decided.serial,
        read.site.warrant.display()
    );
    Ok(Report::new(
        json!({ "serial": decided.serial.to_string(), "warrant": read.site.warrant, "tenants": decided.tenants }),
        text,
    ))
}

/// The fields that people sign, for whoever is about to.
pub(crate) fn sentences(serial: u64, governed: &[u8], tenants: &BTreeSet<TenantId>) -> Vec<String> {
    let mut lines = vec![format!(
        "TOPOLOGY: from serial {serial} on, nodes run only with files that say exactly this. `kcm topology plan` shows what differs from before."
    )];
    match Governed::from_bytes(governed) {
        Ok(governed) => lines.extend(governed.iter().map(|(pointer, value)| match pointer.strip_suffix(CONTENT) {
            Some(file) => format!("  the content of {file} = SHA-256 {value}"),
            None => format!("  {pointer} = {value}"),
        })),
        Err(why) => lines.push(format!("  It does not read ({why}): do not sign it.")),
    }
    if !tenants.is_empty() {
        let list = tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        lines.push(format!("It moves these tenants, each of which has to certify it, too: {list}."));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use orbital::{
        names::NodeName,
        testing::{PEOPLE, World},
    };

    use super::*;
    use crate::{RunError, cli::tests::house::House};

    /// A house with the tenant acme, the operators' trust root, and a topology file that names both.
    struct Home {
        house: House,
        site: World,
    }

    fn sample() -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology/samples/demo.toml");
        fs::read_to_string(path).unwrap().replace("= \"acme-sovereign\"", "= \"test\"")
    }

    impl Home {
        fn new() -> Self {
            let house = House::furnished();
            let policy = house.world.trust().policy;
            let site = World::founded("test", "site", |root| {
                root.policy = policy;
                root.regions.clear();
                root.residency.clear();
                root.systems.clear();
                root.callers.clear();
            });
            let home = Self { house, site };
            for (name, _) in PEOPLE {
                let path = home.house.path(&format!("site-{name}.key"));
                fs::write(&path, home.site.key(name).to_text(name)).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            let text = fs::read_to_string(home.house.path("demo.json")).unwrap();
            let mut context: serde_json::Value = serde_json::from_str(&text).unwrap();
            for actor in context["actors"].as_array_mut().unwrap() {
                let name = actor["name"].as_str().unwrap().to_owned();
                actor["key"] = format!("site-{name}.key").into();
            }
            fs::write(home.house.path("site.json"), context.to_string()).unwrap();
            let genesis = serde_json::to_string(&home.site.genesis()).unwrap();
            fs::write(home.house.path("site-genesis.json"), genesis).unwrap();
            let founded = home.kcm_site(&["tenant", "provision", &home.house.named("site-genesis.json")]).unwrap();
            assert_eq!(founded.json["id"], home.site.tenant().to_string());
            fs::create_dir(home.house.path("ca")).unwrap();
            for ca in ["rest", "orbital", "siem", "azure-roots", "globex-bao", "globex-kmip", "google-roots"] {
                fs::write(home.house.path(&format!("ca/{ca}.pem")), format!("the CA {ca}")).unwrap();
            }
            home.write(|text| text);
            home
        }

        /// The file of the demo's sample, altered, under this site.
        fn write(&self, alter: impl Fn(String) -> String) -> String {
            let site = format!("[site]\nid = \"{}\"\nwarrant = \"warrant.json\"\n\n[tls]\n", self.site.tenant());
            let acme = format!("acme   = \"{}\"", self.house.world.tenant());
            let ca = ("ca                 = \"/etc/ssl/certs/ca-certificates.crt\"", "ca = \"ca/rest.pem\"");
            let pinned = "acme   = \"DAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw\"";
            let text = alter(sample().replace("[tls]\n", &site).replace(ca.0, ca.1).replace(pinned, &acme));
            fs::write(self.house.path("topology.toml"), text).unwrap();
            self.house.named("topology.toml")
        }

        /// A command line of the site's operators.
        fn kcm_site(&self, words: &[&str]) -> Result<Report, Failure> {
            self.house.kcm_as("site.json", words)
        }

        /// Has the file decided by one trust root; the path of the certificate.
        fn decided(&self, file: &str, tenant: &World) -> String {
            let (id, ours) = (tenant.tenant().to_string(), tenant.tenant() == self.site.tenant());
            let run = |words: &[&str]| if ours { self.kcm_site(words) } else { self.house.kcm(words) };
            let proposed = run(&["--as", "alice", "topology", "propose", file, "--tenant", &id]).unwrap();
            let proposal = proposed.json["id"].as_str().unwrap().to_owned();
            let approved = run(&["--as", "bob", "proposal", "approve", &proposal]).unwrap();
            assert_eq!(approved.json["state"], "active", "{}", approved.text);
            let out = self.house.named(&format!("{}-{proposal}.json", tenant.trust().name));
            run(&["proposal", "certificate", &proposal, "--out", &out]).unwrap();
            out
        }

        /// Whether the node would run with the file as it lies there.
        fn admits(&self, node: &str) -> Result<(), String> {
            let (model, fields) = checked(&self.house.path("topology.toml")).unwrap();
            site::admit(&model, &fields, &node.parse::<NodeName>().unwrap()).map_err(|e| match e {
                RunError::Site(why) => why,
                other => panic!("{other}"),
            })
        }
    }

    #[test]
    fn a_node_runs_with_what_the_operators_decided_and_with_nothing_else() {
        let home = Home::new();
        let file = home.write(|text| text);
        let none = home.admits("fra-1").unwrap_err();
        assert!(none.contains("the warrant proves nothing") && none.contains("kcm topology apply"), "{none}");
        let plan = home.house.kcm(&["topology", "plan", &file]).unwrap();
        assert_eq!(
            (plan.exit, plan.json["tenants"].as_array().unwrap().len()),
            (Exit::PlanHasChanges, 0),
            "{}",
            plan.text
        );
        let site = home.decided(&file, &home.site);
        home.house.kcm(&["topology", "apply", &file, &site]).unwrap();
        let same = home.house.kcm(&["topology", "plan", &file]).unwrap();
        assert_eq!(same.exit, Exit::Done, "{}", same.text);
        for node in ["fra-1", "gov-1", "l1-soft"] {
            home.admits(node).unwrap();
        }
        // Where something lies, and how large it is, an operator changes alone.
        home.write(|text| {
            text.replace("127.0.0.1:5696", "127.0.0.1:5796")
                .replace("locked_memory = \"64MiB\"", "locked_memory = \"1GiB\"")
        });
        home.admits("fra-1").unwrap();
        // Whom the parts trust, nobody does: in the file, in a CA file, by leaving the site out.
        home.write(|text| {
            text.replace("operators        = [\"", "operators        = [\"spiffe://test/person/mallory\", \"")
        });
        let widened = home.admits("fra-1").unwrap_err();
        assert!(widened.contains("/governance/operators: decided is") && widened.contains("mallory"), "{widened}");
        home.write(|text| text);
        fs::write(home.house.path("ca/orbital.pem"), "another CA").unwrap();
        let other = home.admits("fra-1").unwrap_err();
        assert!(other.contains("/region/eu-frankfurt/node/fra-1/orbital_tls/ca/sha256"), "{other}");
        fs::remove_file(home.house.path("ca/orbital.pem")).unwrap();
        home.admits("fra-1").unwrap();
        fs::write(home.house.path("ca/orbital.pem"), "the CA orbital").unwrap();
        home.write(|text| {
            let (head, rest) = text.split_once("[site]").unwrap();
            format!("{head}[tls]{}", rest.split_once("[tls]").unwrap().1)
        });
        let gone = home.admits("fra-1").unwrap_err();
        assert!(gone.contains("the file names none"), "{gone}");
        // A node that never ran under it does not know.
        home.admits("zrh-1").unwrap();
    }

    /// Where a customer's KMS is, what vouches for it, and which library reaches it. The content of the CA file counts, not its name.
    #[test]
    fn no_operator_changes_alone_whose_kms_is_asked() {
        let home = Home::new();
        let file = home.write(|text| text);
        let site = home.decided(&file, &home.site);
        home.house.kcm(&["topology", "apply", &file, &site]).unwrap();
        let (model, _) = checked(&home.house.path("topology.toml")).unwrap();
        let globex = model.pins[&"globex".parse().unwrap()];
        let refused = |field: &str| {
            let why = home.admits("fra-1").unwrap_err();
            assert!(why.contains(&format!("/l1/{field}: decided is")), "{field}: {why}");
            let plan = home.house.kcm(&["topology", "plan", &file]).unwrap();
            assert_eq!(plan.json["tenants"], json!([globex]), "{field}: {}", plan.text);
        };
        for (field, decided, other) in [
            ("globex-bao/endpoint", "https://bao.globex.example", "https://bao.mallory.example"),
            ("globex-bao/ca", "= \"ca/globex-bao.pem\"", "= \"ca/siem.pem\""),
            ("globex-bao/mount", "= \"transit\"", "= \"other\""),
            ("globex-azure/login", "https://login.microsoftonline.com", "https://login.mallory.example"),
            ("globex-azure/directory", "= \"globex.example\"", "= \"mallory.example\""),
            ("globex-keys/address", "kms.globex.example:5696", "kms.mallory.example:5696"),
            ("globex-google/endpoint", "https://cloudkms.googleapis.com", "https://cloudkms.mallory.example"),
            ("globex-google/ca", "= \"ca/google-roots.pem\"", "= \"ca/siem.pem\""),
            ("globex-bao/namespace", "= \"keys/kcm\"", "= \"keys/mallory\""),
            ("globex-hsm/module", "/usr/lib/softhsm/libsofthsm2.so", "/tmp/mallory.so"),
            ("globex-hsm/token_label", "token_label  = \"globex\"", "token_label  = \"mallory\""),
            ("globex-hsm/token_serial", "54f5e44c0a11a1b2", "0000000000000000"),
        ] {
            home.write(|text| text.replace(decided, other));
            refused(field);
        }
        home.write(|text| text);
        home.admits("fra-1").unwrap();
        fs::write(home.house.path("ca/globex-bao.pem"), "another CA").unwrap();
        refused("globex-bao/ca/sha256");
    }

    #[test]
    fn whom_a_file_moves_decides_too_and_an_earlier_decision_does_not_come_back() {
        let home = Home::new();
        let acme = &home.house.world;
        let file = home.write(|text| text);
        let first = home.decided(&file, &home.site);
        home.house.kcm(&["topology", "apply", &file, &first]).unwrap();
        home.admits("fra-1").unwrap();
        let old = fs::read(home.house.path("warrant.json")).unwrap();
        let moved = |text: String| text.replace("mode     = \"byok\"", "mode     = \"hyok\"");
        let file = home.write(moved);
        let plan = home.house.kcm(&["topology", "plan", &file]).unwrap();
        assert_eq!(plan.json["tenants"], json!([acme.tenant()]), "{}", plan.text);
        assert!(plan.text.contains("! /l1/acme-aws/mode  byok -> hyok  GOVERNED"), "{}", plan.text);
        let site = home.decided(&file, &home.site);
        let alone = home.house.kcm(&["topology", "apply", &file, &site]).unwrap_err();
        assert!(alone.exit == Exit::Denied && alone.why.contains("has not certified it"), "{alone}");
        let tenants = home.decided(&file, acme);
        let only = home.house.kcm(&["topology", "apply", &file, &tenants]).unwrap_err();
        assert!(only.what.contains("the site's own decision"), "{only}");
        home.house.kcm(&["topology", "apply", &file, &tenants, &site]).unwrap();
        home.admits("fra-1").unwrap();
        // The old file with the old warrant: what both certified once.
        let new = fs::read(home.house.path("warrant.json")).unwrap();
        home.write(|text| text);
        fs::write(home.house.path("warrant.json"), &old).unwrap();
        let back = home.admits("fra-1").unwrap_err();
        assert!(back.contains("serial 1") && back.contains("serial 2 already"), "{back}");
        // One that leaves a tenant out that it moves: the operators alone made it as if nothing had been before.
        let (model, fields) = checked(&home.house.path("topology.toml")).unwrap();
        let governed = site::governed(&fields).0;
        fs::write(home.house.path("warrant.json"), new).unwrap();
        let in_force = Warrant::read(&home.house.path("warrant.json"))
            .unwrap()
            .verify(home.site.tenant(), &home.site.deployment())
            .unwrap();
        let before = site::Memory::new(home.site.tenant(), &in_force).unwrap();
        let decided = Decided { serial: 3, governed, tenants: BTreeSet::new() };
        let left_out = site::follows(Some(&before), model.site.as_ref().unwrap(), &decided).unwrap_err().to_string();
        assert!(left_out.contains(&acme.tenant().to_string()) && left_out.contains("does not name it"), "{left_out}");
        fs::write(home.house.path("warrant.json"), old).unwrap();
        let stale = home
            .kcm_site(&["--as", "alice", "topology", "propose", &file, "--tenant", &home.site.tenant().to_string()])
            .unwrap_err();
        assert_eq!(stale.code.as_deref(), Some("stale-topology"), "{stale}");
    }

    #[test]
    fn the_operators_trust_root_changes_without_a_region() {
        let home = Home::new();
        let site = home.site.tenant().to_string();
        let set = ["--as", "erin", "actor", "join", "karl", "--group", "Security_Ops", "--tenant", &site];
        let proposed = home.kcm_site(&set).unwrap();
        let id = proposed.json["id"].as_str().unwrap();
        let approve =
            |who: &&str| home.kcm_site(&["--as", who, "proposal", "approve", id]).unwrap().json["state"] == "active";
        assert!(["alice", "bob", "carol", "dave", "judy"].iter().any(approve), "it is in force without a region");
        // Nothing of a site can be linked or stopped.
        let link = home.kcm_site(&["--as", "carol", "revoke", "propose", "--tenant", &site]).unwrap_err();
        assert!(link.to_string().contains("region"), "{link}");
    }
}
