//! One session with the database: dialed, verified, and held to what a ledger needs before anybody uses it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{
    Client, Config, NoTls,
    config::{SslMode, TargetSessionAttrs},
};

use super::tls::{self, Tls};
use crate::LedgerError;

/// How long one host may take to answer a dial.
const DIAL_MS_MAX: u64 = 3_000;
/// How long signing in may take, over all hosts.
const SIGN_IN_MS_MAX: u64 = 10_000;
/// The server ends a transaction whose node says nothing for this long: a node that was stopped in the middle of an append does not
/// keep the next one waiting.
pub(super) const IDLE_IN_TRANSACTION_MS_MAX: u64 = 5_000;
/// The oldest server that has every setting which is used here.
const SERVER_VERSION_MIN: i32 = 140_000;
const FORMAT: &str = "openkcm/ledger/v1";

/// Where the database is, and how this node signs in.
pub struct PostgresOptions {
    hosts: Vec<(String, u16)>,
    database: String,
    user: String,
    config: Config,
    tls: Option<Arc<ClientConfig>>,
    /// In the database's list of sessions and its history of terms.
    pub(super) node: String,
}

impl PostgresOptions {
    /// `hosts` are the members of one cluster: the one that takes writes is used.
    pub fn new(hosts: &[(String, u16)], database: &str, user: &str, node: &str) -> Self {
        let mut config = Config::new();
        for (host, port) in hosts {
            config.host(host).port(*port);
        }
        config
            .dbname(database)
            .user(user)
            .application_name(format!("kcm {node}"))
            .connect_timeout(Duration::from_millis(DIAL_MS_MAX))
            .tcp_user_timeout(Duration::from_millis(SIGN_IN_MS_MAX))
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3)
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .ssl_mode(SslMode::Disable);
        let (hosts, database, user, node) = (hosts.to_vec(), database.to_owned(), user.to_owned(), node.to_owned());
        Self { hosts, database, user, config, tls: None, node }
    }

    /// Signs in with a password.
    pub fn password(mut self, password: &[u8]) -> Self {
        self.config.password(password);
        self
    }

    /// Encrypts, and verifies the server against the certificates of `ca` (PEM) and by its name. `own` is the chain and the key of this
    /// node, for a server that asks for a certificate.
    pub fn tls(mut self, ca: &[u8], own: Option<(&[u8], &[u8])>) -> Result<Self, LedgerError> {
        let fix = "Give the CA of the server's certificate, and a certificate and its key together".to_owned();
        let config = tls::client_config(ca, own);
        self.tls = Some(config.map_err(|why| LedgerError::Unfit { place: self.place(), why, fix })?);
        self.config.ssl_mode(SslMode::Require);
        Ok(self)
    }

    /// For people; without the password.
    pub fn place(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        format!("postgres://{}@{}/{}", self.user, hosts.join(","), self.database)
    }

    fn is_on_loopback(&self) -> bool {
        self.hosts.iter().all(|(host, _)| host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
    }

    pub(super) fn unfit(&self, why: impl Into<String>, fix: impl Into<String>) -> LedgerError {
        LedgerError::Unfit { place: self.place(), why: why.into(), fix: fix.into() }
    }

    /// A session that was held to everything below.
    pub(super) async fn sign_in(&self) -> Result<Session, LedgerError> {
        if self.tls.is_none() && !self.is_on_loopback() {
            let why = "the connection would not be encrypted";
            return Err(
                self.unfit(why, "Give the CA that verifies the server; only an address of loopback may do without")
            );
        }
        let unreachable = |why: String| LedgerError::Unreachable { place: self.place(), why };
        let session = timeout(Duration::from_millis(SIGN_IN_MS_MAX), self.dial()).await;
        let session = session.map_err(|_| unreachable("no answer in time".to_owned()))?.map_err(|e| self.told(&e))?;
        let settled = timeout(Duration::from_millis(SIGN_IN_MS_MAX), self.settle(&session.client)).await;
        settled.map_err(|_| unreachable("no answer in time".to_owned()))??;
        Ok(session)
    }

    async fn dial(&self) -> Result<Session, tokio_postgres::Error> {
        let (client, connection) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(Tls(Arc::clone(tls))).await?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        Ok(Session { client, connection })
    }

    /// Settings that a session has of its own, then those that only the server's owner can mend.
    async fn settle(&self, client: &Client) -> Result<(), LedgerError> {
        let own = format!(
            "set search_path = pg_catalog; set idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS_MAX};
             set statement_timeout = 0; set lock_timeout = 0; set client_min_messages = warning;
             select set_config('synchronous_commit', 'on', false)
                 where current_setting('synchronous_commit') not in ('on', 'remote_apply')"
        );
        client.batch_execute(&own).await.map_err(|e| self.told(&e))?;
        let asked = "select current_setting('server_version_num')::int, current_setting('server_encoding'),
                current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')";
        let row = client.query_one(asked, &[]).await.map_err(|e| self.told(&e))?;
        if row.get::<_, i32>(0) < SERVER_VERSION_MIN {
            return Err(self.unfit("its server is older than PostgreSQL 14", "Upgrade the server"));
        }
        if row.get::<_, &str>(1) != "UTF8" {
            return Err(self.unfit("its encoding is not UTF8", "Create the database with ENCODING 'UTF8'"));
        }
        for (column, setting) in [(2, "fsync"), (3, "full_page_writes")] {
            if row.get::<_, &str>(column) != "on" {
                let why = format!("`{setting}` is off: a loss of power would take what governance was told is written");
                return Err(self.unfit(why, format!("Set `{setting} = on` in postgresql.conf and restart the server")));
            }
        }
        if !matches!(row.get::<_, &str>(4), "on" | "remote_apply") {
            let why = "`synchronous_commit` is off, and this session may not set it";
            return Err(self.unfit(why, "Set `synchronous_commit = on`, and let this role set it"));
        }
        Ok(())
    }

    /// What the role may do, and that the tables are there: asked once, when the ledger is opened.
    pub(super) async fn check(&self, client: &Client) -> Result<(), LedgerError> {
        let asked = "select to_regclass('openkcm.ledger') is not null, rolsuper, rolbypassrls from pg_roles where rolname = current_user";
        let row = client.query_one(asked, &[]).await.map_err(|e| self.told(&e))?;
        let schema = format!("As the owner of the database: kcm ledger schema --role {} | psql", self.user);
        if row.get::<_, bool>(1) || row.get::<_, bool>(2) {
            let why = format!(
                "the role `{}` is a superuser, or passes by row security: it could rewrite the ledger",
                self.user
            );
            return Err(self.unfit(why, "Sign in as a role of its own, without SUPERUSER and BYPASSRLS"));
        }
        if !row.get::<_, bool>(0) {
            return Err(self.unfit("the database has no ledger", schema));
        }
        let asked = "select coalesce(bool_or(pg_has_role(current_user, relowner, 'USAGE')), false)
                    or coalesce(bool_or(relname = 'entries' and has_table_privilege(current_user, oid, 'UPDATE, DELETE, TRUNCATE')), false)
                    or coalesce(bool_or(relname = 'terms' and has_table_privilege(current_user, oid, 'UPDATE, DELETE, TRUNCATE')), false),
                coalesce(bool_and(relrowsecurity and relforcerowsecurity) filter (where relname in ('entries', 'owed')), false)
            from pg_class where relkind = 'r' and relnamespace = 'openkcm'::regnamespace";
        let row = client.query_one(asked, &[]).await.map_err(|e| self.told(&e))?;
        if row.get::<_, bool>(0) {
            let why = format!("the role `{}` owns the tables, or may change or remove entries", self.user);
            return Err(self.unfit(why, "Let another role own them, and grant what `kcm ledger schema` grants"));
        }
        if !row.get::<_, bool>(1) {
            return Err(
                self.unfit("row security is off for its tables", "Turn it on again, as `kcm ledger schema` does")
            );
        }
        let row = client.query_one("select format from openkcm.ledger", &[]).await.map_err(|e| self.told(&e))?;
        let format: String = row.get(0);
        if format == FORMAT {
            return Ok(());
        }
        let why = format!("it has the format `{format}`; this binary reads `{FORMAT}`");
        Err(self.unfit(why, "Use the release that wrote it, or a newer one"))
    }

    /// The same for people.
    pub(super) fn told(&self, error: &tokio_postgres::Error) -> LedgerError {
        use tokio_postgres::error::SqlState;
        let place = self.place();
        let Some(said) = error.as_db_error() else {
            let why = std::error::Error::source(error).map_or_else(|| error.to_string(), |e| format!("{error} ({e})"));
            return LedgerError::Unreachable { place, why };
        };
        let code = said.code();
        if *code == SqlState::DISK_FULL {
            return LedgerError::ServerFull { place };
        }
        // 08: connection, 28: login, 57P: the server goes down, comes up, or ended this session; 25P03: a transaction that said nothing
        let away = ["08", "28", "57P", "25P0", "53300"].iter().any(|class| code.code().starts_with(class));
        let why = format!("{} (SQLSTATE {})", said.message(), code.code());
        if away { LedgerError::Unreachable { place, why } } else { LedgerError::Database { place, why } }
    }
}

/// A session and the task that carries it.
pub(super) struct Session {
    pub(super) client: Client,
    connection: JoinHandle<()>,
}

impl Session {
    /// Says good-bye and waits for it: what the session holds (a lock) is free then.
    pub(super) async fn end(self) {
        drop(self.client);
        // A server that does not listen learns of it from its own timeouts.
        let _gone = timeout(Duration::from_millis(1_000), self.connection).await;
    }
}
