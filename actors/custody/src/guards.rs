//! The guards behind the three races, each a function of its own so that a test build can take exactly one away.
//!
//! `RUSTFLAGS='--cfg mutant="NAME"'` makes one of them a no-op; CI builds each and demands that the test named beside it turns
//! red. A product build contains none of the no-ops.
//!
//! | mutant | guard | test that turns red |
//! |---|---|---|
//! | `late_unseal` | [`same_generation`] | `key_table::tests::an_unseal_that_began_before_a_kill_is_refused_after_the_restore` |
//! | `fence` | [`closed`] | `key_table::tests::no_output_leaves_after_the_fence` |
//! | `durable_epoch` | [`must_write`] | `high_water::tests`, `shelf::tombstone::tests`, `keyring` restart tests |
//! | `high_water` | [`behind`] | `high_water::tests::a_store_behind_the_file_is_sealed`, `steward::tests::put_back` |
//! | `lease_clock` | [`elapsed_ms`], [`past`] | `lease::tests`, `key_table::tests::a_lease_ends_by_itself` |
//! | `lease_nonce` | [`spend`] | `lease::tests::a_nonce_works_once_and_never_after_a_newer_one` |
//! | `replayed` | [`follows`] | `standing::tests::a_replayed_or_leaping_grant_is_refused` |
//! | `forged` | `orbital::certificate::certify` | `standing::tests::every_directive_without_its_proof_is_refused_and_changes_nothing` |

use crate::names::{Epoch, Generation};

/// A key may enter the table only in the generation in which its unseal began.
#[cfg(not(mutant = "late_unseal"))]
pub(crate) fn same_generation(began: Generation, now: Generation) -> bool {
    began == now
}
#[cfg(mutant = "late_unseal")]
pub(crate) fn same_generation(_began: Generation, _now: Generation) -> bool {
    true
}

/// Which of the stop bits that are set close the gate for this purpose.
#[cfg(not(mutant = "fence"))]
pub(crate) fn closed(set: u32, closing: u32) -> u32 {
    set & closing
}
#[cfg(mutant = "fence")]
pub(crate) fn closed(_set: u32, _closing: u32) -> u32 {
    0
}

/// Stops and epochs are written before they are acknowledged.
#[cfg(not(mutant = "durable_epoch"))]
pub(crate) fn must_write() -> bool {
    true
}
#[cfg(mutant = "durable_epoch")]
pub(crate) fn must_write() -> bool {
    false
}

/// What a node remembers outside its store about one tenant: (trust version, epoch, generation).
pub(crate) type Mark = (u64, Epoch, Generation);

/// The store knows less than this node once acknowledged.
#[cfg(not(mutant = "high_water"))]
pub(crate) fn behind(store: Mark, file: Mark) -> bool {
    store.0 < file.0 || store.1 < file.1 || store.2 < file.2
}
#[cfg(mutant = "high_water")]
pub(crate) fn behind(_store: Mark, _file: Mark) -> bool {
    false
}

/// The lease's deadline has come.
#[cfg(not(mutant = "lease_clock"))]
pub(crate) fn past(deadline_ms: u64, now_ms: u64) -> bool {
    now_ms >= deadline_ms
}
#[cfg(mutant = "lease_clock")]
pub(crate) fn past(_deadline_ms: u64, _now_ms: u64) -> bool {
    false
}

/// Time that went by between two readings of one clock; a clock that went back counts as none here (the caller refuses it).
#[cfg(not(mutant = "lease_clock"))]
pub(crate) fn elapsed_ms(then_ms: u64, now_ms: u64) -> u64 {
    now_ms.saturating_sub(then_ms)
}
#[cfg(mutant = "lease_clock")]
pub(crate) fn elapsed_ms(_then_ms: u64, _now_ms: u64) -> u64 {
    0
}

/// Takes out the nonce at this place, with all older ones: each renews once, and none after a newer one.
#[cfg(not(mutant = "lease_nonce"))]
pub(crate) fn spend<T: Copy>(drawn: &mut Vec<T>, at: usize) -> Option<T> {
    drawn.drain(..=at).next_back()
}
#[cfg(mutant = "lease_nonce")]
pub(crate) fn spend<T: Copy>(drawn: &mut Vec<T>, at: usize) -> Option<T> {
    drawn.get(at).copied()
}

/// A grant's epoch is above that of the head: one that is sent again by anyone, later, grants nothing.
#[cfg(not(mutant = "replayed"))]
pub(crate) fn follows(epoch: u64, here: u64) -> bool {
    epoch > here
}
#[cfg(mutant = "replayed")]
pub(crate) fn follows(_epoch: u64, _here: u64) -> bool {
    true
}
