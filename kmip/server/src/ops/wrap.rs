//! Key wrapping (KMIP 1.4 §2.1.5, §2.1.6): the Key Value of a Key Block, encrypted, MACed or signed with other keys of this server, and
//! taken back.
//!
//! A wrapping key is used as any other: policy is asked about it as an object of its own, its state and its mask must allow the use, and
//! what it protects counts against its limits. GCM's tag stands behind the ciphertext, since Key Wrapping Data has no field for it.

use custody::{
    aead::KeyWrap,
    dek::{Encrypted, Mode},
    key_table::{Borrow, Pending},
    object::ObjectMeta,
    signature::Signed,
};
use kmip::{
    CryptographicParameters, KeyBlock, KeyInformation, KeyMaterial, KeyWrappingData, KeyWrappingSpecification,
    ResultReason,
    tables::{BlockCipherMode, EncodingOption, KeyFormatType, LinkType, ObjectType, UsageMask, WrappingMethod},
};
use policy::Operation;
use zeroize::Zeroizing;

use super::{
    Allowed, Turn, Used,
    cipher::{self, Cipher},
    mac::hmac,
    rsa, sign,
};
use crate::{
    attributes,
    refusal::{self, Outcome, denied, fail, invalid_field, unsupported},
};

/// Refuses what cannot be, before any key is read.
pub(super) fn check(specification: &KeyWrappingSpecification) -> Outcome<()> {
    needed(
        specification.wrapping_method,
        specification.encryption_key_information.as_ref(),
        specification.mac_signature_key_information.as_ref(),
    )?;
    if specification.encoding_option == Some(EncodingOption::NoEncoding) && !specification.attribute_names.is_empty() {
        let message = "No Encoding has no place for attributes; ask for TTLV Encoding, or for none of them";
        return Err(fail(ResultReason::EncodingOptionError, message));
    }
    Ok(())
}

/// Whether what leaves so can be read with another key alone.
pub(super) fn hides(method: WrappingMethod) -> bool {
    method != WrappingMethod::MacSign
}

/// Wraps a block whose attributes stand in it already.
pub(super) async fn wrap(
    turn: &mut Turn<'_, '_>,
    specification: &KeyWrappingSpecification,
    block: &mut KeyBlock,
) -> Outcome<()> {
    let method = specification.wrapping_method;
    let (encryption, mac) = needed(
        method,
        specification.encryption_key_information.as_ref(),
        specification.mac_signature_key_information.as_ref(),
    )?;
    let value = value_of(turn, specification.encoding_option, block)?;
    let mut data = KeyWrappingData {
        wrapping_method: method,
        encryption_key_information: None,
        mac_signature_key_information: None,
        mac_signature: None,
        iv_counter_nonce: None,
        encoding_option: specification.encoding_option,
    };
    let mut wrapped = value;
    if let (WrappingMethod::MacSign | WrappingMethod::MacSignThenEncrypt, Some(mac)) = (method, mac) {
        authenticate(turn, mac, wrapped.expose(), &mut data).await?;
    }
    if let Some(encryption) = encryption {
        wrapped = encrypt(turn, encryption, wrapped.expose(), &mut data).await?;
    }
    if let (WrappingMethod::EncryptThenMacSign, Some(mac)) = (method, mac) {
        authenticate(turn, mac, wrapped.expose(), &mut data).await?;
    }
    block.material = wrapped;
    block.attributes = vec![];
    block.key_wrapping_data = Some(Box::new(data));
    Ok(())
}

/// Unwraps a block; one that is not wrapped stays as it is.
pub(super) async fn unwrap(turn: &mut Turn<'_, '_>, block: &mut KeyBlock) -> Outcome<()> {
    let Some(data) = block.key_wrapping_data.take() else { return Ok(()) };
    let method = data.wrapping_method;
    let (encryption, mac) =
        needed(method, data.encryption_key_information.as_ref(), data.mac_signature_key_information.as_ref())?;
    if let (WrappingMethod::MacSign | WrappingMethod::EncryptThenMacSign, Some(mac)) = (method, mac) {
        verify(turn, mac, block.material.expose(), &data).await?;
    }
    if let Some(encryption) = encryption {
        block.material = decrypt(turn, encryption, block.material.expose(), &data).await?;
    }
    if let (WrappingMethod::MacSignThenEncrypt, Some(mac)) = (method, mac) {
        verify(turn, mac, block.material.expose(), &data).await?;
    }
    if data.encoding_option == Some(EncodingOption::NoEncoding) {
        return in_bytes(block.key_format_type);
    }
    let item = std::mem::replace(&mut block.material, KeyMaterial::new(vec![]));
    block.unwrap_value(item.expose(), turn.version).map_err(|error| {
        invalid_field(format!(
            "what was wrapped is no Key Value in TTLV ({error}); if it is the bare key, say No Encoding"
        ))
    })
}

type Needed<'s> = (Option<&'s KeyInformation>, Option<&'s KeyInformation>);

/// The keys that the method takes; each must be named, and no other.
fn needed<'s>(
    method: WrappingMethod,
    encryption: Option<&'s KeyInformation>,
    mac: Option<&'s KeyInformation>,
) -> Outcome<Needed<'s>> {
    use WrappingMethod as M;
    let (encrypts, authenticates) = match method {
        M::Encrypt => (true, false),
        M::MacSign => (false, true),
        M::EncryptThenMacSign | M::MacSignThenEncrypt => (true, true),
        M::Tr31 => return Err(unsupported("wrapping by TR-31; Encrypt, MAC/sign and both are")),
    };
    if (encryption.is_some(), mac.is_some()) != (encrypts, authenticates) {
        return Err(invalid_field(format!(
            "the Wrapping Method {method} takes Encryption Key Information where it encrypts, MAC/Signature Key Information where it MACs \
             or signs, and no other"
        )));
    }
    Ok((encryption, mac))
}

/// What is wrapped: the Key Value in TTLV, or the bare bytes of its Key Material.
fn value_of(turn: &Turn<'_, '_>, encoding: Option<EncodingOption>, block: &mut KeyBlock) -> Outcome<KeyMaterial> {
    if encoding != Some(EncodingOption::NoEncoding) {
        return Ok(block.encoded_value(turn.version));
    }
    in_bytes(block.key_format_type)?;
    Ok(std::mem::replace(&mut block.material, KeyMaterial::new(vec![])))
}

/// §2.1.4: "the wrapped un-encoded value of the Byte String Key Material field".
fn in_bytes(format: KeyFormatType) -> Outcome<()> {
    if format.is_structured() || format == KeyFormatType::TransparentSymmetricKey {
        let message = format!("No Encoding is for Key Material that is bytes; that of {format} is a structure");
        return Err(fail(ResultReason::EncodingOptionError, message));
    }
    Ok(())
}

/// How a key encrypts another.
enum How {
    KeyWrap(KeyWrap),
    Cipher(Cipher),
    Oaep(rsa::Oaep),
}

impl How {
    fn of(meta: &ObjectMeta, parameters: &CryptographicParameters) -> Outcome<Self> {
        if matches!(ObjectType::from_code(meta.object_type), Some(ObjectType::PublicKey | ObjectType::PrivateKey)) {
            return rsa::oaep(meta, Some(parameters)).map(Self::Oaep);
        }
        match parameters.block_cipher_mode {
            Some(BlockCipherMode::NistKeyWrap) => cipher::is_aes(meta).map(|()| Self::KeyWrap(KeyWrap::Plain)),
            Some(BlockCipherMode::AesKeyWrapPadding) => cipher::is_aes(meta).map(|()| Self::KeyWrap(KeyWrap::Padded)),
            _ => cipher::cipher(meta, Some(parameters)).map(Self::Cipher),
        }
    }

    fn encrypt(&self, borrow: &Borrow, text: &[u8]) -> Outcome<Pending<Encrypted>> {
        let sealed = match self {
            Self::KeyWrap(wrap) => borrow.wrap_key(*wrap, text),
            Self::Cipher(cipher) => borrow.encrypt(cipher.mode, None, b"", text),
            Self::Oaep(oaep) => borrow.rsa_encrypt(oaep.hash, &oaep.label, text),
        };
        sealed.map_err(|error| refusal::of_custody(&error))
    }

    fn decrypt(&self, borrow: &Borrow, iv: Option<&[u8]>, sealed: &[u8]) -> Outcome<Pending<Zeroizing<Vec<u8>>>> {
        let text = match self {
            Self::KeyWrap(wrap) => borrow.unwrap_key(*wrap, sealed),
            Self::Cipher(cipher) => {
                let at =
                    if cipher.mode == Mode::Gcm { sealed.len().saturating_sub(cipher.tag_bytes) } else { sealed.len() };
                let (sealed, tag) = sealed.split_at_checked(at).unwrap_or((sealed, b""));
                borrow.decrypt(cipher.mode, iv, b"", sealed, Some(tag).filter(|tag| !tag.is_empty()))
            }
            Self::Oaep(oaep) => borrow.rsa_decrypt(oaep.hash, &oaep.label, sealed),
        };
        text.map_err(|error| refusal::of_custody(&error))
    }

    /// Bytes of the tag behind the ciphertext.
    fn tag_bytes(&self) -> usize {
        match self {
            Self::Cipher(cipher) if cipher.mode == Mode::Gcm => cipher.tag_bytes,
            _ => 0,
        }
    }
}

/// Encrypts with the key that is named; `data` gets what its decryption needs besides it.
async fn encrypt(
    turn: &mut Turn<'_, '_>,
    named: &KeyInformation,
    text: &[u8],
    data: &mut KeyWrappingData,
) -> Outcome<KeyMaterial> {
    let key = key_named(turn, Operation::Encrypt, &named.unique_identifier)?;
    let job = |borrow: &Borrow, meta: &ObjectMeta| {
        let parameters = matching(meta, named.cryptographic_parameters.as_ref())?;
        let how = How::of(meta, &parameters)?;
        let sealed = how.encrypt(borrow, text)?;
        Ok(((parameters, how.tag_bytes()), sealed))
    };
    let Used { found, given, limits, .. } = turn.protect(&key, UsageMask::WRAP_KEY, job).await?;
    turn.spend(&key, limits, text.len(), true).await?;
    let (parameters, tag_bytes) = found;
    let mut bytes = given.bytes;
    bytes.extend(given.tag.iter().flatten().take(tag_bytes));
    data.iv_counter_nonce = given.drawn.map(|iv| iv.as_slice().to_vec());
    data.encryption_key_information =
        Some(KeyInformation { unique_identifier: key.text.to_string(), cryptographic_parameters: Some(parameters) });
    Ok(KeyMaterial::new(bytes))
}

async fn decrypt(
    turn: &mut Turn<'_, '_>,
    named: &KeyInformation,
    sealed: &[u8],
    data: &KeyWrappingData,
) -> Outcome<KeyMaterial> {
    let key = key_named(turn, Operation::Decrypt, &named.unique_identifier)?;
    let job = |borrow: &Borrow, meta: &ObjectMeta| {
        let parameters = given_or_own(meta, named.cryptographic_parameters.as_ref())?;
        let text = How::of(meta, &parameters)?.decrypt(borrow, data.iv_counter_nonce.as_deref(), sealed)?;
        Ok(((), text))
    };
    let Used { given, .. } = turn.process(&key, UsageMask::UNWRAP_KEY, job).await?;
    Ok(given.into())
}

/// MACs with a symmetric key, or signs with a private one.
async fn authenticate(
    turn: &mut Turn<'_, '_>,
    named: &KeyInformation,
    bytes: &[u8],
    data: &mut KeyWrappingData,
) -> Outcome<()> {
    let kind = kind(turn, &named.unique_identifier)?;
    let private = kind == Some(ObjectType::PrivateKey);
    let (operation, uses) =
        if private { (Operation::Sign, UsageMask::SIGN) } else { (Operation::Mac, UsageMask::MAC_GENERATE) };
    let key = turn.other(operation, &named.unique_identifier)?;
    must_be_key(kind)?;
    let job = |borrow: &Borrow, meta: &ObjectMeta| {
        let parameters = matching(meta, named.cryptographic_parameters.as_ref())?;
        let made = match private {
            true => borrow.sign(sign::signing(meta, Some(&parameters))?, Signed::Data(bytes)),
            false => borrow.mac(hmac(meta, Some(&parameters))?, bytes),
        };
        made.map(|made| (parameters, made)).map_err(|error| refusal::of_custody(&error))
    };
    let Used { found: parameters, given, limits, .. } = turn.protect(&key, uses, job).await?;
    turn.spend(&key, limits, bytes.len(), true).await?;
    data.mac_signature = Some(given);
    data.mac_signature_key_information =
        Some(KeyInformation { unique_identifier: key.text.to_string(), cryptographic_parameters: Some(parameters) });
    Ok(())
}

async fn verify(turn: &mut Turn<'_, '_>, named: &KeyInformation, bytes: &[u8], data: &KeyWrappingData) -> Outcome<()> {
    let missing = || invalid_field("Key Wrapping Data names a key that MACed or signed, and has no MAC/Signature");
    let claimed = data.mac_signature.as_deref().ok_or_else(missing)?;
    let id = verifying_id(turn, &named.unique_identifier)?;
    let kind = kind(turn, &id)?;
    let public = kind == Some(ObjectType::PublicKey);
    let (operation, uses) = match public {
        true => (Operation::SignatureVerify, UsageMask::VERIFY),
        false => (Operation::MacVerify, UsageMask::MAC_VERIFY),
    };
    let key = turn.other(operation, &id)?;
    must_be_key(kind)?;
    let job = |borrow: &Borrow, meta: &ObjectMeta| {
        let parameters = given_or_own(meta, named.cryptographic_parameters.as_ref())?;
        let valid = match public {
            true => borrow.verify(&sign::verifying(meta, Some(&parameters))?, Signed::Data(bytes), claimed),
            false => borrow.mac_verify(hmac(meta, Some(&parameters))?, bytes, claimed),
        };
        valid.map(|valid| ((), valid)).map_err(|error| refusal::of_custody(&error))
    };
    if turn.process(&key, uses, job).await?.given {
        return Ok(());
    }
    Err(fail(
        ResultReason::CryptographicFailure,
        "MAC/Signature is not that of the wrapped key under the key that is named",
    ))
}

/// The object's attributes, under the caller's own system.
fn meta_of(turn: &Turn<'_, '_>, id: &str) -> Outcome<ObjectMeta> {
    let id = id.parse().map_err(|_| refusal::not_found())?;
    turn.meta(id)
}

fn kind(turn: &Turn<'_, '_>, id: &str) -> Outcome<Option<ObjectType>> {
    meta_of(turn, id).map(|meta| ObjectType::from_code(meta.object_type))
}

/// Table 11: a signature may be named by its private key; its public key verifies.
fn verifying_id(turn: &Turn<'_, '_>, id: &str) -> Outcome<String> {
    let meta = meta_of(turn, id)?;
    if meta.object_type != ObjectType::PrivateKey.code() {
        return Ok(id.to_owned());
    }
    let link = meta.links.iter().find(|link| link.kind == LinkType::PublicKeyLink.code());
    link.map(|link| link.to.clone())
        .ok_or_else(|| denied("the Private Key has no link to the Public Key that verifies"))
}

/// The key that wraps, on which the caller may do the operation.
fn key_named(turn: &Turn<'_, '_>, operation: Operation, id: &str) -> Outcome<Allowed> {
    let key = turn.other(operation, id)?;
    must_be_key(kind(turn, id)?)?;
    Ok(key)
}

fn must_be_key(kind: Option<ObjectType>) -> Outcome<()> {
    match kind {
        Some(ObjectType::SymmetricKey | ObjectType::PublicKey | ObjectType::PrivateKey) => Ok(()),
        // §11.12.
        _ => Err(fail(ResultReason::IllegalOperation, "the object that is to wrap or unwrap is no key")),
    }
}

/// §2.1.6: those that are asked for match an instance of the key's own; where none are, those with the lowest index.
fn matching(meta: &ObjectMeta, asked: Option<&CryptographicParameters>) -> Outcome<CryptographicParameters> {
    let mut own = meta.parameters.iter().map(attributes::parameters_of);
    let found = own.find(|own| match (own, asked) {
        (Ok(own), Some(asked)) => asked.is_within(own),
        _ => true,
    });
    found.transpose()?.ok_or_else(|| {
        let message = "the wrapping key has no Cryptographic Parameters like those; add them to it as an attribute";
        fail(ResultReason::ItemNotFound, message)
    })
}

fn given_or_own(meta: &ObjectMeta, given: Option<&CryptographicParameters>) -> Outcome<CryptographicParameters> {
    given.map_or_else(|| matching(meta, None), |given| Ok(given.clone()))
}

/// Refuses a key whose bytes are not its own.
pub(super) fn unwrapped(meta: &ObjectMeta) -> Outcome<()> {
    match meta.wrapping {
        None => Ok(()),
        Some(_) => Err(refusal::denied("the key is stored as it came, wrapped; only an unwrapped key is used")),
    }
}
