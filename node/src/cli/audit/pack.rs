//! `kcm evidence`: a folder for an auditor. What a control asks, what the ledger shows of it, and all that it takes to check that offline.
//!
//! A pack is made from a tenant's entries alone; whatever else is in it follows from them. So to check one is to prove each entry under the
//! signed checkpoint, to make the pack anew, and to compare.

mod claims;
mod controls;
mod facts;
mod paper;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{SHA256, digest};
use clap::{Args, Subcommand};
use governance::Sought;
use ledger::{Entry, Tree, TreeHead};
use orbital::{names::TenantId, note::Verifier};
use serde_json::json;

use super::{
    super::{
        Global,
        context::{Context, Pins},
        exit::{Failure, Report},
        files,
        http::Portal,
    },
    sift,
    source::Source,
    verify::{self, kept, log_key, unreadable, witness_key},
};
use facts::unproven;
use paper::{CHECKPOINT, ENTRIES, Files, MANIFEST, PACK, Pack, Proven, VERSION};

#[derive(Clone, Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Write what the ledger shows of controls, with all that proves it
    #[command(
        after_help = "Example: kcm evidence pack --tenant acme --control soc2 --out acme-soc2 --log acme/ledger+fb2fc739+AQYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYG"
    )]
    Pack(Make),
    /// Check every claim of a pack from its files alone
    #[command(
        after_help = "Example: kcm evidence verify acme-soc2 --tenant kGkT02jo2jX3l0Mm3xw_1wapLo8Aq-9G17xJMr2UPic"
    )]
    Verify(Check),
}

/// `kcm evidence pack`.
#[derive(Clone, Debug, Args)]
pub struct Make {
    /// Pinned name, or id
    #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
    tenant: String,
    /// A norm (tisax, soc2, gdpr) or a control, such as soc2-cc8.1 [default: all]
    #[arg(long, value_name = "CONTROL", value_parser = controls::named)]
    control: Vec<String>,
    /// Claims from this moment on, such as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = sift::moment)]
    from: Option<u64>,
    /// Claims before this moment
    #[arg(long, value_name = "TIME", value_parser = sift::moment)]
    to: Option<u64>,
    /// The key under checkpoints, as the operators published it
    #[arg(long, value_name = "KEY", value_parser = log_key)]
    log: Verifier,
    /// A checkpoint that was kept, such as a witness's [default: governance's newest]
    #[arg(long, value_name = "NOTE")]
    checkpoint: Option<PathBuf>,
    /// The key of a witness that must have cosigned the checkpoint
    #[arg(long, value_name = "KEY", value_parser = witness_key, requires = "checkpoint")]
    witness: Vec<Verifier>,
    /// A ledger or an export, instead of governance
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    ledger: Option<PathBuf>,
    /// A new folder for the pack
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// `kcm evidence verify`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// The pack's folder
    #[arg(value_name = "PACK")]
    pack: PathBuf,
    /// Pinned name, or id: the tenant's fingerprint
    #[arg(long, visible_alias = "fingerprint", value_name = "TENANT", allow_hyphen_values = true)]
    tenant: String,
    /// The key under checkpoints, as the operators published it
    #[arg(long, value_name = "KEY", value_parser = log_key)]
    log: Option<Verifier>,
    /// The key of a witness that must have cosigned the checkpoint
    #[arg(long, value_name = "KEY", value_parser = witness_key)]
    witness: Vec<Verifier>,
}

pub(crate) async fn perform(global: &Global, command: EvidenceCommand) -> Result<Report, Failure> {
    match command {
        EvidenceCommand::Pack(asked) => make(global, asked).await,
        EvidenceCommand::Verify(asked) => check(&asked, Pins::read(global)?.tenant(&asked.tenant)?),
    }
}

async fn make(global: &Global, asked: Make) -> Result<Report, Failure> {
    let tenant = Pins::read(global)?.tenant(&asked.tenant)?;
    let source = Source::of(global, asked.ledger.as_ref())?;
    let note = match &asked.checkpoint {
        Some(path) => files::read("checkpoint", path)?,
        None => verify::newest(&Portal::of(&Context::need(global)?)?, &asked.log).await?.0.into_bytes(),
    };
    let head = kept(&note, "the checkpoint", &asked.log, &asked.witness)?.head;
    let (entries, lines) = gathered(&source, tenant, head).await?;
    let keys = |keys: &[Verifier]| keys.iter().map(ToString::to_string).collect();
    let pack = Pack {
        v: VERSION,
        tenant,
        controls: asked.control,
        from_ms: asked.from,
        to_ms: asked.to,
        log: asked.log.to_string(),
        witnesses: keys(&asked.witness),
        claims: Vec::new(),
    };
    let source = paper::Source { asked: &pack, note: &note, size: head.size, entries: &entries, lines: &lines };
    let (files, _) = paper::files(&source)?;
    // What was written is held to what everybody else will hold it to.
    let held = || check_pack(&asked.out, tenant, Some(&asked.log), &asked.witness);
    let report = finished(&asked.out, &files, held)?;
    let text = format!("{}\n\nIt is in {}; begin with README.md.", report.text, asked.out.display());
    Ok(Report { text, ..report })
}

/// The tenant's entries up to the checkpoint, and the lines that prove each.
async fn gathered(source: &Source, tenant: TenantId, head: TreeHead) -> Result<(Vec<Entry>, Vec<u8>), Failure> {
    let (mut tree, mut entries) = (Tree::default(), Vec::new());
    let sought = Sought { subject: Some(tenant.to_string()), ..Sought::default() };
    let mut keep = |entry: Entry| {
        let more = entry.sequence < head.size;
        if entry.sequence <= head.size && sought.lets_through(&entry) {
            entries.push(entry);
        }
        Ok(more)
    };
    match source {
        // Governance proves each entry itself, so the others need not be read.
        Source::Live(_) => source.each_of(&sought, 0, &mut keep).await?,
        Source::Rest(_) => {
            let counted = &mut |entry: Entry| {
                tree.push(&entry.hash);
                keep(entry)
            };
            source.each(0, counted).await?;
        }
    }
    let mut lines = Vec::new();
    for entry in &entries {
        let proof = match source {
            Source::Live(portal) => verify::inclusion(portal, entry.sequence, head.size).await?,
            Source::Rest(_) => tree.inclusion(entry.sequence, head.size).unwrap_or_default(),
        };
        let line = serde_json::to_vec(&Proven::of(entry, proof)?);
        lines.extend(line.map_err(|e| unproven(ENTRIES, &e.to_string()))?);
        lines.push(b'\n');
    }
    Ok((entries, lines))
}

/// A new folder with these files, which `held` then checks. Whatever fails, no half of a pack is left.
fn finished(folder: &Path, files: &Files, held: impl FnOnce() -> Result<Report, Failure>) -> Result<Report, Failure> {
    fs::create_dir(folder).map_err(|e| unwritten(folder, &e))?;
    let done = write(folder, files).and_then(|()| held());
    if done.is_err() {
        // What went wrong is told; a folder that cannot be removed either is seen at the next try.
        drop(fs::remove_dir_all(folder));
    }
    done
}

fn unwritten(folder: &Path, why: &std::io::Error) -> Failure {
    let failure = Failure::usage("the pack could not be written").at(folder.display()).because(why);
    failure.fix("name a folder that is not there yet, where there is space")
}

fn write(folder: &Path, files: &Files) -> Result<(), Failure> {
    fs::create_dir(folder.join("certificates")).map_err(|e| unwritten(folder, &e))?;
    for (name, bytes) in files {
        files::write("pack", &folder.join(name), bytes, 0o644, false)?;
    }
    let lines: String = files.iter().map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes))).collect();
    files::write("pack", &folder.join(MANIFEST), lines.as_bytes(), 0o644, false)
}

/// As `sha256sum` writes it.
fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(asked: &Check, tenant: TenantId) -> Result<Report, Failure> {
    check_pack(&asked.pack, tenant, asked.log.as_ref(), &asked.witness)
}

fn check_pack(
    folder: &Path,
    tenant: TenantId,
    log: Option<&Verifier>,
    witnesses: &[Verifier],
) -> Result<Report, Failure> {
    let found = whole(folder)?;
    let file = |name: &str| found.get(name).ok_or_else(|| unproven(name, "the pack has no such file"));
    let pack: Pack = serde_json::from_slice(file(PACK)?).map_err(|e| unproven(PACK, &e.to_string()))?;
    if pack.v != VERSION {
        return Err(unproven(PACK, &format!("it is of version {}, this release reads {VERSION}", pack.v)));
    }
    if pack.tenant != tenant {
        return Err(unproven(PACK, &format!("it is about tenant {}, and {tenant} was asked for", pack.tenant)));
    }
    let stated = log_key(&pack.log).map_err(|why| unproven(PACK, &why))?;
    if log.is_some_and(|log| log.to_string() != pack.log) {
        return Err(unproven(PACK, &format!("its ledger's key is {}, and another was given as --log", pack.log)));
    }
    let mut cosigners = witnesses.to_vec();
    for key in &pack.witnesses {
        cosigners.push(witness_key(key).map_err(|why| unproven(PACK, &why))?);
    }
    let note = file(CHECKPOINT)?;
    let kept = kept(note, CHECKPOINT, &stated, &cosigners)?;
    let lines = file(ENTRIES)?;
    let entries = proven(lines, tenant, &kept.head)?;
    let source = paper::Source { asked: &pack, note, size: kept.head.size, entries: &entries, lines };
    let (made, drawn) = paper::files(&source)?;
    compare(&pack, &drawn)?;
    for (name, bytes) in &made {
        if file(name)? != bytes {
            return Err(unproven(name, "it is not what the entries of the pack say: it was changed or swapped"));
        }
    }
    if let Some(name) = found.keys().find(|name| !made.contains_key(*name)) {
        return Err(unproven(name, "nothing in the pack explains this file"));
    }
    Ok(told(&drawn, &kept, entries.len(), log.is_some()))
}

/// The files of a pack, if they are those of its manifest.
fn whole(folder: &Path) -> Result<Files, Failure> {
    let mut found = Files::new();
    gather(folder, folder, &mut found)?;
    let manifest = found.remove(MANIFEST).ok_or_else(|| unproven(MANIFEST, "the pack has no such file"))?;
    let text = String::from_utf8_lossy(&manifest);
    let listed: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once("  ")).map(|(hash, name)| (name, hash)).collect();
    for (name, hash) in &listed {
        let bytes = found.get(*name).ok_or_else(|| unproven(name, "the manifest names it, and it is not there"))?;
        if sha256(bytes) != *hash {
            return Err(unproven(name, "its SHA-256 is not the one of the manifest: it was changed"));
        }
    }
    match found.keys().find(|name| !listed.contains_key(name.as_str())) {
        Some(name) => Err(unproven(name, "it is there, and the manifest does not name it")),
        None => Ok(found),
    }
}

fn gather(root: &Path, folder: &Path, found: &mut Files) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(|e| unreadable(folder, e))? {
        let path = entry.map_err(|e| unreadable(folder, e))?.path();
        if path.is_dir() {
            gather(root, &path, found)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.insert(name, files::read("pack", &path)?);
        }
    }
    Ok(())
}

/// The entries, each proven under the checkpoint, in order, all of this tenant.
fn proven(lines: &[u8], tenant: TenantId, head: &TreeHead) -> Result<Vec<Entry>, Failure> {
    let mut entries: Vec<Entry> = Vec::new();
    for (at, line) in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let place = format!("{ENTRIES}:{}", at + 1);
        let read: Proven = serde_json::from_slice(line).map_err(|e| unproven(&place, &e.to_string()))?;
        let entry = read.entry(head)?;
        if entry.subject != tenant.to_string() {
            return Err(unproven(&place, "it is an entry of another tenant"));
        }
        if entries.last().is_some_and(|last| last.sequence >= entry.sequence) {
            return Err(unproven(&place, "it is out of order"));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Whether what the pack claims is what follows from its entries.
fn compare(stated: &Pack, drawn: &Pack) -> Result<(), Failure> {
    if let Some(claim) = stated.claims.iter().find(|claim| !drawn.claims.contains(claim)) {
        let rather = drawn.claims.iter().find(|other| other.topic == claim.topic && !stated.claims.contains(other));
        let rather = rather.map(|other| format!(". They say: {}", other.says)).unwrap_or_default();
        return Err(unproven(PACK, &format!("this claim does not follow from the entries: {}{rather}", claim.says)));
    }
    if stated.claims != drawn.claims {
        return Err(unproven(PACK, "claims that follow from the entries are left out or in another order"));
    }
    Ok(())
}

fn told(pack: &Pack, kept: &verify::Kept, entries: usize, compared: bool) -> Report {
    let open: Vec<&str> = pack.claims.iter().filter(|claim| !claim.proved).map(|claim| claim.says.as_str()).collect();
    let proved = pack.claims.len() - open.len();
    let mut text = format!("The pack holds: {proved} claims proved by {entries} entries of tenant {}.", pack.tenant);
    text += "\nChecked: every file against the manifest, and against what the entries say.";
    text += &format!("\nChecked: every entry stands in the ledger of the {}.", kept.said);
    text += "\nChecked: the trust chain from the tenant's fingerprint on, and every decision, vote and region's answer under it.";
    if !compared {
        text += "\nNot checked: whether that is the operators' key. Give it as --log, from where they published it.";
    }
    for claim in &open {
        text += &format!("\nNot proved, as the pack says: {claim}");
    }
    let json = json!({
        "holds": true, "tenant": pack.tenant, "claims": pack.claims, "proved": proved, "not_proved": open.len(),
        "entries": entries, "checkpoint": kept.head.size, "log_compared": compared, "log": pack.log,
    });
    Report::new(json, text)
}
