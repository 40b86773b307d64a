//! Encrypt (KMIP 1.4 §4.29).
//!
//! The payloads borrow plaintext and ciphertext from the frame, and cannot be printed.

use crate::{cryptographic_parameters::CryptographicParameters, ttlv::record};

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_2,
        /// Absent: those of the key.
        opt cryptographic_parameters: CryptographicParameters = CRYPTOGRAPHIC_PARAMETERS V1_2,
        /// Absent only in streaming.
        opt data: &'a [u8] = DATA V1_2,
        opt iv_counter_nonce: &'a [u8] = IV_COUNTER_NONCE V1_2,
        opt correlation_value: &'a [u8] = CORRELATION_VALUE V1_3,
        opt init_indicator: bool = INIT_INDICATOR V1_3,
        opt final_indicator: bool = FINAL_INDICATOR V1_3,
        opt additional_data: &'a [u8] = AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA V1_4,
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_2,
        opt data: &'a [u8] = DATA V1_2,
        /// Present if the server drew it.
        opt iv_counter_nonce: &'a [u8] = IV_COUNTER_NONCE V1_2,
        opt correlation_value: &'a [u8] = CORRELATION_VALUE V1_3,
        opt authentication_tag: &'a [u8] = AUTHENTICATED_ENCRYPTION_TAG V1_4,
    }
}
