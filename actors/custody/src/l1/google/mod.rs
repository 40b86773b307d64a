//! Google Cloud KMS as an L1: a symmetric key that encrypts and decrypts, and never leaves Google or what Google reaches for it.
//!
//! The context is additional authenticated data. Each value travels with its CRC-32C, in both directions, and an answer whose checksum does
//! not fit is a fault ("Data integrity guidelines" of its documentation). A version that is not enabled is asked for by its name: its state
//! is the customer's word, the sentence that named it is not.

mod classify;
mod crc32c;
mod login;

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use orbital::names::KeyRef;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use self::{
    classify::{Refused, Verdict, classify},
    crc32c::crc32c,
    login::Login,
};
use super::{
    Answer, Context, Described, Fault, L1, L1Error, Plain, State, Stop, check_plain, check_wrapped,
    https::{Body, Https, Question, Said},
    rest::{Base64, Encoded},
    within,
};

const PROVIDER: &str = "google-kms";
/// Begins each blob: its form.
const BLOB_FORM: u8 = 1;
/// What a key must be for.
const PURPOSE: &str = "ENCRYPT_DECRYPT";
/// What stands between a key's name and the number of one of its versions.
const VERSIONS: &str = "/cryptoKeyVersions/";

/// Where Google Cloud KMS is and who asks it.
pub struct GoogleOptions {
    /// `https://cloudkms.googleapis.com`, or a private address of it.
    pub endpoint: String,
    /// PEM file of the authorities that vouch for it.
    pub ca: PathBuf,
    /// The key of a service account, in JSON; of mode 0600.
    pub credentials: PathBuf,
}

/// Google Cloud KMS as one service account sees it.
pub struct Google {
    https: Https,
    login: Login,
}

impl Google {
    /// Reads the CA and the credential file; no call is made yet.
    ///
    /// # Errors
    /// [`L1Error::Setup`] for an endpoint or a file that can't be used.
    pub fn connect(options: GoogleOptions) -> Result<Self, L1Error> {
        let https = Https::new(PROVIDER, &options.endpoint, &options.ca)?;
        let login = Login::new(options.credentials);
        login.check().map_err(|why| L1Error::setup(PROVIDER, why))?;
        Ok(Self { https, login })
    }

    async fn key(&self, key: &KeyRef) -> Result<Described, L1Error> {
        let found: Key = self.asked(key, "", None).await?;
        found.described(key)
    }

    async fn encrypt(&self, key: &KeyRef, context: &Context, plain: &[u8]) -> Result<Vec<u8>, L1Error> {
        check_plain(PROVIDER, key, plain)?;
        let aad = context.aad();
        let form = Form {
            plaintext: Some(Encoded(Zeroizing::new(plain.to_vec()))),
            plaintext_crc32c: Some(crc32c(plain).into()),
            ..Form::about(&aad)
        };
        let sealed: Sealed = self.asked(key, ":encrypt", Some(form)).await?;
        let whole = sealed.verified_plaintext_crc32c
            && sealed.verified_additional_authenticated_data_crc32c
            && sealed.ciphertext_crc32c == Int64::from(crc32c(&sealed.ciphertext.0));
        let ciphertext = if whole { sealed.ciphertext.0 } else { return Err(changed(key)) };
        Ok([&[BLOB_FORM], ciphertext.as_slice()].concat())
    }

    async fn decrypt(&self, key: &KeyRef, context: &Context, wrapped: &[u8]) -> Result<Plain, L1Error> {
        check_wrapped(PROVIDER, key, wrapped)?;
        let ciphertext = match wrapped.split_first() {
            Some((&BLOB_FORM, ciphertext)) if !ciphertext.is_empty() => ciphertext,
            _ => return Err(L1Error::mismatch(PROVIDER, key, "it is no blob of Google Cloud KMS")),
        };
        let aad = context.aad();
        let form = Form {
            ciphertext: Some(STANDARD.encode(ciphertext)),
            ciphertext_crc32c: Some(crc32c(ciphertext).into()),
            ..Form::about(&aad)
        };
        let opened: Opened = self.asked(key, ":decrypt", Some(form)).await?;
        if opened.plaintext_crc32c != Int64::from(crc32c(&opened.plaintext.0)) {
            return Err(changed(key));
        }
        Ok(Plain(opened.plaintext.0))
    }

    /// Asks `key` followed by `what`; for a version that is not enabled, its state is the answer.
    async fn asked<T: DeserializeOwned>(&self, key: &KeyRef, what: &str, form: Option<Form>) -> Result<T, L1Error> {
        let path = format!("/v1/{}{what}", named(key)?);
        let refused = match self.answer(key, &path, form.as_ref()).await? {
            Ok(said) => return serde_json::from_slice(&said.body).map_err(|_| malformed(key)),
            Err(refused) => refused,
        };
        let state = match version_in(key, &refused.message) {
            Some(version) => self.state_of(key, version).await?,
            None => None,
        };
        Err(match state {
            Some(stop) => L1Error::stopped(PROVIDER, key, stop, refused.words()),
            None => L1Error::unreachable(PROVIDER, key, Fault::Unknown, refused.words()),
        })
    }

    /// The state of one version of the key, if that is a stop.
    async fn state_of(&self, key: &KeyRef, version: u32) -> Result<Option<Stop>, L1Error> {
        let path = format!("/v1/{}{VERSIONS}{version}", named(key)?);
        match self.answer(key, &path, None).await? {
            Ok(said) => {
                let version: Version = serde_json::from_slice(&said.body).map_err(|_| malformed(key))?;
                Ok(version.state().and_then(State::stop))
            }
            Err(_) => Ok(None),
        }
    }

    /// The success of one question; the inner error is that a version is not enabled, which says nothing before it is asked for.
    async fn answer(&self, key: &KeyRef, path: &str, form: Option<&Form>) -> Result<Result<Said, Refused>, L1Error> {
        let unusable = |why: String| L1Error::unreachable(PROVIDER, key, Fault::Credential, why);
        let body = form.map(Body::json).transpose().map_err(|_| malformed(key))?;
        let headers = vec![("authorization", self.login.bearer().map_err(unusable)?)];
        let said = self.https.ask(Question { path, headers, body }).await;
        let said = said.map_err(|why| L1Error::unreachable(PROVIDER, key, Fault::Network, why))?;
        if said.status == 200 {
            return Ok(Ok(said));
        }
        let refused = Refused::read(&said.body);
        let words = refused.as_ref().map_or_else(|| "in a form that is not Google's".to_owned(), Refused::words);
        let why = format!("{} {words}", said.status);
        match (classify(said.status, refused.as_ref()), refused) {
            (Verdict::AskVersion, Some(refused)) => Ok(Err(refused)),
            (Verdict::AskVersion, None) => Err(L1Error::unreachable(PROVIDER, key, Fault::Unknown, why)),
            (Verdict::Stop(stop), _) => Err(L1Error::stopped(PROVIDER, key, stop, why)),
            (Verdict::Mismatch, _) => Err(L1Error::mismatch(PROVIDER, key, why)),
            (Verdict::Fault(fault), _) => Err(L1Error::unreachable(PROVIDER, key, fault, why)),
        }
    }
}

impl L1 for Google {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn describe<'a>(&'a self, key: &'a KeyRef) -> Answer<'a, Described> {
        Box::pin(within(PROVIDER, key, self.key(key)))
    }

    fn wrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, plain: &'a [u8]) -> Answer<'a, Vec<u8>> {
        Box::pin(within(PROVIDER, key, self.encrypt(key, context, plain)))
    }

    fn unwrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, wrapped: &'a [u8]) -> Answer<'a, Plain> {
        Box::pin(within(PROVIDER, key, self.decrypt(key, context, wrapped)))
    }
}

/// What encrypt and decrypt are asked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Base64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext_crc32c: Option<Int64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext_crc32c: Option<Int64>,
    additional_authenticated_data: String,
    additional_authenticated_data_crc32c: Int64,
}

impl Form {
    fn about(aad: &[u8]) -> Self {
        Self {
            plaintext: None,
            plaintext_crc32c: None,
            ciphertext: None,
            ciphertext_crc32c: None,
            additional_authenticated_data: STANDARD.encode(aad),
            additional_authenticated_data_crc32c: crc32c(aad).into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sealed {
    ciphertext: Base64,
    ciphertext_crc32c: Int64,
    // Left out where it is false.
    #[serde(default)]
    verified_plaintext_crc32c: bool,
    #[serde(default)]
    verified_additional_authenticated_data_crc32c: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    plaintext: Base64,
    plaintext_crc32c: Int64,
}

/// Of the key's description, what decides whether it can be an L1.
#[derive(Deserialize)]
struct Key {
    name: String,
    purpose: String,
    /// The version that new wraps take.
    primary: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    state: String,
}

impl Version {
    /// `None`: a state that it passes through by itself, or one that is not known here.
    fn state(&self) -> Option<State> {
        match self.state.as_str() {
            "ENABLED" => Some(State::Enabled),
            "DISABLED" => Some(State::Disabled),
            "DESTROY_SCHEDULED" => Some(State::PendingDeletion),
            "DESTROYED" => Some(State::Deleted),
            _ => None,
        }
    }
}

impl Key {
    fn described(self, key: &KeyRef) -> Result<Described, L1Error> {
        if self.purpose != PURPOSE {
            return Err(L1Error::unfit(PROVIDER, key, format!("its purpose is {}, not {PURPOSE}", self.purpose)));
        }
        let primary =
            self.primary.ok_or_else(|| L1Error::unfit(PROVIDER, key, "it has no primary version: make one primary"))?;
        let passing = || {
            let why = format!("its primary version is {}", primary.state);
            L1Error::unreachable(PROVIDER, key, Fault::Unknown, why)
        };
        let state = primary.state().ok_or_else(passing)?;
        let resolved = KeyRef::new(self.name).map_err(|_| malformed(key))?;
        Ok(Described { state, resolved })
    }
}

/// A checksum as Google writes 64-bit numbers in JSON: in decimal, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Int64(String);

impl From<u32> for Int64 {
    fn from(value: u32) -> Self {
        Self(value.to_string())
    }
}

/// The key's resource name, which leads to no other path: projects/P/locations/L/keyRings/R/cryptoKeys/K.
fn named(key: &KeyRef) -> Result<&str, L1Error> {
    let parts: Vec<&str> = key.as_str().split('/').collect();
    let plain = |part: &&str| {
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':' | b'.');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(word)
    };
    match parts[..] {
        ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", name]
            if [project, location, ring, name].iter().all(plain) =>
        {
            Ok(key.as_str())
        }
        _ => {
            let form = "projects/P/locations/L/keyRings/R/cryptoKeys/K";
            Err(L1Error::unfit(PROVIDER, key, format!("the reference must be the key's resource name, {form}")))
        }
    }
}

/// The version of this key that a sentence of Google names.
fn version_in(key: &KeyRef, message: &str) -> Option<u32> {
    let (_, rest) = message.split_once(&format!("{key}{VERSIONS}"))?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(..digits)?.parse().ok()
}

fn changed(key: &KeyRef) -> L1Error {
    L1Error::unreachable(PROVIDER, key, Fault::Unknown, "a checksum does not fit: a value changed on its way")
}

fn malformed(key: &KeyRef) -> L1Error {
    L1Error::unreachable(PROVIDER, key, Fault::Unknown, "its answer is not in Google's form")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "projects/acme/locations/europe-west3/keyRings/kcm/cryptoKeys/root";

    fn key() -> KeyRef {
        KeyRef::new(NAME).unwrap()
    }

    #[test]
    fn a_reference_is_a_resource_name_and_leads_to_no_other_path() {
        assert_eq!(named(&key()).unwrap(), NAME);
        for bad in [
            "root",
            "projects/acme/locations/l/keyRings/r/cryptoKeys",
            "projects/acme/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "projects/acme/locations/l/keyRings/../cryptoKeys/k",
            "projects//locations/l/keyRings/r/cryptoKeys/k",
        ] {
            assert!(matches!(named(&KeyRef::new(bad).unwrap()), Err(L1Error::Unfit { .. })), "{bad}");
        }
    }

    #[test]
    fn a_version_is_read_from_a_sentence_about_this_key_alone() {
        let said = format!("{NAME}/cryptoKeyVersions/12 is not enabled, current state is: DISABLED.");
        assert_eq!(version_in(&key(), &said), Some(12));
        for bad in [
            "projects/other/cryptoKeyVersions/12 is not enabled".to_owned(),
            format!("{NAME}/cryptoKeyVersions/ is not enabled"),
            format!("{NAME} is not enabled"),
        ] {
            assert_eq!(version_in(&key(), &bad), None, "{bad}");
        }
    }

    #[test]
    fn a_key_is_as_its_primary_version() {
        let described = |text: &str| serde_json::from_str::<Key>(text).unwrap().described(&key());
        let of = |state: &str| {
            described(&format!(r#"{{"name":"{NAME}","purpose":"ENCRYPT_DECRYPT","primary":{{"state":"{state}"}}}}"#))
        };
        for (state, known) in [
            ("ENABLED", State::Enabled),
            ("DISABLED", State::Disabled),
            ("DESTROY_SCHEDULED", State::PendingDeletion),
            ("DESTROYED", State::Deleted),
        ] {
            assert_eq!(of(state).unwrap(), Described { state: known, resolved: key() });
        }
        assert_eq!(of("PENDING_GENERATION").unwrap_err().state(), Some(State::Unreachable));
        for bad in [r#"{"name":"x","purpose":"ASYMMETRIC_SIGN"}"#, r#"{"name":"x","purpose":"ENCRYPT_DECRYPT"}"#] {
            assert!(matches!(described(bad), Err(L1Error::Unfit { .. })), "{bad}");
        }
    }
}
