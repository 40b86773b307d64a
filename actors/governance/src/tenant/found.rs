//! Founding a tenant: what its genesis must hold here before it is written down and owed to its regions.

use orbital::{
    chain::{Chain, Genesis},
    directive::Directive,
    names::{Deployment, Digest},
};

use super::{
    decision::{Decision, Owe},
    record::Record,
};
use crate::{error::Refusal, fleet::Ports};

/// The decision that founds a tenant, and its chain.
pub(crate) fn found(
    genesis: Genesis,
    deployment: &Deployment,
    policy: Digest,
    ports: &Ports,
) -> Result<(Chain, Decision), Refusal> {
    let chain = genesis.found().map_err(Refusal::BadGenesis)?;
    let root = chain.current();
    if root.deployment != *deployment {
        let (ours, theirs) = (deployment.to_string(), root.deployment.to_string());
        return Err(Refusal::OtherDeployment { what: "genesis", ours, theirs });
    }
    if root.policy != policy {
        return Err(Refusal::UnknownPolicy { named: root.policy, known: policy });
    }
    ports.check(root)?;
    let owe = |region| Owe { region, directive: Directive::Provision { genesis: genesis.clone(), links: Vec::new() } };
    let owe = root.regions.keys().cloned().map(owe).collect();
    let records = vec![Record::Provisioned { genesis }];
    Ok((chain, Decision { records, owe, ..Decision::default() }))
}
