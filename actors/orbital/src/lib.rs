//! Orbital: the language that both planes speak, and the only way between them.
//!
//! `names`, `canon` and `sign` are the alphabet; `trust`, `quorum`, `change`, `halt`, `enrol`, `vote`, `webauthn`, `certificate` and `chain` say who may cause what;
//! `directive`, `report`, `hello`, `lane` and `frame` are what crosses; `outbox`, `inbox` and `reconcile` make it arrive. `note` is the form
//! of signature that tools outside know, `routing` who is told of what.

pub mod canon;
pub mod certificate;
pub mod chain;
pub mod change;
pub mod codec;
pub mod delegation;
pub mod directive;
pub mod enrol;
pub mod fork;
pub mod frame;
pub mod halt;
pub mod held;
pub mod hello;
pub mod inbox;
pub mod lane;
pub mod names;
pub mod note;
pub mod outbox;
pub mod quorum;
pub mod reconcile;
pub mod recovery;
pub mod report;
pub mod routing;
pub mod sign;
pub mod site;
pub mod subject;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod transplant;
pub mod trust;
pub mod vote;
pub mod webauthn;
pub mod wire;
