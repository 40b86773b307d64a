//! The files of a pack, made from what is in it. Whoever checks one makes them anew from the same entries, and compares byte for byte.

use std::collections::BTreeMap;

use ledger::{Entry, TreeHead};
use orbital::names::{Digest, TenantId};
use serde::{Deserialize, Serialize};

use super::{
    super::super::{exit::Failure, plain},
    claims::{Claim, Span, access_lists, claims, residency_lists},
    controls::{self, Control, Topic},
    facts::{self, Facts, unproven},
};

/// Version of the form of a pack.
pub(super) const VERSION: u32 = 1;
pub(super) const PACK: &str = "pack.json";
pub(super) const ENTRIES: &str = "entries.jsonl";
pub(super) const CHECKPOINT: &str = "checkpoint.note";
pub(super) const MANIFEST: &str = "manifest.sha256";

/// Files by their paths in the pack.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// What was asked, and what is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pack {
    pub(super) v: u32,
    pub(super) tenant: TenantId,
    /// Ids of controls, or of norms; all where there is none.
    pub(super) controls: Vec<String>,
    pub(super) from_ms: Option<u64>,
    pub(super) to_ms: Option<u64>,
    /// The key under the checkpoint, and those of witnesses that cosigned it.
    pub(super) log: String,
    pub(super) witnesses: Vec<String>,
    pub(super) claims: Vec<Claim>,
}

/// An entry and the proof that it stands in the checkpoint's ledger.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proven {
    sequence: u64,
    at_ms: u64,
    kind: String,
    subject: String,
    correlation: String,
    /// As it stands in the ledger, byte for byte.
    body: String,
    previous: Digest,
    hash: Digest,
    proof: Vec<Digest>,
}

impl Proven {
    pub(super) fn of(entry: &Entry, proof: Vec<ledger::Hash>) -> Result<Self, Failure> {
        let place = format!("entry {}", entry.sequence);
        let body = String::from_utf8(entry.body.clone()).map_err(|_| unproven(&place, "its body is no text"))?;
        Ok(Self {
            sequence: entry.sequence,
            at_ms: entry.at_ms,
            kind: entry.kind.clone(),
            subject: entry.subject.clone(),
            correlation: entry.correlation.clone(),
            body,
            previous: Digest(entry.previous),
            hash: Digest(entry.hash),
            proof: proof.into_iter().map(Digest).collect(),
        })
    }

    /// The entry, if its content gives its hash and it stands in the ledger of `head`.
    pub(super) fn entry(self, head: &TreeHead) -> Result<Entry, Failure> {
        let entry = Entry {
            sequence: self.sequence,
            at_ms: self.at_ms,
            kind: self.kind,
            subject: self.subject,
            correlation: self.correlation,
            body: self.body.into_bytes(),
            previous: self.previous.0,
            hash: self.hash.0,
        };
        let place = format!("entry {}", entry.sequence);
        if entry.computed_hash() != entry.hash {
            return Err(unproven(&place, "its content does not give its hash: it was changed"));
        }
        let proof: Vec<ledger::Hash> = self.proof.into_iter().map(|digest| digest.0).collect();
        ledger::verify_inclusion(entry.sequence, &entry.hash, head, &proof)
            .map_err(|e| unproven(&place, &format!("it is not shown to stand in the ledger of the checkpoint: {e}")))?;
        Ok(entry)
    }
}

/// What a pack is made of: what was asked, the note, and entries of which each is known to stand in its ledger.
pub(super) struct Source<'a> {
    pub(super) asked: &'a Pack,
    pub(super) note: &'a [u8],
    pub(super) size: u64,
    pub(super) entries: &'a [Entry],
    /// `entries.jsonl`.
    pub(super) lines: &'a [u8],
}

/// Every file but the manifest, and what they claim.
pub(super) fn files(source: &Source<'_>) -> Result<(Files, Pack), Failure> {
    let facts = facts::read(source.asked.tenant, source.entries)?;
    let chosen = controls::asked_for(&source.asked.controls);
    let mut topics: Vec<Topic> = chosen.iter().flat_map(|control| control.topics.iter().copied()).collect();
    topics.sort();
    topics.dedup();
    let span: Span = (source.asked.from_ms, source.asked.to_ms);
    let pack = Pack { claims: claims(&facts, &topics, span), ..source.asked.clone() };
    let mut files = Files::from([
        (PACK.to_owned(), json(&pack)?),
        (CHECKPOINT.to_owned(), source.note.to_vec()),
        (ENTRIES.to_owned(), source.lines.to_vec()),
        ("trust.json".to_owned(), json(&facts.trust)?),
        ("access.json".to_owned(), json(&access_lists(&facts))?),
        ("residency.json".to_owned(), json(&residency_lists(&facts))?),
        ("README.md".to_owned(), readme(&pack, &facts, source, &chosen, &topics).into_bytes()),
    ]);
    for decision in &facts.decisions {
        files.insert(decision.path(), json(&decision.file)?);
    }
    Ok((files, pack))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| unproven("", &e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn readme(pack: &Pack, facts: &Facts, source: &Source<'_>, chosen: &[&Control], topics: &[Topic]) -> String {
    let name = facts.versions.last().map(|version| version.root().name.to_string()).unwrap_or_default();
    let moment = |ms: Option<u64>, none: &str| ms.map_or_else(|| none.to_owned(), plain::time_ms);
    let mut text = format!(
        "# Evidence: tenant {name}\n\nFingerprint: `{}`\n\nTime: {} to {}. Entries: {} of this tenant, under the checkpoint at entry {} of the ledger.\n\n",
        pack.tenant,
        moment(pack.from_ms, "the founding"),
        moment(pack.to_ms, "the checkpoint"),
        source.entries.len(),
        source.size
    );
    text += &format!(
        "Check all of it offline:\n\n```\nkcm evidence verify . --tenant {0} --log '{1}'\nkcm trust verify trust.json --tenant {0}\n\
         kcm certificate verify certificates/ID.json --tenant {0}\n```\n\nThe fingerprint comes from the tenant, the key after `--log` from who \
         runs governance: take neither from this pack.\n",
        pack.tenant, pack.log
    );
    text += "\n## Controls\n\n| control | what it asks, in our words | shown under |\n|---|---|---|\n";
    for control in chosen {
        let under: Vec<&str> = control.topics.iter().map(|topic| topic.title()).collect();
        text += &format!("| {} | {} | {} |\n", control.norm, control.asks, under.join("; "));
    }
    for topic in topics {
        text += &format!("\n## {}\n\n| | claim | entries | files |\n|---|---|---|---|\n", topic.title());
        for claim in pack.claims.iter().filter(|claim| claim.topic == *topic) {
            let mark = if claim.proved { "proved" } else { "NOT PROVED" };
            let entries: Vec<String> = claim.entries.iter().map(u64::to_string).collect();
            let says = claim.says.replace('|', "\\|");
            text += &format!("| {mark} | {says} | {} | {} |\n", entries.join(", "), claim.files.join(", "));
        }
        text += &format!("\nNot shown by this: {}\n", topic.beyond());
    }
    text += "\n## What a pack cannot show\n\nThat nothing else was decided or refused, and that its newest trust version is the tenant's newest: a \
             proof of inclusion shows what stands in the ledger, not what does not. Whoever needs that takes the whole ledger (`kcm audit export`, `kcm audit verify`). Times are the clocks of governance \
             and of regions.\n";
    text
}
