//! The soft L1: a customer's KMS for development, as its own process that keeps its keys to itself.
//!
//! `kcm demo` and the tests start it where no AWS KMS is at hand; a region asks it through `custody::l1::Soft`, in the language of
//! `custody::l1::soft_wire`. It has what the story needs of a KMS: keys that never leave it, principals with tokens, a policy a key,
//! states, and an admin who can say stop. [`Store`] decides, [`serve`] does the I/O, [`command`] is the admin's side.
//! Its keys lie in a file of its own folder: it is refused without `development = true`.

mod admin;
mod server;
mod store;

use std::{io, path::PathBuf};

use custody::l1::soft_wire::Code;

pub use admin::command;
pub use server::{CONNECTIONS_MAX, Options, serve};
pub use store::{KeySpec, Store, Who};

/// Why the soft L1 can't start, or an admin's command had no effect.
#[derive(Debug, thiserror::Error)]
pub enum SoftL1Error {
    #[error("the soft L1 can't {what} `{}`: {why}. Give it a folder of its own that it may write", path.display())]
    Folder { what: &'static str, path: PathBuf, why: io::Error },

    #[error("another soft L1 runs in `{}`: stop it, or name another folder", path.display())]
    InUse { path: PathBuf },

    #[error(
        "`{}` is not a key file of this soft L1: {why}. Restore it, or name an empty folder and lose what was wrapped", path.display()
    )]
    KeyFile { path: PathBuf, why: String },

    #[error("`{name}` is no key of a soft L1: write `soft:NAME`")]
    KeyName { name: String },

    #[error("the soft L1 has two principals with one token, {one} and {other}: give each its own")]
    SharedToken { one: String, other: String },

    #[error("the soft L1 could not draw random bytes: try again")]
    Random,

    #[error("the soft L1 at that address refuses ({code:?}): {why}")]
    Refused { code: Code, why: String },

    #[error("the soft L1 gave no answer: {why}. Check that it runs, its address and its CA file")]
    NoAnswer { why: String },
}
