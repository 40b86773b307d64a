//! The ledger that a topology names, opened: a file of this node, or a database in which one node of several is active. The others stand
//! by here, before anything of governance is started.

use std::{fs, future::Future, path::Path, pin::Pin, sync::Arc, time::Duration};

use ledger::{Ledger, LedgerError, PostgresLedger, PostgresOptions, RedbLedger};
use tokio::task::spawn_blocking;
use topology::Postgres;

use crate::{fault::RunError, run::Ending};

/// A ledger in a file has one node, and the first term is the only one.
const TERM: u64 = 1;
/// How often a node that stands by asks whether it may be active.
const ASK_MS: u64 = 500;

/// A ledger that this node appends to.
pub(crate) struct Opened {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) term: u64,
    /// Resolves with the reason when another node has taken over.
    pub(crate) deposed: Pin<Box<dyn Future<Output = String> + Send>>,
}

/// Waits until this node is the active one; `None` when it is asked to end before. `standing_by` is told each time that it is not.
pub(crate) async fn open(
    part: &topology::Governance,
    ending: &Ending,
    standing_by: impl Fn(),
) -> Result<Option<Opened>, RunError> {
    let at = match &part.ledger {
        topology::Ledger::Redb { path } => {
            let path = path.clone().unwrap_or_else(|| part.store.join("ledger.redb"));
            let ledger = Arc::new(RedbLedger::open(path)?);
            // One that was put back comes after every term that there may have been.
            let put_back =
                ledger.meta(ledger::TERM)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
            return Ok(Some(Opened { ledger, term: TERM.max(put_back), deposed: Box::pin(std::future::pending()) }));
        }
        topology::Ledger::Postgres(at) => at,
    };
    // Not the name that all places share: this one shows in the database's list of sessions.
    let options = options(at, &format!("{} at {}", part.node, part.rest))?;
    let ledger = Arc::new(blocking(move || PostgresLedger::connect(options)).await?);
    let mut told = false;
    loop {
        let asked = ledger.clone();
        match blocking(move || asked.try_take()).await {
            Ok(Some(term)) => {
                tracing::info!(term, "this node is the active one of governance");
                let deposed = Box::pin(ledger.deposed());
                return Ok(Some(Opened { ledger, term, deposed }));
            }
            Ok(None) => {
                if !told {
                    tracing::info!("another node of governance is active: this one stands by");
                }
                told = true;
                standing_by();
            }
            Err(RunError::Ledger(LedgerError::Unreachable { why, .. })) => {
                tracing::warn!("the ledger cannot be reached: {why}; trying again");
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ASK_MS)) => {}
            () = ending.wait() => return Ok(None),
        }
    }
}

/// How `node` signs in to the database, with the files that the topology names.
pub(crate) fn options(at: &Postgres, node: &str) -> Result<PostgresOptions, RunError> {
    let read = |path: &Path| fs::read(path).map_err(|why| RunError::Unreadable { path: path.to_owned(), why });
    let hosts: Vec<_> = at.hosts.iter().map(|host| (host.host.clone(), host.port)).collect();
    let mut options = PostgresOptions::new(&hosts, &at.database, &at.user, node);
    if let Some(path) = &at.password_file {
        // Editors end a file with a line feed.
        options = options.password(read(path)?.trim_ascii_end());
    }
    let Some(ca) = &at.ca else { return Ok(options) };
    let own = at.own.as_ref().map(|(cert, key)| Ok::<_, RunError>((read(cert)?, read(key)?))).transpose()?;
    let own = own.as_ref().map(|(cert, key)| (cert.as_slice(), key.as_slice()));
    Ok(options.tls(&read(ca)?, own)?)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, RunError> {
    Ok(spawn_blocking(work).await.map_err(|e| RunError::Actor(format!("the ledger's thread: {e}")))??)
}
