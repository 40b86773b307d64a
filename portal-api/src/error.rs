//! What keeps the listener from being there at all. What a caller does wrong is a [`crate::problem::Problem`].

use std::io;

/// Why the portal's listener cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("the portal's {what} does not read: {why}; give a PEM file as `kcm demo` writes it")]
    Pem { what: &'static str, why: String },
    #[error("the portal's TLS cannot be set up: {0}; check that certificate, key and client CA belong together")]
    Tls(#[from] rustls::Error),
    #[error("the client CA of the portal verifies nobody: {0}; give the CA that signs the callers' certificates")]
    ClientCa(String),
    #[error("governance.login.{what} of the topology cannot be used: {why}")]
    Login { what: &'static str, why: String },
    #[error("the portal's listener failed: {0}; is the address free and the limit of open files high enough?")]
    Listener(#[from] io::Error),
}
