//! `kcm revoke`: the kill switch, through governance or straight to the regions.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use orbital::{
    certificate::{ARMED_SECONDS_MAX, Certificate},
    change::{Action, FireUntil},
    vote::{Role, Vote},
};
use serde_json::{Value, json};

use super::{
    Global,
    compose::{self, Subject},
    context::{Context, Identity, Pins},
    duration,
    exit::{Exit, Failure, Report},
    files, halt, plain,
    screen::Screen,
    simulate, stop,
    table::Table,
    trust::TrustFile,
    watch, wire,
};
use crate::stop_listener::StopFile;

#[derive(Clone, Debug, Subcommand)]
pub enum RevokeCommand {
    /// Say what a revocation now would reach, and when; changes nothing
    #[command(after_help = "Example: kcm revoke simulate --tenant acme")]
    Simulate {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Propose the revocation; with its quorum, every region stops
    #[command(after_help = "Example: kcm --as carol revoke propose --tenant acme --reason drill")]
    Propose {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// Sign in advance: it stops nothing until one of its signers fires it, for so long from now at most (`kcm proposal fire`)
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        armed_until: Option<std::time::Duration>,
    },
    /// Follow the tenant's newest revocation until every region has answered
    #[command(after_help = "Example: kcm revoke watch --tenant acme --wait 30s")]
    Watch {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Sign a revocation as a file, without governance; the second person signs the same file
    #[command(after_help = "Example: kcm --as carol revoke sign --tenant-file acme.chain.json --out kill.json
         kcm --as dave revoke sign --out kill.json")]
    Sign {
        /// The tenant's trust chain, as `kcm tenant trust` wrote it; needed by the first signer
        #[arg(long, value_name = "FILE")]
        tenant_file: Option<PathBuf>,
        /// What the first signer stops: everything; the same, and clients are told; what protects anew; everything, and the keys are destroyed
        #[arg(long, value_enum, default_value = "kill")]
        stop: StopKind,
        /// The file that the stop is made in, or that the signature is added to
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Why; the first signer says it
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// Sign in advance: it stops nothing until one of its signers fires it, for so long from now at most; kills alone
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        armed_until: Option<std::time::Duration>,
    },
    /// Fire an armed revocation, as one of those who signed it
    #[command(after_help = "Example: kcm --as dave revoke fire armed.json --out kill.json")]
    Fire {
        /// The armed file, with all signatures
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The file that is fired and can be delivered
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Send a signed revocation straight to regions' stop listeners
    #[command(after_help = "Example: kcm revoke deliver kill.json --to fra-1.example:7443 --to zrh-1.example:7443")]
    Deliver {
        /// The file, with all signatures
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Stop listeners [default: those of the context]
        #[arg(long, value_name = "HOST:PORT")]
        to: Vec<String>,
    },
}

/// A stop that people sign without governance.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum StopKind {
    /// RevokeL1
    Kill,
    /// BlockTenant
    Block,
    /// SuspendL1
    Suspend,
    /// TerminateTenant
    Terminate,
}

impl From<StopKind> for Action {
    fn from(kind: StopKind) -> Self {
        match kind {
            StopKind::Kill => Self::RevokeL1 {},
            StopKind::Block => Self::BlockTenant {},
            StopKind::Suspend => Self::SuspendL1 {},
            StopKind::Terminate => Self::TerminateTenant {},
        }
    }
}

pub(crate) async fn perform(global: &Global, command: RevokeCommand) -> Result<Report, Failure> {
    match command {
        RevokeCommand::Simulate { tenant } => simulate::show(global, &tenant).await,
        RevokeCommand::Propose { tenant, reason, armed_until: None } => {
            halt::set(global, Action::RevokeL1 {}, &tenant, Vec::new(), &reason).await
        }
        RevokeCommand::Propose { tenant, reason, armed_until: Some(lasts) } => {
            halt::arm(global, &tenant, until(StopKind::Kill, lasts.as_secs())?, &reason).await
        }
        RevokeCommand::Watch { tenant } => follow(global, &tenant).await,
        RevokeCommand::Sign { tenant_file, stop, out, reason, armed_until } => match (tenant_file, out.exists()) {
            (_, true) if armed_until.is_some() => Err(Failure::usage("the stop is begun already")
                .at(out.display())
                .because("its first signer said whether it is armed, and until when")
                .fix("leave --armed-until out, or begin another file")),
            (_, true) => second(global, &out),
            (Some(chain), false) => first(global, &chain, (stop, armed_until), &out, &reason),
            (None, false) => Err(Failure::usage("there is nothing to sign yet")
                .at(out.display())
                .because("the file does not exist, and the first signer makes it from the tenant's trust chain")
                .fix("add --tenant-file FILE, which `kcm tenant trust` writes")),
        },
        RevokeCommand::Fire { file, out } => fire(global, &file, &out),
        RevokeCommand::Deliver { file, to } => deliver(global, &file, to).await,
    }
}

async fn follow(global: &Global, tenant: &str) -> Result<Report, Failure> {
    let subject = Subject::of(global, tenant).await?;
    let path = format!("/v1/proposals?tenant={}&kind=RevokeL1&limit=1", subject.tenant.id);
    let page: Value = subject.portal.get(&path).await?;
    let newest: Option<wire::Proposal> = match page.pointer("/items/0") {
        Some(item) => Some(subject.portal.read(&path, item.clone())?),
        None => None,
    };
    let newest = newest.ok_or_else(|| {
        Failure::usage(format!("no revocation of tenant {tenant} was proposed"))
            .because("stops that were handed to regions are no proposals; `kcm status` and `kcm key list` show them")
            .fix("propose one with `kcm revoke propose`")
    })?;
    watch::until_ended(Screen::of(global), &subject, &newest.id, global.wait).await
}

/// Begins a stop: change and proposal, by the first person.
fn first(
    global: &Global,
    chain: &Path,
    (kind, armed): (StopKind, Option<std::time::Duration>),
    out: &Path,
    reason: &str,
) -> Result<Report, Failure> {
    let armed = armed.map(|lasts| until(kind, lasts.as_secs())).transpose()?;
    let file: TrustFile = files::read_json("trust chain", chain)?;
    pinned(global, file.tenant)?;
    let chain = file.verify(None)?;
    let identity = Identity::of(global)?;
    // A stop's epoch decides nothing (PROTOCOL §4), and without governance nobody can say the present one.
    let change = compose::change(&chain, 0, kind.into(), None, reason, None)?;
    let change = match armed {
        None => change,
        Some(until) => compose::armed(&change, until)?,
    };
    let proposal = compose::sign_proposal(Screen::of(global), &identity, &chain, &change, &[])?;
    let certificate = Certificate { change, proposal, approvals: Vec::new(), confirmations: Vec::new() };
    let stop = StopFile { genesis: file.genesis, links: file.links, certificate };
    files::write_json("stop", out, &stop, false)?;
    signed(&stop, out)
}

/// When a stop that is armed now is over.
fn until(kind: StopKind, lasts: u64) -> Result<FireUntil, Failure> {
    let usage = |why: String, fix| Err(Failure::usage("this stop cannot be armed").because(why).fix(fix));
    match (kind, lasts) {
        (StopKind::Kill, 1..=ARMED_SECONDS_MAX) => Ok(FireUntil(compose::now().saturating_add(lasts))),
        (StopKind::Kill, _) => {
            usage(format!("it lasts for 1 to {ARMED_SECONDS_MAX} s (400 days)"), "name another duration, such as 720h")
        }
        (..) => usage("kills alone are signed in advance".to_owned(), "leave --armed-until or --stop out"),
    }
}

/// Adds the fire of one of the signers: a signature and a nonce of their own, made now.
fn fire(global: &Global, path: &Path, out: &Path) -> Result<Report, Failure> {
    let mut stop: StopFile = files::read_json("stop", path)?;
    let now = compose::now();
    let checked = stop::check(&stop, now).map_err(|f| f.at(path.display()))?;
    pinned(global, checked.chain.tenant())?;
    checked.check_date(now).map_err(|f| f.at(path.display()))?;
    if !checked.unfired {
        let why = match (&checked.open, checked.armed()) {
            (_, None) => "it is not armed: it needs no fire",
            (Some(_), _) => "signatures are missing: it is signed before it is fired",
            (None, _) => "it was fired already: deliver it",
        };
        return Err(Failure::denied("there is nothing to fire").at(path.display()).because(why));
    }
    let identity = Identity::of(global)?;
    let approvals = stop.certificate.approvals.iter().filter_map(|signed| Vote::read(Role::Approve, signed).ok());
    if !approvals.chain([checked.proposed.clone()]).any(|vote| vote.person == identity.person) {
        return Err(Failure::denied(format!("{} did not sign this stop", identity.person))
            .at(path.display())
            .because("an armed stop is fired by one of those who signed it")
            .fix("let one of them fire it: --as PERSON"));
    }
    let trust = checked.chain.current();
    let signer = identity.signer(trust)?;
    let mut sentences = plain::change(&checked.change, checked.digest, trust);
    sentences.push(plain::vote(Role::Fire, &identity.person, checked.proposed.expires));
    Screen::of(global).agree(&sentences)?;
    let vote = Vote::answer(Role::Fire, &stop.certificate.proposal, &signer).map_err(compose::unsignable)?;
    stop.certificate.confirmations.push(vote);
    stop::check(&stop, now).map_err(|f| f.at(path.display()))?;
    files::write_json("stop", out, &stop, false)?;
    signed(&stop, out)
}

/// Adds the signature of another person.
fn second(global: &Global, out: &Path) -> Result<Report, Failure> {
    let mut stop: StopFile = files::read_json("stop", out)?;
    let checked = stop::check(&stop, compose::now()).map_err(|f| f.at(out.display()))?;
    pinned(global, checked.chain.tenant())?;
    checked.check_date(compose::now()).map_err(|f| f.at(out.display()))?;
    let identity = Identity::of(global)?;
    let trust = checked.chain.current();
    let by_proposer = identity.person == checked.proposed.person;
    let confirms = by_proposer && trust.rule(checked.change.kind()).is_ok_and(|rule| rule.confirm);
    if by_proposer && !confirms {
        return Err(Failure::denied(format!("{} has signed this stop already, as its proposer", identity.person))
            .at(out.display())
            .because("a stop needs the signatures of two persons")
            .fix("let another person sign it: --as PERSON"));
    }
    let role = if confirms { Role::Confirm } else { Role::Approve };
    let signer = identity.signer(trust)?;
    let mut sentences = plain::change(&checked.change, checked.digest, trust);
    sentences.push(format!("Proposed by {}.", checked.proposed.person));
    sentences.push(plain::vote(role, &identity.person, checked.proposed.expires));
    Screen::of(global).agree(&sentences)?;
    let vote = Vote::answer(role, &stop.certificate.proposal, &signer).map_err(compose::unsignable)?;
    if confirms {
        stop.certificate.confirmations = vec![vote];
    } else {
        stop.certificate.approvals.push(vote);
    }
    stop::check(&stop, compose::now()).map_err(|f| f.at(out.display()))?;
    files::write_json("stop", out, &stop, true)?;
    signed(&stop, out)
}

/// Where tenants are pinned, a file about another tenant under a known name is what it looks like: a trap.
pub(crate) fn pinned(global: &Global, tenant: orbital::names::TenantId) -> Result<(), Failure> {
    if !Pins::read(global)?.all().values().any(|pinned| *pinned == tenant) {
        Screen::of(global).note(&format!("note: tenant {tenant} is not pinned here; compare this id before you sign"));
    }
    Ok(())
}

fn signed(stop: &StopFile, out: &Path) -> Result<Report, Failure> {
    let checked = stop::check(stop, compose::now())?;
    let next = match &checked.open {
        None => format!("It is complete. Next: kcm revoke deliver {} --to HOST:PORT", out.display()),
        Some(_) if checked.unfired => {
            let (armed, out) = (plain::armed(checked.armed().unwrap_or_default()), out.display());
            format!("All have signed. {armed} Then: kcm --as PERSON revoke fire {out} --out FILE")
        }
        Some(open) => format!("Still open: {open}. Next: kcm --as PERSON revoke sign --out {}", out.display()),
    };
    let mut json =
        json!({ "file": out, "change": checked.digest, "complete": checked.open.is_none(), "open": checked.open });
    if let (Some(until), Some(members)) = (checked.armed(), json.as_object_mut()) {
        members.insert("armed_until".to_owned(), until.into());
        members.insert("fired".to_owned(), checked.open.is_none().into());
    }
    let exit = if checked.open.is_none() || checked.unfired { Exit::Done } else { Exit::Waits };
    Ok(Report::new(json, format!("Stop {} is in {}.\n{next}", checked.digest, out.display())).ending(exit))
}

async fn deliver(global: &Global, path: &Path, to: Vec<String>) -> Result<Report, Failure> {
    let stop: StopFile = files::read_json("stop", path)?;
    let checked = stop::check(&stop, compose::now()).map_err(|f| f.at(path.display()))?;
    if checked.unfired {
        return Err(Failure::denied("the stop is armed and was not fired")
            .at(path.display())
            .because(plain::armed(checked.armed().unwrap_or_default()))
            .fix(format!("fire it: kcm --as PERSON revoke fire {} --out FILE", path.display())));
    }
    if let Some(open) = &checked.open {
        return Err(Failure::denied("the stop is not complete")
            .at(path.display())
            .because(open)
            .fix(format!("let another person sign: kcm --as PERSON revoke sign --out {}", path.display())));
    }
    let listeners = listeners(global, to)?;
    let sent = listeners.iter().map(|to| stop::deliver(&stop, to));
    let answers = futures::future::join_all(sent).await;
    let mut table = Table::new(&["to", "region", "outcome", "in region", "proof"]);
    let (mut json, mut worst, mut failures) = (Vec::new(), Exit::Done, Vec::new());
    for (to, answer) in listeners.iter().zip(answers) {
        match answer {
            Ok(done) => {
                let took = wire::ms(Some(done.ack.took_us));
                table.row([to.clone(), done.ack.region.to_string(), "applied".into(), took, "signed".into()]);
                json.push(serde_json::to_value(&done).unwrap_or_default());
            }
            Err(failure) => {
                table.row([to.as_str(), "-", "NOT STOPPED", "-", "-"]);
                // A refusal says more than a silence.
                worst = if worst == Exit::Denied { worst } else { failure.exit };
                json.push(json!({ "to": to, "error": failure }));
                failures.push(failure.to_string());
            }
        }
    }
    let text = std::iter::once(table.render()).chain(failures).collect::<Vec<_>>().join("\n");
    Ok(Report::new(json!({ "change": checked.digest, "answers": json }), text).ending(worst))
}

pub(crate) fn listeners(global: &Global, given: Vec<String>) -> Result<Vec<String>, Failure> {
    if !given.is_empty() {
        return Ok(given);
    }
    let regions = Context::read(global)?.map(|c| c.file.regions).unwrap_or_default();
    let known: Vec<_> = regions.into_iter().filter_map(|r| r.stop).map(|stop| stop.address).collect();
    if known.is_empty() {
        return Err(Failure::usage("no stop listener is named")
            .because("the context names none either")
            .fix("add --to HOST:PORT, once a region"));
    }
    Ok(known)
}
