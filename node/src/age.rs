//! The age file format, version 1, with X25519 recipients (https://age-encryption.org/v1): what a backup is encrypted with, so that any age
//! tool opens it with the recipient's key and nothing of ours. The primitives are aws-lc's; this file only puts them together.
//!
//! A file key is wrapped once for each recipient; the payload goes through in chunks of 64 KiB, each sealed with its number and whether it
//! is the last, so that chunks cannot be dropped, repeated or put in another order. Who wrote a file, age does not say: verify what is in it.

mod bech32;
mod header;

use std::io::{self, BufRead, Read, Write};

use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, PrivateKey, UnparsedPublicKey, X25519},
    hkdf,
};
use zeroize::Zeroizing;

/// Most recipients of one file.
pub const RECIPIENTS_MAX: usize = 20;
/// Plaintext bytes in one chunk of the payload.
const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const FILE_KEY_BYTES: usize = 16;
const NONCE_BYTES: usize = 16;
const RECIPIENT_PREFIX: &str = "age";
const IDENTITY_PREFIX: &str = "age-secret-key-";
const X25519_INFO: &[u8] = b"age-encryption.org/v1/X25519";

/// Why a file is not opened, or not made.
#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    #[error("`{0}` is no age recipient: it begins with age1 and has 62 characters")]
    Recipient(String),
    #[error("this is no age identity: it begins with AGE-SECRET-KEY-1 and has 74 characters")]
    Identity,
    #[error("a file has 1 to {RECIPIENTS_MAX} recipients, found {0}")]
    Recipients(usize),
    #[error("the file is not encrypted by age, version 1: {0}")]
    Header(&'static str),
    #[error("the file is for other recipients: none of these keys opens it")]
    NotForUs,
    #[error("the file was changed or cut off")]
    Broken,
    #[error("a step of the cryptography failed; try again")]
    Primitive,
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<aws_lc_rs::error::Unspecified> for AgeError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Primitive
    }
}

/// To whom a file is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient([u8; KEY_BYTES]);

impl std::str::FromStr for Recipient {
    type Err = AgeError;
    fn from_str(text: &str) -> Result<Self, AgeError> {
        let bad = || AgeError::Recipient(text.to_owned());
        let (prefix, bytes) = bech32::decode(text).ok_or_else(bad)?;
        let bytes = bytes.as_slice().try_into().map_err(|_| bad())?;
        if prefix == RECIPIENT_PREFIX { Ok(Self(bytes)) } else { Err(bad()) }
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&bech32::encode(RECIPIENT_PREFIX, &self.0))
    }
}

/// Opens what is encrypted to its recipient.
pub struct Identity(Zeroizing<[u8; KEY_BYTES]>);

impl Identity {
    /// From 32 random bytes.
    pub fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    /// Reads the lines of an identity file as age writes it; comments begin with `#`.
    pub fn read_all(text: &str) -> Result<Vec<Self>, AgeError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let identity = |line: &str| {
            let (prefix, bytes) = bech32::decode(line).ok_or(AgeError::Identity)?;
            let bytes = Zeroizing::new(bytes);
            let key = bytes.as_slice().try_into().map_err(|_| AgeError::Identity)?;
            if prefix == IDENTITY_PREFIX { Ok(Self(Zeroizing::new(key))) } else { Err(AgeError::Identity) }
        };
        lines.map(identity).collect()
    }

    /// The line of an identity file.
    pub fn to_line(&self) -> Zeroizing<String> {
        Zeroizing::new(bech32::encode(IDENTITY_PREFIX, self.0.as_slice()).to_uppercase())
    }

    pub fn recipient(&self) -> Result<Recipient, AgeError> {
        public_of(&self.private()?).map(Recipient)
    }

    fn private(&self) -> Result<PrivateKey, AgeError> {
        PrivateKey::from_private_key(&X25519, self.0.as_slice()).map_err(|_| AgeError::Identity)
    }
}

fn public_of(private: &PrivateKey) -> Result<[u8; KEY_BYTES], AgeError> {
    private.compute_public_key()?.as_ref().try_into().map_err(|_| AgeError::Primitive)
}

struct Bytes(usize);
impl hkdf::KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

fn derived(secret: &[u8], salt: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, AgeError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, salt);
    salt.extract(secret).expand(&[info], Bytes(KEY_BYTES))?.fill(key.as_mut_slice())?;
    Ok(key)
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, AgeError> {
    Ok(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key)?))
}

/// The key under which a file key is wrapped, from one side's private and the other side's public half.
fn wrap_key(
    private: &PrivateKey,
    theirs: &[u8],
    share: &[u8; KEY_BYTES],
    recipient: &[u8; KEY_BYTES],
) -> Result<Zeroizing<[u8; KEY_BYTES]>, AgeError> {
    let salt = [share.as_slice(), recipient.as_slice()].concat();
    // aws-lc refuses points of low order, whose secret would be all zero.
    agreement::agree(private, UnparsedPublicKey::new(&X25519, theirs), AgeError::Primitive, |shared| {
        derived(shared, &salt, X25519_INFO)
    })
}

/// Random bytes, from outside.
pub type Random<'r> = &'r mut dyn FnMut(&mut [u8]) -> Result<(), AgeError>;

/// Encrypts what is written. Without [`Encrypting::end`], nobody opens the file.
pub struct Encrypting<W: Write> {
    out: W,
    key: LessSafeKey,
    chunk: Zeroizing<Vec<u8>>,
    number: u64,
}

impl<W: Write> Encrypting<W> {
    pub fn begin(mut out: W, recipients: &[Recipient], random: Random<'_>) -> Result<Self, AgeError> {
        if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
            return Err(AgeError::Recipients(recipients.len()));
        }
        let mut file_key = Zeroizing::new([0; FILE_KEY_BYTES]);
        random(file_key.as_mut_slice())?;
        let mut stanzas = Vec::new();
        for recipient in recipients {
            let mut ephemeral = Zeroizing::new([0; KEY_BYTES]);
            random(ephemeral.as_mut_slice())?;
            let ephemeral =
                PrivateKey::from_private_key(&X25519, ephemeral.as_slice()).map_err(|_| AgeError::Primitive)?;
            let share = public_of(&ephemeral)?;
            let key = wrap_key(&ephemeral, &recipient.0, &share, &recipient.0)?;
            let mut body = file_key.to_vec();
            let nonce = Nonce::assume_unique_for_key([0; 12]);
            cipher(key.as_slice())?.seal_in_place_append_tag(nonce, Aad::empty(), &mut body)?;
            stanzas.push(header::Stanza { share, body });
        }
        out.write_all(&header::write(&stanzas, file_key.as_slice())?)?;
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        out.write_all(&nonce)?;
        let key = cipher(derived(file_key.as_slice(), &nonce, b"payload")?.as_slice())?;
        Ok(Self { out, key, chunk: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES)), number: 0 })
    }

    fn seal(&mut self, last: bool) -> Result<(), AgeError> {
        let nonce = chunk_nonce(self.number, last);
        self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut *self.chunk)?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        self.number = self.number.checked_add(1).ok_or(AgeError::Primitive)?;
        Ok(())
    }

    pub fn end(mut self) -> Result<W, AgeError> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Encrypting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits until it is known not to be the last.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.seal(false).map_err(io::Error::other)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn chunk_nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    if let Some(counter) = nonce.get_mut(3..11) {
        counter.copy_from_slice(&number.to_be_bytes());
    }
    if let Some(flag) = nonce.last_mut() {
        *flag = u8::from(last);
    }
    Nonce::assume_unique_for_key(nonce)
}

/// Decrypts as it is read. Nothing that was changed is handed out; an end that is missing is an error, not an end.
pub struct Decrypting<R: BufRead> {
    input: R,
    key: LessSafeKey,
    chunk: Zeroizing<Vec<u8>>,
    at: usize,
    number: u64,
    ended: bool,
}

impl<R: BufRead> Decrypting<R> {
    pub fn begin(mut input: R, identities: &[Identity]) -> Result<Self, AgeError> {
        let header = header::read(&mut input)?;
        let mut file_key = None;
        for (stanza, identity) in header.stanzas.iter().flat_map(|s| identities.iter().map(move |i| (s, i))) {
            let private = identity.private()?;
            let key = wrap_key(&private, &stanza.share, &stanza.share, &public_of(&private)?);
            let mut body = stanza.body.clone();
            let nonce = Nonce::assume_unique_for_key([0; 12]);
            // Another recipient's, as a rule.
            if let Ok(opened) =
                key.and_then(|key| Ok(cipher(key.as_slice())?.open_in_place(nonce, Aad::empty(), &mut body)?.len()))
                && opened == FILE_KEY_BYTES
            {
                body.truncate(opened);
                file_key = Some(Zeroizing::new(body));
                break;
            }
        }
        let file_key = file_key.ok_or(AgeError::NotForUs)?;
        header.verify(file_key.as_slice())?;
        let mut nonce = [0; NONCE_BYTES];
        input.read_exact(&mut nonce).map_err(|_| AgeError::Broken)?;
        let key = cipher(derived(file_key.as_slice(), &nonce, b"payload")?.as_slice())?;
        Ok(Self { input, key, chunk: Zeroizing::default(), at: 0, number: 0, ended: false })
    }

    fn next_chunk(&mut self) -> Result<(), AgeError> {
        let mut sealed = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES));
        let most = u64::try_from(CHUNK_BYTES + TAG_BYTES).map_err(|_| AgeError::Primitive)?;
        self.input.by_ref().take(most).read_to_end(&mut sealed)?;
        let last = self.input.fill_buf()?.is_empty();
        let opened = self.key.open_in_place(chunk_nonce(self.number, last), Aad::empty(), &mut sealed);
        let length = opened.map_err(|_| AgeError::Broken)?.len();
        // Only a file of nothing ends in an empty chunk.
        if length == 0 && self.number > 0 {
            return Err(AgeError::Broken);
        }
        sealed.truncate(length);
        (self.chunk, self.at, self.ended) = (sealed, 0, last);
        self.number = self.number.checked_add(1).ok_or(AgeError::Broken)?;
        Ok(())
    }
}

impl<R: BufRead> Read for Decrypting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() && !self.ended {
            self.next_chunk().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        }
        let left = self.chunk.get(self.at..).unwrap_or_default();
        let count = left.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
