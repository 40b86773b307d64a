//! Sign (KMIP 1.4 §4.31).

use crate::{cryptographic_parameters::CryptographicParameters, ttlv::record};

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_2,
        /// Absent: those of the key.
        opt cryptographic_parameters: CryptographicParameters = CRYPTOGRAPHIC_PARAMETERS V1_2,
        /// Absent in streaming, or where the digest stands for it.
        opt data: &'a [u8] = DATA V1_2,
        opt digested_data: &'a [u8] = DIGESTED_DATA V1_4,
        opt correlation_value: &'a [u8] = CORRELATION_VALUE V1_3,
        opt init_indicator: bool = INIT_INDICATOR V1_3,
        opt final_indicator: bool = FINAL_INDICATOR V1_3,
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_2,
        /// Absent before the last part of a stream.
        opt signature_data: &'a [u8] = SIGNATURE_DATA V1_2,
        opt correlation_value: &'a [u8] = CORRELATION_VALUE V1_3,
    }
}
