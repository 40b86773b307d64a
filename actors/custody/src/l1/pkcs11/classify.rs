//! What a return value of a PKCS#11 module means: one pure match (PKCS #11 2.40 base specification, §5.1 "Function return values").
//!
//! Vendors are loose with these values: CKR_GENERAL_ERROR stands for a wrong tag here and for a dead HSM there. So no value alone is the
//! customer's no but CKR_KEY_FUNCTION_NOT_PERMITTED, and a failure to decrypt means something only beside a trial of the same key.

use cryptoki::error::{Error, RvError};

use super::wire::Kind;

/// Of any call but the decryption itself.
pub(super) fn classify(error: &Error) -> Kind {
    match error {
        Error::Pkcs11(value, _) => of_value(value),
        // dlopen failed, or what was opened is no PKCS#11 module.
        Error::LibraryLoading(_) | Error::MissingSymbol(_) | Error::NullFunctionPointer => Kind::Absent,
        _ => Kind::Broken,
    }
}

fn of_value(value: &RvError) -> Kind {
    match value {
        RvError::KeyFunctionNotPermitted => Kind::Disabled,
        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::UserPinNotInitialized => Kind::Pin,
        RvError::TokenNotPresent | RvError::TokenNotRecognized | RvError::SlotIdInvalid | RvError::DeviceRemoved => {
            Kind::Absent
        }
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::UserNotLoggedIn
        | RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        | RvError::KeyChanged
        | RvError::CryptokiNotInitialized => Kind::Stale,
        RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::KeyTypeInconsistent
        | RvError::KeySizeRange => Kind::Unfit,
        _ => Kind::Broken,
    }
}

/// Whether a failure to decrypt could as well be the blob's fault: then the key is tried with a value of our own.
pub(super) fn may_be_the_blob(error: &Error) -> bool {
    matches!(classify(error), Kind::Broken)
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn each_value_has_its_meaning() {
        let golden = [
            (RvError::KeyFunctionNotPermitted, Kind::Disabled),
            (RvError::PinIncorrect, Kind::Pin),
            (RvError::PinLocked, Kind::Pin),
            (RvError::TokenNotPresent, Kind::Absent),
            (RvError::DeviceRemoved, Kind::Absent),
            (RvError::SessionHandleInvalid, Kind::Stale),
            (RvError::UserNotLoggedIn, Kind::Stale),
            (RvError::ObjectHandleInvalid, Kind::Stale),
            (RvError::MechanismInvalid, Kind::Unfit),
            (RvError::GeneralError, Kind::Broken),
            (RvError::DeviceError, Kind::Broken),
            (RvError::EncryptedDataInvalid, Kind::Broken),
            (RvError::UnknownErrorCode(0x42), Kind::Broken),
            (RvError::VendorDefined(0x8000_0001), Kind::Broken),
        ];
        for (value, kind) in golden {
            assert_eq!(classify(&Error::Pkcs11(value, Function::Decrypt)), kind, "{value:?}");
        }
        assert_eq!(classify(&Error::NullFunctionPointer), Kind::Absent);
        assert_eq!(classify(&Error::InvalidValue), Kind::Broken);
    }
}
