//! The anchors of every tenant, as one snapshot that a handshake reads without a lock.

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

/// An anchor, and the system that its clients use. From the tenant's trust root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerRule {
    pub anchor: Anchor,
    pub system: System,
    /// Narrows the anchor to certificates with this SAN URI, SAN DNS name or CN.
    pub name: Option<System>,
}

/// An anchor that is not in force, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorFault {
    #[error("tenant {tenant}: a client CA certificate cannot be read ({why}); its clients are refused")]
    Unreadable { tenant: TenantId, why: String },
    #[error("tenants {one} and {other} both name the anchor {anchor}; its clients are refused until only one does")]
    Contested { one: TenantId, other: TenantId, anchor: Digest },
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
    /// SHA-256 of the SPKI.
    key: Digest,
    tenant: TenantId,
    ways: Vec<Way>,
}

#[derive(Debug)]
struct Pinned {
    tenant: TenantId,
    ways: Vec<Way>,
}

/// A snapshot of the anchors of all tenants.
#[derive(Debug, Default)]
pub struct Anchors {
    authorities: Vec<Authority>,
    /// Authorities by the DER of their subject: a chain is tried against those that its issuers name, whatever the number of tenants.
    by_subject: HashMap<Vec<u8>, Vec<usize>>,
    pinned: HashMap<Digest, Vec<Pinned>>,
}

impl Anchors {
    /// Builds the snapshot. Anchors with a fault are left out, or refuse their clients; the faults say which.
    pub fn of<'a>(rules: impl IntoIterator<Item = (&'a TenantId, &'a [CallerRule])>) -> (Self, Vec<AnchorFault>) {
        let (mut anchors, mut faults) = (Self::default(), vec![]);
        for (tenant, rules) in rules {
            for rule in rules {
                if let Err(fault) = anchors.add(*tenant, rule) {
                    faults.push(fault);
                }
            }
        }
        (anchors, faults)
    }

    fn add(&mut self, tenant: TenantId, rule: &CallerRule) -> Result<(), AnchorFault> {
        let way = Way { system: rule.system.clone(), name: rule.name.clone() };
        match &rule.anchor {
            Anchor::Fingerprint(fingerprint) => {
                let holders = self.pinned.entry(*fingerprint).or_default();
                let other = holders.iter().map(|pinned| pinned.tenant).find(|&holder| holder != tenant);
                match holders.iter_mut().find(|pinned| pinned.tenant == tenant) {
                    Some(pinned) => pinned.ways.push(way),
                    None => holders.push(Pinned { tenant, ways: vec![way] }),
                }
                contested(tenant, other, *fingerprint)
            }
            Anchor::Ca(der) => {
                let (anchor, key) = authority(der).map_err(|why| AnchorFault::Unreadable { tenant, why })?;
                let other = self.authorities.iter().find(|held| held.key == key && held.tenant != tenant);
                let other = other.map(|held| held.tenant);
                let mut held = self.authorities.iter_mut();
                match held.find(|held| held.anchor == anchor && held.tenant == tenant) {
                    Some(held) => held.ways.push(way),
                    None => {
                        self.by_subject
                            .entry(anchor.subject.as_ref().to_vec())
                            .or_default()
                            .push(self.authorities.len());
                        self.authorities.push(Authority { anchor, key, tenant, ways: vec![way] });
                    }
                }
                contested(tenant, other, key)
            }
        }
    }

    /// Who the owner of this chain (its own certificate first) is at `now`.
    ///
    /// Possession of the private key is TLS' to prove; the rest is here: one tenant's anchor verifies the chain, its dates and its
    /// purpose, and the names lead to one system.
    pub fn identify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Caller, NotACaller> {
        let (leaf, intermediates) = chain.split_first().ok_or(NotACaller::NoCertificate)?;
        if chain.len() > CHAIN_CERTIFICATES_MAX {
            return Err(NotACaller::ChainTooLong(chain.len()));
        }
        let fingerprint = sha256(leaf);
        let pinned = self.pinned.get(&fingerprint).map_or(&[][..], Vec::as_slice);
        let verified = self.verifying(leaf, intermediates, now);
        let found = match (pinned, verified) {
            ([], found) => found?,
            ([pinned], Ok(found)) if found.0 != pinned.tenant => return Err(NotACaller::Contested),
            ([_], Err(NotACaller::Contested)) | ([_, _, ..], _) => return Err(NotACaller::Contested),
            ([pinned], _) => {
                certificate::check_alone(leaf, now)?;
                (pinned.tenant, pinned.ways.as_slice())
            }
        };
        let (tenant, ways) = found;
        let way = choose(ways, leaf)?;
        let label = way.name.as_ref().map_or_else(|| fingerprint.to_string(), ToString::to_string);
        Ok(Caller::found(tenant, way.system.clone(), label.into(), fingerprint))
    }

    /// The tenant whose authority verifies the chain. Each tenant's authorities are tried by themselves, so that one which stands
    /// between a client and another tenant's root cannot take the client over.
    fn verifying(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(TenantId, &[Way]), NotACaller> {
        let own = EndEntityCert::try_from(leaf).map_err(|error| NotACaller::Unreadable(error.to_string()))?;
        let mut found: Option<(TenantId, &[Way])> = None;
        let mut failure = NotACaller::UnknownIssuer;
        for (tenant, candidates) in self.candidates(&own, intermediates) {
            let anchors: Vec<TrustAnchor<'_>> = candidates.iter().map(|authority| authority.anchor.clone()).collect();
            let path =
                own.verify_for_usage(algorithms(), &anchors, intermediates, now, KeyUsage::client_auth(), None, None);
            match path {
                Err(error) => failure = reason(&error),
                Ok(_) if found.is_some() => return Err(NotACaller::Contested),
                Ok(path) => {
                    let authority = candidates.iter().find(|authority| authority.anchor == *path.anchor());
                    found = authority.map(|authority| (tenant, authority.ways.as_slice()));
                }
            }
        }
        found.ok_or(failure)
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

fn contested(tenant: TenantId, other: Option<TenantId>, anchor: Digest) -> Result<(), AnchorFault> {
    other.map_or(Ok(()), |other| Err(AnchorFault::Contested { one: other, other: tenant, anchor }))
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
