//! Signed notes: a text for people and machines with signatures under it, as any tool of the transparency world reads it.
//!
//! The form is that of C2SP signed-note (<https://c2sp.org/signed-note>): the text, an empty line, then a line `— name base64` for each
//! signature, which begins with a short id of its key. Two schemes are known: [`Scheme::Log`] is plain Ed25519 over the text, by whoever
//! issues it; [`Scheme::Witness`] is a cosignature with a time (<https://c2sp.org/tlog-cosignature>), by whoever watched it grow.
//!
//! These signatures cover the text itself and no digest with a domain (PROTOCOL §2), since other tools could not check them otherwise.
//! So a key that signs notes signs nothing else: a [`Signer`] takes its key by value.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::sign::{PublicKey, SecretKey, Signature};

/// Longest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Most signatures under a note.
pub const NOTE_SIGNATURES_MAX: usize = 64;
/// Longest name of a key, in bytes.
pub const NOTE_NAME_BYTES_MAX: usize = 255;

/// How a key signs a note. The numbers are assigned by C2SP signed-note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Scheme {
    /// Ed25519 over the text.
    Log = 0x01,
    /// Ed25519 over a time and the text.
    Witness = 0x04,
}

/// Why a note, or the name of a key, is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    #[error("the note has {0} bytes; {NOTE_BYTES_MAX} are the most")]
    TooLarge(usize),
    #[error("the note is no text of lines, an empty line, and signature lines: {0}")]
    Malformed(&'static str),
    #[error(
        "`{0}` is no verifier key: it reads name+8 hex digits+base64 of a type and 32 bytes, and the digits follow from the rest"
    )]
    Verifier(String),
    #[error("`{0}` cannot name a key: 1 to {NOTE_NAME_BYTES_MAX} bytes without spaces, plus or control characters")]
    Name(String),
    #[error("the note bears no signature of {0}: it is somebody else's, or the key was replaced")]
    Unsigned(String),
    #[error("the signature of {0} under the note is false: the note was changed after it was signed, or forged")]
    Forged(String),
}

/// Who is believed: a name, and the key that signs under it. Its text is C2SP's *vkey*: `name+id+base64(scheme, key)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    scheme: Scheme,
    key: PublicKey,
}

impl Verifier {
    pub fn new(name: &str, scheme: Scheme, key: PublicKey) -> Result<Self, BadNote> {
        if !is_name(name) {
            return Err(BadNote::Name(name.chars().take(NOTE_NAME_BYTES_MAX).collect()));
        }
        Ok(Self { name: name.to_owned(), scheme, key })
    }

    pub fn name(&self) -> &str {
        &self.name
    }
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// SHA-256 of name, line feed, scheme and key; its first four bytes.
    fn id(&self) -> [u8; 4] {
        let hash =
            Sha256::new().chain_update(&self.name).chain_update([b'\n']).chain_update(self.material()).finalize();
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash);
        [a, b, c, d]
    }

    fn material(&self) -> Vec<u8> {
        [&[self.scheme as u8], self.key.0.as_slice()].concat()
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), STANDARD.encode(self.material()))
    }
}

impl FromStr for Verifier {
    type Err = BadNote;
    fn from_str(text: &str) -> Result<Self, BadNote> {
        let bad = || BadNote::Verifier(text.chars().take(NOTE_NAME_BYTES_MAX).collect());
        // The name has no plus; the base64 may.
        let (name, rest) = text.split_once('+').ok_or_else(bad)?;
        let (_, material) = rest.split_once('+').ok_or_else(bad)?;
        let material = STANDARD.decode(material).map_err(|_| bad())?;
        let (scheme, key) = material.split_first().ok_or_else(bad)?;
        let scheme = [Scheme::Log, Scheme::Witness].into_iter().find(|s| *s as u8 == *scheme).ok_or_else(bad)?;
        let verifier = Self::new(name, scheme, PublicKey(key.try_into().map_err(|_| bad())?))?;
        // Its id, and its only spelling.
        if verifier.to_string() == text { Ok(verifier) } else { Err(bad()) }
    }
}

/// A key that signs notes, and nothing else.
pub struct Signer {
    verifier: Verifier,
    key: SecretKey,
}

impl Signer {
    pub fn new(name: &str, scheme: Scheme, key: SecretKey) -> Result<Self, BadNote> {
        Ok(Self { verifier: Verifier::new(name, scheme, key.public())?, key })
    }

    /// What others check its signatures with.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Signs the text, which ends in a line feed; `now_s`, in Unix seconds, is what a witness says besides.
    pub fn sign(&self, text: &str, now_s: u64) -> Line {
        let time = now_s.to_be_bytes();
        let (message, time): (_, &[u8]) = match self.verifier.scheme {
            Scheme::Log => (text.to_owned(), &[]),
            Scheme::Witness => (cosigned(text, now_s), &time),
        };
        let signature = self.key.sign_text(&message);
        let blob = [&self.verifier.id(), time, &signature.0].concat();
        Line { name: self.verifier.name.clone(), blob }
    }
}

/// What a witness signs (C2SP tlog-cosignature, *Ed25519 signed message*).
fn cosigned(text: &str, at_s: u64) -> String {
    format!("cosignature/v1\ntime {at_s}\n{text}")
}

/// A signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    name: String,
    /// Key id and signature.
    blob: Vec<u8>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "— {} {}", self.name, STANDARD.encode(&self.blob))
    }
}

/// A text and the signatures under it. Nothing that it says is true before [`Note::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    lines: Vec<Line>,
}

impl Note {
    /// A note with its first signature.
    pub fn signed(text: String, signer: &Signer, now_s: u64) -> Self {
        let line = signer.sign(&text, now_s);
        Self { text, lines: vec![line] }
    }

    /// Puts one more signature under it, in the place of an older one by the same key.
    pub fn add(&mut self, line: Line) {
        let whose = |line: &Line| (line.name.clone(), line.blob.get(..4).map(<[u8]>::to_vec));
        self.lines.retain(|old| whose(old) != whose(&line));
        self.lines.push(line);
    }

    /// Reads a note whose form is right.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadNote> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(BadNote::TooLarge(bytes.len()));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| BadNote::Malformed("it is no UTF-8"))?;
        if whole.chars().any(|c| c < ' ' && c != '\n') {
            return Err(BadNote::Malformed("it has control characters"));
        }
        let (text, lines) = whole.rsplit_once("\n\n").ok_or(BadNote::Malformed("no empty line stands in it"))?;
        let lines = lines.strip_suffix('\n').ok_or(BadNote::Malformed("its last line is cut off"))?;
        let lines: Vec<Line> = lines
            .split('\n')
            .map(Line::parse)
            .collect::<Option<_>>()
            .ok_or(BadNote::Malformed("a line below the empty one is no signature"))?;
        if lines.len() > NOTE_SIGNATURES_MAX {
            return Err(BadNote::Malformed("it has too many signatures"));
        }
        Ok(Self { text: format!("{text}\n"), lines })
    }

    /// What was signed, with its last line feed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks that `verifier` signed this text, and says when, where it says so. All signatures by others are ignored.
    pub fn check(&self, verifier: &Verifier) -> Result<Option<u64>, BadNote> {
        let id = verifier.id();
        let theirs = |line: &&Line| line.name == verifier.name && line.blob.starts_with(&id);
        let mut lines = self.lines.iter().filter(theirs).peekable();
        if lines.peek().is_none() {
            return Err(BadNote::Unsigned(verifier.name.clone()));
        }
        let forged = || BadNote::Forged(verifier.name.clone());
        let mut at = None;
        for line in lines {
            let signature = line.blob.get(id.len()..).unwrap_or_default();
            let (message, signature) = match verifier.scheme {
                Scheme::Log => (self.text.clone(), signature),
                Scheme::Witness => {
                    let (time, signature) = signature.split_first_chunk().ok_or_else(forged)?;
                    let time = u64::from_be_bytes(*time);
                    at = Some(time);
                    (cosigned(&self.text, time), signature)
                }
            };
            let signature = Signature(signature.try_into().map_err(|_| forged())?);
            verifier.key.verify_text(&message, &signature).map_err(|_| forged())?;
        }
        Ok(at)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.lines.iter().try_for_each(|line| line.fmt(f))
    }
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let (name, blob) = line.strip_prefix("— ")?.split_once(' ')?;
        let blob = STANDARD.decode(blob).ok().filter(|blob| blob.len() > 4)?;
        is_name(name).then(|| Self { name: name.to_owned(), blob })
    }
}

fn is_name(name: &str) -> bool {
    let sound = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    (1..=NOTE_NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(sound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "example.com/log\n3\nAAAA\n";

    fn signer(name: &str, scheme: Scheme, seed: u8) -> Signer {
        Signer::new(name, scheme, SecretKey::from_seed(&[seed; 32])).unwrap()
    }

    /// From the documentation of Go's golang.org/x/mod/sumdb/note, where the form comes from.
    #[test]
    fn a_note_of_another_implementation_reads_and_ours_is_the_same() {
        let theirs = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
                      — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let verifier: Verifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let note = Note::parse(theirs.as_bytes()).unwrap();
        assert_eq!(note.check(&verifier), Ok(None));
        assert_eq!(note.to_string(), theirs);
        // PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz
        let seed = STANDARD.decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").unwrap();
        let key = SecretKey::from_seed(seed[1..].try_into().unwrap());
        let ours = Signer::new("PeterNeumann", Scheme::Log, key).unwrap();
        assert_eq!(*ours.verifier(), verifier);
        assert_eq!(Note::signed(note.text().to_owned(), &ours, 9), note);
    }

    #[test]
    fn a_witness_says_when_and_strangers_are_ignored() {
        let (log, witness) = (signer("example.com/log", Scheme::Log, 1), signer("w.example", Scheme::Witness, 2));
        let mut note = Note::signed(TEXT.to_owned(), &log, 0);
        note.add(signer("stranger", Scheme::Witness, 3).sign("another text\n", 5));
        note.add(witness.sign(TEXT, 1_679_315_147));
        note.add(witness.sign(TEXT, 1_679_315_148));
        let note = Note::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!(note.check(log.verifier()), Ok(None));
        assert_eq!(note.check(witness.verifier()), Ok(Some(1_679_315_148)));
        assert_eq!(note.to_string().lines().count(), 3 + 1 + 3, "one line a key");
        // The same key under another name or scheme is another key.
        for other in [signer("w.example", Scheme::Log, 2), signer("w2.example", Scheme::Witness, 2)] {
            assert!(matches!(note.check(other.verifier()), Err(BadNote::Unsigned(_))));
        }
    }

    #[test]
    fn another_text_another_time_and_another_key_are_found() {
        let witness = signer("w.example", Scheme::Witness, 2);
        let sound = Note::signed(TEXT.to_owned(), &witness, 77);
        let other = Note { text: TEXT.replace('3', "4"), ..sound.clone() };
        let mut later = sound.clone();
        later.lines[0].blob[11] ^= 1;
        let mut short = sound.clone();
        short.lines[0].blob.truncate(9);
        for bad in [other, later, short] {
            assert!(matches!(bad.check(witness.verifier()), Err(BadNote::Forged(_))), "{bad}");
        }
        // A true signature does not excuse a false one of the same key.
        let mut both = sound.clone();
        both.lines.push(witness.sign("else\n", 77));
        assert!(matches!(both.check(witness.verifier()), Err(BadNote::Forged(_))));
    }

    #[test]
    fn a_verifier_key_has_one_spelling() {
        let verifier = signer("example.com/log", Scheme::Witness, 1).verifier().clone();
        let text = verifier.to_string();
        assert_eq!(text.parse::<Verifier>(), Ok(verifier));
        for bad in [text.replacen('+', " ", 1), text.replacen("com", "org", 1), text.to_uppercase(), format!("{text}A")]
        {
            assert!(bad.parse::<Verifier>().is_err(), "{bad}");
        }
        for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb", &"a".repeat(256)] {
            assert!(matches!(Verifier::new(name, Scheme::Log, PublicKey([0; 32])), Err(BadNote::Name(_))), "{name}");
        }
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let line = signer("n", Scheme::Log, 1).sign(TEXT, 0).to_string();
        assert!(Note::parse(format!("a\n\nb\n\n{line}").as_bytes()).is_ok(), "the text may have empty lines");
        let many = format!("a\n\n{}", line.repeat(NOTE_SIGNATURES_MAX + 1));
        let large = format!("{}\n\n{line}", "a".repeat(NOTE_BYTES_MAX));
        let cut = format!("a\n\n{}", line.trim_end());
        let bare = line.replace("— ", "- ");
        let tab = format!("a\tb\n\n{line}");
        for bad in ["", "a\n", "a\n\n", "a\n\n\n", "a\n\nb\n", "a\n\n— n AAAA\n", &many, &large, &cut, &bare, &tab] {
            assert!(Note::parse(bad.as_bytes()).is_err(), "{:?}", bad.get(..60));
        }
    }

    proptest! {
        #[test]
        fn no_flipped_bit_passes(at: prop::sample::Index, bit in 0u8..8) {
            let log = signer("example.com/log", Scheme::Log, 1);
            let mut bytes = Note::signed(TEXT.to_owned(), &log, 0).to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Note::parse(&bytes).and_then(|note| note.check(log.verifier())).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text: String) {
            let _read = (Note::parse(&bytes), text.parse::<Verifier>());
        }
    }
}
