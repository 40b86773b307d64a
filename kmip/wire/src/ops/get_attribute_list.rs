//! Get Attribute List: the names of an object's attributes (KMIP 1.4 §4.13).

use crate::ttlv::record;

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
    }
}

record! {
    /// The names must be ones that the answer's version knows.
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        many attribute_names: &'a str = ATTRIBUTE_NAME V1_0,
    }
}
