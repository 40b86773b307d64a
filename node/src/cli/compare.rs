//! `kcm trust compare`: which trust version each region holds, by its own signed word, beside what governance and a file say (PROTOCOL §3).
//!
//! Governance is asked last and believed least: the regions are reached over their stop listeners. Whoever finds two digests of one version
//! has found a fork, or somebody who hides a version.

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use orbital::{
    chain::Chain,
    held::{Asked, Held},
    names::{Digest, Region},
};
use serde_json::{Value, json};

use super::{
    Global,
    context::{Context, Pins},
    exit::{Exit, Failure, Report},
    files,
    http::Portal,
    random, revoke,
    table::Table,
    trust::{self, TrustFile},
};
use crate::stop_listener;

#[derive(Clone, Debug, Args)]
#[command(after_help = "Example: kcm trust compare --tenant acme
         kcm trust compare --tenant acme --file acme.chain.json --to fra-1.example:7443")]
pub struct Compare {
    /// Pinned name, or id
    #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
    tenant: String,
    /// What `kcm tenant trust` wrote; governance need not be there then
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Stop listeners [default: those of the context]
    #[arg(long, value_name = "HOST:PORT")]
    to: Vec<String>,
}

/// How what somebody holds compares with the longest chain at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Same,
    /// An earlier version of the same chain: on its way, or cut off.
    Behind,
    /// Later than anything at hand: the chain at hand is old, or somebody keeps a version back.
    Ahead,
    /// Another version of this number.
    Differs,
    /// It has met two versions of one number itself.
    Frozen,
}

impl Finding {
    const fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Behind => "behind",
            Self::Ahead => "AHEAD",
            Self::Differs => "DIFFERS",
            Self::Frozen => "FROZEN",
        }
    }

    const fn exit(self) -> Exit {
        match self {
            Self::Same => Exit::Done,
            Self::Behind => Exit::Unconfirmed,
            Self::Ahead | Self::Differs | Self::Frozen => Exit::NotHealthy,
        }
    }
}

fn finding(chain: &Chain, version: u64, trust: Digest, frozen: bool) -> Finding {
    match chain.digest_of(version) {
        Some(ours) if ours != trust => Finding::Differs,
        _ if frozen => Finding::Frozen,
        None => Finding::Ahead,
        Some(_) if version == chain.version() => Finding::Same,
        Some(_) => Finding::Behind,
    }
}

/// What is found, and how badly it ends.
struct Findings {
    table: Table,
    json: Vec<Value>,
    exit: Exit,
    words: Vec<String>,
}

impl Findings {
    fn add(&mut self, chain: &Chain, who: &str, (version, trust): (u64, Digest), forked: &BTreeSet<Digest>) -> Finding {
        let found = finding(chain, version, trust, !forked.is_empty());
        self.table.row([who.to_owned(), version.to_string(), trust.to_string(), found.word().to_owned()]);
        if found == Finding::Differs
            && let Some(ours) = chain.digest_of(version)
        {
            self.words.push(format!("{who} holds {trust} as version {version}, others hold {ours}"));
        }
        let forked: Vec<_> = forked.iter().map(ToString::to_string).collect();
        if !forked.is_empty() {
            self.words.push(format!("{who} has met {} beside its own chain", forked.join(", ")));
        }
        self.ends(found.exit());
        self.json.push(
            json!({ "who": who, "version": version, "trust": trust, "finding": found.word().to_lowercase(), "forked": forked }),
        );
        found
    }

    fn silent(&mut self, who: &str, why: &str) {
        self.table.row([who, "-", "-", "NO ANSWER"]);
        self.words.push(format!("{who}: {why}"));
        self.json.push(json!({ "who": who, "finding": "no answer", "why": why }));
        self.ends(Exit::Unconfirmed);
    }

    /// The worst counts: what differs, then what is not known.
    fn ends(&mut self, exit: Exit) {
        if exit.code() > self.exit.code() {
            self.exit = exit;
        }
    }
}

pub(crate) async fn perform(global: &Global, asked: Compare) -> Result<Report, Failure> {
    let tenant = Pins::read(global)?.tenant(&asked.tenant)?;
    let to = revoke::listeners(global, asked.to)?;
    let file: Option<Chain> = match &asked.file {
        Some(path) => {
            let read: TrustFile = files::read_json("trust chain", path)?;
            Some(read.verify(Some(tenant)).map_err(|failure| failure.at(path.display()))?)
        }
        None => None,
    };
    let governance = match Context::read(global)? {
        Some(context) if context.file.portal.is_some() => {
            trust::fetch(&Portal::of(&context)?, tenant).await.map(|(_, c)| c)
        }
        _ => Err(Failure::usage("the context names no portal")),
    };
    let (file, governance) = (
        file,
        match (governance, &asked.file) {
            // Nothing to verify the regions' words with.
            (Err(why), None) => {
                return Err(why.fix("give the tenant's chain with --file, if governance is not to be had"));
            }
            (governance, _) => governance,
        },
    );
    let chains = file.iter().chain(governance.as_ref().ok());
    let Some(chain) = chains.clone().max_by_key(|chain| chain.version()).cloned() else {
        return Err(Failure::usage("there is no trust chain to compare with").fix("give --file"));
    };
    let table = Table::new(&["who", "version", "trust", "finding"]);
    let mut found = Findings { table, json: Vec::new(), exit: Exit::Done, words: Vec::new() };
    if let Some(file) = &file {
        found.add(&chain, "file", (file.version(), file.digest()), &BTreeSet::new());
    }
    match &governance {
        Ok(held) => _ = found.add(&chain, "governance", (held.version(), held.digest()), &BTreeSet::new()),
        Err(why) => found.silent("governance", &why.to_string()),
    }
    let questions = to.iter().map(|address| one(address, tenant, &chain));
    let answers = futures::future::join_all(questions).await;
    let mut heard: BTreeSet<Region> = BTreeSet::new();
    for (address, answer) in to.iter().zip(answers) {
        match answer {
            Ok(held) => {
                _ = found.add(&chain, held.region.as_str(), (held.version, held.trust), &held.forked);
                heard.insert(held.region);
            }
            Err(why) => found.silent(address, &why),
        }
    }
    // "All regions": one that nobody asked is not as the others.
    for region in chain.current().regions.keys().filter(|region| !heard.contains(*region)) {
        found.silent(region.as_str(), "it has not answered: name its stop listener with --to");
    }
    Ok(said(found))
}

async fn one(address: &str, tenant: orbital::names::TenantId, chain: &Chain) -> Result<Held, String> {
    let nonce = random::nonce().map_err(|why| why.to_string())?;
    stop_listener::ask(address, &Asked { tenant, nonce }, chain).await.map(|(held, _)| held)
}

fn said(found: Findings) -> Report {
    let Findings { table, json, exit, words } = found;
    let last = match exit {
        Exit::Done => "All hold the same trust version.".to_owned(),
        Exit::NotHealthy => format!(
            "NOT THE SAME: {}. Sign nothing; find out with the others which is the tenant's, then `kcm trust settle`.",
            if words.is_empty() { "some hold a later version than is known here".to_owned() } else { words.join("; ") }
        ),
        _ if words.is_empty() => "No two differ, and some are behind.".to_owned(),
        _ => format!("No two that answered differ. {}.", words.join("; ")),
    };
    Report::new(json!({ "items": json }), format!("{}\n{last}", table.render())).ending(exit)
}

#[cfg(test)]
mod tests {
    use orbital::{change::Action, names::System, testing::World};

    use super::*;

    #[test]
    fn each_finding_has_its_word_and_its_end() {
        let mut world = World::new();
        let genesis = world.chain().digest();
        let system = System::new("one").unwrap();
        let next = world.next(|root| _ = root.systems.insert(system.clone()));
        let link = world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]);
        world.extend(&link);
        let (chain, other) = (world.chain(), Digest([7; 32]));
        for (version, trust, frozen, expected) in [
            (2, chain.digest(), false, Finding::Same),
            (1, genesis, false, Finding::Behind),
            (1, other, false, Finding::Differs),
            (2, other, true, Finding::Differs),
            (3, other, false, Finding::Ahead),
            (2, chain.digest(), true, Finding::Frozen),
        ] {
            let found = finding(chain, version, trust, frozen);
            assert_eq!(found, expected);
            assert_eq!(found.exit() == Exit::Done, expected == Finding::Same);
        }
    }
}
