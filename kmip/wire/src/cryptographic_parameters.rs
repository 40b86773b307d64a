//! How a key is used in one cipher operation (KMIP 1.4 §3.6).

use crate::{
    tables::{
        BlockCipherMode, CryptographicAlgorithm, DigitalSignatureAlgorithm, HashingAlgorithm, KeyRoleType,
        MaskGenerator, PaddingMethod,
    },
    ttlv::record,
};

record! {
    /// Mode, padding and nonce of a cipher operation, or of every one with the key that has it as an attribute.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct CryptographicParameters {
        opt block_cipher_mode: BlockCipherMode = BLOCK_CIPHER_MODE V1_0,
        opt padding_method: PaddingMethod = PADDING_METHOD V1_0,
        opt hashing_algorithm: HashingAlgorithm = HASHING_ALGORITHM V1_0,
        opt key_role_type: KeyRoleType = KEY_ROLE_TYPE V1_0,
        opt digital_signature_algorithm: DigitalSignatureAlgorithm = DIGITAL_SIGNATURE_ALGORITHM V1_2,
        opt cryptographic_algorithm: CryptographicAlgorithm = CRYPTOGRAPHIC_ALGORITHM V1_2,
        /// Whether the server draws the IV and returns it.
        opt random_iv: bool = RANDOM_IV V1_2,
        /// Bits.
        opt iv_length: i32 = IV_LENGTH V1_2,
        /// Bytes, of the authentication tag.
        opt tag_length: i32 = TAG_LENGTH V1_2,
        /// Bits.
        opt fixed_field_length: i32 = FIXED_FIELD_LENGTH V1_2,
        /// Bits.
        opt invocation_field_length: i32 = INVOCATION_FIELD_LENGTH V1_2,
        /// Bits.
        opt counter_length: i32 = COUNTER_LENGTH V1_2,
        opt initial_counter_value: i32 = INITIAL_COUNTER_VALUE V1_2,
        opt salt_length: i32 = SALT_LENGTH V1_4,
        opt mask_generator: MaskGenerator = MASK_GENERATOR V1_4,
        opt mask_generator_hashing_algorithm: HashingAlgorithm = MASK_GENERATOR_HASHING_ALGORITHM V1_4,
        opt p_source: Vec<u8> = P_SOURCE V1_4,
        opt trailer_field: i32 = TRAILER_FIELD V1_4,
    }
}

impl CryptographicParameters {
    /// Whether each field that is set here has the same value in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        let mut both = other.clone();
        macro_rules! lay_over {
            ($($field:ident)*) => {
                let Self { $($field,)* } = self;
                $(if $field.is_some() {
                    both.$field.clone_from($field);
                })*
            };
        }
        lay_over! {
            block_cipher_mode padding_method hashing_algorithm key_role_type digital_signature_algorithm cryptographic_algorithm
            random_iv iv_length tag_length fixed_field_length invocation_field_length counter_length initial_counter_value
            salt_length mask_generator mask_generator_hashing_algorithm p_source trailer_field
        }
        both == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_within_others_field_by_field() {
        let mode =
            CryptographicParameters { block_cipher_mode: Some(BlockCipherMode::NistKeyWrap), ..Default::default() };
        let more = CryptographicParameters { p_source: Some(vec![1]), ..mode.clone() };
        let none = CryptographicParameters::default();
        assert!(mode.is_within(&mode) && mode.is_within(&more) && none.is_within(&mode) && none.is_within(&none));
        assert!(!more.is_within(&mode) && !mode.is_within(&none));
        let other = CryptographicParameters { block_cipher_mode: Some(BlockCipherMode::Gcm), ..more.clone() };
        assert!(!mode.is_within(&other));
    }
}
