//! A key manager on the customer's own premises as an L1, by KMIP 1.4: an AES key there encrypts and decrypts by GCM, the context as
//! additional authenticated data.
//!
//! A KMIP server says little when it does not encrypt or decrypt: several use one reason for a wrong tag, a key that is not active and a client
//! without permission. So a refusal is followed by the question for the key's state, and one to decrypt by a value of ours, wrapped and opened.

mod line;

use std::path::PathBuf;

use kmip::{
    AttributeValue, CryptographicParameters, ProtocolVersion, ResultReason, client,
    message::Failure,
    ops::{self, Answer as Answered, Request},
    tables::{BlockCipherMode, CryptographicAlgorithm, ObjectType, StandardAttribute, State as Life, UsageMask},
};
use orbital::names::KeyRef;
use zeroize::Zeroizing;

use self::line::Line;
use super::{
    Answer, Context, Described, Fault, L1, L1Error, Plain, State, Stop, check_plain, check_wrapped, one_line, within,
};
use crate::aead::{NONCE_BYTES, TAG_BYTES};

const PROVIDER: &str = "kmip";
const VERSION: ProtocolVersion = ProtocolVersion::V1_4;
/// Begins each blob: its form. Nonce, ciphertext and tag follow. Never changes: blobs of this form are stored.
const BLOB_FORM: u8 = 1;
/// Encrypted and decrypted to see whether the key is the reason for a refusal.
const TRIAL: [u8; 16] = *b"kcm trial value\n";

/// Where a key manager is and who asks it.
pub struct KeyManagerOptions {
    /// `HOST:PORT`; KMIP's own port is 5696.
    pub address: String,
    /// PEM file of the authorities that vouch for the server.
    pub ca: PathBuf,
    /// PEM file with the region's key (PKCS#8) and its certificate, then those of authorities between; of mode 0600.
    pub credentials: PathBuf,
}

/// A key manager as one client certificate sees it.
pub struct KeyManager {
    line: Line,
}

impl KeyManager {
    /// Reads the CA and the credential file; no call is made yet.
    ///
    /// # Errors
    /// [`L1Error::Setup`] for an address or a file that can't be used.
    pub fn connect(options: KeyManagerOptions) -> Result<Self, L1Error> {
        let line = Line::new(PROVIDER, &options.address, &options.ca, options.credentials)?;
        line.check().map_err(|why| L1Error::setup(PROVIDER, why))?;
        Ok(Self { line })
    }

    /// The answer to one request: what `read` takes of it, or the server's failure.
    async fn asked<T>(
        &self,
        key: &KeyRef,
        request: &Request<'_>,
        read: impl FnOnce(&Answered<'_>) -> Option<T>,
    ) -> Result<Result<T, Failure>, L1Error> {
        let frame = Zeroizing::new(client::request(VERSION, request));
        let answer = self.line.ask(&frame).await;
        let answer = answer.map_err(|(fault, why)| L1Error::unreachable(PROVIDER, key, fault, why))?;
        match client::read_one(&answer, VERSION, request.operation()) {
            Ok(Ok(answered)) => read(&answered).map(Ok).ok_or_else(|| malformed(key)),
            Ok(Err(failure)) => Ok(Err(failure)),
            Err(_) => Err(malformed(key)),
        }
    }

    async fn described(&self, key: &KeyRef) -> Result<Described, L1Error> {
        let names = [
            StandardAttribute::State,
            StandardAttribute::ObjectType,
            StandardAttribute::CryptographicAlgorithm,
            StandardAttribute::CryptographicUsageMask,
        ];
        let attribute_names = names.map(|name| name.rule().name).to_vec();
        let request = Request::GetAttributes(ops::get_attributes::Request {
            unique_identifier: Some(key.as_str()),
            attribute_names,
        });
        let read = |answered: &Answered<'_>| match answered {
            Answered::GetAttributes(found) => Some(names.map(|name| {
                found.attributes.iter().find(|a| a.name == name.into()).and_then(|a| match a.value {
                    AttributeValue::Enumeration(code) => Some(code),
                    AttributeValue::Integer(mask) => u32::try_from(mask).ok(),
                    _ => None,
                })
            })),
            _ => None,
        };
        match self.asked(key, &request, read).await? {
            Ok(found) => state(key, found).map(|state| Described { state, resolved: key.clone() }),
            Err(failure) => Err(match failure.reason {
                ResultReason::ItemNotFound => L1Error::stopped(PROVIDER, key, Stop::Deleted, words(&failure)),
                ResultReason::PermissionDenied => L1Error::stopped(PROVIDER, key, Stop::Forbidden, words(&failure)),
                _ => faulty(key, &failure),
            }),
        }
    }

    async fn encrypted(&self, key: &KeyRef, aad: &[u8], plain: &[u8]) -> Result<Result<Vec<u8>, Failure>, L1Error> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)
            .map_err(|e| L1Error::unreachable(PROVIDER, key, Fault::Unknown, format!("no random bytes: {e}")))?;
        let request = Request::Encrypt(ops::encrypt::Request {
            unique_identifier: Some(key.as_str()),
            cryptographic_parameters: Some(gcm()),
            data: Some(plain),
            iv_counter_nonce: Some(&nonce),
            correlation_value: None,
            init_indicator: None,
            final_indicator: None,
            additional_data: Some(aad),
        });
        let read = |answered: &Answered<'_>| match answered {
            Answered::Encrypt(sealed) => {
                // A server that draws its own nonce says which.
                let nonce: &[u8; NONCE_BYTES] = sealed.iv_counter_nonce.unwrap_or(&nonce).try_into().ok()?;
                let data = sealed.data.filter(|data| data.len() == plain.len())?;
                let tag = sealed.authentication_tag.filter(|tag| tag.len() == TAG_BYTES)?;
                Some([&[BLOB_FORM], nonce.as_slice(), data, tag].concat())
            }
            _ => None,
        };
        self.asked(key, &request, read).await
    }

    async fn decrypted(&self, key: &KeyRef, aad: &[u8], blob: &Blob<'_>) -> Result<Result<Plain, Failure>, L1Error> {
        let request = Request::Decrypt(ops::decrypt::Request {
            unique_identifier: Some(key.as_str()),
            cryptographic_parameters: Some(gcm()),
            data: Some(blob.sealed),
            iv_counter_nonce: Some(blob.nonce),
            correlation_value: None,
            init_indicator: None,
            final_indicator: None,
            additional_data: Some(aad),
            authentication_tag: Some(blob.tag),
        });
        let read = |answered: &Answered<'_>| match answered {
            Answered::Decrypt(opened) => {
                opened.data.filter(|data| data.len() == blob.sealed.len()).map(|data| Plain::new(data.to_vec()))
            }
            _ => None,
        };
        self.asked(key, &request, read).await
    }

    async fn wrapped(&self, key: &KeyRef, context: &Context, plain: &[u8]) -> Result<Vec<u8>, L1Error> {
        check_plain(PROVIDER, key, plain)?;
        let failure = match self.encrypted(key, &context.aad(), plain).await? {
            Ok(blob) => return Ok(blob),
            Err(failure) => failure,
        };
        self.usable(key, &failure).await?;
        Err(match failure.reason {
            ResultReason::InvalidField | ResultReason::OperationNotSupported | ResultReason::FeatureNotSupported => {
                L1Error::unfit(
                    PROVIDER,
                    key,
                    format!("the server does not encrypt with it by AES-GCM: {}", words(&failure)),
                )
            }
            _ => faulty(key, &failure),
        })
    }

    async fn unwrapped(&self, key: &KeyRef, context: &Context, wrapped: &[u8]) -> Result<Plain, L1Error> {
        check_wrapped(PROVIDER, key, wrapped)?;
        let blob =
            Blob::read(wrapped).ok_or_else(|| L1Error::mismatch(PROVIDER, key, "it is no blob of a key manager"))?;
        let aad = context.aad();
        let failure = match self.decrypted(key, &aad, &blob).await? {
            Ok(plain) => return Ok(plain),
            Err(failure) => failure,
        };
        self.usable(key, &failure).await?;
        let trial = self.encrypted(key, &aad, &TRIAL).await?.map_err(|failure| faulty(key, &failure))?;
        let trial = Blob::read(&trial).ok_or_else(|| malformed(key))?;
        match self.decrypted(key, &aad, &trial).await? {
            Ok(_) => Err(L1Error::mismatch(PROVIDER, key, words(&failure))),
            Err(failure) => Err(faulty(key, &failure)),
        }
    }

    /// Whether a refusal was about something else than the key's state and what this client may do with it.
    async fn usable(&self, key: &KeyRef, failure: &Failure) -> Result<(), L1Error> {
        let state = self.described(key).await?.state;
        let stop = state.stop().or((failure.reason == ResultReason::PermissionDenied).then_some(Stop::Forbidden));
        stop.map_or(Ok(()), |stop| Err(L1Error::stopped(PROVIDER, key, stop, words(failure))))
    }
}

impl L1 for KeyManager {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn describe<'a>(&'a self, key: &'a KeyRef) -> Answer<'a, Described> {
        Box::pin(within(PROVIDER, key, self.described(key)))
    }

    fn wrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, plain: &'a [u8]) -> Answer<'a, Vec<u8>> {
        Box::pin(within(PROVIDER, key, self.wrapped(key, context, plain)))
    }

    fn unwrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, wrapped: &'a [u8]) -> Answer<'a, Plain> {
        Box::pin(within(PROVIDER, key, self.unwrapped(key, context, wrapped)))
    }
}

/// A blob in its parts.
struct Blob<'a> {
    nonce: &'a [u8],
    sealed: &'a [u8],
    tag: &'a [u8],
}

impl<'a> Blob<'a> {
    fn read(blob: &'a [u8]) -> Option<Self> {
        let (&[BLOB_FORM], rest) = blob.split_first_chunk::<1>()? else { return None };
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (sealed, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        (!sealed.is_empty()).then_some(Self { nonce, sealed, tag })
    }
}

fn gcm() -> CryptographicParameters {
    CryptographicParameters {
        block_cipher_mode: Some(BlockCipherMode::Gcm),
        cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
        tag_length: i32::try_from(TAG_BYTES).ok(),
        ..CryptographicParameters::default()
    }
}

/// What state, object type, algorithm and usage mask say.
fn state(key: &KeyRef, [state, kind, algorithm, mask]: [Option<u32>; 4]) -> Result<State, L1Error> {
    let unfit = |why: &str| Err(L1Error::unfit(PROVIDER, key, why));
    if kind != Some(ObjectType::SymmetricKey.code()) || algorithm != Some(CryptographicAlgorithm::Aes.code()) {
        return unfit("it is no AES key");
    }
    let both = UsageMask::ENCRYPT.with(UsageMask::DECRYPT);
    if !mask.and_then(|mask| i32::try_from(mask).ok()).is_some_and(|mask| UsageMask(mask).allows(both)) {
        return unfit("its usage mask does not allow Encrypt and Decrypt");
    }
    let life = |life: Life| state == Some(life.code());
    if life(Life::Active) {
        Ok(State::Enabled)
    } else if life(Life::PreActive) || life(Life::Deactivated) || life(Life::Compromised) {
        Ok(State::Disabled)
    } else if life(Life::Destroyed) || life(Life::DestroyedCompromised) {
        Ok(State::Deleted)
    } else {
        Err(malformed(key))
    }
}

/// What a failure says that is not the customer's word.
fn faulty(key: &KeyRef, failure: &Failure) -> L1Error {
    let fault = match failure.reason {
        ResultReason::AuthenticationNotSuccessful => Fault::Credential,
        ResultReason::GeneralFailure => Fault::Server,
        _ => Fault::Unknown,
    };
    L1Error::unreachable(PROVIDER, key, fault, words(failure))
}

fn words(failure: &Failure) -> String {
    format!("{}: {}", failure.reason.name(), one_line(&failure.message))
}

fn malformed(key: &KeyRef) -> L1Error {
    L1Error::unreachable(PROVIDER, key, Fault::Unknown, "its answer is not what KMIP 1.4 has for this")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(life: u32, kind: ObjectType, algorithm: CryptographicAlgorithm, mask: u32) -> Result<State, L1Error> {
        state(&KeyRef::new("1f").unwrap(), [Some(life), Some(kind.code()), Some(algorithm.code()), Some(mask)])
    }

    #[test]
    fn a_key_is_as_its_state_says() {
        let aes = |life: Life| of(life.code(), ObjectType::SymmetricKey, CryptographicAlgorithm::Aes, 0xFC).unwrap();
        assert_eq!(aes(Life::Active), State::Enabled);
        for life in [Life::PreActive, Life::Deactivated, Life::Compromised] {
            assert_eq!(aes(life), State::Disabled, "{life:?}");
        }
        for life in [Life::Destroyed, Life::DestroyedCompromised] {
            assert_eq!(aes(life), State::Deleted, "{life:?}");
        }
        let unknown = of(99, ObjectType::SymmetricKey, CryptographicAlgorithm::Aes, 0xC).unwrap_err();
        assert_eq!(unknown.state(), Some(State::Unreachable));
    }

    #[test]
    fn what_is_no_aes_key_for_both_is_unfit() {
        let active = Life::Active.code();
        for refused in [
            of(active, ObjectType::SecretData, CryptographicAlgorithm::Aes, 0xC),
            of(active, ObjectType::SymmetricKey, CryptographicAlgorithm::TripleDes, 0xC),
            of(active, ObjectType::SymmetricKey, CryptographicAlgorithm::Aes, 0x4),
            of(active, ObjectType::SymmetricKey, CryptographicAlgorithm::Aes, 0x8),
            state(&KeyRef::new("1f").unwrap(), [None; 4]),
        ] {
            assert!(matches!(refused, Err(L1Error::Unfit { .. })), "{refused:?}");
        }
    }

    #[test]
    fn a_blob_has_its_parts_or_is_none() {
        let blob = [&[BLOB_FORM][..], &[1; NONCE_BYTES], &[2], &[3; TAG_BYTES]].concat();
        let read = Blob::read(&blob).unwrap();
        assert_eq!((read.nonce, read.sealed, read.tag), (&[1; NONCE_BYTES][..], &[2][..], &[3; TAG_BYTES][..]));
        assert!(Blob::read(&blob[..blob.len() - 1]).is_none() && Blob::read(&[]).is_none());
        assert!(Blob::read(&[&[2], &blob[1..]].concat()).is_none(), "another form");
    }
}
