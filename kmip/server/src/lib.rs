//! The KMIP server of a region: TTLV over mutual TLS, and TTLV, XML or JSON over HTTPS, on the keys that custody holds.
//!
//! A request's way, each step one file: [`listener`] (TCP, TLS, limits) → [`caller`] (certificate → [`caller::Caller`]) → [`session`]
//! (frames) or [`https`] (bodies) → [`dispatch`] (batches, permission, audit) → [`ops`] (one file an operation) → `custody::keyring`. It
//! never enters a mailbox. [`refusal`] is the one map from our errors to KMIP's result reasons. Nothing here knows governance.

pub mod audit;
pub mod caller;
pub mod connections;
mod correlation;
pub mod listener;
pub mod policies;
pub mod server;
pub mod tls;

mod attributes;
mod dispatch;
mod https;
mod issue;
mod lifecycle;
mod locate;
mod naming;
mod ops;
mod pending;
mod refusal;
mod session;
mod socket;
mod streams;
mod telemetry;
mod turns;
mod usage;

#[cfg(any(test, feature = "testing"))]
pub mod rig;
#[cfg(test)]
mod tests;

pub use listener::{Limits, serve, serve_https};
pub use server::{Parts, Server};
