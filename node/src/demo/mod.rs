//! `kcm demo`: an empty folder becomes a running sovereign cluster.
//!
//! The demo is a generated topology file and `kcm run` processes, nothing else: [`setup`] writes keys, certificates and the file,
//! [`processes`] starts and ends what the file names, [`story`] plays the kill switch through the same REST calls that anybody makes.

mod customers;
pub mod people;
pub mod pki;
mod ports;
pub mod processes;
mod screen;
pub mod setup;
mod story;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use processes::Processes;
use story::Teller;

/// Between two looks at the cluster's state.
const STATUS_EVERY: Duration = Duration::from_secs(2);

/// A demo that cannot be set up or does not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Pki(#[from] pki::PkiError),
    #[error("cannot write {0}: {1}. Choose a folder that you may write to with `--dir`")]
    Write(PathBuf, io::Error),
    #[error("{0} is not empty and was not made by `kcm demo`: choose another folder with `--dir`")]
    ForeignFolder(PathBuf),
    #[error("a demo runs in {0}: end it with Ctrl-C there, or choose another folder with `--dir`")]
    Running(PathBuf),
    #[error("the story uses the key of {tenant} from its first step on, and nobody has said which key at AWS it is. Name one: {env}=ARN", tenant = setup::AWS_TENANT, env = setup::AWS_KEY_ENV)]
    NoAwsKey,
    #[error("no free port on 127.0.0.1: {0}")]
    Port(io::Error),
    #[error("the governance node has no lease key")]
    NoLease,
    #[error("the HPKE key cannot be used")]
    Hpke,
    #[error(transparent)]
    KeyFile(#[from] crate::keyfiles::KeyFileError),
    #[error(transparent)]
    Policy(#[from] policy::PolicyError),
    #[error("cannot start {what}: {why}")]
    Start { what: String, why: io::Error },
    #[error("{node} ended before it was ready. The last lines of {log}:\n{tail}")]
    Ended { node: String, log: PathBuf, tail: String },
    #[error("{node} is not ready after {seconds} s. The last lines of {log}:\n{tail}")]
    NotReady { node: String, seconds: u64, log: PathBuf, tail: String },
    #[error("`{command}` failed: {why}")]
    Command { command: String, why: String },
    #[error("the story was not observed: {0}")]
    NotObserved(String),
    #[error(transparent)]
    Kmip(#[from] crate::kmip_client::KmipError),
    #[error("the system's random generator failed: {0}")]
    Random(String),
    #[error(transparent)]
    Name(#[from] orbital::names::BadName),
    #[error("the demo's trust root is not valid: {0}")]
    Trust(#[from] orbital::trust::BadTrust),
}

/// Runs the demo in `dir` until Ctrl-C, or until its story has been told.
pub async fn run(dir: &Path, aws: Option<&str>, kill_switch: bool) -> Result<(), DemoError> {
    let aws = aws.map(setup::AwsPlace::from_env);
    if kill_switch && aws.as_ref().is_some_and(|aws| aws.key.is_none()) {
        return Err(DemoError::NoAwsKey);
    }
    let setup = setup::write(dir, aws)?;
    println!("Starting {} processes…", setup.nodes.len());
    let mut processes = Processes::start(&setup).await?;
    let told = tokio::select! {
        told = tell(&setup, &mut processes, kill_switch) => told,
        _ = interrupted() => { println!("\nEnding…"); Ok(()) }
    };
    processes.stop().await;
    told
}

async fn tell(setup: &setup::Setup, processes: &mut Processes, kill_switch: bool) -> Result<(), DemoError> {
    screen::write_json(setup, processes)?;
    Teller { setup, aloud: false }.found().await?;
    let teller = Teller { setup, aloud: true };
    if kill_switch {
        return teller.kill_switch().await;
    }
    screen::welcome(setup);
    let mut last = String::new();
    loop {
        // Switching a node off is part of what one tries here: the others go on, and it can be started again.
        while let Some((node, log)) = processes.ended() {
            let tail = processes::tail(&log);
            let topology = setup.topology.display();
            eprintln!(
                "{node} has ended. The last lines of its log:\n{tail}\nStart it again: kcm run --node {node} {topology}"
            );
        }
        if let Some(status) = teller.status().await {
            last = screen::show_status(&last, status);
        }
        tokio::time::sleep(STATUS_EVERY).await;
    }
}

/// SIGINT or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
}
