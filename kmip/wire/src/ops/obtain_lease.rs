//! Obtain Lease: how long a client may go by what it knows of an object (KMIP 1.4 §4.17).

use crate::ttlv::{DateTime, Interval, record};

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        need lease_time: Interval = LEASE_TIME V1_0,
        need last_change_date: DateTime = LAST_CHANGE_DATE V1_0,
    }
}
