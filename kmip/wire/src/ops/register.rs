//! Register: the client brings an object (KMIP 1.4 §4.3).

use crate::{
    attribute::TemplateAttribute,
    certificate::Certificate,
    object::{
        Brought, ManagedObject, OpaqueObject, PrivateKey, PublicKey, SecretData, SplitKey, SymmetricKey, brought, place,
    },
    tables::ObjectType,
    ttlv::{Structure, record},
};

record! {
    pub struct Request<'a> {
        need object_type: ObjectType = OBJECT_TYPE V1_0,
        need template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
        opt certificate: Certificate = CERTIFICATE V1_0,
        opt symmetric_key: SymmetricKey = SYMMETRIC_KEY V1_0,
        opt private_key: PrivateKey = PRIVATE_KEY V1_0,
        opt public_key: PublicKey = PUBLIC_KEY V1_0,
        opt split_key: SplitKey = SPLIT_KEY V1_0,
        opt template: Structure<'a> = TEMPLATE V1_0,
        opt secret_data: SecretData = SECRET_DATA V1_0,
        opt opaque_object: OpaqueObject = OPAQUE_OBJECT V1_0,
        opt pgp_key: Structure<'a> = PGP_KEY V1_2,
    }
}

impl Request<'_> {
    pub fn brought(self) -> Brought {
        brought!(self)
    }

    /// The request that brings `object`, as [`super::Request`] has it.
    pub fn of(object: ManagedObject, template_attribute: TemplateAttribute) -> Box<Self> {
        let mut request = Box::new(Self {
            object_type: object.object_type(),
            template_attribute,
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
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// The attributes that the server set without being asked.
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}
