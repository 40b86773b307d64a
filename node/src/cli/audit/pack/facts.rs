//! What a tenant's entries prove, and nothing that they only say: the trust chain, decisions under it, and regions' signed answers.
//!
//! A decision counts once its certificate holds under the chain as it stood, and each vote in it stands in an entry of its own.

use std::collections::{BTreeMap, BTreeSet};

use ledger::Entry;
use orbital::{
    canon,
    certificate::Certificate,
    chain::{Chain, Genesis},
    change::{Action, Change, ChangeKind},
    fork::Fork,
    names::{Digest, KeyName, Person, ProposalId, Region, TenantId},
    report::{Outcome, SyncAck},
    sign::Signed,
    trust::TrustRoot,
    vote::{Role, Vote},
};
use serde::Deserialize;

use super::super::super::{
    TrustFile,
    evidence::{self, CertificateFile},
    exit::Failure,
    plain,
};

/// Version of the entries' bodies that is read here.
const BODY_VERSION: u32 = 1;

/// A body, as far as it proves something.
#[derive(Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
enum Body {
    Provisioned {
        genesis: Genesis,
    },
    Opened {
        proposal: ProposalId,
        #[serde(with = "canon::bytes")]
        change: Vec<u8>,
        statement: Signed,
    },
    Answered {
        proposal: ProposalId,
        vote: Signed,
    },
    Fired {
        proposal: ProposalId,
        vote: Signed,
    },
    Applied {
        proposal: ProposalId,
        certificate: Certificate,
    },
    Acknowledged {
        ack: Signed,
    },
    Learnt {
        certificate: Certificate,
    },
    Recovered {
        certificate: Certificate,
    },
    RecoveryReceived {
        certificate: Certificate,
    },
    Forked {
        region: Region,
        certificate: Certificate,
    },
    Recalled {
        certificate: Certificate,
    },
    #[serde(other)]
    Other,
}

/// A version of the trust root, and since when it stood.
pub(super) struct Version {
    /// As it stood then.
    chain: Chain,
    pub(super) since_ms: u64,
    pub(super) entry: u64,
    /// The recovery keys that made it; none where people decided.
    pub(super) recovered_by: BTreeSet<KeyName>,
}

impl Version {
    fn decided(chain: Chain, entry: &Entry) -> Self {
        Self { chain, since_ms: entry.at_ms, entry: entry.sequence, recovered_by: BTreeSet::new() }
    }

    pub(super) fn root(&self) -> &TrustRoot {
        self.chain.current()
    }
}

/// A region's signed answer.
pub(super) struct Answer {
    pub(super) applied: bool,
    pub(super) at_ms: u64,
    pub(super) entry: u64,
}

/// What was decided and put into effect.
pub(super) struct Decision {
    /// The proposal's id; of what came by a region, the digest of its change.
    pub(super) name: String,
    /// How it came here, where no votes of it were written down when they were cast.
    pub(super) aside: Option<&'static str>,
    pub(super) at_ms: u64,
    pub(super) kind: ChangeKind,
    pub(super) action: Action,
    pub(super) proposer: Person,
    pub(super) approvers: Vec<Person>,
    /// The rule of the version that it was made under, in words.
    pub(super) rule: String,
    /// That version.
    pub(super) under: u64,
    /// Those that it reaches.
    pub(super) regions: BTreeSet<Region>,
    /// The entries that hold it: opened, votes, applied.
    pub(super) entries: Vec<u64>,
    pub(super) answers: BTreeMap<Region, Answer>,
    pub(super) file: CertificateFile,
}

impl Decision {
    pub(super) fn path(&self) -> String {
        format!("certificates/{}.json", self.name)
    }
}

/// A second certified successor of one version, as a region met it.
pub(super) struct Forked {
    pub(super) fork: Fork,
    pub(super) region: Region,
    pub(super) at_ms: u64,
    pub(super) entry: u64,
}

/// A recovery that began to wait.
pub(super) struct Waiting {
    /// The version that it makes once it is in force.
    pub(super) next: u64,
    pub(super) digest: Digest,
    pub(super) keys: BTreeSet<KeyName>,
    pub(super) at_ms: u64,
    pub(super) entry: u64,
}

/// See the module.
pub(super) struct Facts {
    pub(super) trust: TrustFile,
    pub(super) versions: Vec<Version>,
    pub(super) decisions: Vec<Decision>,
    pub(super) forks: Vec<Forked>,
    pub(super) waiting: Vec<Waiting>,
}

/// What was said of an open proposal.
#[derive(Default)]
struct Open {
    change: Vec<u8>,
    said: Vec<(Signed, u64)>,
}

struct Reading {
    tenant: TenantId,
    facts: Facts,
    open: BTreeMap<ProposalId, Open>,
    decided: BTreeMap<Digest, usize>,
}

/// Where the votes of a decision stand.
enum Spoken {
    /// In these entries.
    In(Vec<u64>),
    /// In its certificate alone, since it came like this.
    Aside(&'static str),
}

const BY_HAND: &str = " by hand, past governance";
const TAKEN_BACK: &str = " and taken back from a region, since this ledger was put back from a backup";

/// Reads a tenant's entries, in order. Each is known to stand in the ledger.
pub(super) fn read(tenant: TenantId, entries: &[Entry]) -> Result<Facts, Failure> {
    let lost = |what: &str| unproven("entries.jsonl", &format!("{what} is not among the entries"));
    let Some((first, rest)) = entries.split_first() else { return Err(lost("any entry of this tenant")) };
    let Body::Provisioned { genesis } = body(first)? else { return Err(lost("the entry that founds the tenant")) };
    let trust = TrustFile { tenant, genesis, links: Vec::new() };
    let versions = vec![Version::decided(trust.verify(Some(tenant))?, first)];
    let facts = Facts { trust, versions, decisions: Vec::new(), forks: Vec::new(), waiting: Vec::new() };
    let mut reading = Reading { tenant, facts, open: BTreeMap::new(), decided: BTreeMap::new() };
    for entry in rest {
        reading.take(entry)?;
    }
    Ok(reading.facts)
}

fn body(entry: &Entry) -> Result<Body, Failure> {
    #[derive(Deserialize)]
    struct Marked {
        v: u32,
    }
    let place = format!("entry {}", entry.sequence);
    let unread = |why: &dyn std::fmt::Display| unproven(&place, &format!("its body does not read: {why}"));
    match serde_json::from_slice::<Marked>(&entry.body) {
        Ok(Marked { v: BODY_VERSION }) => serde_json::from_slice(&entry.body).map_err(|e| unread(&e)),
        Ok(Marked { v }) => Err(unread(&format!("it is of version {v}, this release reads {BODY_VERSION}"))),
        Err(e) => Err(unread(&e)),
    }
}

pub(super) fn unproven(place: &str, why: &str) -> Failure {
    Failure::denied("the pack does not prove what it says")
        .at(place)
        .because(why)
        .fix("believe none of it; ask for a new pack, or for the whole ledger (`kcm audit export`)")
}

impl Reading {
    fn take(&mut self, entry: &Entry) -> Result<(), Failure> {
        match body(entry)? {
            Body::Provisioned { .. } => {
                return Err(unproven(&format!("entry {}", entry.sequence), "it founds the tenant a second time"));
            }
            Body::Opened { proposal, change, statement } => {
                self.open.insert(proposal, Open { change, said: vec![(statement, entry.sequence)] });
            }
            Body::Answered { proposal, vote } | Body::Fired { proposal, vote } => {
                self.open.entry(proposal).or_default().said.push((vote, entry.sequence));
            }
            Body::Applied { proposal, certificate } => {
                let entries = self.spoken(&proposal, &certificate)?;
                self.decided(proposal.to_string(), entry, certificate, Spoken::In(entries))?;
            }
            Body::Learnt { certificate } => {
                let name = Change::digest_of(&certificate.change).to_string();
                self.decided(name, entry, certificate, Spoken::Aside(BY_HAND))?;
            }
            Body::Recalled { certificate } if certificate.is_recovery() => self.recovered(entry, certificate)?,
            Body::Recalled { certificate } => {
                let name = Change::digest_of(&certificate.change).to_string();
                self.decided(name, entry, certificate, Spoken::Aside(TAKEN_BACK))?;
            }
            Body::Recovered { certificate } => self.recovered(entry, certificate)?,
            Body::RecoveryReceived { certificate } => self.waits(entry, &certificate)?,
            Body::Forked { region, certificate } => self.forked(entry, region, &certificate),
            Body::Acknowledged { ack } => self.answered(entry, &ack)?,
            Body::Other => {}
        }
        Ok(())
    }

    /// The entries in which the votes of a certificate stand. A vote that stands in none was not written down when it was cast.
    fn spoken(&self, proposal: &ProposalId, certificate: &Certificate) -> Result<Vec<u64>, Failure> {
        let place = format!("proposal {proposal}");
        let open = self.open.get(proposal).filter(|open| !open.change.is_empty());
        let open = open.ok_or_else(|| unproven(&place, "the entry that opened it is not among the entries"))?;
        if open.change != certificate.change {
            return Err(unproven(&place, "its certificate is of another change than the one that was opened"));
        }
        let votes = [&certificate.proposal].into_iter().chain(&certificate.approvals).chain(&certificate.confirmations);
        let found = votes.map(|vote| {
            let entry = open.said.iter().find(|(said, _)| said == vote).map(|(_, entry)| *entry);
            entry.ok_or_else(|| unproven(&place, "a vote of its certificate stands in no entry of the pack"))
        });
        found.collect()
    }

    fn decided(
        &mut self,
        name: String,
        entry: &Entry,
        certificate: Certificate,
        spoken: Spoken,
    ) -> Result<(), Failure> {
        let place = format!("entry {}", entry.sequence);
        let chain = self.chain_of(&certificate).map_err(|why| unproven(&place, &why))?;
        let (next, certified) = evidence::proven_under(chain, &certificate).map_err(|why| why.at(&place))?;
        let (change, digest) = (certified.change().clone(), certified.digest());
        if self.decided.contains_key(&digest) {
            return Ok(());
        }
        let (under, made_under) = (change.trust_version, chain.current());
        let rule = made_under.rule(change.kind()).map_err(|e| unproven(&place, &e.to_string()))?;
        let proposed = Vote::read(Role::Propose, &certificate.proposal);
        let proposer = proposed.map_err(|e| unproven(&place, &e.to_string()))?.person;
        let approvers = certified.signers().into_iter().filter(|person| *person != proposer).collect();
        let (said, aside) = match spoken {
            Spoken::In(entries) => (entries, None),
            Spoken::Aside(how) => (Vec::new(), Some(how)),
        };
        let entries = said.into_iter().chain([entry.sequence]).collect();
        let (rule, regions) = (plain::rule(change.kind(), rule), change.regions.clone());
        let (kind, action, at_ms) = (change.kind(), change.action, entry.at_ms);
        let TrustFile { genesis, links, .. } = &mut self.facts.trust;
        let file = CertificateFile { genesis: genesis.clone(), links: links.clone(), certificate };
        if let Some(next) = next {
            links.push(file.certificate.clone());
            self.facts.versions.push(Version::decided(next, entry));
        }
        self.decided.insert(digest, self.facts.decisions.len());
        let answers = BTreeMap::new();
        let decision = Decision {
            name,
            aside,
            at_ms,
            kind,
            action,
            proposer,
            approvers,
            rule,
            under,
            regions,
            entries,
            answers,
            file,
        };
        self.facts.decisions.push(decision);
        Ok(())
    }

    /// The chain as it stood when a decision was made.
    fn chain_of(&self, certificate: &Certificate) -> Result<&Chain, String> {
        let under = Change::from_bytes(&certificate.change).map_err(|e| e.to_string())?.trust_version;
        let at = usize::try_from(under.saturating_sub(1)).unwrap_or(usize::MAX);
        let versions = &self.facts.versions;
        let made_under = versions.get(at).or(versions.last()).ok_or("no version stands before it")?;
        Ok(&made_under.chain)
    }

    /// The next version by cold keys: enough of those that the version before names.
    fn recovered(&mut self, entry: &Entry, certificate: Certificate) -> Result<(), Failure> {
        let (next, recovered_by) = self.by_cold_keys(entry, &certificate)?;
        self.facts.trust.links.push(certificate);
        self.facts.versions.push(Version { recovered_by, ..Version::decided(next, entry) });
        Ok(())
    }

    /// A recovery begins to wait.
    fn waits(&mut self, entry: &Entry, certificate: &Certificate) -> Result<(), Failure> {
        let (next, keys) = self.by_cold_keys(entry, certificate)?;
        let place = format!("entry {}", entry.sequence);
        let digest = next.current().digest().map_err(|e| unproven(&place, &e.to_string()))?;
        let (next, at_ms, entry) = (next.current().version, entry.at_ms, entry.sequence);
        self.facts.waiting.push(Waiting { next, digest, keys, at_ms, entry });
        Ok(())
    }

    fn by_cold_keys(&self, entry: &Entry, certificate: &Certificate) -> Result<(Chain, BTreeSet<KeyName>), Failure> {
        let place = format!("entry {}", entry.sequence);
        let chain = self.chain_of(certificate).map_err(|why| unproven(&place, &why))?;
        let keys = certificate.recovered_by(chain.current());
        let keys = keys.ok_or_else(|| unproven(&place, "what it calls a recovery is signed as none"))?;
        let keys = keys.map_err(|e| unproven(&place, &e.to_string()))?;
        let (next, _) = chain.extend(certificate).map_err(|e| unproven(&place, &e.to_string()))?;
        Ok((next, keys))
    }

    /// A second successor, if it is certified as one. What was known or void before is none.
    fn forked(&mut self, entry: &Entry, region: Region, certificate: &Certificate) {
        let TrustFile { genesis, links, .. } = &self.facts.trust;
        let newest = self.facts.versions.last().map(|version| &version.chain);
        let met = newest.and_then(|chain| Fork::met(chain, genesis, links, certificate));
        let known = |fork: &Fork| self.facts.forks.iter().any(|known| known.fork.other() == fork.other());
        if let Some(fork) = met.filter(|fork| !known(fork)) {
            let (at_ms, entry) = (entry.at_ms, entry.sequence);
            self.facts.forks.push(Forked { fork, region, at_ms, entry });
        }
    }

    /// A region's answer to a decision, under its own key of the trust root.
    fn answered(&mut self, entry: &Entry, signed: &Signed) -> Result<(), Failure> {
        let place = format!("entry {}", entry.sequence);
        let said = SyncAck::peek(signed).map_err(|e| unproven(&place, &e.to_string()))?;
        let roots = self.facts.versions.iter().rev().filter_map(|version| version.root().regions.get(&said.region));
        let opened = roots.into_iter().find_map(|region| SyncAck::open(signed, &region.report_key).ok());
        let why = "the answer bears no signature of a region of this tenant";
        let ack = opened.filter(|ack| ack.tenant == self.tenant).ok_or_else(|| unproven(&place, why))?;
        let decision = ack.change.and_then(|change| self.decided.get(&change)).copied();
        if let Some(decision) = decision.and_then(|at| self.facts.decisions.get_mut(at)) {
            let answer =
                Answer { applied: ack.outcome == Outcome::Applied, at_ms: ack.at_us / 1_000, entry: entry.sequence };
            decision.answers.insert(ack.region, answer);
        }
        Ok(())
    }
}
