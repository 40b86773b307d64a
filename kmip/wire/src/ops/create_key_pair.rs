//! Create Key Pair: the server makes a private and a public key (KMIP 1.4 §4.2).

use crate::{attribute::TemplateAttribute, ttlv::record};

record! {
    pub struct Request {
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
