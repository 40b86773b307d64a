//! The header of an age file: its version, a stanza a recipient, and a MAC under the file key.

use std::io::BufRead;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use super::{AgeError, FILE_KEY_BYTES, KEY_BYTES, RECIPIENTS_MAX, TAG_BYTES, derived};

const VERSION: &str = "age-encryption.org/v1";
const X25519: &str = "-> X25519 ";
const END: &str = "---";
/// Longest line of a header; a stanza's body has at most 64 characters a line.
const LINE_BYTES_MAX: u64 = 128;
/// Lines of a stanza of ours, and of one of another kind that we pass over.
const LINES_MAX: usize = 2 + RECIPIENTS_MAX * 64;

pub(super) struct Stanza {
    /// The ephemeral public key.
    pub(super) share: [u8; KEY_BYTES],
    /// The file key, wrapped.
    pub(super) body: Vec<u8>,
}

pub(super) struct Header {
    pub(super) stanzas: Vec<Stanza>,
    /// What the MAC covers.
    covered: Vec<u8>,
    mac: Vec<u8>,
}

fn mac_key(file_key: &[u8]) -> Result<hmac::Key, AgeError> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, derived(file_key, b"", b"header")?.as_slice()))
}

pub(super) fn write(stanzas: &[Stanza], file_key: &[u8]) -> Result<Vec<u8>, AgeError> {
    let mut text = format!("{VERSION}\n");
    for Stanza { share, body } in stanzas {
        text.push_str(&format!("{X25519}{}\n{}\n", STANDARD_NO_PAD.encode(share), STANDARD_NO_PAD.encode(body)));
    }
    text.push_str(END);
    let mac = hmac::sign(&mac_key(file_key)?, text.as_bytes());
    text.push_str(&format!(" {}\n", STANDARD_NO_PAD.encode(mac)));
    Ok(text.into_bytes())
}

/// Reads the stanzas for X25519 and passes over those of other kinds.
pub(super) fn read(input: &mut impl BufRead) -> Result<Header, AgeError> {
    let (mut covered, mut stanzas) = (Vec::new(), Vec::new());
    if line(input)? != VERSION {
        return Err(AgeError::Header("it does not begin as one"));
    }
    covered.extend_from_slice(format!("{VERSION}\n").as_bytes());
    let mut share = None;
    for _ in 0..LINES_MAX {
        let text = line(input)?;
        if let Some(mac) = text.strip_prefix(END) {
            covered.extend_from_slice(END.as_bytes());
            let mac = mac.strip_prefix(' ').and_then(|mac| STANDARD_NO_PAD.decode(mac).ok());
            let mac = mac.ok_or(AgeError::Header("its header has no MAC"))?;
            return Ok(Header { stanzas, covered, mac });
        }
        covered.extend_from_slice(format!("{text}\n").as_bytes());
        if let Some(argument) = text.strip_prefix(X25519) {
            let bytes = STANDARD_NO_PAD.decode(argument).ok().and_then(|bytes| bytes.try_into().ok());
            share = Some(bytes.ok_or(AgeError::Header("a recipient's line does not decode"))?);
        } else if let Some(share) = share.take() {
            let body = STANDARD_NO_PAD.decode(&text).ok().filter(|body| body.len() == FILE_KEY_BYTES + TAG_BYTES);
            let body = body.ok_or(AgeError::Header("a wrapped key has another length"))?;
            stanzas.push(Stanza { share, body });
        }
    }
    Err(AgeError::Header("its header does not end"))
}

impl Header {
    pub(super) fn verify(&self, file_key: &[u8]) -> Result<(), AgeError> {
        hmac::verify(&mac_key(file_key)?, &self.covered, &self.mac).map_err(|_| AgeError::Broken)
    }
}

fn line(input: &mut impl BufRead) -> Result<String, AgeError> {
    let mut bytes = Vec::new();
    std::io::Read::take(&mut *input, LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
    match bytes.pop() {
        Some(b'\n') => String::from_utf8(bytes).map_err(|_| AgeError::Header("its header is no text")),
        _ => Err(AgeError::Header("its header is cut off, or a line of it is too long")),
    }
}
