//! Passkeys: whether an assertion is a signature over one challenge, under the terms and the key of a trust root.
//!
//! W3C Web Authentication Level 3 §7.2, narrowed to PROTOCOL §3: type `webauthn.get`, one of the exact origins, never cross-origin, the
//! rpId's hash, user presence, and the challenge that the caller expects. Whoever asks is told whether the user was verified, too. The
//! check is pure: the challenge is the digest of a statement with a nonce of its own, so that neither a clock nor the authenticator's
//! counter adds anything. What is larger than its limit, nested, doubled or left over is refused before a signature is looked at.

use std::{collections::BTreeSet, fmt, str::FromStr};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};
use sha2::{Digest as _, Sha256};

use crate::{
    sign::{PersonKey, PublicKey},
    trust::WebauthnTerms,
};

/// Largest clientDataJSON, in bytes: today's have less than 300.
pub const CLIENT_DATA_BYTES_MAX: usize = 1_024;
/// Largest authenticatorData of an assertion, in bytes: 37 and what extensions add.
pub const AUTHENTICATOR_DATA_BYTES_MAX: usize = 512;
/// Largest signature, in bytes: ECDSA with P-256 as DER.
pub const SIGNATURE_BYTES_MAX: usize = 72;
/// Longest written form of an assertion, in bytes.
pub const ASSERTION_TEXT_BYTES_MAX: usize = PREFIX.len()
    + 2
    + (CLIENT_DATA_BYTES_MAX + AUTHENTICATOR_DATA_BYTES_MAX + SIGNATURE_BYTES_MAX).div_ceil(3) * 4
    + 12;
/// Most origins in the terms of one trust root.
pub const ORIGINS_MAX: usize = 16;
/// Longest rpId, in bytes: a DNS name (RFC 1035 §2.3.4).
pub const RP_ID_BYTES_MAX: usize = 253;
/// Deepest nesting of extension outputs (CTAP 2.1 §8).
const CBOR_DEPTH_MAX: usize = 4;
/// What the written form of an assertion begins with: no base64url has a dot.
const PREFIX: &str = "webauthn.";

/// COSE's names of the algorithms that are checked here (RFC 9053 §2), as a trust root's terms spell them.
pub const ES256: &str = "ES256";
pub const EDDSA: &str = "EdDSA";

/// What an authenticator answers (§5.2.2), byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assertion {
    pub authenticator_data: Vec<u8>,
    pub client_data: Vec<u8>,
    /// DER for ES256, 64 bytes for EdDSA.
    pub signature: Vec<u8>,
}

/// What an assertion that holds says about the person before the authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// By PIN or body, not by a touch alone (§4, user verification).
    pub user_verified: bool,
}

/// Why an assertion is no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAssertion {
    #[error("its {what} has {found} bytes; at most {max} are read")]
    TooLong { what: &'static str, max: usize, found: usize },
    #[error("it is not written as `webauthn.` and three parts of base64url with dots between")]
    Unreadable,
    #[error("its client data does not read: {0}")]
    ClientData(String),
    #[error("its type is not `webauthn.get`")]
    Type,
    #[error("its challenge is not the digest of this statement: it was made for another one")]
    Challenge,
    #[error("it was made at {found:?}, which is not {expected}")]
    Origin { found: String, expected: &'static str },
    #[error("it was made in a frame of another origin")]
    CrossOrigin,
    #[error("its authenticator data does not read: {0}")]
    AuthenticatorData(&'static str),
    #[error("it is for another rpId than the trust root's")]
    RpId,
    #[error("nobody was present at the authenticator")]
    NobodyPresent,
    #[error("the trust root has no passkey terms that allow keys of {0}")]
    Terms(&'static str),
    #[error("its signature does not verify with this passkey")]
    Signature,
}

impl Assertion {
    /// Checks everything but where the statement itself says that it was signed. Refuses what is not made for `challenge`.
    pub fn check(&self, key: &PersonKey, terms: &WebauthnTerms, challenge: &[u8]) -> Result<Checked, BadAssertion> {
        self.check_sizes()?;
        if !terms.admit(key) {
            return Err(BadAssertion::Terms(algorithm(key)));
        }
        let client = ClientData::read(&self.client_data)?;
        check_client(&client, terms, challenge)?;
        let flags = read_authenticator(&self.authenticator_data, &terms.rp_id)?;
        self.check_signature(key)?;
        Ok(Checked { origin: client.origin, presence: Presence { user_verified: flags & USER_VERIFIED != 0 } })
    }

    fn check_sizes(&self) -> Result<(), BadAssertion> {
        let parts = [
            ("client data", CLIENT_DATA_BYTES_MAX, self.client_data.len()),
            ("authenticator data", AUTHENTICATOR_DATA_BYTES_MAX, self.authenticator_data.len()),
            ("signature", SIGNATURE_BYTES_MAX, self.signature.len()),
        ];
        match parts.into_iter().find(|(_, max, found)| found > max) {
            None => Ok(()),
            Some((what, max, found)) => Err(BadAssertion::TooLong { what, max, found }),
        }
    }

    /// §7.2 step 21: over the authenticator data and the hash of the client data.
    fn check_signature(&self, key: &PersonKey) -> Result<(), BadAssertion> {
        let mut message = self.authenticator_data.clone();
        message.extend_from_slice(&Sha256::digest(&self.client_data));
        let holds = match key {
            PersonKey::Ed25519(key) => key.verify_plain(&message, &self.signature),
            PersonKey::P256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
                .is_ok_and(|key| key.verify_sig(&message, &self.signature).is_ok()),
        };
        if holds { Ok(()) } else { Err(BadAssertion::Signature) }
    }
}

/// Proof that an assertion holds. [`Assertion::check`] alone makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    origin: String,
    presence: Presence,
}

impl Checked {
    /// Where the client made it.
    pub fn origin(&self) -> &str {
        &self.origin
    }
    pub fn presence(&self) -> Presence {
        self.presence
    }
}

/// §7.2 steps 11 to 14.
fn check_client(client: &ClientData, terms: &WebauthnTerms, challenge: &[u8]) -> Result<(), BadAssertion> {
    if client.kind != "webauthn.get" {
        return Err(BadAssertion::Type);
    }
    // One spelling alone: a decoder would have to agree with every other about padding and left-over bits.
    if client.challenge != URL_SAFE_NO_PAD.encode(challenge) {
        return Err(BadAssertion::Challenge);
    }
    if !terms.origins.contains(&client.origin) {
        let found = client.origin.chars().take(80).collect();
        return Err(BadAssertion::Origin { found, expected: "one of the trust root's origins" });
    }
    if client.framed { Err(BadAssertion::CrossOrigin) } else { Ok(()) }
}

/// The members of clientDataJSON that count (§5.8.1).
struct ClientData {
    kind: String,
    challenge: String,
    origin: String,
    /// crossOrigin, or a topOrigin, which stands there only with it.
    framed: bool,
}

impl ClientData {
    fn read(bytes: &[u8]) -> Result<Self, BadAssertion> {
        serde_json::from_slice(bytes).map_err(|e| BadAssertion::ClientData(e.to_string()))
    }
}

impl<'de> Deserialize<'de> for ClientData {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_map(Members)
    }
}

/// Reads by name: a member that is there twice is refused, one that is not known is allowed (§5.8.1: clients may add some).
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = ClientData;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of client data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ClientData, A::Error> {
        let (mut kind, mut challenge, mut origin, mut framed) = (None, None, None, false);
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "type" => kind = Some(map.next_value()?),
                "challenge" => challenge = Some(map.next_value()?),
                "origin" => origin = Some(map.next_value()?),
                "crossOrigin" => framed |= map.next_value::<bool>()?,
                "topOrigin" => {
                    framed = true;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
            if !seen.insert(name) {
                return Err(de::Error::custom("a member stands there twice"));
            }
        }
        Ok(ClientData {
            kind: kind.ok_or_else(|| de::Error::missing_field("type"))?,
            challenge: challenge.ok_or_else(|| de::Error::missing_field("challenge"))?,
            origin: origin.ok_or_else(|| de::Error::missing_field("origin"))?,
            framed,
        })
    }
}

/// Flags of the authenticator data (§6.1).
pub(crate) const USER_PRESENT: u8 = 1;
pub(crate) const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED: u8 = 1 << 6;
const EXTENDED: u8 = 1 << 7;

/// The flags of authenticator data of this rpId (§6.1, §7.2 steps 15 to 18): rpId hash, flags, counter, and extensions where announced.
fn read_authenticator(bytes: &[u8], rp_id: &str) -> Result<u8, BadAssertion> {
    let short = BadAssertion::AuthenticatorData("it is shorter than 37 bytes");
    let Some((hash, rest)) = bytes.split_first_chunk::<32>() else { return Err(short) };
    let Some(([flags, _, _, _, _], extensions)) = rest.split_first_chunk::<5>() else { return Err(short) };
    let has = |flag| flags & flag != 0;
    let refuse = |why| Err(BadAssertion::AuthenticatorData(why));
    if hash.as_slice() != Sha256::digest(rp_id.as_bytes()).as_slice() {
        return Err(BadAssertion::RpId);
    }
    if !has(USER_PRESENT) {
        return Err(BadAssertion::NobodyPresent);
    }
    if has(ATTESTED) {
        return refuse("it brings a credential, which belongs to a registration");
    }
    if has(BACKED_UP) && !has(BACKUP_ELIGIBLE) {
        return refuse("it is backed up and may not be");
    }
    match (has(EXTENDED), extensions.is_empty()) {
        (false, true) => Ok(*flags),
        (false, false) => refuse("bytes follow that no flag announces"),
        (true, _) if extensions.first().is_some_and(|b| b >> 5 == CBOR_MAP) => match cbor(extensions, 0) {
            Some([]) => Ok(*flags),
            Some(_) => refuse("bytes follow the extensions"),
            None => refuse("its extensions are no CBOR"),
        },
        (true, _) => refuse("its extensions are no map"),
    }
}

const CBOR_MAP: u8 = 5;

/// What follows one item of CBOR of definite length (RFC 8949 §3), of which nothing but its length matters here.
fn cbor(bytes: &[u8], depth: usize) -> Option<&[u8]> {
    if depth > CBOR_DEPTH_MAX {
        return None;
    }
    let (&first, rest) = bytes.split_first()?;
    let (count, rest) = match first & 31 {
        small @ 0..=23 => (u64::from(small), rest),
        width @ 24..=27 => {
            let (number, rest) = rest.split_at_checked(1 << (width - 24))?;
            (number.iter().fold(0, |n, b| n << 8 | u64::from(*b)), rest)
        }
        _ => return None,
    };
    match first >> 5 {
        // Numbers and simple values are their head.
        0 | 1 | 7 => Some(rest),
        2 | 3 => rest.get(usize::try_from(count).ok()?..),
        // An item has at least a byte, so that no count can outlast the bytes that are there.
        4 => (0..count).try_fold(rest, |rest, _| cbor(rest, depth + 1)),
        CBOR_MAP => (0..count.checked_mul(2)?).try_fold(rest, |rest, _| cbor(rest, depth + 1)),
        // Tags do not occur (CTAP 2.1 §8).
        _ => None,
    }
}

impl WebauthnTerms {
    /// Whether keys of this kind may sign under these terms.
    pub fn admit(&self, key: &PersonKey) -> bool {
        self.algorithms.contains(algorithm(key))
    }

    /// What is wrong with them, whoever signed them.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let named = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        if !(1..=RP_ID_BYTES_MAX).contains(&self.rp_id.len()) || !self.rp_id.bytes().all(named) {
            return Some("the rpId is not a DNS name in lower case");
        }
        if self.origins.len() > ORIGINS_MAX {
            return Some("there are more than 16 origins");
        }
        if !self.origins.iter().all(|origin| self.is_of_rp(origin)) {
            return Some("an origin is not https:// and the rpId or a host under it");
        }
        let known = |name: &String| name == ES256 || name == EDDSA;
        (!self.algorithms.iter().all(known)).then_some("an algorithm is neither ES256 nor EdDSA")
    }

    /// §7.2: `https://`, the rpId or a host under it, and a port where there is one. No path, no user, no second spelling.
    fn is_of_rp(&self, origin: &str) -> bool {
        let Some(place) = origin.strip_prefix("https://") else { return false };
        let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
        let named = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let under = host.strip_suffix(self.rp_id.as_str()).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
        let plain = |port: &str| port.parse::<u16>().is_ok_and(|n| n != 443 && n.to_string() == port);
        host.len() <= RP_ID_BYTES_MAX && host.bytes().all(named) && under && port.is_none_or(plain)
    }
}

/// COSE's name of the algorithm with which a key signs as a passkey.
fn algorithm(key: &PersonKey) -> &'static str {
    match key {
        PersonKey::Ed25519(_) => EDDSA,
        PersonKey::P256(_) => ES256,
    }
}

/// Whether these bytes are a point of P-256 in its one compressed spelling.
pub(crate) fn is_point(bytes: &[u8; 33]) -> bool {
    matches!(bytes, [2 | 3, ..]) && ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, bytes).is_ok()
}

impl PublicKey {
    /// An EdDSA signature of a passkey: over the message itself, as strictly as any other.
    fn verify_plain(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0);
        let signature = ed25519_dalek::Signature::from_slice(signature);
        matches!((key, signature), (Ok(key), Ok(signature)) if key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [data, client, signature] =
            [&self.authenticator_data, &self.client_data, &self.signature].map(|part| URL_SAFE_NO_PAD.encode(part));
        write!(f, "{PREFIX}{data}.{client}.{signature}")
    }
}

impl FromStr for Assertion {
    type Err = BadAssertion;
    fn from_str(text: &str) -> Result<Self, BadAssertion> {
        if text.len() > ASSERTION_TEXT_BYTES_MAX {
            let (max, found) = (ASSERTION_TEXT_BYTES_MAX, text.len());
            return Err(BadAssertion::TooLong { what: "written form", max, found });
        }
        let parts = text.strip_prefix(PREFIX).ok_or(BadAssertion::Unreadable)?.split('.');
        let parts: Result<Vec<_>, _> = parts.map(|part| URL_SAFE_NO_PAD.decode(part)).collect();
        let parts = <[Vec<u8>; 3]>::try_from(parts.map_err(|_| BadAssertion::Unreadable)?);
        let [authenticator_data, client_data, signature] = parts.map_err(|_| BadAssertion::Unreadable)?;
        let assertion = Self { authenticator_data, client_data, signature };
        assertion.check_sizes().map(|()| assertion)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
