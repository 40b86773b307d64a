//! A bundle as files: reading them as one, and saying where in which file a finding is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use policy::{Bundle, Finding, Part, PolicyError};
use serde_json::json;

use crate::cli::{
    exit::{Failure, Report},
    files,
};

pub(super) const TESTS: &str = "tests.toml";
const SCHEMA: &str = "kcm.cedarschema";
const POLICIES: &str = "policies.cedar";
const ENTITIES: &str = "entities.json";
/// What `kcm policy new` writes beside the default policies.
const SAMPLE: &str = include_str!("sample.toml");

/// The texts of a folder.
pub(super) struct Folder {
    path: PathBuf,
    schema: (PathBuf, String),
    /// In the order of their names; joined, they are the policies of the bundle.
    policies: Vec<(PathBuf, String)>,
    entities: Option<(PathBuf, String)>,
}

impl Folder {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |why: String, fix: &str| {
            Failure::usage("the folder of policies does not read").at(path.display()).because(why).fix(fix)
        };
        let there = "give a folder as `kcm policy new DIR` writes one";
        let entries = fs::read_dir(path).map_err(|e| failed(e.to_string(), there))?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.sort();
        let of =
            |end: &'static str| paths.iter().filter(move |path| path.extension().is_some_and(|found| found == end));
        let text = |path: &PathBuf| Ok((path.clone(), files::read_text("policy file", path)?));
        let mut schemas = of("cedarschema");
        let schema = match (schemas.next(), schemas.next()) {
            (Some(one), None) => text(one)?,
            (None, _) => return Err(failed("no file in it ends in .cedarschema".to_owned(), there)),
            (Some(_), Some(_)) => {
                return Err(failed("several files in it end in .cedarschema".to_owned(), "keep one schema"));
            }
        };
        let policies = of("cedar").map(text).collect::<Result<Vec<_>, Failure>>()?;
        let entities = path.join(ENTITIES);
        let entities = entities.exists().then(|| text(&entities)).transpose()?;
        Ok(Self { path: path.to_owned(), schema, policies, entities })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The bundle, or what is wrong with it.
    pub(super) fn bundle(&self) -> Result<Result<Bundle, Report>, Failure> {
        let joined = self.policies.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n");
        let entities = self.entities.as_ref().map_or("[]", |(_, text)| text);
        match Bundle::parse_strict(&self.schema.1, &joined, entities) {
            Ok(bundle) => Ok(Ok(bundle)),
            Err(PolicyError::Invalid { findings }) => Ok(Err(self.report(&findings))),
            Err(other) => Err(Failure::usage("the policies do not read").at(self.path.display()).because(other)),
        }
    }

    fn report(&self, findings: &[Finding]) -> Report {
        let placed: Vec<_> = findings.iter().map(|finding| (self.place(finding), finding)).collect();
        let json: Vec<_> =
            placed.iter().map(|(place, f)| json!({ "place": place, "message": f.message, "help": f.help })).collect();
        let line = |(place, f): &(String, &Finding)| {
            let help = f.help.as_ref().map_or(String::new(), |help| format!("\n  do     {help}"));
            format!("{place}: {}{help}", f.message)
        };
        let text = placed.iter().map(line).collect::<Vec<_>>().join("\n");
        Report::new(json!({ "findings": json }), text)
    }

    /// `FILE:LINE:COLUMN`, or the file, or the folder.
    fn place(&self, finding: &Finding) -> String {
        let Some(place) = finding.place else {
            return match finding.part {
                Part::Schema => self.schema.0.display().to_string(),
                Part::Policies => self.path.join("*.cedar").display().to_string(),
                Part::Entities => self.path.join(ENTITIES).display().to_string(),
            };
        };
        let (file, line) = match finding.part {
            Part::Schema => (&self.schema.0, place.line),
            Part::Entities => (self.entities.as_ref().map_or(&self.path, |(path, _)| path), place.line),
            Part::Policies => self.policy_line(place.line),
        };
        format!("{}:{line}:{}", file.display(), place.column)
    }

    /// The file that holds a line of the joined texts, and the line in it.
    fn policy_line(&self, line: usize) -> (&PathBuf, usize) {
        let mut before = 0;
        for (path, text) in &self.policies {
            // The text, and the line break that joins it to the next.
            let lines = text.matches('\n').count() + 1;
            if line <= before + lines {
                return (path, line - before);
            }
            before += lines;
        }
        (&self.path, line)
    }
}

/// Writes a bundle as a new folder.
pub(super) fn write(path: &Path, bundle: &Bundle) -> Result<(), Failure> {
    fs::create_dir(path).map_err(|e| {
        Failure::usage("the folder could not be made")
            .at(path.display())
            .because(e)
            .fix("name a folder that does not exist, in one that does")
    })?;
    for (name, text) in [
        (SCHEMA, bundle.schema_text()),
        (POLICIES, bundle.policies_text()),
        (ENTITIES, bundle.entities_text()),
        (TESTS, SAMPLE),
    ] {
        files::write("policy file", &path.join(name), text.as_bytes(), 0o644, false)?;
    }
    Ok(())
}
