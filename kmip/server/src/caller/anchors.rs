//! The anchors of every tenant, as one snapshot that a handshake reads without a lock.
//!
//! An anchor that several tenants name is in force for the one that held it first here, by the durable turn of its claim; the others'
//! clients are refused by it, and the fault says so. A chain that anchors of several tenants verify (one names another's issuing CA, or
//! one of its leaves) belongs to the earliest of those claims. Claims of the same turn, or of none, are nobody's.

use std::collections::{BTreeMap, HashMap};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use orbital::names::{Digest, System, TenantId};
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use std::sync::Arc;
use webpki::{EndEntityCert, KeyUsage};

use super::{Caller, NotACaller, certificate};

/// Most certificates of a chain, the client's own included.
pub const CHAIN_CERTIFICATES_MAX: usize = 8;

/// What vouches for a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Anchor {
    /// A client CA: its certificate, DER.
    Ca(Vec<u8>),
    /// One client certificate: SHA-256 of its DER.
    Fingerprint(Digest),
}

impl Anchor {
    /// What the anchor is known by, whatever names it: a CA by the digest of its public key, so that it stays the same CA when its
    /// certificate is renewed; a certificate that cannot be read by that of its bytes.
    pub fn id(&self) -> Digest {
        match self {
            Self::Ca(der) => authority(der).map_or_else(|_| sha256(der), |(_, key)| key),
            Self::Fingerprint(fingerprint) => *fingerprint,
        }
    }
}

/// The turn of a claim that is not durable yet: behind every one that is.
pub const NOT_YET: u64 = u64::MAX;

/// An anchor, and the system that its clients use. From the tenant's trust root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerRule {
    pub anchor: Anchor,
    pub system: System,
    /// Narrows the anchor to certificates with this SAN URI, SAN DNS name or CN.
    pub name: Option<System>,
    /// The turn in which the anchor became durable here for this tenant: the lowest one holds it. [`NOT_YET`] where it is not.
    pub turn: u64,
}

/// An anchor that is not in force, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorFault {
    #[error("tenant {tenant}: a client CA certificate cannot be read ({why}); its clients are refused")]
    Unreadable { tenant: TenantId, why: String },
    #[error("tenants {one} and {other} both name the anchor {anchor}; its clients are refused until only one does")]
    Contested { one: TenantId, other: TenantId, anchor: Digest },
    #[error(
        "tenant {tenant} names the anchor {anchor}, which tenant {holder} held here before: it stays {holder}'s. \
         Take it out of {tenant}'s trust root (`kcm caller remove`), and let its clients have a CA of their own"
    )]
    Held { tenant: TenantId, holder: TenantId, anchor: Digest },
}

/// One way to a system: present the name, or none is asked.
#[derive(Clone, Debug)]
struct Way {
    system: System,
    name: Option<System>,
}

#[derive(Debug)]
struct Authority {
    anchor: TrustAnchor<'static>,
    tenant: TenantId,
    turn: u64,
    ways: Vec<Way>,
}

#[derive(Debug)]
struct Pinned {
    tenant: TenantId,
    turn: u64,
    ways: Vec<Way>,
}

/// Who named an anchor first.
#[derive(Clone, Copy, Debug)]
struct Holder {
    tenant: TenantId,
    turn: u64,
}

/// A tenant that some anchor of its own says the chain belongs to.
struct Claim<'a> {
    tenant: TenantId,
    turn: u64,
    ways: &'a [Way],
    /// By the certificate's own fingerprint: nobody has looked at its dates and its purpose.
    alone: bool,
}

/// A snapshot of the anchors of all tenants.
#[derive(Debug, Default)]
pub struct Anchors {
    authorities: Vec<Authority>,
    /// Authorities by the DER of their subject: a chain is tried against those that its issuers name, whatever the number of tenants.
    by_subject: HashMap<Vec<u8>, Vec<usize>>,
    pinned: HashMap<Digest, Vec<Pinned>>,
    faults: Vec<AnchorFault>,
}

impl Anchors {
    /// Builds the snapshot. An anchor with a fault is left out, or refuses its clients; the faults say which.
    pub fn of<'a>(rules: impl IntoIterator<Item = (&'a TenantId, &'a [CallerRule])>) -> (Self, Vec<AnchorFault>) {
        let each = rules.into_iter().flat_map(|(tenant, rules)| rules.iter().map(move |rule| (*tenant, rule)));
        let each: Vec<_> = each.map(|(tenant, rule)| (tenant, rule, rule.anchor.id())).collect();
        let mut holders: HashMap<Digest, Holder> = HashMap::new();
        for (tenant, rule, id) in &each {
            let claim = Holder { tenant: *tenant, turn: rule.turn };
            let holder = holders.entry(*id).or_insert(claim);
            if claim.turn < holder.turn {
                *holder = claim;
            }
        }
        let (mut anchors, mut faults) = (Self::default(), vec![]);
        for (tenant, rule, id) in each {
            let other = holders.get(&id).filter(|holder| holder.tenant != tenant);
            match other {
                Some(holder) if holder.turn < rule.turn => {
                    faults.push(AnchorFault::Held { tenant, holder: holder.tenant, anchor: id });
                    continue;
                }
                Some(holder) => faults.push(AnchorFault::Contested { one: holder.tenant, other: tenant, anchor: id }),
                None => {}
            }
            if let Err(fault) = anchors.add(tenant, rule) {
                faults.push(fault);
            }
        }
        // Several rules of one anchor stand side by side.
        faults.dedup();
        anchors.faults.clone_from(&faults);
        (anchors, faults)
    }

    /// The anchors that are not in force.
    pub fn faults(&self) -> &[AnchorFault] {
        &self.faults
    }

    fn add(&mut self, tenant: TenantId, rule: &CallerRule) -> Result<(), AnchorFault> {
        let (way, turn) = (Way { system: rule.system.clone(), name: rule.name.clone() }, rule.turn);
        match &rule.anchor {
            Anchor::Fingerprint(fingerprint) => {
                let holders = self.pinned.entry(*fingerprint).or_default();
                match holders.iter_mut().find(|pinned| pinned.tenant == tenant) {
                    Some(pinned) => pinned.ways.push(way),
                    None => holders.push(Pinned { tenant, turn, ways: vec![way] }),
                }
            }
            Anchor::Ca(der) => {
                let (anchor, _) = authority(der).map_err(|why| AnchorFault::Unreadable { tenant, why })?;
                let named = self.by_subject.entry(anchor.subject.as_ref().to_vec()).or_default();
                let same = |at: &&usize| {
                    let held = self.authorities.get(**at);
                    held.is_some_and(|held| held.anchor == anchor && held.tenant == tenant)
                };
                match named.iter().find(same).and_then(|at| self.authorities.get_mut(*at)) {
                    Some(held) => held.ways.push(way),
                    None => {
                        named.push(self.authorities.len());
                        self.authorities.push(Authority { anchor, tenant, turn, ways: vec![way] });
                    }
                }
            }
        }
        Ok(())
    }

    /// Who the owner of this chain (its own certificate first) is at `now`.
    ///
    /// Possession of the private key is TLS' to prove; the rest is here: an anchor verifies the chain, its dates and its purpose, no other
    /// tenant has an earlier claim to it, and the names lead to one system.
    pub fn identify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Caller, NotACaller> {
        let (leaf, intermediates) = chain.split_first().ok_or(NotACaller::NoCertificate)?;
        if chain.len() > CHAIN_CERTIFICATES_MAX {
            return Err(NotACaller::ChainTooLong(chain.len()));
        }
        let fingerprint = sha256(leaf);
        let pinned = self.pinned.get(&fingerprint).map_or(&[][..], Vec::as_slice);
        let (verified, failure) = self.verifying(leaf, intermediates, now);
        let claims = joined(pinned, verified);
        let first = claims.iter().map(|claim| claim.turn).min().ok_or(failure)?;
        let mut foremost = claims.iter().filter(|claim| claim.turn == first);
        let (Some(claim), None) = (foremost.next(), foremost.next()) else { return Err(NotACaller::Contested) };
        if claim.alone {
            certificate::check_alone(leaf, now)?;
        }
        let way = choose(claim.ways, leaf)?;
        let label = way.name.as_ref().map_or_else(|| fingerprint.to_string(), ToString::to_string);
        Ok(Caller::found(claim.tenant, way.system.clone(), label.into(), fingerprint))
    }

    /// The tenants of which some authority verifies the chain, and why none does where none does. Each tenant's authorities are tried by
    /// themselves, so that one which stands between a client and another tenant's root cannot hide that root's claim.
    fn verifying(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> (Vec<Claim<'_>>, NotACaller) {
        let own = match EndEntityCert::try_from(leaf) {
            Ok(own) => own,
            Err(error) => return (Vec::new(), NotACaller::Unreadable(error.to_string())),
        };
        let (mut claims, mut failure) = (Vec::new(), NotACaller::UnknownIssuer);
        for (tenant, candidates) in self.candidates(&own, intermediates) {
            let anchors: Vec<TrustAnchor<'_>> = candidates.iter().map(|authority| authority.anchor.clone()).collect();
            let path =
                own.verify_for_usage(algorithms(), &anchors, intermediates, now, KeyUsage::client_auth(), None, None);
            match vouching(path.map(|path| path.anchor().clone()), &candidates) {
                Err(error) => failure = reason(&error),
                Ok(authority) => claims.extend(authority.map(|held| {
                    let (turn, ways) = (held.turn, held.ways.as_slice());
                    Claim { tenant, turn, ways, alone: false }
                })),
            }
        }
        (claims, failure)
    }

    /// The authorities that some certificate of the chain names as issuer, by tenant.
    fn candidates(
        &self,
        own: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> BTreeMap<TenantId, Vec<&Authority>> {
        let mut issuers = vec![own.issuer().to_vec()];
        for certificate in intermediates {
            issuers.extend(EndEntityCert::try_from(certificate).ok().map(|certificate| certificate.issuer().to_vec()));
        }
        issuers.sort_unstable();
        issuers.dedup();
        let mut candidates: BTreeMap<TenantId, Vec<&Authority>> = BTreeMap::new();
        for authority in issuers
            .iter()
            .filter_map(|issuer| self.by_subject.get(issuer))
            .flatten()
            .filter_map(|&index| self.authorities.get(index))
        {
            candidates.entry(authority.tenant).or_default().push(authority);
        }
        candidates
    }
}

/// The authority that verified the chain: its key decides, not its name (PROTOCOL §8).
#[cfg(not(mutant = "tenant_anchor"))]
fn vouching<'a>(
    verified: Result<TrustAnchor<'_>, webpki::Error>,
    candidates: &[&'a Authority],
) -> Result<Option<&'a Authority>, webpki::Error> {
    let anchor = verified?;
    Ok(candidates.iter().find(|authority| authority.anchor == anchor).copied())
}
#[cfg(mutant = "tenant_anchor")]
fn vouching<'a>(
    _verified: Result<TrustAnchor<'_>, webpki::Error>,
    candidates: &[&'a Authority],
) -> Result<Option<&'a Authority>, webpki::Error> {
    Ok(candidates.first().copied())
}

/// One claim a tenant: within it the fingerprint goes before the authority, and the earlier of both turns counts.
fn joined<'a>(pinned: &'a [Pinned], mut claims: Vec<Claim<'a>>) -> Vec<Claim<'a>> {
    for Pinned { tenant, turn, ways } in pinned {
        match claims.iter_mut().find(|claim| claim.tenant == *tenant) {
            Some(claim) => *claim = Claim { turn: claim.turn.min(*turn), ways, alone: true, ..*claim },
            None => claims.push(Claim { tenant: *tenant, turn: *turn, ways, alone: true }),
        }
    }
    claims
}

/// The one way that the certificate's names open.
fn choose<'a>(ways: &'a [Way], leaf: &CertificateDer<'_>) -> Result<&'a Way, NotACaller> {
    if let Some(way) = ways.iter().find(|way| way.name.is_none()) {
        return Ok(way);
    }
    let names = certificate::names(leaf)?;
    let fits = |way: &&Way| way.name.as_ref().is_some_and(|name| names.iter().any(|found| found == name.as_str()));
    let mut fitting = ways.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(way), None) => Ok(way),
        (None, _) => Err(NotACaller::NameMissing),
        (Some(_), Some(_)) => Err(NotACaller::NamesContradict),
    }
}

fn authority(der: &[u8]) -> Result<(TrustAnchor<'static>, Digest), String> {
    let der = CertificateDer::from(der);
    let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|error| error.to_string())?.to_owned();
    let key = sha256(&anchor.subject_public_key_info);
    Ok((anchor, key))
}

fn algorithms() -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    webpki::ALL_VERIFICATION_ALGS
}

fn reason(error: &webpki::Error) -> NotACaller {
    match error {
        webpki::Error::UnknownIssuer => NotACaller::UnknownIssuer,
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => NotACaller::Expired,
        webpki::Error::RequiredEkuNotFoundContext(_) => NotACaller::NotForClients,
        other => NotACaller::Invalid(other.to_string()),
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Digest {
    let hash = digest::digest(&digest::SHA256, bytes);
    Digest(<[u8; 32]>::try_from(hash.as_ref()).unwrap_or_default())
}

/// The anchors in force, changed by the region when a tenant's trust root changes.
#[derive(Debug, Default)]
pub struct AnchorTable {
    current: ArcSwap<Anchors>,
    rules: Mutex<BTreeMap<TenantId, Vec<CallerRule>>>,
}

impl AnchorTable {
    /// Sets a tenant's rules, in place of what it had. The caller then closes the tenant's connections.
    /// Answers every fault of the table: those of other tenants too, since a contested anchor has two sides.
    pub fn set(&self, tenant: TenantId, rules: Vec<CallerRule>) -> Vec<AnchorFault> {
        self.change(|all| {
            all.insert(tenant, rules);
        })
    }

    /// Forgets a tenant.
    pub fn remove(&self, tenant: &TenantId) -> Vec<AnchorFault> {
        self.change(|all| {
            all.remove(tenant);
        })
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<TenantId, Vec<CallerRule>>)) -> Vec<AnchorFault> {
        let mut rules = self.rules.lock();
        change(&mut rules);
        let (anchors, faults) = Anchors::of(rules.iter().map(|(tenant, rules)| (tenant, rules.as_slice())));
        self.current.store(Arc::new(anchors));
        for fault in &faults {
            tracing::warn!(%fault, "a KMIP client anchor is not in force");
        }
        faults
    }

    /// The snapshot in force.
    pub fn current(&self) -> Arc<Anchors> {
        self.current.load_full()
    }
}
