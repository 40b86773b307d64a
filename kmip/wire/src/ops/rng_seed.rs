//! RNG Seed (KMIP 1.4 §4.36).

use crate::ttlv::record;

record! {
    pub struct Request<'a> {
        need data: &'a [u8] = DATA V1_2,
    }
}

record! {
    pub struct Answer {
        /// How many bytes of the seed were used.
        need data_length: i32 = DATA_LENGTH V1_2,
    }
}
