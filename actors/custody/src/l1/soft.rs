//! The soft L1, as a region asks it: a KMS for development that runs as its own process and keeps its keys to itself.
//!
//! One TLS connection a call, the server's certificate verified against one pinned CA file, a token for the principal. What the server
//! says is classified as any KMS's answer: a token that it does not know is a fault, a policy that says no is a stop.
//! Refused outside development: [`Soft::connect`] takes the proof.

use std::{path::PathBuf, time::Duration};

use orbital::names::KeyRef;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    Answer, Context, Described, Development, Fault, L1, L1Error, Plain, State, Stop, check_plain, check_wrapped,
    soft_wire::{Ask, Bytes, Code, Reply, Request, SoftState, Token, context_pairs, line, parse, read_line},
};

const PROVIDER: &str = "soft";

/// Of one call, from name resolution to the last byte of the answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a soft L1 listens and who asks it.
pub struct SoftOptions {
    /// `host:port`; the host is verified against the server's certificate.
    pub address: String,
    /// PEM file of the one CA that may vouch for the server.
    pub ca: PathBuf,
    pub token: Token,
}

/// A soft L1 server that can be asked.
#[derive(Clone)]
pub struct SoftTarget {
    address: String,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl SoftTarget {
    /// Reads the CA file; no call is made yet.
    pub fn new(address: &str, ca: &std::path::Path, _: Development) -> Result<Self, L1Error> {
        let setup = |why: String| L1Error::setup(PROVIDER, why);
        let host = address.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']']));
        let host = host.ok_or_else(|| setup(format!("its address `{address}` is not HOST:PORT")))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|e| setup(format!("its host `{host}`: {e}")))?;
        Ok(Self { address: address.to_owned(), name, tls: super::tls::tls(PROVIDER, ca)? })
    }
}

/// Asks one question on its own connection, within [`CALL_TIMEOUT`]. The error says why there is no answer.
pub async fn soft_exchange(target: &SoftTarget, request: &Request) -> Result<Reply, String> {
    match timeout(CALL_TIMEOUT, exchange(target, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("{} gave no answer within {} s", target.address, CALL_TIMEOUT.as_secs())),
    }
}

async fn exchange(target: &SoftTarget, request: &Request) -> Result<Reply, String> {
    let address = &target.address;
    let say = |what: &str, e: &dyn std::fmt::Display| format!("{what} {address}: {e}");
    let question = line(request).map_err(|e| say("asking", &e))?;
    let tcp = TcpStream::connect(address).await.map_err(|e| say("connecting to", &e))?;
    tcp.set_nodelay(true).map_err(|e| say("connecting to", &e))?;
    let tls = target.tls.connect(target.name.clone(), tcp).await.map_err(|e| say("TLS with", &e))?;
    let mut stream = BufReader::new(tls);
    stream.write_all(&question).await.map_err(|e| say("asking", &e))?;
    stream.flush().await.map_err(|e| say("asking", &e))?;
    let answer = read_line(&mut stream).await.map_err(|e| say("reading from", &e))?;
    let answer = answer.ok_or_else(|| say("reading from", &"it closed the connection without an answer"))?;
    parse(&answer).map_err(|e| say("reading from", &e))
}

/// A soft L1 as one principal sees it.
pub struct Soft {
    target: SoftTarget,
    token: Token,
}

impl Soft {
    /// # Errors
    /// [`L1Error::Setup`] for an address or a CA file that can't be used.
    pub fn connect(options: SoftOptions, development: Development) -> Result<Self, L1Error> {
        Ok(Self { target: SoftTarget::new(&options.address, &options.ca, development)?, token: options.token })
    }

    /// `host:port`, as it was given.
    pub fn address(&self) -> &str {
        &self.target.address
    }

    async fn ask(&self, key: &KeyRef, ask: Ask) -> Result<Reply, L1Error> {
        let request = Request { token: self.token.clone(), ask };
        match soft_exchange(&self.target, &request).await {
            Ok(Reply::Refused { code, why }) => Err(meaning(key, code, why)),
            Ok(reply) => Ok(reply),
            Err(why) => Err(L1Error::unreachable(PROVIDER, key, Fault::Network, why)),
        }
    }
}

impl L1 for Soft {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn describe<'a>(&'a self, key: &'a KeyRef) -> Answer<'a, Described> {
        Box::pin(async move {
            match self.ask(key, Ask::Describe { key: key.to_string() }).await? {
                Reply::Described { state, resolved } => {
                    let resolved = KeyRef::new(&resolved)
                        .map_err(|bad| L1Error::unreachable(PROVIDER, key, Fault::Unknown, bad.to_string()))?;
                    Ok(Described { state: key_state(state), resolved })
                }
                _ => Err(out_of_turn(key)),
            }
        })
    }

    fn wrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, plain: &'a [u8]) -> Answer<'a, Vec<u8>> {
        Box::pin(async move {
            check_plain(PROVIDER, key, plain)?;
            let ask = Ask::Wrap { key: key.to_string(), context: context_pairs(context), plain: Bytes::copy(plain) };
            match self.ask(key, ask).await? {
                Reply::Wrapped { wrapped } => Ok(wrapped.0.to_vec()),
                _ => Err(out_of_turn(key)),
            }
        })
    }

    fn unwrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, wrapped: &'a [u8]) -> Answer<'a, Plain> {
        Box::pin(async move {
            check_wrapped(PROVIDER, key, wrapped)?;
            let ask =
                Ask::Unwrap { key: key.to_string(), context: context_pairs(context), wrapped: Bytes::copy(wrapped) };
            match self.ask(key, ask).await? {
                Reply::Plain { plain } => Ok(Plain::new(plain.0.to_vec())),
                _ => Err(out_of_turn(key)),
            }
        })
    }
}

fn out_of_turn(key: &KeyRef) -> L1Error {
    L1Error::unreachable(PROVIDER, key, Fault::Unknown, "it answered another question than the one asked")
}

/// PROTOCOL §4: the server checks the token before the policy, so that `Denied` is said to a known principal only.
fn meaning(key: &KeyRef, code: Code, why: String) -> L1Error {
    let stopped = |stop| L1Error::stopped(PROVIDER, key, stop, why.as_str());
    match code {
        Code::Denied => stopped(Stop::Forbidden),
        Code::Disabled => stopped(Stop::Disabled),
        Code::PendingDeletion => stopped(Stop::PendingDeletion),
        Code::NoSuchKey => stopped(Stop::Deleted),
        Code::Mismatch => L1Error::mismatch(PROVIDER, key, why),
        Code::Malformed => L1Error::unfit(PROVIDER, key, why),
        Code::UnknownPrincipal => L1Error::unreachable(PROVIDER, key, Fault::Credential, why),
        Code::Broken => L1Error::unreachable(PROVIDER, key, Fault::Server, why),
    }
}

fn key_state(state: SoftState) -> State {
    match state {
        SoftState::Enabled => State::Enabled,
        SoftState::Disabled => State::Disabled,
        SoftState::PendingDeletion => State::PendingDeletion,
        SoftState::Deleted => State::Deleted,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_code_has_its_state() {
        let key = KeyRef::new("soft:a").unwrap();
        let golden = [
            (Code::UnknownPrincipal, Some(State::Unreachable)),
            (Code::Denied, Some(State::Forbidden)),
            (Code::Disabled, Some(State::Disabled)),
            (Code::PendingDeletion, Some(State::PendingDeletion)),
            (Code::NoSuchKey, Some(State::Deleted)),
            (Code::Mismatch, None),
            (Code::Malformed, None),
            (Code::Broken, Some(State::Unreachable)),
        ];
        for (code, state) in golden {
            assert_eq!(meaning(&key, code, "why".to_owned()).state(), state, "{code:?}");
        }
    }

    /// A CA's file, and a server of its own for `localhost`.
    fn server(ca: &std::path::Path) -> tokio_rustls::TlsAcceptor {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        std::fs::write(ca, parameters.self_signed(&ca_key).unwrap().pem()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &rcgen::Issuer::new(parameters, ca_key)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = config.unwrap().with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config))
    }

    /// A server that takes the connection and says nothing, and one that takes TLS too: neither holds a caller for longer than the limit.
    #[tokio::test]
    async fn a_server_that_never_answers_is_unreachable_within_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        let tls = server(&ca);
        let asked = async |takes_tls: bool| {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let options = SoftOptions {
                address: format!("localhost:{}", listener.local_addr().unwrap().port()),
                ca: ca.clone(),
                token: Token::new("fra"),
            };
            let l1 = Soft::connect(options, Development::proven(true, "a test").unwrap()).unwrap();
            let key = KeyRef::new("soft:a").unwrap();
            let silent = async {
                let (tcp, _) = listener.accept().await.unwrap();
                let _held = if takes_tls { (None, Some(tls.accept(tcp).await.unwrap())) } else { (Some(tcp), None) };
                std::future::pending::<()>().await
            };
            let since = tokio::time::Instant::now();
            let answer = tokio::select! { answer = l1.describe(&key) => answer, () = silent => unreachable!() };
            (super::super::observed(&answer), answer.unwrap_err().to_string(), since.elapsed())
        };
        let (before_tls, after_tls) = tokio::join!(asked(false), asked(true));
        for (state, why, took) in [before_tls, after_tls] {
            assert_eq!(state, Some(State::Unreachable), "{why}");
            assert!(why.contains("network fault") && why.contains("no answer within 5 s"), "{why}");
            assert!((CALL_TIMEOUT..CALL_TIMEOUT * 2).contains(&took), "{took:?}");
        }
    }

    #[test]
    fn an_address_and_a_ca_file_are_checked_before_any_call() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        let development = Development::proven(true, "a test").unwrap();
        let why = |address: &str| SoftTarget::new(address, &ca, development).err().map(|e| e.to_string()).unwrap();
        assert!(why("nowhere").contains("HOST:PORT"));
        assert!(why("localhost:1").contains("CA file"));
        std::fs::write(&ca, "no certificate").unwrap();
        assert!(why("localhost:1").contains("no certificate"));
    }
}
