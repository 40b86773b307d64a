//! The one place where frame bodies become bytes and back: bincode 2, size-limited, with a leading version byte.
//!
//! bincode is unmaintained (RUSTSEC-2025-0141; its registry head 3.0.0 is a `compile_error!`), so it is confined to this module: nothing
//! signed by people passes it, and another codec can take its place behind a new version byte.

use bincode::config::{self, Configuration, Fixint, Limit, LittleEndian};
use serde::{Serialize, de::DeserializeOwned};

/// Largest frame body, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Largest directive or report, in bytes: it travels in a frame's body, beside the names of its head.
pub const CARRIED_BYTES_MAX: usize = BODY_BYTES_MAX - 4 * 1024;
/// Version of the encoding, the first byte of each body.
const VERSION: u8 = 1;

/// A body that does not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("a body has at most {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("body encoding version {0:?} is not known here: this node reads version {VERSION}; upgrade it")]
    Version(Option<u8>),
    #[error("the body does not read: {0}")]
    Unreadable(String),
}

const fn configuration() -> Configuration<LittleEndian, Fixint, Limit<BODY_BYTES_MAX>> {
    config::standard().with_fixed_int_encoding().with_limit::<BODY_BYTES_MAX>()
}

/// Writes a body.
pub fn encode<T: Serialize>(body: &T) -> Result<Vec<u8>, BadBody> {
    let mut out = vec![VERSION];
    let bytes = bincode::serde::encode_to_vec(body, configuration()).map_err(|e| BadBody::Unreadable(e.to_string()))?;
    out.extend_from_slice(&bytes);
    if out.len() > BODY_BYTES_MAX { Err(BadBody::TooLarge) } else { Ok(out) }
}

/// Writes what a frame's body will carry, which is refused here if no frame could.
pub fn encode_carried<T: Serialize>(carried: &T) -> Result<Vec<u8>, BadBody> {
    let bytes = encode(carried)?;
    if bytes.len() > CARRIED_BYTES_MAX { Err(BadBody::TooLarge) } else { Ok(bytes) }
}

/// Reads a body, all of it.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadBody> {
    if bytes.len() > BODY_BYTES_MAX {
        return Err(BadBody::TooLarge);
    }
    let Some((&VERSION, rest)) = bytes.split_first() else {
        return Err(BadBody::Version(bytes.first().copied()));
    };
    let (body, read) = bincode::serde::decode_from_slice(rest, configuration())
        .map_err(|e: bincode::error::DecodeError| BadBody::Unreadable(e.to_string()))?;
    if read == rest.len() {
        Ok(body)
    } else {
        Err(BadBody::Unreadable(format!("{} bytes too many", rest.len() - read)))
    }
}

#[cfg(test)]
mod tests;
