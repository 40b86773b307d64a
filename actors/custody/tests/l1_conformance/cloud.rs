//! The servers of `tests/foreign` that stand for a customer's KMS, each a process of its own.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::suite::venv;

/// A server process with its folder; ended with this value.
pub(crate) struct Server {
    process: Child,
    python: PathBuf,
    program: PathBuf,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Server {
    /// `None`, and a line that says so, where there is no Python environment.
    pub(crate) fn start(what: &str, program: &str) -> Option<Self> {
        let (python, folder) = (venv(what)?.join("bin/python"), tempfile::tempdir().unwrap());
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/foreign").join(program);
        let mut process =
            Command::new(&python).arg(&program).arg(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Some(Self { process, python, program, port: port.trim().parse().unwrap(), folder })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the customer's administrator does: an answer in JSON.
    pub(crate) fn run(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(&self.python);
        command.arg(&self.program).arg(self.folder.path()).arg(self.port.to_string()).args(arguments);
        let output = command.output().unwrap();
        let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The same by a REST interface.
    #[cfg(any(feature = "azure-key-vault", feature = "google-kms"))]
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.run(&[method, path, &body.to_string()])
    }

    /// What a program of the provider's own library sees at this server.
    #[cfg(any(feature = "azure-key-vault", feature = "google-kms"))]
    pub(crate) fn seen_by(&self, program: &str, arguments: &[&str]) -> Value {
        let mut command = Command::new(&self.python);
        command.arg(self.program.with_file_name(program)).arg(self.folder.path()).arg(self.port.to_string());
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
