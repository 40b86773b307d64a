//! What the command line hands over to the node itself: `demo`, `run`, `topology`.

use std::fs;

use orbital::names::NodeName;

use crate::{
    cli::{
        DemoArgs, Global, LogFormat, RunArgs, Start, Story,
        exit::{Exit, Failure, Report},
        topology::CheckArgs,
    },
    demo,
    files::Disk,
    run,
    telemetry::{self, Plane, Style},
};

/// The log's filter, unless `KCM_LOG` says otherwise: our own words, and of others only what is wrong.
const LOG_FILTER: &str = "info,ractor=warn,ractor_cluster=error,aws_config=warn,hyper=warn";

/// For [`crate::cli::execute`].
pub const START: Start = Start { demo: start_demo, run: start_run, check };

fn failed(what: &str, why: impl ToString) -> Failure {
    Failure::new(Exit::NotHealthy, what).because(why.to_string())
}

fn style(format: LogFormat) -> Style {
    match format {
        LogFormat::Text => Style::Text,
        LogFormat::Json => Style::Json,
    }
}

fn start_demo(_: &Global, args: DemoArgs) -> Result<Report, Failure> {
    telemetry::start_tls().map_err(|e| failed("the demo does not start", e))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| failed("the demo does not start", e))?;
    let kill_switch = args.script == Some(Story::KillSwitch);
    let ran = runtime.block_on(demo::run(&args.dir, args.aws.as_deref(), kill_switch));
    ran.map_err(|e| failed("the demo ended", e).at(args.dir.display()).fix("look at the logs in its folder log/"))?;
    Ok(Report::new(serde_json::json!({ "ended": true }), "Everything that was started has ended."))
}

fn start_run(_: &Global, args: RunArgs) -> Result<Report, Failure> {
    let name = NodeName::new(&args.node).map_err(|e| Failure::usage("no such node").because(e))?;
    run::end_with_parent();
    let file = args.file.display().to_string();
    let starting = |e: &dyn std::fmt::Display| failed("the node does not start", e).at(&file);
    telemetry::start_tls().map_err(|e| starting(&e))?;
    let model = run::read(&args.file, Some(&name)).map_err(|e| starting(&e))?;
    let plane = match model.node(&name).map(|role| role.plane()) {
        Ok(topology::Plane::Governance) => Plane::Governance,
        Ok(_) => Plane::Execution,
        Err(e) => return Err(Failure::usage("no such node").at(&file).because(e)),
    };
    let filter = std::env::var("KCM_LOG").unwrap_or_else(|_| LOG_FILTER.to_owned());
    telemetry::start_log(&name, plane, style(args.log_format), &filter).map_err(|e| starting(&e))?;
    let metrics = telemetry::start_metrics().map_err(|e| starting(&e))?;
    run::run(&args.file, &name, metrics).map_err(|e| {
        tracing::error!("{e}");
        failed("the node ended", e).at(&file)
    })?;
    Ok(Report::new(serde_json::json!({ "ended": true }), "The node has ended as it was asked to."))
}

fn check(args: &CheckArgs) -> Result<Report, Failure> {
    let CheckArgs { file, node } = args;
    let text = fs::read_to_string(file).map_err(|e| {
        Failure::usage("the topology cannot be read")
            .at(file.display())
            .because(e)
            .fix("check the path, and who may read it")
    })?;
    let mut checked = topology::check(file, &text);
    if let Some(node) = node {
        let name = NodeName::new(node).map_err(|e| Failure::usage("no such node").because(e))?;
        if let Some(unknown) = checked.model().and_then(|model| model.node(&name).err()) {
            return Err(Failure::usage("no such node").at(file.display()).because(unknown));
        }
        let found = checked.check_files(Some(&name), &Disk);
        checked.findings.extend(found);
    }
    let errors = checked.findings.iter().any(|finding| finding.severity() == topology::Severity::Error);
    let color = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let report = Report::new(checked.to_json(), checked.explain(color));
    Ok(if errors { report.ending(Exit::Usage) } else { report })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn asked(words: &str) -> Option<Style> {
        match Cli::try_parse_from(words.split_whitespace()).ok()?.command {
            Command::Run(args) => Some(style(args.log_format)),
            _ => None,
        }
    }

    #[test]
    fn the_log_is_json_when_asked() {
        assert_eq!(asked("kcm run --node fra-1 topology.toml"), Some(Style::Text));
        assert_eq!(asked("kcm run --node fra-1 --log-format text topology.toml"), Some(Style::Text));
        assert_eq!(asked("kcm run --node fra-1 --log-format json topology.toml"), Some(Style::Json));
        assert_eq!(asked("kcm run --node fra-1 --log-format xml topology.toml"), None);
    }
}
