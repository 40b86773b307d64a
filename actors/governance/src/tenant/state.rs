//! A tenant as the fold of its records. Pure: the live actor and a replay after a restart go through the same [`Tenant::apply`], so they
//! cannot differ.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use orbital::{
    certificate::Certificate,
    chain::{Chain, Genesis},
    change::{Action, Change},
    fork::{FORKS_MAX, Fork},
    halt::{Halt, Halts},
    names::{Correlation, Digest, Group, ProposalId, Region, TenantId},
    routing::Routing,
    sign::Signed,
    vote::{Role, Vote},
};

use super::{
    armed,
    file::{Answer, Note, Probe, Progress, Proposal, Unfit, id_of, opened},
    founding::Founding,
    record::{Record, Voice},
    recover::Received,
    stops::Stops,
};
use crate::proposal::{Event, moved};

/// Most ended proposals of one tenant that are held in memory. Older ones are in the ledger alone.
pub(crate) const ENDED_KEPT_MAX: usize = 256;

/// A change that came into force and moved the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) change: Change,
    pub(crate) digest: Digest,
    pub(crate) certificate: Certificate,
}

/// A halt that came into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub(crate) halt: Halt,
    /// The change that set it.
    pub(crate) action: Action,
    pub(crate) regions: BTreeSet<Region>,
    pub(crate) certificate: Certificate,
    /// The trust version under which it was made.
    pub(crate) version: u64,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tenant {
    pub(crate) genesis: Genesis,
    pub(crate) chain: Chain,
    /// Certificates of versions 2 and up.
    pub(crate) links: Vec<Certificate>,
    /// Second successors of versions of the chain that nothing has declared void, by their digest: while there is one, the tenant is frozen.
    pub(crate) forks: BTreeMap<Digest, Fork>,
    pub(crate) epoch: u64,
    /// Recoveries of the present version that wait, by digest of their change.
    pub(crate) recoveries: BTreeMap<Digest, Received>,
    /// In the order of their epochs.
    pub(crate) grants: Vec<Grant>,
    pub(crate) halts: BTreeMap<Digest, Stopped>,
    /// Named by a change that lifts their kind.
    pub(crate) lifted: Halts,
    /// Digest of the LinkL1 in force.
    pub(crate) link: Option<Digest>,
    /// The routing of notices in force, and the ChangeRouting that set it; none until one did.
    pub(crate) routing: Option<(Digest, Routing)>,
    /// Serial of the topology that this trust root certified last.
    pub(crate) topology: Option<u64>,
    pub(crate) proposals: BTreeMap<ProposalId, Proposal>,
    /// Those that are not at their end.
    pub(crate) running: BTreeSet<ProposalId>,
    /// Those at their end, oldest first: at most [`ENDED_KEPT_MAX`].
    pub(crate) ended: VecDeque<ProposalId>,
    /// Ended and no longer held, with the end of their statements' time, Unix seconds: until then nobody may bring the same one again.
    pub(crate) past: BTreeSet<(u64, ProposalId)>,
    /// What people did lately towards stops that are not in force.
    pub(crate) stops: Stops,
    /// Last acknowledged trust version of each region.
    pub(crate) acknowledged: BTreeMap<Region, u64>,
    /// Regions that took the genesis.
    pub(crate) founded: BTreeSet<Region>,
    /// How far each is, or was, with taking it.
    pub(crate) founding: BTreeMap<Region, Founding>,
    /// Regions that acknowledged a TerminateTenant.
    pub(crate) annulled: BTreeSet<Region>,
    /// The restore after which every region has told what it holds: the mark of the ledger then.
    pub(crate) caught: Option<u64>,
}

impl Tenant {
    pub(crate) fn found(genesis: Genesis, at_ms: u64) -> Result<Self, Unfit> {
        let chain = genesis.found().map_err(|e| e.to_string())?;
        let founding = chain.current().regions.keys().map(|region| (region.clone(), Founding::begun(at_ms))).collect();
        Ok(Self {
            genesis,
            chain,
            links: Vec::new(),
            forks: BTreeMap::new(),
            recoveries: BTreeMap::new(),
            epoch: 0,
            grants: Vec::new(),
            halts: BTreeMap::new(),
            lifted: Halts::default(),
            link: None,
            routing: None,
            topology: None,
            proposals: BTreeMap::new(),
            running: BTreeSet::new(),
            ended: VecDeque::new(),
            past: BTreeSet::new(),
            stops: Stops::default(),
            acknowledged: BTreeMap::new(),
            founded: BTreeSet::new(),
            founding,
            annulled: BTreeSet::new(),
            caught: None,
        })
    }

    pub(crate) fn id(&self) -> TenantId {
        self.chain.tenant()
    }

    /// The TerminateTenants in force: nothing lifts one.
    pub(crate) fn terminations(&self) -> impl Iterator<Item = Digest> {
        let ends = self.halts.iter().filter(|(_, stopped)| matches!(stopped.action, Action::TerminateTenant {}));
        ends.map(|(digest, _)| *digest)
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.terminations().next().is_some()
    }

    /// The names of this ledger's halts.
    pub(crate) fn halt_names(&self) -> Halts {
        self.halts.iter().map(|(name, stopped)| (stopped.halt, *name)).collect()
    }

    pub(crate) fn grant(&self, digest: Digest) -> Option<&Grant> {
        self.grants.iter().find(|g| g.digest == digest)
    }

    /// One step of the fold. Gives back the ended proposal that made room for a newer one.
    pub(crate) fn apply(
        &mut self,
        at_ms: u64,
        correlation: &Correlation,
        record: Record,
    ) -> Result<Option<Proposal>, Unfit> {
        self.step(at_ms, correlation, record)?;
        Ok(self.forget(at_ms))
    }

    /// Drops the oldest ended proposal beyond [`ENDED_KEPT_MAX`]. The link's stays: whether all regions refused it decides about the next.
    fn forget(&mut self, at_ms: u64) -> Option<Proposal> {
        if self.ended.len() <= ENDED_KEPT_MAX {
            return None;
        }
        let link = self.link.and_then(|link| id_of(link).ok());
        let oldest = self.ended.iter().position(|id| Some(id) != link.as_ref())?;
        let gone = self.proposals.remove(&self.ended.remove(oldest)?)?;
        while self.past.first().is_some_and(|(expires, _)| *expires < at_ms / 1_000) {
            self.past.pop_first();
        }
        self.past.insert((gone.proposed.expires, gone.id.clone()));
        Some(gone)
    }

    fn step(&mut self, at_ms: u64, correlation: &Correlation, record: Record) -> Result<(), Unfit> {
        match record {
            Record::Provisioned { .. } => Err("the tenant is provisioned a second time".to_owned()),
            Record::Opened { proposal, change, statement, missing, evidence } => {
                let opened = opened(proposal, change, statement, missing, at_ms, correlation)?;
                let opened = Proposal { evidence, ..opened };
                if opened.is_stop() {
                    self.stops.opened(at_ms, &opened.proposed.person, &opened.id);
                }
                self.running.insert(opened.id.clone());
                self.proposals.insert(opened.id.clone(), opened);
                Ok(())
            }
            Record::Answered { proposal, voice, vote, missing } => {
                self.answered(&proposal, voice, vote, missing, at_ms)
            }
            Record::Withdrawn { proposal, vote: _ } => self.moved(&proposal, Event::Withdrawn, None),
            Record::Noted { proposal, by, text } => {
                self.proposal(&proposal)?.notes.push(Note { by, text, at_ms });
                Ok(())
            }
            Record::Expired { proposal } => self.moved(&proposal, Event::Expired, None),
            Record::Voided { proposal, why } => self.moved(&proposal, Event::Voided, Some(why)),
            Record::Armed { proposal } => self.armed(&proposal, at_ms),
            Record::Fired { proposal, vote } => self.fired(&proposal, vote, at_ms),
            Record::Certified { proposal } => {
                self.proposal(&proposal)?.missing.clear();
                self.moved(&proposal, Event::Certified, None)
            }
            Record::Applied { proposal, certificate, received_ms } => {
                self.applied(&proposal, certificate, received_ms)?;
                self.entered(at_ms);
                Ok(())
            }
            Record::ProbeAsked { proposal, regions } => {
                let probes = &mut self.proposal(&proposal)?.probes;
                probes.extend(regions.into_iter().map(|region| (region, Probe::default())));
                Ok(())
            }
            Record::Probed { proposal, region, state, resolved, why, took_ms } => {
                let probe = Probe { state: Some(state), resolved, why, took_ms };
                self.proposal(&proposal)?.probes.insert(region, probe);
                Ok(())
            }
            Record::Acknowledged { region, ack, waited_us, genesis } => {
                self.acknowledged(region, ack, waited_us, genesis)
            }
            Record::Confirmed { proposal } => self.moved(&proposal, Event::Confirmed, None),
            Record::Refused { proposal, why } => self.moved(&proposal, Event::Refused, Some(why)),
            Record::Learnt { region: _, certificate } => self.learnt(certificate),
            Record::Forked { region: _, certificate } => {
                // Met before it was written; what was declared void since is none any more.
                if let Some(fork) = self.meets(&certificate) {
                    self.forks.insert(fork.other(), fork);
                }
                Ok(())
            }
            Record::RecoveryReceived { certificate } => {
                self.received(certificate, at_ms);
                Ok(())
            }
            Record::Recovered { certificate } => self.recovered(certificate),
            Record::Reconciled { region, owed } => {
                self.brought(&region, &owed, at_ms);
                Ok(())
            }
            Record::Recalled { region: _, certificate } => self.recalled(certificate, at_ms),
            Record::CaughtUp { restored_ms } => {
                self.caught = Some(restored_ms);
                Ok(())
            }
        }
    }

    /// Whether this is a second successor of one of our versions, and one that we do not know yet.
    pub(crate) fn meets(&self, link: &Certificate) -> Option<Fork> {
        let fork = Fork::met(&self.chain, &self.genesis, &self.links, link)?;
        (!self.forks.contains_key(&fork.other()) && self.forks.len() < FORKS_MAX).then_some(fork)
    }

    pub(super) fn proposal(&mut self, id: &ProposalId) -> Result<&mut Proposal, Unfit> {
        self.proposals.get_mut(id).ok_or_else(|| format!("it speaks of proposal {id}, which was never opened"))
    }

    pub(super) fn moved(&mut self, id: &ProposalId, event: Event, why: Option<String>) -> Result<(), Unfit> {
        let proposal = self.proposal(id)?;
        let from = proposal.state;
        let to = moved(from, event).ok_or_else(|| format!("a proposal that is {from} cannot be {event}"))?;
        proposal.state = to;
        proposal.why = why.or(proposal.why.take());
        if to.is_end() {
            self.running.remove(id);
            self.ended.push_back(id.clone());
        }
        Ok(())
    }

    fn answered(
        &mut self,
        id: &ProposalId,
        voice: Voice,
        signed: Signed,
        missing: Vec<Group>,
        at_ms: u64,
    ) -> Result<(), Unfit> {
        let role = match voice {
            Voice::Approve => Role::Approve,
            Voice::Reject => Role::Reject,
            Voice::Confirm => Role::Confirm,
        };
        let vote = Vote::read(role, &signed).map_err(|e| e.to_string())?;
        let proposal = self.proposal(id)?;
        let (stop, person) = (proposal.is_stop(), vote.person.clone());
        let answers = match voice {
            Voice::Approve => &mut proposal.approvals,
            Voice::Reject => &mut proposal.rejections,
            Voice::Confirm => &mut proposal.confirmations,
        };
        answers.push(Answer { vote, signed, at_ms });
        proposal.missing = missing;
        if stop && voice != Voice::Reject {
            self.stops.answered(at_ms, &person, id);
        }
        // One rejection ends an ordinary proposal, but not a stop (PROTOCOL §4).
        let ends = voice == Voice::Reject && !stop;
        self.moved(id, if ends { Event::Rejected } else { Event::Answered }, None)
    }

    fn applied(&mut self, id: &ProposalId, certificate: Certificate, received_ms: u64) -> Result<(), Unfit> {
        self.moved(id, Event::Applied, None)?;
        let reached = armed::reached(self, &Change::from_bytes(&certificate.change).map_err(|e| e.to_string())?);
        let proposal = self.proposal(id)?;
        proposal.progress = reached.into_iter().map(|region| (region, Progress::default())).collect();
        proposal.certificate = Some(certificate.clone());
        proposal.received_ms = Some(received_ms);
        let (change, digest) = (proposal.change.clone(), proposal.digest);
        match &change.action {
            Action::RegisterSystem { .. }
            | Action::RetireSystem { .. }
            | Action::ChangeCallers { .. }
            | Action::ChangeActors { .. }
            | Action::ChangeQuorum { .. }
            | Action::ChangeLease { .. }
            | Action::ChangeResidency { .. }
            | Action::ChangePolicy { .. } => {
                self.lengthen(&certificate)?;
            }
            Action::LinkL1 { .. } => self.link = Some(digest),
            Action::ChangeRouting { routing, .. } => {
                self.routing = Some((digest, routing.clone()));
                return Ok(());
            }
            Action::ApplyTopology { serial, .. } => {
                self.topology = Some(*serial);
                return Ok(());
            }
            Action::RevokeL1 {} | Action::BlockTenant {} | Action::SuspendL1 {} | Action::TerminateTenant {} => {
                self.halted(digest, change, certificate)?;
                self.stops.ratified(id);
                return Ok(());
            }
            Action::RestoreL1 { .. } | Action::UnblockTenant { .. } | Action::ResumeL1 { .. } => {
                self.lift(&change.action)
            }
        }
        self.granted(change, certificate);
        Ok(())
    }

    /// The next version of the trust root. What waited for its turn upon the one before is cancelled.
    pub(super) fn lengthen(&mut self, link: &Certificate) -> Result<(), Unfit> {
        (self.chain, _) = self.chain.extend(link).map_err(|e| e.to_string())?;
        self.links.push(link.clone());
        self.forks.retain(|other, _| !self.chain.voids(other));
        self.recoveries.clear();
        Ok(())
    }

    pub(super) fn granted(&mut self, change: Change, certificate: Certificate) {
        self.epoch = self.epoch.max(change.epoch);
        let digest = Change::digest_of(&certificate.change);
        // What is recalled may come after a later one of another region.
        let at = self.grants.partition_point(|known| known.change.epoch <= change.epoch);
        self.grants.insert(at, Grant { change, digest, certificate });
    }

    /// Regions that are to leave and have not said that they did.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = &Region> {
        let left = |region: &Region, version| self.acknowledged.get(region).is_some_and(|known| *known >= version);
        self.chain.departed().iter().filter(move |(region, d)| !left(region, d.version)).map(|(region, _)| region)
    }

    /// Every region that is to hear of this tenant: those of its trust root, and those that are to leave.
    pub(crate) fn regions(&self) -> Vec<Region> {
        self.chain.current().regions.keys().chain(self.leaving()).cloned().collect()
    }

    /// Certified before it was written.
    pub(super) fn learnt(&mut self, certificate: Certificate) -> Result<(), Unfit> {
        let change = Change::from_bytes(&certificate.change).map_err(|e| e.to_string())?;
        let digest = Change::digest_of(&certificate.change);
        if self.halts.contains_key(&digest) { Ok(()) } else { self.halted(digest, change, certificate) }
    }

    fn halted(&mut self, digest: Digest, change: Change, certificate: Certificate) -> Result<(), Unfit> {
        let halt = Halt::set_by(&change.action).ok_or_else(|| format!("a {} stops nothing", change.kind()))?;
        let Change { action, regions, trust_version: version, .. } = change;
        self.halts.insert(digest, Stopped { halt, action, regions, certificate, version });
        Ok(())
    }

    pub(super) fn lift(&mut self, action: &Action) {
        if let Some((halt, names)) = Halt::lifted_by(action) {
            self.lifted.of_mut(halt).extend(names);
        }
    }

    /// A proposal by its change's digest: the same text is its id.
    pub(crate) fn by_change(&self, change: Digest) -> Option<&Proposal> {
        self.proposals.get(&id_of(change).ok()?)
    }
    pub(super) fn by_change_mut(&mut self, change: Digest) -> Option<&mut Proposal> {
        self.proposals.get_mut(&id_of(change).ok()?)
    }
}
