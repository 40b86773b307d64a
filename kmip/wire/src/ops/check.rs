//! Check: whether an object may be used as the client intends (KMIP 1.4 §4.10).

use crate::ttlv::{Interval, LongInteger, record};

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// Usage Limits Units.
        opt usage_limits_count: LongInteger = USAGE_LIMITS_COUNT V1_0,
        opt cryptographic_usage_mask: i32 = CRYPTOGRAPHIC_USAGE_MASK V1_0,
        opt lease_time: Interval = LEASE_TIME V1_0,
    }
}

record! {
    /// An object that may be used is named and nothing else; a refusal names what was asked for in vain and not the object.
    #[derive(Debug, Default, PartialEq, Eq)]
    pub struct Answer<'a> {
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        opt usage_limits_count: LongInteger = USAGE_LIMITS_COUNT V1_0,
        opt cryptographic_usage_mask: i32 = CRYPTOGRAPHIC_USAGE_MASK V1_0,
        opt lease_time: Interval = LEASE_TIME V1_0,
    }
}
