//! `kcm policy`: a tenant's Cedar policies as a folder of files, checked, tested and asked on this machine, then proposed.
//!
//! A folder holds one schema (`*.cedarschema`), policies (`*.cedar`, in the order of their names), `entities.json` where there are
//! entities, and `tests.toml` with questions and the answers that they must get. What is checked here is what governance and the regions
//! check: the same crate, the same bytes, the same digest.

mod ask;
mod cases;
mod folder;
mod replay;

use std::path::PathBuf;

use clap::Subcommand;
use orbital::{
    change::{Action, bundle_in},
    sign::Kind,
};
use policy::{Bundle, Decision, Evaluator};
use serde_json::json;

use super::{
    Global,
    compose::{self, Subject, Wish},
    context::Pins,
    exit::{Exit, Failure, Report},
    files,
};
use ask::WhatIf;
use folder::{Folder, TESTS};
use replay::Bundles;

#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// Write the policies that are in force as a folder, to begin with
    #[command(after_help = "Example: kcm policy new acme-policy --tenant acme")]
    New {
        /// The folder; it must not exist
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Pinned name, or id [default: this version's default policies]
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: Option<String>,
    },
    /// Say everything that is wrong with a folder of policies, or its digest
    #[command(after_help = "Example: kcm policy check acme-policy --out acme.bundle")]
    Check {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Write the bundle, as a trust root names it by its digest
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Ask the questions of tests.toml, and compare
    #[command(after_help = "Example: kcm policy test acme-policy")]
    Test {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Ask one question, and see which policy decides
    #[command(after_help = "\
Example: kcm policy what-if acme-policy --system orders --operation get --owner orders --state Active
Example: kcm --as alice policy what-if acme-policy --group Security_Ops --propose LinkL1")]
    WhatIf(Box<WhatIf>),
    /// Ask the requests of a region's audit log again, and count the decisions that would flip
    #[command(after_help = "\
Example: kcm policy replay acme-policy --tenant acme --audit eu-1/store/audit.jsonl
Example: kcm policy replay acme-policy --before acme-policy-now --tenant acme --audit audit.jsonl")]
    Replay {
        /// The folder of policies that would come into force
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// A file of the log; several oldest first
        #[arg(long, value_name = "FILE", required = true)]
        audit: Vec<PathBuf>,
        /// Whose requests: pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// The folder of policies to compare with [default: those in force, as governance shows the tenant's chain]
        #[arg(long, value_name = "DIR")]
        before: Option<PathBuf>,
    },
    /// Propose a folder of policies, whose tests must pass
    #[command(after_help = "Example: kcm --as erin policy set acme-policy --tenant acme")]
    Set {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

pub(crate) async fn perform(global: &Global, command: PolicyCommand) -> Result<Report, Failure> {
    match command {
        PolicyCommand::New { folder, tenant: None } => new(&folder, &default()?),
        PolicyCommand::New { folder, tenant: Some(tenant) } => {
            new(&folder, &in_force(&Subject::of(global, &tenant).await?)?)
        }
        PolicyCommand::Set { folder, tenant, reason } => set(global, &folder, &tenant, &reason).await,
        PolicyCommand::Check { folder, out } => check(&folder, out.as_deref()),
        PolicyCommand::Test { folder } => test(&folder),
        PolicyCommand::WhatIf(asked) => what_if(global, *asked),
        PolicyCommand::Replay { folder, audit, tenant, before } => {
            let after = evaluator(&Folder::read(&folder)?)?;
            let (tenant, before) = match before {
                Some(before) => (Pins::read(global)?.tenant(&tenant)?, evaluator(&Folder::read(&before)?)?),
                None => {
                    let subject = Subject::of(global, &tenant).await?;
                    (subject.chain.tenant(), Evaluator::new(in_force(&subject)?))
                }
            };
            Bundles { tenant, before, after }.replay(&audit)
        }
    }
}

fn default() -> Result<Bundle, Failure> {
    Bundle::default_bundle()
        .map_err(|e| Failure::new(Exit::NotHealthy, "this version has no default policies").because(e))
}

/// What the tenant's trust root names, as the chain that was verified here brought it.
fn in_force(subject: &Subject) -> Result<Bundle, Failure> {
    let (named, default) = (subject.trust().policy, default()?);
    if named == default.digest() {
        return Ok(default);
    }
    let unknown = |why: &dyn std::fmt::Display| {
        Failure::denied(format!("the policies {named} of {} are not known here", subject.trust().name))
            .because(why)
            .fix("run the version of this command that the tenant's people used")
    };
    let bytes = bundle_in(&subject.file.links, named).ok_or_else(|| unknown(&"no change of the chain brought them"))?;
    Bundle::parse_canonical(&bytes).map_err(|e| unknown(&e))
}

async fn set(global: &Global, path: &std::path::Path, tenant: &str, reason: &str) -> Result<Report, Failure> {
    let folder = Folder::read(path)?;
    if path.join(TESTS).exists() {
        let tested = test(path)?;
        if tested.exit != Exit::Done {
            return Err(Failure::usage("the policies do not pass their tests")
                .at(path.join(TESTS).display())
                .because(tested.text)
                .fix("correct the policies, or the tests if the policies are right"));
        }
    }
    let bundle = evaluator(&folder)?.bundle().canonical().to_vec();
    let subject = Subject::of(global, tenant).await?;
    let mut next = subject.successor();
    next.policy = Kind::Policy.digest(&bundle);
    if next.policy == subject.trust().policy {
        return Err(Failure::usage("nothing would change").because("these policies are in force already"));
    }
    let action = Action::ChangePolicy { next: Box::new(next), bundle };
    compose::propose(global, &subject, Wish { action, regions: None, reason }).await
}

fn new(path: &std::path::Path, bundle: &Bundle) -> Result<Report, Failure> {
    folder::write(path, bundle)?;
    let text = format!(
        "{} holds the policies with the digest\n  {}\nChange them, then run `kcm policy check {0}` and `kcm policy test {0}`.",
        path.display(),
        bundle.digest()
    );
    Ok(Report::new(json!({ "folder": path, "digest": bundle.digest() }), text))
}

fn check(path: &std::path::Path, out: Option<&std::path::Path>) -> Result<Report, Failure> {
    let folder = Folder::read(path)?;
    let bundle = match folder.bundle()? {
        Ok(bundle) => bundle,
        Err(findings) => return Ok(findings.ending(Exit::Usage)),
    };
    if let Some(out) = out {
        files::write("bundle", out, bundle.canonical(), 0o644, false)?;
    }
    let policies = bundle.policy_ids().len();
    let json = json!({ "digest": bundle.digest(), "policies": policies, "findings": [] });
    Ok(Report::new(json, format!("{policies} policies, nothing wrong; their digest is\n  {}", bundle.digest())))
}

/// A bundle that can be asked.
fn evaluator(folder: &Folder) -> Result<Evaluator, Failure> {
    folder.bundle()?.map(Evaluator::new).map_err(|findings| {
        Failure::usage("the policies are not valid")
            .at(folder.path().display())
            .because(findings.text)
            .fix("repair what is named; `kcm policy check` says it again")
    })
}

fn test(path: &std::path::Path) -> Result<Report, Failure> {
    let folder = Folder::read(path)?;
    let tests = path.join(TESTS);
    let cases = cases::read(&files::read_text("tests", &tests)?, &tests)?;
    let evaluator = evaluator(&folder)?;
    let results: Vec<_> = cases.iter().map(|case| case.run(&evaluator)).collect();
    let failed: Vec<_> = results.iter().filter(|result| !result.passed()).collect();
    let mut lines: Vec<_> = failed.iter().map(ToString::to_string).collect();
    lines.push(match failed.len() {
        0 => format!("{} tests, all as expected", results.len()),
        failed => format!("{failed} of {} tests are not as expected", results.len()),
    });
    let json = json!({ "tests": results.len(), "failed": failed.iter().map(|one| one.json()).collect::<Vec<_>>() });
    let report = Report::new(json, lines.join("\n"));
    Ok(if failed.is_empty() { report } else { report.ending(Exit::NotHealthy) })
}

fn what_if(global: &Global, asked: WhatIf) -> Result<Report, Failure> {
    let folder = Folder::read(&asked.folder)?;
    let question = asked.question(global.person.clone())?;
    let evaluator = evaluator(&folder)?;
    let decision = question.put(&evaluator);
    let named: &[String] = match &decision {
        Decision::Allow { policies } | Decision::Deny { policies } => policies,
        Decision::Error { .. } => &[],
    };
    let texts: Vec<_> = named.iter().filter_map(|id| evaluator.bundle().policy_text(id)).collect();
    let json = json!({ "question": question.to_string(), "decision": cases::word(&decision), "policies": named,
        "explanation": decision.to_string() });
    let text = [vec![format!("{question}\n{decision}")], texts].concat().join("\n\n");
    let report = Report::new(json, text);
    Ok(if decision.is_allowed() { report } else { report.ending(Exit::Denied) })
}

#[cfg(test)]
mod tests;
