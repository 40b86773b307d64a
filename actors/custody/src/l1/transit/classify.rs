//! What an answer of a transit engine means: one pure match on status and errors (OpenBao API documentation, "HTTP status codes" and
//! "Transit secrets engine"; the texts are those of OpenBao 2.7, which Vault shares).
//!
//! Only an answer in the engine's own form, `{"errors": […]}`, can be a refusal; a page of a proxy never is. Texts that are not known
//! here are a fault of the world.

use serde::Deserialize;

use crate::l1::{Fault, Stop, one_line};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The key's description.
    Key,
    /// Encrypt or decrypt.
    Cipher,
}

/// What to make of an answer that is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stop(Stop),
    /// The engine refuses: FORBIDDEN only if our identity is known there now.
    AskIdentity,
    Mismatch,
    Unfit,
    Fault(Fault),
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// The engine's own words, in one line; `None` where the body is not in its form.
pub(super) fn words(body: &[u8]) -> Option<String> {
    let Errors { errors } = serde_json::from_slice(body).ok()?;
    Some(one_line(&errors.join("; ")))
}

pub(super) fn classify(asked: Asked, status: u16, words: Option<&str>) -> Verdict {
    match (status, words) {
        (429, _) => Verdict::Fault(Fault::Throttled),
        (500..=599, _) => Verdict::Fault(Fault::Server),
        (403, Some(_)) => Verdict::AskIdentity,
        // No words: the mount answers and has no such key. A mount or a namespace that is absent has words.
        (404, Some("")) if asked == Asked::Key => Verdict::Stop(Stop::Deleted),
        (400, Some(words)) if asked == Asked::Cipher => refusal(words),
        _ => Verdict::Fault(Fault::Unknown),
    }
}

fn refusal(words: &str) -> Verdict {
    let says = |text: &str| words.contains(text);
    if says("encryption key not found") {
        Verdict::Stop(Stop::Deleted)
    } else if says("refusing to use soft-deleted key") {
        Verdict::Stop(Stop::PendingDeletion)
    } else if says("message authentication failed")
        || says("invalid ciphertext")
        || says("ciphertext or signature version is disallowed by policy")
    {
        Verdict::Mismatch
    } else if says("missing 'context' for key derivation") || says("non-AEAD cipher suite") {
        Verdict::Unfit
    } else {
        Verdict::Fault(Fault::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_documented_answer_has_its_verdict() {
        use Asked::{Cipher, Key};
        let golden = [
            (Key, 403, "1 error occurred: * permission denied", Verdict::AskIdentity),
            (Cipher, 403, "permission denied", Verdict::AskIdentity),
            (Key, 404, "", Verdict::Stop(Stop::Deleted)),
            (Cipher, 404, "", Verdict::Fault(Fault::Unknown)),
            (
                Key,
                404,
                "no handler for route \"transit/keys/a\". route entry not found.",
                Verdict::Fault(Fault::Unknown),
            ),
            (Key, 404, "namespace not found", Verdict::Fault(Fault::Unknown)),
            (Cipher, 400, "encryption key not found", Verdict::Stop(Stop::Deleted)),
            (Cipher, 400, "refusing to use soft-deleted key", Verdict::Stop(Stop::PendingDeletion)),
            (Cipher, 400, "cipher: message authentication failed", Verdict::Mismatch),
            (Cipher, 400, "chacha20poly1305: message authentication failed", Verdict::Mismatch),
            (Cipher, 400, "invalid ciphertext: version is too new", Verdict::Mismatch),
            (Cipher, 400, "invalid ciphertext length", Verdict::Mismatch),
            (Cipher, 400, "ciphertext or signature version is disallowed by policy (too old)", Verdict::Mismatch),
            (Cipher, 400, "missing 'context' for key derivation; the key was", Verdict::Unfit),
            (Cipher, 400, "'[0].associated_data' provided for non-AEAD cipher suite rsa-2048", Verdict::Unfit),
            (Key, 400, "encryption key not found", Verdict::Fault(Fault::Unknown)),
            (Key, 429, "request path \"transit\": rate limit quota exceeded", Verdict::Fault(Fault::Throttled)),
            (Cipher, 503, "Vault is sealed", Verdict::Fault(Fault::Server)),
            (Cipher, 500, "encryption key not found", Verdict::Fault(Fault::Server)),
            (Cipher, 307, "", Verdict::Fault(Fault::Unknown)),
        ];
        for (asked, status, words, verdict) in golden {
            assert_eq!(classify(asked, status, Some(words)), verdict, "{status} {words}");
        }
    }

    #[test]
    fn words_are_those_of_the_engine_in_one_line() {
        let body = br#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#;
        assert_eq!(words(body).as_deref(), Some("1 error occurred: * permission denied"));
        assert_eq!(words(br#"{"errors":[]}"#).as_deref(), Some(""));
        assert_eq!(words(b"<html>no</html>"), None);
    }

    proptest! {
        /// An answer that is not in the engine's form stops nobody, whatever its status.
        #[test]
        fn a_proxy_s_page_is_never_a_stop(status in 300_u16..600) {
            for asked in [Asked::Key, Asked::Cipher] {
                prop_assert!(matches!(classify(asked, status, None), Verdict::Fault(_)));
            }
        }

        /// Texts that are not written down here stop nobody.
        #[test]
        fn unknown_words_are_a_fault(words in "[a-z ]{1,30}", status in prop_oneof![Just(400_u16), Just(404), Just(409)]) {
            for asked in [Asked::Key, Asked::Cipher] {
                prop_assert_eq!(classify(asked, status, Some(&words)), Verdict::Fault(Fault::Unknown));
            }
        }
    }
}
