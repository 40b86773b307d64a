//! RNG Retrieve (KMIP 1.4 §4.35).

use crate::ttlv::record;

record! {
    pub struct Request {
        /// Bytes.
        need data_length: i32 = DATA_LENGTH V1_2,
    }
}

record! {
    pub struct Answer<'a> {
        need data: &'a [u8] = DATA V1_2,
    }
}
