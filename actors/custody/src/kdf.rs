//! What is derived from a key: by hash, HMAC, encryption, the KDFs of NIST SP 800-108, and PBKDF2.
//!
//! Each result goes straight into locked memory. All but PBKDF2 take microseconds and are done in one borrow. PBKDF2 is slow by
//! intention: it is computed in steps of at most [`STEP_ITERATIONS`], each in a borrow of its own, so that neither a kill nor a thread
//! that serves others waits for longer than a step; what it has got so far stands in locked memory too. Digests and tags that
//! the library leaves on the stack are wiped.

use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

use crate::{
    aead::{BLOCK_BYTES, Block, wiped},
    dek::Hmac,
    error::Error,
    key_table::{Borrow, Pending, Unborrowed},
    vault::{Expose, Secret},
};

/// Iterations of one step of PBKDF2: about a millisecond.
pub const STEP_ITERATIONS: u32 = 1_000;
/// The most that one PBKDF2 computes: iterations times blocks of the hash. Some ten seconds of a processor.
pub const ROUNDS_MAX: usize = 10_000_000;
/// The longest salt of PBKDF2, in bytes.
pub const SALT_BYTES_MAX: usize = 1_024;
/// The longest data that a KDF of SP 800-108 repeats for each block, in bytes.
pub const FIXED_BYTES_MAX: usize = 16 * 1_024;

const DERIVE: Expose = Expose::because("derive a key for the caller");
const OWN: Expose = Expose::because("a derivation goes on with what it has got");
const METHOD: &str = "derivation";

/// How to derive in one go.
#[derive(Clone, Copy, Debug)]
pub enum Kdf<'a> {
    /// The bytes themselves: data of a derivation that stand in an object.
    Copy,
    /// The digest of the key; by the hash of this HMAC.
    Hash(Hmac),
    /// The HMAC of data.
    Hmac(Hmac, &'a [u8]),
    /// Data encrypted with an AES key.
    Encrypt { block: Block, iv: Option<&'a [u8; BLOCK_BYTES]>, data: &'a [u8] },
    /// SP 800-108 §4.1, with a counter of 32 bits before the fixed data: `HMAC(i ‖ fixed)`.
    Counter { hmac: Hmac, fixed: &'a [u8] },
    /// SP 800-108 §4.2: `HMAC(previous ‖ i ‖ fixed)`, the first after `iv`.
    Feedback { hmac: Hmac, iv: &'a [u8], fixed: &'a [u8] },
    /// SP 800-108 §4.3: `HMAC(A(i) ‖ i ‖ fixed)`, where `A(i)` is the HMAC of `A(i-1)` and `A(0)` the fixed data.
    DoublePipeline { hmac: Hmac, fixed: &'a [u8] },
}

impl Borrow {
    /// Derives `bytes` bytes; none if the method does not give as many. [`Kdf::Copy`] gives all there are, whatever `bytes`.
    pub fn derive(&self, kdf: Kdf<'_>, bytes: usize) -> Result<Pending<Secret>, Error> {
        let base = self.base()?;
        let bytes = if matches!(kdf, Kdf::Copy) { base.len() } else { bytes };
        let derived = base.beside(bytes, |out| wiped(|| kdf.fill(base.expose(DERIVE), out)));
        derived.map(Pending)
    }

    fn base(&self) -> Result<&Secret, Error> {
        self.secret().map_err(|why| match why {
            Unborrowed::Refused(refused) => Error::Refused(refused),
            Unborrowed::Miss => Error::Unavailable,
        })
    }
}

impl Kdf<'_> {
    fn fill(self, key: &[u8], out: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::Copy => take(key, out),
            Self::Hash(hmac) => take(digest::digest(hmac.digest(), key).as_ref(), out),
            Self::Hmac(hmac, data) => take(hmac::sign(&hmac.key(key), data).as_ref(), out),
            Self::Encrypt { block, iv, data } => {
                // Here a ciphertext is a key.
                let mut sealed = Zeroizing::new(vec![0; block.room(data.len())]);
                let length = block.encrypt(key, iv, data, &mut sealed)?;
                take(sealed.get(..length).unwrap_or_default(), out)
            }
            Self::Counter { hmac, fixed } => blocks(hmac, key, out, |prf, number, _, tag| {
                *tag = prf(&[&number, fixed]);
            }),
            Self::Feedback { hmac, iv, fixed } => blocks(hmac, key, out, |prf, number, first, tag| {
                *tag = prf(&[if first { iv } else { tag.as_slice() }, &number, fixed]);
            }),
            Self::DoublePipeline { hmac, fixed } => {
                let mut a = Zeroizing::new(vec![]);
                blocks(hmac, key, out, |prf, number, first, tag| {
                    a = prf(&[if first { fixed } else { a.as_slice() }]);
                    *tag = prf(&[&a, &number, fixed]);
                })
            }
        }
    }
}

/// A pseudorandom function of the concatenation of parts.
type Prf<'a> = &'a dyn Fn(&[&[u8]]) -> Zeroizing<Vec<u8>>;

/// Fills `out` with the tags that `next` makes, block by block: of the PRF, the number from 1, whether it is the first, and the tag
/// before, which it replaces.
fn blocks(
    hmac: Hmac,
    key: &[u8],
    out: &mut [u8],
    mut next: impl FnMut(Prf<'_>, [u8; 4], bool, &mut Zeroizing<Vec<u8>>),
) -> Result<(), Error> {
    let key = hmac.key(key);
    let prf = |parts: &[&[u8]]| {
        let mut context = hmac::Context::with_key(&key);
        parts.iter().for_each(|part| context.update(part));
        Zeroizing::new(context.sign().as_ref().to_vec())
    };
    let mut tag = Zeroizing::new(vec![]);
    for (number, chunk) in (1u32..).zip(out.chunks_mut(hmac.bytes())) {
        next(&prf, number.to_be_bytes(), number == 1, &mut tag);
        take(&tag, chunk)?;
    }
    Ok(())
}

/// The first bytes of `from`, as many as `out` has.
fn take(from: &[u8], out: &mut [u8]) -> Result<(), Error> {
    let too_long = Error::Cipher { cipher: METHOD, why: "the length that is asked for exceeds what the method gives" };
    out.copy_from_slice(from.get(..out.len()).ok_or(too_long)?);
    Ok(())
}

impl Hmac {
    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha224 => &digest::SHA224,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    /// Bytes of the tag, and of the hash's digest.
    pub fn bytes(self) -> usize {
        self.digest().output_len()
    }
}

/// A PBKDF2 (RFC 8018 §5.2) on its way: the borrowed key is the password.
pub struct Pbkdf2 {
    hmac: Hmac,
    salt: Vec<u8>,
    iterations: u32,
    /// Bytes to derive.
    bytes: usize,
    /// Of each finished block, and of the one at work: `T ‖ U`.
    blocks: Vec<Secret>,
    /// Iterations of the last of them.
    done: u32,
}

impl Pbkdf2 {
    /// Refuses what would take too long.
    pub fn new(hmac: Hmac, salt: &[u8], iterations: u32, bytes: usize) -> Result<Self, Error> {
        let too_large = |what, max, unit, found| Err(Error::TooLarge { what, max, unit, found });
        if salt.len() > SALT_BYTES_MAX {
            return too_large("salt of a derivation", SALT_BYTES_MAX, "bytes", salt.len());
        }
        let blocks = bytes.div_ceil(hmac.bytes()).max(1);
        let rounds = usize::try_from(iterations).unwrap_or(usize::MAX).saturating_mul(blocks);
        if rounds > ROUNDS_MAX {
            return too_large("derivation by PBKDF2", ROUNDS_MAX, "iterations times blocks of the hash", rounds);
        }
        if iterations == 0 || bytes == 0 {
            return Err(Error::Cipher { cipher: "PBKDF2", why: "it has at least one iteration and one byte" });
        }
        Ok(Self { hmac, salt: salt.to_vec(), iterations, bytes, blocks: vec![], done: 0 })
    }

    /// Goes on for one step. Whether it is finished.
    pub fn step(&mut self, password: &Borrow) -> Result<Pending<bool>, Error> {
        let base = password.base()?;
        let bytes = self.hmac.bytes();
        let begins = self.done == 0;
        let before = if begins { None } else { self.blocks.pop() };
        let number = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX).saturating_add(1);
        let upto = self.iterations.min(self.done.saturating_add(STEP_ITERATIONS));
        let state = base.beside(bytes.saturating_mul(2), |state| {
            wiped(|| {
                let key = self.hmac.key(base.expose(DERIVE));
                match &before {
                    Some(before) => take(before.expose(OWN), state)?,
                    None => first(&key, &self.salt, number, state, bytes),
                }
                let from = if begins { 1 } else { self.done };
                (from..upto).for_each(|_| again(&key, state, bytes));
                Ok::<(), Error>(())
            })
        })?;
        self.blocks.push(state);
        let block_ends = upto == self.iterations;
        self.done = if block_ends { 0 } else { upto };
        let all = self.blocks.len().saturating_mul(bytes) >= self.bytes;
        Ok(Pending(block_ends && all))
    }

    /// The derived bytes, once [`Pbkdf2::step`] has said that it is finished.
    pub fn finish(self) -> Result<Secret, Error> {
        let first = self.blocks.first().ok_or(Error::Unavailable)?;
        let bytes = self.hmac.bytes();
        first.beside(self.bytes, |out| {
            out.chunks_mut(bytes).zip(&self.blocks).try_for_each(|(out, block)| take(block.expose(OWN), out))
        })
    }
}

/// `U_1`, which is the first `T` too.
fn first(key: &hmac::Key, salt: &[u8], number: u32, state: &mut [u8], bytes: usize) {
    let mut context = hmac::Context::with_key(key);
    context.update(salt);
    context.update(&number.to_be_bytes());
    let tag = context.sign();
    state.chunks_mut(bytes).for_each(|half| half.copy_from_slice(tag.as_ref()));
}

/// `U_(n+1)` into `U`, and into `T`.
fn again(key: &hmac::Key, state: &mut [u8], bytes: usize) {
    let Some((t, u)) = state.split_at_mut_checked(bytes) else { return };
    u.copy_from_slice(hmac::sign(key, u).as_ref());
    t.iter_mut().zip(u.iter()).for_each(|(t, u)| *t ^= u);
}

#[cfg(test)]
mod tests;
