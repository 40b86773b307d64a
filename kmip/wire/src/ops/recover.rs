//! Recover (KMIP 1.4 §4.23).

use crate::ttlv::record;

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
    }
}
