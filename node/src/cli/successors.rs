//! What a key file has signed as the next version of a tenant's trust: one successor a version (PROTOCOL §3).
//!
//! A signature under a next version never expires: who has collected enough of them can bring it into force later, though the proposal was
//! withdrawn, rejected or void by what governance says. So a key that signs two successors of one version helps to fork the trust. The
//! record lies beside the key file and is durable before the signature exists; a second successor takes `--besides` with the name of the
//! first, by which the signer says that the first is known to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use orbital::{change::Action, names::Digest};
use serde::{Deserialize, Serialize};

use super::{context::Identity, exit::Failure};
use crate::durable;

/// Most versions that one record holds: many thousand changes. A key that has signed more is replaced by another.
const VERSIONS_MAX: usize = 16_384;

/// Successors that were signed, by the version that they follow.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    signed: BTreeMap<Digest, BTreeSet<Digest>>,
}

/// The record of a key file.
fn place(identity: &Identity) -> PathBuf {
    let mut name = identity.place.as_os_str().to_owned();
    name.push(".successors.json");
    name.into()
}

/// Writes down that this key signs what `action` makes of the trust, before it does; refuses a second successor that is not named.
pub(crate) fn sign(identity: &Identity, action: &Action, besides: &[Digest]) -> Result<(), Failure> {
    let Some(next) = action.next() else { return Ok(()) };
    let unsignable = super::compose::unsignable;
    let (Some(previous), successor) = (next.previous, next.digest().map_err(unsignable)?) else { return Ok(()) };
    let place = place(identity);
    // Two commands at once must not both find the version free.
    let lock = lock(&place)?;
    let mut record = read(&place)?;
    let mut others = record.signed.get(&previous).into_iter().flatten();
    if let Some(first) = others.find(|one| **one != successor && !besides.contains(one)) {
        return Err(second(identity, next.version, *first));
    }
    if record.signed.entry(previous).or_default().insert(successor) {
        write(&place, &record)?;
    }
    drop(lock);
    Ok(())
}

fn second(identity: &Identity, version: u64, first: Digest) -> Failure {
    Failure::denied(format!("{} has signed another trust version {version} before: {first}", identity.person))
        .at(place(identity).display())
        .because(
            "that signature does not expire, whatever became of its proposal: if both versions find a quorum, the tenant is frozen in every \
             region that meets both",
        )
        .fix(format!(
            "make the change anew once the first is in force, or, where you know that it can find no quorum any more, add --besides {first}"
        ))
}

fn failed(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::usage("the record of what this key has signed cannot be kept").at(path.display()).because(why).fix(
        "without it nothing is signed: let this user write beside the key file, and put back a record that was lost",
    )
}

/// Held until it is dropped, and left behind: an empty file that says nothing.
fn lock(path: &Path) -> Result<fs::File, Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&name);
    let file = file.map_err(|why| failed(&name, why))?;
    file.lock().map_err(|why| failed(&name, why))?;
    Ok(file)
}

fn read(path: &Path) -> Result<Record, Failure> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Record { format: 1, ..Record::default() }),
        Err(why) => return Err(failed(path, why)),
    };
    let record: Record = serde_json::from_slice(&bytes).map_err(|why| failed(path, why))?;
    match record.format {
        1 => Ok(record),
        other => Err(failed(path, format!("it is of format {other}, this release knows format 1"))),
    }
}

fn write(path: &Path, record: &Record) -> Result<(), Failure> {
    if record.signed.len() > VERSIONS_MAX {
        return Err(failed(path, format!("it holds more than {VERSIONS_MAX} versions: enrol another key")));
    }
    let bytes = serde_json::to_vec(record).map_err(|why| failed(path, why))?;
    durable::replace(path, &bytes).map_err(|why| failed(path, why))
}

#[cfg(test)]
mod tests {
    use orbital::{
        names::System,
        testing::{World, person},
    };

    use super::*;

    fn register(world: &World, name: &str) -> Action {
        let system = System::new(name).unwrap();
        let next = world.next(|root| _ = root.systems.insert(system.clone()));
        Action::RegisterSystem { system, next }
    }
    fn digest(action: &Action) -> Digest {
        action.next().unwrap().digest().unwrap()
    }

    #[test]
    fn a_key_signs_one_successor_of_a_version_until_it_names_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new();
        let secret = orbital::testing::secret("test/acme", "alice");
        let identity = Identity { person: person("alice"), secret, place: folder.path().join("alice.key") };
        let [first, second, third] = ["a", "b", "c"].map(|name| register(&world, name));
        sign(&identity, &first, &[]).unwrap();
        sign(&identity, &first, &[]).unwrap();
        let refused = sign(&identity, &second, &[]).unwrap_err();
        assert!(refused.to_string().contains(&format!("--besides {}", digest(&first))), "{refused}");
        sign(&identity, &second, &[digest(&third)]).unwrap_err();
        sign(&identity, &second, &[digest(&first)]).unwrap();
        sign(&identity, &third, &[digest(&first)]).unwrap_err();
        sign(&identity, &third, &[digest(&first), digest(&second)]).unwrap();
        // A stop makes no version, and what follows another version is a first one.
        sign(&identity, &Action::RevokeL1 {}, &[]).unwrap();
        let certificate = world.certificate(first, "alice", &["bob"]);
        world.extend(&certificate);
        sign(&identity, &register(&world, "d"), &[]).unwrap();
        // A record that does not read is no permission.
        fs::write(place(&identity), "{").unwrap();
        sign(&identity, &register(&world, "d"), &[]).unwrap_err();
    }
}
