//! `kcm residency`: where a tenant's keys may exist. A region is taken in or out, and jurisdictions are allowed or not.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use orbital::{
    change::Action,
    names::{Jurisdiction, Region},
    sign::PublicKey,
    trust::RegionIdentity,
};
use serde_json::json;

use super::{
    Global,
    compose::{self, Subject, Wish},
    exit::{Failure, Report},
    table::Table,
    topology,
};

#[derive(Clone, Debug, Subcommand)]
pub enum ResidencyCommand {
    /// Show where a tenant's keys may lie
    #[command(after_help = "Example: kcm residency show --tenant acme")]
    Show {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Propose other regions or jurisdictions
    #[command(
        after_help = "Example: kcm --as alice residency set --leave us-east --join ch-zurich --topology topology.toml --tenant acme"
    )]
    Set(SetArgs),
}

/// What is to change.
#[derive(Clone, Debug, Args)]
pub struct SetArgs {
    /// Take this region in; its keys are read from --topology
    #[arg(long, value_name = "REGION", requires = "topology")]
    pub join: Vec<Region>,
    /// Take this region out: it destroys every key of the tenant that lies there
    #[arg(long, value_name = "REGION")]
    pub leave: Vec<Region>,
    /// Allow keys in this jurisdiction
    #[arg(long, value_name = "PLACE")]
    pub allow: Vec<Jurisdiction>,
    /// No longer allow keys there
    #[arg(long, value_name = "PLACE")]
    pub disallow: Vec<Jurisdiction>,
    /// The topology file that names the region
    #[arg(long, value_name = "FILE")]
    pub topology: Option<PathBuf>,
    /// Pinned name, or id
    #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
    pub tenant: String,
    /// Why, for those who approve
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

pub(crate) async fn perform(global: &Global, command: ResidencyCommand) -> Result<Report, Failure> {
    match command {
        ResidencyCommand::Show { tenant } => Ok(shown(&Subject::of(global, &tenant).await?)),
        ResidencyCommand::Set(args) => set(global, args).await,
    }
}

async fn set(global: &Global, args: SetArgs) -> Result<Report, Failure> {
    let subject = Subject::of(global, &args.tenant).await?;
    let mut next = subject.successor();
    for name in &args.leave {
        if next.regions.remove(name).is_none() {
            return Err(compose::no_region(subject.trust(), name, "--leave"));
        }
    }
    if let Some(path) = &args.topology {
        for name in &args.join {
            next.regions.insert(name.clone(), identity(path, name)?);
        }
    }
    next.residency.extend(args.allow.iter().cloned());
    next.residency.retain(|place| !args.disallow.contains(place));
    let now = subject.trust();
    if (&next.regions, &next.residency) == (&now.regions, &now.residency) {
        return Err(Failure::usage("nothing would change")
            .because("the tenant's regions and jurisdictions are these already")
            .fix("name what is to change with --join, --leave, --allow or --disallow"));
    }
    // Whoever is to leave is told so, and whoever enters is founded.
    let regions: BTreeSet<_> = now.regions.keys().chain(next.regions.keys()).cloned().collect();
    let action = Action::ChangeResidency { next: Box::new(next) };
    compose::propose(global, &subject, Wish { action, regions: Some(regions), reason: &args.reason }).await
}

fn shown(subject: &Subject) -> Report {
    let trust = subject.trust();
    let mut table = Table::new(&["region", "jurisdiction", "report key"]);
    for (name, region) in &trust.regions {
        table.row([name.to_string(), region.jurisdiction.to_string(), region.report_key.to_string()]);
    }
    let allowed = trust.residency.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let text = format!("Keys may lie in {allowed}.\n{}", table.render());
    Report::new(json!({ "residency": trust.residency, "regions": trust.regions }), text)
}

/// Who a region is, as the operators' file has it. Those who approve compare the keys with the region's own.
fn identity(path: &Path, name: &Region) -> Result<RegionIdentity, Failure> {
    let (model, _) = topology::checked(path)?;
    let part = model.regions.get(name).ok_or_else(|| {
        let known = model.regions.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Failure::usage("the topology does not say who this region is")
            .at(path.display())
            .because(format!("it has no region `{name}`; it has {known}"))
            .fix("give the operators' present file, or another region with --join")
    })?;
    Ok(RegionIdentity {
        jurisdiction: part.jurisdiction.clone(),
        report_key: PublicKey(part.report_public.0),
        hpke_key: PublicKey(part.hpke_public.0),
    })
}

#[cfg(test)]
mod tests {
    use orbital::testing::REGIONS;

    use crate::cli::{exit::Exit, tests::house::House};

    #[test]
    fn a_region_is_taken_out_and_one_that_nobody_knows_is_not_taken_in() {
        let house = House::furnished();
        let (first, _) = REGIONS[0];
        let tried =
            house.kcm(&["--dry-run", "--as", "alice", "residency", "set", "--leave", first, "--tenant", "acme"]);
        let tried = tried.unwrap();
        let said = format!("- region {first} in");
        assert!(tried.text.contains(&said) && tried.text.contains("destroys every key"), "{}", tried.text);
        let shown = house.kcm(&["residency", "show", "--tenant", "acme"]).unwrap();
        assert_eq!(shown.json["regions"].as_object().unwrap().len(), REGIONS.len());
        let set =
            |args: &[&str]| house.kcm(&[&["--as", "alice", "residency", "set", "--tenant", "acme"], args].concat());
        let absent = set(&["--leave", "ap-sydney"]).unwrap_err();
        assert!(absent.exit == Exit::Usage && absent.why.contains(first), "{absent}");
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../topology/samples/demo.toml");
        let unknown = set(&["--join", "ap-sydney", "--topology", sample]).unwrap_err();
        assert!(unknown.why.contains("it has no region `ap-sydney`"), "{unknown}");
        let nothing = set(&[]).unwrap_err();
        assert!(nothing.what.contains("nothing would change"), "{nothing}");
        // A place outside what the tenant allows, and no place at all.
        let places =
            house.world.trust().residency.iter().flat_map(|place| ["--disallow".to_owned(), place.to_string()]);
        let places: Vec<_> = places.collect();
        let outside = set(&places.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_err();
        assert!(outside.why.contains("residency"), "{outside}");
    }
}
