//! The portal's REST interface: warp routes over TLS, each a thin door to governance's desk. Callers show a client certificate, or sign in.
//!
//! Nothing is decided here. A route reads, asks the desk, and writes the answer; a governed call answers 202 and the proposal's
//! address; what goes wrong leaves through the one map in [`problem`]. `openapi.json` beside this crate describes every path, and a
//! test walks it.

mod body;
mod caller;
mod contract;
mod correlation;
mod door;
mod error;
mod etag;
mod idle;
mod leftover;
pub mod limits;
mod listener;
mod once;
mod page;
pub mod peer;
mod prefer;
pub mod problem;
mod routes;
mod shares;
pub mod sign_in;
pub mod tls;

use std::{future::Future, sync::Arc};

use governance::Desk;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::{net::TcpListener, sync::watch};

pub use error::ApiError;
pub use routes::OPENAPI;

use crate::{door::Door, limits::Limits, sign_in::SignIn};

/// Serves `/v1` and `/livez` on `listener` until `shutdown` resolves, then drains. `tls` comes from [`tls::server_config`],
/// which asks for certificates and does not demand them where there is `sign_in`.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    desk: Desk,
    sign_in: Option<SignIn>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ApiError> {
    serve_within(Limits::default(), listener, tls, desk, sign_in, shutdown).await
}

/// As [`serve`], within other limits.
pub async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    desk: Desk,
    sign_in: Option<SignIn>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ApiError> {
    let (close, closing) = watch::channel(false);
    let service =
        TowerToHyperService::new(warp::service(routes::all(&Door::new(desk, limits, sign_in.clone(), closing))));
    let shutdown = async move {
        shutdown.await;
        // Event streams never end by themselves: told here, they let the drain finish.
        close.send_replace(true);
    };
    listener::run(listener, tls, limits, sign_in, service, shutdown).await
}
