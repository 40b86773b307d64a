//! One suite for every L1 provider: what a region may rely on, whoever's KMS it is.
//!
//! `suite` holds the checks and what a customer can do at a KMS; `soft` and `ministack` are customers of their provider. `scripted` is
//! an endpoint that answers AWS calls from a script, for the faults that no test server makes. The ministack server comes from the
//! Python environment that `KCM_VENV` names; without it that part says that it was skipped.

#[cfg(test)]
mod ministack;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod soft;
#[cfg(test)]
#[path = "../../../../node/src/soft_l1/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the server's own module, of which this suite uses a part")]
mod soft_l1;
#[cfg(test)]
mod suite;
