//! Hash (KMIP 1.4 §4.37).

use crate::{cryptographic_parameters::CryptographicParameters, ttlv::record};

record! {
    pub struct Request<'a> {
        need cryptographic_parameters: CryptographicParameters = CRYPTOGRAPHIC_PARAMETERS V1_2,
        /// Absent only in streaming.
        opt data: &'a [u8] = DATA V1_2,
        opt correlation_value: &'a [u8] = CORRELATION_VALUE V1_3,
        opt init_indicator: bool = INIT_INDICATOR V1_3,
        opt final_indicator: bool = FINAL_INDICATOR V1_3,
    }
}

record! {
    pub struct Answer<'a> {
        /// Absent before the last part of a stream.
        opt data: &'a [u8] = DATA V1_2,
        opt correlation_value: &'a [u8] = CORRELATION_VALUE V1_3,
    }
}
