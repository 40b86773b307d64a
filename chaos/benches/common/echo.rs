//! The limit that a region is held against: mutual TLS, one frame read, a fixed answer written. Nothing else.

use std::sync::Arc;

use kmip::{
    Tag,
    ttlv::{HEADER_BYTES, Limits, frame_len},
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::Res;

/// Room for the largest request that a bench asks.
const READ_BYTES: usize = 32 * 1024;

/// Serves until its task ends: each frame is answered with `bytes` bytes.
pub async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, bytes: usize) {
    let acceptor = TlsAcceptor::from(tls);
    let answer: Arc<[u8]> = vec![0x42; bytes].into();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        // A client that goes is the end of its connection.
        tokio::spawn(async move { drop(one(stream, acceptor, &answer).await) });
    }
}

async fn one(stream: TcpStream, acceptor: TlsAcceptor, answer: &[u8]) -> Res<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut bytes = vec![0; READ_BYTES];
    let mut end = 0;
    loop {
        let read = stream.read(bytes.get_mut(end..).unwrap_or_default()).await?;
        if read == 0 {
            // RFC 8446 §6.1: each side says that it ends.
            return Ok(stream.shutdown().await?);
        }
        end += read;
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { continue };
        if end < HEADER_BYTES || end < frame_len(header, Tag::REQUEST_MESSAGE, &Limits::REQUEST)? {
            continue;
        }
        end = 0;
        stream.write_all(answer).await?;
        stream.flush().await?;
    }
}
