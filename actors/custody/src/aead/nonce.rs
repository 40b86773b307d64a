//! Nonces: random, 96 bits, drawn from the system in blocks.
//!
//! One draw from the kernel costs twice an AES-GCM of 1 KiB (measured), so each thread keeps a block of random bytes and hands
//! out twelve at a time. Handed-out bytes are zeroed; nonces are public, but a buffer that forgets cannot repeat.
//!
//! A forked child that went on with its parent's block would repeat nonces, which is the end of a key. Nothing here forks without an
//! exec: that takes `unsafe`, which stands in `vault/` alone (walls 4). Asking for the process's id at each draw instead is a system
//! call, which costs as much as the cipher.

use std::cell::RefCell;

use super::NONCE_BYTES;
use crate::error::Error;

const BLOCK_BYTES: usize = NONCE_BYTES * 128;

struct Block {
    bytes: [u8; BLOCK_BYTES],
    used: usize,
}

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block { bytes: [0; BLOCK_BYTES], used: BLOCK_BYTES }) };
}

/// The nonce generator of this process.
#[derive(Clone, Copy, Debug)]
pub struct Nonces;

impl Nonces {
    /// A fresh nonce.
    pub fn draw() -> Result<[u8; NONCE_BYTES], Error> {
        BLOCK.with_borrow_mut(|block| {
            if block.used >= BLOCK_BYTES {
                getrandom::fill(&mut block.bytes).map_err(|e| Error::Random(e.to_string()))?;
                block.used = 0;
            }
            let end = block.used + NONCE_BYTES;
            let next = block.bytes.get_mut(block.used..end).ok_or(Error::Seal)?;
            let mut nonce = [0; NONCE_BYTES];
            nonce.swap_with_slice(next);
            block.used = end;
            Ok(nonce)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nonces_do_not_repeat_across_blocks_and_threads() {
        let draws = || (0..1000).map(|_| Nonces::draw().unwrap()).collect::<Vec<_>>();
        let other = std::thread::spawn(draws);
        let mut all = draws();
        all.extend(other.join().unwrap());
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 2000);
    }

    #[test]
    fn what_was_handed_out_is_forgotten() {
        Nonces::draw().unwrap();
        BLOCK.with_borrow(|block| assert!(block.bytes[..block.used].iter().all(|byte| *byte == 0)));
    }
}
