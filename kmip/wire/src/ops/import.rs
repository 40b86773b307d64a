//! Import: an object comes back with its Unique Identifier and all of its attributes (KMIP 1.4 §4.41).

use crate::{
    attribute::Attribute,
    certificate::Certificate,
    object::{
        Brought, ManagedObject, OpaqueObject, PrivateKey, PublicKey, SecretData, SplitKey, SymmetricKey, brought, place,
    },
    tables::KeyWrapType,
    ttlv::{Structure, record},
};

record! {
    /// Names no Object Type besides the attribute of that name.
    pub struct Request<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_4,
        /// Whether an object that has the identifier gives way.
        opt replace_existing: bool = REPLACE_EXISTING V1_4,
        /// Not Wrapped: unwrapped before it is stored.
        opt key_wrap_type: KeyWrapType = KEY_WRAP_TYPE V1_4,
        many attributes: Attribute = ATTRIBUTE V1_4,
        opt certificate: Certificate = CERTIFICATE V1_4,
        opt symmetric_key: SymmetricKey = SYMMETRIC_KEY V1_4,
        opt private_key: PrivateKey = PRIVATE_KEY V1_4,
        opt public_key: PublicKey = PUBLIC_KEY V1_4,
        opt split_key: SplitKey = SPLIT_KEY V1_4,
        opt template: Structure<'a> = TEMPLATE V1_4,
        opt secret_data: SecretData = SECRET_DATA V1_4,
        opt opaque_object: OpaqueObject = OPAQUE_OBJECT V1_4,
        opt pgp_key: Structure<'a> = PGP_KEY V1_4,
    }
}

impl<'a> Request<'a> {
    /// The request that brings `object`, as [`super::Request`] has it.
    pub fn of(unique_identifier: &'a str, attributes: Vec<Attribute>, object: ManagedObject) -> Box<Self> {
        let mut request = Box::new(Self {
            unique_identifier,
            replace_existing: None,
            key_wrap_type: None,
            attributes,
            certificate: None,
            symmetric_key: None,
            private_key: None,
            public_key: None,
            split_key: None,
            template: None,
            secret_data: None,
            opaque_object: None,
            pgp_key: None,
        });
        place!(object => request);
        request
    }

    pub fn brought(self) -> Brought {
        brought!(self)
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_4,
    }
}
