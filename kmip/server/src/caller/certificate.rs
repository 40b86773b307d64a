//! What a client certificate says of itself: names, dates, purpose.

use rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

use super::NotACaller;

fn read<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, NotACaller> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(NotACaller::Unreadable("bytes follow its end".to_owned())),
        Err(error) => Err(NotACaller::Unreadable(error.to_string())),
    }
}

/// SAN URIs, SAN DNS names and the subject's common names.
pub(super) fn names(der: &CertificateDer<'_>) -> Result<Vec<String>, NotACaller> {
    let certificate = read(der)?;
    let mut names: Vec<String> =
        certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect();
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(alternative) = extension.parsed_extension() {
            names.extend(alternative.general_names.iter().filter_map(|name| match name {
                GeneralName::URI(name) | GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            }));
        }
    }
    Ok(names)
}

/// Dates and purpose of a certificate that a fingerprint vouches for: nobody else checks them.
pub(super) fn check_alone(der: &CertificateDer<'_>, now: UnixTime) -> Result<(), NotACaller> {
    let certificate = read(der)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
        return Err(NotACaller::Expired);
    }
    let usage = certificate.extended_key_usage().map_err(|error| NotACaller::Unreadable(error.to_string()))?;
    match usage {
        Some(usage) if !usage.value.client_auth && !usage.value.any => Err(NotACaller::NotForClients),
        _ => Ok(()),
    }
}
