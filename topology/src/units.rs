//! Durations (`24h`), sizes (`64MiB`) and the other scalars of a topology file, each with an error that says what was expected.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

use orbital::names::Digest;

use crate::ledger::HostPort;

const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: &[(&str, u64)] = &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Splits `64MiB` into 64 and `MiB` and multiplies.
fn measured(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The largest unit that divides the value.
fn spelled(value: u64, units: &[(&str, u64)]) -> String {
    let fits = units.iter().rev().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    let (unit, factor) = fits.or(units.first()).copied().unwrap_or(("", 1));
    format!("{}{unit}", value / factor)
}

/// A span of time, such as `250ms`, `30s`, `2m`, `24h` or `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// Whole milliseconds of `duration`; a file cannot hold less.
    pub fn new(duration: Duration) -> Self {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(Duration::from_millis(ms))
    }
    pub const fn hours(hours: u64) -> Self {
        Self(Duration::from_secs(hours.saturating_mul(3600)))
    }
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
    pub const fn ms(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no duration: write a number and ms, s, m, h or d, such as \"24h\"");
        measured(text, DURATIONS).map(|ms| Self(Duration::from_millis(ms))).ok_or_else(bad)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In hours at most: 72h is what people wrote, and compare.
        let units = DURATIONS.split_last().map_or(DURATIONS, |(_days, shorter)| shorter);
        f.write_str(&spelled(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), units))
    }
}

/// A number of bytes, such as `64MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// Whole KiB, rounded up; a file cannot hold less.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes.div_ceil(1024).saturating_mul(1024))
    }
    pub const fn mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no size: write a number and KiB, MiB, GiB or TiB, such as \"64MiB\"");
        measured(text, SIZES).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&spelled(self.0, SIZES))
    }
}

/// A 32-byte public key (Ed25519 or X25519), written as base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl FromStr for PublicKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |_| format!("`{text}` is no public key: expected 43 characters of base64url (32 bytes)");
        text.parse::<Digest>().map(|digest| Self(digest.0)).map_err(bad)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Digest(self.0), f)
    }
}
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `address` as an IP address and a port from 1 to 65535.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let bad_port = |port: &str| format!("a port is 1-65535, found {port}");
    let example = "write an IP address and a port, such as \"127.0.0.1:5696\" or \"[::1]:5696\"";
    let port = text.rsplit_once(':').map(|(_, port)| port).filter(|p| p.bytes().all(|b| b.is_ascii_digit()));
    match (text.parse::<SocketAddr>(), port) {
        (Ok(address), _) if address.port() == 0 => Err(bad_port("0")),
        (Ok(address), _) => Ok(address),
        (Err(_), Some(port)) if port.parse::<u16>().is_err() && !port.is_empty() => Err(bad_port(port)),
        (Err(_), _) => Err(format!("`{text}` is no address: {example}")),
    }
}

/// `http://` or `https://`, a host, and nothing that could hide a password.
pub(crate) fn endpoint(text: &str) -> Result<String, String> {
    let bad = |why: &str| Err(format!("`{text}` is no endpoint ({why}): write \"https://host[:port]\""));
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return bad("it begins with neither https:// nor http://");
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') {
        return Err("an endpoint with a user or password in it is a secret in the file: use `credentials_file`".into());
    }
    if host.is_empty() || rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return bad("it names no host");
    }
    Ok(text.to_owned())
}

/// A DNS name or an IP address, without a port.
pub(crate) fn host(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let name = !text.is_empty() && text.len() <= 253 && text.bytes().all(plain);
    if name || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no host: write a DNS name or an IP address, without a port"))
}

/// A host and a port; without one, the `port` that is usual there. An IPv6 address that names a port stands in brackets.
pub(crate) fn host_port(text: &str, port: u16) -> Result<HostPort, String> {
    let bare = text.parse::<std::net::Ipv6Addr>().is_ok();
    let (name, port) = match text.rsplit_once(':').filter(|_| !bare) {
        None => (text, port),
        Some((name, port)) => {
            let number = port.parse().ok().filter(|port| *port != 0);
            (name, number.ok_or_else(|| format!("`{port}` is no port: write 1 to 65535"))?)
        }
    };
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    Ok(HostPort { host: host(name)?, port })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_have_a_port() {
        let shown = |text: &str| host_port(text, 5432).map(|host| host.to_string());
        for (text, whole) in [
            ("db-1.example", "db-1.example:5432"),
            ("10.0.0.5:6000", "10.0.0.5:6000"),
            ("[::1]:6000", "[::1]:6000"),
            ("::1", "[::1]:5432"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(whole));
        }
        for bad in ["", ":5432", "db:0", "db:70000", "db:x", "a b:1", "user@db:1", "[db:1"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_and_sizes_read_as_people_write_them() {
        assert_eq!("24h".parse(), Ok(Span::hours(24)));
        assert_eq!("250ms".parse(), Ok(Span::ms(250)));
        assert_eq!("64MiB".parse(), Ok(Size::mib(64)));
        for bad in
            ["", "24", "h", "24 h", "-1h", "1.5h", "24H", "99999999999999999999d", "18446744073709551615d", "ü1h"]
        {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        for bad in ["64", "64MB", "64mib", "MiB", "99999999999TiB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_needs_an_ip_and_a_port() {
        assert!(listen_address("127.0.0.1:5696").is_ok());
        assert!(listen_address("[::]:5696").is_ok());
        assert_eq!(listen_address("127.0.0.1:70000"), Err("a port is 1-65535, found 70000".into()));
        assert_eq!(listen_address("127.0.0.1:0"), Err("a port is 1-65535, found 0".into()));
        for bad in ["localhost:5696", "127.0.0.1", ":5696", "", "127.0.0.1:"] {
            assert!(listen_address(bad).unwrap_err().contains("such as"), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_is_a_url_without_a_user() {
        assert!(endpoint("http://127.0.0.1:4566").is_ok());
        assert!(endpoint("https://kms.example/x").is_ok());
        for bad in ["ftp://a", "https://", "kms.example", "https://a b"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
        let with_user = endpoint("https://me:pw123@host").unwrap_err();
        assert!(!with_user.contains("pw123"));
        assert!(host("gov.example").is_ok() && host("::1").is_ok() && host("a:1").is_err() && host("").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ms: u64, bytes in 0..u64::MAX / 2, key: [u8; 32]) {
            let (span, size, key) = (Span::ms(ms), Size::new(bytes), PublicKey(key));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }
    }
}
