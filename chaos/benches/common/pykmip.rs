//! PyKMIP's server, of the Python environment that `.ci/install foreign` makes, as one more server on the server's core.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use kmip::{Operation, ops::Answer};

use super::{
    Res, ask,
    child::Child,
    load::Connection,
    servers::{Bench, SERVER_CORE},
};

/// As tests/foreign/requirements.txt pins it.
pub const NAME: &str = "PyKMIP 0.11.0";
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// PyKMIP's server, with one active AES-256 key.
pub struct PyKmip {
    pub child: Child,
    pub port: u16,
    pub key: String,
}

impl PyKmip {
    /// Starts it, or says why it is skipped.
    pub fn start(bench: &Bench) -> Res<Result<Self, String>> {
        let root = Path::new(ROOT);
        let venv = std::env::var_os("KCM_VENV").map_or_else(|| root.join("target/venv"), PathBuf::from);
        let python = venv.join("bin/python");
        if !python.exists() {
            let why = "skipped, since there is no Python environment: `.ci/install foreign` makes target/venv, KCM_VENV names another";
            return Ok(Err(why.to_owned()));
        }
        let mut command = Command::new(python);
        command.arg(root.join("tests/foreign/pykmip_server.py"));
        let folder = bench.path("pykmip");
        std::fs::create_dir_all(&folder)?;
        let file = |name: &str| bench.path(name).display().to_string();
        let options = [
            ("folder", folder.display().to_string()),
            ("ca", file("ca.pem")),
            ("cert", file("server.pem")),
            ("key", file("server.key")),
            ("core", SERVER_CORE.to_string()),
        ];
        let (child, port) = Child::run(command, &options, &bench.path("pykmip.log"))?;
        let port = port.parse()?;
        let key = bench.runtime.block_on(async {
            let mut connection = Connection::open(port, bench.tls.clone()).await?;
            let made = connection.ask(&ask::create()).await?;
            let Answer::Create(made) = ask::read(made, Operation::Create)? else {
                return Err("no key was made".into());
            };
            let key = made.unique_identifier.to_owned();
            ask::read(connection.ask(&ask::activate(&key)).await?, Operation::Activate)?;
            Res::Ok(key)
        })?;
        Ok(Ok(Self { child, port, key }))
    }
}
