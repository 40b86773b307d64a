//! A receiver on loopback: takes POSTs, answers from a script, and remembers what came.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// One request that came.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) bytes: Bytes,
}

/// What is answered next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    /// A status, and the seconds of Retry-After where there are some.
    Status(u16, Option<u64>),
    /// Nothing, ever.
    Hang,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) port: u16,
    came: Arc<Mutex<Vec<Came>>>,
    script: Arc<Mutex<VecDeque<Say>>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let receiver =
            Self { port: listener.local_addr().unwrap().port(), came: Arc::default(), script: Arc::default() };
        let theirs = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let theirs = theirs.clone();
                let service = service_fn(move |request| {
                    let theirs = theirs.clone();
                    async move { theirs.take(request).await }
                });
                let serve = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { drop(serve.await) });
            }
        });
        receiver
    }

    async fn take(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap();
        let say = self.script.lock().unwrap().pop_front().unwrap_or(Say::Status(200, None));
        self.came.lock().unwrap().push(Came { path: head.uri.path().to_owned(), headers: head.headers, body, bytes });
        match say {
            Say::Hang => std::future::pending().await,
            Say::Status(status, after) => {
                let mut answer = Response::builder().status(status);
                if let Some(after) = after {
                    answer = answer.header("retry-after", after);
                }
                Ok(answer.body(Full::new(Bytes::from_static(b"ok"))).unwrap())
            }
        }
    }

    pub(crate) fn will(&self, say: impl IntoIterator<Item = Say>) {
        self.script.lock().unwrap().extend(say);
    }
    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }
    pub(crate) fn count(&self) -> usize {
        self.came.lock().unwrap().len()
    }
}
