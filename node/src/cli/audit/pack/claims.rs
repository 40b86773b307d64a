//! What a pack claims: sentences that follow from the facts, each with the files that show it. A pure function, so that whoever checks a
//! pack draws the same conclusions and compares.

use std::collections::BTreeMap;

use orbital::{change::Action, delegation::Delegation, names::Region};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::super::plain,
    controls::Topic,
    facts::{Decision, Facts, Forked, Version, Waiting},
};

/// One sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    pub(super) topic: Topic,
    pub(super) says: String,
    /// Whether the files prove what one wants to hear; what they do not prove is claimed as that.
    pub(super) proved: bool,
    /// Entries by their sequence, in `entries.jsonl`.
    pub(super) entries: Vec<u64>,
    pub(super) files: Vec<String>,
}

/// From and to, Unix milliseconds.
pub(super) type Span = (Option<u64>, Option<u64>);

fn within((from, to): Span, at_ms: u64) -> bool {
    from.is_none_or(|from| at_ms >= from) && to.is_none_or(|to| at_ms < to)
}

pub(super) fn claims(facts: &Facts, topics: &[Topic], span: Span) -> Vec<Claim> {
    let decisions: Vec<&Decision> = facts.decisions.iter().filter(|decision| within(span, decision.at_ms)).collect();
    let of = |topic: &Topic| match topic {
        Topic::FourEyes => four_eyes(facts, span, &decisions),
        Topic::KillSwitch => kill_switch(&decisions),
        Topic::AccessReview => stood(facts, span).map(|(version, until)| access(version, until)).collect(),
        Topic::Residency => residency(facts, span, &decisions),
    };
    topics.iter().flat_map(of).collect()
}

fn four_eyes(facts: &Facts, span: Span, decisions: &[&Decision]) -> Vec<Claim> {
    let nothing = "Nothing was decided in this time.";
    let claim = |decision: &&Decision| {
        let by: Vec<&str> = decision.approvers.iter().map(AsRef::as_ref).collect();
        let (proved, how) = match by.is_empty() {
            true => (false, "and nobody besides the proposer signed".to_owned()),
            false => (true, format!("and {} approved, who did not propose", by.join(", "))),
        };
        let says = format!(
            "{} {} ({}): {} proposed {how}; the rule of trust version {} then: {}",
            decision.kind,
            decision.name,
            plain::time_ms(decision.at_ms),
            decision.proposer,
            decision.under,
            decision.rule
        );
        let files = vec![decision.path(), "trust.json".to_owned()];
        Claim { topic: Topic::FourEyes, says, proved, entries: decision.entries.clone(), files }
    };
    let recovered = facts.versions.iter().filter(|version| within(span, version.since_ms));
    let recovered = recovered.filter_map(recovery);
    let waiting = facts.waiting.iter().filter(|waiting| within(span, waiting.at_ms)).map(|it| waiting_claim(facts, it));
    let forks = facts.forks.iter().filter(|forked| within(span, forked.at_ms)).map(|it| fork_claim(facts, it));
    let all = decisions.iter().map(claim).chain(waiting).chain(recovered).chain(forks);
    or_nothing(all.collect(), Topic::FourEyes, nothing)
}

/// Cold keys signed, and what came of it.
fn waiting_claim(facts: &Facts, waiting: &Waiting) -> Claim {
    let Waiting { next, digest, keys, at_ms, entry } = waiting;
    let there = facts.versions.iter().find(|version| version.root().version == *next);
    let in_force = there.map(|version| version.root().digest().is_ok_and(|stands| stands == *digest));
    let came = match in_force {
        Some(true) => "it came into force",
        Some(false) => "people of its rules made another version first, which cancelled it",
        None => "up to the newest version of this pack it was neither in force nor cancelled",
    };
    let says = format!(
        "The recovery keys {} signed a trust version {next} ({}): {came}",
        listed(keys.iter().map(ToString::to_string)),
        plain::time_ms(*at_ms)
    );
    let files = vec!["trust.json".to_owned()];
    Claim { topic: Topic::FourEyes, says, proved: in_force.is_some(), entries: vec![*entry], files }
}

/// A quorum signed two successors of one version: never what one wants to hear.
fn fork_claim(facts: &Facts, forked: &Forked) -> Claim {
    let Forked { fork, region, at_ms, entry } = forked;
    let settled = facts.versions.iter().find(|version| version.root().void.contains(&fork.other()));
    let settled = settled.map_or_else(
        || "nothing in this pack settles it".to_owned(),
        |by| format!("trust version {} ({}) declares it void", by.root().version, plain::time_ms(by.since_ms)),
    );
    let says = format!(
        "Trust version {} was certified a second time, as {}, which {region} met ({}): its signers signed both, or their keys were used. The \
         tenant was frozen but for stops; {settled}",
        fork.version(),
        fork.other(),
        plain::time_ms(*at_ms)
    );
    Claim { topic: Topic::FourEyes, says, proved: false, entries: vec![*entry], files: vec!["trust.json".to_owned()] }
}

/// A version that no people decided.
fn recovery(version: &Version) -> Option<Claim> {
    let keys = &version.recovered_by;
    if keys.is_empty() {
        return None;
    }
    let says = format!(
        "Trust version {} ({}) was made by the recovery keys {}, which the version before names for that, and not by the people of its rules",
        version.root().version,
        plain::time_ms(version.since_ms),
        listed(keys.iter().map(ToString::to_string))
    );
    let files = vec!["trust.json".to_owned()];
    Some(Claim { topic: Topic::FourEyes, says, proved: keys.len() > 1, entries: vec![version.entry], files })
}

/// Stops: whether each region that they reach has signed that it executed them.
fn kill_switch(decisions: &[&Decision]) -> Vec<Claim> {
    let stops = decisions.iter().filter(|decision| decision.kind.is_stop());
    let claim = |decision: &&Decision| {
        let mut says = format!("{} {} was decided ({})", decision.kind, decision.name, plain::time_ms(decision.at_ms));
        says += decision.aside.unwrap_or_default();
        executed(Topic::KillSwitch, decision, says)
    };
    or_nothing(stops.map(claim).collect(), Topic::KillSwitch, "The kill switch was not exercised in this time.")
}

/// A decision, and which of the regions that it reaches have signed that they executed it. Proved once all have.
fn executed(topic: Topic, decision: &Decision, mut says: String) -> Claim {
    let done = |region: &&Region| decision.answers.get(*region).is_some_and(|answer| answer.applied);
    let (done, open): (Vec<&Region>, Vec<&Region>) = decision.regions.iter().partition(done);
    let each = |region: &&Region| {
        let at = decision.answers.get(*region).map(|answer| plain::time_ms(answer.at_ms));
        format!("{region} at {}", at.unwrap_or_default())
    };
    says += &format!(", and signed as executed by {}", listed(done.iter().map(each)));
    if !open.is_empty() {
        says += &format!("; no signed answer of {}", listed(open.iter().map(ToString::to_string)));
    }
    let answers = decision.answers.values().map(|answer| answer.entry);
    let entries = decision.entries.iter().copied().chain(answers).collect();
    Claim { topic, says, proved: open.is_empty(), entries, files: vec![decision.path()] }
}

/// Versions that stood in the time, each with when the next one took its place.
fn stood(facts: &Facts, (from, to): Span) -> impl Iterator<Item = (&Version, Option<u64>)> {
    let nexts = facts.versions.iter().skip(1).map(|next| Some(next.since_ms)).chain([None]);
    facts.versions.iter().zip(nexts).filter(move |(version, until)| {
        to.is_none_or(|to| version.since_ms < to) && from.is_none_or(|from| until.is_none_or(|until| until > from))
    })
}

fn access(version: &Version, until: Option<u64>) -> Claim {
    let root = version.root();
    let people = root.actors.iter().map(|(person, actor)| {
        let groups: Vec<String> = actor.groups.iter().map(ToString::to_string).collect();
        format!("{person} ({})", groups.join(", "))
    });
    let mut says = format!("Trust version {}, {}: {} could sign", root.version, time(version, until), listed(people));
    for Delegation { from, to, groups, since, until } in &root.delegations {
        let (since, until) = (plain::time(*since), plain::time(*until));
        says += &format!(
            "; in {from}'s place {to} ({}) from {since} to {until}",
            listed(groups.iter().map(ToString::to_string))
        );
    }
    let files = vec!["access.json".to_owned(), "trust.json".to_owned()];
    Claim { topic: Topic::AccessReview, says, proved: true, entries: vec![version.entry], files }
}

fn residency(facts: &Facts, span: Span, decisions: &[&Decision]) -> Vec<Claim> {
    let version = |(version, until): (&Version, Option<u64>)| {
        let root = version.root();
        let places = listed(root.residency.iter().map(ToString::to_string));
        let regions = root.regions.iter().map(|(name, region)| format!("{name} ({})", region.jurisdiction));
        let kept = root.regions.values().all(|region| root.residency.contains(&region.jurisdiction));
        let says = format!(
            "Trust version {}, {}: keys only in {places}; the regions were {}",
            root.version,
            time(version, until),
            listed(regions)
        );
        let files = vec!["residency.json".to_owned(), "trust.json".to_owned()];
        Claim { topic: Topic::Residency, says, proved: kept, entries: vec![version.entry], files }
    };
    let link = |decision: &&Decision| {
        let Action::LinkL1 { l1 } = &decision.action else { return None };
        let says = format!(
            "LinkL1 {} was decided ({}): the tenant's keys are wrapped by {} at {}",
            decision.name,
            plain::time_ms(decision.at_ms),
            l1.key,
            l1.provider
        );
        Some(executed(Topic::Residency, decision, says))
    };
    stood(facts, span).map(version).chain(decisions.iter().filter_map(link)).collect()
}

fn time(version: &Version, until: Option<u64>) -> String {
    let since = plain::time_ms(version.since_ms);
    until.map_or_else(
        || format!("from {since} on, the newest of this pack"),
        |until| format!("from {since} to {}", plain::time_ms(until)),
    )
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "nobody".to_owned() } else { items.join(", ") }
}

fn or_nothing(claims: Vec<Claim>, topic: Topic, nothing: &str) -> Vec<Claim> {
    if !claims.is_empty() {
        return claims;
    }
    vec![Claim { topic, says: nothing.to_owned(), proved: false, entries: Vec::new(), files: Vec::new() }]
}

/// Who could sign what, version by version.
pub(super) fn access_lists(facts: &Facts) -> Value {
    let list = |(version, until): (&Version, Option<u64>)| {
        let root = version.root();
        let people: BTreeMap<_, _> = root.actors.iter().map(|(person, actor)| (person, &actor.groups)).collect();
        let rules: BTreeMap<String, Value> = root
            .rules
            .iter()
            .map(|(kind, rule)| {
                let who: Vec<_> =
                    root.actors.iter().filter(|(_, actor)| rule.asks(actor)).map(|(who, _)| who).collect();
                (kind.to_string(), json!({ "rule": rule, "people": who }))
            })
            .collect();
        json!({ "version": root.version, "entry": version.entry, "from_ms": version.since_ms, "to_ms": until, "people": people,
            "delegations": root.delegations, "recovered_by": version.recovered_by, "may_sign": rules })
    };
    stood(facts, (None, None)).map(list).collect()
}

/// Where keys may lie, version by version, and which of the customer's keys wrapped them.
pub(super) fn residency_lists(facts: &Facts) -> Value {
    let version = |(version, until): (&Version, Option<u64>)| {
        let regions = version.root().regions.iter().map(|(name, region)| (name.to_string(), &region.jurisdiction));
        json!({ "version": version.root().version, "entry": version.entry, "from_ms": version.since_ms, "to_ms": until,
            "jurisdictions": version.root().residency, "regions": regions.collect::<BTreeMap<_, _>>() })
    };
    let links = facts.decisions.iter().filter_map(|decision| match &decision.action {
        Action::LinkL1 { l1 } => Some(json!({ "proposal": decision.name, "at_ms": decision.at_ms, "l1": l1 })),
        _ => None,
    });
    json!({ "versions": stood(facts, (None, None)).map(version).collect::<Vec<_>>(), "links": links.collect::<Vec<_>>() })
}
