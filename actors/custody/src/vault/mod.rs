//! The vault: the only memory in which a tenant's key bytes ever stand in plaintext, and the only `unsafe` of the system.
//!
//! One slab of 64-byte slots, mapped by ourselves with every result checked (DESIGN §2.20): `memfd_secret` pages, which not even
//! the kernel's own map shows, or else locked, undumpable, wipe-on-fork pages. A failing lock refuses; it never falls back to
//! ordinary memory. A [`Secret`] owns a run of slots, is filled in place and wiped when dropped; it has no Debug, Clone or
//! Serialize. To read one you need an [`Expose`] token: a search for `Expose::because` lists every place that sees key bytes.
//!
//! `pages` maps and unmaps, `slab` hands out slots, `harden` shuts the process against core dumps and debuggers.

mod harden;
mod pages;
mod slab;

pub use harden::{Hardened, harden_process};
pub use pages::{Mode, Wanted};
pub use slab::{SECRET_BYTES_MAX, SLOT_BYTES, SLOTS_DEFAULT, Secret, Slab, Usage};

/// The permission to read key bytes, with the reason for it.
///
/// It guards nothing at run time; it makes every reader of key bytes findable by one word.
#[derive(Clone, Copy)]
pub struct Expose {
    _why: (),
}

impl Expose {
    /// Say why this place must see key bytes, such as `"wrap an L3 under its L2"`.
    pub const fn because(_why: &'static str) -> Self {
        Self { _why: () }
    }
}
