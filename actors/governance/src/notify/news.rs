//! News: what of the ledger and of the events is worth a notice, and in which words. Pure; whoever asks brings the tenant's portrait.

use ledger::Entry;
use orbital::{
    certificate::Certificate,
    change::{Change, ChangeKind},
    names::{Correlation, ProposalId, Region, TenantId},
    report::{L1State, Outcome, SyncAck},
    routing::Occasion,
};

use super::notice::Notice;
use crate::{
    events::{Event, Happened},
    proposal::State,
    tenant::{PROVISION, Portrait, Record, Sketch, Voice},
};

/// Where and when something happened.
pub(super) struct Setting<'a> {
    pub(super) tenant: TenantId,
    pub(super) portrait: &'a Portrait,
    pub(super) at_ms: u64,
    pub(super) correlation: Option<Correlation>,
    /// What a link begins with.
    pub(super) links: &'a str,
}

/// Whether an entry may be worth a notice; and the proposal that it is about.
pub(super) fn concerns(record: &Record) -> bool {
    match record {
        Record::Opened { .. }
        | Record::Answered { voice: Voice::Reject, .. }
        | Record::Withdrawn { .. }
        | Record::Expired { .. }
        | Record::Voided { .. }
        | Record::Armed { .. }
        | Record::Certified { .. }
        | Record::Applied { .. }
        | Record::Confirmed { .. }
        | Record::Refused { .. }
        | Record::Learnt { .. }
        | Record::Forked { .. }
        | Record::RecoveryReceived { .. }
        | Record::Recovered { .. } => true,
        Record::Acknowledged { genesis, .. } => *genesis,
        Record::Reconciled { owed, .. } => owed.iter().any(|name| name == PROVISION),
        Record::Provisioned { .. }
        | Record::Answered { .. }
        | Record::Noted { .. }
        // What the fire brings into force is told.
        | Record::Fired { .. }
        | Record::ProbeAsked { .. }
        | Record::Probed { .. }
        | Record::Recalled { .. }
        | Record::CaughtUp { .. } => false,
    }
}

/// The notice that an entry is worth.
pub(super) fn of_entry(setting: &Setting<'_>, entry: &Entry, record: &Record) -> Option<Notice> {
    match record {
        Record::Acknowledged { region, ack, .. } => {
            acknowledged(setting, entry.sequence, region, &SyncAck::peek(ack).ok()?)
        }
        Record::Reconciled { region, .. } => {
            let title = format!("the tenant is brought to {region} again");
            Some(Notice {
                incident: provision(setting),
                ..setting.tell(Occasion::ProvisioningRetried, &entry.sequence, title)
            })
        }
        Record::Learnt { region, certificate } => {
            let change = Change::from_bytes(&certificate.change).ok()?;
            let digest = Change::digest_of(&certificate.change);
            let title = format!("{} was handed straight to {region} and is in force", change.kind());
            let mut notice = setting.tell(Occasion::StopRunning, &digest, title);
            (notice.stop, notice.incident) = (true, format!("stop/{digest}"));
            notice.line("Reason", change.reason.as_str());
            notice.line("Change", digest);
            Some(notice)
        }
        Record::Forked { region, certificate } => {
            let change = Change::from_bytes(&certificate.change).ok()?;
            let digest = Change::digest_of(&certificate.change);
            let version = change.action.next()?.version;
            let title = format!("two certified trust versions {version} were met: the tenant is frozen but for stops");
            let mut notice = setting.tell(Occasion::TrustForked, &digest, title);
            notice.incident = format!("fork/{}", setting.tenant);
            notice.line("Met by", region);
            notice.line("Change", digest);
            notice.line(
                "Now",
                "compare the regions with `kcm trust compare`, find out who signed, then `kcm trust settle`",
            );
            Some(notice)
        }
        Record::RecoveryReceived { certificate } => recovery(
            setting,
            (certificate, "received"),
            "cold keys have signed a recovery: it changes who may decide once its delay has passed",
            "look at it with `kcm tenant show`; if nobody of you meant that, `kcm trust recovery cancel`",
        ),
        Record::Recovered { certificate } => recovery(
            setting,
            (certificate, "in-force"),
            "a recovery by cold keys is in force: other people decide for the tenant",
            "compare the people with `kcm tenant show`",
        ),
        other => of_proposal(setting, other, setting.portrait.proposal.as_ref()?),
    }
}

fn recovery(
    setting: &Setting<'_>,
    (certificate, state): (&Certificate, &str),
    title: &str,
    now: &str,
) -> Option<Notice> {
    let change = Change::from_bytes(&certificate.change).ok()?;
    let digest = Change::digest_of(&certificate.change);
    let mut notice = setting.tell(Occasion::Recovery, &format!("{digest}/{state}"), title.to_owned());
    notice.incident = format!("recovery/{}", setting.tenant);
    notice.line("Reason", change.reason.as_str());
    notice.line("Change", digest);
    notice.line("Now", now);
    Some(notice)
}

fn of_proposal(setting: &Setting<'_>, record: &Record, sketch: &Sketch) -> Option<Notice> {
    let (kind, stop) = (sketch.kind, sketch.kind.is_stop());
    let why = || sketch.why.clone().unwrap_or_default();
    let (occasion, title, why) = match record {
        // What was decided before we looked waits for nobody.
        Record::Opened { .. } if sketch.state == State::Open => {
            (Occasion::ApprovalWaiting, format!("{kind} waits for signers"), String::new())
        }
        // One rejection ends no stop (PROTOCOL §4).
        Record::Answered { voice: Voice::Reject, .. } if !stop => {
            (Occasion::Rejected, format!("{kind} was rejected"), why())
        }
        Record::Withdrawn { .. } => (Occasion::Rejected, format!("{kind} was withdrawn"), why()),
        Record::Expired { .. } if sketch.was_armed => {
            (Occasion::Rejected, format!("the armed {kind} is over: nobody fired it"), why())
        }
        Record::Expired { .. } => (Occasion::Rejected, format!("{kind} expired without a quorum"), why()),
        Record::Voided { why, .. } => (Occasion::Rejected, format!("{kind} is void"), why.clone()),
        Record::Refused { why, .. } => (Occasion::Rejected, format!("{kind} was refused by every region"), why.clone()),
        Record::Armed { .. } => (
            Occasion::RevocationArmed,
            format!(
                "a {kind} is armed: any one of its signers can fire it until {}",
                sketch.armed.map_or_else(String::new, moment)
            ),
            String::new(),
        ),
        Record::Certified { .. } if sketch.was_armed => {
            (Occasion::Approved, format!("the armed {kind} was fired"), String::new())
        }
        Record::Certified { .. } => (Occasion::Approved, format!("{kind} is approved"), String::new()),
        Record::Applied { .. } if stop => (
            Occasion::StopRunning,
            format!("{kind} is in force and on its way to {}", list(&sketch.regions)),
            String::new(),
        ),
        Record::Confirmed { .. } if stop => {
            (Occasion::StopConfirmed, format!("{kind} is confirmed by every region"), String::new())
        }
        Record::Confirmed { .. } if kind == ChangeKind::LinkL1 => {
            (Occasion::L1Active, "the link to the customer's KMS is active".to_owned(), String::new())
        }
        _ => return None,
    };
    let mut notice = setting.about(occasion, sketch, title);
    notice.line("Why", why);
    Some(notice)
}

fn acknowledged(setting: &Setting<'_>, sequence: u64, region: &Region, ack: &SyncAck) -> Option<Notice> {
    let incident = provision(setting);
    match ack.outcome {
        Outcome::Refused => {
            let title = format!("{region} refuses the tenant");
            let mut notice = setting.tell(Occasion::ProvisioningFailed, &sequence, title);
            notice.incident = incident;
            notice.line("Why", &ack.why);
            Some(notice)
        }
        Outcome::Applied if setting.portrait.founded => {
            let title = "the tenant is provisioned in every region".to_owned();
            // Each acknowledgement may be read after the last: it is told once.
            let notice = setting.tell(Occasion::TenantProvisioned, &setting.tenant, title);
            Some(Notice { incident, closes: true, ..notice })
        }
        Outcome::Applied => None,
    }
}

fn provision(setting: &Setting<'_>) -> String {
    format!("provision/{}", setting.tenant)
}

/// The tenant and the proposal of an event that may be worth a notice and stands in no entry.
pub(super) fn of_whom(happened: &Happened) -> Option<(TenantId, Option<&ProposalId>)> {
    match happened {
        Happened::Unconfirmed { tenant, proposal, .. } | Happened::Expiring { tenant, proposal, .. } => {
            Some((*tenant, Some(proposal)))
        }
        Happened::L1Health { tenant, .. } | Happened::LeaseEnding { tenant, .. } => Some((*tenant, None)),
        Happened::Missed { .. }
        | Happened::Entry { .. }
        | Happened::Proposal { .. }
        | Happened::Acknowledged { .. }
        | Happened::Probed { .. }
        | Happened::Connected { .. }
        | Happened::Disconnected { .. }
        | Happened::Stalled { .. } => None,
    }
}

/// The notice that such an event is worth.
pub(super) fn of_event(setting: &Setting<'_>, event: &Event) -> Option<Notice> {
    match &event.happened {
        Happened::Unconfirmed { regions, waited_ms, .. } => {
            let sketch = setting.portrait.proposal.as_ref()?;
            let title = format!("{} is unconfirmed by {} for {} s", sketch.kind, list(regions), waited_ms / 1_000);
            Some(setting.about(Occasion::RegionUnconfirmed, sketch, title))
        }
        Happened::Expiring { left_s, .. } => {
            let sketch = setting.portrait.proposal.as_ref().filter(|sketch| sketch.state.is_pending())?;
            if sketch.state == State::Armed {
                let title =
                    format!("the armed {} ends in {}: nobody can fire it after that", sketch.kind, span(*left_s));
                let notice = setting.about(Occasion::Expiring, sketch, title);
                // Its time to be signed may have been told before.
                return Some(Notice { about: format!("{}/armed", notice.about), ..notice });
            }
            let title = format!("{} expires in {} and has no quorum yet", sketch.kind, span(*left_s));
            Some(setting.about(Occasion::Expiring, sketch, title))
        }
        Happened::L1Health { region, before, now, .. } => {
            let title = format!("{region} finds the customer's KMS {}", state(*now));
            let mut notice = setting.tell(Occasion::L1Health, &format!("{region}/{}", event.id), title);
            notice.incident = format!("l1/{}/{region}", setting.tenant);
            notice.closes = *now == L1State::Enabled;
            notice.line("Before", before.map_or("not known", state));
            Some(notice)
        }
        Happened::LeaseEnding { region, left_s, .. } => {
            let title =
                format!("{region} ends serving the tenant in {} unless it hears from governance", span(*left_s));
            let notice = setting.tell(Occasion::LeaseEnding, &format!("{region}/{}", event.id), title);
            Some(Notice { incident: format!("lease/{}/{region}", setting.tenant), ..notice })
        }
        _ => None,
    }
}

impl Setting<'_> {
    /// A notice about the tenant; `what` names the one thing that happened.
    fn tell(&self, occasion: Occasion, what: &impl std::fmt::Display, title: String) -> Notice {
        Notice {
            about: format!("{occasion}/{what}"),
            occasion: Some(occasion),
            tenant: self.tenant,
            name: self.portrait.name.clone(),
            at_ms: self.at_ms,
            title,
            lines: Vec::new(),
            link: format!("{}/v1/tenants/{}", self.links, self.tenant),
            proposal: None,
            correlation: self.correlation.clone(),
            stop: false,
            groups: Vec::new(),
            people: Vec::new(),
            incident: format!("tenant/{}", self.tenant),
            closes: false,
        }
    }

    fn about(&self, occasion: Occasion, sketch: &Sketch, title: String) -> Notice {
        let mut notice = self.tell(occasion, &sketch.id, title);
        notice.link = format!("{}/v1/proposals/{}", self.links, sketch.id);
        notice.proposal = Some(sketch.id.clone());
        notice.stop = sketch.kind.is_stop();
        let running = matches!(occasion, Occasion::StopRunning | Occasion::StopConfirmed | Occasion::RegionUnconfirmed);
        // The vote is one incident, by the proposal's id; what the regions do with the decision another.
        notice.incident = if running { format!("stop/{}", sketch.id) } else { sketch.id.to_string() };
        notice.closes = matches!(
            occasion,
            Occasion::Approved | Occasion::Rejected | Occasion::RevocationArmed | Occasion::StopConfirmed
        );
        notice.line("Proposer", &sketch.proposer);
        notice.line("Reason", &sketch.reason);
        if matches!(occasion, Occasion::ApprovalWaiting | Occasion::Expiring) {
            notice.line("Missing", list(&sketch.missing));
            notice.line("Expires", moment(sketch.expires));
            (notice.groups, notice.people) = (sketch.missing.clone(), sketch.people.clone());
        }
        notice.line("Digest", sketch.digest);
        notice
    }
}

/// A notice that only tries the way.
pub(super) fn test(setting: &Setting<'_>, nonce: &str) -> Notice {
    let title = "this is a test: nothing has happened".to_owned();
    let notice = setting.tell(Occasion::ApprovalWaiting, &nonce, title);
    Notice { about: format!("test/{nonce}"), occasion: None, incident: format!("test/{nonce}"), ..notice }
}

const fn state(state: L1State) -> &'static str {
    match state {
        L1State::Pending => "not tried yet",
        L1State::Enabled => "in order again",
        L1State::Disabled => "with its key disabled",
        L1State::Forbidden => "refusing",
        L1State::Unreachable => "unreachable",
        L1State::PendingDeletion => "about to delete its key",
        L1State::Deleted => "without its key",
    }
}

/// A moment in UTC; `seconds` since the Unix epoch.
fn moment(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    moment.map_or_else(|| format!("{seconds} s after 1970"), |m| m.to_string())
}

fn list<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use orbital::{
        canon,
        halt::Halt,
        names::{Deployment, Digest, TenantName},
        sign::Kind,
        testing::{World, region, secret},
    };

    use super::*;

    fn portrait(founded: bool) -> Portrait {
        Portrait { name: TenantName::new("acme").unwrap(), routing: None, founded, proposal: None }
    }

    fn entry(sequence: u64) -> Entry {
        Entry {
            sequence,
            at_ms: 1,
            kind: String::new(),
            subject: String::new(),
            correlation: String::new(),
            body: Vec::new(),
            previous: [0; 32],
            hash: [0; 32],
        }
    }

    fn read(portrait: &Portrait, sequence: u64, record: &Record) -> Option<Notice> {
        let tenant = World::new().tenant();
        let setting = Setting { tenant, portrait, at_ms: 1, correlation: None, links: "https://k" };
        concerns(record).then(|| of_entry(&setting, &entry(sequence), record)).flatten()
    }

    fn acknowledged(outcome: Outcome, change: Option<Digest>) -> Record {
        let ack = SyncAck {
            domain: Kind::SyncAck.domain(),
            deployment: Deployment::new("test").unwrap(),
            tenant: World::new().tenant(),
            region: region("us-east"),
            directive: Digest([1; 32]),
            change,
            outcome,
            why: "no pin names it".to_owned(),
            members: [].into(),
            trust_version: 1,
            epoch: 0,
            generation: 0,
            at_us: 0,
            took_us: 0,
        };
        let signed = ack.sign(&secret("test", "us-east")).unwrap();
        let _read_back: SyncAck = canon::read("a SyncAck", &signed.statement).unwrap();
        Record::Acknowledged { region: region("us-east"), ack: signed, waited_us: 0, genesis: change.is_none() }
    }

    #[test]
    fn provisioning_is_told_where_it_fails_is_retried_and_is_done() {
        let (before, after) = (portrait(false), portrait(true));
        let failed = read(&before, 7, &acknowledged(Outcome::Refused, None)).unwrap();
        assert_eq!(failed.occasion, Some(Occasion::ProvisioningFailed));
        assert!(failed.lines.iter().any(|(_, value)| value == "no pin names it"));
        let owed = |name: &str| Record::Reconciled { region: region("us-east"), owed: vec![name.to_owned()] };
        let retried = read(&before, 8, &owed("provision")).unwrap();
        assert_eq!(retried.occasion, Some(Occasion::ProvisioningRetried));
        assert_eq!(read(&before, 9, &owed("trust")), None);
        assert_eq!(read(&before, 9, &acknowledged(Outcome::Applied, None)), None, "another region lacks it");
        let done = read(&after, 10, &acknowledged(Outcome::Applied, None)).unwrap();
        assert_eq!((done.occasion, done.closes), (Some(Occasion::TenantProvisioned), true));
        assert!(failed.incident == done.incident && retried.incident == done.incident);
        // Read late, each of the last acknowledgements sees all regions: one thing, told once.
        assert_eq!(read(&after, 11, &acknowledged(Outcome::Applied, None)).unwrap().about, done.about);
        assert_eq!(read(&after, 12, &acknowledged(Outcome::Refused, Some(Digest([2; 32])))), None);
    }

    #[test]
    fn a_stop_that_was_handed_to_a_region_is_told_as_one() {
        let certificate = World::new().halt(Halt::Kill);
        let notice = read(&portrait(true), 7, &Record::Learnt { region: region("us-east"), certificate }).unwrap();
        assert_eq!((notice.occasion, notice.stop), (Some(Occasion::StopRunning), true));
        assert!(notice.title.contains("RevokeL1 was handed straight to us-east"), "{}", notice.title);
    }

    /// An armed revocation is told when it can be fired, when that is about to end, when it was fired and when nobody did.
    #[test]
    fn an_armed_revocation_is_told_through_its_life() {
        let id: ProposalId = "pAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
        let said = |state: State, record: &Record| {
            let sketch = Sketch {
                id: id.clone(),
                kind: ChangeKind::RevokeL1,
                state,
                why: None,
                proposer: orbital::testing::person("carol"),
                reason: "a test".to_owned(),
                armed: Some(86_400),
                was_armed: true,
                expires: 86_400,
                missing: Vec::new(),
                people: Vec::new(),
                digest: Digest([1; 32]),
                regions: [region("us-east")].into(),
            };
            read(&Portrait { proposal: Some(sketch), ..portrait(true) }, 7, record)
        };
        let proposal = || id.clone();
        let armed = said(State::Armed, &Record::Armed { proposal: proposal() }).unwrap();
        assert_eq!((armed.occasion, armed.closes), (Some(Occasion::RevocationArmed), true), "nobody is waited for");
        assert!(armed.title.ends_with("can fire it until 1970-01-02T00:00:00Z"), "{}", armed.title);
        let fired = said(State::Ratified, &Record::Certified { proposal: proposal() }).unwrap();
        assert_eq!((fired.occasion, fired.title.as_str()), (Some(Occasion::Approved), "the armed RevokeL1 was fired"));
        let over = said(State::Expired, &Record::Expired { proposal: proposal() }).unwrap();
        assert!(over.title.contains("is over: nobody fired it"), "{}", over.title);
    }

    #[test]
    fn spans_are_told_in_words() {
        assert_eq!([1, 600, 86_400].map(span), ["1 s", "10 min", "24 h"]);
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
    }
}
