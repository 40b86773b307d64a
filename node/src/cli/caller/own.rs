//! A certificate of a client's own, for whom no CA signs: its trust root names the certificate's fingerprint. Whoever runs the command
//! keeps the key; nobody else ever sees it.

use std::path::Path;

use jiff::{Timestamp, tz::TimeZone};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use zeroize::Zeroizing;

use crate::cli::{exit::Failure, files};

/// Whole years from the beginning of this month on.
const VALID_YEARS: i32 = 2;

/// Makes key and certificate and writes both into one new file, which only its owner may read. The certificate's CN is `name`.
pub(super) fn make(path: &Path, name: &str, now_s: u64) -> Result<(), Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::usage("a certificate cannot be made")
            .because(why)
            .fix("use another name, or `--ca` with one of your own")
    };
    let key = KeyPair::generate().map_err(|e| failed(&e))?;
    let certificate = parameters(name, now_s).and_then(|it| it.self_signed(&key)).map_err(|e| failed(&e))?;
    let secret = Zeroizing::new(key.serialize_pem());
    let both = Zeroizing::new([certificate.pem().as_bytes(), secret.as_bytes()].concat());
    files::write("certificate and key", path, &both, 0o600, false)
}

fn parameters(name: &str, now_s: u64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let now = i64::try_from(now_s).ok().and_then(|now| Timestamp::from_second(now).ok()).unwrap_or_default();
    let now = now.to_zoned(TimeZone::UTC);
    let month = now.month().unsigned_abs();
    params.not_before = date_time_ymd(i32::from(now.year()), month, 1);
    params.not_after = date_time_ymd(i32::from(now.year()).saturating_add(VALID_YEARS), month, 1);
    Ok(params)
}
