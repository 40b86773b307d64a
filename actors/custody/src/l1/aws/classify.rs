//! What an answer of AWS KMS means: one pure match on the error code and the HTTP status (AWS KMS API reference, "Errors" of
//! DescribeKey, Encrypt and Decrypt, and "Common errors").
//!
//! PROTOCOL §4: only the KMS itself can stop a tenant, so a code counts as a refusal only with the 4xx status that belongs to it.
//! Everything else, codes that are not known here included, is a fault of the world.

use crate::l1::{Fault, State, Stop};

/// What to make of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stop(Stop),
    /// The key's state forbids the operation: ask DescribeKey which state it is.
    AskState,
    /// The KMS refuses: FORBIDDEN only if the identity call succeeds now.
    AskIdentity,
    Mismatch,
    Unfit,
    Fault(Fault),
}

/// `code` is the error code of the answer, `status` its HTTP status; both absent where there was no answer at all.
pub(super) fn classify(code: Option<&str>, status: Option<u16>) -> Verdict {
    let Some(status) = status else { return Verdict::Fault(Fault::Network) };
    match (status, code) {
        (400..=499, Some(code)) => refusal(code),
        (429, None) => Verdict::Fault(Fault::Throttled),
        (500..=599, _) => Verdict::Fault(Fault::Server),
        _ => Verdict::Fault(Fault::Unknown),
    }
}

fn refusal(code: &str) -> Verdict {
    match code {
        "DisabledException" => Verdict::Stop(Stop::Disabled),
        "NotFoundException" => Verdict::Stop(Stop::Deleted),
        "KMSInvalidStateException" => Verdict::AskState,
        "AccessDeniedException" => Verdict::AskIdentity,
        "InvalidCiphertextException" | "IncorrectKeyException" => Verdict::Mismatch,
        "InvalidKeyUsageException"
        | "InvalidArnException"
        | "ValidationException"
        | "UnsupportedOperationException" => Verdict::Unfit,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "OptInRequired" => Verdict::Fault(Fault::Credential),
        "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "RequestExpired" => Verdict::Fault(Fault::Signature),
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "TooManyRequestsException" => Verdict::Fault(Fault::Throttled),
        "KMSInternalException"
        | "DependencyTimeoutException"
        | "KeyUnavailableException"
        | "InternalFailure"
        | "ServiceUnavailable" => Verdict::Fault(Fault::Server),
        _ => Verdict::Fault(Fault::Unknown),
    }
}

/// The states of DescribeKey (AWS KMS developer guide, "Key states of AWS KMS keys").
///
/// PendingImport is a customer who took the imported key material away, which is a stop as meant as disabling. Unavailable is a custom
/// key store that doesn't answer its own KMS: nobody said no. A state that is not known here is not a refusal either.
pub(super) fn key_state(state: &str) -> State {
    match state {
        "Enabled" => State::Enabled,
        "Disabled" | "PendingImport" => State::Disabled,
        "PendingDeletion" | "PendingReplicaDeletion" => State::PendingDeletion,
        _ => State::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_documented_code_has_its_verdict() {
        let golden = [
            ("DisabledException", Verdict::Stop(Stop::Disabled)),
            ("NotFoundException", Verdict::Stop(Stop::Deleted)),
            ("KMSInvalidStateException", Verdict::AskState),
            ("AccessDeniedException", Verdict::AskIdentity),
            ("InvalidCiphertextException", Verdict::Mismatch),
            ("IncorrectKeyException", Verdict::Mismatch),
            ("InvalidKeyUsageException", Verdict::Unfit),
            ("UnrecognizedClientException", Verdict::Fault(Fault::Credential)),
            ("ExpiredTokenException", Verdict::Fault(Fault::Credential)),
            ("InvalidSignatureException", Verdict::Fault(Fault::Signature)),
            ("ThrottlingException", Verdict::Fault(Fault::Throttled)),
            ("KMSInternalException", Verdict::Fault(Fault::Server)),
            ("KeyUnavailableException", Verdict::Fault(Fault::Server)),
        ];
        for (code, verdict) in golden {
            assert_eq!(classify(Some(code), Some(400)), verdict, "{code}");
        }
    }

    #[test]
    fn no_answer_is_the_network() {
        assert_eq!(classify(None, None), Verdict::Fault(Fault::Network));
        assert_eq!(classify(Some("AccessDeniedException"), None), Verdict::Fault(Fault::Network));
    }

    #[test]
    fn a_proxy_page_with_403_is_no_refusal() {
        assert_eq!(classify(None, Some(403)), Verdict::Fault(Fault::Unknown));
        assert_eq!(classify(Some("403"), Some(403)), Verdict::Fault(Fault::Unknown));
    }

    #[test]
    fn key_states_of_the_developer_guide() {
        assert_eq!(key_state("Enabled"), State::Enabled);
        assert_eq!(key_state("Disabled"), State::Disabled);
        assert_eq!(key_state("PendingImport"), State::Disabled);
        assert_eq!(key_state("PendingDeletion"), State::PendingDeletion);
        assert_eq!(key_state("Unavailable"), State::Unreachable);
        assert_eq!(key_state("Creating"), State::Unreachable);
    }

    proptest! {
        /// Whatever a server fault says, it stops nobody.
        #[test]
        fn a_5xx_is_never_a_stop(code in proptest::option::of("[A-Za-z]{0,40}"), status in 500_u16..600) {
            prop_assert_eq!(classify(code.as_deref(), Some(status)), Verdict::Fault(Fault::Server));
        }

        /// A code that is not written down here stops nobody, whatever it looks like.
        #[test]
        fn an_unknown_code_is_a_fault(code in "[A-Z][a-z]{3,12}(Denied|Forbidden|Disabled)?Error", status in 400_u16..500) {
            prop_assert_eq!(classify(Some(&code), Some(status)), Verdict::Fault(Fault::Unknown));
        }
    }
}
