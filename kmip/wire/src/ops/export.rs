//! Export: an object with all of its attributes (KMIP 1.4 §4.40).

use crate::{
    attribute::Attribute,
    certificate::Certificate,
    object::{ManagedObject, OpaqueObject, PrivateKey, PublicKey, SecretData, SplitKey, SymmetricKey, place},
    tables::ObjectType,
    ttlv::record,
};

/// The fields of a Get, with the same meaning.
pub type Request<'a> = super::get::Request<'a>;

record! {
    /// Holds one object, or none if it was destroyed.
    pub struct Answer<'a> {
        need object_type: ObjectType = OBJECT_TYPE V1_4,
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_4,
        many attributes: Attribute = ATTRIBUTE V1_4,
        opt certificate: Certificate = CERTIFICATE V1_4,
        opt symmetric_key: SymmetricKey = SYMMETRIC_KEY V1_4,
        opt private_key: PrivateKey = PRIVATE_KEY V1_4,
        opt public_key: PublicKey = PUBLIC_KEY V1_4,
        opt split_key: SplitKey = SPLIT_KEY V1_4,
        opt secret_data: SecretData = SECRET_DATA V1_4,
        opt opaque_object: OpaqueObject = OPAQUE_OBJECT V1_4,
    }
}

impl<'a> Answer<'a> {
    /// The answer without an object.
    pub fn of(object_type: ObjectType, unique_identifier: &'a str, attributes: Vec<Attribute>) -> Self {
        Self {
            object_type,
            unique_identifier,
            attributes,
            certificate: None,
            symmetric_key: None,
            private_key: None,
            public_key: None,
            split_key: None,
            secret_data: None,
            opaque_object: None,
        }
    }

    /// The same with an object.
    pub fn with(self, object: ManagedObject) -> Self {
        let mut answer = self;
        place!(object => answer);
        answer
    }
}
