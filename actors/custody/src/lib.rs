//! Custody: the execution plane's keys, in locked memory of one region's node and wrapped at rest.
//!
//! Start with [`keyring::Keyring`], the façade that the KMIP server and the node use; [`key_table`] has the gate, the borrows and
//! the kill. `vault` is the only `unsafe` of the system. Custody decides nothing about who may do what: `standing` reads the
//! tenant's certified trust chain, the KMIP server asks Cedar.

pub mod aead;
pub mod asymmetric;
pub mod by_hand;
pub mod clock;
pub mod dek;
mod der;
pub mod ec;
pub mod error;
mod guards;
pub mod high_water;
pub mod kdf;
pub mod keeper;
pub mod key_cache;
pub mod key_table;
pub mod keyring;
pub mod l1;
pub mod lease;
pub mod mac;
pub mod names;
pub mod object;
pub mod receiver;
mod replacing;
#[cfg(test)]
mod rig;
pub mod rsa;
pub mod seal;
pub mod shelf;
pub mod signature;
pub mod split;
pub mod standing;
pub mod steward;
pub mod supervisor;
pub mod unseal;
pub mod vault;

pub use error::{Error, Kind};
