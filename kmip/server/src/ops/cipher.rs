//! Which cipher Encrypt and Decrypt use, from the request's Cryptographic Parameters and the key's own.

use custody::{
    dek::{Block, Chaining, Mode, Padding, SHORT_TAG_BYTES_MIN, TAG_BYTES},
    object::ObjectMeta,
};
use kmip::{
    CryptographicParameters, ResultReason,
    tables::{BlockCipherMode, CryptographicAlgorithm, ObjectType, PaddingMethod},
};

use crate::{
    attributes,
    refusal::{Outcome, denied, fail, invalid_field, unsupported},
};

/// A cipher with an AES key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cipher {
    pub(super) mode: Mode,
    /// Bytes of the authentication tag, for GCM.
    pub(super) tag_bytes: usize,
}

/// The data of an operation in one part.
pub(super) fn data_of(data: Option<&[u8]>) -> Outcome<&[u8]> {
    data.ok_or_else(|| fail(ResultReason::InvalidMessage, "Data is missing"))
}

/// The cipher that the request's parameters name, or else those of the key.
pub(super) fn cipher(meta: &ObjectMeta, asked: Option<&CryptographicParameters>) -> Outcome<Cipher> {
    is_aes(meta)?;
    let named = asked.is_some_and(|asked| asked.block_cipher_mode.is_some());
    let own = if named { None } else { attributes::own_parameters(meta)? };
    let parameters = asked.or(own.as_ref()).ok_or_else(|| {
        invalid_field("neither the request nor the key has Cryptographic Parameters; name a Block Cipher Mode")
    })?;
    if parameters.cryptographic_algorithm.is_some_and(|algorithm| algorithm != CryptographicAlgorithm::Aes) {
        return Err(invalid_field("Cryptographic Parameters name another algorithm than AES, which the key is of"));
    }
    let counted = [
        parameters.fixed_field_length,
        parameters.invocation_field_length,
        parameters.counter_length,
        parameters.initial_counter_value,
    ];
    if counted.iter().any(Option::is_some) {
        return Err(unsupported("a nonce made of fields and a counter; send it whole, or ask for a Random IV"));
    }
    // A request that names no mode (but asks for a Random IV, say) means the key's.
    let from = if parameters.block_cipher_mode.is_some() { parameters } else { own.as_ref().unwrap_or(parameters) };
    let mode = mode(from.block_cipher_mode, from.padding_method)?;
    Ok(Cipher { mode, tag_bytes: tag_bytes(parameters.tag_length.or(from.tag_length))? })
}

/// §11.30: the object is not able to be used for encryption.
pub(super) fn is_aes(meta: &ObjectMeta) -> Outcome<()> {
    if meta.object_type == ObjectType::SymmetricKey.code() && meta.algorithm == Some(CryptographicAlgorithm::Aes.code())
    {
        return Ok(());
    }
    Err(denied(
        "the object is no AES key: only these encrypt and decrypt here, and in one part public and private keys of RSA",
    ))
}

fn mode(mode: Option<BlockCipherMode>, padding: Option<PaddingMethod>) -> Outcome<Mode> {
    let named = mode.ok_or_else(|| invalid_field("Cryptographic Parameters name no Block Cipher Mode"))?;
    let padding =
        padding.unwrap_or(if named == BlockCipherMode::Cbc { PaddingMethod::Pkcs5 } else { PaddingMethod::None });
    let refused = || {
        unsupported(format!(
            "mode {named} with padding {padding}; GCM, CTR, CFB and OFB without padding, and ECB and CBC with PKCS5 or none, are"
        ))
    };
    let chaining = match named {
        BlockCipherMode::Gcm if padding == PaddingMethod::None => return Ok(Mode::Gcm),
        BlockCipherMode::Ecb => Chaining::Ecb,
        BlockCipherMode::Cbc => Chaining::Cbc,
        BlockCipherMode::Ctr => Chaining::Ctr,
        BlockCipherMode::Cfb => Chaining::Cfb,
        BlockCipherMode::Ofb => Chaining::Ofb,
        _ => return Err(refused()),
    };
    let padding = match padding {
        PaddingMethod::None => Padding::None,
        PaddingMethod::Pkcs5 if chaining.is_blockwise() => Padding::Pkcs5,
        _ => return Err(refused()),
    };
    Ok(Mode::Block(Block { chaining, padding }))
}

/// The profiles' test cases want General Failure for a tag that cannot be.
fn tag_bytes(asked: Option<i32>) -> Outcome<usize> {
    let Some(asked) = asked else { return Ok(TAG_BYTES) };
    usize::try_from(asked).ok().filter(|bytes| (SHORT_TAG_BYTES_MIN..=TAG_BYTES).contains(bytes)).ok_or_else(|| {
        let message = format!("Tag Length is {asked}; a GCM tag has {SHORT_TAG_BYTES_MIN} to {TAG_BYTES} bytes");
        fail(ResultReason::GeneralFailure, message)
    })
}

#[cfg(test)]
mod tests {
    use custody::object::State;

    use super::*;

    const GCM: Cipher = Cipher { mode: Mode::Gcm, tag_bytes: 16 };

    fn key() -> ObjectMeta {
        ObjectMeta { algorithm: Some(3), ..ObjectMeta::new(2, State::Active, true) }
    }

    fn parameters(mode: BlockCipherMode, padding: Option<PaddingMethod>) -> CryptographicParameters {
        CryptographicParameters {
            block_cipher_mode: Some(mode),
            padding_method: padding,
            ..CryptographicParameters::default()
        }
    }

    fn reason<T>(outcome: Outcome<T>) -> Option<ResultReason> {
        outcome.err().map(|failure| failure.reason)
    }

    fn block(chaining: Chaining, padding: Padding) -> Outcome<Cipher> {
        Ok(Cipher { mode: Mode::Block(Block { chaining, padding }), tag_bytes: 16 })
    }

    #[test]
    fn modes() {
        use {BlockCipherMode as B, PaddingMethod as P};
        let ask = |mode: B, padding| cipher(&key(), Some(&parameters(mode, padding)));
        assert_eq!(ask(B::Gcm, None), Ok(GCM));
        assert_eq!(ask(B::Cbc, Some(P::Pkcs5)), block(Chaining::Cbc, Padding::Pkcs5));
        assert_eq!(ask(B::Cbc, None), block(Chaining::Cbc, Padding::Pkcs5));
        assert_eq!(ask(B::Cbc, Some(P::None)), block(Chaining::Cbc, Padding::None));
        assert_eq!(ask(B::Ecb, None), block(Chaining::Ecb, Padding::None));
        assert_eq!(ask(B::Ecb, Some(P::Pkcs5)), block(Chaining::Ecb, Padding::Pkcs5));
        assert_eq!(ask(B::Ctr, None), block(Chaining::Ctr, Padding::None));
        assert_eq!(ask(B::Cfb, None), block(Chaining::Cfb, Padding::None));
        assert_eq!(ask(B::Ofb, None), block(Chaining::Ofb, Padding::None));
        for (mode, padding) in
            [(B::Xts, None), (B::Ctr, Some(P::Pkcs5)), (B::Gcm, Some(P::Pkcs5)), (B::Cbc, Some(P::Zeros))]
        {
            assert_eq!(reason(ask(mode, padding)), Some(ResultReason::FeatureNotSupported), "{mode} {padding:?}");
        }
        let counted = CryptographicParameters { counter_length: Some(32), ..parameters(B::Ctr, None) };
        assert_eq!(reason(cipher(&key(), Some(&counted))), Some(ResultReason::FeatureNotSupported));
        let tag = |bytes| CryptographicParameters { tag_length: Some(bytes), ..parameters(B::Gcm, None) };
        for bytes in 12..=16 {
            let bytes_there = usize::try_from(bytes).unwrap();
            assert_eq!(cipher(&key(), Some(&tag(bytes))), Ok(Cipher { tag_bytes: bytes_there, ..GCM }));
        }
        for bytes in [1, 11, 17, 32, -1] {
            assert_eq!(reason(cipher(&key(), Some(&tag(bytes)))), Some(ResultReason::GeneralFailure));
        }
    }

    #[test]
    fn without_parameters_the_key_s_own_hold() {
        assert_eq!(reason(cipher(&key(), None)), Some(ResultReason::InvalidField));
        let own = custody::object::Parameters { block_cipher_mode: Some(9), ..Default::default() };
        let own = ObjectMeta { parameters: vec![own].into(), ..key() };
        assert_eq!(cipher(&own, None), Ok(GCM));
        let random = CryptographicParameters { random_iv: Some(true), ..CryptographicParameters::default() };
        assert_eq!(cipher(&own, Some(&random)), Ok(GCM));
        assert_eq!(reason(cipher(&key(), Some(&random))), Some(ResultReason::InvalidField));
    }

    #[test]
    fn what_is_no_aes_key_does_not_encrypt() {
        let asked = parameters(BlockCipherMode::Gcm, None);
        let secret = ObjectMeta { object_type: 7, ..key() };
        assert_eq!(reason(cipher(&secret, Some(&asked))), Some(ResultReason::PermissionDenied));
        let other = ObjectMeta { algorithm: Some(2), ..key() };
        assert_eq!(reason(cipher(&other, Some(&asked))), Some(ResultReason::PermissionDenied));
        let des = CryptographicParameters { cryptographic_algorithm: Some(CryptographicAlgorithm::Des), ..asked };
        assert_eq!(reason(cipher(&key(), Some(&des))), Some(ResultReason::InvalidField));
    }

    #[test]
    fn data_is_needed() {
        assert_eq!(reason(data_of(None)), Some(ResultReason::InvalidMessage));
        assert_eq!(data_of(Some(b"x")), Ok(&b"x"[..]));
    }
}
