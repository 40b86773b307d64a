//! Appending, and finding out what became of a batch whose answer was lost: it is there, whole, or it is not and never will be.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{
    ANSWER_MS_MAX, Inner,
    rows::{self, Trouble},
    session::Session,
};
use crate::{Batch, LedgerError, Receipt, codec::Tip};

/// How long what is in doubt is asked for. Longer than a transaction of a lost session can live.
pub const DOUBT_MS_MAX: u64 = 15_000;
/// How long a batch waits for a database that is away, as it is while its standby takes over.
const AWAY_MS_MAX: u64 = 10_000;
/// Pause between two tries.
const RETRY_MS: u64 = 100;

/// Who holds it, appends.
#[derive(Default)]
pub(super) struct Pen {
    pub(super) session: Option<Session>,
    /// The tip after the last batch; the database must still have it.
    pub(super) known: Option<Tip>,
}

/// How a try to append ended, if it was not written.
pub(super) enum Failed {
    Final(LedgerError),
    /// Nothing was written, and another try may be.
    Away(LedgerError),
    InDoubt(Box<Doubt>),
}

pub(super) struct Doubt {
    pub(super) before: Option<Tip>,
    pub(super) after: Tip,
    receipt: Receipt,
    why: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Written,
    Absent,
    /// Neither the tip before nor the one after: the database was put back.
    Strange,
}

/// What the ledger's row says about a batch in doubt.
#[cfg(not(mutant = "ledger_doubt"))]
pub(super) fn judge(before: Option<Tip>, after: Tip, found: Tip) -> Verdict {
    match found {
        found if found == after => Verdict::Written,
        found if before.is_none_or(|before| before == found) => Verdict::Absent,
        _ => Verdict::Strange,
    }
}
#[cfg(mutant = "ledger_doubt")]
pub(super) fn judge(_before: Option<Tip>, _after: Tip, _found: Tip) -> Verdict {
    Verdict::Absent
}

impl Inner {
    pub(super) async fn append(&self, batch: Batch) -> Result<Receipt, LedgerError> {
        let mut pen = self.pen.lock().await;
        let until = Instant::now() + Duration::from_millis(AWAY_MS_MAX);
        loop {
            let term = self.active()?;
            match self.attempt(&mut pen, term, &batch).await {
                Ok(receipt) => return Ok(receipt),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Away(error)) => {
                    pen.session = None;
                    if Instant::now() > until {
                        return Err(error);
                    }
                    sleep(Duration::from_millis(RETRY_MS)).await;
                }
                Err(Failed::InDoubt(doubt)) => {
                    pen.session = None;
                    if let Some(receipt) = self.resolve(&mut pen, term, *doubt).await? {
                        return Ok(receipt);
                    }
                }
            }
        }
    }

    pub(super) async fn attempt(&self, pen: &mut Pen, term: u64, batch: &Batch) -> Result<Receipt, Failed> {
        let session = match pen.session.take() {
            Some(session) => session,
            None => self.options.sign_in().await.map_err(Failed::of)?,
        };
        let session = pen.session.insert(session);
        let wait = Duration::from_millis(ANSWER_MS_MAX);
        let written = timeout(wait, rows::write(&mut session.client, term, pen.known, batch)).await;
        let written = written.map_err(|_| Failed::Away(self.away("the batch was not taken in time")))?;
        let written = written.map_err(|trouble| Failed::of(self.told_of(trouble)))?;
        let (after, receipt) = (written.tip, written.receipt.clone());
        let why = match timeout(wait, written.commit()).await {
            Ok(Ok(())) => {
                pen.known = Some(after);
                return Ok(receipt);
            }
            Ok(Err(error)) => self.options.told(&error).to_string(),
            Err(_) => "no answer to the commit in time".to_owned(),
        };
        Err(Failed::InDoubt(Box::new(Doubt { before: pen.known, after, receipt, why })))
    }

    /// The receipt of a batch that is written; `None` for one that does not exist and never will.
    async fn resolve(&self, pen: &mut Pen, term: u64, doubt: Doubt) -> Result<Option<Receipt>, LedgerError> {
        let until = Instant::now() + Duration::from_millis(DOUBT_MS_MAX);
        let mut why = doubt.why;
        loop {
            match tokio::time::timeout_at(until, self.look(pen, term, doubt.before, doubt.after)).await {
                Ok(Ok(Verdict::Written)) => {
                    pen.known = Some(doubt.after);
                    return Ok(Some(doubt.receipt));
                }
                Ok(Ok(Verdict::Absent)) => return Ok(None),
                Ok(Ok(Verdict::Strange)) => {
                    return Err(
                        self.depose("the database has neither what was before the last batch nor what came of it")
                    );
                }
                Ok(Err(trouble)) => why = self.told_of(trouble).to_string(),
                Err(_) => {
                    self.depose(&format!("it did not say in time whether a batch is written ({why})"));
                    return Err(LedgerError::InDoubt { place: self.options.place(), why });
                }
            }
            sleep(Duration::from_millis(RETRY_MS)).await;
        }
    }

    pub(super) async fn look(
        &self,
        pen: &mut Pen,
        term: u64,
        before: Option<Tip>,
        after: Tip,
    ) -> Result<Verdict, Trouble> {
        let mut session = self.options.sign_in().await?;
        let transaction = session.client.transaction().await?;
        let (found, tip) = rows::own(&transaction).await?;
        if found == term {
            transaction.execute("update openkcm.ledger set doubts = doubts + 1", &[]).await?;
            transaction.commit().await?;
            pen.session = Some(session);
            return Ok(judge(before, after, tip));
        }
        // Another node has taken over: what was there when it did says the same.
        let asked = "select batches from openkcm.terms where term > $1 order by term limit 1";
        let then = transaction.query_opt(asked, &[&rows::signed(term)?]).await?;
        let then = then.map(|row| rows::number(&row, 0)).transpose()?;
        self.depose(&format!("another node became active, with term {found}"));
        let there = then.is_some_and(|batches| batches >= after.batches);
        Ok(if there { Verdict::Written } else { Verdict::Absent })
    }
}

impl Failed {
    fn of(error: LedgerError) -> Self {
        if matches!(error, LedgerError::Unreachable { .. }) { Self::Away(error) } else { Self::Final(error) }
    }
}
