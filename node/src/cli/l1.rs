//! `kcm l1`: what a customer must allow at their KMS, as policy and as a script to run there. It is printed, never run, and needs no portal.

use clap::{Subcommand, ValueEnum};
use custody::l1::recipe;
use orbital::names::{KeyRef, Region, System, TenantId};
use serde_json::{Value, json};

use super::exit::{Failure, Report};

#[derive(Clone, Debug, Subcommand)]
pub enum L1Command {
    /// Print the least that a region must be allowed at the customer's KMS
    #[command(subcommand)]
    Permissions(Provider),
}

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// The policy alone, as JSON
    #[default]
    Policy,
    /// What sets everything up: a CloudFormation template, or a shell script
    Script,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Provider {
    /// A role at AWS that the region assumes, with the tenant's id as external id
    #[command(
        after_help = "Example: kcm l1 permissions aws-kms --ref arn:aws:kms:eu-central-1:1:key/2 --principal arn:aws:iam::2:role/kcm \
                      --tenant DAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"
    )]
    AwsKms {
        /// The key's ARN
        #[arg(long = "ref", value_name = "ARN")]
        key: KeyRef,
        /// The ARN of the region's own principal
        #[arg(long, value_name = "ARN")]
        principal: KeyRef,
        /// The tenant's id, which is the external id
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        tenant: TenantId,
        /// What is printed
        #[arg(long, value_enum, default_value_t)]
        form: Form,
    },
    /// A role at Azure, assigned at one key to an application of the region
    #[command(after_help = "Example: kcm l1 permissions azure-key-vault --ref https://acme.vault.azure.net/keys/root \
                      --region eu-frankfurt --form script")]
    AzureKeyVault {
        /// The key's identifier, without a version; of a vault or a Managed HSM
        #[arg(long = "ref", value_name = "URL", value_parser = azure_key)]
        key: AzureKey,
        /// The region that signs in
        #[arg(long, value_name = "REGION")]
        region: Region,
        /// What is printed
        #[arg(long, value_enum, default_value_t)]
        form: Form,
    },
    /// A role at Google Cloud, bound to one key for a service account of the region
    #[command(
        after_help = "Example: kcm l1 permissions google-kms --ref projects/acme/locations/europe-west3/keyRings/kcm/cryptoKeys/root \
                      --region eu-frankfurt --form script"
    )]
    GoogleKms {
        /// The key's resource name
        #[arg(long = "ref", value_name = "NAME", value_parser = google_key)]
        key: GoogleKey,
        /// The region that signs in
        #[arg(long, value_name = "REGION")]
        region: Region,
        /// What is printed
        #[arg(long, value_enum, default_value_t)]
        form: Form,
    },
    /// A key of a key manager that speaks KMIP, and the operations that a region is allowed
    #[command(after_help = "Example: kcm l1 permissions kmip")]
    Kmip,
    /// A policy and an AppRole at an OpenBao or Vault server
    #[command(
        after_help = "Example: kcm l1 permissions vault-transit --ref acme-root --region eu-frankfurt --form script"
    )]
    VaultTransit {
        /// The key's name in the engine
        #[arg(long = "ref", value_name = "NAME")]
        key: System,
        /// The region that signs in
        #[arg(long, value_name = "REGION")]
        region: Region,
        /// Where the engine is mounted
        #[arg(long, value_name = "PATH", default_value = "transit")]
        mount: System,
        /// What is printed
        #[arg(long, value_enum, default_value_t)]
        form: Form,
    },
    /// A key on a token, with the attributes that it needs
    #[command(after_help = "Example: kcm l1 permissions pkcs11 --label acme-root --form script")]
    Pkcs11 {
        /// The key's label
        #[arg(long, value_name = "LABEL")]
        label: System,
        /// What is printed
        #[arg(long, value_enum, default_value_t)]
        form: Form,
    },
}

/// projects/P/locations/L/keyRings/R/cryptoKeys/K.
#[derive(Clone, Debug)]
pub struct GoogleKey {
    project: System,
    location: System,
    ring: System,
    name: System,
}

fn google_key(text: &str) -> Result<GoogleKey, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", name] = parts[..] else {
        return Err("write projects/P/locations/L/keyRings/R/cryptoKeys/K".to_owned());
    };
    let part = |text: &str| text.parse::<System>().map_err(|e| e.to_string());
    Ok(GoogleKey { project: part(project)?, location: part(location)?, ring: part(ring)?, name: part(name)? })
}

/// https://VAULT.vault.azure.net/keys/NAME, or the same at a Managed HSM.
#[derive(Clone, Debug)]
pub struct AzureKey {
    home: System,
    is_hsm: bool,
    name: System,
}

fn azure_key(text: &str) -> Result<AzureKey, String> {
    let form =
        || "write https://VAULT.vault.azure.net/keys/NAME, or https://HSM.managedhsm.azure.net/keys/NAME".to_owned();
    let (host, name) = text.strip_prefix("https://").and_then(|rest| rest.split_once("/keys/")).ok_or_else(form)?;
    let (home, domain) = host.split_once('.').ok_or_else(form)?;
    let plain = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !plain(home) || !plain(name) {
        return Err(form());
    }
    let part = |text: &str| text.parse::<System>().map_err(|e| e.to_string());
    Ok(AzureKey { home: part(home)?, is_hsm: domain.starts_with("managedhsm."), name: part(name)? })
}

pub(crate) fn perform(command: L1Command) -> Result<Report, Failure> {
    let L1Command::Permissions(provider) = command;
    Ok(match provider {
        Provider::AwsKms { key, principal, tenant, form: Form::Policy } => policy(&json!({
            "permissions": recipe::aws_policy(&key, &tenant),
            "trust": recipe::aws_trust(principal.as_str(), &tenant),
        })),
        Provider::AwsKms { key, principal, tenant, form: Form::Script } => {
            policy(&cloud_formation(&key, &principal, &tenant))
        }
        Provider::AzureKeyVault { key, form: Form::Policy, .. } => policy(&azure_policy(&key)),
        Provider::AzureKeyVault { key, region, form: Form::Script } => script(azure(&key, &region)),
        Provider::GoogleKms { form: Form::Policy, .. } => policy(&recipe::google_role()),
        Provider::GoogleKms { key, region, form: Form::Script } => script(gcloud(&key, &region)),
        Provider::Kmip => policy(&recipe::kmip_key()),
        Provider::VaultTransit { key, mount, form: Form::Policy, .. } => {
            policy(&recipe::transit_policy(mount.as_str(), key.as_str()))
        }
        Provider::VaultTransit { key, region, mount, form: Form::Script } => script(bao(&key, &region, &mount)),
        Provider::Pkcs11 { form: Form::Policy, .. } => policy(&recipe::pkcs11_key()),
        Provider::Pkcs11 { label, form: Form::Script } => script(pkcs11_tool(&label)),
    })
}

fn policy(policy: &Value) -> Report {
    Report::new(policy.clone(), format!("{policy:#}"))
}

fn script(text: String) -> Report {
    Report::new(json!({ "script": text }), text.trim_end())
}

/// The names that go into these texts have an alphabet that no shell and no JSON reads otherwise (`orbital::names`).
fn cloud_formation(key: &KeyRef, principal: &KeyRef, tenant: &TenantId) -> Value {
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The role with which kcm uses one key of AWS KMS",
        "Resources": { "KcmRole": { "Type": "AWS::IAM::Role", "Properties": {
            "AssumeRolePolicyDocument": recipe::aws_trust(principal.as_str(), tenant),
            "Policies": [{ "PolicyName": "kcm-l1", "PolicyDocument": recipe::aws_policy(key, tenant) }],
        }}},
        "Outputs": { "RoleArn": {
            "Description": "role_arn of the region in the topology", "Value": { "Fn::GetAtt": ["KcmRole", "Arn"] },
        }},
    })
}

fn bao(key: &System, region: &Region, mount: &System) -> String {
    let name = format!("kcm-{}-{key}", region.as_str().replace([':', '/'], "-"));
    let policy = format!("{:#}", recipe::transit_policy(mount.as_str(), key.as_str()));
    format!(
        r#"#!/bin/sh
# Run it with BAO_ADDR, BAO_CACERT and BAO_TOKEN of an administrator, and BAO_NAMESPACE where the engine lies in one.
# For Vault, say `vault` and VAULT_… instead. The engine is mounted at {mount}, AppRole at approle.
set -eu
umask 077
bao read {mount}/keys/{key} >/dev/null 2>&1 || bao write {mount}/keys/{key} type=aes256-gcm96
bao policy write {name} - <<'POLICY'
{policy}
POLICY
bao write auth/approle/role/{name} token_policies={name} token_ttl=1h
role_id=$(bao read -field=role_id auth/approle/role/{name}/role-id)
secret_id=$(bao write -f -field=secret_id auth/approle/role/{name}/secret-id)
printf 'role_id = %s\nsecret_id = %s\n' "$role_id" "$secret_id" >{name}.credentials
echo "{name}.credentials is the credentials_file of region {region}"
"#
    )
}

/// Where the role can be assigned, before the script knows the vault's resource group.
const AZURE_SCOPE: &str = "/subscriptions/SUBSCRIPTION/resourceGroups/GROUP";
/// The least of the roles that each Managed HSM has; it has own names for what it allows, and roles of its own.
const AZURE_HSM_ROLE: &str = "Managed HSM Crypto Service Encryption User";

fn azure_policy(AzureKey { is_hsm, name, .. }: &AzureKey) -> Value {
    if *is_hsm {
        json!({ "role": AZURE_HSM_ROLE, "scope": format!("/keys/{name}") })
    } else {
        recipe::azure_role(AZURE_SCOPE)
    }
}

fn azure(AzureKey { home, is_hsm, name }: &AzureKey, region: &Region) -> String {
    let account = format!("kcm-{}", region.as_str().replace([':', '/', '_', '.'], "-"));
    let at = if *is_hsm { format!("--hsm-name {home}") } else { format!("--vault-name {home}") };
    let kty = if *is_hsm { "RSA-HSM" } else { "RSA" };
    let role = format!("{:#}", recipe::azure_role("$group"));
    let assigned = if *is_hsm {
        format!(
            r#"az keyvault role assignment create {at} --role "{AZURE_HSM_ROLE}" --scope /keys/{name} \
    --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal"#
        )
    } else {
        format!(
            r#"vault=$(az keyvault show --name {home} --query id --output tsv)
group=${{vault%/providers/*}}
[ -n "$(az role definition list --name "kcm L1" --scope "$group" --query "[].id" --output tsv)" ] ||
    az role definition create --role-definition "$(cat <<ROLE
{role}
ROLE
)"
az role assignment create --role "kcm L1" --scope "$vault/keys/{name}" \
    --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal"#
        )
    };
    format!(
        r#"#!/bin/sh
# Run it with az, signed in as somebody who may register applications, make keys in {home} and assign roles there.
set -eu
umask 077
az keyvault key show {at} --name {name} >/dev/null 2>&1 ||
    az keyvault key create {at} --name {name} --kty {kty} --size 3072 --ops wrapKey unwrapKey
application=$(az ad app list --display-name {account} --query "[0].appId" --output tsv)
[ -n "$application" ] || {{
    application=$(az ad app create --display-name {account} --query appId --output tsv)
    az ad sp create --id "$application"
}}
principal=$(az ad sp show --id "$application" --query id --output tsv)
{assigned}
pem=$(az ad app credential reset --id "$application" --append --create-cert --years 1 --query fileWithCertAndPrivateKey --output tsv)
mv "$pem" {account}.pem
printf 'client_id = %s\ncertificate = {account}.pem\n' "$application" >{account}.credentials
echo "{account}.credentials is the credentials_file of region {region}; {account}.pem must lie beside it"
"#
    )
}

/// A service account's name has 6 to 30 characters; longer ones are cut, and one region has one.
fn gcloud(GoogleKey { project, location, ring, name }: &GoogleKey, region: &Region) -> String {
    let account: String = format!("kcm-{}", region.as_str().to_ascii_lowercase().replace([':', '/', '_', '.'], "-"));
    let account: String = account.chars().take(30).collect();
    let account = account.trim_end_matches('-');
    let permissions = recipe::GOOGLE_PERMISSIONS.join(",");
    format!(
        r#"#!/bin/sh
# Run it with gcloud, signed in as an administrator of project {project}.
set -eu
umask 077
gcloud kms keys describe {name} --project {project} --location {location} --keyring {ring} >/dev/null 2>&1 ||
    gcloud kms keys create {name} --project {project} --location {location} --keyring {ring} --purpose encryption
gcloud iam roles describe kcmL1 --project {project} >/dev/null 2>&1 ||
    gcloud iam roles create kcmL1 --project {project} --title "kcm L1" --stage GA --permissions {permissions}
gcloud iam service-accounts describe {account}@{project}.iam.gserviceaccount.com --project {project} >/dev/null 2>&1 ||
    gcloud iam service-accounts create {account} --project {project} --display-name "kcm, region {region}"
gcloud kms keys add-iam-policy-binding {name} --project {project} --location {location} --keyring {ring} \
    --member serviceAccount:{account}@{project}.iam.gserviceaccount.com --role projects/{project}/roles/kcmL1
gcloud iam service-accounts keys create {account}.json --iam-account {account}@{project}.iam.gserviceaccount.com
echo "{account}.json is the credentials_file of region {region}"
"#
    )
}

fn pkcs11_tool(label: &System) -> String {
    format!(
        r#"#!/bin/sh
# Run it as the token's user: it asks for the PIN. Usage: sh SCRIPT MODULE TOKEN_LABEL
set -eu
pkcs11-tool --module "$1" --token-label "$2" --login --keygen --key-type AES:32 --label {label} --private --sensitive
"#
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn printed(line: &str) -> Report {
        let words = ["kcm", "l1", "permissions"].into_iter().chain(line.split(' '));
        let Command::L1(command) = Cli::try_parse_from(words).unwrap().command else { panic!("{line}") };
        perform(command).unwrap()
    }

    const AWS: &str = "aws-kms --ref arn:aws:kms:eu-central-1:1:key/2 --principal arn:aws:iam::2:role/kcm \
                       --tenant DAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw";

    #[test]
    fn at_aws_three_actions_on_one_key_for_one_tenant() {
        let policy = printed(AWS).json;
        let statements = policy["permissions"]["Statement"].as_array().unwrap();
        assert_eq!(statements[0]["Action"], "kms:DescribeKey");
        assert_eq!(statements[1]["Action"], json!(["kms:Encrypt", "kms:Decrypt"]));
        let tenant = "DAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw";
        assert_eq!(statements[1]["Condition"]["StringEquals"]["kms:EncryptionContext:kcm:tenant"], tenant);
        assert!(
            statements.iter().all(|s| s["Resource"] == "arn:aws:kms:eu-central-1:1:key/2" && statements.len() == 2)
        );
        let template = printed(&format!("{AWS} --form script")).json;
        let role = &template["Resources"]["KcmRole"]["Properties"];
        assert_eq!(role["Policies"][0]["PolicyDocument"], policy["permissions"]);
        assert_eq!(
            role["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"],
            tenant
        );
        assert_eq!(role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"], "arn:aws:iam::2:role/kcm");
    }

    const GOOGLE: &str = "projects/acme/locations/europe-west3/keyRings/kcm/cryptoKeys/root";

    #[test]
    fn at_google_four_permissions_are_bound_to_one_key() {
        let line = format!("google-kms --ref {GOOGLE} --region eu-frankfurt");
        let role = printed(&line).json;
        assert_eq!(role["includedPermissions"], json!(recipe::GOOGLE_PERMISSIONS));
        let script = printed(&format!("{line} --form script")).text;
        for part in [
            "--permissions cloudkms.cryptoKeys.get,cloudkms.cryptoKeyVersions.get,",
            "gcloud kms keys add-iam-policy-binding root --project acme --location europe-west3 --keyring kcm",
            "serviceAccount:kcm-eu-frankfurt@acme.iam.gserviceaccount.com",
            "umask 077",
        ] {
            assert!(script.contains(part), "{part}: {script}");
        }
        let words = ["kcm", "l1", "permissions", "google-kms", "--region", "r", "--ref"];
        for bad in [
            "root",
            "projects/$(x)/locations/l/keyRings/r/cryptoKeys/k",
            "projects/a/locations/l/keyRings/r/cryptoKeys/k/x",
        ] {
            assert!(Cli::try_parse_from(words.iter().chain([&bad])).is_err(), "{bad}");
        }
    }

    const AZURE: &str = "azure-key-vault --region eu-frankfurt --ref https://acme.vault.azure.net/keys/root";

    #[test]
    fn at_azure_three_actions_are_assigned_at_one_key() {
        assert_eq!(printed(AZURE).json["DataActions"], json!(recipe::AZURE_ACTIONS));
        let script = printed(&format!("{AZURE} --form script")).text;
        for part in [
            "--vault-name acme --name root",
            "Microsoft.KeyVault/vaults/keys/unwrap/action",
            "\"AssignableScopes\": [\n    \"$group\"",
            "--scope \"$vault/keys/root\"",
            "printf 'client_id = %s\\ncertificate = kcm-eu-frankfurt.pem\\n'",
            "umask 077",
        ] {
            assert!(script.contains(part), "{part}: {script}");
        }
        let hsm = AZURE.replace("acme.vault", "acme.managedhsm");
        let script = printed(&format!("{hsm} --form script")).text;
        for part in ["--hsm-name acme --name root --kty RSA-HSM", AZURE_HSM_ROLE, "--scope /keys/root"] {
            assert!(script.contains(part), "{part}: {script}");
        }
        assert_eq!(printed(&hsm).json, json!({ "role": AZURE_HSM_ROLE, "scope": "/keys/root" }));
        let words = ["kcm", "l1", "permissions", "azure-key-vault", "--region", "r", "--ref"];
        for bad in [
            "root",
            "http://a.vault.azure.net/keys/k",
            "https://a.vault.azure.net/keys/k/1",
            "https://$(x).vault.azure.net/keys/k",
        ] {
            assert!(Cli::try_parse_from(words.iter().chain([&bad])).is_err(), "{bad}");
        }
    }

    /// What is printed for people is what programs get.
    #[test]
    fn a_policy_is_the_same_in_both_forms() {
        let google = format!("google-kms --ref {GOOGLE} --region eu-frankfurt");
        for line in [
            AWS,
            AZURE,
            &google,
            "kmip",
            "vault-transit --ref acme-root --region eu-frankfurt",
            "pkcs11 --label acme-root",
        ] {
            let report = printed(line);
            assert_eq!(serde_json::from_str::<Value>(&report.text).unwrap(), report.json, "{line}");
        }
        let script = printed("vault-transit --ref acme-root --region eu-frankfurt --form script").text;
        let policy = printed("vault-transit --ref acme-root --region eu-frankfurt").text;
        assert!(script.contains(&policy) && script.contains("umask 077"), "{script}");
    }

    #[test]
    fn nothing_that_a_shell_reads_gets_into_a_script() {
        for bad in ["vault-transit --ref a;b --region r", "vault-transit --ref $(x) --region r", "pkcs11 --label a`b`"]
        {
            let words = ["kcm", "l1", "permissions"].into_iter().chain(bad.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{bad}");
        }
    }
}
