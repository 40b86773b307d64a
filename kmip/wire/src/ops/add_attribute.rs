//! Add Attribute: one more instance, or the first value (KMIP 1.4 §4.14).

use crate::{attribute::Attribute, ttlv::record};

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// Without an index: the server gives it one.
        need attribute: Attribute = ATTRIBUTE V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// Its index, if not 0, is the one that the server gave it.
        need attribute: Attribute = ATTRIBUTE V1_0,
    }
}
