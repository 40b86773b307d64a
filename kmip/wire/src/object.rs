//! Managed objects on the wire: symmetric, private and public keys, secret data, opaque objects (KMIP 1.4 §2.1.3, §2.2).

use zeroize::Zeroizing;

use crate::{
    error::WireError,
    tables::{
        CryptographicAlgorithm, KeyCompressionType, KeyFormatType, ObjectType, ProtocolVersion, SecretDataType, Tag,
    },
    ttlv::{Enumeration, Item, Structure, Value, Writer, record},
};

/// The bytes of a key. Wiped when dropped; neither printable, comparable nor cloneable.
pub struct KeyMaterial(Zeroizing<Vec<u8>>);

impl KeyMaterial {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret bytes. Each caller of this name reads a key.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<&[u8]> for KeyMaterial {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }
}

impl<'a> Value<'a> for KeyMaterial {
    fn read(item: &Item<'a>, _: ProtocolVersion) -> Result<Self, WireError> {
        item.bytes().map(Self::from)
    }

    fn write(&self, tag: Tag, writer: &mut Writer<'_>) {
        writer.bytes(tag, self.expose());
    }
}

record! {
    /// A symmetric key (§2.2.2).
    pub struct SymmetricKey {
        need key_block: KeyBlock = KEY_BLOCK V1_0,
    }
}

record! {
    /// A password, a seed or other bytes that are no key (§2.2.7).
    pub struct SecretData {
        need secret_data_type: SecretDataType = SECRET_DATA_TYPE V1_0,
        need key_block: KeyBlock = KEY_BLOCK V1_0,
    }
}

record! {
    /// The public half of a key pair (§2.2.3).
    pub struct PublicKey {
        need key_block: KeyBlock = KEY_BLOCK V1_0,
    }
}

record! {
    /// The private half of a key pair (§2.2.4).
    pub struct PrivateKey {
        need key_block: KeyBlock = KEY_BLOCK V1_0,
    }
}

record! {
    /// Bytes that the server may not be able to interpret (§2.2.8).
    pub struct OpaqueObject {
        need opaque_data_type: Enumeration = OPAQUE_DATA_TYPE V1_0,
        need opaque_data_value: KeyMaterial = OPAQUE_DATA_VALUE V1_0,
    }
}

/// An object with its key bytes, of the types that can be registered and got.
pub enum ManagedObject {
    SymmetricKey(SymmetricKey),
    SecretData(SecretData),
    PrivateKey(PrivateKey),
    PublicKey(PublicKey),
    OpaqueObject(OpaqueObject),
}

impl ManagedObject {
    pub fn object_type(&self) -> ObjectType {
        match self {
            Self::SymmetricKey(_) => ObjectType::SymmetricKey,
            Self::SecretData(_) => ObjectType::SecretData,
            Self::PrivateKey(_) => ObjectType::PrivateKey,
            Self::PublicKey(_) => ObjectType::PublicKey,
            Self::OpaqueObject(_) => ObjectType::OpaqueObject,
        }
    }

    /// Absent for an opaque object.
    pub fn key_block(&self) -> Option<&KeyBlock> {
        match self {
            Self::SymmetricKey(key) => Some(&key.key_block),
            Self::SecretData(secret) => Some(&secret.key_block),
            Self::PrivateKey(key) => Some(&key.key_block),
            Self::PublicKey(key) => Some(&key.key_block),
            Self::OpaqueObject(_) => None,
        }
    }

    /// The bytes that are stored.
    pub fn material(&self) -> &KeyMaterial {
        match self {
            Self::SymmetricKey(key) => &key.key_block.material,
            Self::SecretData(secret) => &secret.key_block.material,
            Self::PrivateKey(key) => &key.key_block.material,
            Self::PublicKey(key) => &key.key_block.material,
            Self::OpaqueObject(object) => &object.opaque_data_value,
        }
    }
}

record! {
    struct Block<'a> {
        need key_format_type: KeyFormatType = KEY_FORMAT_TYPE V1_0,
        opt key_compression_type: KeyCompressionType = KEY_COMPRESSION_TYPE V1_0,
        opt key_value: Item<'a> = KEY_VALUE V1_0,
        opt cryptographic_algorithm: CryptographicAlgorithm = CRYPTOGRAPHIC_ALGORITHM V1_0,
        opt cryptographic_length: i32 = CRYPTOGRAPHIC_LENGTH V1_0,
        opt key_wrapping_data: Structure<'a> = KEY_WRAPPING_DATA V1_0,
    }
}

record! {
    struct PlainValue<'a> {
        need key_material: Item<'a> = KEY_MATERIAL V1_0,
        many attributes: Structure<'a> = ATTRIBUTE V1_0,
    }
}

record! {
    struct Transparent<'a> {
        need key: &'a [u8] = KEY V1_0,
    }
}

/// Key bytes with their format (§2.1.3). Key material of format Transparent Symmetric Key is held as plain bytes too.
pub struct KeyBlock {
    pub key_format_type: KeyFormatType,
    pub material: KeyMaterial,
    pub cryptographic_algorithm: Option<CryptographicAlgorithm>,
    /// Bits.
    pub cryptographic_length: Option<i32>,
}

impl<'a> Value<'a> for KeyBlock {
    fn read(item: &Item<'a>, version: ProtocolVersion) -> Result<Self, WireError> {
        let block = Block::read(item, version)?;
        if block.key_wrapping_data.is_some() {
            return Err(WireError::Unsupported { what: "a wrapped key (Key Wrapping Data); send the key unwrapped" });
        }
        if block.key_compression_type.is_some() {
            return Err(WireError::Unsupported {
                what: "Key Compression Type, which belongs to elliptic curve public keys",
            });
        }
        let value = block.key_value.ok_or(WireError::Missing { structure: Tag::KEY_BLOCK, field: Tag::KEY_VALUE })?;
        let value = PlainValue::read(&value, version)?;
        if !value.attributes.is_empty() {
            return Err(WireError::Unsupported {
                what: "Attribute inside Key Value; put it into the Template-Attribute",
            });
        }
        let material = match block.key_format_type {
            KeyFormatType::TransparentSymmetricKey => Transparent::read(&value.key_material, version)?.key,
            _ => value.key_material.bytes()?,
        };
        Ok(Self {
            key_format_type: block.key_format_type,
            material: material.into(),
            cryptographic_algorithm: block.cryptographic_algorithm,
            cryptographic_length: block.cryptographic_length,
        })
    }

    fn write(&self, tag: Tag, writer: &mut Writer<'_>) {
        writer.structure(tag, |writer| {
            self.key_format_type.write(Tag::KEY_FORMAT_TYPE, writer);
            writer.structure(Tag::KEY_VALUE, |writer| match self.key_format_type {
                KeyFormatType::TransparentSymmetricKey => {
                    Transparent { key: self.material.expose() }.write(Tag::KEY_MATERIAL, writer);
                }
                _ => writer.bytes(Tag::KEY_MATERIAL, self.material.expose()),
            });
            if let Some(algorithm) = self.cryptographic_algorithm {
                algorithm.write(Tag::CRYPTOGRAPHIC_ALGORITHM, writer);
            }
            if let Some(bits) = self.cryptographic_length {
                writer.integer(Tag::CRYPTOGRAPHIC_LENGTH, bits);
            }
        });
    }
}
