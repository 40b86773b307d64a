//! Claims: which tenant each KMIP client anchor speaks for. An anchor decides a client's tenant (PROTOCOL §8), so two never share one.
//!
//! The fold of the trust roots in force: each tenant's actor enters its own when it starts and after each change. Here a claim is only
//! refused early, in words; a region goes by the order of its own durable claims, whatever governance says.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use orbital::{
    names::{Digest, System, TenantId},
    trust::{Anchor, TrustRoot},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::error::Refusal;

/// What an anchor is known by, whatever names it. A CA by its public key, so that it stays the same when its certificate is renewed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Known {
    /// DER of the CA's public key; of the whole certificate where that does not read.
    Ca(Vec<u8>),
    /// One client certificate.
    Leaf(Digest),
}

impl Known {
    fn of(anchor: &Anchor) -> Self {
        match anchor {
            Anchor::Ca { certificate } => match X509Certificate::from_der(certificate) {
                Ok((_, read)) => Self::Ca(read.tbs_certificate.subject_pki.raw.to_vec()),
                Err(_) => Self::Ca(certificate.clone()),
            },
            Anchor::Fingerprint { digest } => Self::Leaf(*digest),
        }
    }

    const fn what(&self) -> &'static str {
        match self {
            Self::Ca(_) => "client CA",
            Self::Leaf(_) => "client certificate",
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by: HashMap<Known, BTreeSet<TenantId>>,
    of: BTreeMap<TenantId, BTreeSet<Known>>,
}

impl Claims {
    // Both maps are mended by the next `enter` of a tenant; between its steps nothing can panic.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are the callers of a tenant, by its trust root in force; whatever it had or took before is given back. Without a root: none.
    pub(crate) fn enter(&self, tenant: TenantId, root: Option<&TrustRoot>) {
        let named = root.map(named).unwrap_or_default();
        let mut held = self.held();
        held.forget(tenant);
        held.add(tenant, named);
    }

    /// That no other tenant has an anchor which the next trust root would give to this one.
    pub(crate) fn check(&self, tenant: TenantId, next: &TrustRoot) -> Result<(), Refusal> {
        self.held().check(tenant, &named(next))
    }

    /// The same, and at once nobody else can have them. Until [`Claims::enter`] says what became of it the tenant holds both roots'.
    pub(crate) fn take(&self, tenant: TenantId, next: &TrustRoot) -> Result<(), Refusal> {
        let named = named(next);
        let mut held = self.held();
        held.check(tenant, &named)?;
        held.add(tenant, named);
        Ok(())
    }
}

/// The anchors of a trust root, each with a system that it is to use. Read before the lock is had: certificates take their time.
fn named(root: &TrustRoot) -> Vec<(Known, System)> {
    root.callers.iter().map(|rule| (Known::of(&rule.anchor), rule.system.clone())).collect()
}

impl Held {
    fn check(&self, tenant: TenantId, named: &[(Known, System)]) -> Result<(), Refusal> {
        for (known, system) in named {
            let of = self.by.get(known);
            // What it has already, it may keep and give up.
            let own = of.is_some_and(|tenants| tenants.contains(&tenant));
            if !own && of.is_some_and(|tenants| !tenants.is_empty()) {
                return Err(Refusal::AnchorTaken { what: known.what(), system: system.clone() });
            }
        }
        Ok(())
    }

    fn add(&mut self, tenant: TenantId, named: Vec<(Known, System)>) {
        for (known, _) in &named {
            self.by.entry(known.clone()).or_default().insert(tenant);
        }
        self.of.entry(tenant).or_default().extend(named.into_iter().map(|(known, _)| known));
    }

    fn forget(&mut self, tenant: TenantId) {
        for known in self.of.remove(&tenant).unwrap_or_default() {
            if let Some(tenants) = self.by.get_mut(&known) {
                tenants.remove(&tenant);
                if tenants.is_empty() {
                    self.by.remove(&known);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use orbital::{names::System, testing::World, trust::CallerRule};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    fn certificate(key: &KeyPair, name: &str) -> Anchor {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::try_from(key.serialize_der()).unwrap();
        Anchor::Ca { certificate: CertifiedIssuer::self_signed(parameters, key).unwrap().der().to_vec() }
    }

    fn root(tenant: &str, anchors: &[&Anchor]) -> (TenantId, TrustRoot) {
        let system = System::new("orders").unwrap();
        let rule = |anchor: &&Anchor| CallerRule { anchor: (*anchor).clone(), system: system.clone(), name: None };
        let world = World::founded("test", tenant, |root| root.callers = anchors.iter().map(rule).collect());
        (world.tenant(), world.trust().clone())
    }

    #[test]
    fn an_anchor_is_one_tenants_until_it_gives_it_up() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let (first, renewed) = (certificate(&key, "root"), certificate(&key, "root, renewed"));
        let leaf = Anchor::Fingerprint { digest: Digest([7; 32]) };
        let claims = Claims::default();
        let (acme, ours) = root("acme", &[&first, &leaf]);
        claims.take(acme, &ours).unwrap();
        claims.enter(acme, Some(&ours));
        for taken in [&first, &renewed, &leaf] {
            let (globex, theirs) = root("globex", &[&certificate(&other, "root"), taken]);
            for refused in [claims.check(globex, &theirs), claims.take(globex, &theirs)] {
                let refusal = refused.unwrap_err();
                assert_eq!(refusal.code(), "anchor-taken");
                let said = refusal.to_string();
                assert!(!said.contains(&acme.to_string()) && !said.contains("acme"), "it names nobody: {said}");
            }
        }
        let (globex, theirs) = root("globex", &[&certificate(&other, "root")]);
        claims.take(globex, &theirs).unwrap();
        let (_, without) = root("acme", &[&leaf]);
        claims.check(acme, &without).unwrap();
        claims.enter(acme, Some(&without));
        let (_, renewed) = root("globex", &[&renewed]);
        claims.take(globex, &renewed).unwrap();
        // What was taken for nothing is given back.
        claims.enter(globex, None);
        claims.check(acme, &ours).unwrap();
    }

    #[test]
    fn a_certificate_that_does_not_read_is_itself_alone() {
        let (one, two) = (Anchor::Ca { certificate: vec![1; 9] }, Anchor::Ca { certificate: vec![2; 9] });
        let claims = Claims::default();
        let (acme, ours) = root("acme", &[&one]);
        claims.enter(acme, Some(&ours));
        assert!(claims.check(root("globex", &[&two]).0, &root("globex", &[&two]).1).is_ok());
        assert!(claims.check(root("globex", &[&one]).0, &root("globex", &[&one]).1).is_err());
    }
}
