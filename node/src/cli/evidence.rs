//! `kcm trust verify` and `kcm certificate verify`: decisions that a stranger checks offline, with a file and the tenant's id.
//!
//! Nothing is asked of governance, and nothing that it says is believed: the id is the digest of the genesis, each version of the trust
//! root is certified under the one before it, and a decision under the version that it was made under. The check is the one that the
//! regions do.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use orbital::{
    certificate::{Certificate, Certified, Uncertified, certify},
    chain::{Chain, Genesis},
    change::Change,
    names::{KeyName, Person, TenantId},
    sign::Signed,
    vote::{Role, Vote},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Global,
    compare::{self, Compare},
    compose::Subject,
    context::Pins,
    exit::{Exit, Failure, Report},
    files, genesis, plain,
    recovery::{self, RecoveryCommand},
    settle::{self, Settle},
    table::Table,
    trust::TrustFile,
};

#[derive(Clone, Debug, Subcommand)]
pub enum TrustCommand {
    /// Verify a trust chain from a file, with nothing but the tenant's id
    #[command(
        after_help = "Example: kcm trust verify acme.chain.json --tenant kGkT02jo2jX3l0Mm3xw_1wapLo8Aq-9G17xJMr2UPic"
    )]
    Verify {
        /// What `kcm tenant trust` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Ask each region itself, past governance, which trust version it holds
    Compare(Compare),
    /// Propose that another branch of a forked trust is void
    Settle(Settle),
    /// Change a tenant's people by cold keys, when no quorum is left
    #[command(subcommand)]
    Recovery(RecoveryCommand),
}

#[derive(Clone, Debug, Subcommand)]
pub enum CertificateCommand {
    /// Verify a decision from a file, with nothing but the tenant's id
    #[command(
        after_help = "Example: kcm certificate verify kill.json --tenant kGkT02jo2jX3l0Mm3xw_1wapLo8Aq-9G17xJMr2UPic"
    )]
    Verify {
        /// What `kcm proposal certificate` or `kcm revoke sign` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
}

/// A decision and all that proves it. A stop as people carry it ([`crate::stop_listener::StopFile`]) has the same members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateFile {
    pub(crate) genesis: Genesis,
    /// From version 2 of the trust root on, oldest first; those after the version that the change was made under are not looked at.
    pub(crate) links: Vec<Certificate>,
    pub(crate) certificate: Certificate,
}

pub(crate) async fn trust(global: &Global, command: TrustCommand) -> Result<Report, Failure> {
    let (file, tenant) = match command {
        TrustCommand::Verify { file, tenant } => (file, tenant),
        TrustCommand::Compare(asked) => return compare::perform(global, asked).await,
        TrustCommand::Settle(asked) => return settle::perform(global, asked).await,
        TrustCommand::Recovery(command) => return recovery::perform(global, command).await,
    };
    let tenant = Pins::read(global)?.tenant(&tenant)?;
    let read: TrustFile = files::read_json("trust chain", &file)?;
    verify_trust(&read, tenant).map_err(|failure| named(failure, &file))
}

pub(crate) fn certificate(global: &Global, command: CertificateCommand) -> Result<Report, Failure> {
    let CertificateCommand::Verify { file, tenant } = command;
    let tenant = Pins::read(global)?.tenant(&tenant)?;
    let read: CertificateFile = files::read_json("certificate", &file)?;
    verify_certificate(&read, tenant).map_err(|failure| named(failure, &file))
}

/// The failure, with the file before its place.
fn named(failure: Failure, file: &Path) -> Failure {
    let place = match failure.place.as_str() {
        "" => file.display().to_string(),
        place => format!("{}, {place}", file.display()),
    };
    failure.at(place)
}

fn names<'a>(people: impl Iterator<Item = &'a Person>) -> String {
    people.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn verify_trust(file: &TrustFile, tenant: TenantId) -> Result<Report, Failure> {
    let mut table = Table::new(&["version", "made by", "digest", "signed by"]);
    let mut versions: Vec<Value> = Vec::new();
    let chain = file.follow(tenant, |chain, certified| {
        let (kind, signers) = match certified {
            None => ("genesis".to_owned(), names(chain.current().actors.keys())),
            Some(certified) if certified.signers().is_empty() => ("recovery".to_owned(), "recovery keys".to_owned()),
            Some(certified) => (certified.change().kind().to_string(), names(certified.signers().iter())),
        };
        let (version, digest) = (chain.version(), chain.digest());
        versions.push(json!({ "version": version, "kind": kind, "digest": digest, "signers": signers }));
        table.row([version.to_string(), kind, digest.to_string(), signers]);
    })?;
    let head =
        format!("The trust chain of {} ({tenant}) holds, up to version {}.", chain.current().name, chain.version());
    let text = [head, table.render(), genesis::sentences(chain.current()).join("\n")].join("\n\n");
    Ok(Report::new(json!({ "tenant": tenant, "version": chain.version(), "versions": versions }), text))
}

fn verify_certificate(file: &CertificateFile, tenant: TenantId) -> Result<Report, Failure> {
    let (chain, certified) = match judged(file, tenant)? {
        (chain, Err(Uncertified::Unfired { until })) => return armed(file, &chain, until),
        (chain, certified) => (chain, certified.map_err(|e| untrue(&e))?),
    };
    if let Some(Ok(keys)) = file.certificate.recovered_by(chain.current()) {
        return Ok(recovered(&chain, &certified, keys));
    }
    let signers = certified.signers();
    let votes = |role, signed: &Signed| {
        let vote = Vote::read(role, signed).ok().filter(|vote| signers.contains(&vote.person))?;
        Some((
            plain::vote(role, &vote.person, vote.expires),
            json!({ "person": vote.person, "key": vote.key, "role": format!("{role:?}") }),
        ))
    };
    let Certificate { proposal, approvals, confirmations, .. } = &file.certificate;
    let counted: Vec<(String, Value)> = std::iter::once(votes(Role::Propose, proposal))
        .chain(approvals.iter().map(|signed| votes(Role::Approve, signed)))
        .chain(confirmations.iter().map(|signed| votes(Role::Confirm, signed).or_else(|| votes(Role::Fire, signed))))
        .flatten()
        .collect();
    let (said, signers): (Vec<_>, Vec<_>) = counted.into_iter().unzip();
    let change = certified.change();
    let lines = [
        vec![format!("This {} was decided as the tenant's rules demand.", change.kind())],
        plain::change(change, certified.digest(), chain.current()),
        said,
        vec![format!("The rule then: {}", plain::rule(change.kind(), rule(&chain, &certified)?))],
        vec![
            "Whether regions did it, their signed answers say, which the ledger keeps (`kcm audit verify`).".to_owned(),
        ],
    ];
    let mut json = json!({ "tenant": tenant, "kind": change.kind(), "digest": certified.digest(),
        "trust_version": chain.version(), "signers": signers, "change": change });
    if let (Some(_), Some(members)) = (change.armed, json.as_object_mut()) {
        members.insert("fired".to_owned(), true.into());
    }
    Ok(Report::new(json, lines.concat().join("\n")))
}

fn recovered(chain: &Chain, certified: &Certified, keys: BTreeSet<KeyName>) -> Report {
    let change = certified.change();
    let lines = [
        vec!["This change of people was signed by recovery keys, as the tenant's trust root allows.".to_owned()],
        plain::change(change, certified.digest(), chain.current()),
        keys.iter().map(|key| format!("Signed by recovery key {key}.")).collect(),
        vec!["Each region takes it after its own delay, unless an ordinary successor came first.".to_owned()],
    ];
    let json = json!({ "tenant": change.tenant, "kind": change.kind(), "digest": certified.digest(),
        "trust_version": chain.version(), "recovery_keys": keys, "change": change });
    Report::new(json, lines.concat().join("\n"))
}

/// Everything holds but the fire, which is looked for last.
fn armed(file: &CertificateFile, chain: &Chain, until: u64) -> Result<Report, Failure> {
    let bytes = &file.certificate.change;
    let (change, digest) = (Change::from_bytes(bytes).map_err(|e| untrue(&e))?, Change::digest_of(bytes));
    let head = format!("This {} was signed as the tenant's rules demand, and nobody has fired it.", change.kind());
    let lines = [vec![head], plain::change(&change, digest, chain.current())].concat();
    let json = json!({ "tenant": change.tenant, "kind": change.kind(), "digest": digest, "trust_version": chain.version(),
        "armed_until": until, "fired": false, "change": change });
    Ok(Report::new(json, lines.join("\n")).ending(Exit::Waits))
}

fn rule<'c>(chain: &'c Chain, certified: &Certified) -> Result<&'c orbital::quorum::Rule, Failure> {
    chain.current().rule(certified.change().kind()).map_err(|e| untrue(&e))
}

fn untrue(why: &dyn std::fmt::Display) -> Failure {
    Failure::denied("the decision does not hold").because(why).fix(
        "treat it as not decided; keep the file as evidence, and compare with what another member of the tenant has",
    )
}

/// The decision, under the version of the chain that it was made under. Whether its time has passed matters to who executes it, and not
/// to whether it was decided.
pub(crate) fn proven(file: &CertificateFile, tenant: TenantId) -> Result<(Chain, Certified), Failure> {
    let (chain, certified) = judged(file, tenant)?;
    Ok((chain, certified.map_err(|e| untrue(&e))?))
}

/// As [`proven`], under a chain that was verified up to that version; and the chain with it, where it makes one.
pub(crate) fn proven_under(chain: &Chain, certificate: &Certificate) -> Result<(Option<Chain>, Certified), Failure> {
    let change = Change::from_bytes(&certificate.change).map_err(|e| untrue(&e))?;
    held(chain, &change, certificate).map_err(|e| untrue(&e))
}

/// One that makes the next version must also follow from the one before: that, too, is what a region asks.
fn held(chain: &Chain, change: &Change, certificate: &Certificate) -> Result<(Option<Chain>, Certified), Uncertified> {
    match change.action.next() {
        Some(_) => chain.extend(certificate).map(|(longer, certified)| (Some(longer), certified)),
        None => certify(certificate, chain, 0).map(|certified| (None, certified)),
    }
}

fn judged(file: &CertificateFile, tenant: TenantId) -> Result<(Chain, Result<Certified, Uncertified>), Failure> {
    let change = Change::from_bytes(&file.certificate.change).map_err(|e| untrue(&e))?;
    let known = usize::try_from(change.trust_version.saturating_sub(1)).unwrap_or(usize::MAX);
    let links = file.links.iter().take(known).cloned().collect();
    let chain = TrustFile { tenant, genesis: file.genesis.clone(), links }.verify(Some(tenant))?;
    let certified = held(&chain, &change, &file.certificate).map(|(_, certified)| certified);
    Ok((chain, certified))
}

/// `kcm proposal certificate`: writes what a stranger needs, once it is known to prove itself.
pub(crate) fn write(subject: &Subject, certificate: &Value, out: &Path) -> Result<Report, Failure> {
    if certificate.is_null() {
        return Err(Failure::denied("there is no certificate yet")
            .because("the proposal is not ratified")
            .fix("see who still has to sign with `kcm proposal show`"));
    }
    let certificate = serde_json::from_value(certificate.clone())
        .map_err(|e| Failure::denied("the portal's certificate does not read").because(e).fix("update this command"))?;
    let file =
        CertificateFile { genesis: subject.file.genesis.clone(), links: subject.file.links.clone(), certificate };
    let report = verify_certificate(&file, subject.tenant.id)?;
    files::write_json("certificate", out, &file, false)?;
    let how = format!(
        "It is in {}; anybody verifies it with\n  kcm certificate verify {0} --tenant {}",
        out.display(),
        subject.tenant.id
    );
    Ok(Report { text: format!("{}\n{how}", report.text), ..report })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use crate::cli::{
        Cli,
        exit::{Exit, Failure, Report},
        perform,
        tests::house::{House, START},
    };

    /// A command line of somebody who has no portal and no pin.
    fn stranger(words: &[&str]) -> Result<Report, Failure> {
        perform(Cli::try_parse_from([&["kcm"], words].concat()).unwrap(), START)
    }

    /// A house whose people have registered a system, which makes version 2, and then revoked: the ids of both proposals.
    fn decided() -> (House, String, String) {
        let house = House::furnished();
        let registered = house.kcm(&["--as", "alice", "system", "register", "mongo-1", "--tenant", "acme"]).unwrap();
        let id = registered.json["id"].as_str().unwrap().to_owned();
        house.kcm(&["--as", "bob", "proposal", "approve", &id, "--wait", "10ms"]).unwrap();
        let proposed = house.kcm(&["--as", "carol", "revoke", "propose", "--tenant", "acme"]).unwrap();
        let kill = proposed.json["id"].as_str().unwrap().to_owned();
        house.kcm(&["--as", "dave", "proposal", "approve", &kill, "--wait", "10ms"]).unwrap();
        (house, id, kill)
    }

    #[test]
    fn a_stranger_verifies_chain_and_decision_with_the_id_alone() {
        let (house, first, kill) = decided();
        let (chain, system_file, kill_file) =
            (house.named("chain.json"), house.named("rule.json"), house.named("k.json"));
        house.kcm(&["tenant", "trust", "acme", "--out", &chain]).unwrap();
        house.kcm(&["proposal", "certificate", &first, "--out", &system_file]).unwrap();
        house.kcm(&["proposal", "certificate", &kill, "--out", &kill_file]).unwrap();
        let id = house.world.tenant().to_string();
        let trust = stranger(&["trust", "verify", &chain, "--tenant", &id]).unwrap();
        assert_eq!(trust.json["version"], 2);
        assert!(
            trust.text.contains("RegisterSystem") && trust.text.contains("holds, up to version 2"),
            "{}",
            trust.text
        );
        let killed = stranger(&["certificate", "verify", &kill_file, "--tenant", &id]).unwrap();
        assert_eq!((&killed.json["kind"], &killed.json["trust_version"]), (&"RevokeL1".into(), &2.into()));
        assert!(killed.text.contains("carol proposes") && killed.text.contains("dave approves"), "{}", killed.text);
        // A decision of an earlier version stands under that one, whatever came later.
        let changed = stranger(&["certificate", "verify", &system_file, "--tenant", &id]).unwrap();
        assert_eq!(changed.json["trust_version"], 1);
        let mut short: serde_json::Value = serde_json::from_slice(&fs::read(&kill_file).unwrap()).unwrap();
        short["links"] = serde_json::json!([]);
        fs::write(&system_file, short.to_string()).unwrap();
        let ahead = stranger(&["certificate", "verify", &system_file, "--tenant", &id]).unwrap_err();
        assert!(ahead.why.contains("not known here yet"), "{ahead}");
    }

    #[test]
    fn what_was_touched_or_is_another_tenants_does_not_hold() {
        let (house, _, kill) = decided();
        let (chain, file) = (house.named("chain.json"), house.named("kill.json"));
        house.kcm(&["tenant", "trust", "acme", "--out", &chain]).unwrap();
        house.kcm(&["proposal", "certificate", &kill, "--out", &file]).unwrap();
        let other = orbital::testing::World::of("test", "globex").tenant().to_string();
        for (what, path) in [("trust", chain.as_str()), ("certificate", file.as_str())] {
            let refused = house.kcm(&[what, "verify", path, "--tenant", &other]).unwrap_err();
            assert_eq!(refused.exit, Exit::Denied, "{refused}");
            assert!(refused.why.contains("founds tenant") && refused.place.starts_with(path), "{refused}");
        }
        let mut touched: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        touched["certificate"]["approvals"] = serde_json::json!([]);
        fs::write(&file, touched.to_string()).unwrap();
        let unmet = house.kcm(&["certificate", "verify", &file, "--tenant", "acme"]).unwrap_err();
        assert!(unmet.exit == Exit::Denied && unmet.why.contains("lacks a signer"), "{unmet}");
        let mut touched: serde_json::Value = serde_json::from_slice(&fs::read(&chain).unwrap()).unwrap();
        touched["links"][0]["proposal"]["signature"] = touched["links"][0]["approvals"][0]["signature"].clone();
        fs::write(&chain, touched.to_string()).unwrap();
        let forged = house.kcm(&["trust", "verify", &chain, "--tenant", "acme"]).unwrap_err();
        assert!(forged.exit == Exit::Denied && forged.place.ends_with("version 2"), "{forged}");
    }

    #[test]
    fn what_is_not_ratified_has_no_certificate_and_a_stop_by_hand_has_one() {
        let house = House::furnished();
        let proposed = house.kcm(&["--as", "carol", "revoke", "propose", "--tenant", "acme"]).unwrap();
        let id = proposed.json["id"].as_str().unwrap();
        let (out, chain, stop) = (house.named("none.json"), house.named("chain.json"), house.named("stop.json"));
        let none = house.kcm(&["proposal", "certificate", id, "--out", &out]).unwrap_err();
        assert!(none.exit == Exit::Denied && !house.path("none.json").exists(), "{none}");
        house.kcm(&["tenant", "trust", "acme", "--out", &chain]).unwrap();
        let sign = ["revoke", "sign", "--out", &stop, "--tenant-file", &chain];
        house.kcm(&[&["--as", "carol"][..], &sign].concat()).unwrap();
        let open = house.kcm(&["certificate", "verify", &stop, "--tenant", "acme"]).unwrap_err();
        assert!(open.why.contains("lacks a signer"), "{open}");
        house.kcm(&["--as", "dave", "revoke", "sign", "--out", &stop]).unwrap();
        let decided = house.kcm(&["certificate", "verify", &stop, "--tenant", "acme"]).unwrap();
        assert_eq!(decided.json["signers"].as_array().unwrap().len(), 2);
    }
}
