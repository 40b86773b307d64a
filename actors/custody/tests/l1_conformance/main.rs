//! One suite for every L1 provider: what a region may rely on, whoever's KMS it is.
//!
//! `suite` holds the checks and what a customer can do at a KMS; `soft`, `ministack`, `azure`, `google`, `key_manager`, `openbao` and `pkcs11` are customers of
//! their provider.
//! `scripted` and `scripted_https` are endpoints that answer from a script, for the faults that no test server makes. The servers of
//! PyKMIP, ministack, OpenBao, and of Azure's and Google's interfaces come from the Python environment that `KCM_VENV` names; without it those parts say that they were skipped.

#[cfg(test)]
#[cfg(feature = "azure-key-vault")]
mod azure;
#[cfg(test)]
#[cfg(any(feature = "azure-key-vault", feature = "google-kms", feature = "kmip"))]
mod cloud;
#[cfg(test)]
#[cfg(feature = "google-kms")]
mod google;
#[cfg(test)]
#[cfg(feature = "kmip")]
mod key_manager;
#[cfg(test)]
mod ministack;
#[cfg(test)]
#[cfg(feature = "vault-transit")]
mod openbao;
#[cfg(test)]
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(test)]
mod scripted;
#[cfg(test)]
#[cfg(feature = "vault-transit")]
mod scripted_https;
#[cfg(test)]
mod soft;
#[cfg(test)]
#[path = "../../../../node/src/soft_l1/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the server's own module, of which this suite uses a part")]
mod soft_l1;
#[cfg(test)]
mod suite;
