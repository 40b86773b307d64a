//! Re-key: the server makes a replacement for a symmetric key (KMIP 1.4 §4.4).

use crate::{
    attribute::TemplateAttribute,
    ttlv::{Interval, record},
};

record! {
    pub struct Request<'a> {
        /// Of the key that is replaced.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// From the replacement's Initial Date to its Activation Date.
        opt offset: Interval = OFFSET V1_0,
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        /// Of the replacement.
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// The attributes that the server set without being asked.
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}
