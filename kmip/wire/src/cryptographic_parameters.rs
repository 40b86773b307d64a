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
