//! Register: the client brings an object (KMIP 1.4 §4.3).

use crate::{
    attribute::TemplateAttribute,
    object::{ManagedObject, SecretData, SymmetricKey},
    tables::ObjectType,
    ttlv::{Structure, record},
};

record! {
    pub struct Request<'a> {
        need object_type: ObjectType = OBJECT_TYPE V1_0,
        need template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
        opt certificate: Structure<'a> = CERTIFICATE V1_0,
        opt symmetric_key: SymmetricKey = SYMMETRIC_KEY V1_0,
        opt private_key: Structure<'a> = PRIVATE_KEY V1_0,
        opt public_key: Structure<'a> = PUBLIC_KEY V1_0,
        opt split_key: Structure<'a> = SPLIT_KEY V1_0,
        opt template: Structure<'a> = TEMPLATE V1_0,
        opt secret_data: SecretData = SECRET_DATA V1_0,
        opt opaque_object: Structure<'a> = OPAQUE_OBJECT V1_0,
        opt pgp_key: Structure<'a> = PGP_KEY V1_2,
    }
}

impl Request<'_> {
    /// How many objects the request brings; the specification wants one.
    pub fn objects(&self) -> usize {
        let others = [
            self.certificate,
            self.private_key,
            self.public_key,
            self.split_key,
            self.template,
            self.opaque_object,
            self.pgp_key,
        ];
        others.iter().flatten().count()
            + usize::from(self.symmetric_key.is_some())
            + usize::from(self.secret_data.is_some())
    }

    /// The request that brings `object`.
    pub fn of(object: ManagedObject, template_attribute: TemplateAttribute) -> Self {
        let object_type = object.object_type();
        let (symmetric_key, secret_data) = match object {
            ManagedObject::SymmetricKey(key) => (Some(key), None),
            ManagedObject::SecretData(secret) => (None, Some(secret)),
        };
        Self {
            object_type,
            template_attribute,
            symmetric_key,
            secret_data,
            certificate: None,
            private_key: None,
            public_key: None,
            split_key: None,
            template: None,
            opaque_object: None,
            pgp_key: None,
        }
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// The attributes that the server set without being asked.
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}
