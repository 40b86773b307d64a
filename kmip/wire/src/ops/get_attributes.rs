//! Get Attributes: what is known of an object (KMIP 1.4 §4.12).

use crate::{attribute::Attribute, ttlv::record};

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// Empty: all. A name that the object does not have, known or not, is left out of the answer.
        many attribute_names: &'a str = ATTRIBUTE_NAME V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        many attributes: Attribute = ATTRIBUTE V1_0,
    }
}
