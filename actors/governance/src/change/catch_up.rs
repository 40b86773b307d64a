//! Catching up: what a region that fell behind, or lost its store, is owed so that it stands where it should.
//!
//! Grants are replayed in the order of their epochs, each under the trust version under which it was made: a region would refuse an older
//! certificate once it has a newer version. Runs of trust versions travel as links, cut so that each directive fits a frame.

use orbital::{
    certificate::Certificate,
    change::{Action, Change},
    directive::{Directive, LINKS_PER_DIRECTIVE_MAX, Warrant},
    names::{Digest, Region},
};

use super::directive;
use crate::tenant::{Grant, Tenant};

/// Bytes of links that travel with one certificate: half a frame, the rest is for genesis and certificate.
const LINKS_BYTES_MAX: usize = 512 * 1024;
/// What names, lengths and signatures add to a certificate's statements, at most.
const CERTIFICATE_OVERHEAD: usize = 256;

/// The links after a version, as far as they fit beside a grant's certificate. A region further behind gets the rest by reconcile.
pub(crate) fn links_after(tenant: &Tenant, version: u64) -> Vec<Certificate> {
    let mut room = Room::default();
    tenant.links.iter().skip(index_after(version)).take_while(|link| room.takes(link)).cloned().collect()
}

/// The genesis with every link and this certificate as the last one; nothing where they do not fit one directive.
pub(crate) fn whole_chain(tenant: &Tenant, certificate: &Certificate) -> Vec<Directive> {
    let links: Vec<_> = tenant.links.iter().chain([certificate]).cloned().collect();
    let provision = |links| Directive::Provision { genesis: tenant.genesis.clone(), links };
    fit(&links).then(|| provision(links)).into_iter().collect()
}

fn fit(certificates: &[Certificate]) -> bool {
    let mut room = Room::default();
    certificates.iter().all(|certificate| room.takes(certificate))
}

/// What a region is owed of a stop. One that may not have the tenant is told its end with the genesis, so that it never takes it; where the
/// chain is too long for that, as any other stop.
pub(crate) fn stops(
    tenant: &Tenant,
    region: &Region,
    version: u64,
    action: &Action,
    certificate: &Certificate,
) -> Vec<Directive> {
    let ends = matches!(action, Action::TerminateTenant {}) && !tenant.founded.contains(region);
    if ends && fit(&tenant.links) {
        let warrant = Warrant { tenant: tenant.id(), links: tenant.links.clone(), certificate: certificate.clone() };
        return vec![Directive::Annul { genesis: Box::new(tenant.genesis.clone()), warrant }];
    }
    stops_after(tenant, version, action, certificate)
}

/// A stop with every link after a version. Where they do not fit one directive there are several, oldest links first, all with the same
/// certificate: the region follows the links of each, refuses the certificate as one of a later version, and stops with the last. So a
/// stop waits for nothing in the ordinary lane, however far behind the region is (PROTOCOL §4).
fn stops_after(tenant: &Tenant, version: u64, action: &Action, certificate: &Certificate) -> Vec<Directive> {
    let stop = |links| directive(tenant.id(), action, links, certificate.clone());
    let (mut parts, mut links, mut room) = (Vec::new(), Vec::new(), Room::default());
    for link in tenant.links.iter().skip(index_after(version)) {
        if !room.takes(link) {
            parts.extend(stop(std::mem::take(&mut links)));
            room = Room::default();
            room.takes(link);
        }
        links.push(link.clone());
    }
    parts.extend(stop(links));
    parts
}

/// Where the links after a version begin: the first one makes version 2.
fn index_after(version: u64) -> usize {
    usize::try_from(version.saturating_sub(1)).unwrap_or(usize::MAX)
}

/// Counts what fits into one directive.
#[derive(Default)]
struct Room {
    links: usize,
    bytes: usize,
}

impl Room {
    fn takes(&mut self, link: &Certificate) -> bool {
        self.links += 1;
        self.bytes += bytes_of(link);
        self.links < LINKS_PER_DIRECTIVE_MAX && self.bytes <= LINKS_BYTES_MAX
    }
}

fn bytes_of(certificate: &Certificate) -> usize {
    let answers = certificate.approvals.iter().chain(&certificate.confirmations).chain([&certificate.proposal]);
    let statements: usize = answers.map(|a| a.statement.len() + CERTIFICATE_OVERHEAD).sum();
    certificate.change.len() + statements + CERTIFICATE_OVERHEAD
}

/// One region's way back, in the order of the ordinary lane.
pub(crate) struct CatchUp<'t> {
    tenant: &'t Tenant,
    region: &'t Region,
    /// The link in force, where the region needs it.
    link: Option<Digest>,
    run: Vec<&'t Grant>,
    room: Room,
    /// The region knows nothing of the tenant, and the genesis is not owed yet.
    unfounded: bool,
    owed: Vec<Directive>,
}

impl<'t> CatchUp<'t> {
    /// What a region without the tenant is owed.
    pub(crate) fn whole(tenant: &'t Tenant, region: &'t Region) -> Vec<Directive> {
        Self::of(tenant, region, true, 0, tenant.link)
    }

    /// What a region is owed that stands at `epoch`; `link` where it lacks the link in force.
    pub(crate) fn after(tenant: &'t Tenant, region: &'t Region, epoch: u64, link: Option<Digest>) -> Vec<Directive> {
        Self::of(tenant, region, false, epoch, link)
    }

    fn of(tenant: &'t Tenant, region: &'t Region, unfounded: bool, epoch: u64, link: Option<Digest>) -> Vec<Directive> {
        let mut plan =
            Self { tenant, region, link, run: Vec::new(), room: Room::default(), unfounded, owed: Vec::new() };
        for grant in tenant.grants.iter().filter(|g| g.change.epoch > epoch) {
            plan.take(grant);
        }
        plan.cut();
        if plan.unfounded {
            plan.provision();
        }
        plan.owed
    }

    fn take(&mut self, grant: &'t Grant) {
        match &grant.change.action {
            action if action.next().is_some() => {
                if !self.room.takes(&grant.certificate) {
                    self.cut();
                    self.room.takes(&grant.certificate);
                }
                self.run.push(grant);
            }
            Action::LinkL1 { .. } if self.link != Some(grant.digest) => {}
            action => {
                if grant.change.regions.contains(self.region) {
                    self.cut();
                    if self.unfounded {
                        self.provision();
                    }
                    self.owed.extend(directive(self.tenant.id(), action, Vec::new(), grant.certificate.clone()));
                }
            }
        }
    }

    /// Ends a run of trust versions: with the genesis if that is still owed, else as the last one with the others as its links.
    fn cut(&mut self) {
        self.room = Room::default();
        let run = std::mem::take(&mut self.run);
        let Some((last, before)) = run.split_last() else { return };
        if self.unfounded {
            self.unfounded = false;
            let links = run.iter().map(|g| g.certificate.clone()).collect();
            self.owed.push(Directive::Provision { genesis: self.tenant.genesis.clone(), links });
            return;
        }
        let links = before.iter().map(|g| g.certificate.clone()).collect();
        self.owed.extend(directive(self.tenant.id(), &last.change.action, links, last.certificate.clone()));
    }

    fn provision(&mut self) {
        self.unfounded = false;
        self.owed.push(Directive::Provision { genesis: self.tenant.genesis.clone(), links: Vec::new() });
    }
}

/// The change that a directive carries, where it carries one.
pub(crate) fn carried(directive: &Directive) -> Option<Digest> {
    match directive {
        Directive::Probe { change, .. } => Some(Change::digest_of(change)),
        other => other.warrant().map(|warrant| Change::digest_of(&warrant.certificate.change)),
    }
}
