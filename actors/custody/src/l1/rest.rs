//! What the KMS that speak REST have in common: bytes in JSON, and their own words in one line.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use zeroize::Zeroizing;

/// Longest text of an error that is repeated, in characters.
const SHOWN_CHARACTERS_MAX: usize = 300;

/// Bytes as such a KMS writes them, wiped on drop.
pub(super) struct Base64(pub(super) Zeroizing<Vec<u8>>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&Zeroizing::new(STANDARD.encode(&*self.0)))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(d)?);
        let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| Error::custom("not base64"))?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

/// A KMS's own words, for a message of ours.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(SHOWN_CHARACTERS_MAX).collect()
}
