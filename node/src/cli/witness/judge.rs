//! What a witness signs: pure, from what it knows and what it is shown.

use ledger::{BadCheckpoint, Checkpoint, Hash, TreeHead, Unproven, verify_consistency};
use orbital::note::{BadNote, Note, Verifier};

/// Why a witness does not sign.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Note(#[from] BadNote),
    #[error(transparent)]
    Text(#[from] BadCheckpoint),
    #[error("the checkpoint is of the ledger `{found}`, and this witness watches `{watched}`")]
    OtherLedger { found: String, watched: String },
    #[error("{0}")]
    Unproven(#[from] Unproven),
}

/// A checkpoint that `log` signed and that goes on from `known`: C2SP tlog-witness, *add-checkpoint*. The first one is taken as it comes.
pub(super) fn judge(log: &Verifier, known: Option<TreeHead>, note: &Note, proof: &[Hash]) -> Result<TreeHead, Refused> {
    note.check(log)?;
    let Checkpoint { origin, head } = Checkpoint::parse(note.text())?;
    if origin != log.name() {
        return Err(Refused::OtherLedger { found: origin, watched: log.name().to_owned() });
    }
    if let Some(known) = known {
        verify_consistency(&known, &head, proof)?;
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use orbital::{
        note::{Scheme, Signer},
        sign::SecretKey,
    };

    use super::*;

    fn note(name: &str, seed: u8, text: String) -> (Note, Verifier) {
        let signer = Signer::new(name, Scheme::Log, SecretKey::from_seed(&[seed; 32])).unwrap();
        (Note::signed(text, &signer, 0), signer.verifier().clone())
    }

    #[test]
    fn another_key_another_ledger_and_another_text_are_refused() {
        let head = TreeHead { size: 3, root: [7; 32] };
        let text = |origin: &str| Checkpoint { origin: origin.into(), head }.text();
        let (good, log) = note("test/ledger", 6, text("test/ledger"));
        assert_eq!(judge(&log, None, &good, &[]).unwrap(), head);
        assert_eq!(judge(&log, Some(head), &good, &[]).unwrap(), head);
        let (forged, _) = note("test/ledger", 7, text("test/ledger"));
        assert!(matches!(judge(&log, None, &forged, &[]), Err(Refused::Note(BadNote::Unsigned(_)))));
        let (other, _) = note("test/ledger", 6, text("other/ledger"));
        assert!(matches!(judge(&log, None, &other, &[]), Err(Refused::OtherLedger { .. })));
        let (words, _) = note("test/ledger", 6, "hello\n".into());
        assert!(matches!(judge(&log, None, &words, &[]), Err(Refused::Text(_))));
        let before = TreeHead { root: [8; 32], ..head };
        assert!(matches!(judge(&log, Some(before), &good, &[]), Err(Refused::Unproven(Unproven::Forked { .. }))));
    }
}
