//! A proposal for people: verified here, then told in plain sentences. What the portal says about signatures is not taken on trust.

use orbital::{
    chain::Chain,
    change::{Action, Change},
    report::{Outcome, SyncAck},
    sign::Kind,
    vote::{Role, Vote},
};
use serde_json::Value;

use super::{exit::Failure, plain, simulate, table::Table, wire};

/// A proposal whose bytes, digest and proposer's signature were checked.
pub(crate) struct Checked {
    pub(crate) change: Change,
    pub(crate) proposed: Vote,
}

/// Checks that the change shown is the one proposed, for this tenant, under this chain, by a person of it.
pub(crate) fn check(proposal: &wire::Proposal, chain: &Chain) -> Result<Checked, Failure> {
    let refuse = |why: &dyn std::fmt::Display| {
        Failure::denied(format!("proposal {} is not what it says", proposal.id))
            .because(why)
            .fix("do not sign it; tell the proposer and the operator, and keep `kcm proposal show -o json` as evidence")
    };
    let change = Change::from_bytes(&proposal.change_bytes).map_err(|e| refuse(&e))?;
    let proposed = Vote::read(Role::Propose, &proposal.proposal).map_err(|e| refuse(&e))?;
    if Change::digest_of(&proposal.change_bytes) != proposal.digest {
        return Err(refuse(&"the bytes of the change do not give the digest shown"));
    }
    if change.evidence != proposal.evidence.as_ref().map(|text| Kind::Evidence.digest(text.as_bytes())) {
        return Err(refuse(&"what the proposer was shown besides is not what the change names by its digest"));
    }
    if !plain::matches(&proposed, &change, &proposal.change_bytes) {
        return Err(refuse(&"the proposer signed another change than the one shown"));
    }
    if change.tenant != chain.tenant() || proposal.tenant != chain.tenant() {
        return Err(refuse(&"it is for another tenant"));
    }
    if chain.digest_of(proposed.trust_version) != Some(proposed.trust) {
        return Err(refuse(&"it was made under a trust root that is not in the verified chain"));
    }
    let key = proposed.key_in(chain.current()).ok_or_else(|| {
        refuse(&format!("{} or their key is not in trust version {}", proposed.person, chain.version()))
    })?;
    key.verify(Role::Propose, &proposal.proposal).map_err(|e| refuse(&e))?;
    if let Action::ChangePolicy { bundle, .. } = &change.action {
        // Policies that cannot be read here cannot be read before they are signed.
        policy::Bundle::parse_canonical(bundle).map_err(|e| refuse(&e))?;
    }
    Ok(Checked { change, proposed })
}

/// What the proposer was shown besides: a simulation as a table, anything else as it stands.
pub(crate) fn evidence(text: &str) -> String {
    let simulation = serde_json::from_str(text).ok().filter(|body: &Value| body.get("regions").is_some());
    let shown = simulation.map_or_else(|| text.escape_debug().to_string(), |body| simulate::lines(&body).join("\n"));
    format!("Shown to the proposer, and signed with the change:\n{shown}")
}

/// The proposal in full.
pub(crate) fn full(proposal: &wire::Proposal, chain: &Chain) -> String {
    let mut lines = vec![summary(proposal)];
    match check(proposal, chain) {
        Ok(checked) => {
            let mut sentences = plain::change(&checked.change, proposal.digest, chain.current());
            sentences.extend(proposal.evidence.as_deref().map(evidence));
            lines.push(format!("Verified here against the tenant's chain:\n  {}", sentences.join("\n  ")));
        }
        Err(failure) => lines.push(format!("NOT VERIFIED: {}", failure.why)),
    }
    if !proposal.risk.is_empty() {
        lines.push(format!("Risk: {}", proposal.risk));
    }
    lines.push(people(proposal));
    if !proposal.notes.is_empty() {
        lines.push(notes(proposal));
    }
    if let Some(quorum) = &proposal.quorum {
        lines.extend(quorum.lines());
    }
    if !proposal.probes.is_empty() {
        lines.push(probes(proposal));
    }
    if !proposal.regions.is_empty() {
        lines.push(regions(proposal, chain));
    }
    lines.join("\n")
}

/// The proposal in a line or two.
pub(crate) fn summary(proposal: &wire::Proposal) -> String {
    let why = proposal.why.as_ref().map(|w| format!(": {w}")).unwrap_or_default();
    let mut text = format!("Proposal {} ({}) is {}{why}.", proposal.id, proposal.kind, proposal.state);
    if !proposal.missing.is_empty() && !proposal.ended() {
        let missing = proposal.missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let may = proposal.may_sign.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("\nMissing: {missing}. May sign: {}.", if may.is_empty() { "nobody" } else { &may }));
    }
    if let Some(armed) = proposal.armed.as_ref().filter(|armed| armed.fired.is_none() && !proposal.ended()) {
        text.push_str(&unfired(armed, &proposal.id));
    }
    if proposal.needs_confirmation {
        text.push_str(&format!("\n{} still has to confirm.", proposal.proposer));
    }
    text
}

/// What an armed stop waits for, a line each.
fn unfired(armed: &wire::Armed, id: &str) -> String {
    let mut text = format!("\n{}", plain::armed(armed.until));
    let may = armed.may_fire.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if !may.is_empty() {
        text.push_str(&format!("\nMay fire: {may}. With: kcm --as PERSON proposal fire {id}"));
    }
    if let Some(lacks) = &armed.lacks {
        text.push_str(&format!("\nIT WOULD STOP NOBODY as things are: {lacks}"));
    }
    if !armed.misses.is_empty() {
        let misses = armed.misses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("\nIt does not reach {misses}, which the tenant took in later: arm a new one."));
    }
    text
}

/// What people said about it, by the portal's word: no note is signed.
pub(crate) fn notes(proposal: &wire::Proposal) -> String {
    let mut table = Table::new(&["noted by", "at", "text"]);
    for note in &proposal.notes {
        table.row([note.by.clone(), plain::time_ms(note.at_ms), note.text.as_str().to_owned()]);
    }
    table.render()
}

fn people(proposal: &wire::Proposal) -> String {
    let mut table = Table::new(&["person", "said", "at"]);
    table.row([proposal.proposer.to_string(), "proposed".into(), plain::time_ms(proposal.created_ms)]);
    let said =
        [(&proposal.approvals, "approved"), (&proposal.rejections, "rejected"), (&proposal.confirmations, "confirmed")];
    let fired = proposal.armed.iter().filter_map(|armed| armed.fired.as_ref()).map(|vote| (vote, "fired"));
    for (vote, word) in
        said.into_iter().flat_map(|(votes, word)| votes.iter().map(move |vote| (vote, word))).chain(fired)
    {
        table.row([vote.person.to_string(), word.into(), plain::time_ms(vote.at_ms)]);
    }
    format!("{}\nApprovals are collected until {}.", table.render(), plain::time(proposal.expires))
}

fn probes(proposal: &wire::Proposal) -> String {
    let mut table = Table::new(&["region", "key", "why"]);
    for (region, probe) in &proposal.probes {
        table.row([region.clone(), probe.state.clone().unwrap_or_else(|| "not answered".into()), probe.why.clone()]);
    }
    table.render()
}

/// What each region made of it. The portal's word is compared with the region's own signature.
pub(crate) fn regions(proposal: &wire::Proposal, chain: &Chain) -> String {
    let mut table = Table::new(&["region", "state", "since approval", "in region", "proof", "why"]);
    for (region, progress) in &proposal.regions {
        table.row([
            region.clone(),
            state(progress),
            wire::ms(progress.waited_us),
            wire::ms(progress.took_us),
            proof(region, progress, proposal, chain).into(),
            progress.why.clone(),
        ]);
    }
    table.render()
}

fn state(progress: &wire::Progress) -> String {
    match (progress.confirmation.as_str(), progress.lease_ends_ms) {
        ("waiting", Some(end)) => format!("unconfirmed; its lease ends {}", plain::time_ms(end)),
        ("waiting", None) => "unconfirmed".into(),
        (other, _) => other.into(),
    }
}

/// Whether the region's own key signed that it applied exactly this change.
pub(crate) fn proof(region: &str, progress: &wire::Progress, proposal: &wire::Proposal, chain: &Chain) -> &'static str {
    let Some(ack) = &progress.ack else { return "-" };
    let named = orbital::names::Region::new(region).ok();
    let key = named.as_ref().and_then(|r| chain.region(r)).map(|r| r.report_key);
    let opened = key.and_then(|key| SyncAck::open(ack, &key).ok());
    match opened {
        Some(ack) if ack.tenant == chain.tenant() && ack.region.as_str() == region => {
            let this = ack.change == Some(proposal.digest);
            let agrees = (ack.outcome == Outcome::Applied) == (progress.confirmation == "applied");
            if this && agrees { "signed" } else { "FOR ANOTHER" }
        }
        _ => "NOT SIGNED BY IT",
    }
}
