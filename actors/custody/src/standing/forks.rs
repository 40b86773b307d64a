//! What two certified successors of one trust version do to a tenant here (PROTOCOL §3, [`orbital::fork`]).
//!
//! No change is taken but stops and the ChangeActors that settles it. What changes nothing goes on: keys that are held serve, leases are
//! renewed for the head that stood when the fork was met, an L1 may be probed. A lease ends the serving of whoever holds the void branch:
//! its signer, who holds the other, names another head.

use orbital::{
    certificate::Certificate,
    change::Change,
    directive::Warrant,
    fork::{FORKS_MAX, Fork},
};

use super::{Chain, Refusal, Standing};

/// What is told of a fork.
pub(super) fn refusal(fork: &Fork) -> Refusal {
    Refusal::Forked { before: fork.version().saturating_sub(1), here: fork.here(), other: fork.other() }
}

impl Standing {
    /// Forks that nothing has settled yet.
    pub fn forks(&self) -> &[Fork] {
        &self.forks
    }

    /// Two certified successors of one version are known here.
    pub fn is_forked(&self) -> bool {
        !self.forks.is_empty()
    }

    /// Each fork's two successors: what proves it to anyone.
    pub fn branches(&self) -> impl Iterator<Item = &Certificate> {
        let own =
            |fork: &Fork| usize::try_from(fork.version().saturating_sub(2)).ok().and_then(|at| self.links.get(at));
        self.forks.iter().flat_map(move |fork| own(fork).into_iter().chain([fork.link()]))
    }

    pub(super) fn met(&self, link: &Certificate) -> Option<Fork> {
        Fork::met(&self.chain, &self.genesis, &self.links, link)
    }

    /// Keeps the evidence, if it is one. True where it is new.
    pub(super) fn meet(&mut self, link: &Certificate) -> bool {
        let known = self.forks.len();
        if let Some(fork) = self.met(link) {
            self.keep(fork);
        }
        self.forks.len() > known
    }

    pub(super) fn keep(&mut self, fork: Fork) {
        let known = self.forks.iter().any(|known| known.other() == fork.other());
        if !known && !self.chain.voids(&fork.other()) && self.forks.len() < FORKS_MAX {
            self.forks.push(fork);
        }
    }

    /// Forgets what the current version declares void.
    pub(super) fn settle(&mut self) {
        let chain = &self.chain;
        self.forks.retain(|fork| !chain.voids(&fork.other()));
    }

    /// No grant leads to a standing that is forked still.
    pub(super) fn check_unforked(&self) -> Result<(), Refusal> {
        self.forks.first().map_or(Ok(()), |fork| Err(refusal(fork)))
    }

    /// With what a warrant's links, and its certificate, show of a fork; none where that is nothing new.
    #[must_use]
    pub(crate) fn frozen_by(&self, warrant: &Warrant, now: u64) -> Option<Self> {
        let (next, met) = self.as_far(warrant, now);
        met.then_some(next)
    }

    /// As far as a warrant's links lead, forks or not, and whether they show a new one. Links that lead on before a fork are followed: of two
    /// successors in one warrant the first is ours.
    pub(super) fn as_far(&self, warrant: &Warrant, now: u64) -> (Self, bool) {
        let (mut next, mut met) = (self.clone(), false);
        for link in &warrant.links {
            match next.clone().follow(std::slice::from_ref(link), Some(now)) {
                Ok(followed) => next = followed,
                Err(Refusal::Forked { .. }) => met |= next.meet(link),
                Err(_) => break,
            }
        }
        met |= next.meet(&warrant.certificate);
        (next, met)
    }

    /// Whether a warrant has a link that is none of ours though we have its version: cheap, and all that most stops are asked.
    pub(crate) fn is_doubtful(&self, warrant: &Warrant) -> bool {
        let version =
            |link: &Certificate| Change::from_bytes(&link.change).ok()?.action.next().map(|next| next.version);
        let unknown = |link: &&Certificate| !self.has_link(link);
        warrant.links.iter().filter(unknown).any(|link| version(link).is_some_and(|v| v <= self.chain.version()))
    }

    /// The other branch, as far as a warrant's links lead: a stop that is certified there stops here, too.
    pub(crate) fn branch(&self, warrant: &Warrant) -> Option<Chain> {
        let fork = warrant.links.iter().find_map(|link| self.met(link))?;
        fork.branch(&self.chain, &self.genesis, &self.links, &warrant.links)
    }

    /// This standing with the stops of another: while it is forked, a stop brings no link.
    pub(crate) fn with_stops_of(&self, other: &Self) -> Self {
        let mut kept = self.clone();
        other.halts.iter().for_each(|(halt, name)| kept.know(halt, name));
        kept.for_good |= other.for_good;
        kept.with_proofs_of(other)
    }
}
