//! `kcm kmip conf`: what a database's own configuration needs to keep its keys here.
//!
//! MongoDB has two ways to use KMIP, and both are printed: encryption at rest (mongod of MongoDB Enterprise, or of Percona Server for
//! MongoDB), and client-side field encryption (any driver). Both want certificate and key in one file, which `--pem` writes.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Place, whereto};
use crate::cli::{
    Global,
    context::ClientPlace,
    exit::{Failure, Report},
    files,
};

/// How often mongod asks for the state of its key: how long it runs on after the key was stopped. MongoDB's own default is 900.
const POLL_S: u32 = 30;
const CONNECT_RETRIES: u32 = 3;
const CONNECT_TIMEOUT_MS: u32 = 5_000;

/// `kcm kmip conf`.
#[derive(Clone, Debug, Subcommand)]
pub enum Conf {
    /// mongod's `security.kmip`, and a driver's KMS provider and TLS options
    #[command(after_help = "Example: kcm kmip conf mongodb --tenant acme --region eu-frankfurt --pem acme-mongo.pem")]
    Mongodb(Mongodb),
}

/// For MongoDB.
#[derive(Clone, Debug, Args)]
pub struct Mongodb {
    #[command(flatten)]
    pub place: Place,
    /// Write the client's certificate and key into this new file, as mongod and drivers want them
    #[arg(long, value_name = "FILE")]
    pub pem: Option<PathBuf>,
}

pub(crate) fn conf(global: &Global, conf: Conf) -> Result<Report, Failure> {
    let Conf::Mongodb(wanted) = conf;
    let (address, client) = whereto(global, &wanted.place)?;
    let (host, port) = parted(&address)?;
    let pem = pem(&client, wanted.pem.as_deref())?;
    let (ca, pem) = (absolute(&client.ca)?, absolute(&pem)?);
    let settings = Settings { host, port, ca, pem };
    Ok(Report::new(settings.json(), settings.text()))
}

/// What is printed, in either form.
struct Settings {
    host: String,
    port: u16,
    ca: String,
    pem: String,
}

impl Settings {
    fn endpoint(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn json(&self) -> Value {
        json!({
            "mongod": { "security": { "enableEncryption": true, "kmip": {
                "serverName": self.host,
                "port": self.port,
                "serverCAFile": self.ca,
                "clientCertificateFile": self.pem,
                "connectRetries": CONNECT_RETRIES,
                "connectTimeoutMS": CONNECT_TIMEOUT_MS,
                "activateKeys": true,
                "keyStatePollingSeconds": POLL_S,
            } } },
            "kmsProviders": { "kmip": { "endpoint": self.endpoint() } },
            "tlsOptions": { "kmip": { "tlsCAFile": self.ca, "tlsCertificateKeyFile": self.pem } },
        })
    }

    /// The YAML is mongod.conf as it stands, the drivers' part in comments below it. A JSON string is one of YAML's.
    fn text(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let Self { host, port, ca, pem } = self;
        format!(
            "# mongod.conf: encryption at rest (MongoDB Enterprise, Percona Server for MongoDB). The data folder must be empty.\n\
             security:\n  \
               enableEncryption: true\n  \
               kmip:\n    \
                 serverName: {}\n    \
                 port: {port}\n    \
                 serverCAFile: {}\n    \
                 clientCertificateFile: {}\n    \
                 connectRetries: {CONNECT_RETRIES}\n    \
                 connectTimeoutMS: {CONNECT_TIMEOUT_MS}\n    \
                 activateKeys: true\n    \
                 keyStatePollingSeconds: {POLL_S}   # how long mongod runs on after its key was stopped; by default 900\n\
             \n\
             # Drivers: client-side field encryption.\n\
             # kmsProviders: {}\n\
             # tlsOptions:   {}\n\
             # Data keys: masterKey {{\"delegated\": true}} keeps the master key in the region, so that a stop reaches running clients, too.\n",
            quoted(host),
            quoted(ca),
            quoted(pem),
            json!({ "kmip": { "endpoint": self.endpoint() } }),
            json!({ "kmip": { "tlsCAFile": ca, "tlsCertificateKeyFile": pem } }),
        )
    }
}

/// HOST:PORT in its parts; an IPv6 address stands in brackets.
fn parted(address: &str) -> Result<(String, u16), Failure> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.filter(|(host, _)| !host.is_empty()).ok_or_else(|| {
        Failure::usage(format!("{address:?} is no HOST:PORT"))
            .fix("name the region's KMIP port, such as kms.example.com:5696")
    })?;
    Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
}

/// The one file with certificate and key: the client's own if it is that, else the one that was asked for.
fn pem(client: &ClientPlace, wanted: Option<&Path>) -> Result<PathBuf, Failure> {
    let Some(path) = wanted else {
        if client.cert == client.key {
            return Ok(client.cert.clone());
        }
        return Err(Failure::usage("certificate and key are two files, and MongoDB wants one")
            .because(format!("{} and {}", client.cert.display(), client.key.display()))
            .fix("add --pem FILE: they are written into it, for you alone to read"));
    };
    let mut both = Zeroizing::new(files::read("client certificate", &client.cert)?);
    if client.cert != client.key {
        let key = Zeroizing::new(files::read("client key", &client.key)?);
        both = Zeroizing::new([both.as_slice(), b"\n", key.as_slice()].concat());
    }
    files::write("certificate and key", path, &both, 0o600, false)?;
    Ok(path.to_owned())
}

/// mongod runs elsewhere: it gets whole paths.
fn absolute(path: &Path) -> Result<String, Failure> {
    let whole = std::path::absolute(path);
    let whole =
        whole.map_err(|why| Failure::usage("a path cannot be made absolute").at(path.display()).because(why))?;
    Ok(whole.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn place(ca: &Path, cert: &Path, key: Option<&Path>) -> Place {
        Place {
            address: Some("kms.example.com:5696".to_owned()),
            ca: Some(ca.to_owned()),
            cert: Some(cert.to_owned()),
            cert_key: key.map(Path::to_owned),
            region: None,
            tenant: None,
        }
    }

    fn ask(place: Place, pem: Option<&Path>) -> Result<Report, Failure> {
        conf(&Global::default(), Conf::Mongodb(Mongodb { place, pem: pem.map(Path::to_owned) }))
    }

    #[test]
    fn mongod_and_drivers_get_what_they_read() {
        let one = Path::new("/etc/mongo/mongo-1.pem");
        let report = ask(place(Path::new("/etc/mongo/ca.pem"), one, None), None).unwrap();
        assert_eq!(report.text, include_str!("../golden/mongodb.txt"));
        let kmip = &report.json["mongod"]["security"]["kmip"];
        for (name, value) in kmip.as_object().unwrap() {
            assert!(report.text.contains(&format!("    {name}: {value}")), "{name}");
        }
        let pem = "/etc/mongo/mongo-1.pem";
        assert_eq!(kmip["clientCertificateFile"], pem);
        assert_eq!(report.json["kmsProviders"]["kmip"]["endpoint"], "kms.example.com:5696");
        assert_eq!(report.json["tlsOptions"]["kmip"]["tlsCertificateKeyFile"], pem);
    }

    #[test]
    fn two_files_become_one_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("cert.pem"), "CERT").unwrap();
        fs::write(path("key.pem"), "KEY\n").unwrap();
        let place = || place(&path("ca.pem"), &path("cert.pem"), Some(&path("key.pem")));
        let refused = ask(place(), None).unwrap_err();
        assert!(refused.fix.contains("--pem"), "{refused}");
        let report = ask(place(), Some(&path("both.pem"))).unwrap();
        assert_eq!(report.json["tlsOptions"]["kmip"]["tlsCertificateKeyFile"], path("both.pem").to_str().unwrap());
        assert_eq!(fs::read_to_string(path("both.pem")).unwrap(), "CERT\nKEY\n");
        assert_eq!(fs::metadata(path("both.pem")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(ask(place(), Some(&path("both.pem"))).unwrap_err().to_string().contains("exists already"));
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert_eq!(parted("[::1]:5696").unwrap(), ("::1".to_owned(), 5696));
        let settings = |host: &str| Settings { host: host.to_owned(), port: 1, ca: String::new(), pem: String::new() };
        assert_eq!(settings("::1").endpoint(), "[::1]:1");
        for wrong in ["", "host", ":5696", "host:", "host:99999"] {
            assert_eq!(parted(wrong).unwrap_err().exit, crate::cli::exit::Exit::Usage, "{wrong}");
        }
    }
}
