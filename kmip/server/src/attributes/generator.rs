//! The attribute Random Number Generator (KMIP 1.4 §3.44): which generator drew a key.

use custody::object::Rng;
use kmip::{
    RngParameters,
    tables::{CryptographicAlgorithm, HashingAlgorithm},
    ttlv::Enumeration,
};

use crate::refusal::{Outcome, invalid_field};

/// §9.1.3.2.37: Unspecified.
const UNSPECIFIED: u32 = 1;

/// The generator of this server, as Query names it: AWS-LC chooses and seeds it, so its details are not stated.
pub(crate) const OURS: Rng = Rng {
    rng_algorithm: UNSPECIFIED,
    algorithm: None,
    length_bits: None,
    hashing_algorithm: None,
    drbg_algorithm: None,
    curve: None,
    fips186_variation: None,
    prediction_resistance: None,
};

/// §3.44: a generator that a request demands must be the one that is used, or the request fails.
pub(crate) fn check(demanded: Option<Rng>) -> Outcome<()> {
    match demanded {
        Some(other) if other != OURS => {
            let why =
                "no such Random Number Generator is here; leave the attribute out, or name RNG Algorithm Unspecified";
            Err(invalid_field(why))
        }
        _ => Ok(()),
    }
}

pub(super) fn stored(rng: &RngParameters) -> Outcome<Rng> {
    let length_bits = rng.cryptographic_length.map(u32::try_from).transpose();
    Ok(Rng {
        rng_algorithm: rng.rng_algorithm.0,
        algorithm: rng.cryptographic_algorithm.map(CryptographicAlgorithm::code),
        length_bits: length_bits.map_err(|_| invalid_field("Cryptographic Length is negative"))?,
        hashing_algorithm: rng.hashing_algorithm.map(HashingAlgorithm::code),
        drbg_algorithm: rng.drbg_algorithm.map(|code| code.0),
        curve: rng.recommended_curve.map(|code| code.0),
        fips186_variation: rng.fips186_variation.map(|code| code.0),
        prediction_resistance: rng.prediction_resistance,
    })
}

pub(crate) fn shown(rng: &Rng) -> RngParameters {
    RngParameters {
        rng_algorithm: Enumeration(rng.rng_algorithm),
        cryptographic_algorithm: rng.algorithm.and_then(CryptographicAlgorithm::from_code),
        cryptographic_length: rng.length_bits.and_then(|bits| i32::try_from(bits).ok()),
        hashing_algorithm: rng.hashing_algorithm.and_then(HashingAlgorithm::from_code),
        drbg_algorithm: rng.drbg_algorithm.map(Enumeration),
        recommended_curve: rng.curve.map(Enumeration),
        fips186_variation: rng.fips186_variation.map(Enumeration),
        prediction_resistance: rng.prediction_resistance,
    }
}
