//! How a trust root names somebody at an identity provider: issuer and subject in one text (PROTOCOL §3).
//!
//! `ISSUER#SUBJECT`. An issuer has no fragment (OpenID Connect Discovery §3), so its first `#` ends it, and no two pairs have one text. A
//! program that signs in as itself is `ISSUER#client:CLIENT_ID`: no person's subject may begin so, or whoever may choose the id of a client
//! would choose whom it speaks for.

/// Longest issuer, in bytes.
pub const ISSUER_BYTES_MAX: usize = 512;
/// Longest subject, in bytes (OpenID Connect Core §2).
pub const SUBJECT_BYTES_MAX: usize = 255;
/// What a program's subject begins with.
const CLIENT: &str = "client:";

/// Why nobody can be named so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSubject {
    #[error(
        "an issuer is an https or http URL of at most {ISSUER_BYTES_MAX} visible ASCII characters, without `?` and `#`"
    )]
    Issuer,
    #[error("a subject has 1 to {SUBJECT_BYTES_MAX} visible ASCII characters")]
    Subject,
    #[error("a person's subject does not begin with `{CLIENT}`: programs are named so")]
    Program,
}

/// The text for a person.
pub fn of_person(issuer: &str, subject: &str) -> Result<String, BadSubject> {
    if subject.starts_with(CLIENT) {
        return Err(BadSubject::Program);
    }
    joined(issuer, "", subject)
}

/// The text for a program that signs in with an id of its own.
pub fn of_program(issuer: &str, client_id: &str) -> Result<String, BadSubject> {
    joined(issuer, CLIENT, client_id)
}

fn joined(issuer: &str, kind: &str, subject: &str) -> Result<String, BadSubject> {
    let visible =
        |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let url = issuer.starts_with("https://") || issuer.starts_with("http://");
    if !url || !visible(issuer, ISSUER_BYTES_MAX) || issuer.contains(['?', '#']) {
        return Err(BadSubject::Issuer);
    }
    if !visible(subject, SUBJECT_BYTES_MAX) {
        return Err(BadSubject::Subject);
    }
    Ok(format!("{issuer}#{kind}{subject}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://idp.example/realm";

    #[test]
    fn two_pairs_never_have_one_text() {
        assert_eq!(of_person(ISSUER, "a#b").unwrap(), "https://idp.example/realm#a#b");
        assert_eq!(of_person("https://idp.example/realm#a", "b"), Err(BadSubject::Issuer));
        assert_eq!(of_person("https://idp.example/?x", "b"), Err(BadSubject::Issuer));
    }

    #[test]
    fn a_program_is_no_person_and_the_reverse() {
        assert_eq!(of_program(ISSUER, "ci").unwrap(), "https://idp.example/realm#client:ci");
        assert_eq!(of_person(ISSUER, "client:ci"), Err(BadSubject::Program));
        assert_ne!(of_program(ISSUER, "alice"), of_person(ISSUER, "alice"));
    }

    #[test]
    fn what_hides_something_or_is_too_long_names_nobody() {
        for bad in ["", "a b", "a\n", "é", &"x".repeat(SUBJECT_BYTES_MAX + 1)] {
            assert_eq!(of_person(ISSUER, bad), Err(BadSubject::Subject), "{bad}");
        }
        for bad in ["", "idp", "ftp://x", "https://a b", &format!("https://{}", "x".repeat(ISSUER_BYTES_MAX))] {
            assert_eq!(of_person(bad, "a"), Err(BadSubject::Issuer), "{bad}");
        }
    }
}
