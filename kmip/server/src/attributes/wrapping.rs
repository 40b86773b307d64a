//! How a key came wrapped (KMIP 1.4 §2.1.5): what the store keeps of Key Wrapping Data, and back.

use custody::object::{Wrapping, WrappingKey};
use kmip::{
    KeyInformation, KeyWrappingData,
    tables::{EncodingOption, WrappingMethod},
};

use super::{parameters_of, stored_parameters};
use crate::refusal::{Outcome, try_again};

pub(crate) fn stored(data: &KeyWrappingData) -> Outcome<Wrapping> {
    let key = |named: &KeyInformation| -> Outcome<WrappingKey> {
        let parameters = named.cryptographic_parameters.as_ref().map(stored_parameters).transpose()?;
        Ok(WrappingKey { id: named.unique_identifier.clone(), parameters })
    };
    Ok(Wrapping {
        method: data.wrapping_method.code(),
        encryption: data.encryption_key_information.as_ref().map(key).transpose()?,
        mac: data.mac_signature_key_information.as_ref().map(key).transpose()?,
        mac_signature: data.mac_signature.clone(),
        iv: data.iv_counter_nonce.clone(),
        encoding: data.encoding_option.map(EncodingOption::code),
    })
}

pub(crate) fn shown(stored: &Wrapping) -> Outcome<KeyWrappingData> {
    let key = |named: &WrappingKey| -> Outcome<KeyInformation> {
        let cryptographic_parameters = named.parameters.as_ref().map(parameters_of).transpose()?;
        Ok(KeyInformation { unique_identifier: named.id.clone(), cryptographic_parameters })
    };
    let unknown = || try_again("this version does not know how the key was wrapped");
    Ok(KeyWrappingData {
        wrapping_method: WrappingMethod::from_code(stored.method).ok_or_else(unknown)?,
        encryption_key_information: stored.encryption.as_ref().map(key).transpose()?,
        mac_signature_key_information: stored.mac.as_ref().map(key).transpose()?,
        mac_signature: stored.mac_signature.clone(),
        iv_counter_nonce: stored.iv.clone(),
        encoding_option: stored.encoding.and_then(EncodingOption::from_code),
    })
}
