//! The transit engine of an OpenBao or Vault server as an L1: it encrypts and decrypts with a key that never leaves it.
//!
//! The context is associated data of an AEAD key; other keys are unfit. A refusal by policy is FORBIDDEN only if the server knows our
//! token now, or has just given us one (PROTOCOL §4). A blob holds the version of the key and the sealed bytes, not the engine's own
//! text, of which several spellings open alike.

mod classify;
mod login;

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use orbital::names::KeyRef;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use self::{
    classify::{Asked, Verdict, classify, words},
    login::Login,
};
use super::{
    Answer, Context, Described, Fault, L1, L1Error, Plain, State, Stop, check_plain, check_wrapped,
    https::{Body, Https, Question, Said},
    rest::{Base64, Encoded},
    within,
};

const PROVIDER: &str = "vault-transit";

/// Begins each blob: its form.
const BLOB_FORM: u8 = 1;
/// Key types that authenticate associated data.
const AEAD_TYPES: [&str; 4] = ["aes256-gcm96", "aes128-gcm96", "chacha20-poly1305", "xchacha20-poly1305"];

/// Where the customer's server is and who asks it.
pub struct TransitOptions {
    /// `https://HOST[:PORT]`.
    pub endpoint: String,
    /// PEM file of the CA that vouches for the server.
    pub ca: PathBuf,
    /// Where the engine is mounted, such as `transit`.
    pub mount: String,
    /// Such as `acme/prod`; `None` is the root namespace.
    pub namespace: Option<String>,
    /// `role_id` and `secret_id` (and `auth_mount`), or `token`, each `= value` on its own line; of mode 0600.
    pub credentials: PathBuf,
}

/// A transit engine as one principal sees it.
pub struct Transit {
    https: Https,
    mount: String,
    login: Login,
}

impl Transit {
    /// Reads the CA and the credential file; no call is made yet.
    ///
    /// # Errors
    /// [`L1Error::Setup`] for an endpoint, a mount, a namespace or a file that can't be used.
    pub fn connect(options: TransitOptions) -> Result<Self, L1Error> {
        let setup = |why: String| L1Error::setup(PROVIDER, why);
        for (what, path) in [("mount", Some(&options.mount)), ("namespace", options.namespace.as_ref())] {
            if let Some(path) = path.filter(|path| !is_path(path)) {
                return Err(setup(format!("its {what} `{path}` is no path: write names with `/` between them")));
            }
        }
        let https = Https::new(PROVIDER, &options.endpoint, &options.ca)?;
        let login = Login::new(options.credentials, options.namespace);
        login.check().map_err(setup)?;
        Ok(Self { https, mount: options.mount, login })
    }

    async fn key(&self, key: &KeyRef) -> Result<Described, L1Error> {
        let name = named(key)?;
        let found: Key = self.asked(key, Asked::Key, &format!("keys/{name}"), None).await?;
        found.described(key)
    }

    async fn encrypt(&self, key: &KeyRef, context: &Context, plain: &[u8]) -> Result<Vec<u8>, L1Error> {
        check_plain(PROVIDER, key, plain)?;
        // A server whose policy lets us create keys makes one for a name that it does not have: that would be nobody's L1.
        if let Some(stop) = self.key(key).await?.state.stop() {
            return Err(L1Error::stopped(PROVIDER, key, stop, "its description says so"));
        }
        let form = Form { plaintext: Some(Encoded(Zeroizing::new(plain.to_vec()))), ..Form::about(context) };
        let sealed: Sealed = self.asked(key, Asked::Cipher, &format!("encrypt/{}", named(key)?), Some(form)).await?;
        packed(&sealed.ciphertext).ok_or_else(|| malformed(key))
    }

    async fn decrypt(&self, key: &KeyRef, context: &Context, wrapped: &[u8]) -> Result<Plain, L1Error> {
        check_wrapped(PROVIDER, key, wrapped)?;
        let none = || L1Error::mismatch(PROVIDER, key, "it is no blob of this provider");
        let form = Form { ciphertext: Some(unpacked(wrapped).ok_or_else(none)?), ..Form::about(context) };
        let opened: Opened = self.asked(key, Asked::Cipher, &format!("decrypt/{}", named(key)?), Some(form)).await?;
        Ok(Plain::new(opened.plaintext.0.to_vec()))
    }

    /// One question about a key, asked again once where our token was the reason for a refusal.
    async fn asked<T: DeserializeOwned>(
        &self,
        key: &KeyRef,
        asked: Asked,
        what: &str,
        form: Option<Form>,
    ) -> Result<T, L1Error> {
        let path = format!("/v1/{}/{what}", self.mount);
        let token = self.login.token(&self.https).await.map_err(|none| none.about(PROVIDER, key))?;
        let first = match self.answer(key, asked, &path, form.as_ref(), token.clone()).await? {
            Ok(said) => return read(key, &said),
            Err(why) => why,
        };
        if self.knows(key, &token).await? {
            return Err(L1Error::stopped(PROVIDER, key, Stop::Forbidden, first));
        }
        let Some(renewed) = self.login.renewed(&self.https, &token).await else {
            let why = format!("{first}; and it does not know the token of the credential file");
            return Err(L1Error::unreachable(PROVIDER, key, Fault::Credential, why));
        };
        let token = renewed.map_err(|none| none.about(PROVIDER, key))?;
        match self.answer(key, asked, &path, form.as_ref(), token).await? {
            Ok(said) => read(key, &said),
            Err(why) => Err(L1Error::stopped(PROVIDER, key, Stop::Forbidden, why)),
        }
    }

    /// The success of one question; the inner error is a refusal that says nothing before it is known whether the server knows us.
    async fn answer(
        &self,
        key: &KeyRef,
        asked: Asked,
        path: &str,
        form: Option<&Form>,
        token: Zeroizing<String>,
    ) -> Result<Result<Said, String>, L1Error> {
        let body = form.map(Body::json).transpose().map_err(|_| malformed(key))?;
        let question = Question { path, headers: self.login.headers(token), body };
        let said =
            self.https.ask(question).await.map_err(|why| L1Error::unreachable(PROVIDER, key, Fault::Network, why))?;
        if said.status == 200 {
            return Ok(Ok(said));
        }
        let words = words(&said.body);
        let why = format!("{} {}", said.status, words.as_deref().unwrap_or("in a form that is not the engine's"));
        match classify(asked, said.status, words.as_deref()) {
            Verdict::AskIdentity => Ok(Err(why)),
            Verdict::Stop(stop) => Err(L1Error::stopped(PROVIDER, key, stop, why)),
            Verdict::Mismatch => Err(L1Error::mismatch(PROVIDER, key, why)),
            Verdict::Unfit => Err(L1Error::unfit(PROVIDER, key, why)),
            Verdict::Fault(fault) => Err(L1Error::unreachable(PROVIDER, key, fault, why)),
        }
    }

    /// The identity call. Only 200 and 403 say something; anything else is a fault.
    async fn knows(&self, key: &KeyRef, token: &Zeroizing<String>) -> Result<bool, L1Error> {
        let headers = self.login.headers(token.clone());
        let question = Question { path: "/v1/auth/token/lookup-self", headers, body: None };
        let said =
            self.https.ask(question).await.map_err(|why| L1Error::unreachable(PROVIDER, key, Fault::Network, why))?;
        match (said.status, words(&said.body)) {
            (200, _) => Ok(true),
            (403, Some(_)) => Ok(false),
            (status, _) => {
                let fault = if (500..=599).contains(&status) { Fault::Server } else { Fault::Unknown };
                Err(L1Error::unreachable(PROVIDER, key, fault, format!("its identity call answered {status}")))
            }
        }
    }
}

impl L1 for Transit {
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
struct Form {
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Base64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext: Option<String>,
    associated_data: Base64,
}

impl Form {
    fn about(context: &Context) -> Self {
        Self { plaintext: None, ciphertext: None, associated_data: Encoded(Zeroizing::new(context.aad())) }
    }
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Sealed {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Opened {
    plaintext: Base64,
}

/// Of the key's description, what decides whether it can be an L1.
#[derive(Deserialize)]
struct Key {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    derived: bool,
    /// OpenBao: deleted, until somebody restores it or deletes it for good.
    #[serde(default)]
    soft_deleted: bool,
}

impl Key {
    fn described(self, key: &KeyRef) -> Result<Described, L1Error> {
        if !AEAD_TYPES.contains(&self.kind.as_str()) {
            return Err(L1Error::unfit(
                PROVIDER,
                key,
                format!("its type `{}` is none of {}", self.kind, AEAD_TYPES.join(", ")),
            ));
        }
        if self.derived {
            return Err(L1Error::unfit(PROVIDER, key, "it is a derived key (`derived=true`)"));
        }
        let state = if self.soft_deleted { State::PendingDeletion } else { State::Enabled };
        Ok(Described { state, resolved: key.clone() })
    }
}

/// `vault:vVERSION:BASE64` as form, version and bytes.
fn packed(text: &str) -> Option<Vec<u8>> {
    let (version, sealed) = text.strip_prefix("vault:v")?.split_once(':')?;
    let version: u32 = version.parse().ok().filter(|version| *version > 0)?;
    let mut blob = vec![BLOB_FORM];
    blob.extend_from_slice(&version.to_be_bytes());
    blob.extend_from_slice(&STANDARD.decode(sealed).ok()?);
    Some(blob)
}

/// The other way. Version 0 is none, though servers take it for the first.
fn unpacked(blob: &[u8]) -> Option<String> {
    let (form, rest) = blob.split_first()?;
    let (version, sealed) = rest.split_first_chunk::<4>()?;
    let version = u32::from_be_bytes(*version);
    (*form == BLOB_FORM && version > 0).then(|| format!("vault:v{version}:{}", STANDARD.encode(sealed)))
}

fn read<T: DeserializeOwned>(key: &KeyRef, said: &Said) -> Result<T, L1Error> {
    serde_json::from_slice::<Data<T>>(&said.body).map(|answer| answer.data).map_err(|_| malformed(key))
}

/// Names with `/` between them that lead nowhere else: what a mount, a namespace and a key's name are made of.
fn is_path(text: &str) -> bool {
    let name = |part: &str| {
        let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        plain && !part.is_empty() && !part.starts_with('.')
    };
    text.split('/').all(name)
}

/// The key's name in the engine, which is all that the reference is.
fn named(key: &KeyRef) -> Result<&str, L1Error> {
    let name = key.as_str();
    if is_path(name) && !name.contains('/') {
        return Ok(name);
    }
    Err(L1Error::unfit(PROVIDER, key, "the reference must be the name of a key of this engine, such as `acme-root`"))
}

fn malformed(key: &KeyRef) -> L1Error {
    L1Error::unreachable(PROVIDER, key, Fault::Unknown, "its answer is not in the engine's form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_has_one_spelling() {
        let blob = packed("vault:v3:AAEC").unwrap();
        assert_eq!(blob, [1, 0, 0, 0, 3, 0, 1, 2]);
        assert_eq!(unpacked(&blob).unwrap(), "vault:v3:AAEC");
        for bad in ["vault:v0:AAEC", "vault:3:AAEC", "vault:v3", "vault:v3:!", "other:v3:AAEC", "vault:v-1:AAEC"] {
            assert!(packed(bad).is_none(), "{bad}");
        }
        for bad in [&[][..], &[1, 0, 0, 0], &[2, 0, 0, 0, 1, 9], &[1, 0, 0, 0, 0, 9]] {
            assert!(unpacked(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_reference_leads_to_no_other_path() {
        let name = |text: &str| named(&KeyRef::new(text).unwrap()).map(str::to_owned);
        assert_eq!(name("acme-root_1.x").unwrap(), "acme-root_1.x");
        for bad in ["a/b", "..", "../sys/seal", "a:b", "transit/keys/a", ".a"] {
            assert!(matches!(name(bad), Err(L1Error::Unfit { .. })), "{bad}");
        }
        assert!(is_path("acme/prod") && is_path("transit"));
        for bad in ["", "/a", "a/", "a//b", "a/../b"] {
            assert!(!is_path(bad), "{bad}");
        }
    }

    #[test]
    fn a_key_that_binds_no_context_is_unfit() {
        let key = KeyRef::new("acme").unwrap();
        let described = |text: &str| serde_json::from_str::<Key>(text).unwrap().described(&key);
        assert_eq!(described(r#"{"type":"aes256-gcm96"}"#).unwrap().state, State::Enabled);
        assert_eq!(described(r#"{"type":"aes256-gcm96","soft_deleted":true}"#).unwrap().state, State::PendingDeletion);
        for bad in [r#"{"type":"rsa-2048"}"#, r#"{"type":"aes256-gcm96","derived":true}"#, r#"{"type":"hmac"}"#] {
            assert!(matches!(described(bad), Err(L1Error::Unfit { .. })), "{bad}");
        }
    }
}
