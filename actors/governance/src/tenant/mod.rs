//! Tenants: the pure state as a fold of ledger entries, the decisions on it, and the actor around both.

pub(crate) mod actor;

pub(crate) use actor::{Msg, Outcome, Reply};
