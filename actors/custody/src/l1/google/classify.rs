//! What an answer of Google Cloud KMS means: one pure match on status, reason and message (Cloud APIs design guide, "Errors"; Cloud KMS
//! documentation, "Data integrity guidelines" and the REST reference).
//!
//! Only an answer in Google's own form, `{"error": {…}}`, can be a refusal; a page of a proxy never is. Statuses and reasons that are not
//! known here are a fault of the world.

use serde::Deserialize;

use crate::l1::{Fault, Stop, one_line};

/// What to make of an answer that is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stop(Stop),
    /// A version is not enabled; which state it is in is asked for.
    AskVersion,
    Mismatch,
    Fault(Fault),
}

/// Google's form of an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Refused {
    /// Such as `PERMISSION_DENIED`.
    pub(super) status: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

/// Of the details only an ErrorInfo has a reason.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Detail {
    #[serde(default)]
    reason: Option<String>,
}

impl Refused {
    /// `None` where the body is not in Google's form.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wrapped {
            error: Refused,
        }
        serde_json::from_slice::<Wrapped>(body).ok().map(|wrapped| wrapped.error)
    }

    /// For people, in one line.
    pub(super) fn words(&self) -> String {
        format!("{} {}", self.status, one_line(&self.message))
    }

    fn has_reason(&self, wanted: &str) -> bool {
        self.details.iter().any(|detail| detail.reason.as_deref() == Some(wanted))
    }
}

/// `refused` is what the body says, where it is Google's.
pub(super) fn classify(status: u16, refused: Option<&Refused>) -> Verdict {
    match (status, refused.map(|refused| (refused.status.as_str(), refused))) {
        (429, _) => Verdict::Fault(Fault::Throttled),
        (500..=599, _) => Verdict::Fault(Fault::Server),
        (401, Some(("UNAUTHENTICATED", _))) => Verdict::Fault(Fault::Credential),
        // Whoever is not known gets 401: this is said to one whom Google knows. A project whose API is off or whose bill is unpaid says
        // 403, too, and another reason.
        (403, Some(("PERMISSION_DENIED", refused))) if refused.has_reason("IAM_PERMISSION_DENIED") => {
            Verdict::Stop(Stop::Forbidden)
        }
        (404, Some(("NOT_FOUND", _))) => Verdict::Stop(Stop::Deleted),
        (400, Some(("FAILED_PRECONDITION", _))) => Verdict::AskVersion,
        (400, Some(("INVALID_ARGUMENT", refused))) if refused.message.starts_with("Decryption failed") => {
            Verdict::Mismatch
        }
        _ => Verdict::Fault(Fault::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(status: &str, message: &str, reason: Option<&str>) -> Refused {
        let details = reason.map(|reason| Detail { reason: Some(reason.to_owned()) }).into_iter().collect();
        Refused { status: status.to_owned(), message: message.to_owned(), details }
    }

    #[test]
    fn each_documented_answer_has_its_verdict() {
        let golden = [
            (401, refused("UNAUTHENTICATED", "invalid credentials", None), Verdict::Fault(Fault::Credential)),
            (
                403,
                refused("PERMISSION_DENIED", "Permission 'x' denied", Some("IAM_PERMISSION_DENIED")),
                Verdict::Stop(Stop::Forbidden),
            ),
            (
                403,
                refused("PERMISSION_DENIED", "API has not been used", Some("SERVICE_DISABLED")),
                Verdict::Fault(Fault::Unknown),
            ),
            (403, refused("PERMISSION_DENIED", "no reason", None), Verdict::Fault(Fault::Unknown)),
            (404, refused("NOT_FOUND", "CryptoKey x not found.", None), Verdict::Stop(Stop::Deleted)),
            (400, refused("FAILED_PRECONDITION", "x is not enabled", None), Verdict::AskVersion),
            (400, refused("INVALID_ARGUMENT", "Decryption failed: verify that", None), Verdict::Mismatch),
            (400, refused("INVALID_ARGUMENT", "The checksum did not match", None), Verdict::Fault(Fault::Unknown)),
            (429, refused("RESOURCE_EXHAUSTED", "Quota exceeded", None), Verdict::Fault(Fault::Throttled)),
            (503, refused("UNAVAILABLE", "try again", None), Verdict::Fault(Fault::Server)),
            (500, refused("NOT_FOUND", "", None), Verdict::Fault(Fault::Server)),
            (307, refused("NOT_FOUND", "", None), Verdict::Fault(Fault::Unknown)),
        ];
        for (status, refused, verdict) in golden {
            assert_eq!(classify(status, Some(&refused)), verdict, "{status} {refused:?}");
        }
    }

    #[test]
    fn a_body_is_read_with_its_details() {
        let body = br#"{"error":{"code":403,"message":"no\n  way","status":"PERMISSION_DENIED","details":[
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"IAM_PERMISSION_DENIED","domain":"iam.googleapis.com",
             "metadata":{"permission":"cloudkms.cryptoKeyVersions.useToDecrypt"}},{"@type":"type.googleapis.com/google.rpc.Help"}]}}"#;
        let read = Refused::read(body).unwrap();
        assert_eq!(
            (classify(403, Some(&read)), read.words().as_str()),
            (Verdict::Stop(Stop::Forbidden), "PERMISSION_DENIED no way")
        );
        assert_eq!(Refused::read(b"<html>no</html>"), None);
    }

    proptest! {
        /// An answer that is not in Google's form stops nobody, whatever its status.
        #[test]
        fn a_proxy_s_page_is_never_a_stop(status in 300_u16..600) {
            prop_assert!(matches!(classify(status, None), Verdict::Fault(_)));
        }

        /// Statuses and reasons that are not written down here stop nobody.
        #[test]
        fn unknown_words_are_a_fault(words in "[A-Z_]{1,20}", message in "[a-z ]{0,30}", status in 400_u16..499) {
            let known = ["PERMISSION_DENIED", "NOT_FOUND", "FAILED_PRECONDITION", "INVALID_ARGUMENT", "UNAUTHENTICATED"];
            prop_assume!(!known.contains(&words.as_str()));
            prop_assert!(matches!(classify(status, Some(&refused(&words, &message, Some(&words)))), Verdict::Fault(_)));
        }
    }
}
