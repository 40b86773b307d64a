//! Proofs: the certificates of what stands here. They decide nothing in this region: a governance that was put back from a backup asks for
//! what it has forgotten, and believes what it can verify (PROTOCOL §6).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use orbital::{certificate::Certificate, change::Change, names::Digest};

use super::Standing;

/// Most stops and changes that lift them whose certificates are kept of one tenant; beyond it the oldest go.
pub const PROOFS_MAX: usize = 256;
/// Most certificates that one question is answered with: whoever lacks more asks again.
pub const RECALLED_MAX: usize = 32;

/// By the version that it was made under, then by epoch: the link that ends a version is the last of it. Then the change's own name.
type Place = (u64, u64, Digest);

/// Certificates in the order in which they came into force, at most [`PROOFS_MAX`]. A standing is copied for each decision, so these are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Proofs(BTreeMap<Place, Arc<Certificate>>);

impl Proofs {
    pub(super) fn insert(&mut self, certificate: &Certificate) {
        self.0.insert(place(certificate), Arc::new(certificate.clone()));
        self.trim();
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.0.extend(other.0.iter().map(|(place, proof)| (*place, Arc::clone(proof))));
        self.trim();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.0.values().map(AsRef::as_ref)
    }

    fn trim(&mut self) {
        while self.0.len() > PROOFS_MAX {
            self.0.pop_first();
        }
    }
}

impl Standing {
    /// This standing with the proofs of another, and nothing else of it.
    pub(crate) fn with_proofs_of(&self, other: &Self) -> Self {
        let mut kept = self.clone();
        kept.proofs.join(&other.proofs);
        kept
    }

    pub(crate) fn proofs(&self) -> impl Iterator<Item = &Certificate> {
        self.proofs.iter()
    }

    /// What somebody lacks who has this version of the trust root and these stops and grants, in the order in which it came into force: each
    /// is certified under what stands before it. At most [`RECALLED_MAX`].
    pub(crate) fn recalled(&self, version: u64, known: &BTreeSet<Digest>) -> Vec<Certificate> {
        // The first link makes version 2.
        let after = usize::try_from(version.saturating_sub(1)).unwrap_or(usize::MAX);
        let link = self.linked.as_ref().and_then(|linked| linked.certificate.as_ref());
        let rest = self.proofs.iter().chain(link);
        let rest = rest.filter(|proof| !known.contains(&Change::digest_of(&proof.change)));
        let mut told: Vec<_> = self.links.iter().skip(after).chain(rest).collect();
        told.sort_by_cached_key(|certificate| place(certificate));
        told.into_iter().take(RECALLED_MAX).cloned().collect()
    }
}

fn place(certificate: &Certificate) -> Place {
    let made = Change::from_bytes(&certificate.change).map_or((0, 0), |change| (change.trust_version, change.epoch));
    (made.0, made.1, Change::digest_of(&certificate.change))
}

/// A stored standing with these proofs besides, and nothing else changed.
pub(crate) fn kept_in<'a>(head: &[u8], proofs: impl Iterator<Item = &'a Certificate>) -> Option<Vec<u8>> {
    let mut stored: super::Stored = serde_json::from_slice(head).ok()?;
    for proof in proofs {
        if !stored.proofs.contains(proof) {
            stored.proofs.push(proof.clone());
        }
    }
    serde_json::to_vec(&stored).ok()
}

#[cfg(test)]
mod tests {
    use orbital::{
        certificate::Certificate,
        change::Action,
        directive::Directive,
        names::System,
        testing::{NOW, World},
    };

    use super::{
        super::tests::{founded, here},
        *,
    };
    use crate::standing::Judged;

    fn applied(world: &World, standing: &Standing, directive: &Directive) -> Standing {
        let Judged { next, .. } = standing.step(directive, &here(world), NOW).unwrap();
        // As it is made durable, and read again.
        Standing::from_bytes(&standing.joined(&next).to_bytes().unwrap(), &here(world)).unwrap()
    }
    fn another_version(world: &mut World, standing: &Standing, name: &str) -> (Standing, Certificate) {
        let system = System::new(name).unwrap();
        let next = world.next(|root| _ = root.systems.insert(system.clone()));
        let link = world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]);
        let next = applied(world, standing, &Directive::Trust(world.warrant(link.clone())));
        world.extend(&link);
        world.epoch += 1;
        (next, link)
    }

    #[test]
    fn what_somebody_lacks_is_told_in_the_order_in_which_it_came_into_force() {
        let mut world = World::new();
        let first = world.link("first");
        let standing = applied(&world, &founded(&world), &Directive::Link(world.warrant(first)));
        world.epoch += 1;
        let second = world.link("second");
        let standing = applied(&world, &standing, &Directive::Link(world.warrant(second.clone())));
        world.epoch += 1;
        let (standing, two) = another_version(&mut world, &standing, "two");
        let kill = world.kill();
        let standing = applied(&world, &standing, &Directive::Kill(world.warrant(kill.clone())));
        let killed = Change::digest_of(&kill.change);
        let restore = world.restore([killed]);
        let standing = applied(&world, &standing, &Directive::Restore(world.warrant(restore.clone())));
        world.epoch += 1;
        let (standing, three) = another_version(&mut world, &standing, "three");

        let told = |version, known: &[Digest]| standing.recalled(version, &known.iter().copied().collect());
        let all = told(1, &[]);
        assert_eq!(all.len(), 5, "the link that was replaced is not told");
        assert_eq!(all[..2], [second.clone(), two], "what was made under version 1, then the link that ends it");
        assert!(all[2..4].contains(&kill) && all[2..4].contains(&restore) && all[4] == three);
        assert_eq!(told(2, &[Change::digest_of(&second.change), killed]), [restore.clone(), three.clone()]);
        assert_eq!(told(3, &all.iter().map(|told| Change::digest_of(&told.change)).collect::<Vec<_>>()), []);
        // Under what stands before it each of them holds, for whoever has the genesis alone.
        let mut chain = world.genesis().found().unwrap();
        for certificate in &all {
            orbital::certificate::certify(certificate, &chain, 0).unwrap();
            chain = chain.extend(certificate).map_or(chain, |(longer, _)| longer);
        }
        assert_eq!(chain.version(), 3);
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many_and_one_answer_has_so_many_and_no_more() {
        let mut world = World::new();
        let mut standing = founded(&world);
        let mut first = None;
        for n in 0..=PROOFS_MAX {
            world.epoch = u64::try_from(n).unwrap() + 1;
            let kill = world.kill();
            first.get_or_insert_with(|| kill.clone());
            standing.proofs.insert(&kill);
        }
        assert_eq!(standing.proofs().count(), PROOFS_MAX);
        assert!(standing.proofs().all(|proof| Some(proof) != first.as_ref()));
        let told = standing.recalled(1, &BTreeSet::new());
        assert_eq!(told.len(), RECALLED_MAX);
        let known = told.iter().map(|told| Change::digest_of(&told.change)).collect();
        assert!(standing.recalled(1, &known).iter().all(|next| !told.contains(next)), "the next answer goes on");
    }
}
