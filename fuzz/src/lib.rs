//! Fuzzing of the KMIP wire: what the targets begin with, and how they change what they have.
//!
//! `fuzz_targets/codec.rs` feeds the decoders, `fuzz_targets/sessions.rs` a whole server. Both are built by `.ci/fuzz` alone, with the
//! feature `engine`; the engine is libFuzzer, which runs on the toolchain of this workspace. [`seeds`] makes the first inputs from
//! cases in XML, [`tree`] changes messages item by item, so that most of what a target sees passes the first checks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a tool for tests: whatever is wrong should stop it where it stands"
)]

pub mod seeds;
pub mod tree;
