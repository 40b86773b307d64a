//! The customers' KMS that this region reaches: the topology's `[l1.…]`, each with this region's own credentials.
//!
//! A certified link names a provider, and each tenant's people may certify any name. So the name alone opens nothing: credentials
//! are used for the pinned tenants whose they are, and for nobody else (PROTOCOL §1).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use custody::{
    key_cache::Providers,
    l1::{Aws, AwsCredentials, AwsOptions, Development, L1, Soft, SoftOptions, soft_wire::Token},
};
use orbital::names::{Region, TenantId};
use topology::{L1Provider, Model};

use crate::{
    fault::RunError,
    soft::{Credentials, read},
};

/// A KMS, and the tenants whose keys lie there.
struct Source {
    tenants: BTreeSet<TenantId>,
    l1: Arc<dyn L1>,
}

/// Connects each provider that the region may use; no call is made yet. What comes back answers a provider by its name, and only
/// to a tenant that the topology names beside it.
pub(crate) async fn connect(model: &Model, region: &Region, names: &[String]) -> Result<Providers, RunError> {
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    for name in names {
        let l1 = model.l1_named(name).ok_or_else(|| failed(name, "the topology does not define it"))?;
        let l1 = one(model, region, name, l1).await?;
        sources.insert(name.clone(), Source { tenants: model.l1_tenants(name), l1 });
    }
    Ok(Arc::new(move |tenant, provider| {
        let source = sources.get(provider.as_str())?;
        source.tenants.contains(tenant).then(|| source.l1.clone())
    }))
}

async fn one(model: &Model, region: &Region, name: &str, l1: &topology::L1) -> Result<Arc<dyn L1>, RunError> {
    let auth = l1.auth.get(region).cloned().unwrap_or_default();
    let development = Development::proven(model.development, "this endpoint");
    match &l1.provider {
        L1Provider::Soft { listen, .. } => {
            let development = development.map_err(|e| failed(name, e))?;
            let file = auth
                .credentials_file
                .ok_or_else(|| failed(name, "a soft L1 needs `credentials_file` for this region"))?;
            let credentials: Credentials = read(&file)?;
            let options =
                SoftOptions { address: listen.to_string(), ca: credentials.ca, token: Token::new(credentials.token) };
            Ok(Arc::new(Soft::connect(options, development).map_err(|e| failed(name, e))?))
        }
        L1Provider::AwsKms { region, endpoint } => {
            let credentials = auth.credentials_file.map_or(AwsCredentials::Chain, AwsCredentials::File);
            let options = AwsOptions {
                region: region.clone(),
                endpoint: endpoint.clone(),
                // AWS answers for identities elsewhere than for keys; a test server does both at one address.
                identity_endpoint: endpoint.clone().filter(|endpoint| !endpoint.contains(".amazonaws.com")),
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use orbital::names::{Digest, System};

    use super::*;

    /// The sample: two tenants are pinned, and Zurich reaches `acme-aws` with its workload identity.
    #[tokio::test]
    async fn a_tenant_gets_no_provider_of_another() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology/samples/demo.toml");
        let model = topology::check(&file, &std::fs::read_to_string(&file).unwrap()).into_model().unwrap();
        let pin = |label: &str| model.pins[&label.parse().unwrap()];
        let zurich = Region::new("ch-zurich").unwrap();
        let providers = connect(&model, &zurich, &["acme-aws".to_owned()]).await.unwrap();
        let ask = |tenant, name: &str| providers(&tenant, &System::new(name).unwrap()).map(|l1| l1.provider());
        assert_eq!(ask(pin("acme"), "acme-aws"), Some("aws-kms"));
        assert_eq!(ask(pin("globex"), "acme-aws"), None);
        assert_eq!(ask(TenantId(Digest([9; 32])), "acme-aws"), None);
        assert_eq!(ask(pin("acme"), "soft"), None);
    }
}
