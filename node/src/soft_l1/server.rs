//! The soft L1's listener: TLS, one JSON line a question, one a answer, until the shutdown future ends.

use std::{collections::BTreeMap, future::Future, path::PathBuf, sync::Arc, time::Duration};

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use custody::l1::{
    Development,
    soft_wire::{Code, LineFault, Reply, Request, Token, line, parse, read_line},
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{Mutex, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{KeySpec, SoftL1Error, Store, Who};

/// Connections served at once unless the options say less; one more is closed unanswered.
pub const CONNECTIONS_MAX: usize = 64;
/// From accept to the end of the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two questions of one connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Wait after a failed accept, such as one for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a soft L1 is started with.
pub struct Options {
    /// The folder of its key file, its own.
    pub folder: PathBuf,
    pub tls: Arc<ServerConfig>,
    /// The token that changes states and policies, and opens nothing.
    pub admin: Token,
    /// A token for each principal.
    pub principals: BTreeMap<String, Token>,
    /// Keys that are there from the start.
    pub keys: Vec<KeySpec>,
    /// At most [`CONNECTIONS_MAX`].
    pub connections_max: usize,
    pub development: Development,
}

/// Serves until `shutdown` ends, then closes every connection and frees the folder.
///
/// # Errors
/// [`SoftL1Error`] where the folder, the key file or the tokens can't be used; none once it serves.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> Result<(), SoftL1Error> {
    let store = Store::open(&options.folder, &options.keys)?;
    let room = Arc::new(Semaphore::new(options.connections_max.min(CONNECTIONS_MAX)));
    let acceptor = TlsAcceptor::from(options.tls);
    let desk = Arc::new(Desk { store: Mutex::new(store), badges: Badges::new(&options.admin, &options.principals)? });
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the soft L1 could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let Ok(place) = room.clone().try_acquire_owned() else {
            tracing::warn!(limit = options.connections_max, "the soft L1 is full; a connection was closed");
            continue;
        };
        let (acceptor, desk) = (acceptor.clone(), desk.clone());
        connections.spawn(async move {
            if let Err(why) = converse(&acceptor, stream, &desk).await {
                tracing::debug!(%why, "a connection to the soft L1 ended");
            }
            drop(place);
        });
    }
    connections.shutdown().await;
    Ok(())
}

struct Desk {
    store: Mutex<Store>,
    badges: Badges,
}

impl Desk {
    async fn answer(&self, question: &[u8]) -> Reply {
        let request = match parse::<Request>(question) {
            Ok(request) => request,
            Err(fault) => return malformed(&fault),
        };
        match self.badges.who(&request.token) {
            Some(who) => self.store.lock().await.answer(&who, request.ask),
            None => Reply::Refused { code: Code::UnknownPrincipal, why: "the token is nobody's".to_owned() },
        }
    }
}

fn malformed(fault: &LineFault) -> Reply {
    Reply::Refused { code: Code::Malformed, why: fault.to_string() }
}

async fn converse(acceptor: &TlsAcceptor, stream: TcpStream, desk: &Desk) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let tls =
        timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await.map_err(|_| "the TLS handshake took too long")?;
    let mut stream = BufReader::new(tls.map_err(|e| e.to_string())?);
    loop {
        let question = match timeout(IDLE_TIMEOUT, read_line(&mut stream)).await {
            Err(_) | Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(question))) => question,
            Ok(Err(fault)) => {
                say(&mut stream, &malformed(&fault)).await?;
                return Err(fault.to_string());
            }
        };
        let reply = desk.answer(&question).await;
        say(&mut stream, &reply).await?;
    }
}

async fn say<S: AsyncWriteExt + Unpin>(stream: &mut S, reply: &Reply) -> Result<(), String> {
    let bytes = line(reply).or_else(|fault| line(&malformed(&fault))).map_err(|e| e.to_string())?;
    stream.write_all(&bytes).await.map_err(|e| e.to_string())?;
    stream.flush().await.map_err(|e| e.to_string())
}

/// Who carries which token, as digests: a comparison tells nothing about a token, and none lies about in memory.
struct Badges(Vec<(digest::Digest, Who)>);

impl Badges {
    fn new(admin: &Token, principals: &BTreeMap<String, Token>) -> Result<Self, SoftL1Error> {
        let mut badges = Self(vec![(token_digest(admin), Who::Admin)]);
        for (name, token) in principals {
            if let Some(other) = badges.who(token) {
                return Err(SoftL1Error::SharedToken { one: name.clone(), other: format!("{other:?}") });
            }
            badges.0.push((token_digest(token), Who::Principal(name.clone())));
        }
        Ok(badges)
    }

    fn who(&self, token: &Token) -> Option<Who> {
        let asked = token_digest(token);
        let same = |known: &digest::Digest| verify_slices_are_equal(known.as_ref(), asked.as_ref()).is_ok();
        self.0.iter().find(|(known, _)| same(known)).map(|(_, who)| who.clone())
    }
}

fn token_digest(token: &Token) -> digest::Digest {
    digest::digest(&digest::SHA256, token.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_principals_or_nobodys() {
        let one = BTreeMap::from([("fra".to_owned(), Token::new("f")), ("zrh".to_owned(), Token::new("z"))]);
        let badges = Badges::new(&Token::new("a"), &one).unwrap();
        assert_eq!(badges.who(&Token::new("a")), Some(Who::Admin));
        assert_eq!(badges.who(&Token::new("z")), Some(Who::Principal("zrh".to_owned())));
        assert_eq!(badges.who(&Token::new("")), None);
        assert_eq!(badges.who(&Token::new("fz")), None);
        let shared = BTreeMap::from([("fra".to_owned(), Token::new("a"))]);
        assert!(matches!(Badges::new(&Token::new("a"), &shared), Err(SoftL1Error::SharedToken { .. })));
    }
}
