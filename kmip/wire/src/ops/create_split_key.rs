//! Create Split Key: the server splits a key, a new one or one that there is (KMIP 1.4 §4.38).

use crate::{
    attribute::TemplateAttribute,
    tables::{ObjectType, SplitKeyMethod},
    transparent::BigInteger,
    ttlv::record,
};

record! {
    pub struct Request<'a> {
        need object_type: ObjectType = OBJECT_TYPE V1_4,
        /// Absent: a new key is made.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_4,
        need parts: i32 = SPLIT_KEY_PARTS V1_4,
        need threshold: i32 = SPLIT_KEY_THRESHOLD V1_4,
        need method: SplitKeyMethod = SPLIT_KEY_METHOD V1_4,
        opt prime_field_size: BigInteger = PRIME_FIELD_SIZE V1_4,
        need template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_4,
    }
}

record! {
    pub struct Answer<'a> {
        /// Of the parts, in the order of their numbers.
        many unique_identifiers: &'a str = UNIQUE_IDENTIFIER V1_4,
        /// The attributes that the server set without being asked.
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_4,
    }
}
