//! Forks: two certified successors of one trust version (PROTOCOL §3).
//!
//! A quorum that signs one successor of a version and then another has deceived somebody, or has been deceived: who holds the one knows
//! nothing of the other. So wherever both are met, every change is frozen but stops and what settles the fork. Nothing here is believed
//! before it is verified: a second successor counts only if it is certified under the very version that both follow.
//!
//! A fork ends when the people of the branch that is held here say so: a ChangeActors, certified under it, whose trust root names the other
//! successor among its [`void`](crate::trust::TrustRoot::void) versions. Nobody changes from one branch to the other: who holds the void one stays frozen.

use crate::{
    certificate::Certificate,
    chain::{Chain, Genesis},
    change::Change,
    names::Digest,
};

/// Most second successors of one tenant that are kept as evidence. It is frozen by the first; more would prove no more.
pub const FORKS_MAX: usize = 4;

/// A certified successor of a version that has another one here. It can be had from [`Fork::met`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    version: u64,
    here: Digest,
    other: Digest,
    link: Certificate,
}

impl Fork {
    /// Whether `link` is a second successor beside one of this chain's versions. `genesis` and `links` are what the chain was made of.
    pub fn met(chain: &Chain, genesis: &Genesis, links: &[Certificate], link: &Certificate) -> Option<Self> {
        let change = Change::from_bytes(&link.change).ok()?;
        let next = change.action.next()?;
        let (version, other) = (next.version, next.digest().ok()?);
        let here = chain.digest_of(version).filter(|here| *here != other)?;
        // Cheap before dear: signatures are looked at only where the rest is as in a fork.
        let before = version.checked_sub(1)?;
        if next.previous != chain.digest_of(before) {
            return None;
        }
        // A recovery that comes beside an ordinary successor was cancelled by it.
        if chain.voids(&other) || link.is_recovery() {
            return None;
        }
        certified(&chain.at(genesis, links, before)?, link).then(|| Self { version, here, other, link: link.clone() })
    }

    /// The version that there is twice.
    pub const fn version(&self) -> u64 {
        self.version
    }
    /// Digest of the successor that the chain follows.
    pub const fn here(&self) -> Digest {
        self.here
    }
    /// Digest of the second one.
    pub const fn other(&self) -> Digest {
        self.other
    }
    /// The second one's certificate: the evidence.
    pub const fn link(&self) -> &Certificate {
        &self.link
    }

    /// The chain along the other branch, as far as `links` lead. A stop that is certified there stops here, too.
    pub fn branch(
        &self,
        chain: &Chain,
        genesis: &Genesis,
        known: &[Certificate],
        links: &[Certificate],
    ) -> Option<Chain> {
        let before = chain.at(genesis, known, self.version.checked_sub(1)?)?;
        let (mut branch, _) = before.extend(&self.link).ok()?;
        for link in links {
            if let Ok((longer, _)) = branch.extend(link) {
                branch = longer;
            }
        }
        Some(branch)
    }
}

/// Verify before believing: whoever could freeze a tenant by a link that nobody certified would need no quorum for it.
#[cfg(not(mutant = "forged"))]
fn certified(before: &Chain, link: &Certificate) -> bool {
    before.extend(link).is_ok()
}
#[cfg(mutant = "forged")]
fn certified(_before: &Chain, _link: &Certificate) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{change::Action, names::System, testing::World};

    fn system(world: &World, name: &str, people: (&str, &[&str])) -> Certificate {
        let system = System::new(name).unwrap();
        let next = world.next(|root| _ = root.systems.insert(system.clone()));
        world.certificate(Action::RegisterSystem { system, next }, people.0, people.1)
    }

    fn met(world: &World, links: &[Certificate], link: &Certificate) -> Option<Fork> {
        Fork::met(world.chain(), &world.genesis(), links, link)
    }

    #[test]
    fn a_second_certified_successor_is_a_fork_at_whatever_version() {
        let mut world = World::new();
        let (mut links, mut others) = (Vec::new(), Vec::new());
        for n in 0..4 {
            let ours = system(&world, &format!("ours-{n}"), ("alice", &["bob"]));
            others.push(system(&world, &format!("other-{n}"), ("alice", &["bob"])));
            assert_eq!(met(&world, &links, &ours), None, "what comes next is no fork");
            world.extend(&ours);
            links.push(ours);
        }
        for (n, other) in others.iter().enumerate() {
            let fork = met(&world, &links, other).unwrap();
            assert_eq!(fork.version(), n as u64 + 2);
            assert_eq!(Some(fork.here()), world.chain().digest_of(fork.version()));
            assert_ne!(fork.here(), fork.other());
            assert_eq!(met(&world, &links, &links[n]), None, "our own link is none");
            let branch = fork.branch(world.chain(), &world.genesis(), &links, &[]).unwrap();
            assert_eq!((branch.version(), branch.digest()), (fork.version(), fork.other()));
        }
    }

    #[test]
    fn a_successor_that_nobody_certified_is_no_fork() {
        let mut world = World::new();
        let bare = system(&world, "other", ("alice", &[]));
        let mut forged = system(&world, "other", ("alice", &["bob"]));
        forged.approvals = system(&world, "another", ("alice", &["bob"])).approvals;
        let stop = world.kill();
        let ours = system(&world, "ours", ("alice", &["bob"]));
        world.extend(&ours);
        for link in [bare, forged, stop] {
            assert_eq!(met(&world, std::slice::from_ref(&ours), &link), None);
        }
    }

    #[test]
    fn a_void_successor_is_no_fork_any_more() {
        let mut world = World::new();
        let (ours, other) = (system(&world, "ours", ("alice", &["bob"])), system(&world, "other", ("alice", &["bob"])));
        world.extend(&ours);
        let mut links = vec![ours];
        let fork = met(&world, &links, &other).unwrap();
        let next = world.next(|root| _ = root.void.insert(fork.other()));
        let settles = world.certificate(Action::ChangeActors { next }, "erin", &["alice"]);
        world.extend(&settles);
        links.push(settles);
        assert_eq!(met(&world, &links, &other), None);
    }
}
