//! The customers' KMS that this region reaches: the topology's `[l1.…]`, each with this region's own credentials.

use std::{collections::BTreeMap, sync::Arc};

use custody::{
    key_cache::Providers,
    l1::{Aws, AwsCredentials, AwsOptions, Development, L1, Soft, SoftOptions, soft_wire::Token},
};
use orbital::names::Region;
use topology::{L1Provider, Model};

use crate::{
    fault::RunError,
    soft::{Credentials, read},
};

/// Connects each provider that the region may use; no call is made yet.
pub async fn connect(model: &Model, region: &Region, names: &[String]) -> Result<Providers, RunError> {
    let mut providers: BTreeMap<String, Arc<dyn L1>> = BTreeMap::new();
    for name in names {
        let l1 = model.l1_named(name).ok_or_else(|| failed(name, "the topology does not define it"))?;
        providers.insert(name.clone(), one(model, region, name, l1).await?);
    }
    // The provider's name stands in the certified link; each name has the credentials of one tenant.
    Ok(Arc::new(move |_tenant, provider| providers.get(provider.as_str()).cloned()))
}

async fn one(model: &Model, region: &Region, name: &str, l1: &topology::L1) -> Result<Arc<dyn L1>, RunError> {
    let auth = l1.auth.get(region).cloned().unwrap_or_default();
    let development = Development::proven(model.development, "this endpoint");
    match &l1.provider {
        L1Provider::Soft { listen, .. } => {
            let development = development.map_err(|e| failed(name, e))?;
            let file = auth.credentials_file.ok_or_else(|| failed(name, "a soft L1 needs `credentials_file` for this region"))?;
            let credentials: Credentials = read(&file)?;
            let options = SoftOptions { address: listen.to_string(), ca: credentials.ca, token: Token::new(credentials.token) };
            Ok(Arc::new(Soft::connect(options, development).map_err(|e| failed(name, e))?))
        }
        L1Provider::AwsKms { region, endpoint } => {
            let credentials = auth.credentials_file.map_or(AwsCredentials::Chain, AwsCredentials::File);
            let options = AwsOptions {
                region: region.clone(),
                endpoint: endpoint.clone(),
                identity_endpoint: endpoint.clone(),
                credentials,
                development: development.ok(),
            };
            Ok(Arc::new(Aws::connect(options).await.map_err(|e| failed(name, e))?))
        }
    }
}

fn failed(name: &str, why: impl ToString) -> RunError {
    RunError::L1 { name: name.to_owned(), why: why.to_string() }
}
