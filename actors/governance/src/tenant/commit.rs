//! Committing: how a decision of a tenant's actor comes to exist, and what follows from it once it does.

use std::sync::Arc;

use orbital::{
    change::Change,
    names::{Correlation, Digest, ProposalId},
};
use ractor::{Actor, ActorCell};

use super::{actor::State, decision::Decision, record::Record};
use crate::{
    error::{Error, Fault, Refusal},
    events::Happened,
    proposal::{Watch, WatchArgs},
    supervisor::{self, Child, Spawned},
};

impl State {
    /// Commits what nobody waits for; a failure is logged, and what led here comes again. True when it was committed.
    pub(super) async fn by_itself(
        &mut self,
        what: &str,
        on: &impl std::fmt::Display,
        correlation: Option<Correlation>,
        decided: Result<Decision, Error>,
    ) -> bool {
        let correlation = correlation.map_or_else(|| Correlation::new("governance"), Ok);
        let committed = match (decided, correlation) {
            (Ok(decision), Ok(correlation)) => self.commit(decision, &correlation).await,
            (Err(e), _) => Err(e),
            (Ok(_), Err(e)) => Err(Fault::Unwritable { what: "a correlation id", why: e.to_string() }.into()),
        };
        if let Err(e) = &committed {
            tracing::error!(tenant = %self.tenant.id(), "could not {what} {on}: {e}");
        }
        committed.is_ok()
    }

    /// Makes a decision exist: one append, then the fold, then what follows from it. The couriers have the owed rows by then.
    pub(super) async fn commit(&mut self, decision: Decision, correlation: &Correlation) -> Result<(), Error> {
        if decision.is_empty() {
            return Ok(());
        }
        let now_ms = self.shared.clock.unix_ms();
        let batch = decision.batch(self.tenant.id(), correlation, now_ms)?;
        self.claim(&decision)?;
        let appended = self.shared.scribe.append(batch).await;
        if appended.is_err() {
            self.enter_trust();
        }
        let receipt = appended?;
        for (owe, row) in decision.owe.into_iter().zip(&receipt.owed) {
            self.pending.add(owe.region, row.id, Digest(row.digest), &owe.directive);
        }
        self.pending.settled(&decision.settle);
        let version = self.tenant.chain.version();
        for record in decision.records {
            self.fold(now_ms, correlation, record)?;
        }
        // Once all are folded: after the first of them the root in force is still the old one, and what was taken would be given back.
        if self.tenant.chain.version() != version {
            self.enter_trust();
        }
        if self.tenant.chain.version() != version || !self.tenant.chain.departed().is_empty() {
            self.shared.roster.spread(self.tenant.id(), self.tenant.regions());
        }
        Ok(())
    }

    /// Takes the client anchors of a trust root that is about to come into force. Another tenant's actor may be deciding at this moment.
    fn claim(&self, decision: &Decision) -> Result<(), Error> {
        let applied = decision.records.iter().filter_map(|record| match record {
            Record::Applied { certificate, .. } | Record::Recalled { certificate, .. } => Some(&certificate.change),
            _ => None,
        });
        for bytes in applied {
            let change = Change::from_bytes(bytes).map_err(Refusal::MalformedChange)?;
            if let Some(next) = change.action.next() {
                self.shared.claims.take(self.tenant.id(), next)?;
            }
        }
        Ok(())
    }

    fn fold(&mut self, now_ms: u64, correlation: &Correlation, record: Record) -> Result<(), Fault> {
        let id = record.proposal().cloned();
        let before = id.as_ref().and_then(|id| self.tenant.proposals.get(id)).map(|p| p.state);
        let past = self.tenant.apply(now_ms, correlation, record).map_err(|why| {
            tracing::error!(tenant = %self.tenant.id(), why, "a durable record does not fit the state");
            Fault::Unwritable { what: "a decision", why }
        })?;
        if let Some(past) = past {
            self.shared.roster.leave_proposal(&past.id);
            self.shared.tally.moved(Some(past.state), None);
        }
        let Some(proposal) = id.and_then(|id| self.tenant.proposals.get(&id)) else { return Ok(()) };
        if before.is_none() {
            self.shared.roster.enter_proposal(proposal.id.clone(), self.tenant.id());
            self.watch(proposal.id.clone());
        }
        if before != Some(proposal.state) {
            self.shared.tally.moved(before, Some(proposal.state));
        }
        let happened = Happened::Proposal {
            tenant: self.tenant.id(),
            proposal: proposal.id.clone(),
            kind: proposal.kind(),
            state: proposal.state,
            why: proposal.why.clone(),
        };
        if proposal.state.is_end() {
            self.received_us.remove(&proposal.id);
        }
        self.shared.events.tell(now_ms, Some(correlation.clone()), happened);
        Ok(())
    }

    /// Somebody looks after the proposal's time and its silent regions.
    pub(super) fn watch(&self, proposal: ProposalId) {
        let args = WatchArgs { shared: Arc::clone(&self.shared), tenant: self.tenant.id(), proposal: proposal.clone() };
        let spawn = move |parent: ActorCell| -> Spawned {
            let args = args.clone();
            Box::pin(async move { Ok(Actor::spawn_linked(None, Watch, args, parent).await?.0.get_cell()) })
        };
        let child = Child {
            id: format!("proposal/{proposal}"),
            spawn: Arc::new(spawn),
            lasting: false,
            carries: false,
            vital: true,
        };
        let cast = self.shared.root.get().map(|root| root.cast(supervisor::Msg::Start(child, None)));
        if !matches!(cast, Some(Ok(()))) {
            tracing::error!(%proposal, "nobody watches over this proposal: governance is ending");
        }
    }
}
