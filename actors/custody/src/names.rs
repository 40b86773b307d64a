//! The names that live in custody alone: objects, keys of the key table, generations.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use arrayvec::ArrayString;
use orbital::names::System;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::Error;

/// A managed object: 122 random bits, written as a UUID (RFC 9562 version 4), which is what KMIP clients expect to see.
///
/// Unguessable, and looked up under its tenant and system only: a foreign id equals an absent one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId([u8; 16]);

/// Word by word, as hashers take them: every KMIP request looks an object up.
impl Hash for ObjectId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_chunks().0.iter().for_each(|word| state.write_u64(u64::from_ne_bytes(*word)));
    }
}

impl ObjectId {
    /// A new id from the system's random generator.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|e| Error::Random(e.to_string()))?;
        Ok(Self::from_random(bytes))
    }
    /// The id that these random bytes make (version and variant bits are set here).
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
    pub(crate) fn from_stored(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// Where the digits of each byte stand in a UUID's text.
const PAIRS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
/// Where its dashes stand.
const DASHES: [usize; 4] = [8, 13, 18, 23];
const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// What is no hexadecimal digit, in [`VALUES`].
const NO_DIGIT: u8 = 0xff;

/// The value of each hexadecimal digit.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse an index out of range")]
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let digit = DIGITS[value as usize];
        values[digit as usize] = value;
        values[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};

fn digit(nibble: u8) -> u8 {
    DIGITS.get(usize::from(nibble)).copied().unwrap_or_default()
}

fn value(digit: u8) -> u8 {
    VALUES.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT)
}

/// An object's id as text, without an allocation: every KMIP operation writes one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ObjectText(ArrayString<36>);

impl ObjectId {
    /// The id as a UUID of 36 characters.
    pub fn text(&self) -> ObjectText {
        let mut text = [b'-'; 36];
        for (&at, byte) in PAIRS.iter().zip(self.0) {
            if let Some(pair) = text.get_mut(at..at + 2) {
                pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
            }
        }
        // Hexadecimal digits and dashes: always text.
        ObjectText(ArrayString::from_byte_string(&text).unwrap_or_default())
    }
}

impl std::ops::Deref for ObjectText {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl fmt::Debug for ObjectText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}
impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no object id. A KMIP server answers it as *Item Not Found*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object id is a UUID of 36 characters")]
pub struct BadObjectId;

impl FromStr for ObjectId {
    type Err = BadObjectId;
    fn from_str(text: &str) -> Result<Self, BadObjectId> {
        let text: &[u8; 36] = text.as_bytes().try_into().map_err(|_| BadObjectId)?;
        let mut bytes = [0u8; 16];
        let mut all = 0;
        for (byte, &at) in bytes.iter_mut().zip(&PAIRS) {
            let Some(&[high, low]) = text.get(at..at + 2) else { return Err(BadObjectId) };
            let (high, low) = (value(high), value(low));
            *byte = high << 4 | low;
            all |= high | low;
        }
        if all == NO_DIGIT || DASHES.iter().any(|&at| text.get(at) != Some(&b'-')) {
            return Err(BadObjectId);
        }
        Ok(Self(bytes))
    }
}

impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// A key of one tenant in the key table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyId {
    /// The tenant's key in this region.
    L2,
    /// The key of one system.
    L3(System),
    /// A managed object, or an L4 data key.
    Object(ObjectId),
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}", self.0) }
        }
    )*};
}

counters! {
    /// Grows with each kill of a tenant: an unseal that began under an older one is refused (DESIGN §3).
    Generation;
    /// The tenant's epoch as its certified head says; never goes back (DESIGN §2.9).
    Epoch;
    /// Counts the rotations of one L2 or L3, from 1.
    Version;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_id_reads_back_as_a_uuid() {
        let id = ObjectId::from_random([0xab; 16]);
        assert_eq!(id.to_string(), "abababab-abab-4bab-abab-abababababab");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_no_object_ids() {
        for text in [
            "",
            "1",
            "abababab-abab-4bab-abab-ababababab",
            "abababab_abab_4bab_abab_abababababab",
            "ABCDEFGHabab-4bab-abab-abababababab",
        ] {
            assert_eq!(text.parse::<ObjectId>(), Err(BadObjectId), "{text}");
        }
        assert_eq!(format!("{}0", ObjectId::from_random([1; 16])).parse::<ObjectId>(), Err(BadObjectId));
    }
}
