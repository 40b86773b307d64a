//! The half of the checks that needs the files that a topology names: are they there, and does each certificate carry its node's
//! identity (T0303)? The files come in through [`Files`]; nothing here touches a disk.

use std::path::{Path, PathBuf};

use orbital::names::NodeName;

use crate::{
    Checked,
    build::Base,
    check::notify,
    file::{self, CryptoNode, Governance},
    finding::{At, Code, Finding},
    model::{IDENTITY, Plane, identity},
};

/// What is asked of the files that a topology names. Implemented where files are read.
pub trait Files {
    /// Whether this process can read the file; the reason if not.
    fn readable(&self, path: &Path) -> Result<(), String>;
    /// The first line of a short text file that is no comment; the reason if there is none. It may be a secret.
    fn line(&self, path: &Path) -> Result<String, String>;
    /// The URIs in the subject alternative names of the first certificate in a PEM file; the reason if there is none.
    fn san_uris(&self, path: &Path) -> Result<Vec<String>, String>;
}

impl Checked {
    /// Checks the files of one node (those of the others are on other hosts), or of all with `None`.
    pub fn check_files(&self, only: Option<&NodeName>, files: &dyn Files) -> Vec<Finding> {
        let Some(file) = &self.file else { return Vec::new() };
        let mut search = Search { file, base: Base(&self.base), files, findings: Vec::new() };
        let wanted = |name: &NodeName| only.is_none_or(|o| o == name);
        if let Some(governance) = &file.governance
            && let Some(node) = governance.value.node.as_ref().filter(|n| wanted(&n.value))
        {
            search.governance(&node.value, &governance.value);
        }
        for (name, part) in file.standbys().iter().filter(|(name, _)| wanted(&name.value)) {
            search.standby(&name.value, &part.value);
        }
        for (name, node) in file.regions().iter().flat_map(|(_, region)| region.value.nodes()) {
            if wanted(&name.value) {
                search.node(&name.value, &node.value);
            }
        }
        search.findings.sort_by(|a, b| a.order().cmp(&b.order()));
        search.findings
    }
}

struct Search<'a> {
    file: &'a file::File,
    base: Base<'a>,
    files: &'a dyn Files,
    findings: Vec<Finding>,
}

impl Search<'_> {
    fn governance(&mut self, name: &NodeName, part: &Governance) {
        let tls = [&part.rest_tls, &part.orbital_tls].into_iter().flatten();
        tls.for_each(|tls| self.mutual(name, &tls.value));
        [&part.frame_key, &part.lease_key, &part.checkpoint_key]
            .into_iter()
            .flatten()
            .for_each(|path| self.readable(name, path));
        for (_, channel) in self.file.channels() {
            let c = &channel.value;
            [&c.url_file, &c.secret_file, &c.key_file, &c.password_file, &c.ca]
                .into_iter()
                .flatten()
                .for_each(|path| self.readable(name, path));
            c.url_file.iter().for_each(|path| self.encrypted(path));
        }
        let ledger = part.ledger.iter().map(|ledger| &ledger.value);
        ledger
            .flat_map(|l| [&l.password_file, &l.ca, &l.cert, &l.key])
            .flatten()
            .for_each(|path| self.readable(name, path));
        let login = part.login.iter().flat_map(|login| [&login.value.client_secret_file, &login.value.ca]);
        login.flatten().for_each(|path| self.readable(name, path));
        part.orbital_tls.iter().for_each(|tls| self.identity(name, Plane::Governance, tls.value.cert.as_ref()));
    }

    /// It has the keys and the name of the node that it stands in for.
    fn standby(&mut self, name: &NodeName, part: &file::Standby) {
        let Some(main) = self.file.governance.as_ref().map(|governance| governance.value.clone()) else { return };
        let Some(node) = main.node.clone() else { return };
        let (rest_tls, orbital_tls) = (part.rest_tls.clone(), part.orbital_tls.clone());
        let (rest_tls, orbital_tls) = (rest_tls.or(main.rest_tls.clone()), orbital_tls.or(main.orbital_tls.clone()));
        let before = self.findings.len();
        self.governance(&node.value, &Governance { rest_tls, orbital_tls, ..main });
        for finding in self.findings.iter_mut().skip(before) {
            finding.message = format!("standby `{name}`: {}", finding.message);
        }
    }

    fn node(&mut self, name: &NodeName, part: &CryptoNode) {
        part.orbital_tls.iter().for_each(|tls| self.mutual(name, &tls.value));
        let kmip = part.kmip_tls.iter().flat_map(|tls| [&tls.value.cert, &tls.value.key]);
        let keys = [&part.frame_key, &part.report_key, &part.hpke_key];
        keys.into_iter().chain(kmip).flatten().for_each(|path| self.readable(name, path));
        part.orbital_tls.iter().for_each(|tls| self.identity(name, Plane::Crypto, tls.value.cert.as_ref()));
    }

    fn mutual(&mut self, name: &NodeName, tls: &file::MutualTls) {
        [&tls.ca, &tls.cert, &tls.key].into_iter().flatten().for_each(|path| self.readable(name, path));
    }

    fn readable(&mut self, name: &NodeName, path: &At<PathBuf>) {
        let full = self.base.path(&path.value);
        if let Err(why) = self.files.readable(&full) {
            let message = format!("`{}` of node `{name}` cannot be read: {why}", full.display());
            let help = "Put the file there, readable for the user that runs the node, or correct the path.";
            self.findings.push(Finding::new(Code::Dangling, message, help).at(&path.place, "no such file for us"));
        }
    }

    /// A URL in a file is a secret: what is wrong with it is told without it.
    fn encrypted(&mut self, path: &At<PathBuf>) {
        let full = self.base.path(&path.value);
        // A file that cannot be read at all has been reported.
        let Ok(line) = self.files.line(&full) else { return };
        if let Some(why) = notify::plain(&line, self.file.is_development()) {
            let help = "Write https:// there; only a receiver on loopback may be plain, with `development = true`.";
            let finding = Finding::new(Code::Unencrypted, format!("the URL in `{}` {why}", full.display()), help);
            self.findings.push(finding.at(&path.place, "not encrypted"));
        }
    }

    fn identity(&mut self, name: &NodeName, plane: Plane, cert: Option<&At<PathBuf>>) {
        let (Some(cert), Some(deployment)) = (cert, &self.file.deployment) else { return };
        let template = self.file.tls.as_ref().and_then(|t| t.value.identity.as_ref()).map_or(IDENTITY, |i| &i.value);
        let needed = identity(template, &deployment.value, plane, name);
        let full = self.base.path(&cert.value);
        // A file that cannot be read at all has been reported.
        if self.files.readable(&full).is_err() {
            return;
        }
        let why = match self.files.san_uris(&full) {
            Ok(uris) if uris.contains(&needed) => return,
            Ok(uris) if uris.is_empty() => "it names no URI".to_owned(),
            Ok(uris) => format!("it is for {}", uris.join(", ")),
            Err(why) => why,
        };
        let message = format!("certificate `{}` lacks SAN `{needed}`: {why}", full.display());
        let help = format!("Issue it for `{needed}`: governance and regions know each other by this name alone.");
        self.findings.push(Finding::new(Code::Identity, message, help).at(&cert.place, "for another node"));
    }
}
