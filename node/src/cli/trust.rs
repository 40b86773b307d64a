//! Takes a tenant's trust chain from whoever has it, and believes none of it before it is verified from the pinned genesis on.

use orbital::{
    certificate::{Certificate, Certified},
    chain::{Chain, Genesis},
    names::TenantId,
};
use serde::{Deserialize, Serialize};

use super::{exit::Failure, http::Portal};

/// Genesis and every certified version after it: what `GET /v1/tenants/{t}/trust` answers, what `kcm tenant trust` writes to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustFile {
    pub tenant: TenantId,
    pub genesis: Genesis,
    pub links: Vec<Certificate>,
}

impl TrustFile {
    /// Verifies the whole chain. With `pinned`, its genesis must be that tenant's.
    pub fn verify(&self, pinned: Option<TenantId>) -> Result<Chain, Failure> {
        self.follow(pinned.unwrap_or(self.tenant), |_, _| {})
    }

    /// Verifies the whole chain, and shows each version: the genesis, then each next one with what certified it.
    pub(crate) fn follow(
        &self,
        tenant: TenantId,
        mut seen: impl FnMut(&Chain, Option<&Certified>),
    ) -> Result<Chain, Failure> {
        let broken = |at: String, why: &dyn std::fmt::Display| {
            Failure::denied("the tenant's trust chain does not hold")
                .at(at)
                .because(why)
                .fix("do not sign anything; compare the chain with another member of the tenant and ask the operator")
        };
        let mut chain = self.genesis.found().map_err(|e| broken("genesis".into(), &e))?;
        if chain.tenant() != tenant || self.tenant != tenant {
            let why = format!("this genesis founds tenant {}, but {tenant} was asked for", chain.tenant());
            return Err(broken("genesis".into(), &why));
        }
        seen(&chain, None);
        for link in &self.links {
            let next = chain.version().saturating_add(1);
            let (longer, certified) = chain.extend(link).map_err(|e| broken(format!("version {next}"), &e))?;
            seen(&longer, Some(&certified));
            chain = longer;
        }
        Ok(chain)
    }
}

/// Fetches and verifies the chain of a tenant whose id is pinned.
pub(crate) async fn fetch(portal: &Portal, tenant: TenantId) -> Result<(TrustFile, Chain), Failure> {
    let file: TrustFile = portal.get(&format!("/v1/tenants/{tenant}/trust")).await?;
    let chain = file.verify(Some(tenant))?;
    Ok((file, chain))
}
