//! Nonces and initialization vectors: random, drawn from the generator of AWS-LC in blocks.
//!
//! A draw by itself costs twice an AES-GCM of 1 KiB (measured), so each thread keeps a block of random bytes and hands out a few at a
//! time. Handed-out bytes are zeroed; nonces are public, but a buffer that forgets cannot repeat.
//!
//! A forked child that went on with its parent's block would repeat nonces, which is the end of a key. Nothing here forks without an
//! exec: that takes `unsafe`, which stands in `vault/` alone (walls 4). Asking for the process's id at each draw instead is a system
//! call, which costs as much as the cipher.

use std::cell::RefCell;

use crate::error::Error;

const BLOCK_BYTES: usize = 4096;

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
    /// `N` fresh bytes; what is left of a block and is less is not used.
    pub fn draw<const N: usize>() -> Result<[u8; N], Error> {
        const { assert!(N <= BLOCK_BYTES) };
        BLOCK.with_borrow_mut(|block| {
            if block.used + N > BLOCK_BYTES {
                aws_lc_rs::rand::fill(&mut block.bytes)
                    .map_err(|_| Error::Random("the system's generator gave nothing".to_owned()))?;
                block.used = 0;
            }
            let end = block.used + N;
            let next = block.bytes.get_mut(block.used..end).ok_or(Error::Seal)?;
            let mut nonce = [0; N];
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
        let draws = || (0..1000).map(|_| Nonces::draw::<12>().unwrap()).collect::<Vec<_>>();
        let other = std::thread::spawn(draws);
        let mut all = draws();
        all.extend(other.join().unwrap());
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 2000);
    }

    #[test]
    fn what_was_handed_out_is_forgotten() {
        Nonces::draw::<12>().unwrap();
        Nonces::draw::<16>().unwrap();
        BLOCK.with_borrow(|block| assert!(block.bytes[..block.used].iter().all(|byte| *byte == 0)));
    }
}
