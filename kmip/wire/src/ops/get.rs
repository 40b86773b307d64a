//! Get: an object with its key bytes (KMIP 1.4 §4.11).

use crate::{
    certificate::Certificate,
    object::{ManagedObject, OpaqueObject, PrivateKey, PublicKey, SecretData, SplitKey, SymmetricKey, place},
    tables::{KeyCompressionType, KeyFormatType, KeyWrapType, ObjectType},
    ttlv::record,
    wrapping::KeyWrappingSpecification,
};

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// Absent: as it was stored.
        opt key_format_type: KeyFormatType = KEY_FORMAT_TYPE V1_0,
        opt key_wrap_type: KeyWrapType = KEY_WRAP_TYPE V1_4,
        opt key_compression_type: KeyCompressionType = KEY_COMPRESSION_TYPE V1_0,
        opt key_wrapping_specification: KeyWrappingSpecification = KEY_WRAPPING_SPECIFICATION V1_0,
    }
}

impl<'a> Request<'a> {
    /// The plain request.
    pub fn of(unique_identifier: &'a str) -> Self {
        Self {
            unique_identifier: Some(unique_identifier),
            key_format_type: None,
            key_wrap_type: None,
            key_compression_type: None,
            key_wrapping_specification: None,
        }
    }
}

record! {
    /// Holds one object.
    pub struct Answer<'a> {
        need object_type: ObjectType = OBJECT_TYPE V1_0,
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        opt certificate: Certificate = CERTIFICATE V1_0,
        opt symmetric_key: SymmetricKey = SYMMETRIC_KEY V1_0,
        opt private_key: PrivateKey = PRIVATE_KEY V1_0,
        opt public_key: PublicKey = PUBLIC_KEY V1_0,
        opt split_key: SplitKey = SPLIT_KEY V1_0,
        opt secret_data: SecretData = SECRET_DATA V1_0,
        opt opaque_object: OpaqueObject = OPAQUE_OBJECT V1_0,
    }
}

impl<'a> Answer<'a> {
    /// The answer that holds `object`, as [`super::Answer`] has it.
    pub fn of(unique_identifier: &'a str, object: ManagedObject) -> Box<Self> {
        let mut answer = Box::new(Self {
            object_type: object.object_type(),
            unique_identifier,
            certificate: None,
            symmetric_key: None,
            private_key: None,
            public_key: None,
            split_key: None,
            secret_data: None,
            opaque_object: None,
        });
        place!(object => answer);
        answer
    }
}
