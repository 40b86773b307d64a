//! `kcm`: governance, regions, and the people's command line, in one binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    node::cli::execute(node::cli::Cli::parse(), node::START)
}
