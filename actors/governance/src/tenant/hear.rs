//! Hearing: what a tenant's actor does with one report of a region. The decisions are in `report`, `level` and `lease`.

use orbital::{
    certificate::Certificate,
    change::Change,
    directive::Directive,
    lane::Lane,
    names::{Correlation, Digest, ProposalId, Region},
    report::{L1State, Observed, Outcome, Probed},
    sign::Signed,
};

use super::{
    actor::State,
    decision::{Decision, Facts},
    lease::renewal,
    queue::Report,
    recall::{QUESTIONS_MAX, caught_up, question, recalled},
    report::{acknowledged, forked, open_ack, probed, stopped},
};
use crate::{change::directive, events::Happened, fleet::CourierMsg};

impl State {
    pub(super) async fn report(&mut self) {
        match self.reports.take() {
            Some((region, Report::Acknowledged { ack, received_us })) => {
                self.acknowledged(region, ack, received_us).await
            }
            Some((region, Report::Probed(probed))) => self.probed(region, probed).await,
            Some((region, Report::Stopped(certificate))) => self.stopped(region, certificate).await,
            Some((region, Report::Branch(certificate))) => self.branch(region, certificate).await,
            Some((region, Report::Recalled(certificate))) => self.recalled(region, certificate).await,
            Some((region, Report::Observed(observed))) => self.observed(region, observed).await,
            None => {}
        }
    }

    async fn acknowledged(&mut self, region: Region, signed: Signed, received_us: u64) {
        let ack = match open_ack(&self.tenant, &region, &signed) {
            Ok(ack) => ack,
            Err(why) => {
                tracing::warn!(tenant = %self.tenant.id(), %region, "a SyncAck was refused: {why}");
                return metrics::counter!("orbital_acks_refused_total", "region" => region.to_string()).increment(1);
            }
        };
        let (directive, change) = (ack.directive, ack.change);
        let proposal = change.and_then(|change| self.tenant.by_change(change)).map(|p| p.id.clone());
        let waited_us = self.waited_us(proposal.as_ref(), received_us);
        if ack.outcome == Outcome::Applied {
            self.seen.entry(region.clone()).or_default().version = Some(ack.trust_version);
            if let Some(change) = change.filter(|change| self.tenant.halts.contains_key(change)) {
                self.levels.taken(&region, change, self.shared.clock.unix_ms());
            }
        }
        let happened = Happened::Acknowledged {
            tenant: self.tenant.id(),
            region: region.clone(),
            directive,
            proposal: proposal.clone(),
            outcome: ack.outcome,
            why: ack.why.clone(),
            waited_us,
            took_us: ack.took_us,
        };
        let decided = acknowledged(&self.tenant, &self.facts(), &self.pending, (ack, signed), waited_us);
        let known = decided.as_ref().is_ok_and(Decision::is_empty);
        if known && !self.pending.of(&region, directive).is_empty() {
            return; // A probe that the region took up: its report is the answer.
        }
        let correlation = self.correlation_of(proposal.as_ref());
        if !known && self.by_itself("acknowledge", &directive, correlation.clone(), decided).await {
            self.shared.events.tell(self.shared.clock.unix_ms(), correlation, happened);
        }
        if self.pending.of(&region, directive).is_empty() {
            self.settled(&region, directive);
        }
    }

    fn waited_us(&self, proposal: Option<&ProposalId>, received_us: u64) -> u64 {
        let Some(id) = proposal else { return 0 };
        let this_run = self.received_us.get(id).map(|since| received_us.saturating_sub(*since));
        let decided = self.tenant.proposals.get(id).and_then(|p| p.received_ms);
        let wall = || decided.map(|ms| self.shared.clock.unix_ms().saturating_sub(ms).saturating_mul(1_000));
        this_run.or_else(wall).unwrap_or(0)
    }

    pub(super) fn correlation_of(&self, proposal: Option<&ProposalId>) -> Option<Correlation> {
        proposal.and_then(|id| self.tenant.proposals.get(id)).map(|p| p.correlation.clone())
    }

    /// The courier need not send it again. Both lanes are told: the one without it does nothing.
    fn settled(&self, region: &Region, directive: Digest) {
        for lane in Lane::BOTH {
            if let Some(port) = self.shared.ports.port(region, lane) {
                port.cast(CourierMsg::Settled(directive));
            }
        }
    }

    async fn probed(&mut self, region: Region, report: Probed) {
        let digests: Vec<_> = self.pending.probes(&region, report.change).into_iter().map(|(d, _)| d).collect();
        let proposal = self.tenant.by_change(report.change).map(|p| p.id.clone());
        let happened = proposal.clone().map(|proposal| Happened::Probed {
            tenant: self.tenant.id(),
            region: region.clone(),
            proposal,
            enabled: report.state == L1State::Enabled && report.why.is_empty(),
            why: report.why.clone(),
        });
        let correlation = self.correlation_of(proposal.as_ref());
        let change = report.change;
        let decided = probed(&self.tenant, &self.facts(), &self.pending, &region, report);
        if decided.as_ref().is_ok_and(Decision::is_empty) {
            return;
        }
        if self.by_itself("take the probe of", &change, correlation.clone(), decided).await {
            digests.into_iter().for_each(|digest| self.settled(&region, digest));
            if let Some(happened) = happened {
                self.shared.events.tell(self.shared.clock.unix_ms(), correlation, happened);
            }
        }
    }

    async fn stopped(&mut self, region: Region, certificate: Certificate) {
        let change = Change::digest_of(&certificate.change);
        if let Some(stopped) = self.tenant.halts.get(&change) {
            // It tells until it hears that we have it. That is no event: anyone with an old stop file could fill the ledger with it.
            let certificate = stopped.certificate.clone();
            if let Some(stop) = directive(self.tenant.id(), &stopped.action, Vec::new(), certificate) {
                self.send_once(&region, Lane::Critical, stop);
            }
            return;
        }
        match stopped(&self.tenant, &self.facts(), &region, certificate) {
            Ok(decision) => _ = self.by_itself("learn the stop", &change, None, Ok(decision)).await,
            Err(why) => {
                tracing::warn!(tenant = %self.tenant.id(), %region, "a stop that came by hand was refused: {why}")
            }
        }
    }

    /// A region tells both successors, and goes on telling them: only the one that is not ours is new, and only once.
    async fn branch(&mut self, region: Region, certificate: Certificate) {
        let change = Change::digest_of(&certificate.change);
        let Some((decision, fork)) = forked(&self.tenant, &region, certificate) else { return };
        if self.by_itself("learn the fork", &change, None, Ok(decision)).await {
            metrics::counter!("governance_forks_total").increment(1);
            tracing::error!(
                tenant = %self.tenant.id(), %region, version = fork.version(), here = %fork.here(), other = %fork.other(),
                "FROZEN: two certified successors of one trust version; only stops and what settles it are taken"
            );
        }
    }

    /// What a region has kept that we had forgotten. One that makes a second successor of ours is evidence of a fork.
    async fn recalled(&mut self, region: Region, certificate: Certificate) {
        let change = Change::digest_of(&certificate.change);
        if self.tenant.meets(&certificate).is_some() {
            return self.branch(region, certificate).await;
        }
        match recalled(&self.tenant, &self.facts(), &region, certificate) {
            Ok(None) => {}
            Ok(Some(decision)) => {
                if self.by_itself("take back", &change, None, Ok(decision)).await {
                    self.levels.told(&region);
                    tracing::warn!(tenant = %self.tenant.id(), %region, %change, "taken back from a region: this ledger did not have it");
                }
            }
            Err(why) => {
                tracing::warn!(tenant = %self.tenant.id(), %region, %change, "what a region keeps was refused: {why}")
            }
        }
    }

    /// Asks a region that says that it holds more than is known here, now and then. One that cannot show it, though asked again and again,
    /// keeps nobody from deciding: else whoever has one region could bar every change, its own removal among them.
    fn ask(&mut self, region: &Region, observed: &Observed, question: Option<Directive>, now_ms: u64) {
        let seen = self.seen.entry(region.clone()).or_default();
        let Some(question) = question else {
            seen.in_vain = false;
            return self.levels.told(region);
        };
        let Some(asked) = self.levels.asked(region, now_ms) else { return };
        if asked == QUESTIONS_MAX {
            seen.in_vain = true;
            tracing::error!(
                tenant = %self.tenant.id(), %region, version = observed.trust_version, epoch = observed.epoch,
                "a region says that it holds more than is known here, and does not show it: compare it with the others (`kcm trust compare`)"
            );
        }
        self.send_once(region, Lane::Ordinary, question);
    }

    /// Tells what a region finds at the customer's KMS, where that is other than before. One that has not looked yet says nothing; the first
    /// word in a run is told where it is a bad one, since it may have turned bad while nobody listened.
    fn l1_health(&mut self, region: &Region, now: L1State) {
        if now == L1State::Pending {
            return;
        }
        let before = self.l1.insert(region.clone(), now);
        if before == Some(now) || before.is_none() && now == L1State::Enabled {
            return;
        }
        let happened = Happened::L1Health { tenant: self.tenant.id(), region: region.clone(), before, now };
        self.shared.events.tell(self.shared.clock.unix_ms(), None, happened);
    }

    async fn observed(&mut self, region: Region, observed: Option<Observed>) {
        let now_ms = self.shared.clock.unix_ms();
        if let Some(observed) = &observed {
            self.l1_health(&region, observed.l1);
        }
        let seen = self.seen.entry(region.clone()).or_default();
        seen.version = observed.as_ref().map(|o| o.trust_version).or(seen.version);
        (seen.observed, seen.at_ms) = (observed, Some(now_ms));
        let observed = seen.observed.clone();
        let facts = Facts { now_ms, ..self.shared.facts(self.tenant.id(), &self.seen) };
        let (run, crowded) = self.shared.board.room(&region);
        self.levels.follow(&region, run);
        let levelled = self.levels.step(&self.tenant, &facts, &self.pending, &region, observed.as_ref(), crowded);
        let question = observed.as_ref().and_then(|seen| question(&self.tenant, &region, seen));
        self.shared.board.matches(&region, self.tenant.id(), levelled.level && question.is_none(), now_ms);
        self.by_itself("level", &region, None, Ok(levelled.decision)).await;
        self.ripen().await;
        if let Some(observed) = &observed {
            self.ask(&region, observed, question, now_ms);
        }
        if let Some(decision) = caught_up(&self.tenant, &self.facts()) {
            self.by_itself("catch up", &region, None, Ok(decision)).await;
        }
        if let Some(observed) = observed {
            self.renew(&region, &observed).await;
        }
    }

    /// What no ledger owes, since the region asks again.
    fn send_once(&self, region: &Region, lane: Lane, directive: Directive) {
        if let Some(port) = self.shared.ports.port(region, lane) {
            port.cast(CourierMsg::Once(directive));
        }
    }

    /// A lease stands in no ledger, so it is asked for who may grant it: another node may be the active one by now (PROTOCOL §4).
    async fn renew(&self, region: &Region, observed: &Observed) {
        let lease = match renewal(&self.tenant, region, observed, &self.shared.lease_key) {
            Ok(None) => return,
            Ok(Some(lease)) => lease,
            Err(e) => {
                tracing::error!(tenant = %self.tenant.id(), %region, "a lease could not be written: {e}");
                return;
            }
        };
        let ledger = self.shared.ledger.clone();
        match tokio::task::spawn_blocking(move || ledger.confirm()).await {
            Ok(Ok(())) => self.send_once(region, Lane::Ordinary, lease),
            Ok(Err(why)) => tracing::error!(tenant = %self.tenant.id(), %region, "no lease is granted: {why}"),
            Err(why) => tracing::error!(tenant = %self.tenant.id(), %region, "no lease is granted: {why}"),
        }
    }
}
