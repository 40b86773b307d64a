//! Encrypt (KMIP 1.4 §4.29): AES-GCM, and AES-CBC with PKCS5 padding.
//!
//! Without an IV in the request the server draws one and returns it, whether or not Random IV asks for it: a nonce of the server's
//! is never worse. Before 1.4 an answer has no field for the authentication tag; there it follows the ciphertext within Data.

use custody::{
    dek::{Encrypted, Mode},
    key_table::Purpose,
    names::Epoch,
    object::ObjectMeta,
};
use kmip::{
    CryptographicParameters, ProtocolVersion, ResultReason,
    ops::{Answer, encrypt},
    tables::{BlockCipherMode, CryptographicAlgorithm, ObjectType, PaddingMethod, UsageMask},
};

use super::{Allowed, Done, Turn};
use crate::{
    attributes, lifecycle,
    refusal::{self, Outcome, denied, fail, invalid_field, unsupported},
};

/// Bytes of a GCM authentication tag.
pub(super) const TAG_BYTES: i32 = 16;

pub(super) async fn perform(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &encrypt::Request<'_>,
) -> Outcome<Done> {
    let streams =
        request.correlation_value.is_some() || request.init_indicator.is_some() || request.final_indicator.is_some();
    let data = single_part(streams, request.data)?;
    let now_s = turn.now_s;
    let (sealed, epoch) = turn
        .with_key(object, Purpose::Protect, |borrow| -> Outcome<(Encrypted, Epoch)> {
            let meta = borrow.meta().ok_or_else(refusal::not_found)?;
            lifecycle::may_protect(meta, UsageMask::ENCRYPT, now_s)?;
            let mode = mode(meta, request.cryptographic_parameters.as_ref())?;
            let additional = request.additional_data.unwrap_or_default();
            let sealed = borrow.encrypt(mode, request.iv_counter_nonce, additional, data);
            let sealed = sealed.map_err(|error| refusal::of_custody(&error))?;
            let epoch = borrow.epoch();
            Ok((borrow.finish(sealed).map_err(refusal::of_stop)?, epoch))
        })
        .await?;
    let iv_counter_nonce = request.iv_counter_nonce.is_none().then_some(sealed.iv.as_slice());
    let (mut bytes, tag) = (sealed.bytes, sealed.tag);
    if let (Some(tag), false) = (&tag, turn.version.knows(ProtocolVersion::V1_4)) {
        bytes.extend_from_slice(tag);
    }
    turn.success(&Answer::Encrypt(encrypt::Answer {
        unique_identifier: &object.text,
        data: Some(&bytes),
        iv_counter_nonce,
        correlation_value: None,
        authentication_tag: tag.as_ref().map(<[u8; 16]>::as_slice),
    }));
    Ok(Done { epoch })
}

/// The data of an operation in one part.
pub(super) fn single_part(streams: bool, data: Option<&[u8]>) -> Outcome<&[u8]> {
    if streams {
        return Err(unsupported(
            "an operation in several parts (Correlation Value, Init and Final Indicator); send it in one",
        ));
    }
    data.ok_or_else(|| fail(ResultReason::InvalidMessage, "Data is missing"))
}

/// The cipher that the request's parameters name, or else those of the key.
pub(super) fn mode(meta: &ObjectMeta, asked: Option<&CryptographicParameters>) -> Outcome<Mode> {
    if meta.object_type != ObjectType::SymmetricKey.code() || meta.algorithm != Some(CryptographicAlgorithm::Aes.code())
    {
        // §11.30: the object is not able to be used for encryption.
        return Err(denied("the object is no AES key; only these encrypt and decrypt here"));
    }
    let own = meta.parameters.first().map(attributes::parameters_of).transpose()?;
    let parameters = asked.or(own.as_ref()).ok_or_else(|| {
        invalid_field("neither the request nor the key has Cryptographic Parameters; name a Block Cipher Mode")
    })?;
    if parameters.cryptographic_algorithm.is_some_and(|algorithm| algorithm != CryptographicAlgorithm::Aes) {
        return Err(invalid_field("Cryptographic Parameters name another algorithm than AES, which the key is of"));
    }
    let padding = parameters.padding_method.unwrap_or(match parameters.block_cipher_mode {
        Some(BlockCipherMode::Cbc) => PaddingMethod::Pkcs5,
        _ => PaddingMethod::None,
    });
    match (parameters.block_cipher_mode, padding) {
        (Some(BlockCipherMode::Gcm), PaddingMethod::None) => {
            match parameters.tag_length.filter(|&bytes| bytes != TAG_BYTES) {
                Some(bytes) => {
                    Err(invalid_field(format!("Tag Length is {bytes}; a GCM tag has {TAG_BYTES} bytes here")))
                }
                None => Ok(Mode::Gcm),
            }
        }
        (Some(BlockCipherMode::Cbc), PaddingMethod::Pkcs5) => Ok(Mode::CbcPkcs5),
        (Some(mode), padding) => {
            Err(unsupported(format!("mode {mode} with padding {padding}; GCM, or CBC with PKCS5, are")))
        }
        (None, _) => Err(invalid_field("Cryptographic Parameters name no Block Cipher Mode")),
    }
}

#[cfg(test)]
mod tests {
    use custody::object::State;

    use super::*;

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

    #[test]
    fn modes() {
        let ask = |mode_: BlockCipherMode, padding| mode(&key(), Some(&parameters(mode_, padding)));
        assert_eq!(ask(BlockCipherMode::Gcm, None), Ok(Mode::Gcm));
        assert_eq!(ask(BlockCipherMode::Cbc, Some(PaddingMethod::Pkcs5)), Ok(Mode::CbcPkcs5));
        assert_eq!(ask(BlockCipherMode::Cbc, None), Ok(Mode::CbcPkcs5));
        assert_eq!(
            reason(ask(BlockCipherMode::Cbc, Some(PaddingMethod::None))),
            Some(ResultReason::FeatureNotSupported)
        );
        assert_eq!(reason(ask(BlockCipherMode::Ecb, None)), Some(ResultReason::FeatureNotSupported));
        let tag = |bytes| CryptographicParameters { tag_length: Some(bytes), ..parameters(BlockCipherMode::Gcm, None) };
        assert_eq!(mode(&key(), Some(&tag(16))), Ok(Mode::Gcm));
        for bytes in [1, 12, 32, -1] {
            assert_eq!(reason(mode(&key(), Some(&tag(bytes)))), Some(ResultReason::InvalidField));
        }
    }

    #[test]
    fn without_parameters_the_key_s_own_hold() {
        assert_eq!(reason(mode(&key(), None)), Some(ResultReason::InvalidField));
        let own = custody::object::Parameters { block_cipher_mode: Some(9), ..Default::default() };
        assert_eq!(mode(&ObjectMeta { parameters: vec![own], ..key() }, None), Ok(Mode::Gcm));
    }

    #[test]
    fn what_is_no_aes_key_does_not_encrypt() {
        let asked = parameters(BlockCipherMode::Gcm, None);
        let secret = ObjectMeta { object_type: 7, ..key() };
        assert_eq!(reason(mode(&secret, Some(&asked))), Some(ResultReason::PermissionDenied));
        let other = ObjectMeta { algorithm: Some(2), ..key() };
        assert_eq!(reason(mode(&other, Some(&asked))), Some(ResultReason::PermissionDenied));
        let des = CryptographicParameters { cryptographic_algorithm: Some(CryptographicAlgorithm::Des), ..asked };
        assert_eq!(reason(mode(&key(), Some(&des))), Some(ResultReason::InvalidField));
    }

    #[test]
    fn several_parts_are_refused() {
        assert_eq!(reason(single_part(true, Some(b"x"))), Some(ResultReason::FeatureNotSupported));
        assert_eq!(reason(single_part(false, None)), Some(ResultReason::InvalidMessage));
        assert_eq!(single_part(false, Some(b"x")), Ok(&b"x"[..]));
    }
}
