//! The requests that the benches ask.

use kmip::{
    Attribute, AttributeValue, CryptographicParameters, Operation, ProtocolVersion, TemplateAttribute,
    ops::{Answer, Request, activate, create, encrypt, get, locate},
    tables::{BlockCipherMode, CryptographicAlgorithm, ObjectType, PaddingMethod, StandardAttribute, UsageMask},
};

use super::Res;

const VERSION: ProtocolVersion = ProtocolVersion::V1_4;
/// Bytes of a full tag of AES-GCM.
const TAG_BYTES: i32 = 16;

/// What is asked with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Get,
    EncryptGcm,
    EncryptGcm16KiB,
    EncryptCbc,
}

impl Ask {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "Get",
            Self::EncryptGcm => "Encrypt 1 KiB, AES-256-GCM",
            Self::EncryptGcm16KiB => "Encrypt 16 KiB, AES-256-GCM",
            Self::EncryptCbc => "Encrypt 1 KiB, AES-256-CBC",
        }
    }

    pub fn operation(self) -> Operation {
        if self == Self::Get { Operation::Get } else { Operation::Encrypt }
    }

    /// The frame of a request for this key. It names all that PyKMIP demands.
    pub fn frame(self, key: &str) -> Vec<u8> {
        let data = [0x5a; 16 * 1024];
        let cryptographic_algorithm = Some(CryptographicAlgorithm::Aes);
        let gcm = CryptographicParameters {
            block_cipher_mode: Some(BlockCipherMode::Gcm),
            cryptographic_algorithm,
            tag_length: Some(TAG_BYTES),
            ..CryptographicParameters::default()
        };
        let cbc = CryptographicParameters {
            block_cipher_mode: Some(BlockCipherMode::Cbc),
            padding_method: Some(PaddingMethod::Pkcs5),
            cryptographic_algorithm,
            ..CryptographicParameters::default()
        };
        let (parameters, bytes) = match self {
            Self::Get => return kmip::client::request(VERSION, &Request::Get(get::Request::of(key))),
            Self::EncryptGcm => (gcm, 1024),
            Self::EncryptGcm16KiB => (gcm, data.len()),
            Self::EncryptCbc => (cbc, 1024),
        };
        let request = encrypt::Request {
            unique_identifier: Some(key),
            cryptographic_parameters: Some(parameters),
            data: data.get(..bytes),
            iv_counter_nonce: None,
            correlation_value: None,
            init_indicator: None,
            final_indicator: None,
            additional_data: None,
        };
        kmip::client::request(VERSION, &Request::Encrypt(request))
    }

    /// Reads an answer in full: `Err` for any failure.
    pub fn check(self, answer: &[u8]) -> Res<()> {
        read(answer, self.operation()).map(drop)
    }
}

/// An answer's payload: `Err` for any failure.
pub fn read(answer: &[u8], operation: Operation) -> Res<Answer<'_>> {
    let read = kmip::client::read_one(answer, VERSION, operation)?;
    read.map_err(|failure| format!("{operation:?}: {failure:?}").into())
}

/// The frame that makes an AES-256 key.
pub fn create() -> Vec<u8> {
    let aes = AttributeValue::Enumeration(CryptographicAlgorithm::Aes.code());
    let mask = AttributeValue::Integer(UsageMask::ENCRYPT.with(UsageMask::DECRYPT).0);
    let attributes = vec![
        Attribute::new(StandardAttribute::CryptographicAlgorithm, aes),
        Attribute::new(StandardAttribute::CryptographicLength, AttributeValue::Integer(256)),
        Attribute::new(StandardAttribute::CryptographicUsageMask, mask),
    ];
    let template_attribute = TemplateAttribute { template_names: Vec::new(), attributes };
    let request = create::Request { object_type: ObjectType::SymmetricKey, template_attribute };
    kmip::client::request(VERSION, &Request::Create(request))
}

pub fn activate(key: &str) -> Vec<u8> {
    let request = activate::Request { unique_identifier: Some(key) };
    kmip::client::request(VERSION, &Request::Activate(request))
}

/// The frame that looks for a Name.
pub fn locate(name: &str) -> Vec<u8> {
    let request = locate::Request::of(vec![Attribute::new(StandardAttribute::Name, AttributeValue::name(name))]);
    kmip::client::request(VERSION, &Request::Locate(request))
}
