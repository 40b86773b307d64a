//! The memory that a thread reads requests into and writes answers from.
//!
//! A session needs it only from the first byte of a request to the last of its answer. Kept by the thread and not by the session it is in
//! the cache when the next request comes, on whichever connection, and ten thousand silent connections have none. Here it is always wiped.

use std::{cell::RefCell, thread::LocalKey};

use zeroize::Zeroize;

/// What a session reads into without making room: sixteen requests that encrypt 1 KiB each, or one of 16 KiB with what stands around it.
pub(super) const READ_BYTES: usize = 32 * 1024;
/// Largest room for answers that is kept.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// Most of each kind that a thread keeps: one is in use as a rule, more where operations wait for something.
const KEPT_MAX: usize = 4;

thread_local! {
    /// [`READ_BYTES`] zeros each.
    static READING: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// Zeros, as many as the answer had bytes.
    static WRITING: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// [`READ_BYTES`] zeros.
pub(super) fn for_reading() -> Vec<u8> {
    READING.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; READ_BYTES])
}

/// Takes back what was read into, all of it wiped; room of another size is let go.
pub(super) fn done_reading(bytes: Vec<u8>) {
    if bytes.len() == READ_BYTES {
        keep(&READING, bytes);
    } else {
        let_go(bytes);
    }
}

/// Room for an answer, without content.
pub(super) fn for_writing() -> Vec<u8> {
    let mut bytes = WRITING.with_borrow_mut(Vec::pop).unwrap_or_default();
    bytes.clear();
    bytes
}

/// Wipes an answer that was sent, and takes its room back.
pub(super) fn done_writing(mut bytes: Vec<u8>) {
    // Each byte up to the capacity beyond the length was never written, or wiped before.
    if bytes.capacity() > WRITE_BYTES_MAX {
        let_go(bytes);
    } else if bytes.capacity() > 0 {
        bytes.fill(0);
        keep(&WRITING, bytes);
    }
}

fn keep(kept: &'static LocalKey<RefCell<Vec<Vec<u8>>>>, bytes: Vec<u8>) {
    kept.with_borrow_mut(|kept| if kept.len() < KEPT_MAX { kept.push(bytes) } else { let_go(bytes) });
}

/// A compiler may leave out what is stored into memory that is given back. Not these stores, which are slower.
fn let_go(mut bytes: Vec<u8>) {
    bytes.zeroize();
}

/// What this thread keeps for answers.
#[cfg(test)]
pub(super) fn kept_for_writing() -> Vec<Vec<u8>> {
    WRITING.with_borrow(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_wiped_before_it_is_kept() {
        let mut answer = for_writing();
        answer.extend_from_slice(&[7; 100]);
        done_writing(answer);
        WRITING.with_borrow(|kept| assert_eq!(*kept, [[0; 100]]));
        let again = for_writing();
        assert!(again.capacity() >= 100 && again.is_empty());
    }

    #[test]
    fn a_thread_keeps_few_and_none_that_are_large() {
        let taken: Vec<_> = (0..2 * KEPT_MAX).map(|_| for_reading()).collect();
        taken.into_iter().for_each(done_reading);
        done_reading(vec![0; 2 * READ_BYTES]);
        done_writing(vec![0; 2 * WRITE_BYTES_MAX]);
        assert_eq!(READING.with_borrow(Vec::len), KEPT_MAX);
        assert_eq!(WRITING.with_borrow(Vec::len), 0);
        assert!(for_reading().iter().all(|&byte| byte == 0));
    }
}
