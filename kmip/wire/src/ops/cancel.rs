//! Cancel (KMIP 1.4 §4.27): an operation that is pending is not to be done any more.

use crate::{tables::CancellationResult, ttlv::record};

record! {
    pub struct Request<'a> {
        need asynchronous_correlation_value: &'a [u8] = ASYNCHRONOUS_CORRELATION_VALUE V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        need asynchronous_correlation_value: &'a [u8] = ASYNCHRONOUS_CORRELATION_VALUE V1_0,
        need cancellation_result: CancellationResult = CANCELLATION_RESULT V1_0,
    }
}
