//! Nonces: random, 96 bits, drawn from the system in blocks.
//!
//! One draw from the kernel costs twice an AES-GCM of 1 KiB (measured), so each thread keeps a block of random bytes and hands
//! out twelve at a time. A block belongs to one process: after a fork the child draws its own, as a repeated nonce would be the
//! end of the key. Handed-out bytes are zeroed; nonces are public, but a buffer that forgets cannot repeat.

use std::cell::RefCell;

use super::NONCE_BYTES;
use crate::error::Error;

const BLOCK_BYTES: usize = NONCE_BYTES * 128;

struct Block {
    bytes: [u8; BLOCK_BYTES],
    used: usize,
    process: u32,
}

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block { bytes: [0; BLOCK_BYTES], used: BLOCK_BYTES, process: 0 }) };
}

/// The nonce generator of this process.
#[derive(Clone, Copy, Debug)]
pub struct Nonces;

impl Nonces {
    /// A fresh nonce.
    pub fn draw() -> Result<[u8; NONCE_BYTES], Error> {
        Self::draw_for(std::process::id())
    }

    fn draw_for(process: u32) -> Result<[u8; NONCE_BYTES], Error> {
        BLOCK.with_borrow_mut(|block| {
            if block.used >= BLOCK_BYTES || block.process != process {
                getrandom::fill(&mut block.bytes).map_err(|e| Error::Random(e.to_string()))?;
                (block.used, block.process) = (0, process);
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
    fn a_forked_child_draws_its_own_block() {
        Nonces::draw_for(1).unwrap();
        let mine = BLOCK.with_borrow(|block| block.bytes);
        Nonces::draw_for(2).unwrap();
        let childs = BLOCK.with_borrow(|block| block.bytes);
        assert_ne!(mine[NONCE_BYTES..], childs[NONCE_BYTES..]);
    }

    #[test]
    fn what_was_handed_out_is_forgotten() {
        Nonces::draw().unwrap();
        BLOCK.with_borrow(|block| assert!(block.bytes[..block.used].iter().all(|byte| *byte == 0)));
    }
}
