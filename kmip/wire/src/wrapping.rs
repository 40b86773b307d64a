//! Key wrapping on the wire: how a key is to be wrapped, and how it was (KMIP 1.4 §2.1.5, §2.1.6).

use crate::{
    cryptographic_parameters::CryptographicParameters,
    tables::{EncodingOption, WrappingMethod},
    ttlv::record,
};

record! {
    /// Encryption Key Information or MAC/Signature Key Information: which key, and how it is used.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct KeyInformation {
        need unique_identifier: String = UNIQUE_IDENTIFIER V1_0,
        /// Absent: those of the key.
        opt cryptographic_parameters: CryptographicParameters = CRYPTOGRAPHIC_PARAMETERS V1_0,
    }
}

record! {
    /// How a key in a Key Block was wrapped.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct KeyWrappingData {
        need wrapping_method: WrappingMethod = WRAPPING_METHOD V1_0,
        opt encryption_key_information: KeyInformation = ENCRYPTION_KEY_INFORMATION V1_0,
        opt mac_signature_key_information: KeyInformation = MAC_SIGNATURE_KEY_INFORMATION V1_0,
        opt mac_signature: Vec<u8> = MAC_SIGNATURE V1_0,
        opt iv_counter_nonce: Vec<u8> = IV_COUNTER_NONCE V1_0,
        /// Absent: TTLV.
        opt encoding_option: EncodingOption = ENCODING_OPTION V1_1,
    }
}

record! {
    /// How a key is to be wrapped.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct KeyWrappingSpecification {
        need wrapping_method: WrappingMethod = WRAPPING_METHOD V1_0,
        opt encryption_key_information: KeyInformation = ENCRYPTION_KEY_INFORMATION V1_0,
        opt mac_signature_key_information: KeyInformation = MAC_SIGNATURE_KEY_INFORMATION V1_0,
        /// What is wrapped with the key.
        many attribute_names: String = ATTRIBUTE_NAME V1_0,
        /// Absent: TTLV.
        opt encoding_option: EncodingOption = ENCODING_OPTION V1_1,
    }
}
