//! Derive Key: a key or secret data that follows from others (KMIP 1.4 §4.6).

use crate::{
    attribute::TemplateAttribute,
    cryptographic_parameters::CryptographicParameters,
    tables::{DerivationMethod, ObjectType},
    ttlv::record,
};

record! {
    pub struct Request<'a> {
        need object_type: ObjectType = OBJECT_TYPE V1_0,
        /// What it follows from.
        many unique_identifiers: &'a str = UNIQUE_IDENTIFIER V1_0,
        need derivation_method: DerivationMethod = DERIVATION_METHOD V1_0,
        need derivation_parameters: DerivationParameters<'a> = DERIVATION_PARAMETERS V1_0,
        need template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}

record! {
    /// What the method needs besides (tables 182 and 183).
    #[derive(Clone, Debug, Default)]
    pub struct DerivationParameters<'a> {
        opt cryptographic_parameters: CryptographicParameters = CRYPTOGRAPHIC_PARAMETERS V1_0,
        opt initialization_vector: &'a [u8] = INITIALIZATION_VECTOR V1_0,
        opt derivation_data: &'a [u8] = DERIVATION_DATA V1_0,
        /// Of PBKDF2, as is the next.
        opt salt: &'a [u8] = SALT V1_0,
        opt iteration_count: i32 = ITERATION_COUNT V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        /// Of what was derived.
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// The attributes that the server set without being asked.
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}
