//! Hash (KMIP 1.4 §4.37), in one part. No key is involved.

use aws_lc_rs::digest;
use kmip::{
    ops::{Answer, hash},
    tables::HashingAlgorithm,
};
use policy::Permitted;

use super::{Turn, cipher::data_of, mac::in_one_part};
use crate::refusal::{Outcome, invalid_field, unsupported};

pub(super) fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: &hash::Request<'_>) -> Outcome<()> {
    in_one_part(request.correlation_value, request.init_indicator, request.final_indicator)?;
    let named = request.cryptographic_parameters.hashing_algorithm;
    let named = named.ok_or_else(|| invalid_field("Cryptographic Parameters name no Hashing Algorithm"))?;
    let digest = digest::digest(algorithm(named)?, data_of(request.data)?);
    turn.success(&Answer::Hash(hash::Answer { data: Some(digest.as_ref()), correlation_value: None }));
    Ok(())
}

fn algorithm(named: HashingAlgorithm) -> Outcome<&'static digest::Algorithm> {
    Ok(match named {
        HashingAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        HashingAlgorithm::Sha224 => &digest::SHA224,
        HashingAlgorithm::Sha256 => &digest::SHA256,
        HashingAlgorithm::Sha384 => &digest::SHA384,
        HashingAlgorithm::Sha512 => &digest::SHA512,
        HashingAlgorithm::Sha512256 => &digest::SHA512_256,
        HashingAlgorithm::Sha3256 => &digest::SHA3_256,
        HashingAlgorithm::Sha3384 => &digest::SHA3_384,
        HashingAlgorithm::Sha3512 => &digest::SHA3_512,
        other => return Err(unsupported(format!("{other}; SHA-1, SHA-2 and SHA-3 of 256 to 512 bits are"))),
    })
}
