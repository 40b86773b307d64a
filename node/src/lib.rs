//! The node: composition roots of both planes, the cluster that joins them, and the `kcm` command line.

pub mod age;
mod checkpoints;
pub mod cli;
pub mod cluster;
pub mod crypto;
pub mod demo;
mod durable;
mod fault;
mod files;
pub mod governance;
pub mod health;
pub mod keyfiles;
pub mod kmip_client;
mod kms_book;
mod ledgers;
mod notices;
mod region;
pub mod run;
mod sign_in;
mod site;
pub mod soft;
pub mod soft_l1;
mod sources;
mod start;
pub mod stop_listener;
pub mod telemetry;
pub mod threads;

pub use fault::RunError;
#[cfg(feature = "pkcs11")]
pub use sources::PKCS11_HOST;
pub use start::START;

/// Takes no lock: with glibc's, a kill that freed a few bytes waited for a KMIP thread that was preempted inside `malloc`. And no huge
/// pages: the kernel wipes 2 MiB at a time, which cost the first kill of a process 7 ms.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Becomes the process that loads a PKCS#11 module for a node. Its error reaches the node as a closed socket, and a person who called it.
#[cfg(feature = "pkcs11")]
pub fn pkcs11_host() -> std::process::ExitCode {
    match custody::l1::pkcs11_host() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("the process of a PKCS#11 module is started by a node alone: {why}");
            std::process::ExitCode::FAILURE
        }
    }
}
