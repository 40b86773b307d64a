//! Who decides about a topology: a node holds its file to what the site's operators, and the tenants that it moves, have certified.
//!
//! The file names the site by the digest of its genesis, and a warrant: the decision with its signatures, which `kcm topology apply` wrote.
//! What a node has run with it keeps beside its store, so that nobody takes the site out of the file again, brings an earlier decision
//! back, or leaves out a tenant that a decision moves. Whoever has root on the host can take that memory away, too: they are trusted
//! for that host's keys anyway (PROTOCOL §1).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use orbital::{
    change::Action,
    names::{Deployment, NodeName, TenantId},
    site::{CONTENT, Difference, Governed, escape},
};
use serde::{Deserialize, Serialize};
use topology::{Field, Model, NodeRole, Site};

use crate::{
    cli::{
        evidence::{CertificateFile, proven},
        plain,
    },
    durable,
    fault::RunError,
};

/// Largest warrant that is read, in bytes: the trust chains of the site and of every tenant that it moves stand in it.
const WARRANT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most differences that a refusal names.
const DIFFERENCES_SHOWN_MAX: usize = 8;
/// The node's memory of what it ran with, in its store.
const MEMORY: &str = "site.json";

/// A decision about a topology and all that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Warrant {
    pub(crate) site: CertificateFile,
    /// Of those whom it moves.
    pub(crate) tenants: BTreeMap<TenantId, CertificateFile>,
}

/// What a warrant proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) serial: u64,
    pub(crate) governed: Governed,
    pub(crate) tenants: BTreeSet<TenantId>,
}

/// What a node last ran with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memory {
    site: TenantId,
    serial: u64,
    governed: String,
}

impl Memory {
    pub(crate) fn new(site: TenantId, decided: &Decided) -> Result<Self, RunError> {
        let bytes = decided.governed.to_bytes().map_err(|e| RunError::Site(e.to_string()))?;
        Ok(Self { site, serial: decided.serial, governed: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

/// The governed part of a file: its fields, and the files that could not be read with the reason.
pub(crate) fn governed(fields: &[Field]) -> (Governed, BTreeMap<String, String>) {
    let (mut found, mut unread) = (Vec::new(), BTreeMap::new());
    for field in fields.iter().filter(|field| !field.free) {
        let pointer = pointer(field);
        if let Some(path) = &field.content {
            let pointer = format!("{pointer}{CONTENT}");
            match fs::read(path) {
                Ok(bytes) => found.push((pointer, plain::fingerprint(&bytes).to_string())),
                Err(why) => _ = unread.insert(pointer, format!("{}: {why}", path.display())),
            }
        }
        found.push((pointer, field.value.clone()));
    }
    (found.into_iter().collect(), unread)
}

/// The field's JSON pointer.
pub(crate) fn pointer(field: &Field) -> String {
    field.path.iter().map(|part| format!("/{}", escape(part))).collect()
}

impl Warrant {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let said = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let long = fs::metadata(path).map_err(|e| said(&e))?.len();
        if long > WARRANT_BYTES_MAX {
            return Err(said(&format!("{long} bytes; a warrant has at most {WARRANT_BYTES_MAX}")));
        }
        serde_json::from_slice(&fs::read(path).map_err(|e| said(&e))?).map_err(|e| said(&e))
    }

    /// What it proves about this site: that its people decided, and each tenant that the decision names decided the same.
    pub(crate) fn verify(&self, site: TenantId, deployment: &Deployment) -> Result<Decided, String> {
        let (decided, action) =
            one(&self.site, site, deployment).map_err(|why| format!("the site's decision: {why}"))?;
        for tenant in &decided.tenants {
            let file = self.tenants.get(tenant).ok_or_else(|| {
                format!("tenant {tenant} has not certified it, and it moves that tenant's L1, residency or trust")
            })?;
            let (_, theirs) =
                one(file, *tenant, deployment).map_err(|why| format!("the decision of tenant {tenant}: {why}"))?;
            if theirs != action {
                return Err(format!("tenant {tenant} certified another topology than the site"));
            }
        }
        Ok(decided)
    }
}

fn one(file: &CertificateFile, whose: TenantId, deployment: &Deployment) -> Result<(Decided, Action), String> {
    let (chain, certified) = proven(file, whose).map_err(|failure| failure.to_string())?;
    if chain.current().deployment != *deployment {
        return Err(format!("it is of deployment {}, the file of {deployment}", chain.current().deployment));
    }
    let action = certified.change().action.clone();
    let Action::ApplyTopology { serial, governed, tenants } = &action else {
        return Err(format!("it is a {}, no ApplyTopology", action.kind()));
    };
    let governed = Governed::from_bytes(governed).map_err(|e| e.to_string())?;
    Ok((Decided { serial: *serial, governed, tenants: tenants.clone() }, action))
}

/// Where a node remembers; an edge keeps nothing.
fn memory_path(model: &Model, name: &NodeName) -> Result<Option<PathBuf>, RunError> {
    let store = match model.node(name)? {
        NodeRole::Governance(part) => &part.store,
        NodeRole::Crypto { node, .. } => &node.store,
        NodeRole::SoftL1 { store, .. } => store,
        NodeRole::Edge { .. } => return Ok(None),
    };
    Ok(Some(store.join(MEMORY)))
}

fn remembered(path: &Path) -> Result<Option<Memory>, RunError> {
    match fs::read(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(RunError::Unreadable { path: path.to_owned(), why }),
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|why| {
            RunError::Site(format!("{} does not read: {why}. Put it back from a backup of this node", path.display()))
        }),
    }
}

/// Lets a node run with this file, and remembers it.
///
/// # Errors
/// [`RunError::Site`] where the file is not what was decided, or an earlier decision.
pub(crate) fn admit(model: &Model, fields: &[Field], name: &NodeName) -> Result<(), RunError> {
    let Some(path) = memory_path(model, name)? else { return Ok(()) };
    let known = remembered(&path)?;
    let Some(site) = &model.site else {
        return match known {
            None => Ok(()),
            Some(known) => Err(RunError::Site(format!(
                "this node ran under the site {}, and the file names none. Put `[site]` back, or have it decided by the site's operators; {} \
                 remembers it",
                known.site,
                path.display()
            ))),
        };
    };
    let decided =
        Warrant::read(&site.warrant).and_then(|warrant| warrant.verify(site.id, &model.deployment)).map_err(|why| {
            RunError::Site(format!("the warrant proves nothing: {why}. Gather it anew with `kcm topology apply`"))
        })?;
    let (mine, unread) = governed(fields);
    decided.check_says(&mine, &unread).map_err(|why| {
        RunError::Site(format!(
            "{why}\nPut back what was decided, or have the change decided (`kcm topology plan`, `kcm topology propose`)"
        ))
    })?;
    let fresh = follows(known.as_ref(), site, &decided)?;
    if known.as_ref() == Some(&fresh) {
        return Ok(());
    }
    let written = serde_json::to_vec(&fresh).map_err(io::Error::from);
    let folder = path.parent().unwrap_or(Path::new("."));
    let kept = written.and_then(|bytes| fs::create_dir_all(folder).and_then(|()| durable::replace(&path, &bytes)));
    kept.map_err(|why| RunError::Site(format!("{} cannot be written: {why}", path.display())))?;
    tracing::info!(site = %site.id, serial = decided.serial, "the topology is the one that was decided");
    Ok(())
}

impl Decided {
    /// That a file says what was decided. A file that this machine cannot read it cannot use either: another node is held to that one.
    pub(crate) fn check_says(&self, mine: &Governed, unread: &BTreeMap<String, String>) -> Result<(), String> {
        let differences = self.governed.differences(mine);
        let differences: Vec<_> = differences.into_iter().filter(|d| !unread.contains_key(d.pointer)).collect();
        if differences.is_empty() {
            return Ok(());
        }
        let shown: Vec<_> = differences.iter().take(DIFFERENCES_SHOWN_MAX).map(sentence).collect();
        let more = differences.len().saturating_sub(shown.len());
        let more = if more == 0 { String::new() } else { format!("\n  and {more} more") };
        Err(format!("the file is not what was decided:\n  {}{more}", shown.join("\n  ")))
    }

    /// That it comes after what was in force with this serial, and that whom it moves has agreed.
    pub(crate) fn check_after(&self, serial: u64, before: &Governed) -> Result<(), String> {
        if self.serial < serial || self.serial == serial && self.governed != *before {
            return Err(format!(
                "the decision is of serial {}, and what was in force is of serial {serial} already: bring the warrant of the latest decision",
                self.serial
            ));
        }
        match before.moves(&self.governed).difference(&self.tenants).next() {
            None => Ok(()),
            Some(tenant) => Err(format!(
                "the decision moves the L1, residency or trust of tenant {tenant} against what was in force, and does not name it: the site's \
                 operators propose it anew upon the warrant in force, and the tenant certifies it, too"
            )),
        }
    }
}

fn sentence(difference: &Difference<'_>) -> String {
    match (difference.before, difference.after) {
        (Some(decided), Some(mine)) => format!("{}: decided is {decided}, the file says {mine}", difference.pointer),
        (Some(decided), None) => format!("{}: decided is {decided}, the file does not have it", difference.pointer),
        (None, mine) => {
            format!("{}: nobody decided it, the file says {}", difference.pointer, mine.unwrap_or_default())
        }
    }
}

/// What the node remembers from now on, where the decision comes after the one that it ran with.
pub(crate) fn follows(known: Option<&Memory>, site: &Site, decided: &Decided) -> Result<Memory, RunError> {
    if let Some(known) = known {
        if known.site != site.id {
            let why = format!("this node ran under the site {}, the file names {}", known.site, site.id);
            return Err(RunError::Site(why));
        }
        let before = Governed::from_bytes(known.governed.as_bytes()).map_err(|e| RunError::Site(e.to_string()))?;
        decided.check_after(known.serial, &before).map_err(RunError::Site)?;
    }
    Memory::new(site.id, decided)
}
