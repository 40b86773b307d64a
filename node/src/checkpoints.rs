//! Checkpoints outside the ledger: governance's own memory of what it signed, in a file of its store beside the ledger's.
//!
//! A start hands the last one to governance, which then signs nothing over a ledger that does not go on from there. The file is also the
//! simplest thing to carry away: whoever copies it somewhere else each day can hold any later export against it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use governance::{Checkpointing, Desk, origin};
use ledger::{Checkpoint, TreeHead};
use orbital::{
    note::{Note, Scheme, Signer, Verifier},
    sign::PublicKey,
};
use topology::Model;

use crate::{durable, fault::RunError, keyfiles};

/// How often the file is brought up to date.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// Where the last checkpoint stands.
pub(crate) fn file(part: &topology::Governance) -> PathBuf {
    part.store.join("checkpoint")
}

/// The key of the topology, and what this node signed last; none where the topology names no key.
///
/// # Errors
/// [`RunError`] where the key file does not read, or holds another key than the topology says.
pub(crate) fn checkpointing(model: &Model, part: &topology::Governance) -> Result<Option<Checkpointing>, RunError> {
    let Some(place) = &part.checkpoint else { return Ok(None) };
    let key = keyfiles::read_ed25519(&place.key)?;
    if key.public() != PublicKey(place.public.0) {
        return Err(RunError::OtherKey { path: place.key.clone(), what: "checkpoint_public" });
    }
    let name = origin(&model.deployment);
    let signer = Signer::new(&name, Scheme::Log, key).map_err(|e| RunError::Other(format!("checkpoints: {e}")))?;
    let file = file(part);
    let last = last(&file, signer.verifier()).unwrap_or_else(|why| {
        // Decisions and stops matter more than this memory of ours; the witnesses have theirs.
        tracing::error!(file = %file.display(), why, "the last checkpoint does not read, so the ledger is not held against it");
        None
    });
    Ok(Some(Checkpointing { signer, last }))
}

fn last(file: &Path, verifier: &Verifier) -> Result<Option<TreeHead>, String> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let note = Note::parse(&bytes).map_err(|e| e.to_string())?;
    note.check(verifier).map_err(|e| e.to_string())?;
    Checkpoint::parse(note.text()).map(|checkpoint| Some(checkpoint.head)).map_err(|e| e.to_string())
}

/// Keeps the file up to date until `over`.
pub(crate) async fn keep(desk: Desk, file: PathBuf, over: impl Future<Output = ()>) {
    let (mut every, mut kept) = (tokio::time::interval(KEEP_EVERY), None);
    let mut over = std::pin::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return,
            _ = every.tick() => {}
        }
        match desk.checkpoint().await {
            Ok(made) if kept == Some(made.size) => {}
            Ok(made) => {
                let (file, size) = (file.clone(), made.size);
                let written = tokio::task::spawn_blocking(move || durable::replace(&file, made.note.as_bytes()));
                match written.await {
                    Ok(Ok(())) => kept = Some(size),
                    other => tracing::error!(why = ?other, "the last checkpoint was not written down"),
                }
            }
            Err(why) => tracing::error!(%why, "no checkpoint"),
        }
    }
}

#[cfg(test)]
mod tests {
    use orbital::sign::SecretKey;

    use super::*;

    #[test]
    fn the_last_checkpoint_is_read_where_our_key_signed_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("checkpoint");
        let signer = |seed| Signer::new("test/ledger", Scheme::Log, SecretKey::from_seed(&[seed; 32])).unwrap();
        let (ours, other) = (signer(1), signer(2));
        assert_eq!(last(&file, ours.verifier()), Ok(None));
        let head = TreeHead { size: 4, root: [7; 32] };
        let text = Checkpoint { origin: "test/ledger".into(), head }.text();
        durable::replace(&file, Note::signed(text.clone(), &ours, 0).to_string().as_bytes()).unwrap();
        assert_eq!(last(&file, ours.verifier()), Ok(Some(head)));
        assert!(last(&file, other.verifier()).unwrap_err().contains("no signature of test/ledger"));
        durable::replace(&file, text.as_bytes()).unwrap();
        assert!(last(&file, ours.verifier()).is_err());
    }
}
