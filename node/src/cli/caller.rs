//! `kcm caller` (and `kcm kmip client`): which client certificates belong to a tenant and use which system. A governed change.

mod own;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use orbital::{
    change::Action,
    names::System,
    trust::{Anchor, CallerRule},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;

use super::{
    Global,
    compose::{self, Subject, Wish},
    exit::{Failure, Report},
    files, plain,
    table::Table,
};

#[derive(Clone, Debug, Subcommand)]
pub enum CallerCommand {
    /// Propose to let certificates use a system
    #[command(
        after_help = "Example: kcm --as erin caller add --tenant acme --system mongo-1 --ca client-ca.pem\n         \
                            kcm --as erin kmip client add --tenant acme --system mongo-1 --new mongo-1.pem"
    )]
    Add(Add),
    /// Propose to take such a rule away
    #[command(after_help = "Example: kcm --as erin caller remove --tenant acme --system mongo-1 --ca client-ca.pem")]
    Remove(Rule),
    /// List the rules of a tenant
    #[command(after_help = "Example: kcm caller list --tenant acme")]
    List {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
}

/// One rule, as the command line gives it.
#[derive(Clone, Debug, Args)]
pub struct Rule {
    /// Pinned name, or id
    #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
    pub tenant: String,
    /// The system that these clients use
    #[arg(long, value_name = "NAME")]
    pub system: System,
    /// The CA that signs the clients' certificates, PEM
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    pub ca: Option<PathBuf>,
    /// One client certificate, PEM: that one alone
    #[arg(long, value_name = "FILE")]
    pub fingerprint: Option<PathBuf>,
    /// Only certificates that carry this SAN URI, SAN DNS name or CN
    #[arg(long, value_name = "NAME")]
    pub name: Option<System>,
    /// Why, for those who approve
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// A rule that is new, and perhaps its client, too.
#[derive(Clone, Debug, Args)]
pub struct Add {
    #[command(flatten)]
    pub rule: Rule,
    /// Make the client's key and a certificate that no CA signs, in this new file, which only you may read, as mongod wants it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ca", "fingerprint"])]
    pub new: Option<PathBuf>,
}

pub(crate) async fn perform(global: &Global, command: CallerCommand) -> Result<Report, Failure> {
    match command {
        CallerCommand::Add(Add { rule, new: None }) => change(global, &rule, true).await,
        CallerCommand::Add(Add { rule, new: Some(path) }) => add_new(global, rule, path).await,
        CallerCommand::Remove(rule) => change(global, &rule, false).await,
        CallerCommand::List { tenant } => list(global, &tenant).await,
    }
}

/// The file is there before anything is proposed: a key that was lost in between would be worth nothing to those who approve.
async fn add_new(global: &Global, mut rule: Rule, path: PathBuf) -> Result<Report, Failure> {
    let name = rule.name.as_ref().unwrap_or(&rule.system);
    own::make(&path, name.as_str(), compose::now())?;
    let again = format!("the key is in {}: propose it again with --fingerprint instead of --new", path.display());
    rule.fingerprint = Some(path);
    change(global, &rule, true).await.map_err(|failure| {
        let fix = format!("{}; {again}", failure.fix);
        failure.fix(fix)
    })
}

async fn change(global: &Global, given: &Rule, add: bool) -> Result<Report, Failure> {
    let anchor = match (&given.ca, &given.fingerprint) {
        (Some(path), _) => ca(path)?,
        (None, Some(path)) => leaf(path)?,
        (None, None) => {
            return Err(Failure::usage("no certificate is named")
                .fix("add --ca FILE or --fingerprint FILE; `add` makes one with --new FILE"));
        }
    };
    let subject = Subject::of(global, &given.tenant).await?;
    let rule = CallerRule { anchor, system: given.system.clone(), name: given.name.clone() };
    let mut next = subject.successor();
    let altered = if add { next.callers.insert(rule) } else { next.callers.remove(&rule) };
    if !altered {
        let what = if add { "this rule stands already" } else { "there is no such rule" };
        return Err(Failure::usage(what).fix(format!("see `kcm caller list --tenant {}`", given.tenant)));
    }
    let action = Action::ChangeCallers { next: Box::new(next) };
    compose::propose(global, &subject, Wish { action, regions: None, reason: &given.reason }).await
}

async fn list(global: &Global, tenant: &str) -> Result<Report, Failure> {
    let subject = Subject::of(global, tenant).await?;
    let mut table = Table::new(&["system", "anchor", "sha-256", "name"]);
    for rule in &subject.trust().callers {
        let (kind, digest) = match &rule.anchor {
            Anchor::Ca { certificate } => ("client CA", plain::fingerprint(certificate)),
            Anchor::Fingerprint { digest } => ("certificate", *digest),
        };
        let name = rule.name.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        table.row([rule.system.to_string(), kind.into(), digest.to_string(), name]);
    }
    Ok(Report::new(json!({ "items": subject.trust().callers }), table.render()))
}

/// The anchor of a client CA: its certificate.
pub(crate) fn ca(path: &Path) -> Result<Anchor, Failure> {
    Ok(Anchor::Ca { certificate: certificate(path)?.to_vec() })
}

/// The anchor of one client certificate: its fingerprint.
pub(crate) fn leaf(path: &Path) -> Result<Anchor, Failure> {
    Ok(Anchor::Fingerprint { digest: plain::fingerprint(&certificate(path)?) })
}

fn certificate(path: &Path) -> Result<CertificateDer<'static>, Failure> {
    let pem = files::read("certificate", path)?;
    let bad = |why: &dyn std::fmt::Display| {
        Failure::usage("the certificate does not read").at(path.display()).because(why).fix("give one certificate, PEM")
    };
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all.map_err(|e| bad(&e))?.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(bad(&"the file holds no certificate")),
        // Which of them would be trusted must not depend on their order in a file.
        many => Err(bad(&format!("the file holds {} certificates", many.len()))),
    }
}
