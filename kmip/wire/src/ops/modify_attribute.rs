//! Modify Attribute: another value for an instance that there is (KMIP 1.4 §4.15).

use crate::{attribute::Attribute, ttlv::record};

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// No index is index 0.
        need attribute: Attribute = ATTRIBUTE V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// With the new value.
        need attribute: Attribute = ATTRIBUTE V1_0,
    }
}
