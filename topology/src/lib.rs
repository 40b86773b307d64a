//! The topology file: which nodes there are, where they lie, what they listen on, and which keys they prove themselves with.
//!
//! file → check → model → explain. A text is parsed into a tree of values with places ([`Format`]: TOML is canonical, YAML and JSON
//! are read into the same types), the tree into the shape of schema v1, the shape is held against every rule, and only a file without
//! an error becomes a [`Model`]. All findings come at once, each with a code, its places, and what to do. Nothing here reads a file
//! or a clock; [`Checked::check_files`] asks its caller for the files that a topology names.
//!
//! `samples/demo.toml` shows every field with its meaning.

mod build;
mod certificates;
mod check;
mod explain;
mod file;
mod finding;
mod ledger;
mod login;
mod model;
mod places;
mod reader;
mod secrets;
mod site;
mod suggest;
mod tree;
mod units;
mod write;

use std::path::{Path, PathBuf};

pub use build::{LOCKED_MEMORY_DEFAULT, PROBE_DEFAULT, SUBMISSION_PORT};
pub use certificates::Files;
pub use explain::{EXPLAIN_COLUMNS, explain, summary, to_json};
pub use file::{LedgerKind, MailTls, MaterialLeaves, Mode, NotifyKind, Provider, SCHEMA, Then, Transport};
pub use finding::{At, Code, Finding, Label, Place, Severity};
pub use ledger::{HostPort, Ledger, Postgres};
pub use login::{LOGIN_IDLE_DEFAULT, LOGIN_MAX_AGE_DEFAULT, Login, LoginGroups, LoginMfa};
pub use model::{
    Autonomy, CryptoNode, Edge, Governance, IDENTITY, Kmip, L1, L1Auth, L1Provider, Model, MutualTls, NodeRole, Notify,
    NotifyTarget, NotifyUrl, Orbital, Plane, RegionPart, Residency, ServerTls, SigningKey, Topology, UnknownNode,
};
pub use site::{Field, Site};
pub use tree::{FILE_BYTES_MAX, Format};
pub use units::{PublicKey, Size, Span};
pub use write::to_toml;

/// A file that was checked: everything found, and the model if nothing of it is an error.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The name of the file, for people.
    pub name: String,
    pub text: String,
    /// In the order of the file.
    pub findings: Vec<Finding>,
    model: Option<Model>,
    tree: Option<tree::Node>,
    file: Option<file::File>,
    base: PathBuf,
}

impl Checked {
    /// The model; `None` when there is an error among the findings.
    pub fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }
    pub fn into_model(self) -> Option<Model> {
        self.model
    }
    pub fn has_errors(&self) -> bool {
        self.model.is_none()
    }
    /// The findings for people; see [`explain()`].
    pub fn explain(&self, color: bool) -> String {
        explain(&self.name, &self.text, &self.findings, color)
    }
    /// The findings for machines; see [`to_json`].
    pub fn to_json(&self) -> serde_json::Value {
        to_json(&self.text, &self.findings)
    }
}

/// Checks the text of the file at `path`. The path is not read: it gives the name, the format by its ending, and the folder to which
/// the paths in the file are relative.
pub fn check(path: &Path, text: &str) -> Checked {
    let name = path.display().to_string();
    let base = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let (tree, mut findings) = tree::parse(Format::of(&name), text);
    // What stands behind a misplaced bracket is guesswork.
    let broken = findings.iter().any(|f| f.code == Code::Syntax);
    if let Some(tree) = &tree {
        // Before all else, and in a broken file too: no explanation may quote a secret.
        secrets::search(tree, &Place::default(), &mut findings);
    }
    let file = tree.as_ref().filter(|_| !broken).and_then(|tree| file::File::read_from(tree, &mut findings));
    if let Some(file) = &file {
        findings.extend(check::findings(file));
    }
    findings.sort_by(|a, b| a.order().cmp(&b.order()));
    findings.dedup();
    let sound = file.as_ref().filter(|_| findings.iter().all(|f| f.severity() != Severity::Error));
    let model = sound.and_then(|file| build::build(file, &build::Base(&base))).map(Model::checked);
    Checked { name, text: text.to_owned(), findings, model, tree, file, base }
}
