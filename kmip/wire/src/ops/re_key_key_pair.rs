//! Re-key Key Pair: the server makes a replacement for a private and a public key (KMIP 1.4 §4.5).

use crate::{
    attribute::TemplateAttribute,
    ttlv::{Interval, record},
};

record! {
    pub struct Request<'a> {
        /// Of the private key that is replaced; its link names the public one.
        opt private_key_unique_identifier: &'a str = PRIVATE_KEY_UNIQUE_IDENTIFIER V1_0,
        /// From the replacements' Initial Date to their Activation Date.
        opt offset: Interval = OFFSET V1_0,
        /// Of both keys; what a key's own template says goes before it.
        opt common: TemplateAttribute = COMMON_TEMPLATE_ATTRIBUTE V1_0,
        opt private_key: TemplateAttribute = PRIVATE_KEY_TEMPLATE_ATTRIBUTE V1_0,
        opt public_key: TemplateAttribute = PUBLIC_KEY_TEMPLATE_ATTRIBUTE V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        need private_key_unique_identifier: &'a str = PRIVATE_KEY_UNIQUE_IDENTIFIER V1_0,
        need public_key_unique_identifier: &'a str = PUBLIC_KEY_UNIQUE_IDENTIFIER V1_0,
        /// The attributes that the server set without being asked.
        opt private_key: TemplateAttribute = PRIVATE_KEY_TEMPLATE_ATTRIBUTE V1_0,
        opt public_key: TemplateAttribute = PUBLIC_KEY_TEMPLATE_ATTRIBUTE V1_0,
    }
}
