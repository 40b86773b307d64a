//! `kcm demo`: an empty folder becomes a running sovereign cluster.
//!
//! The demo is a generated topology file and `kcm run` processes, nothing else: [`setup`] writes keys, certificates and the file,
//! [`processes`] starts and ends what the file names, [`story`] plays the kill switch through the same REST calls that anybody makes.

pub mod people;
pub mod pki;

use std::{io, path::PathBuf};

/// A demo that cannot be set up or does not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Pki(#[from] pki::PkiError),
    #[error("cannot write {0}: {1}. Choose a folder that you may write to with `--dir`")]
    Write(PathBuf, io::Error),
    #[error("the system's random generator failed: {0}")]
    Random(String),
    #[error(transparent)]
    Name(#[from] orbital::names::BadName),
    #[error("the demo's trust root is not valid: {0}")]
    Trust(#[from] orbital::trust::BadTrust),
}
