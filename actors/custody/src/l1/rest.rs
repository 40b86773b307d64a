//! Bytes as the KMS that speak REST write them in JSON.

use base64::{
    Engine,
    engine::{
        GeneralPurpose,
        general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use zeroize::Zeroizing;

/// Bytes as such a KMS writes them, wiped on drop.
pub(super) struct Encoded<const URL_SAFE: bool>(pub(super) Zeroizing<Vec<u8>>);

#[cfg(any(feature = "google-kms", feature = "vault-transit"))]
pub(super) type Base64 = Encoded<false>;
#[cfg(feature = "azure-key-vault")]
pub(super) type Base64Url = Encoded<true>;

impl<const URL_SAFE: bool> Encoded<URL_SAFE> {
    const ENGINE: GeneralPurpose = if URL_SAFE { URL_SAFE_NO_PAD } else { STANDARD };
}

impl<const URL_SAFE: bool> Serialize for Encoded<URL_SAFE> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&Zeroizing::new(Self::ENGINE.encode(&*self.0)))
    }
}

impl<'de, const URL_SAFE: bool> Deserialize<'de> for Encoded<URL_SAFE> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(d)?);
        let bytes = Self::ENGINE.decode(text.as_bytes()).map_err(|_| Error::custom("not base64"))?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}
