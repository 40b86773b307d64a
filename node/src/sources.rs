//! The customers' KMS that this region reaches: the topology's `[l1.…]`, each with this region's own credentials.
//!
//! A certified link names a provider, and each tenant's people may certify any name. So the name alone opens nothing: credentials
//! are used for the pinned tenants whose they are, and for nobody else. A role is assumed for each tenant by itself, under its own
//! external id (PROTOCOL §1, §7).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

#[cfg(feature = "azure-key-vault")]
use custody::l1::{Azure, AzureOptions};
#[cfg(feature = "google-kms")]
use custody::l1::{Google, GoogleOptions};
#[cfg(feature = "kmip")]
use custody::l1::{KeyManager, KeyManagerOptions};
#[cfg(feature = "pkcs11")]
use custody::l1::{Pkcs11, Pkcs11Options};
#[cfg(feature = "vault-transit")]
use custody::l1::{Transit, TransitOptions};
use custody::{
    key_cache::Providers,
    l1::{
        Aws, AwsCredentials, AwsOptions, AwsRole, Development, L1, L1Error, Soft, SoftOptions, calls::Calls,
        soft_wire::Token,
    },
};
use orbital::names::{Region, TenantId};
use topology::{L1Auth, L1Provider, Model};

use crate::{
    fault::RunError,
    soft::{Credentials, read},
};

/// What the names of AWS's own endpoints end with, in its partitions and in the dual-stack form.
const AWS_DOMAINS: [&str; 5] =
    [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws", ".api.amazonwebservices.com.cn"];

/// The program that runs now, even where another was put in its place.
#[cfg(feature = "pkcs11")]
const THIS_PROGRAM: &str = "/proc/self/exe";
/// What makes this program the process of a PKCS#11 module. No command: nobody calls it but a node.
#[cfg(feature = "pkcs11")]
pub const PKCS11_HOST: &str = "--pkcs11-host";

/// A KMS as each tenant whose keys lie there sees it.
type Source = BTreeMap<TenantId, Arc<dyn L1>>;

/// Connects each provider that the region may use; no call is made yet. What comes back answers a provider by its name, and only
/// to a tenant that the topology names beside it. What AWS is asked goes to `calls`.
pub(crate) async fn connect(
    model: &Model,
    region: &Region,
    names: &[String],
    calls: Arc<dyn Calls>,
) -> Result<Providers, RunError> {
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    for name in names {
        sources.insert(name.clone(), source(model, region, name, &calls).await?);
    }
    Ok(Arc::new(move |tenant, provider| sources.get(provider.as_str())?.get(tenant).cloned()))
}

async fn source(model: &Model, region: &Region, name: &str, calls: &Arc<dyn Calls>) -> Result<Source, RunError> {
    let l1 = model.l1_named(name).ok_or_else(|| failed(name, "the topology does not define it"))?;
    let auth = l1.auth.get(region).cloned().unwrap_or_default();
    let development = Development::proven(model.development, "this endpoint");
    Ok(match &l1.provider {
        L1Provider::Soft { listen, .. } => {
            let file = credentials_file(name, region, auth)?;
            of_each(&soft(name, listen.to_string(), &file, development)?, model.l1_tenants(name))
        }
        #[cfg(feature = "azure-key-vault")]
        L1Provider::AzureKeyVault { endpoint, login, directory, ca } => {
            let options = AzureOptions {
                endpoint: endpoint.clone(),
                login: login.clone(),
                directory: directory.clone(),
                ca: ca.clone(),
                credentials: credentials_file(name, region, auth)?,
            };
            of_each(&connected(name, Azure::connect(options))?, model.l1_tenants(name))
        }
        #[cfg(not(feature = "azure-key-vault"))]
        L1Provider::AzureKeyVault { .. } => return Err(not_built(name, "azure-key-vault")),
        #[cfg(feature = "google-kms")]
        L1Provider::GoogleKms { endpoint, ca } => {
            let credentials = credentials_file(name, region, auth)?;
            let options = GoogleOptions { endpoint: endpoint.clone(), ca: ca.clone(), credentials };
            of_each(&connected(name, Google::connect(options))?, model.l1_tenants(name))
        }
        #[cfg(not(feature = "google-kms"))]
        L1Provider::GoogleKms { .. } => return Err(not_built(name, "google-kms")),
        #[cfg(feature = "kmip")]
        L1Provider::Kmip { address, ca } => {
            let credentials = credentials_file(name, region, auth)?;
            let options = KeyManagerOptions { address: address.clone(), ca: ca.clone(), credentials };
            of_each(&connected(name, KeyManager::connect(options))?, model.l1_tenants(name))
        }
        #[cfg(not(feature = "kmip"))]
        L1Provider::Kmip { .. } => return Err(not_built(name, "kmip")),
        #[cfg(feature = "vault-transit")]
        L1Provider::VaultTransit { endpoint, ca, mount, namespace } => {
            let options = TransitOptions {
                endpoint: endpoint.clone(),
                ca: ca.clone(),
                mount: mount.clone(),
                namespace: namespace.clone(),
                credentials: credentials_file(name, region, auth)?,
            };
            of_each(&connected(name, Transit::connect(options))?, model.l1_tenants(name))
        }
        #[cfg(not(feature = "vault-transit"))]
        L1Provider::VaultTransit { .. } => return Err(not_built(name, "vault-transit")),
        #[cfg(feature = "pkcs11")]
        L1Provider::Pkcs11 { module, token_label, token_serial } => {
            let options = Pkcs11Options {
                module: module.clone(),
                token_label: token_label.clone(),
                token_serial: token_serial.clone(),
                pin_file: credentials_file(name, region, auth)?,
                host: (THIS_PROGRAM.into(), vec![PKCS11_HOST.into()]),
            };
            of_each(&connected(name, Pkcs11::connect(options))?, model.l1_tenants(name))
        }
        #[cfg(not(feature = "pkcs11"))]
        L1Provider::Pkcs11 { .. } => return Err(not_built(name, "pkcs11")),
        L1Provider::AwsKms { region: place, endpoint } => {
            let place = Place { region: place, endpoint: endpoint.as_deref(), development: development.ok(), calls };
            aws(name, region, &place, &auth, model.l1_tenants(name)).await?
        }
    })
}

fn connected(name: &str, made: Result<impl L1 + 'static, L1Error>) -> Result<Arc<dyn L1>, RunError> {
    Ok(Arc::new(made.map_err(|e| failed(name, e))?))
}

/// The file that a provider without workload identity can't do without.
fn credentials_file(name: &str, region: &Region, auth: L1Auth) -> Result<PathBuf, RunError> {
    let why = || format!("it needs `credentials_file` for this region: add `[l1.{name}.auth.{region}]`");
    auth.credentials_file.ok_or_else(|| failed(name, why()))
}

/// One principal for all tenants whose keys lie there.
fn of_each(l1: &Arc<dyn L1>, tenants: BTreeSet<TenantId>) -> Source {
    tenants.into_iter().map(|tenant| (tenant, l1.clone())).collect()
}

fn soft(
    name: &str,
    address: String,
    file: &Path,
    development: Result<Development, L1Error>,
) -> Result<Arc<dyn L1>, RunError> {
    let development = development.map_err(|e| failed(name, e))?;
    let credentials: Credentials = read(file)?;
    let options = SoftOptions { address, ca: credentials.ca, token: Token::new(credentials.token) };
    connected(name, Soft::connect(options, development))
}

/// Where keys lie at AWS.
struct Place<'a> {
    region: &'a str,
    endpoint: Option<&'a str>,
    development: Option<Development>,
    calls: &'a Arc<dyn Calls>,
}

async fn aws(
    name: &str,
    region: &Region,
    place: &Place<'_>,
    auth: &L1Auth,
    tenants: BTreeSet<TenantId>,
) -> Result<Source, RunError> {
    let in_role = async |role| {
        let options = AwsOptions {
            region: place.region.to_owned(),
            endpoint: place.endpoint.map(str::to_owned),
            identity_endpoint: place.endpoint.filter(|endpoint| !is_of_aws(endpoint)).map(str::to_owned),
            credentials: auth.credentials_file.clone().map_or(AwsCredentials::Chain, AwsCredentials::File),
            role,
            calls: place.calls.clone(),
            development: place.development,
        };
        connected(name, Aws::connect(options).await)
    };
    let Some(arn) = &auth.role_arn else {
        return Ok(of_each(&in_role(None).await?, tenants));
    };
    let mut source = Source::new();
    for tenant in tenants {
        let role = AwsRole { arn: arn.clone(), tenant, region: region.clone() };
        source.insert(tenant, in_role(Some(role)).await?);
    }
    Ok(source)
}

/// Whether it is an endpoint of AWS itself, such as that of a VPC: AWS answers for identities elsewhere than for keys. Whatever else
/// speaks its API does both at one address.
fn is_of_aws(endpoint: &str) -> bool {
    let after_scheme = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = after_scheme.split(['/', ':', '?', '#']).next().unwrap_or_default();
    AWS_DOMAINS.iter().any(|domain| host.ends_with(domain))
}

/// A provider that this program was built without.
#[cfg(not(all(
    feature = "azure-key-vault",
    feature = "google-kms",
    feature = "kmip",
    feature = "vault-transit",
    feature = "pkcs11"
)))]
fn not_built(name: &str, provider: &str) -> RunError {
    failed(name, format!("this kcm was built without the provider {provider}: build it with `--features {provider}`"))
}

fn failed(name: &str, why: impl ToString) -> RunError {
    RunError::L1 { name: name.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use orbital::names::{Digest, KeyRef, System};
    use tokio::io::AsyncReadExt;

    use super::*;

    /// The sample: two tenants are pinned, and Zurich reaches `acme-aws` with its workload identity.
    #[tokio::test]
    async fn a_tenant_gets_no_provider_of_another() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology/samples/demo.toml");
        let model = topology::check(&file, &std::fs::read_to_string(&file).unwrap()).into_model().unwrap();
        let pin = |label: &str| model.pins[&label.parse().unwrap()];
        let zurich = Region::new("ch-zurich").unwrap();
        let providers = connect(&model, &zurich, &["acme-aws".to_owned()], Arc::new(())).await.unwrap();
        let ask = |tenant, name: &str| providers(&tenant, &System::new(name).unwrap()).map(|l1| l1.provider());
        assert_eq!(ask(pin("acme"), "acme-aws"), Some("aws-kms"));
        assert_eq!(ask(pin("globex"), "acme-aws"), None);
        assert_eq!(ask(TenantId(Digest([9; 32])), "acme-aws"), None);
        assert_eq!(ask(pin("acme"), "soft"), None);
    }

    /// A provider without workload identity says where its credential is missing.
    #[cfg(all(
        feature = "azure-key-vault",
        feature = "google-kms",
        feature = "kmip",
        feature = "pkcs11",
        feature = "vault-transit"
    ))]
    #[tokio::test]
    async fn a_region_without_a_credential_is_told_where_to_name_one() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology/samples/demo.toml");
        let model = topology::check(&file, &std::fs::read_to_string(&file).unwrap()).into_model().unwrap();
        for name in ["globex-azure", "globex-bao", "globex-google", "globex-hsm", "globex-keys", "soft"] {
            let zurich = Region::new("ch-zurich").unwrap();
            let why = connect(&model, &zurich, &[name.to_owned()], Arc::new(())).await.err().unwrap().to_string();
            assert!(why.contains(&format!("add `[l1.{name}.auth.ch-zurich]`")), "{why}");
        }
    }

    /// The first request that an address is sent, up to `last`.
    async fn asked(listener: tokio::net::TcpListener, last: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !String::from_utf8_lossy(&request).contains(last) {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "{}", String::from_utf8_lossy(&request));
        }
        String::from_utf8(request).unwrap()
    }

    /// PROTOCOL §7: the role of the topology is assumed, with the tenant's id as external id.
    #[tokio::test]
    async fn a_role_is_assumed_under_the_tenant_s_id() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let credentials = folder.path().join("aws.credentials");
        std::fs::write(&credentials, "aws_access_key_id = AKIA\naws_secret_access_key = secret\n").unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology/samples/demo.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace("http://127.0.0.1:4566", &format!("http://{}", listener.local_addr().unwrap()));
        let own = format!("credentials_file = \"{}\"\nrole_arn", credentials.display());
        let model = topology::check(&file, &text.replace("role_arn", &own)).into_model().unwrap();
        let zurich = Region::new("ch-zurich").unwrap();
        let providers = connect(&model, &zurich, &["acme-aws".to_owned()], Arc::new(())).await.unwrap();
        let tenant = model.pins[&"acme".parse().unwrap()];
        let l1 = providers(&tenant, &System::new("acme-aws").unwrap()).unwrap();
        let asking = tokio::spawn(async move { l1.describe(&KeyRef::new("alias/acme").unwrap()).await.map(drop) });
        let request = asked(listener, &format!("ExternalId={tenant}")).await;
        assert!(request.contains("Action=AssumeRole") && request.contains("role%2Fkcm-zurich"), "{request}");
        assert!(request.contains("RoleSessionName=kcm-ch-zurich"), "{request}");
        asking.abort();
    }

    #[test]
    fn aws_answers_for_identities_at_its_own_place() {
        for aws in [
            "https://kms.eu-central-1.amazonaws.com",
            "https://vpce-1-2.kms.eu-central-1.vpce.amazonaws.com:443/",
            "https://kms.cn-north-1.amazonaws.com.cn",
            "https://kms.eusc-de-east-1.amazonaws.eu",
            "https://kms.eu-central-1.api.aws",
        ] {
            assert!(is_of_aws(aws), "{aws}");
        }
        for other in ["http://127.0.0.1:4566", "https://kms.example/.amazonaws.com", "https://amazonaws.com.example"] {
            assert!(!is_of_aws(other), "{other}");
        }
    }
}
