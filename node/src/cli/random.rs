//! Random values from the system's generator.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::exit::{Exit, Failure};

fn fill(bytes: &mut [u8]) -> Result<(), Failure> {
    getrandom::fill(bytes).map_err(|e| {
        Failure::new(Exit::NotHealthy, "the system's random generator does not answer").because(e).fix("try again")
    })
}

/// 16 random bytes as base64url: what makes two equal statements two.
pub(crate) fn nonce() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The seed of a new secret key.
pub(crate) fn seed() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    fill(bytes.as_mut_slice())?;
    Ok(bytes)
}
