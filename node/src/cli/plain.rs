//! Plain sentences for what is about to be signed, made from the very bytes that are signed and from nothing else.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use orbital::{
    change::{Action, Change, ChangeKind},
    delegation::Delegation,
    names::{Digest, Person, Region},
    quorum::{Rule, Verify},
    recovery::RecoveryTerms,
    trust::{Actor, ActorKey, Algorithm, Anchor, CallerRule, L1Resume, RegionIdentity, TrustRoot, WebauthnTerms},
    vote::{Role, Vote},
};

use super::{notify, topology};

/// A moment in UTC; `seconds` since the Unix epoch.
pub(crate) fn time(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok());
    moment.map_or_else(|| format!("{seconds} s after 1970"), |m| m.to_string())
}

/// As [`time`], from milliseconds, with them.
pub(crate) fn time_ms(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(|| format!("{ms} ms after 1970"), |m| m.to_string())
}

/// What the change does, under the trust root that it was made under, in sentences.
pub(crate) fn change(change: &Change, digest: Digest, trust: &TrustRoot) -> Vec<String> {
    let mut lines = vec![format!("Tenant {} ({}), deployment {}.", trust.name, change.tenant, change.deployment)];
    lines.extend(action(&change.action, trust));
    lines.extend(change.armed.map(|until| armed(until.0)));
    lines.push(match change.regions.is_empty() {
        true => "It reaches no region.".to_owned(),
        false => format!("Regions: {}.", list(&change.regions)),
    });
    let reason = change.reason.as_str();
    lines.push(if reason.is_empty() { "No reason is given.".into() } else { format!("Reason: \"{reason}\".") });
    lines.push(format!("Made under trust version {}, epoch {}.", change.trust_version, change.epoch));
    lines.extend(change.evidence.map(|digest| format!("Names what the proposer was shown: {digest}.")));
    lines.push(format!("Digest of the change: {digest}."));
    lines
}

/// What an armed stop waits for.
pub(crate) fn armed(until: u64) -> String {
    let until = time(until);
    format!(
        "ARMED: can be fired until {until}, by any one of its signers and without asking the others; until then it stops nothing."
    )
}

/// What the signer says about it.
pub(crate) fn vote(role: Role, person: &Person, expires: u64) -> String {
    let says = match role {
        Role::Propose => "proposes",
        Role::Approve => "approves",
        Role::Reject => "rejects",
        Role::Confirm => "confirms, as its proposer,",
        Role::Fire => return format!("{person} FIRES exactly this: every region that it reaches stops."),
        Role::Recover => return "A recovery key signs exactly this, in place of the tenant's people.".to_owned(),
    };
    format!("{person} {says} exactly this. Approvals are collected until {}.", time(expires))
}

/// Who must sign a kind of change.
pub(crate) fn rule(kind: ChangeKind, rule: &Rule) -> String {
    let need = rule.need.iter().map(|n| format!("{} of {}", n.count, n.group)).collect::<Vec<_>>().join(" and ");
    let confirm = if rule.confirm { ", then the proposer confirms" } else { "" };
    let by = if rule.verify == Verify::User { ", each by a passkey with user verification" } else { "" };
    format!("{kind} needs {need}{by}{confirm}.")
}

/// A proposal's vote must speak of exactly these bytes: what is shown is what is signed.
pub(crate) fn matches(vote: &Vote, change: &Change, bytes: &[u8]) -> bool {
    vote.change == Change::digest_of(bytes)
        && vote.kind == change.kind()
        && vote.tenant == change.tenant
        && vote.deployment == change.deployment
        && vote.trust_version == change.trust_version
        && vote.epoch == change.epoch
}

fn action(action: &Action, trust: &TrustRoot) -> Vec<String> {
    match action {
        Action::RevokeL1 {} => vec![
            "REVOKE: every region locks this tenant at once. Nothing of it can be used until a RestoreL1 is approved."
                .into(),
            "Keys that clients fetched before stay with those clients until they next ask.".into(),
        ],
        Action::RestoreL1 { kills } => {
            let kills = list(kills);
            vec![format!("RESTORE: lifts the kills {kills}, and no other. The tenant can be used again.")]
        }
        Action::BlockTenant {} => vec![
            "BLOCK: the regions serve nobody of this tenant until an UnblockTenant is approved; its keys leave their memory.".into(),
            "Keys that clients fetched before stay with those clients until they next ask.".into(),
        ],
        Action::UnblockTenant { blocks } => {
            vec![format!("UNBLOCK: lifts the blocks {}, and no other stop.", list(blocks))]
        }
        Action::SuspendL1 {} => vec![
            "SUSPEND: nothing new is protected with this tenant's keys until a ResumeL1 is approved. What is protected can still be read."
                .into(),
        ],
        Action::ResumeL1 { suspensions } => {
            vec![format!("RESUME: lifts the suspensions {}, and no other stop.", list(suspensions))]
        }
        Action::LinkL1 { l1 } => vec![
            format!("LINK: the tenant's keys are wrapped by the key {} at provider {}.", l1.key, l1.provider),
            "Whoever controls that key controls whether the tenant can be used.".into(),
        ],
        Action::RegisterSystem { system, next } => {
            let mut lines = vec![format!("REGISTER: adds the system {system}, which gets keys of its own.")];
            lines.extend(differences(trust, next));
            lines
        }
        Action::RetireSystem { system, next } => {
            let mut lines = vec![format!("RETIRE: takes the system {system} out of use, with its callers. It stops working.")];
            lines.extend(differences(trust, next));
            lines
        }
        Action::TerminateTenant {} => vec![
            "TERMINATE: every region destroys every key of this tenant. Nothing brings them back, and nobody reads its data again.".into(),
            "Backups of a region's store open with the customer's own key alone: destroy it, too, for certainty.".into(),
        ],
        Action::ChangeRouting { routing, .. } => notify::sentences(routing),
        Action::ApplyTopology { serial, governed, tenants } => topology::sentences(*serial, governed, tenants),
        Action::ChangePolicy { next, bundle } => policies(next, bundle, trust),
        Action::ChangeCallers { next }
        | Action::ChangeActors { next }
        | Action::ChangeQuorum { next }
        | Action::ChangeLease { next }
        | Action::ChangeResidency { next } => {
            let what = match action {
                Action::ChangeCallers { .. } => "CALLERS: changes which client certificates use which system",
                Action::ChangeActors { .. } => "ACTORS: changes people, groups or keys",
                Action::ChangeLease { .. } => "LEASE: changes how long a region serves on by itself",
                Action::ChangeResidency { .. } => "RESIDENCY: changes where the tenant's keys may exist",
                _ => "QUORUM: changes who must sign what",
            };
            let mut lines = vec![format!("{what}. Trust version {} follows {}.", next.version, trust.version)];
            lines.extend(differences(trust, next));
            lines
        }
    }
}

/// What is signed is the whole bundle: its policies and entities are shown as they are, its schema as it differs from this version's.
fn policies(next: &TrustRoot, bundle: &[u8], trust: &TrustRoot) -> Vec<String> {
    let (version, before) = (next.version, trust.version);
    let mut lines = vec![format!("POLICY: replaces the Cedar policies. Trust version {version} follows {before}.")];
    lines.extend(differences(trust, next));
    match (policy::Bundle::parse_canonical(bundle), policy::Bundle::default_bundle()) {
        (Ok(bundle), default) => {
            lines.push(format!("Policy bundle {}.", bundle.digest()));
            let known = default.as_ref().map_or("", policy::Bundle::schema_text);
            match differing(known, bundle.schema_text()) {
                differing if differing.is_empty() => lines.push("Its schema is that of this version.".to_owned()),
                differing => {
                    lines.push("Its schema differs from that of this version in these lines:".to_owned());
                    lines.extend(differing);
                }
            }
            let shown = |text: &str| text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>();
            if bundle.entities_text().trim() == "[]" {
                lines.push("It states no entities.".to_owned());
            } else {
                lines.push("Its entities:".to_owned());
                lines.extend(shown(bundle.entities_text()));
            }
            lines.push("Its policies:".to_owned());
            lines.extend(shown(bundle.policies_text()));
        }
        (Err(why), _) => lines.push(format!("They are not valid here: {why}")),
    }
    lines
}

/// Lines that only one of two texts has, or one has more often; in another order they are the same.
fn differing(before: &str, after: &str) -> Vec<String> {
    let count = |text: &str, line: &str| text.lines().filter(|other| *other == line).count();
    let only = |sign: char, here: &str, there: &str| -> Vec<String> {
        let mut seen = BTreeMap::<&str, usize>::new();
        let lines = here.lines().filter(|line| {
            let nth = seen.entry(line).or_default();
            *nth += 1;
            *nth > count(there, line)
        });
        lines.map(|line| format!("  {sign} {line}")).collect()
    };
    [only('-', before, after), only('+', after, before)].concat()
}

/// Everything in which two versions of a trust root differ.
pub(crate) fn differences(now: &TrustRoot, next: &TrustRoot) -> Vec<String> {
    let mut lines = Vec::new();
    people(&now.actors, &next.actors, &mut lines);
    for kind in ChangeKind::ALL {
        match (now.rules.get(&kind), next.rules.get(&kind)) {
            (before, Some(after)) if before != Some(after) => lines.push(format!("  + {}", rule(kind, after))),
            (Some(_), None) => lines.push(format!("  - the rule for {kind}")),
            _ => {}
        }
    }
    set(&now.delegations, &next.delegations, &mut lines, delegation);
    set(&now.systems, &next.systems, &mut lines, |s| format!("system {s}"));
    set(&now.callers, &next.callers, &mut lines, caller);
    set(&now.residency, &next.residency, &mut lines, |place| format!("keys may lie in {place}"));
    regions(&now.regions, &next.regions, &mut lines);
    set(&now.carried, &next.carried, &mut lines, |d| format!("certificates carried over: {d}"));
    let others = [("name", now.name != next.name), ("policy", now.policy != next.policy)];
    if now.recovery != next.recovery {
        lines.push(format!("  - {}", recovery(now.recovery.as_ref())));
        lines.push(format!("  + {}", recovery(next.recovery.as_ref())));
    }
    if now.webauthn != next.webauthn {
        lines.push(format!("  - {}", passkeys(now.webauthn.as_ref())));
        lines.push(format!("  + {}", passkeys(next.webauthn.as_ref())));
    }
    for (before, after) in terms(now).into_iter().zip(terms(next)).filter(|(before, after)| before != after) {
        lines.extend([format!("  - {before}"), format!("  + {after}")]);
    }
    lines.extend(others.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| format!("  ! the {what} changes")));
    lines
}

fn regions(now: &BTreeMap<Region, RegionIdentity>, next: &BTreeMap<Region, RegionIdentity>, lines: &mut Vec<String>) {
    for (name, region) in now.iter().filter(|(name, region)| next.get(*name) != Some(*region)) {
        lines.push(format!(
            "  - region {name} in {}: it destroys every key of the tenant that lies there",
            region.jurisdiction
        ));
    }
    for (name, region) in next.iter().filter(|(name, region)| now.get(*name) != Some(*region)) {
        let (place, report, hpke) = (&region.jurisdiction, region.report_key, region.hpke_key);
        lines.push(format!("  + region {name} in {place}, report key {report}, HPKE key {hpke}: it serves nobody before a LinkL1 names it"));
    }
}

/// How long a region serves on by itself, and what ends that.
pub(crate) fn terms(root: &TrustRoot) -> [String; 4] {
    let seconds = |s: u64| if s == 0 { "without end".to_owned() } else { format!("for {s} s") };
    let resume = match root.l1.resume {
        L1Resume::Probe => "a probe resumes it",
        L1Resume::Quorum => "a quorum resumes it",
    };
    [
        format!("cut off from governance it serves on {}", seconds(root.lease.seconds)),
        format!("the lease is renewed by {}", root.lease.key),
        format!("without L1 it serves on {}", seconds(root.l1.grace)),
        format!("after a refusal of L1 {resume}"),
    ]
}

fn people(now: &BTreeMap<Person, Actor>, next: &BTreeMap<Person, Actor>, lines: &mut Vec<String>) {
    for (person, actor) in now {
        if !next.contains_key(person) {
            lines.push(format!("  - {person}, of {}", list(&actor.groups)));
        }
    }
    for (person, actor) in next {
        let Some(before) = now.get(person) else {
            lines.push(format!("  + {person}, of {}", list(&actor.groups)));
            lines.extend(actor.keys.iter().map(|(name, key)| format!("  + key {name} of {person}: {}", public(key))));
            continue;
        };
        set(&before.groups, &actor.groups, lines, |group| format!("{person} in {group}"));
        for (name, key) in &before.keys {
            if actor.keys.get(name) != Some(key) {
                lines.push(format!("  - key {name} of {person}: {}", public(key)));
            }
        }
        for (name, key) in &actor.keys {
            if before.keys.get(name) != Some(key) {
                lines.push(format!("  + key {name} of {person}: {}", public(key)));
            }
        }
        if before.subject != actor.subject {
            lines.push(format!("  ! {person} stands for another subject at the identity provider"));
        }
    }
}

fn set<T: Ord>(now: &BTreeSet<T>, next: &BTreeSet<T>, lines: &mut Vec<String>, name: impl Fn(&T) -> String) {
    lines.extend(now.difference(next).map(|t| format!("  - {}", name(t))));
    lines.extend(next.difference(now).map(|t| format!("  + {}", name(t))));
}

/// Who stands in for whom.
pub(crate) fn delegation(d: &Delegation) -> String {
    format!("{} stands in for {} in {}, from {} until {}", d.to, d.from, list(&d.groups), time(d.since), time(d.until))
}

/// A span of seconds, in hours where it is whole ones.
pub(crate) fn span(seconds: u64) -> String {
    if seconds.is_multiple_of(3_600) { format!("{} h", seconds / 3_600) } else { format!("{seconds} s") }
}

/// Which cold keys recover a tenant, and when.
pub(crate) fn recovery(terms: Option<&RecoveryTerms>) -> String {
    match terms {
        None => "recovery: by no key".to_owned(),
        Some(terms) => {
            let keys = terms.keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("recovery: by {} of the keys {keys}, after {}", terms.need, span(terms.delay_seconds))
        }
    }
}

/// Under which terms passkeys sign.
pub(crate) fn passkeys(terms: Option<&WebauthnTerms>) -> String {
    let words = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
    match terms {
        None => "passkeys: none counts".to_owned(),
        Some(terms) => {
            let (algorithms, origins) = (words(&terms.algorithms), words(&terms.origins));
            format!("passkeys: {algorithms}, for rpId {}, at {origins}", terms.rp_id)
        }
    }
}

/// A key as it is compared.
pub(crate) fn public(key: &ActorKey) -> String {
    let word = match (key.algorithm, key.independent) {
        (Algorithm::Ed25519, true) => "",
        (Algorithm::Ed25519, false) => " (not independent)",
        (Algorithm::Webauthn, true) => " (passkey, independent of governance's portal)",
        (Algorithm::Webauthn, false) => " (passkey)",
    };
    format!("{}{word}", key.public)
}

/// One caller rule, for people.
pub(crate) fn caller(rule: &CallerRule) -> String {
    let anchor = match &rule.anchor {
        Anchor::Ca { certificate } => format!("client CA {}", fingerprint(certificate)),
        Anchor::Fingerprint { digest } => format!("client certificate {digest}"),
    };
    let name = rule.name.as_ref().map(|n| format!(" named {n}")).unwrap_or_default();
    format!("{anchor}{name} uses system {}", rule.system)
}

/// SHA-256 of a certificate's DER, as every tool shows it, here in base64url.
pub(crate) fn fingerprint(der: &[u8]) -> Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    Digest(bytes)
}

fn list<T: ToString>(items: &BTreeSet<T>) -> String {
    if items.is_empty() {
        return "none".into();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
