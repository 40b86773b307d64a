//! The other end of custody's soft L1: a KMS with one key, answering over TLS for as long as its task lives, and while it is not held.

use std::{path::Path, sync::Arc};

use custody::{
    aead,
    l1::{
        Development, L1, Soft, SoftOptions,
        soft_wire::{Ask, Bytes, Code, Reply, Request, SoftState, Token, line, parse, read_line},
    },
};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::caller::people::Authority;

/// The KMS, ended when it is dropped.
pub(crate) struct Kms {
    held: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Kms {
    /// Whether it keeps everyone waiting from now on.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }
}

impl Drop for Kms {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Begins the KMS, and gives the L1 that asks it.
pub(super) async fn start(folder: &Path) -> (Arc<dyn L1>, Kms) {
    let authority = Authority::new("soft L1");
    let ca = folder.join("soft-l1.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let (certificate, key) = authority.issue_server();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (held, mut holds) = watch::channel(false);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(holds.wait_for(|held| !held).await);
            // Who has stopped waiting is no concern of the next one.
            _ = answer_one(&acceptor, stream).await;
        }
    });
    let development = Development::proven(true, "a test").unwrap();
    let soft = Soft::connect(SoftOptions { address, ca, token: Token::new("test") }, development).unwrap();
    (Arc::new(soft), Kms { held, task })
}

async fn answer_one(acceptor: &TlsAcceptor, stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    let Ok(Some(asked)) = read_line(&mut stream).await else { return Ok(()) };
    let reply = reply(parse::<Request>(&asked).unwrap().ask);
    stream.write_all(&line(&reply).unwrap()).await?;
    stream.shutdown().await
}

fn reply(ask: Ask) -> Reply {
    let (key, nonce) = ([7; 32], [0; 12]);
    let aad = |context: &[(String, String)]| format!("{context:?}").into_bytes();
    match ask {
        Ask::Describe { key } => Reply::Described { state: SoftState::Enabled, resolved: key },
        Ask::Wrap { context, plain, .. } => {
            let mut wrapped = vec![0; plain.0.len()];
            let tag = aead::provider().seal(&key, &nonce, &aad(&context), &plain.0, &mut wrapped).unwrap();
            wrapped.extend_from_slice(&tag);
            Reply::Wrapped { wrapped: Bytes::copy(&wrapped) }
        }
        Ask::Unwrap { context, wrapped, .. } => {
            let (sealed, tag) = wrapped.0.split_last_chunk::<16>().unwrap();
            let mut plain = vec![0; sealed.len()];
            aead::provider().open(&key, &nonce, &aad(&context), sealed, tag, &mut plain).unwrap();
            Reply::Plain { plain: Bytes::copy(&plain) }
        }
        _ => Reply::Refused { code: Code::Malformed, why: "a test does not ask this".to_owned() },
    }
}
