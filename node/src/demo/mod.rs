//! `kcm demo`: an empty folder becomes a running sovereign cluster.

pub mod pki;
