//! A key in an HSM, reached over PKCS#11: AES-GCM on the token, with the context as associated data.
//!
//! The vendor's module is C code, so it is loaded by a process of its own (`host.rs`), which this one starts, asks over a socket, and ends
//! when it does not answer. A process sees tokens as they were when it began: whatever may be stale is asked again in a fresh one before
//! it counts. A PIN that the token refused is not tried again, since tokens lock themselves.

mod classify;
mod host;
mod token;
mod wire;

use std::{
    ffi::OsString,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::PathBuf,
    process::Stdio,
};

use orbital::names::KeyRef;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::UnixStream,
    process::{Child, Command},
    sync::Mutex,
};
use zeroize::Zeroizing;

use self::wire::{Ask, Kind, Opening, Reply};
use super::{
    Answer, Context, Described, Fault, L1, L1Error, Plain, State, Stop, check_plain, check_wrapped, credential_file,
    soft_wire::{Bytes, Token, line, parse, read_line},
    within,
};

pub use host::pkcs11_host;

const PROVIDER: &str = "pkcs11";

/// Which token, and who asks it.
pub struct Pkcs11Options {
    /// The vendor's shared library.
    pub module: PathBuf,
    pub token_label: String,
    /// Tells tokens of one label apart, and a token from another that took its name.
    pub token_serial: Option<String>,
    /// Holds the user's PIN in one line; of mode 0600.
    pub pin_file: PathBuf,
    /// The program that calls [`pkcs11_host`], with its arguments.
    pub host: (PathBuf, Vec<OsString>),
}

/// A token as one principal sees it.
pub struct Pkcs11 {
    options: Pkcs11Options,
    turn: Mutex<Turn>,
}

/// What belongs to whoever asks now.
#[derive(Default)]
struct Turn {
    running: Option<Running>,
    /// The PIN that the token refused.
    refused: Option<Zeroizing<String>>,
}

/// The process that has the module; ended with this value.
struct Running {
    _process: Child,
    socket: BufReader<UnixStream>,
}

impl Pkcs11 {
    /// Looks at the files; no process is started yet.
    ///
    /// # Errors
    /// [`L1Error::Setup`] for a module that is no file, or a PIN file that can't be used.
    pub fn connect(options: Pkcs11Options) -> Result<Self, L1Error> {
        let setup = |why: String| L1Error::setup(PROVIDER, why);
        let module = options.module.display();
        if !options.module.is_file() {
            return Err(setup(format!(
                "its module `{module}` is no file: install the vendor's library, or correct `module`"
            )));
        }
        credential_file::line(&options.pin_file).map_err(setup)?;
        Ok(Self { options, turn: Mutex::default() })
    }

    async fn asked(&self, key: &KeyRef, ask: Ask) -> Result<Reply, L1Error> {
        within(PROVIDER, key, self.in_turn(key, ask)).await
    }

    /// One after the other. Whoever is cut off takes the process with it: what it would say belongs to nobody.
    async fn in_turn(&self, key: &KeyRef, ask: Ask) -> Result<Reply, L1Error> {
        let mut turn = self.turn.lock().await;
        let question = line(&ask).map_err(|e| L1Error::unreachable(PROVIDER, key, Fault::Unknown, e.to_string()))?;
        if let Some(running) = turn.running.take()
            && let Ok(reply) = exchange(running, &question, &mut turn).await
            && !matches!(reply, Reply::Refused { kind: Kind::Stale, .. })
        {
            return meaning(key, reply);
        }
        let started = self.start(&turn).await;
        let (running, pin) = started.map_err(|(fault, why)| L1Error::unreachable(PROVIDER, key, fault, why))?;
        let reply = exchange(running, &question, &mut turn).await;
        let reply = reply.map_err(|why| L1Error::unreachable(PROVIDER, key, Fault::Server, why))?;
        turn.refused = matches!(reply, Reply::Refused { kind: Kind::Pin, .. }).then_some(pin);
        meaning(key, reply)
    }

    /// A process with its PIN, or what is wrong with either.
    async fn start(&self, turn: &Turn) -> Result<(Running, Zeroizing<String>), (Fault, String)> {
        let place = self.options.pin_file.display();
        let pin = credential_file::line(&self.options.pin_file).map_err(|why| (Fault::Credential, why))?;
        if turn.refused.as_ref() == Some(&pin) {
            let why = format!(
                "the token refused the PIN of `{place}`, which is not tried again lest the token locks itself: write the right one into that file"
            );
            return Err((Fault::Credential, why));
        }
        let broken =
            |what: &'static str| move |e: std::io::Error| (Fault::Server, format!("the module's process {what}: {e}"));
        let (ours, theirs) = StdUnixStream::pair().map_err(broken("has no socket"))?;
        ours.set_nonblocking(true).map_err(broken("has no socket"))?;
        let (program, arguments) = &self.options.host;
        let process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(broken("did not start"))?;
        let socket = BufReader::new(UnixStream::from_std(ours).map_err(broken("has no socket"))?);
        let mut running = Running { _process: process, socket };
        let opening = Opening {
            module: self.options.module.display().to_string(),
            token_label: self.options.token_label.clone(),
            token_serial: self.options.token_serial.clone(),
            pin: Token::new(pin.as_str()),
        };
        let first = line(&opening).map_err(|e| (Fault::Server, e.to_string()))?;
        running.socket.write_all(&first).await.map_err(broken("is gone"))?;
        Ok((running, pin))
    }
}

/// One question and its answer. The process is kept for the next one only if it has answered from an open session.
async fn exchange(mut running: Running, question: &[u8], turn: &mut Turn) -> Result<Reply, String> {
    let gone = |e: &dyn std::fmt::Display| format!("the module's process is gone: {e}");
    running.socket.write_all(question).await.map_err(|e| gone(&e))?;
    let answer = read_line(&mut running.socket).await.map_err(|e| gone(&e))?;
    let reply = parse(&answer.ok_or_else(|| gone(&"it closed its socket"))?).map_err(|e| gone(&e))?;
    let lasts = |kind| matches!(kind, Kind::Disabled | Kind::Mismatch | Kind::Unfit);
    if !matches!(reply, Reply::Refused { kind, .. } if !lasts(kind)) {
        turn.running = Some(running);
    }
    Ok(reply)
}

fn meaning(key: &KeyRef, reply: Reply) -> Result<Reply, L1Error> {
    let Reply::Refused { kind, why } = reply else { return Ok(reply) };
    Err(match kind {
        Kind::Disabled => L1Error::stopped(PROVIDER, key, Stop::Disabled, why),
        Kind::Deleted => L1Error::stopped(PROVIDER, key, Stop::Deleted, why),
        Kind::Mismatch => L1Error::mismatch(PROVIDER, key, why),
        Kind::Unfit => L1Error::unfit(PROVIDER, key, why),
        Kind::Pin => L1Error::unreachable(PROVIDER, key, Fault::Credential, why),
        Kind::Absent => L1Error::unreachable(PROVIDER, key, Fault::Network, why),
        Kind::Stale | Kind::Broken => L1Error::unreachable(PROVIDER, key, Fault::Server, why),
    })
}

fn out_of_turn(key: &KeyRef) -> L1Error {
    L1Error::unreachable(
        PROVIDER,
        key,
        Fault::Unknown,
        "the module's process answered another question than the one asked",
    )
}

impl L1 for Pkcs11 {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn describe<'a>(&'a self, key: &'a KeyRef) -> Answer<'a, Described> {
        Box::pin(async move {
            let Reply::Described { enabled } = self.asked(key, Ask::Describe { key: key.to_string() }).await? else {
                return Err(out_of_turn(key));
            };
            let state = if enabled { State::Enabled } else { State::Disabled };
            Ok(Described { state, resolved: key.clone() })
        })
    }

    fn wrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, plain: &'a [u8]) -> Answer<'a, Vec<u8>> {
        Box::pin(async move {
            check_plain(PROVIDER, key, plain)?;
            let aad = Bytes(Zeroizing::new(context.aad()));
            match self.asked(key, Ask::Wrap { key: key.to_string(), aad, plain: Bytes::copy(plain) }).await? {
                Reply::Wrapped { wrapped } => Ok(wrapped.0.to_vec()),
                _ => Err(out_of_turn(key)),
            }
        })
    }

    fn unwrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, wrapped: &'a [u8]) -> Answer<'a, Plain> {
        Box::pin(async move {
            check_wrapped(PROVIDER, key, wrapped)?;
            let aad = Bytes(Zeroizing::new(context.aad()));
            match self.asked(key, Ask::Unwrap { key: key.to_string(), aad, wrapped: Bytes::copy(wrapped) }).await? {
                Reply::Plain { plain } => Ok(Plain::new(plain.0.to_vec())),
                _ => Err(out_of_turn(key)),
            }
        })
    }
}
