//! The one map from our errors to KMIP's result reasons (DESIGN §2.11b, KMIP 1.4 §11).
//!
//! | what happened | Result Reason |
//! |---|---|
//! | the tenant is killed | Item Not Found for everything: a polling mongod then stops |
//! | suspended | Permission Denied on protecting operations |
//! | blocked, or the customer's KMS refuses the key | Permission Denied: clients stay up and fail |
//! | L1 unreachable, lease over, sealed, disk, memory | General Failure, try again |
//! | absent, or of another tenant or system | Item Not Found, in the same words as for a killed tenant |

use custody::{
    Error, Kind,
    key_table::{Refused, Stop},
};
use kmip::{ProtocolVersion, ResultReason, WireError, message::Failure};
use policy::Decision;

/// What an operation answers instead of success.
pub(crate) type Outcome<T> = Result<T, Failure>;

pub(crate) fn fail(reason: ResultReason, message: impl Into<String>) -> Failure {
    Failure { reason, message: message.into() }
}

/// The object is not there, or not the caller's: the two cannot be told apart.
pub(crate) fn not_found() -> Failure {
    fail(ResultReason::ItemNotFound, "no object with this Unique Identifier exists here")
}

pub(crate) fn invalid_field(message: impl Into<String>) -> Failure {
    fail(ResultReason::InvalidField, message)
}

/// An identifier that no object of the caller's can have: in a form that is not ours, or another system's.
pub(crate) fn no_such_identifier() -> Failure {
    invalid_field("this server takes no object of yours under this Unique Identifier; Register gives it one of its own")
}

pub(crate) fn unsupported(message: impl Into<String>) -> Failure {
    fail(ResultReason::FeatureNotSupported, message)
}

pub(crate) fn denied(message: impl Into<String>) -> Failure {
    fail(ResultReason::PermissionDenied, message)
}

/// The world failed; the same request may succeed later.
pub(crate) fn try_again(message: &str) -> Failure {
    fail(ResultReason::GeneralFailure, format!("{message}; try again"))
}

pub(crate) fn of_wire(error: &WireError) -> Failure {
    error.into()
}

pub(crate) fn of_policy(decision: &Decision) -> Failure {
    tracing::info!(%decision, "policy refused a KMIP operation");
    denied("the tenant's policy does not permit this operation for this client; ask who approves the tenant's policy")
}

/// The tenant's gate is closed.
pub(crate) fn of_stop(refused: Refused) -> Failure {
    match refused.why {
        Stop::Killed | Stop::KilledForGood => not_found(),
        Stop::Blocked => denied("the tenant is blocked; ask the operator of this service"),
        Stop::L1Stop => denied("the customer's own KMS refuses the tenant's key; ask who holds it"),
        Stop::Left => denied("the tenant's keys lie in this region no more: ask a region that its trust root names"),
        Stop::Suspended => denied("the tenant is suspended: stored data can be decrypted, nothing new is protected"),
        Stop::LeaseOver => try_again("the tenant's lease in this region has ended and is not renewed yet"),
        Stop::L1Away => try_again("the customer's KMS has been out of reach for too long"),
        Stop::Sealed => try_again("the tenant's keys are not opened yet on this node"),
    }
}

pub(crate) fn of_custody(error: &Error) -> Failure {
    match error {
        Error::Refused(refused) => return of_stop(*refused),
        Error::Absent { .. } | Error::UnknownTenant(_) | Error::Destroyed(_) => return not_found(),
        Error::NotExportable(_) => {
            return fail(ResultReason::NotExtractable, "the object was created so that its key never leaves");
        }
        Error::TooLarge { .. } | Error::SecretLength { .. } => return invalid_field(error.to_string()),
        Error::Cipher { .. } => return fail(ResultReason::CryptographicFailure, error.to_string()),
        Error::L1Stopped { .. } => return of_stop(Refused { why: Stop::L1Stop }),
        Error::KeyElsewhere(_) => {
            return fail(
                ResultReason::KeyValueNotPresent,
                "the object was registered without its Key Value: its Key Value Location may say where it is",
            );
        }
        Error::Archived(_) => {
            return fail(ResultReason::ObjectArchived, "the object is archived; recover it first");
        }
        Error::Contended(_) => {
            return try_again(
                "another client changed the same object meanwhile, and nothing of this batch or request was done",
            );
        }
        Error::Exists(_) => {
            let message =
                "an object with this Unique Identifier exists; say Replace Existing to put this one in its place";
            return fail(ResultReason::ObjectAlreadyExists, message);
        }
        Error::Taken(_) => return no_such_identifier(),
        Error::NoDraft(_) => return unsupported("Import in a batch with Undo; send it by itself"),
        Error::L1Unreachable { .. } => return try_again("the customer's KMS cannot be reached now"),
        Error::NotLinked(_) => return try_again("the tenant has no L1 key linked in this region yet"),
        _ => {}
    }
    match error.kind() {
        Kind::Bug => {
            tracing::error!(%error, "a KMIP operation met a fault that cannot be");
            fail(ResultReason::GeneralFailure, "this node found damaged data; its operator is told by the log")
        }
        Kind::Fault | Kind::Refusal => {
            tracing::warn!(%error, "a KMIP operation failed");
            try_again("this node cannot do that now")
        }
    }
}

/// The reason as `version` knows it: 1.4 alone has Sensitive, Not Extractable and Object Already Exists.
pub(crate) fn in_version(failure: Failure, version: ProtocolVersion) -> Failure {
    let reason = match failure.reason {
        ResultReason::Sensitive | ResultReason::NotExtractable if !version.knows(ProtocolVersion::V1_4) => {
            ResultReason::PermissionDenied
        }
        ResultReason::ObjectAlreadyExists if !version.knows(ProtocolVersion::V1_4) => ResultReason::InvalidField,
        other => other,
    };
    Failure { reason, ..failure }
}

#[cfg(test)]
mod tests {
    use orbital::names::{Digest, System, TenantId};

    use super::*;

    #[test]
    fn each_stop_has_the_reason_that_the_design_fixes() {
        let reason = |why| of_stop(Refused { why }).reason;
        assert_eq!(reason(Stop::Killed), ResultReason::ItemNotFound);
        assert_eq!(reason(Stop::Suspended), ResultReason::PermissionDenied);
        assert_eq!(reason(Stop::Blocked), ResultReason::PermissionDenied);
        assert_eq!(reason(Stop::L1Stop), ResultReason::PermissionDenied);
        for why in [Stop::LeaseOver, Stop::L1Away, Stop::Sealed] {
            let failure = of_stop(Refused { why });
            assert_eq!(failure.reason, ResultReason::GeneralFailure);
            assert!(failure.message.ends_with("try again"), "{}", failure.message);
        }
    }

    #[test]
    fn a_killed_tenant_a_foreign_object_and_an_absent_one_answer_the_same() {
        let tenant = TenantId(Digest([1; 32]));
        let absent = Error::Absent {
            tenant,
            system: System::new("orders").unwrap(),
            object: custody::names::ObjectId::from_random([1; 16]),
        };
        let killed = of_stop(Refused { why: Stop::Killed });
        assert_eq!(of_custody(&absent), killed);
        assert_eq!(of_custody(&Error::UnknownTenant(tenant)), killed);
    }

    #[test]
    fn the_key_s_address_at_the_customer_s_kms_stays_inside() {
        let key = "arn:aws:kms:eu-central-1:1:key/2".to_owned();
        let away = of_custody(&Error::L1Unreachable { key: key.clone(), why: "time-out".to_owned() });
        assert_eq!(away.reason, ResultReason::GeneralFailure);
        assert!(!away.message.contains(&key));
        let state = custody::l1::State::Forbidden;
        let stopped = of_custody(&Error::L1Stopped { key: key.clone(), state, why: String::new() });
        assert!(!stopped.message.contains(&key));
    }

    #[test]
    fn reasons_of_1_4_are_not_sent_to_older_clients() {
        let failure = fail(ResultReason::Sensitive, "");
        assert_eq!(in_version(failure.clone(), ProtocolVersion::V1_3).reason, ResultReason::PermissionDenied);
        assert_eq!(in_version(failure, ProtocolVersion::V1_4).reason, ResultReason::Sensitive);
    }
}
