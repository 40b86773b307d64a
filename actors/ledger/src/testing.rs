//! A real PostgreSQL for tests (feature `testing`): made in a folder of its own on a free port, as an unprivileged user, and gone with
//! the value. It needs the package `postgresql`; where that is absent, [`Postgres::start`] says so and the test says that it skipped.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::{PostgresOptions, schema_sql};

/// The role that governance signs in with, and its password.
pub const ROLE: (&str, &str) = ("kcm", "a pass phrase");
/// The superuser, who owns the tables.
const OWNER: &str = "owner";
const START_MS_MAX: u64 = 20_000;

/// What a failed step of the machinery is told as.
pub type Told<T> = Result<T, String>;

/// A running server. Its `postmaster` is a child of the test.
pub struct Postgres {
    folder: TempDir,
    pub port: u16,
    server: Child,
}

fn tool(name: &str) -> Option<PathBuf> {
    // Never from PATH: a wrapper may stand there.
    let mut found: Vec<_> =
        fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin").join(name)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop()
}

/// As root, a command is run as the user of the package, since the server refuses root.
fn command(name: &str) -> Told<Command> {
    let path = tool(name).ok_or("there is no PostgreSQL on this machine (Debian: postgresql)")?;
    if !geteuid().is_root() {
        return Ok(Command::new(path));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(path);
    Ok(command)
}

fn run(command: &mut Command) -> Told<String> {
    let said: Output = command.stdin(Stdio::null()).output().map_err(|e| format!("{command:?}: {e}"))?;
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    if said.status.success() { Ok(out.into_owned()) } else { Err(format!("{:?}: {out}{err}", command.get_program())) }
}

/// A port that was free a moment ago.
fn free_port() -> Told<u16> {
    let socket = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| e.to_string())?;
    socket.local_addr().map(|address| address.port()).map_err(|e| e.to_string())
}

fn own_folder() -> Told<TempDir> {
    let folder = tempfile::Builder::new().prefix("kcm-pg").tempdir_in("/tmp").map_err(|e| e.to_string())?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
    own(folder.path())?;
    Ok(folder)
}

/// Gives a file to the user that the server runs as.
fn own(path: &Path) -> Told<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|e| e.to_string())?;
    let line = users.lines().find(|line| line.starts_with("postgres:")).ok_or("there is no user `postgres`")?;
    let id = |n: usize| line.split(':').nth(n).and_then(|id| id.parse::<u32>().ok());
    chown(path, id(2), id(3)).map_err(|e| e.to_string())
}

impl Postgres {
    /// True where tests of PostgreSQL can run; else they say that they skipped.
    pub fn is_here() -> bool {
        let here = tool("initdb").is_some();
        if !here {
            println!("skipped: there is no PostgreSQL on this machine (Debian: postgresql)");
        }
        here
    }

    /// An empty server; `settings` are lines of postgresql.conf.
    pub fn start(settings: &[&str]) -> Told<Self> {
        let folder = own_folder()?;
        let data = folder.path().join("data");
        let init = ["--username=owner", "--encoding=UTF8", "--locale=C", "--no-sync", "--auth=trust", "-D"];
        run(command("initdb")?.args(init).arg(&data))?;
        let hba = format!(
            "local all all trust\nhost all {OWNER} 127.0.0.1/32 trust\nhost replication {OWNER} 127.0.0.1/32 trust\n\
             hostssl all all 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n"
        );
        fs::write(data.join("pg_hba.conf"), hba).map_err(|e| e.to_string())?;
        Self::serve(folder, settings)
    }

    fn serve(folder: TempDir, settings: &[&str]) -> Told<Self> {
        let port = free_port()?;
        let own = [
            format!("port = {port}"),
            "listen_addresses = '127.0.0.1'".to_owned(),
            format!("unix_socket_directories = '{}'", folder.path().display()),
            "shared_buffers = '16MB'".to_owned(),
            "max_connections = 40".to_owned(),
        ];
        let lines = own.into_iter().chain(settings.iter().map(|line| (*line).to_owned()));
        let text = lines.map(|line| format!("{line}\n")).collect::<String>();
        // Read last, so that it overrides.
        fs::write(folder.path().join("data/postgresql.auto.conf"), text).map_err(|e| e.to_string())?;
        let log = fs::File::create(folder.path().join("log")).map_err(|e| e.to_string())?;
        let again = log.try_clone().map_err(|e| e.to_string())?;
        let mut serve = command("postgres")?;
        serve.arg("-D").arg(folder.path().join("data")).stdin(Stdio::null()).stdout(log).stderr(again);
        let server = serve.spawn().map_err(|e| e.to_string())?;
        let mut started = Self { folder, port, server };
        started.ready()?;
        Ok(started)
    }

    fn ready(&mut self) -> Told<()> {
        let until = Instant::now() + Duration::from_millis(START_MS_MAX);
        loop {
            let Err(why) = self.sql("postgres", "select 1") else { return Ok(()) };
            let ended = self.server.try_wait().map_err(|e| e.to_string())?.is_some();
            if ended || Instant::now() > until {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(format!("the server did not start: {why}\n{log}"));
            }
            sleep(Duration::from_millis(20));
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// As the owner of everything.
    pub fn sql(&self, database: &str, sql: &str) -> Told<String> {
        self.sql_as(OWNER, database, sql)
    }

    /// As another role, with [`ROLE`]'s password.
    pub fn sql_as(&self, role: &str, database: &str, sql: &str) -> Told<String> {
        let mut psql = command("psql")?;
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", role, "-d", database])
            .args(["-p", &self.port.to_string(), "-c", sql])
            .env("PGPASSWORD", ROLE.1);
        run(&mut psql).map(|said| said.trim().to_owned())
    }

    /// A server that runs, with an empty ledger in this database; none where this machine has no PostgreSQL, which is said.
    pub fn with_ledger(settings: &[&str], database: &str) -> Told<Option<Self>> {
        if !Self::is_here() {
            return Ok(None);
        }
        let server = Self::start(settings)?;
        server.ledger(database)?;
        Ok(Some(server))
    }

    /// A database with an empty ledger, and the role that appends to it.
    pub fn ledger(&self, database: &str) -> Told<()> {
        let (role, password) = ROLE;
        self.sql("postgres", &format!("create database {database} template template0 encoding 'UTF8'"))?;
        let make = format!(
            "do $$ begin if not exists (select from pg_roles where rolname = '{role}')
             then create role {role} login password '{password}'; end if; end $$"
        );
        self.sql("postgres", &make)?;
        self.sql(database, &schema_sql(role)).map(drop)
    }

    pub fn options(&self, database: &str, node: &str) -> PostgresOptions {
        options(&[self], database, node)
    }

    /// `kill -9`, of the server and with it of all its sessions.
    pub fn kill(&mut self) -> Told<()> {
        self.server.kill().map_err(|e| e.to_string())?;
        self.server.wait().map(drop).map_err(|e| e.to_string())
    }

    /// A standby that streams from this one, as the synchronous `s1`.
    pub fn standby(&self) -> Told<Self> {
        let folder = own_folder()?;
        let from = format!("host=127.0.0.1 port={} user={OWNER} application_name=s1", self.port);
        let copy = ["-X", "stream", "-c", "fast", "-R", "--no-sync", "-D"];
        run(command("pg_basebackup")?.args(copy).arg(folder.path().join("data")).args(["-d", &from]))?;
        let follow = format!("primary_conninfo = '{from}'");
        Self::serve(folder, &[&follow, "synchronous_standby_names = ''"])
    }

    /// Stops the whole server where it stands, or lets it go on.
    pub fn pause(&self, stop: bool) -> Told<()> {
        let signal = if stop { Signal::STOP } else { Signal::CONT };
        let postmaster = i32::try_from(self.server.id()).map_err(|e| e.to_string())?;
        let all = fs::read_dir("/proc").map_err(|e| e.to_string())?.flatten();
        let children = all.filter_map(|entry| {
            let id: i32 = entry.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<i32>().ok());
            (parent == Some(postmaster)).then_some(id)
        });
        for id in children.chain([postmaster]).filter_map(Pid::from_raw) {
            kill_process(id, signal).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// From now on, sessions may be encrypted, with this certificate and key (PEM).
    pub fn certificate(&self, certificate: &str, key: &str) -> Told<()> {
        let data = self.folder.path().join("data");
        for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
            let path = data.join(name);
            fs::write(&path, pem).map_err(|e| e.to_string())?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(|e| e.to_string())?;
            own(&path)?;
        }
        let conf = data.join("postgresql.auto.conf");
        let text = fs::read_to_string(&conf).map_err(|e| e.to_string())?;
        fs::write(&conf, format!("{text}ssl = on\n")).map_err(|e| e.to_string())?;
        let before = self.sql("postgres", "select pg_conf_load_time()")?;
        self.sql("postgres", "select pg_reload_conf()")?;
        let until = Instant::now() + Duration::from_millis(START_MS_MAX);
        while self.sql("postgres", "select pg_conf_load_time()")? == before {
            if Instant::now() > until {
                return Err("the server did not read its settings again".to_owned());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Makes a standby the primary.
    pub fn promote(&self) -> Told<()> {
        self.sql("postgres", "select pg_promote(true, 30)").map(drop)
    }
}

/// Signs in to whichever of `servers` takes writes.
pub fn options(servers: &[&Postgres], database: &str, node: &str) -> PostgresOptions {
    let hosts: Vec<_> = servers.iter().map(|server| ("127.0.0.1".to_owned(), server.port)).collect();
    PostgresOptions::new(&hosts, database, ROLE.0, node).password(ROLE.1.as_bytes())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What the test looked at is gone either way; the server's own children end with it.
        let _gone = self.kill();
    }
}
