//! `kcm run --node NAME FILE`: reads the topology, finds the node's part, and runs it until it is asked to end.

use std::{fs, future::Future, net::SocketAddr, path::Path, sync::Arc};

use metrics_exporter_prometheus::PrometheusHandle;
use orbital::names::NodeName;
use tokio::{net::TcpListener, sync::watch};
use topology::{Model, NodeRole};

use crate::{cluster::tls::TlsFiles, crypto, fault::RunError, files::Disk, governance, health, site, soft, threads};

/// Set by the demo: the process that started this one, and with which this one ends.
pub const PARENT_ENV: &str = "KCM_PARENT";

/// Ends this process when the demo that started it is gone, however that came about.
pub fn end_with_parent() {
    let Ok(parent) = std::env::var(PARENT_ENV) else { return };
    // Where the kernel lacks it, Ctrl-C at the demo still ends us.
    let _unsupported = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    let still = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    if still.as_deref() != Some(parent.as_str()) {
        std::process::exit(1);
    }
}

/// Told to every part when the process is asked to end.
#[derive(Clone)]
pub struct Ending(watch::Receiver<bool>);

impl Ending {
    /// Resolves when the process is asked to end.
    pub fn wait(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut told = self.0.clone();
        async move {
            // A sender that is gone means the same.
            let _ended = told.wait_for(|ended| *ended).await;
        }
    }
}

/// Reads and checks a topology, and the files of one node; findings, if any are errors, are the error.
pub fn read(path: &Path, node: Option<&NodeName>) -> Result<Model, RunError> {
    read_fields(path, node).map(|(model, _)| model)
}

/// The same, with the fields as the file has them.
fn read_fields(path: &Path, node: Option<&NodeName>) -> Result<(Model, Vec<topology::Field>), RunError> {
    let text = fs::read_to_string(path).map_err(|why| RunError::Unreadable { path: path.to_owned(), why })?;
    let path = fs::canonicalize(path).map_err(|why| RunError::Unreadable { path: path.to_owned(), why })?;
    let mut checked = topology::check(&path, &text);
    if let Some(node) = node {
        let found = checked.check_files(Some(node), &Disk);
        checked.findings.extend(found);
    }
    let errors = checked.findings.iter().any(|finding| finding.severity() == topology::Severity::Error);
    let explained = checked.explain(false);
    let fields = checked.fields();
    let model = checked.into_model().filter(|_| !errors).ok_or(RunError::Topology(explained))?;
    Ok((model, fields))
}

/// Runs one node until SIGINT or SIGTERM.
pub fn run(path: &Path, name: &NodeName, metrics: PrometheusHandle) -> Result<(), RunError> {
    let (model, fields) = read_fields(path, Some(name))?;
    // Refuses a name that the topology does not have, and a file that nobody decided, before anything starts.
    site::admit(&model, &fields, name)?;
    let critical = threads::critical().map_err(RunError::Runtime)?;
    let main = threads::ordinary().map_err(RunError::Runtime)?;
    let back = threads::back().map_err(RunError::Runtime)?;
    let handles = crypto::Handles { critical: critical.handle().clone(), back: back.handle().clone() };
    let ended = main.block_on(async {
        let ending = ending()?;
        match model.node(name)? {
            NodeRole::Governance(part) => governance::run(&model, part, handles.critical, metrics, ending).await,
            NodeRole::Crypto { region, part, node } => {
                let place = crypto::Place { name: name.clone(), region, part, node };
                crypto::run(&model, place, handles, metrics, ending).await
            }
            NodeRole::SoftL1 { name, l1: _, listen, store } => {
                let development = model.development;
                soft::run(name, listen, store, development, ending).await
            }
            NodeRole::Edge { .. } => Err(RunError::Other(
                "edge nodes are not part of this version: point the clients at the region's own KMIP listener"
                    .to_owned(),
            )),
        }
    });
    critical.shutdown_background();
    back.shutdown_background();
    ended
}

fn ending() -> Result<Ending, RunError> {
    use tokio::signal::unix::{SignalKind, signal};
    let (tell, told) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Runtime)?;
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("asked to end");
        tell.send_replace(true);
    });
    Ok(Ending(told))
}

/// Binds a listener, or says what is there.
pub(crate) async fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|why| RunError::Listen { what, address, why })
}

/// Starts the health listener.
pub(crate) async fn serve_health(
    address: SocketAddr,
    health: Arc<dyn health::Health>,
    metrics: PrometheusHandle,
    ending: &Ending,
) -> Result<(), RunError> {
    let listener = listen("health", address).await?;
    tokio::spawn(health::serve(listener, health, metrics, health::Limits::default(), ending.wait()));
    Ok(())
}

/// The topology's three files of mutual TLS.
pub(crate) fn tls_files(tls: &topology::MutualTls) -> TlsFiles {
    TlsFiles { ca: tls.ca.clone(), cert: tls.cert.clone(), key: tls.key.clone() }
}
