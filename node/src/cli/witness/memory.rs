//! What a witness remembers: the largest checkpoint that it cosigned, one file a ledger, for one process at a time.
//!
//! The file is the cosigned note itself: it is replaced whole and synced before anybody is told, so what others can see is never ahead of
//! what the witness knows. A file that is there and does not read, or bears another signature, is an error and no fresh start: whoever
//! wants one moves it away.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ledger::{Checkpoint, Hash, TreeHead};
use orbital::note::{Note, Verifier};
use serde_json::json;

use super::super::exit::Failure;
use crate::durable;

/// See the module.
pub(super) struct Memory {
    file: PathBuf,
    known: Option<(TreeHead, String)>,
    /// Held as long as this is.
    _lock: File,
}

impl Memory {
    /// Reads what `own` cosigned of the ledger of `log` in this folder, which is made where there is none.
    pub(super) fn open(folder: &Path, log: &Verifier, own: &Verifier) -> Result<Self, Failure> {
        let failed = |e: io::Error| unusable(folder, &e);
        fs::create_dir_all(folder).map_err(failed)?;
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::usage("another witness uses this folder")
                    .at(folder.display())
                    .because("two that do not know of each other could sign two histories")
                    .fix("give each its own folder, and its own key"));
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let file = folder.join(format!("{}.note", plain(log.name())));
        let known = match fs::read(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(failed(e)),
            Ok(bytes) => Some(read(&bytes, log, own).map_err(|why| {
                Failure::denied("what this witness knew does not read").at(file.display()).because(why).fix(
                    "put the file back; to begin anew without it, move it away and tell those who rely on this witness",
                )
            })?),
        };
        Ok(Self { file, known, _lock: lock })
    }

    pub(super) fn known(&self) -> Option<TreeHead> {
        self.known.as_ref().map(|(head, _)| *head)
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Durable when this returns.
    pub(super) fn keep(&mut self, cosigned: &Note, head: TreeHead) -> Result<(), Failure> {
        let text = cosigned.to_string();
        durable::replace(&self.file, text.as_bytes()).map_err(|e| unusable(&self.file, &e))?;
        self.known = Some((head, text));
        Ok(())
    }

    /// Writes down what was refused, beside what was known, and says where.
    pub(super) fn accuse(&self, offered: &str, proof: &[Hash], why: &str) -> Result<PathBuf, Failure> {
        let known = self.known.as_ref().map(|(_, note)| note);
        let proof: Vec<String> = proof.iter().map(|hash| STANDARD.encode(hash)).collect();
        let evidence = json!({ "why": why, "known": known, "offered": offered, "proof": proof });
        let file = self.file.with_extension("refused.json");
        durable::replace(&file, format!("{evidence:#}\n").as_bytes()).map_err(|e| unusable(&file, &e))?;
        Ok(file)
    }
}

fn read(bytes: &[u8], log: &Verifier, own: &Verifier) -> Result<(TreeHead, String), String> {
    let note = Note::parse(bytes).map_err(|e| e.to_string())?;
    note.check(log).and_then(|_| note.check(own)).map_err(|e| e.to_string())?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|e| e.to_string())?;
    if checkpoint.origin != log.name() {
        return Err(format!("it is of the ledger `{}`", checkpoint.origin));
    }
    Ok((checkpoint.head, note.to_string()))
}

/// A ledger's name as a file's.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

fn unusable(path: &Path, why: &io::Error) -> Failure {
    Failure::usage("the witness cannot keep what it signs, so it signs nothing")
        .at(path.display())
        .because(why)
        .fix("check that the folder exists, is writable and has space")
}

#[cfg(test)]
mod tests {
    use orbital::{
        note::{Scheme, Signer},
        sign::SecretKey,
    };

    use super::*;

    fn signer(name: &str, scheme: Scheme, seed: u8) -> Signer {
        Signer::new(name, scheme, SecretKey::from_seed(&[seed; 32])).unwrap()
    }

    #[test]
    fn what_was_cosigned_is_there_again_and_nothing_else_is_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let (log, own) = (signer("test/ledger", Scheme::Log, 6), signer("w1", Scheme::Witness, 9));
        let open = |own: &Signer| Memory::open(folder.path(), log.verifier(), own.verifier());
        let head = TreeHead { size: 3, root: [7; 32] };
        let mut note = Note::signed(Checkpoint { origin: "test/ledger".into(), head }.text(), &log, 0);
        let alone = note.to_string();
        note.add(own.sign(note.text(), 5));
        let mut memory = open(&own).unwrap();
        assert_eq!(memory.known(), None);
        memory.keep(&note, head).unwrap();
        let file = memory.file().to_owned();
        assert!(open(&own).err().unwrap().what.contains("another witness"), "one at a time");
        drop(memory);
        assert_eq!(open(&own).unwrap().known(), Some(head));
        let refused = |own: &Signer| open(own).err().unwrap();
        assert!(refused(&signer("w2", Scheme::Witness, 8)).why.contains("no signature of w2"));
        // Without our own signature, anybody could have put it there.
        for text in [alone.as_str(), "", "half a no"] {
            fs::write(&file, text).unwrap();
            assert_eq!(refused(&own).what, "what this witness knew does not read", "{text}");
        }
    }
}
