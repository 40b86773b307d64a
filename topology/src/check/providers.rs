//! What the fields of an L1 say together: each provider needs some (T0106) and has no use for others (T0102).

use crate::{
    file::{File, L1, Provider},
    finding::{At, Code, Finding, Place},
    places,
    reader::wrong,
    suggest::did_you_mean,
};

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    for (name, l1) in file.l1s() {
        let Some(provider) = &l1.value.provider else { continue };
        lacking(&name.value.0, provider, &l1.value, findings);
        strangers(provider, &l1.value, findings);
        match (provider.value, &l1.value.region) {
            (Provider::AwsKms, Some(region)) => aws_region(l1, region, findings),
            (Provider::AzureKeyVault | Provider::GoogleKms | Provider::VaultTransit, _) => {
                encrypted(&l1.value, findings)
            }
            _ => {}
        }
        roles(provider, &l1.value, findings);
    }
}

fn encrypted(l1: &L1, findings: &mut Vec<Finding>) {
    let plain = [&l1.endpoint, &l1.login].into_iter().flatten().filter(|url| !url.value.0.starts_with("https://"));
    findings.extend(plain.map(|url| {
        let mut finding = wrong(&url.place, "must be https");
        finding.help = "Write `https://HOST:PORT`: what the region signs in with crosses this line.".into();
        finding
    }));
}

/// What a provider needs, and what it may have besides. `tenants`, `mode`, `probe`, `auth` and `jurisdiction` belong to all.
fn fields(provider: Provider) -> (&'static [&'static str], &'static [&'static str]) {
    match provider {
        Provider::AwsKms => (&["region"], &["endpoint"]),
        Provider::AzureKeyVault => (&["jurisdiction", "endpoint", "directory", "ca"], &["login"]),
        Provider::GoogleKms => (&["jurisdiction", "ca"], &["endpoint"]),
        Provider::Kmip => (&["jurisdiction", "address", "ca"], &[]),
        Provider::VaultTransit => (&["jurisdiction", "endpoint", "ca"], &["mount", "namespace"]),
        Provider::Pkcs11 => (&["jurisdiction", "module", "token_label"], &["token_serial"]),
        Provider::Soft => (&["jurisdiction", "node", "listen", "store"], &[]),
    }
}

/// The fields that some providers have, where the file has them.
fn found(l1: &L1) -> Vec<(&'static str, &Place)> {
    let places = [
        ("region", l1.region.as_ref().map(|a| &a.place)),
        ("endpoint", l1.endpoint.as_ref().map(|a| &a.place)),
        ("login", l1.login.as_ref().map(|a| &a.place)),
        ("address", l1.address.as_ref().map(|a| &a.place)),
        ("directory", l1.directory.as_ref().map(|a| &a.place)),
        ("ca", l1.ca.as_ref().map(|a| &a.place)),
        ("mount", l1.mount.as_ref().map(|a| &a.place)),
        ("namespace", l1.namespace.as_ref().map(|a| &a.place)),
        ("module", l1.module.as_ref().map(|a| &a.place)),
        ("token_label", l1.token_label.as_ref().map(|a| &a.place)),
        ("token_serial", l1.token_serial.as_ref().map(|a| &a.place)),
        ("jurisdiction", l1.jurisdiction.as_ref().map(|a| &a.place)),
        ("node", l1.node.as_ref().map(|a| &a.place)),
        ("listen", l1.listen.as_ref().map(|a| &a.place)),
        ("store", l1.store.as_ref().map(|a| &a.place)),
    ];
    places.into_iter().filter_map(|(field, place)| Some((field, place?))).collect()
}

fn lacking(name: &str, provider: &At<Provider>, l1: &L1, findings: &mut Vec<Finding>) {
    let (found, (needs, _)) = (found(l1), fields(provider.value));
    let there = |field: &str| found.iter().any(|(name, _)| *name == field);
    let missing: Vec<_> = needs.iter().filter(|field| !there(field)).map(|field| format!("`{field}`")).collect();
    if !missing.is_empty() {
        let message = format!("L1 `{name}` of provider `{}` lacks {}", provider.value.as_str(), missing.join(", "));
        let help = "Add what is missing; `samples/demo.toml` shows each field with its meaning.";
        findings.push(Finding::new(Code::Missing, message, help).at(&provider.place, "this provider needs more"));
    }
}

fn strangers(provider: &At<Provider>, l1: &L1, findings: &mut Vec<Finding>) {
    let (needs, may) = fields(provider.value);
    let of_all = ["jurisdiction"];
    let known = |field: &str| needs.iter().chain(may).chain(&of_all).any(|name| *name == field);
    for (field, place) in found(l1).into_iter().filter(|(field, _)| !known(field)) {
        let message = format!("`{field}` means nothing for an L1 of provider `{}`", provider.value.as_str());
        let help = "Remove the field, or correct `provider`.";
        let finding = Finding::new(Code::WrongValue, message, help);
        findings.push(finding.at(place, "has no effect").at(&provider.place, "because of this provider"));
    }
}

/// A provider without roles signs in with a credential file.
fn roles(provider: &At<Provider>, l1: &L1, findings: &mut Vec<Finding>) {
    if provider.value == Provider::AwsKms {
        return;
    }
    for (_, auth) in l1.auth.iter().flat_map(|table| &table.value.entries) {
        if let Some(role) = &auth.value.role_arn {
            let message = format!("an L1 of provider `{}` has no roles to assume", provider.value.as_str());
            let help = "Write `credentials_file = \"…\"` instead.";
            findings.push(Finding::new(Code::WrongValue, message, help).at(&role.place, "means nothing here"));
        }
    }
}

/// An AWS region says where the key lies. One that this release does not know needs `jurisdiction`; the two may not contradict.
fn aws_region(l1: &At<L1>, region: &At<String>, findings: &mut Vec<Finding>) {
    let known = places::of_aws(&region.value);
    match (known, &l1.value.jurisdiction) {
        (Some(country), Some(said)) if said.value.as_str() != country => {
            let message = format!("AWS region `{}` lies in {country}, not in {}", region.value, said.value);
            let finding = Finding::new(Code::WrongValue, message, "Remove `jurisdiction`, or correct `region`.");
            findings.push(finding.at(&said.place, "says otherwise").at(&region.place, "lies there"));
        }
        (None, None) => {
            let near = did_you_mean(&region.value, places::aws_regions());
            let why = format!("names no AWS region that this release knows{near}");
            let mut finding = wrong(&region.place, &why);
            finding.help = "Correct it, or add `jurisdiction` with the country in which it lies.".into();
            findings.push(finding);
        }
        (Some(_), _) | (None, Some(_)) => {}
    }
}
