//! What an answer of Azure Key Vault means for the key (PROTOCOL §4).
//!
//! A refusal comes as `{"error": {"code", "message", "innererror": {"code"}}}` ("Azure Key Vault REST API error codes"). The vault says the same
//! 403 for a key that is disabled, a caller without the permission and a network that it does not let in: the inner code tells them apart, and
//! one that is not known here stops nobody.

use serde::Deserialize;

use crate::l1::{Fault, Stop, one_line};

/// What to make of an answer that is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stop(Stop),
    Fault(Fault),
    /// A value that can't be used: of an unwrap, a blob that does not belong to this key.
    BadParameter,
    /// No such key, or no such version of it: whoever asks for the key learns which.
    NotFound,
    /// The token counts no more, or never did.
    SignIn,
}

#[derive(Deserialize)]
pub(super) struct Refused {
    code: String,
    #[serde(default)]
    message: String,
    innererror: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    code: String,
}

impl Refused {
    /// `None` where the body is not in the vault's form.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            error: Refused,
        }
        serde_json::from_slice::<Body>(body).ok().map(|body| body.error)
    }

    fn inner(&self) -> &str {
        self.innererror.as_ref().map_or("", |inner| inner.code.as_str())
    }

    /// For people, in one line.
    pub(super) fn words(&self) -> String {
        let inner = Some(self.inner()).filter(|inner| !inner.is_empty()).map(|inner| format!(" ({inner})"));
        format!("{}{} {}", self.code, inner.unwrap_or_default(), one_line(&self.message))
    }
}

/// `refused` is what the body says, where it is the vault's.
pub(super) fn classify(status: u16, refused: Option<&Refused>) -> Verdict {
    match (status, refused.map(|refused| (refused.code.as_str(), refused.inner()))) {
        (429, _) => Verdict::Fault(Fault::Throttled),
        (500..=599, _) => Verdict::Fault(Fault::Server),
        (401, Some(_)) => Verdict::SignIn,
        (403, Some(("Forbidden", "KeyDisabled"))) => Verdict::Stop(Stop::Disabled),
        // Said to a caller whose token the vault has taken: an access policy, or a role, allows this no more.
        (403, Some(("Forbidden", "AccessDenied" | "ForbiddenByPolicy" | "ForbiddenByRbac"))) => {
            Verdict::Stop(Stop::Forbidden)
        }
        (403, Some(("Forbidden", "ForbiddenByFirewall" | "ForbiddenByConnection"))) => Verdict::Fault(Fault::Network),
        (404, Some(("KeyNotFound", _))) => Verdict::NotFound,
        (400, Some(("BadParameter", _))) => Verdict::BadParameter,
        _ => Verdict::Fault(Fault::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, code: &str, inner: &str) -> Verdict {
        let body = format!(r#"{{"error":{{"code":"{code}","message":"m","innererror":{{"code":"{inner}"}}}}}}"#);
        classify(status, Refused::read(body.as_bytes()).as_ref())
    }

    #[test]
    fn the_customers_no_is_told_from_everything_else() {
        assert_eq!(of(403, "Forbidden", "KeyDisabled"), Verdict::Stop(Stop::Disabled));
        for inner in ["AccessDenied", "ForbiddenByPolicy", "ForbiddenByRbac"] {
            assert_eq!(of(403, "Forbidden", inner), Verdict::Stop(Stop::Forbidden), "{inner}");
        }
        for inner in ["ForbiddenByFirewall", "ForbiddenByConnection"] {
            assert_eq!(of(403, "Forbidden", inner), Verdict::Fault(Fault::Network), "{inner}");
        }
        assert_eq!(of(404, "KeyNotFound", ""), Verdict::NotFound);
        assert_eq!(of(400, "BadParameter", ""), Verdict::BadParameter);
        assert_eq!(of(401, "Unauthorized", "AKV10000"), Verdict::SignIn);
        assert_eq!(of(429, "Throttled", ""), Verdict::Fault(Fault::Throttled));
        assert_eq!(of(503, "ServiceUnavailable", ""), Verdict::Fault(Fault::Server));
    }

    #[test]
    fn doubt_stops_nobody() {
        for (status, code, inner) in [
            (403, "Forbidden", "KeyNotYetValid"),
            (403, "Forbidden", ""),
            (403, "AuthorizationFailed", "ForbiddenByRbac"),
            (404, "VaultNotFound", ""),
            (409, "Conflict", "KeyDisabled"),
            (400, "Other", ""),
        ] {
            assert_eq!(of(status, code, inner), Verdict::Fault(Fault::Unknown), "{status} {code} {inner}");
        }
        for (status, body) in [(401, ""), (403, "<html>a proxy</html>"), (404, "{}"), (302, "")] {
            let refused = Refused::read(body.as_bytes());
            assert!(refused.is_none(), "{body}");
            assert_eq!(classify(status, refused.as_ref()), Verdict::Fault(Fault::Unknown), "{status}");
        }
    }

    #[test]
    fn its_words_are_one_line_with_both_codes() {
        let body =
            br#"{"error":{"code":"Forbidden","message":"Caller\nis not","innererror":{"code":"ForbiddenByRbac"}}}"#;
        assert_eq!(Refused::read(body).unwrap().words(), "Forbidden (ForbiddenByRbac) Caller is not");
        assert_eq!(Refused::read(br#"{"error":{"code":"A","message":"b"}}"#).unwrap().words(), "A b");
    }
}
