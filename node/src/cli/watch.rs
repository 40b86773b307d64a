//! Follows a proposal to its end: an event wakes, the proposal itself is what counts.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    compose::Subject,
    exit::{Exit, Failure, Report},
    http::Events,
    screen::{Screen, spoken},
    show, wire,
};

/// Pause before a lost event stream is opened again.
const AGAIN_MS: u64 = 250;
/// The proposal is read again after so long without an event.
const LOOK_AGAIN_MS: u64 = 5_000;

/// What was last told of a proposal.
#[derive(Default)]
struct Told {
    state: String,
    answers: usize,
    regions: BTreeMap<String, String>,
}

/// Watches until the proposal ended, or for as long as `wait` says. A proof that does not hold ends it at once.
pub(crate) async fn until_ended(
    screen: Screen,
    subject: &Subject,
    id: &str,
    wait: Option<Duration>,
) -> Result<Report, Failure> {
    let end = wait.and_then(|w| Instant::now().checked_add(w));
    let path = format!("/v1/proposals/{id}");
    let mut told = Told::default();
    // Opened before the first look, so that nothing falls between the two.
    let mut events = subject.portal.events(None).await.ok();
    loop {
        let body: serde_json::Value = subject.portal.get(&path).await?;
        let proposal: wire::Proposal = subject.portal.read(&path, body.clone())?;
        tell(screen, &proposal, subject, &mut told);
        if proposal.ended() {
            return Ok(ended(body, &proposal, subject));
        }
        if proposal.state == "armed" {
            // Nothing happens to it until somebody fires it.
            return Ok(Report::new(body, show::summary(&proposal)).ending(Exit::Waits));
        }
        let look_again = Instant::now().checked_add(Duration::from_millis(LOOK_AGAIN_MS));
        let until = [end, look_again].into_iter().flatten().min();
        let woken = match until {
            Some(until) => timeout_at(until, woken(subject, &mut events, id)).await,
            None => {
                woken(subject, &mut events, id).await;
                Ok(())
            }
        };
        if woken.is_err() && end.is_some_and(|end| Instant::now() >= end) {
            let why = format!("after {} it is {}", wait.map(spoken).unwrap_or_default(), proposal.state);
            let text = format!("{}\nNot finished: {why}.", show::regions(&proposal, &subject.chain));
            return Ok(Report::new(body, text).ending(Exit::Unconfirmed));
        }
    }
}

/// Resolves when something happened to this proposal, or events were lost.
async fn woken(subject: &Subject, events: &mut Option<Events>, id: &str) {
    loop {
        let Some(stream) = events else {
            sleep(Duration::from_millis(AGAIN_MS)).await;
            *events = subject.portal.events(None).await.ok();
            return;
        };
        match stream.next().await {
            Ok(Some((_, event))) => {
                let about = |name: &str| event.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
                if about("proposal") == id || about("event") == "missed" {
                    return;
                }
            }
            Ok(None) | Err(_) => *events = None,
        }
    }
}

fn tell(screen: Screen, proposal: &wire::Proposal, subject: &Subject, told: &mut Told) {
    let answers = proposal.approvals.len().saturating_add(proposal.rejections.len());
    if told.state != proposal.state || told.answers != answers {
        screen.line(
            &json!({ "proposal": proposal.id, "state": proposal.state, "answers": answers, "why": proposal.why }),
            &show::summary(proposal),
        );
        told.state.clone_from(&proposal.state);
        told.answers = answers;
    }
    for (region, progress) in &proposal.regions {
        if told.regions.get(region) == Some(&progress.confirmation) {
            continue;
        }
        told.regions.insert(region.clone(), progress.confirmation.clone());
        let proof = show::proof(region, progress, proposal, &subject.chain);
        let (waited, took) = (wire::ms(progress.waited_us), wire::ms(progress.took_us));
        let why = if progress.why.is_empty() { String::new() } else { format!(": {}", progress.why) };
        screen.line(
            &json!({
                "proposal": proposal.id, "region": region, "confirmation": progress.confirmation,
                "waited_us": progress.waited_us, "took_us": progress.took_us, "proof": proof, "why": progress.why,
            }),
            &format!("  {region}: {} after {waited} ({took} in the region, {proof}){why}", progress.confirmation),
        );
    }
}

fn ended(body: serde_json::Value, proposal: &wire::Proposal, subject: &Subject) -> Report {
    let unproved = proposal
        .regions
        .iter()
        .find(|(region, progress)| show::proof(region, progress, proposal, &subject.chain) != "signed");
    match (proposal.state.as_str(), unproved) {
        ("active", None) => Report::new(body, show::regions(proposal, &subject.chain)),
        ("active", Some((region, _))) => {
            let table = show::regions(proposal, &subject.chain);
            let text = format!("{table}\nRegion {region} has not proved it: its signature does not hold.");
            Report::new(body, text).ending(Exit::Unconfirmed)
        }
        _ => Report::new(body, show::summary(proposal)).ending(Exit::Denied),
    }
}
