//! Managed objects on the wire: keys, parts of keys, secret data, certificates, opaque objects (KMIP 1.4 §2.1.3, §2.2).

use zeroize::Zeroizing;

use crate::{
    attribute::Attribute,
    certificate::Certificate,
    error::WireError,
    tables::{
        CryptographicAlgorithm, KeyCompressionType, KeyFormatType, ObjectType, ProtocolVersion, SecretDataType,
        SplitKeyMethod, Tag,
    },
    transparent::BigInteger,
    ttlv::{Enumeration, Item, Limits, Record, Structure, Value, Writer, parse, record},
    wrapping::KeyWrappingData,
};

/// Puts a managed object into the field of its type: Get, Export and Register have one for each.
macro_rules! place {
    ($object:expr => $record:ident) => {
        match $object {
            $crate::object::ManagedObject::Certificate(certificate) => $record.certificate = Some(certificate),
            $crate::object::ManagedObject::SymmetricKey(key) => $record.symmetric_key = Some(key),
            $crate::object::ManagedObject::SecretData(secret) => $record.secret_data = Some(secret),
            $crate::object::ManagedObject::PrivateKey(key) => $record.private_key = Some(key),
            $crate::object::ManagedObject::PublicKey(key) => $record.public_key = Some(key),
            $crate::object::ManagedObject::SplitKey(part) => $record.split_key = Some(part),
            $crate::object::ManagedObject::OpaqueObject(object) => $record.opaque_object = Some(object),
        }
    };
}

/// Takes the objects out of a record that has a field for each type: Register and Import bring one.
macro_rules! brought {
    ($record:expr) => {{
        let mut objects: Vec<$crate::object::ManagedObject> = vec![];
        objects.extend($record.certificate.map($crate::object::ManagedObject::Certificate));
        objects.extend($record.symmetric_key.map($crate::object::ManagedObject::SymmetricKey));
        objects.extend($record.private_key.map($crate::object::ManagedObject::PrivateKey));
        objects.extend($record.public_key.map($crate::object::ManagedObject::PublicKey));
        objects.extend($record.split_key.map($crate::object::ManagedObject::SplitKey));
        objects.extend($record.secret_data.map($crate::object::ManagedObject::SecretData));
        objects.extend($record.opaque_object.map($crate::object::ManagedObject::OpaqueObject));
        let mut unread = vec![];
        unread.extend($record.template.map(|_| $crate::tables::ObjectType::Template));
        unread.extend($record.pgp_key.map(|_| $crate::tables::ObjectType::PgpKey));
        $crate::object::Brought { objects, unread }
    }};
}

pub(crate) use {brought, place};

/// What a request brings; the specification wants one object.
pub struct Brought {
    pub objects: Vec<ManagedObject>,
    /// The types of those that this crate does not read.
    pub unread: Vec<ObjectType>,
}

/// The bytes of a key, or that they are elsewhere. Wiped when dropped; neither printable, comparable nor cloneable.
pub struct KeyMaterial {
    bytes: Zeroizing<Vec<u8>>,
    is_absent: bool,
}

impl KeyMaterial {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self::from(Zeroizing::new(bytes))
    }

    /// Of a Key Block without a Key Value (§3.41).
    pub fn absent() -> Self {
        Self { bytes: Zeroizing::default(), is_absent: true }
    }

    pub fn is_absent(&self) -> bool {
        self.is_absent
    }

    /// The secret bytes. Each caller of this name reads a key.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl From<Zeroizing<Vec<u8>>> for KeyMaterial {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { bytes, is_absent: false }
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
    /// A part of a key (§2.2.5).
    pub struct SplitKey {
        need parts: i32 = SPLIT_KEY_PARTS V1_0,
        /// Which part, from 1.
        need part: i32 = KEY_PART_IDENTIFIER V1_0,
        /// How many parts make the key.
        need threshold: i32 = SPLIT_KEY_THRESHOLD V1_0,
        need method: SplitKeyMethod = SPLIT_KEY_METHOD V1_0,
        /// For the method of prime fields.
        opt prime_field_size: BigInteger = PRIME_FIELD_SIZE V1_0,
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
    Certificate(Certificate),
    SymmetricKey(SymmetricKey),
    SecretData(SecretData),
    PrivateKey(PrivateKey),
    PublicKey(PublicKey),
    SplitKey(SplitKey),
    OpaqueObject(OpaqueObject),
}

impl ManagedObject {
    pub fn object_type(&self) -> ObjectType {
        match self {
            Self::Certificate(_) => ObjectType::Certificate,
            Self::SymmetricKey(_) => ObjectType::SymmetricKey,
            Self::SecretData(_) => ObjectType::SecretData,
            Self::PrivateKey(_) => ObjectType::PrivateKey,
            Self::PublicKey(_) => ObjectType::PublicKey,
            Self::SplitKey(_) => ObjectType::SplitKey,
            Self::OpaqueObject(_) => ObjectType::OpaqueObject,
        }
    }

    /// Absent for certificates and opaque objects.
    pub fn key_block(&self) -> Option<&KeyBlock> {
        match self {
            Self::SymmetricKey(key) => Some(&key.key_block),
            Self::SecretData(secret) => Some(&secret.key_block),
            Self::PrivateKey(key) => Some(&key.key_block),
            Self::PublicKey(key) => Some(&key.key_block),
            Self::SplitKey(part) => Some(&part.key_block),
            Self::Certificate(_) | Self::OpaqueObject(_) => None,
        }
    }

    /// The Key Block, to change it. Absent for certificates and opaque objects.
    pub fn key_block_mut(&mut self) -> Option<&mut KeyBlock> {
        match self {
            Self::SymmetricKey(key) => Some(&mut key.key_block),
            Self::SecretData(secret) => Some(&mut secret.key_block),
            Self::PrivateKey(key) => Some(&mut key.key_block),
            Self::PublicKey(key) => Some(&mut key.key_block),
            Self::SplitKey(part) => Some(&mut part.key_block),
            Self::Certificate(_) | Self::OpaqueObject(_) => None,
        }
    }

    /// The bytes that are stored.
    pub fn material(&self) -> &KeyMaterial {
        match self {
            Self::SymmetricKey(key) => &key.key_block.material,
            Self::SecretData(secret) => &secret.key_block.material,
            Self::PrivateKey(key) => &key.key_block.material,
            Self::PublicKey(key) => &key.key_block.material,
            Self::SplitKey(part) => &part.key_block.material,
            Self::Certificate(certificate) => &certificate.certificate_value,
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
        opt key_wrapping_data: KeyWrappingData = KEY_WRAPPING_DATA V1_0,
    }
}

record! {
    struct PlainValue<'a> {
        need key_material: Item<'a> = KEY_MATERIAL V1_0,
        many attributes: Attribute = ATTRIBUTE V1_0,
    }
}

record! {
    struct Transparent<'a> {
        need key: &'a [u8] = KEY V1_0,
    }
}

/// Key bytes with their format (§2.1.3).
///
/// Key Material of format Transparent Symmetric Key is held as plain bytes too, that of the other transparent formats as the whole
/// item (see [`crate::transparent`]), and a Key Value that is wrapped as it is.
pub struct KeyBlock {
    pub key_format_type: KeyFormatType,
    pub key_compression_type: Option<KeyCompressionType>,
    pub material: KeyMaterial,
    /// Inside the Key Value; none where it is wrapped.
    pub attributes: Vec<Attribute>,
    pub cryptographic_algorithm: Option<CryptographicAlgorithm>,
    /// Bits.
    pub cryptographic_length: Option<i32>,
    pub key_wrapping_data: Option<Box<KeyWrappingData>>,
}

impl KeyBlock {
    /// A key that says nothing of itself but its format.
    pub fn new(key_format_type: KeyFormatType, material: KeyMaterial) -> Self {
        Self {
            key_format_type,
            key_compression_type: None,
            material,
            attributes: vec![],
            cryptographic_algorithm: None,
            cryptographic_length: None,
            key_wrapping_data: None,
        }
    }

    /// The Key Value as an item of its own, which is what is wrapped where the encoding is TTLV (§2.1.4).
    pub fn encoded_value(&self, version: ProtocolVersion) -> KeyMaterial {
        let mut out = vec![];
        self.write_value(&mut Writer::new(&mut out, version));
        KeyMaterial::new(out)
    }

    /// Takes Key Material and attributes out of an item as [`KeyBlock::encoded_value`] writes it. The key is no longer wrapped then.
    pub fn unwrap_value(&mut self, item: &[u8], version: ProtocolVersion) -> Result<(), WireError> {
        let value = parse(item, &Limits::REQUEST)?;
        if value.tag() != Tag::KEY_VALUE {
            return Err(WireError::NotAMessage { expected: Tag::KEY_VALUE, found: value.tag() });
        }
        (self.material, self.attributes) = plain(self.key_format_type, value, version)?;
        self.key_wrapping_data = None;
        Ok(())
    }

    fn write_value(&self, writer: &mut Writer<'_>) {
        writer.structure(Tag::KEY_VALUE, |writer| {
            match self.key_format_type {
                KeyFormatType::TransparentSymmetricKey => {
                    Transparent { key: self.material.expose() }.write(Tag::KEY_MATERIAL, writer);
                }
                format if format.is_structured() => self.material.write_item(writer),
                _ => writer.bytes(Tag::KEY_MATERIAL, self.material.expose()),
            }
            self.attributes.iter().for_each(|attribute| attribute.write(Tag::ATTRIBUTE, writer));
        });
    }
}

fn plain(
    format: KeyFormatType,
    value: Structure<'_>,
    version: ProtocolVersion,
) -> Result<(KeyMaterial, Vec<Attribute>), WireError> {
    let value = PlainValue::read_fields(value, version)?;
    let material = match format {
        KeyFormatType::TransparentSymmetricKey => Transparent::read(&value.key_material, version)?.key.into(),
        format if format.is_structured() => KeyMaterial::of_item(&value.key_material)?,
        _ => value.key_material.bytes()?.into(),
    };
    Ok((material, value.attributes))
}

impl<'a> Value<'a> for KeyBlock {
    fn read(item: &Item<'a>, version: ProtocolVersion) -> Result<Self, WireError> {
        let block = Block::read(item, version)?;
        let (material, attributes) = match (&block.key_value, &block.key_wrapping_data) {
            (Some(value), Some(_)) => (value.bytes()?.into(), vec![]),
            (Some(value), None) => plain(block.key_format_type, value.structure()?, version)?,
            // 1.2 lets a client leave it out.
            (None, None) if version.knows(ProtocolVersion::V1_2) => (KeyMaterial::absent(), vec![]),
            (None, _) => return Err(WireError::Missing { structure: Tag::KEY_BLOCK, field: Tag::KEY_VALUE }),
        };
        Ok(Self {
            key_format_type: block.key_format_type,
            key_compression_type: block.key_compression_type,
            material,
            attributes,
            cryptographic_algorithm: block.cryptographic_algorithm,
            cryptographic_length: block.cryptographic_length,
            key_wrapping_data: block.key_wrapping_data.map(Box::new),
        })
    }

    fn write(&self, tag: Tag, writer: &mut Writer<'_>) {
        writer.structure(tag, |writer| {
            self.key_format_type.write(Tag::KEY_FORMAT_TYPE, writer);
            if let Some(compression) = self.key_compression_type {
                compression.write(Tag::KEY_COMPRESSION_TYPE, writer);
            }
            match self.key_wrapping_data {
                _ if self.material.is_absent() => {}
                Some(_) => writer.bytes(Tag::KEY_VALUE, self.material.expose()),
                None => self.write_value(writer),
            }
            if let Some(algorithm) = self.cryptographic_algorithm {
                algorithm.write(Tag::CRYPTOGRAPHIC_ALGORITHM, writer);
            }
            if let Some(bits) = self.cryptographic_length {
                writer.integer(Tag::CRYPTOGRAPHIC_LENGTH, bits);
            }
            if let Some(wrapping) = &self.key_wrapping_data {
                wrapping.write(Tag::KEY_WRAPPING_DATA, writer);
            }
        });
    }
}
