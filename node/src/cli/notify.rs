//! `kcm notify`: who is told of what. A routing is a file, shown as one, and changed by a proposal; the channels are the operators'.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use orbital::{
    change::Action,
    names::{Channel, Digest, Group, Mailbox, Person},
    routing::{Occasion, Route, Routing},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Global,
    compose::{self, Subject, Wish},
    context::{Context, Pins},
    exit::{Exit, Failure, Report},
    files,
    http::Portal,
    plain,
    table::Table,
};

/// The word for every event.
const ALL: &str = "all";

#[derive(Clone, Debug, Subcommand)]
pub enum NotifyCommand {
    /// Show who is told of what, as a file to change, and the channels there are
    #[command(after_help = "Example: kcm notify show --tenant acme")]
    Show {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Propose another routing
    #[command(after_help = "Example: kcm --as alice notify set routing.toml --tenant acme")]
    Set {
        /// The routing, as `kcm notify show` writes it
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Tell a test over everything that a tenant is told over, or over one channel
    #[command(after_help = "Example: kcm notify test --tenant acme --channel ops")]
    Test {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Only this channel
        #[arg(long, value_name = "NAME")]
        channel: Option<Channel>,
    },
    /// List what was told and what was not, newest first
    #[command(after_help = "Example: kcm notify log --state failed")]
    Log {
        /// Only of this tenant: pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: Option<String>,
        /// Only over this channel
        #[arg(long, value_name = "NAME")]
        channel: Option<Channel>,
        /// Only in this state: waiting, delivered, failed or dropped
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// At most so many
        #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// Tell a notice again, under the same id
    #[command(after_help = "Example: kcm notify replay n3J0c...")]
    Replay {
        /// The notice's id, as `kcm notify log` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// A routing as people write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    route: Vec<Written>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    events: Vec<String>,
    channel: Channel,
    #[serde(default)]
    groups: BTreeSet<Group>,
    #[serde(default)]
    people: BTreeSet<Person>,
    #[serde(default)]
    to: BTreeSet<Mailbox>,
}

/// What the portal says of a routing.
#[derive(Debug, Deserialize)]
struct InForce {
    change: Option<Digest>,
    routing: Routing,
    channels: Vec<Way>,
}

#[derive(Debug, Deserialize)]
struct Way {
    name: Channel,
    kind: String,
    default: bool,
}

#[derive(Debug, Deserialize)]
struct Told {
    id: String,
    channel: Channel,
    to: Option<Mailbox>,
    state: String,
    created_ms: u64,
    attempts: u32,
    why: String,
    notice: Notice,
}

#[derive(Debug, Deserialize)]
struct Notice {
    name: String,
    title: String,
}

#[derive(Debug, Deserialize)]
struct Items {
    items: Vec<Told>,
}

pub(crate) async fn perform(global: &Global, command: NotifyCommand) -> Result<Report, Failure> {
    match command {
        NotifyCommand::Show { tenant } => show(global, &tenant).await,
        NotifyCommand::Set { file, tenant, reason } => set(global, &file, &tenant, &reason).await,
        NotifyCommand::Test { tenant, channel } => {
            let id = Pins::read(global)?.tenant(&tenant)?;
            let only = channel.map_or(String::new(), |channel| format!("?channel={channel}"));
            let path = format!("/v1/tenants/{id}/notices:test{only}");
            told(&portal(global)?, &path, "Told again and again until it is taken; `kcm notify log` says when.").await
        }
        NotifyCommand::Log { tenant, channel, state, limit } => {
            let mut path = format!("/v1/notices?limit={limit}");
            if let Some(tenant) = tenant {
                let _infallible = write!(path, "&tenant={}", Pins::read(global)?.tenant(&tenant)?);
            }
            for (name, value) in [("channel", channel.map(|c| c.to_string())), ("state", state)] {
                if let Some(value) = value {
                    let _infallible = write!(path, "&{name}={value}");
                }
            }
            let portal = portal(global)?;
            let body: Value = portal.get(&path).await?;
            let all: Items = portal.read(&path, body.clone())?;
            Ok(Report::new(body, listed(&all.items)))
        }
        NotifyCommand::Replay { id } => {
            let (portal, path) = (portal(global)?, format!("/v1/notices/{id}/replay"));
            let answer = portal.post(&path, &Value::Null).await?;
            let one: Told = portal.read(&path, answer.body.clone())?;
            Ok(Report::new(answer.body, listed(&[one])))
        }
    }
}

fn portal(global: &Global) -> Result<Portal, Failure> {
    Portal::of(&Context::need(global)?)
}

async fn told(portal: &Portal, path: &str, then: &str) -> Result<Report, Failure> {
    let answer = portal.post(path, &Value::Null).await?;
    let all: Items = portal.read(path, answer.body.clone())?;
    Ok(Report::new(answer.body, format!("{}\n{then}", listed(&all.items))))
}

fn listed(all: &[Told]) -> String {
    let mut table = Table::new(&["id", "when", "tenant", "what", "over", "state", "tries", "why"]);
    for one in all {
        let over = one.to.as_ref().map_or(one.channel.to_string(), |to| format!("{} to {to}", one.channel));
        let (name, title) = (one.notice.name.clone(), one.notice.title.clone());
        let when = plain::time_ms(one.created_ms);
        table.row([
            one.id.clone(),
            when,
            name,
            title,
            over,
            one.state.clone(),
            one.attempts.to_string(),
            one.why.clone(),
        ]);
    }
    table.render()
}

async fn in_force(portal: &Portal, tenant: &str) -> Result<(Value, InForce), Failure> {
    let path = format!("/v1/tenants/{tenant}/routing");
    let body: Value = portal.get(&path).await?;
    let read = portal.read(&path, body.clone())?;
    Ok((body, read))
}

async fn show(global: &Global, tenant: &str) -> Result<Report, Failure> {
    let id = Pins::read(global)?.tenant(tenant)?;
    let (body, now) = in_force(&portal(global)?, &id.to_string()).await?;
    Ok(Report::new(body, written(&now)))
}

/// The routing as a file, with what there is to choose from.
fn written(now: &InForce) -> String {
    let mut text = String::from("# Who is told of what. What no route takes goes to the default channel.\n# Channels:");
    for way in &now.channels {
        let default = if way.default { ", the default" } else { "" };
        let _infallible = write!(text, " {} ({}{default})", way.name, way.kind);
    }
    let events = Occasion::ALL.iter().map(|o| o.word()).collect::<Vec<_>>().join(" ");
    let _infallible =
        write!(text, "{}\n# Events: {ALL}, or of {events}\n", if now.channels.is_empty() { " none" } else { "" });
    now.routing.routes.iter().for_each(|route| text.push_str(&one(route)));
    text
}

fn one(route: &Route) -> String {
    fn list<T: std::fmt::Display>(items: &BTreeSet<T>) -> String {
        // Names and addresses need no escape: their alphabets have no quote.
        format!("[{}]", items.iter().map(|item| format!("\"{item}\"")).collect::<Vec<_>>().join(", "))
    }
    let mut text = format!("\n[[route]]\nevents = {}\nchannel = \"{}\"\n", list(&route.events), route.channel);
    let more = [("groups", list(&route.groups)), ("people", list(&route.people)), ("to", list(&route.to))];
    for (name, value) in more.into_iter().filter(|(_, value)| value != "[]") {
        let _infallible = writeln!(text, "{name} = {value}");
    }
    text
}

/// The routes in sentences, for whoever is about to sign them.
pub(crate) fn sentences(routing: &Routing) -> Vec<String> {
    fn list<T: std::fmt::Display>(items: &BTreeSet<T>) -> String {
        items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
    let mut lines = vec![
        "ROUTING: replaces who is told of what. What no route takes goes to the site's default channel.".to_owned(),
    ];
    if routing.routes.is_empty() {
        lines.push("It has no route.".to_owned());
    }
    for route in &routing.routes {
        let to = if route.to.is_empty() { String::new() } else { format!(" to {}", list(&route.to)) };
        let mut line = format!("  Over {}{to}: {}", route.channel, list(&route.events));
        if !route.groups.is_empty() || !route.people.is_empty() {
            let whom =
                [list(&route.groups), list(&route.people)].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>();
            let _infallible = write!(line, "; of what waits for signers, what waits for {}", whom.join(", "));
        }
        lines.push(line);
    }
    lines
}

async fn set(global: &Global, path: &Path, tenant: &str, reason: &str) -> Result<Report, Failure> {
    let routing = read(&files::read_text("routing", path)?, path)?;
    let subject = Subject::of(global, tenant).await?;
    let (_, now) = in_force(&subject.portal, &subject.tenant.id.to_string()).await?;
    if now.routing == routing {
        return Err(Failure::usage("nothing would change").because("this routing is in force already"));
    }
    let action = Action::ChangeRouting { routing, replaces: now.change };
    // It is governance's alone: no region is asked.
    compose::propose(global, &subject, Wish { action, regions: Some(BTreeSet::new()), reason }).await
}

fn read(text: &str, path: &Path) -> Result<Routing, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, "the routing does not read")
            .at(path.display())
            .because(why)
            .fix("begin with what `kcm notify show` writes")
    };
    let file: File = toml::from_str(text).map_err(|e| wrong(&e))?;
    let mut routes = Vec::new();
    for written in file.route {
        let events: Result<BTreeSet<Occasion>, String> = match written.events.as_slice() {
            [all] if all == ALL => Ok(Occasion::ALL.iter().copied().collect()),
            some => some.iter().map(|word| word.parse()).collect(),
        };
        let Written { channel, groups, people, to, .. } = written;
        routes.push(Route { events: events.map_err(|e| wrong(&e))?, groups, people, channel, to });
    }
    let routing = Routing { routes };
    routing.check().map_err(|e| wrong(&e))?;
    Ok(routing)
}

/// What the tests and the demo ask of a log.
#[cfg(test)]
pub(crate) fn count(report: &Report) -> usize {
    report.json["items"].as_array().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::house::House;

    #[test]
    fn what_is_shown_reads_back() {
        let route = |events: &[Occasion], to: &[&str]| Route {
            events: events.iter().copied().collect(),
            groups: [Group::new("Security_Ops").unwrap()].into(),
            people: [].into(),
            channel: Channel::new("mail").unwrap(),
            to: to.iter().map(|to| Mailbox::new(to).unwrap()).collect(),
        };
        let routing = Routing { routes: vec![route(&[Occasion::Approved], &["a@x"]), route(Occasion::ALL, &[])] };
        let shown = written(&InForce { change: None, routing: routing.clone(), channels: Vec::new() });
        assert_eq!(read(&shown, Path::new("x")).unwrap(), routing, "{shown}");
        let all = "[[route]]\nevents = [\"all\"]\nchannel = \"c\"";
        assert_eq!(read(all, Path::new("x")).unwrap().routes[0].events.len(), Occasion::ALL.len());
        for bad in [
            "[[route]]\nchannel = \"c\"",
            "[[route]]\nevents = [\"x\"]\nchannel = \"c\"",
            "[[route]]\nevents = []\nchannel = \"c\"",
            "x = 1",
        ] {
            assert_eq!(read(bad, Path::new("x")).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }

    #[test]
    fn a_routing_is_proposed_read_and_signed_and_then_shown() {
        let house = House::furnished();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routing.toml");
        let shown = house.kcm(&["notify", "show", "--tenant", "acme"]).unwrap().text;
        assert!(shown.contains("ops (webhook, the default)"), "{shown}");
        std::fs::write(&file, format!("{shown}\n[[route]]\nevents = [\"all\"]\nchannel = \"ops\"\n")).unwrap();
        let file = file.to_str().unwrap();
        let set = ["--as", "alice", "notify", "set", file, "--tenant", "acme"];
        let dry = house.kcm(&[&set[..], &["--dry-run"]].concat()).unwrap().text;
        assert!(dry.contains("Over ops: approval-waiting") && dry.contains("It reaches no region"), "{dry}");
        let proposed = house.kcm(&set).unwrap();
        let id = proposed.json["id"].as_str().unwrap();
        house.kcm(&["--as", "bob", "proposal", "approve", id, "--wait", "10s"]).unwrap();
        assert!(house.kcm(&["notify", "show", "--tenant", "acme"]).unwrap().text.contains("[[route]]"));
        assert!(house.kcm(&set).unwrap_err().what.contains("nothing would change"));
        let tested = house.kcm(&["notify", "test", "--tenant", "acme", "--channel", "ops"]).unwrap();
        assert_eq!(count(&tested), 1);
        let id = tested.json["items"][0]["id"].as_str().unwrap();
        assert!(house.kcm(&["notify", "log", "--tenant", "acme"]).unwrap().text.contains(id));
        assert_eq!(house.kcm(&["notify", "replay", id]).unwrap().json["id"], id);
        assert!(house.kcm(&["notify", "log", "--state", "asleep"]).is_err());
        assert_eq!(
            house.kcm(&["notify", "test", "--tenant", "acme", "--channel", "none"]).unwrap_err().exit,
            Exit::Denied
        );
    }
}
