//! Get Usage Allocation: a part of what a key may still protect, for a client that uses it itself (KMIP 1.4 §4.18).

use crate::ttlv::{LongInteger, record};

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// Usage Limits Units.
        need usage_limits_count: LongInteger = USAGE_LIMITS_COUNT V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
    }
}
