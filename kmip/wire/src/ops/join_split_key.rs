//! Join Split Key: the server makes a key of its parts again (KMIP 1.4 §4.39).

use crate::{
    attribute::TemplateAttribute,
    tables::{ObjectType, SecretDataType},
    ttlv::record,
};

record! {
    pub struct Request<'a> {
        /// Of the key.
        need object_type: ObjectType = OBJECT_TYPE V1_4,
        many unique_identifiers: &'a str = UNIQUE_IDENTIFIER V1_4,
        opt secret_data_type: SecretDataType = SECRET_DATA_TYPE V1_4,
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_4,
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_4,
        /// The attributes that the server set without being asked.
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_4,
    }
}
