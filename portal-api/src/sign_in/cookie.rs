//! The two cookies: `__Host-` binds them to this host, over TLS, for every path (RFC 6265bis §4.1.3.2); no script reads them.

use http::{HeaderMap, HeaderValue, header};

/// Holds the secret of a session.
pub(crate) const SESSION: &str = "__Host-kcm-session";
/// Holds the secret of a sign-in that has begun.
pub(crate) const SIGN_IN: &str = "__Host-kcm-signin";

/// The value of a cookie. One that is sent twice is nobody's.
pub(crate) fn read<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Sets one for so many seconds; none takes it away. Lax: the provider sends the browser back from another site.
pub(crate) fn set(name: &str, value: &str, seconds: u64) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_read_and_two_are_none() {
        let of = |line: &'static str| HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(line))]);
        assert_eq!(read(&of("a=1; __Host-kcm-session=x"), SESSION), Some("x"));
        assert_eq!(read(&of("__Host-kcm-session=x; __Host-kcm-session=y"), SESSION), None);
        assert_eq!(read(&of("kcm-session=x; X__Host-kcm-session=y"), SESSION), None);
        let mut twice = of("__Host-kcm-session=x");
        twice.append(header::COOKIE, HeaderValue::from_static("__Host-kcm-session=x"));
        assert_eq!(read(&twice, SESSION), None);
    }
}
