//! `kcm`: the command line. One file a group of commands; this one names them and turns their ends into exit codes.
//!
//! What a person signs is made, shown and signed here, on that person's machine; the portal gets signatures, never keys. A tenant's
//! trust chain is verified from its pinned genesis before anything is signed under it.

mod actor;
mod approvers;
mod audit;
mod backup;
mod caller;
mod compare;
mod compose;
pub mod context;
mod dry;
mod duration;
pub(crate) mod evidence;
pub mod exit;
mod files;
mod founding;
pub mod genesis;
mod halt;
mod help;
mod http;
mod key;
mod kmip;
mod l1;
mod lease;
mod ledgers;
mod notify;
pub(crate) mod plain;
mod policy;
mod proposal;
mod quorum;
mod random;
mod recovery;
mod region;
mod residency;
mod revoke;
pub mod screen;
mod settle;
mod show;
mod simulate;
mod soft_l1;
mod status;
mod stop;
mod successors;
mod system;
mod table;
mod tenant;
pub(crate) mod topology;
mod trust;
mod watch;
mod wire;
mod witness;

use std::{future::Future, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use orbital::{
    canon::Text,
    names::{Digest, Person},
};

pub use trust::TrustFile;

use exit::{Exit, Failure, Report};
use screen::Screen;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// How results are written
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// The person who signs
    #[arg(id = "as", long = "as", global = true, value_name = "PERSON", env = "KCM_AS", hide_env_values = true)]
    pub person: Option<Person>,
    /// That person's key file, where the context does not name it
    #[arg(id = "key-file", long = "key", global = true, value_name = "FILE", env = "KCM_KEY", hide_env_values = true)]
    pub key: Option<PathBuf>,
    /// Where portal and keys are, as `kcm demo` writes it [default: kcm-demo/demo.json]
    #[arg(short, long, global = true, value_name = "FILE", env = "KCM_CONTEXT", hide_env_values = true)]
    pub context: Option<PathBuf>,
    /// Wait for every region's answer, then exit, such as 30s
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse)]
    pub wait: Option<Duration>,
    /// Say what would become of a proposal; sign and write nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Sign a next trust version though you have signed this other one; both together would fork
    #[arg(long, global = true, value_name = "DIGEST", allow_hyphen_values = true)]
    pub besides: Vec<Digest>,
    /// Sign without asking
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Print help
    #[arg(short, long, global = true, action = clap::ArgAction::HelpShort)]
    pub help: Option<bool>,
}

/// Sovereign keys: governance, regional KMIP, and a kill switch you can watch.
#[derive(Clone, Debug, Parser)]
#[command(name = "kcm", version, help_template = help::TEMPLATE, max_term_width = 100, arg_required_else_help = true)]
// One screen for -h and --help: the same words, one line an option.
#[command(disable_help_flag = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// The groups of commands, in the order of the help.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run three regions, portal, KMIP and sample data on this machine
    Demo(DemoArgs),
    /// Run the node that a topology file describes
    Run(RunArgs),
    /// Check topology files, and have them decided
    #[command(subcommand)]
    Topology(topology::TopologyCommand),
    /// Act as the customer at the demo's soft KMS; development only
    #[command(subcommand)]
    SoftL1(soft_l1::SoftL1Command),
    /// Found, pin and show tenants
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Link, restore and list keys at the customer's KMS
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Print what a customer must allow at their KMS
    #[command(subcommand)]
    L1(l1::L1Command),
    /// Register and list systems: applications and databases
    #[command(subcommand)]
    System(system::SystemCommand),
    /// Say which client certificates use which system
    #[command(subcommand)]
    Caller(caller::CallerCommand),
    /// Make signing keys; change people and groups
    #[command(subcommand)]
    Actor(actor::ActorCommand),
    /// Show and change who must sign what
    #[command(subcommand)]
    Quorum(quorum::QuorumCommand),
    /// Show and change how long a region serves on by itself
    #[command(subcommand)]
    Lease(lease::LeaseCommand),
    /// Show and change where a tenant's keys may lie
    #[command(subcommand)]
    Residency(residency::ResidencyCommand),
    /// Show and change who is told of what; try it, and see what was told
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Check, test and ask Cedar policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Read, approve, reject and watch proposals
    #[command(subcommand)]
    Proposal(proposal::ProposalCommand),
    /// Stop a tenant in every region
    #[command(subcommand)]
    Revoke(revoke::RevokeCommand),
    /// Try a region as a database would, configure one; callers by the protocol's name
    #[command(subcommand)]
    Kmip(kmip::KmipCommand),
    /// Read the audit chain and verify it
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Print what the owner of a PostgreSQL ledger's database runs
    #[command(subcommand)]
    Ledger(ledgers::LedgerCommand),
    /// Back up the ledger, encrypted; verify and restore backups
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    /// Write and check evidence for an auditor's controls
    #[command(subcommand)]
    Evidence(audit::pack::EvidenceCommand),
    /// Watch the ledger grow, and cosign its checkpoints
    Witness(witness::WitnessArgs),
    /// Verify a tenant's trust chain, offline
    #[command(subcommand)]
    Trust(evidence::TrustCommand),
    /// Verify a decision, offline
    #[command(subcommand)]
    Certificate(evidence::CertificateCommand),
    /// Show regions, their lanes and load
    #[command(subcommand)]
    Region(region::RegionCommand),
    /// Show whether everything is in order
    Status,
}

/// `kcm demo`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: kcm demo --script kill-switch")]
pub struct DemoArgs {
    /// The folder that everything is written to
    #[arg(long, value_name = "DIR", default_value = "./kcm-demo")]
    pub dir: PathBuf,
    /// Use the AWS KMS endpoint at this address as a second customer's KMS
    #[arg(long, value_name = "URL")]
    pub aws: Option<String>,
    /// Play a story unattended, and exit 0 only if each step was observed
    #[arg(long, value_name = "STORY")]
    pub script: Option<Story>,
}

/// A story that the demo can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Story {
    KillSwitch,
}

/// `kcm run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: kcm run --node fra-1 topology.toml")]
pub struct RunArgs {
    /// The node of the topology that this process is
    #[arg(long, value_name = "NAME")]
    pub node: String,
    /// How log lines are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// The topology file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// What a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One object a line
    Json,
}

/// The commands that are the node itself, which the binary hands in.
#[derive(Clone, Copy)]
pub struct Start {
    pub demo: fn(&Global, DemoArgs) -> Result<Report, Failure>,
    pub run: fn(&Global, RunArgs) -> Result<Report, Failure>,
    pub check: fn(&topology::CheckArgs) -> Result<Report, Failure>,
}

/// Runs what the command line says and turns its end into an exit code.
pub fn execute(cli: Cli, start: Start) -> ExitCode {
    let screen = Screen::of(&cli.global);
    let exit = match perform(cli, start) {
        Ok(report) => {
            screen.report(&report);
            report.exit
        }
        Err(failure) => {
            screen.failure(&failure);
            failure.exit
        }
    };
    ExitCode::from(exit.code())
}

fn perform(cli: Cli, start: Start) -> Result<Report, Failure> {
    let global = &cli.global;
    if global.dry_run {
        dry::check(&cli.command)?;
    }
    match cli.command {
        Command::Demo(args) => (start.demo)(global, args),
        Command::Run(args) => (start.run)(global, args),
        Command::Topology(topology::TopologyCommand::Check(args)) => (start.check)(&args),
        Command::Topology(topology::TopologyCommand::Decide(command)) => block_on(topology::perform(global, command)),
        Command::SoftL1(command) => block_on(soft_l1::perform(global, command)),
        Command::Tenant(command) => block_on(tenant::perform(global, command)),
        Command::Key(command) => block_on(key::perform(global, command)),
        Command::L1(command) => l1::perform(command),
        Command::System(command) => block_on(system::perform(global, command)),
        Command::Caller(command) | Command::Kmip(kmip::KmipCommand::Client(command)) => {
            block_on(caller::perform(global, command))
        }
        Command::Kmip(kmip::KmipCommand::Ping(ping)) => block_on(kmip::ping(global, ping)),
        Command::Kmip(kmip::KmipCommand::Conf(conf)) => kmip::conf(global, conf),
        Command::Actor(command) => block_on(actor::perform(global, command)),
        Command::Quorum(command) => block_on(quorum::perform(global, command)),
        Command::Lease(command) => block_on(lease::perform(global, command)),
        Command::Residency(command) => block_on(residency::perform(global, command)),
        Command::Notify(command) => block_on(notify::perform(global, command)),
        Command::Policy(command) => block_on(policy::perform(global, command)),
        Command::Proposal(command) => block_on(proposal::perform(global, command)),
        Command::Revoke(command) => block_on(revoke::perform(global, command)),
        Command::Audit(command) => block_on(audit::perform(global, command)),
        Command::Evidence(command) => block_on(audit::pack::perform(global, command)),
        Command::Ledger(command) => ledgers::perform(command),
        Command::Backup(command) => backup::perform(command),
        Command::Witness(args) => block_on(witness::perform(global, args)),
        Command::Trust(command) => block_on(evidence::trust(global, command)),
        Command::Certificate(command) => evidence::certificate(global, command),
        Command::Region(command) => block_on(region::perform(global, command)),
        Command::Status => block_on(status::perform(global)),
    }
}

fn block_on(work: impl Future<Output = Result<Report, Failure>>) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| {
        Failure::new(Exit::NotHealthy, "the command could not start").because(e).fix("check the limit of open files")
    })?;
    runtime.block_on(work)
}

/// Free text that goes into a signed statement.
pub(crate) fn text(given: &str) -> Result<Text, Failure> {
    Text::new(given)
        .map_err(|e| Failure::usage("the text cannot be signed").because(e).fix("write plain text in one line"))
}

#[cfg(test)]
mod tests;
