//! Delete Attribute: one instance goes, the others keep their index (KMIP 1.4 §4.16).

use crate::{attribute::Attribute, ttlv::record};

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// As text: a name that nobody knows is an attribute that is not there.
        need attribute_name: &'a str = ATTRIBUTE_NAME V1_0,
        /// Absent: 0.
        opt attribute_index: i32 = ATTRIBUTE_INDEX V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// What was there.
        need attribute: Attribute = ATTRIBUTE V1_0,
    }
}
