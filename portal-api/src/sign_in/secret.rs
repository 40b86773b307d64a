//! Secrets that a browser keeps: 256 random bits as text. Here only their digests stay.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// The digest by which a secret is found again.
pub(crate) type Trace = [u8; 32];

/// Characters of 256 bits in base64url.
const TEXT_BYTES: usize = 43;

/// A new one.
pub(crate) fn fresh() -> Result<String, Problem> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|why| Problem::fault("the system's random generator", &why))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The digest of a secret as somebody brought it; none where it can't be one of ours.
pub(crate) fn trace(secret: &str) -> Option<Trace> {
    (secret.len() == TEXT_BYTES).then(|| digest("kcm/secret", secret))
}

/// What proves that a request was made by a page that may read answers: only such a page learns it from `GET /v1/session`. It tells nothing
/// about the session's own secret, from which it is made.
pub(crate) fn csrf(session: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest("kcm/csrf", session))
}

/// The challenge of a verifier (RFC 7636 §4.2, S256).
pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// Takes as long for one wrong byte as for another.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

fn digest(purpose: &str, text: &str) -> Trace {
    Sha256::new().chain_update(purpose).chain_update([0]).chain_update(text).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_differ_and_their_digests_have_one_purpose_each() {
        let (one, two) = (fresh().unwrap(), fresh().unwrap());
        assert_ne!(one, two);
        assert_ne!(csrf(&one), csrf(&two));
        assert_ne!(trace(&one).map(|trace| URL_SAFE_NO_PAD.encode(trace)), Some(csrf(&one)));
        assert_eq!(trace("short"), None);
        assert!(same(b"a", b"a") && !same(b"a", b"b") && !same(b"a", b"aa"));
    }

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        let challenge = challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
