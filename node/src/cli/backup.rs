//! `kcm backup`: the whole ledger of governance in one encrypted file, verified without restoring it, and put back into an empty ledger.
//!
//! Each recipient opens the file alone, so its keys belong to people who may read everything, kept away from the backups. A ledger that was
//! put back is not where the world is: its counters leap, and it carries a mark.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use ledger::{Anchor, Ledger, LedgerError, OfflineLedger, PostgresLedger, RedbLedger, Summary};
use orbital::names::Digest;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    audit::verify::anchor,
    exit::{Exit, Failure, Report},
};
use crate::{
    age::{AgeError, Decrypting, Encrypting, Identity, Recipient},
    fault::RunError,
    governance, ledgers, run,
};

/// Largest file of identities.
const IDENTITIES_BYTES_MAX: u64 = 64 * 1024;

#[derive(Clone, Debug, Subcommand)]
pub enum BackupCommand {
    /// Make a key that opens backups; keep it away from them
    #[command(after_help = "Example: kcm backup keygen --out olga.age-key")]
    Keygen {
        /// The file of the private key, in the format of the tool age
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the whole ledger, encrypted to each recipient
    #[command(
        after_help = "Example: kcm backup create topology.toml --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p --out ledger.age"
    )]
    Create {
        /// The topology file that names the ledger; a ledger in a file only while its node is stopped
        #[arg(value_name = "TOPOLOGY")]
        topology: PathBuf,
        /// Who can open it: a public key of age (again for each)
        #[arg(long, value_name = "RECIPIENT", required = true)]
        to: Vec<Recipient>,
        /// The backup
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Verify a backup without restoring it
    #[command(after_help = "Example: kcm backup verify ledger.age --identity olga.age-key")]
    Verify {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// File of a private key that opens it
        #[arg(long, value_name = "FILE")]
        identity: PathBuf,
        /// `SEQUENCE:HASH` of an entry that was written down elsewhere (again for each)
        #[arg(long, value_name = "ANCHOR", value_parser = anchor)]
        anchor: Vec<Anchor>,
    },
    /// Put a backup back, into the empty ledger that a topology names
    #[command(after_help = "Example: kcm backup restore ledger.age topology.toml --identity olga.age-key")]
    Restore {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The topology file that names the ledger
        #[arg(value_name = "TOPOLOGY")]
        topology: PathBuf,
        /// File of a private key that opens it
        #[arg(long, value_name = "FILE")]
        identity: PathBuf,
        /// `SEQUENCE:HASH` of an entry that was written down elsewhere (again for each)
        #[arg(long, value_name = "ANCHOR", value_parser = anchor)]
        anchor: Vec<Anchor>,
    },
    /// Decide again in a ledger that was put back, though a region that is gone for good was not heard
    #[command(after_help = "Example: kcm backup settle topology.toml")]
    Settle {
        /// The topology file that names the ledger; its node is stopped
        #[arg(value_name = "TOPOLOGY")]
        topology: PathBuf,
    },
}

pub(crate) fn perform(command: BackupCommand) -> Result<Report, Failure> {
    match command {
        BackupCommand::Keygen { out } => keygen(&out),
        BackupCommand::Create { topology, to, out } => create(&topology, &to, &out),
        BackupCommand::Verify { file, identity, anchor } => {
            let summary = ledger::verify_backup(opened(&file, &identity)?, &anchor);
            let summary = summary.map_err(|e| unsound(&file, &e.to_string()))?;
            Ok(Report::new(told(&summary), format!("{} is whole: {}", file.display(), shown(&summary))))
        }
        BackupCommand::Restore { file, topology, identity, anchor } => restore(&file, &topology, &identity, &anchor),
        BackupCommand::Settle { topology } => settle(&topology),
    }
}

fn random(bytes: &mut [u8]) -> Result<(), AgeError> {
    getrandom::fill(bytes).map_err(|_| AgeError::Primitive)
}

fn keygen(out: &Path) -> Result<Report, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    let failed = |e: AgeError| Failure::new(Exit::NotHealthy, "no key could be made").because(e).fix("try again");
    random(bytes.as_mut_slice()).map_err(failed)?;
    let identity = Identity::from_bytes(bytes);
    let recipient = identity.recipient().map_err(failed)?;
    let text = Zeroizing::new(format!("# public key: {recipient}\n{}\n", *identity.to_line()));
    let mut file = new_file(out)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| unwritten(out, &e.to_string()))?;
    let said = format!("public key: {recipient}\nwritten to {}: whoever has it reads the backups", out.display());
    Ok(Report::new(json!({ "recipient": recipient.to_string(), "file": out }), said))
}

/// For its owner alone, and never in the place of another.
fn new_file(path: &Path) -> Result<File, Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|e| unwritten(path, &e.to_string()))
}

fn unwritten(path: &Path, why: &str) -> Failure {
    Failure::usage("the file could not be written")
        .at(path.display())
        .because(why)
        .fix("name a new file in a folder that exists")
}

fn unsound(path: &Path, why: &str) -> Failure {
    Failure::denied("the backup is not sound")
        .at(path.display())
        .because(why)
        .fix("take another one, and find out who changed this one")
}

/// As `--anchor` takes it.
fn head(summary: &Summary) -> String {
    format!("{}:{}", summary.last.sequence, Digest(summary.last.hash))
}

fn told(summary: &Summary) -> serde_json::Value {
    json!({ "entries": summary.entries, "head": head(summary) })
}

fn shown(summary: &Summary) -> String {
    format!("{} entries, head {}", summary.entries, head(summary))
}

/// The part of the topology that says where the ledger is.
fn governed(path: &Path) -> Result<topology::Governance, Failure> {
    let model = run::read(path, None)
        .map_err(|e| Failure::usage("the topology cannot be used").at(path.display()).because(e))?;
    let none = || {
        Failure::usage("the topology has no `[governance]`")
            .at(path.display())
            .fix("name the file that governance runs with")
    };
    model.governance().cloned().ok_or_else(none)
}

fn untaken(place: &str, why: &LedgerError) -> Failure {
    let failure = match why {
        LedgerError::InUse { .. } => Failure::usage("the ledger is open in a running node"),
        LedgerError::NotEmpty { .. } => Failure::denied("nothing was restored"),
        _ => Failure::new(Exit::NotHealthy, "the ledger cannot be read or written"),
    };
    failure.at(place).because(why)
}

fn create(topology: &Path, to: &[Recipient], out: &Path) -> Result<Report, Failure> {
    let part = governed(topology)?;
    let place = topology.display().to_string();
    let ledger: Box<dyn Ledger> = match part.ledger.path_in(&part.store) {
        Some(path) => Box::new(OfflineLedger::open(path).map_err(|e| untaken(&place, &e))?),
        None => Box::new(connected(&part, &place)?),
    };
    let failed = |why: String| unwritten(out, &why);
    let mut sealed =
        Encrypting::begin(BufWriter::new(new_file(out)?), to, &mut random).map_err(|e| failed(e.to_string()))?;
    let written = ledger::write_backup(ledger.as_ref(), &mut sealed).map_err(|e| untaken(&place, &e));
    let ended = written.and_then(|summary| {
        let file = sealed.end().map_err(|e| failed(e.to_string()))?;
        let file = file.into_inner().map_err(|e| failed(e.to_string()))?;
        file.sync_all().map_err(|e| failed(e.to_string()))?;
        Ok(summary)
    });
    let summary = ended.inspect_err(|_| {
        // Half a backup opens for nobody, and is in nobody's way.
        let _gone = fs::remove_file(out);
    })?;
    let names: Vec<String> = to.iter().map(Recipient::to_string).collect();
    let json = json!({ "entries": summary.entries, "head": head(&summary), "recipients": names });
    Ok(Report::new(json, format!("{} holds {}; {} can open it", out.display(), shown(&summary), names.join(", "))))
}

fn connected(part: &topology::Governance, place: &str) -> Result<PostgresLedger, Failure> {
    let topology::Ledger::Postgres(at) = &part.ledger else {
        return Err(Failure::usage("the topology names no ledger in PostgreSQL").at(place));
    };
    let unusable = |e: RunError| Failure::new(Exit::NotHealthy, "the ledger cannot be reached").at(place).because(e);
    PostgresLedger::connect(ledgers::options(at, "kcm backup").map_err(unusable)?).map_err(|e| untaken(place, &e))
}

/// What the backup holds, as it is read.
fn opened(file: &Path, identity: &Path) -> Result<impl BufRead + use<>, Failure> {
    let unreadable = |path: &Path, why: String| {
        Failure::usage("the file cannot be read")
            .at(path.display())
            .because(why)
            .fix("check the path, and that it is the right file")
    };
    let mut text = Zeroizing::new(String::new());
    let keys = File::open(identity).and_then(|keys| keys.take(IDENTITIES_BYTES_MAX).read_to_string(&mut text));
    keys.map_err(|e| unreadable(identity, e.to_string()))?;
    let identities = Identity::read_all(&text).map_err(|e| unreadable(identity, e.to_string()))?;
    let sealed = BufReader::new(File::open(file).map_err(|e| unreadable(file, e.to_string()))?);
    let plain = Decrypting::begin(sealed, &identities).map_err(|e| match e {
        AgeError::NotForUs => Failure::denied("the backup does not open").at(file.display()).because(e),
        e => unreadable(file, e.to_string()),
    })?;
    Ok(BufReader::new(plain))
}

/// The ledger that a topology names, which no node holds now.
fn taken(part: &topology::Governance, place: &str) -> Result<Box<dyn Ledger>, Failure> {
    Ok(match part.ledger.path_in(&part.store) {
        Some(path) => {
            fs::create_dir_all(&part.store).map_err(|e| unwritten(&part.store, &e.to_string()))?;
            Box::new(RedbLedger::open(path).map_err(|e| untaken(place, &e))?)
        }
        None => {
            let ledger = connected(part, place)?;
            let active = ledger.try_take().map_err(|e| untaken(place, &e))?;
            let busy =
                || Failure::usage("a node of governance is active on this ledger").at(place).fix("stop it first");
            active.ok_or_else(busy)?;
            Box::new(ledger)
        }
    })
}

fn restore(file: &Path, topology: &Path, identity: &Path, anchors: &[Anchor]) -> Result<Report, Failure> {
    let part = governed(topology)?;
    let place = topology.display().to_string();
    let plain = opened(file, identity)?;
    let failed = |e: LedgerError| match e {
        LedgerError::Broken(why) => unsound(file, &why.to_string()),
        e => untaken(&place, &e),
    };
    let ledger = taken(&part, &place)?;
    let summary =
        ledger::restore_backup(ledger.as_ref(), plain, anchors, &[governance::INCARNATION]).map_err(failed)?;
    ledger.close();
    let said = format!(
        "restored: {}. What was decided since is not in it: governance asks the regions for it, and takes nothing but stops for a tenant \
         before each of its regions was heard",
        shown(&summary)
    );
    Ok(Report::new(told(&summary), said))
}

/// The mark goes, and with it the wait for regions that nobody will hear again.
fn settle(topology: &Path) -> Result<Report, Failure> {
    let (part, place) = (governed(topology)?, topology.display().to_string());
    let ledger = taken(&part, &place)?;
    let failed = |e: LedgerError| untaken(&place, &e);
    if ledger::restored(ledger.as_ref()).map_err(failed)?.is_none() {
        return Err(Failure::usage("nothing waits here: this ledger was not put back, or that is settled").at(&place));
    }
    ledger::settle(ledger.as_ref()).map_err(failed)?;
    ledger.close();
    let said = "settled: governance decides without the regions that it has not heard. What they alone knew is lost to it; a region that comes \
                back and holds more stops all but stops again";
    Ok(Report::new(json!({ "settled": true }), said.to_owned()))
}
