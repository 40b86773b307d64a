//! Hands out runs of 64-byte slots, and takes them back wiped.
//!
//! A bitmap says which slots are taken; it stands in ordinary memory, as it holds nothing secret. A secret of up to
//! [`SECRET_BYTES_MAX`] bytes takes 1 to 64 neighbouring slots, so a 32-byte key costs one slot and an RSA key of 4,096 bits 37.
//! 100,000 keys fit into the 8 MiB that an ordinary user may lock.
#![allow(
    unsafe_code,
    reason = "a secret reaches its slots by address; the only such place besides `pages` (STYLE §10)"
)]

use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    Expose,
    pages::{Mode, Pages, Wanted},
};
use crate::error::Error;

/// Bytes of one slot.
pub const SLOT_BYTES: usize = 64;
/// The longest secret: a word's slots. An RSA private key of 4,096 bits as PKCS#8 has some 2,380 bytes.
pub const SECRET_BYTES_MAX: usize = 64 * SLOT_BYTES;
/// 7 MiB: fits the usual RLIMIT_MEMLOCK of 8 MiB and leaves room for TLS and others.
pub const SLOTS_DEFAULT: usize = 7 * 1024 * 1024 / SLOT_BYTES;

/// What the slab holds, for metrics and health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub mode: Mode,
    pub slots_used: usize,
    pub slots_total: usize,
    pub locked_bytes: usize,
}

/// The slab: all key memory of one node.
pub struct Slab {
    pages: Pages,
    map: Mutex<Map>,
}

impl Slab {
    /// Maps and locks room for `slots` slots (rounded up to 64). Refuses rather than hand out memory that is not locked.
    pub fn open(slots: usize, wanted: Wanted) -> Result<Arc<Self>, Error> {
        let words = slots.max(1).div_ceil(64);
        let bytes = words.saturating_mul(64).saturating_mul(SLOT_BYTES);
        Ok(Arc::new(Self { pages: Pages::map(bytes, wanted)?, map: Mutex::new(Map::new(words)) }))
    }

    /// Puts a secret of exactly `bytes` bytes (1 to [`SECRET_BYTES_MAX`]) into the slab; `fill` writes it in place.
    /// If `fill` fails, what it wrote is wiped and its error comes back.
    pub fn fill<E: From<Error>>(
        self: &Arc<Self>,
        bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Secret, E> {
        if bytes == 0 || bytes > SECRET_BYTES_MAX {
            return Err(Error::SecretLength { found: bytes, max: SECRET_BYTES_MAX }.into());
        }
        let slots = bytes.div_ceil(SLOT_BYTES);
        let full = || Error::VaultFull { used: self.usage().slots_used, total: self.usage().slots_total };
        let first = self.map.lock().take(slots);
        let mut secret = Secret { slab: self.clone(), first: first.ok_or_else(full)?, slots, bytes };
        fill(secret.bytes_mut())?;
        Ok(secret)
    }

    /// A new secret of `bytes` random bytes, drawn from the system into the slab.
    pub fn random(self: &Arc<Self>, bytes: usize) -> Result<Secret, Error> {
        self.fill(bytes, |out| getrandom::fill(out).map_err(|e| Error::Random(e.to_string())))
    }

    /// Slots used and total, how they are locked.
    pub fn usage(&self) -> Usage {
        let map = self.map.lock();
        Usage {
            mode: self.pages.mode(),
            slots_used: map.used,
            slots_total: map.words.len() * 64,
            locked_bytes: self.pages.bytes(),
        }
    }
}

/// Key bytes in locked memory. Wiped when dropped; no Debug, Clone, Serialize or Eq.
pub struct Secret {
    slab: Arc<Slab>,
    first: usize,
    slots: usize,
    bytes: usize,
}

impl Secret {
    /// Its length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "a secret has at least one byte")]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Another secret in the same slab, as [`Slab::fill`] makes it.
    pub(crate) fn beside<E: From<Error>>(
        &self,
        bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Secret, E> {
        self.slab.fill(bytes, fill)
    }

    /// The bytes. The token says why this place must see them.
    pub fn expose(&self, _token: Expose) -> &[u8] {
        // SAFETY: these slots are ours alone, and whoever writes them holds `&mut self`.
        unsafe { self.slab.pages.slice(self.first * SLOT_BYTES, self.bytes) }.unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: these slots are ours alone and `&mut self` is the only way to them.
        unsafe { self.slab.pages.slice_mut(self.first * SLOT_BYTES, self.bytes) }.unwrap_or_default()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let bytes = self.bytes_mut();
        // SAFETY: the pointer and length are those of a live slice of our own slots.
        unsafe { memsec::memzero(bytes.as_mut_ptr(), bytes.len()) };
        self.slab.map.lock().give(self.first, self.slots);
    }
}

/// Which slots are taken: one bit each. A run never crosses a word, so finding one is bit arithmetic.
struct Map {
    words: Box<[u64]>,
    used: usize,
    /// Where the last search ended: the next one starts there.
    hint: usize,
}

impl Map {
    fn new(words: usize) -> Self {
        Self { words: vec![0; words].into_boxed_slice(), used: 0, hint: 0 }
    }

    /// The first slot of a free run of `slots` (1 to 64), now taken.
    fn take(&mut self, slots: usize) -> Option<usize> {
        let (before, from) = self.words.split_at_mut_checked(self.hint)?;
        let searched = from.iter_mut().chain(before.iter_mut()).enumerate();
        for (step, word) in searched {
            if let Some(bit) = free_run(*word, slots) {
                *word |= run(slots) << bit;
                self.used += slots;
                self.hint = (self.hint + step) % self.words.len();
                return Some(self.hint * 64 + bit);
            }
        }
        None
    }

    fn give(&mut self, first: usize, slots: usize) {
        if let Some(word) = self.words.get_mut(first / 64) {
            *word &= !(run(slots) << (first % 64));
            self.used -= slots;
        }
    }
}

fn run(slots: usize) -> u64 {
    u64::MAX >> (64 - slots)
}

/// The lowest bit at which `slots` neighbouring bits are clear.
fn free_run(word: u64, slots: usize) -> Option<usize> {
    let free = !word;
    // A bit past the top shifts in as zero, that is: not free. So no run leaves the word.
    let starts = (1..slots).fold(free, |starts, step| starts & (free >> step));
    (starts != 0).then(|| starts.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOOK: Expose = Expose::because("a test looks at what it wrote");

    fn slab(slots: usize) -> Arc<Slab> {
        Slab::open(slots, Wanted::Best).expect("64 KiB can be locked")
    }

    fn put(slab: &Arc<Slab>, bytes: &[u8]) -> Secret {
        slab.fill::<Error>(bytes.len(), |out| {
            out.copy_from_slice(bytes);
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn a_secret_reads_back() {
        let slab = slab(64);
        let secret = put(&slab, b"sixteen bytes!!!");
        assert_eq!(secret.expose(LOOK), b"sixteen bytes!!!");
        assert_eq!(secret.len(), 16);
    }

    #[test]
    fn a_sentinel_is_gone_after_drop() {
        let slab = slab(64);
        let sentinel = [0xc7; SECRET_BYTES_MAX];
        let secret = put(&slab, &sentinel);
        let at = secret.first * SLOT_BYTES;
        drop(secret);
        // SAFETY: nothing else uses this slab.
        let bytes = unsafe { slab.pages.slice(at, SECRET_BYTES_MAX) }.unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0), "key bytes were left behind");
    }

    #[test]
    fn a_failed_fill_leaves_nothing() {
        let slab = slab(64);
        let failed = slab.fill::<Error>(32, |out| {
            out.fill(0xc7);
            Err(Error::Seal)
        });
        assert!(matches!(failed, Err(Error::Seal)));
        assert_eq!(slab.usage().slots_used, 0);
        // SAFETY: nothing else uses this slab.
        let bytes = unsafe { slab.pages.slice(0, 64 * SLOT_BYTES) }.unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_full_slab_says_so_and_works_again_after_a_drop() {
        let slab = slab(64);
        let mut held: Vec<_> = (0..8).map(|_| slab.random(8 * SLOT_BYTES).unwrap()).collect();
        let full = slab.random(1).err();
        assert!(matches!(full, Some(Error::VaultFull { used: 64, total: 64 })), "{full:?}");
        held.pop();
        assert!(slab.random(8 * SLOT_BYTES).is_ok());
        held.clear();
        let longest = slab.random(SECRET_BYTES_MAX).unwrap();
        assert!(slab.random(1).is_err(), "a secret of a whole word leaves nothing of it");
        drop(longest);
        assert!(slab.random(SECRET_BYTES_MAX).is_ok());
    }

    #[test]
    fn lengths_outside_the_limit_are_refused() {
        let slab = slab(64);
        for bytes in [0, SECRET_BYTES_MAX + 1] {
            assert!(matches!(slab.random(bytes), Err(Error::SecretLength { .. })));
        }
    }

    #[test]
    fn usage_counts_slots() {
        let slab = slab(100);
        let _a = slab.random(32).unwrap();
        let _b = slab.random(96).unwrap();
        let usage = slab.usage();
        assert_eq!((usage.slots_used, usage.slots_total), (3, 128));
        assert!(usage.locked_bytes >= 128 * SLOT_BYTES);
    }

    proptest! {
        #[test]
        fn no_two_secrets_share_a_slot(steps in proptest::collection::vec((1usize..=SECRET_BYTES_MAX, any::<bool>(), any::<u8>()), 1..120)) {
            let slab = slab(256);
            let mut held: Vec<(Secret, u8)> = Vec::new();
            for (bytes, drop_one, mark) in steps {
                if drop_one && !held.is_empty() {
                    held.remove(usize::from(mark) % held.len());
                } else if let Ok(secret) = slab.fill::<Error>(bytes, |out| { out.fill(mark); Ok(()) }) {
                    held.push((secret, mark));
                }
                for (secret, mark) in &held {
                    prop_assert!(secret.expose(LOOK).iter().all(|byte| byte == mark));
                }
                prop_assert_eq!(slab.usage().slots_used, held.iter().map(|(s, _)| s.slots).sum::<usize>());
            }
            held.clear();
            prop_assert_eq!(slab.usage().slots_used, 0);
        }
    }
}
