//! Create: the server makes a symmetric key (KMIP 1.4 §4.1).

use crate::{attribute::TemplateAttribute, tables::ObjectType, ttlv::record};

record! {
    pub struct Request {
        need object_type: ObjectType = OBJECT_TYPE V1_0,
        need template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        need object_type: ObjectType = OBJECT_TYPE V1_0,
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// The attributes that the server set without being asked.
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}
