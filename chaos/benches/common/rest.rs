//! The portal's API over one kept-open mutual TLS connection: JSON there, JSON back.

use std::{net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Res;

pub struct Rest {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    stream: Option<TlsStream<TcpStream>>,
}

impl Rest {
    pub async fn open(address: SocketAddr, tls: Arc<ClientConfig>) -> Res<Self> {
        let mut rest = Self { address, tls, stream: None };
        rest.stream = Some(rest.connect().await?);
        Ok(rest)
    }

    async fn connect(&self) -> Res<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(TlsConnector::from(self.tls.clone()).connect(ServerName::try_from("localhost")?, stream).await?)
    }

    pub async fn get(&mut self, path: &str) -> Res<Value> {
        self.exchange("GET", path, "").await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Res<Value> {
        self.exchange("POST", path, &body.to_string()).await
    }

    async fn exchange(&mut self, method: &str, path: &str, body: &str) -> Res<Value> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address.port(),
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let (head, body) = read(&mut stream).await?;
        if !head.to_ascii_lowercase().contains("connection: close") {
            self.stream = Some(stream);
        }
        let status = head.split_whitespace().nth(1).unwrap_or("");
        if !status.starts_with('2') {
            return Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Head and body of one answer; the portal says each body's length.
async fn read(stream: &mut TlsStream<TcpStream>) -> Res<(String, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(16 * 1024);
    let mut part = vec![0; 16 * 1024];
    loop {
        let read = stream.read(&mut part).await?;
        if read == 0 {
            return Err("the portal closed the connection".into());
        }
        bytes.extend_from_slice(part.get(..read).unwrap_or_default());
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            if name.eq_ignore_ascii_case("content-length") { value.trim().parse::<usize>().ok() } else { None }
        });
        let length = length.ok_or("an answer without Content-Length")?;
        if bytes.len() >= end + 4 + length {
            return Ok((head, bytes.split_off(end + 4)));
        }
    }
}
