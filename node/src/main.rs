//! `kcm`: governance, regions, and the people's command line, in one binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    #[cfg(feature = "pkcs11")]
    if std::env::args_os().nth(1).is_some_and(|first| first == node::PKCS11_HOST) {
        return node::pkcs11_host();
    }
    node::cli::execute(node::cli::Cli::parse(), node::START)
}
