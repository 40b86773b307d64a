//! `kcm policy`: a tenant's Cedar policies as a folder of files, checked, tested and asked on this machine.
//!
//! A folder holds one schema (`*.cedarschema`), policies (`*.cedar`, in the order of their names), `entities.json` where there are
//! entities, and `tests.toml` with questions and the answers that they must get. What is checked here is what governance and the regions
//! check: the same crate, the same bytes, the same digest.

mod ask;
mod cases;
mod folder;

use std::path::PathBuf;

use clap::Subcommand;
use policy::{Bundle, Decision, Evaluator};
use serde_json::json;

use super::{
    Global,
    exit::{Exit, Failure, Report},
    files,
};
use ask::WhatIf;
use folder::{Folder, TESTS};

#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// Write this version's default policies as a folder, to begin with
    #[command(after_help = "Example: kcm policy new acme-policy")]
    New {
        /// The folder; it must not exist
        #[arg(value_name = "DIR")]
        folder: PathBuf,
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
}

pub(crate) fn perform(global: &Global, command: PolicyCommand) -> Result<Report, Failure> {
    match command {
        PolicyCommand::New { folder } => new(&folder),
        PolicyCommand::Check { folder, out } => check(&folder, out.as_deref()),
        PolicyCommand::Test { folder } => test(&folder),
        PolicyCommand::WhatIf(asked) => what_if(global, *asked),
    }
}

fn new(path: &std::path::Path) -> Result<Report, Failure> {
    let bundle = Bundle::default_bundle().map_err(|e| Failure::new(Exit::NotHealthy, "no default").because(e))?;
    folder::write(path, &bundle)?;
    let text = format!(
        "{} holds the default policies, with the digest\n  {}\nChange them, then run `kcm policy check {0}` and `kcm policy test {0}`.",
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
