//! The customers' own KMS in the demo: a soft L1 process each, or an AWS endpoint, and the credentials of each region there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use orbital::names::{Jurisdiction, NodeName, Region, TenantName};
use topology::{L1, L1Auth, L1Provider, Mode, Span};

use super::{
    DemoError,
    people::seed,
    pki::{Authority, write_private},
    ports::Ports,
    setup::{AWS_TENANT, AwsPlace, REGIONS, TENANTS, folder},
};
use crate::soft::{Credentials, Settings};

/// How often a region asks for the state of an L1 key: short, so that one can watch a key being disabled.
const PROBE: Span = Span::seconds(2);

/// Every tenant's KMS.
pub(super) struct Customers {
    pub(super) softs: Vec<SoftPlace>,
    pub(super) l1: BTreeMap<String, L1>,
    /// Provider and key of each tenant, in the order of [`TENANTS`]; no key where the user has not named it yet.
    pub(super) links: Vec<(String, Option<String>)>,
}

/// A soft L1 process.
pub struct SoftPlace {
    pub tenant: String,
    pub node: NodeName,
    pub address: SocketAddr,
    pub ca: PathBuf,
    pub admin: PathBuf,
    pub key: String,
}

/// One tenant, one KMS: there are never two paths to the same keys.
pub(super) fn write(
    dir: &Path,
    aws: Option<&AwsPlace>,
    authority: &Authority,
    ports: &mut Ports,
) -> Result<Customers, DemoError> {
    let mut customers = Customers { softs: Vec::new(), l1: BTreeMap::new(), links: Vec::new() };
    for (tenant, _) in TENANTS {
        let (provider, key, entry) = match aws.filter(|_| tenant == AWS_TENANT) {
            Some(aws) => (format!("{tenant}-aws"), aws.key.clone(), aws_entry(dir, aws)?),
            None => {
                let (place, entry) = soft(dir, tenant, authority, ports)?;
                let key = place.key.clone();
                customers.softs.push(place);
                (format!("{tenant}-soft"), Some(key), entry)
            }
        };
        customers.l1.insert(provider.clone(), entry);
        customers.links.push((provider, key));
    }
    Ok(customers)
}

fn token() -> Result<String, DemoError> {
    Ok(orbital::names::Digest(seed()?).to_string())
}

/// A customer's KMS: a process of its own, with a principal of its own for each region.
fn soft(dir: &Path, tenant: &str, authority: &Authority, ports: &mut Ports) -> Result<(SoftPlace, L1), DemoError> {
    let node = format!("l1-{tenant}");
    let store = folder(dir, &node)?;
    let (address, key) = (ports.next()?, format!("soft:{tenant}-root"));
    let tls = authority.issue(&node, "localhost", None)?;
    for (from, to) in [(&tls.cert, "server.pem"), (&tls.key, "server.key"), (&tls.ca, "ca.pem")] {
        fs::copy(from, store.join(to)).map_err(|e| DemoError::Write(store.join(to), e))?;
    }
    let (mut principals, mut auth) = (BTreeMap::new(), BTreeMap::new());
    for (region, _, home) in REGIONS {
        let principal = format!("{tenant}.{region}");
        let token = token()?;
        let file = folder(dir, home)?.join(format!("l1-{tenant}.json"));
        super::setup::write_json(&file, &Credentials { token: token.clone(), ca: store.join("ca.pem") })?;
        auth.insert(Region::new(region)?, L1Auth { credentials_file: Some(file), role_arn: None });
        principals.insert(principal, token);
    }
    let admin = token()?;
    let admin_path = store.join("admin.token");
    write_private(&admin_path, admin.as_bytes()).map_err(|e| DemoError::Write(admin_path.clone(), e))?;
    let allow = principals.keys().cloned().collect();
    let settings = Settings { admin, principals, keys: BTreeMap::from([(key.clone(), allow)]) };
    super::setup::write_json(&store.join("soft-l1.json"), &settings)?;
    let node = NodeName::new(&node)?;
    let place = SoftPlace {
        tenant: tenant.to_owned(),
        node: node.clone(),
        address,
        ca: store.join("ca.pem"),
        admin: admin_path,
        key,
    };
    let provider = L1Provider::Soft { node, listen: address, store };
    Ok((
        place,
        L1 {
            provider,
            tenants: BTreeSet::from([TenantName::new(tenant)?]),
            mode: Mode::Byok,
            jurisdiction: Jurisdiction::new("DE")?,
            probe: PROBE,
            auth,
        },
    ))
}

/// An AWS-compatible endpoint: the credentials are those of the environment, as with the AWS command line.
fn aws_entry(dir: &Path, aws: &AwsPlace) -> Result<L1, DemoError> {
    let read = |name: &str| std::env::var(name).unwrap_or_else(|_| "test".to_owned());
    let mut text = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        read("AWS_ACCESS_KEY_ID"),
        read("AWS_SECRET_ACCESS_KEY")
    );
    if let Ok(session) = std::env::var("AWS_SESSION_TOKEN") {
        text.push_str(&format!("aws_session_token = {session}\n"));
    }
    let mut auth = BTreeMap::new();
    for (region, _, home) in REGIONS {
        let file = folder(dir, home)?.join("aws.credentials");
        write_private(&file, text.as_bytes()).map_err(|e| DemoError::Write(file.clone(), e))?;
        auth.insert(Region::new(region)?, L1Auth { credentials_file: Some(file), role_arn: None });
    }
    let provider = L1Provider::AwsKms { region: aws.region.clone(), endpoint: Some(aws.endpoint.clone()) };
    Ok(L1 {
        provider,
        tenants: BTreeSet::from([TenantName::new(AWS_TENANT)?]),
        mode: Mode::Byok,
        jurisdiction: Jurisdiction::new("DE")?,
        probe: PROBE,
        auth,
    })
}
