//! What the benches share: a region made of the product's own parts, processes that are asked, load over mutual TLS, statistics, paper.

#![allow(dead_code, unreachable_pub, reason = "each bench takes the part that it needs")]

pub mod ask;
pub mod child;
pub mod decide;
pub mod echo;
pub mod governance;
pub mod hostile;
pub mod load;
pub mod paper;
pub mod people;
pub mod pki;
pub mod pykmip;
pub mod region;
pub mod rest;
pub mod rounds;
pub mod servers;
pub mod stats;
pub mod versus;

use std::process::ExitCode;

use clap::Parser;

/// Whatever goes wrong ends a bench, with its reason.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;
pub type Res<T> = Result<T, Fault>;

/// `main` of a bench for which this same binary plays `kcm`: a node (`run --node NAME FILE`) or any other command. A bench's own
/// arguments begin with `--`.
pub fn kcm_or(bench: impl FnOnce(&Args) -> Res<()>) -> ExitCode {
    if std::env::args().nth(1).is_some_and(|first| !first.starts_with("--")) {
        return node::cli::execute(node::cli::Cli::parse(), node::START);
    }
    match bench(&Args::read()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("the bench failed: {why}");
            ExitCode::FAILURE
        }
    }
}

/// `--name value` pairs of the command line. `--bench`, which cargo adds, is none.
pub struct Args(Vec<String>);

impl Args {
    pub fn read() -> Self {
        Self(std::env::args().skip(1).filter(|word| word != "--bench").collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.windows(2).find_map(|pair| match pair {
            [found, value] if found.strip_prefix("--") == Some(name) => Some(value.as_str()),
            _ => None,
        })
    }

    pub fn need(&self, name: &str) -> Res<&str> {
        self.get(name).ok_or_else(|| format!("--{name} is missing").into())
    }

    pub fn number(&self, name: &str, otherwise: usize) -> Res<usize> {
        Ok(self.get(name).map(str::parse).transpose()?.unwrap_or(otherwise))
    }
}
