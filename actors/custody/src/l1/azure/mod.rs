//! Azure Key Vault or Managed HSM as an L1: an RSA key, or at a Managed HSM an AES key, that wraps and unwraps.
//!
//! Neither binds what it wraps to anything, so an envelope does: the vault wraps a key of one use, under which what is wrapped is sealed with
//! the context as associated data. A blob names the version of the key that wrapped it, so it opens after a rotation.

mod classify;
mod envelope;
mod login;

use std::path::PathBuf;

use orbital::names::KeyRef;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use self::{
    classify::{Refused, Verdict, classify},
    envelope::{Algorithm, DataKey, Envelope, Version},
    login::Login,
};
use super::{
    Answer, Context, Described, Fault, L1, L1Error, Plain, State, Stop, check_plain, check_wrapped,
    https::{Body, Https, Question, Said},
    rest::{Base64Url, Encoded},
    within,
};

const PROVIDER: &str = "azure-key-vault";
/// What both services speak (Key Vault REST API reference).
const API_VERSION: &str = "7.4";
/// What a key must be able to do.
const OPERATIONS: [&str; 2] = ["wrapKey", "unwrapKey"];

/// Where a vault is and who asks it.
pub struct AzureOptions {
    /// `https://VAULT.vault.azure.net`, or `https://HSM.managedhsm.azure.net`: a private endpoint has the same name.
    pub endpoint: String,
    /// Where Entra ID hands out tokens: `https://login.microsoftonline.com`, or that of a national cloud.
    pub login: String,
    /// The directory (tenant) of Entra ID in which the region's application is known.
    pub directory: String,
    /// PEM file of the authorities that vouch for both.
    pub ca: PathBuf,
    /// `client_id = …` and `certificate = …` or `client_secret = …`; of mode 0600.
    pub credentials: PathBuf,
}

/// One vault as one application sees it.
pub struct Azure {
    https: Https,
    /// What each of its keys begins with: `https://HOST/keys/`.
    keys: String,
    login: Login,
}

impl Azure {
    /// Reads the CA and the credential files; no call is made yet.
    ///
    /// # Errors
    /// [`L1Error::Setup`] for an address or a file that can't be used.
    pub fn connect(options: AzureOptions) -> Result<Self, L1Error> {
        let AzureOptions { endpoint, login, directory, ca, credentials } = options;
        let https = Https::new(PROVIDER, &endpoint, &ca)?;
        let keys = format!("{}/keys/", endpoint.trim_end_matches('/'));
        let login = Login::new(PROVIDER, (&login, &ca), &directory, &resource(https.host()), credentials)?;
        login.check().map_err(|why| L1Error::setup(PROVIDER, why))?;
        Ok(Self { https, keys, login })
    }

    /// The key's name in this vault.
    fn name<'k>(&self, key: &'k KeyRef) -> Result<&'k str, L1Error> {
        let word = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        key.as_str().strip_prefix(&self.keys).filter(word).ok_or_else(|| {
            let form = format!("the reference must be the key's identifier without a version, {}NAME", self.keys);
            L1Error::unfit(PROVIDER, key, form)
        })
    }

    /// The version that new wraps take; where the vault knows no such key, whether one that was deleted can still come back.
    async fn current(&self, key: &KeyRef) -> Result<Current, L1Error> {
        let name = self.name(key)?;
        let found: Bundle = match self.asked(key, &format!("/keys/{name}/"), Asked::Key).await? {
            Found::Yes(found) => found,
            Found::No(why) => {
                let deleted =
                    self.asked::<serde::de::IgnoredAny>(key, &format!("/deletedkeys/{name}"), Asked::Key).await;
                let stop = match deleted {
                    Ok(Found::Yes(_)) => Stop::PendingDeletion,
                    Ok(Found::No(_)) | Err(_) => Stop::Deleted,
                };
                return Err(L1Error::stopped(PROVIDER, key, stop, why));
            }
        };
        found.current(key)
    }

    async fn wrapped(&self, key: &KeyRef, context: &Context, plain: &[u8]) -> Result<Vec<u8>, L1Error> {
        check_plain(PROVIDER, key, plain)?;
        let Current { version, algorithm, state } = self.current(key).await?;
        if let Some(stop) = state.stop() {
            return Err(L1Error::stopped(PROVIDER, key, stop, STOPPED));
        }
        let data_key = DataKey::random().map_err(|why| L1Error::unreachable(PROVIDER, key, Fault::Unknown, why))?;
        let path = format!("/keys/{}/{version}/wrapkey", self.name(key)?);
        match self.asked(key, &path, Asked::Wrap(algorithm, data_key.expose())).await? {
            Found::Yes(Value { value: Encoded(wrapped), .. }) => {
                let envelope = Envelope { algorithm, version, wrapped: &wrapped };
                envelope.seal(&data_key, context, plain).map_err(|why| L1Error::unfit(PROVIDER, key, why))
            }
            // It was there a moment ago.
            Found::No(why) => Err(L1Error::unreachable(PROVIDER, key, Fault::Unknown, why)),
        }
    }

    async fn unwrapped(&self, key: &KeyRef, context: &Context, blob: &[u8]) -> Result<Plain, L1Error> {
        check_wrapped(PROVIDER, key, blob)?;
        let name = self.name(key)?;
        let mismatch = |why: &str| L1Error::mismatch(PROVIDER, key, why);
        let (envelope, sealed) = Envelope::read(blob).ok_or_else(|| mismatch("it is no blob of Azure Key Vault"))?;
        let version = envelope.version;
        let path = format!("/keys/{name}/{version}/unwrapkey");
        match self.asked(key, &path, Asked::Unwrap(envelope.algorithm, envelope.wrapped)).await? {
            Found::Yes(Value { value: Encoded(data_key), .. }) => {
                let data_key = DataKey::of(&data_key).ok_or_else(|| mismatch("what it holds is no key of ours"))?;
                envelope.open(&data_key, context, sealed).ok_or_else(|| mismatch("its context is another"))
            }
            // No version is ever deleted alone: a key that is there never had this one, or was made anew under its name.
            Found::No(_) => match self.current(key).await {
                Ok(_) => Err(mismatch(&format!("the key has no version {version}"))),
                Err(error) => Err(error),
            },
        }
    }

    /// One question at `path`. A token that counts no more is replaced once.
    async fn asked<T: DeserializeOwned>(&self, key: &KeyRef, path: &str, what: Asked<'_>) -> Result<Found<T>, L1Error> {
        let path = format!("{path}?api-version={API_VERSION}");
        let signed_in = || async { self.login.bearer().await.map_err(|none| none.about(PROVIDER, key)) };
        let token = signed_in().await?;
        let mut answer = self.answer(key, &path, token.clone(), what).await?;
        if matches!(answer, Err((Verdict::SignIn, _))) && self.login.forget(&token).await {
            answer = self.answer(key, &path, signed_in().await?, what).await?;
        }
        let (verdict, why) = match answer {
            Ok(said) => return serde_json::from_slice(&said.body).map(Found::Yes).map_err(|_| malformed(key)),
            Err(refused) => refused,
        };
        match verdict {
            Verdict::NotFound => Ok(Found::No(why)),
            Verdict::Stop(stop) => Err(L1Error::stopped(PROVIDER, key, stop, why)),
            Verdict::BadParameter if matches!(what, Asked::Unwrap(..)) => Err(L1Error::mismatch(PROVIDER, key, why)),
            Verdict::BadParameter => Err(L1Error::unfit(PROVIDER, key, why)),
            Verdict::SignIn => Err(L1Error::unreachable(PROVIDER, key, Fault::Credential, why)),
            Verdict::Fault(fault) => Err(L1Error::unreachable(PROVIDER, key, fault, why)),
        }
    }

    /// The success of one question; the inner error is a refusal, what to make of it and in which words it came.
    async fn answer(
        &self,
        key: &KeyRef,
        path: &str,
        token: Zeroizing<String>,
        what: Asked<'_>,
    ) -> Result<Result<Said, (Verdict, String)>, L1Error> {
        let body = match what {
            Asked::Key => None,
            Asked::Wrap(alg, value) | Asked::Unwrap(alg, value) => {
                let form = Form { alg, value: Encoded(Zeroizing::new(value.to_vec())) };
                Some(Body::json(&form).map_err(|_| malformed(key))?)
            }
        };
        let said = self.https.ask(Question { path, headers: vec![("authorization", token)], body }).await;
        let said = said.map_err(|why| L1Error::unreachable(PROVIDER, key, Fault::Network, why))?;
        if said.status == 200 {
            return Ok(Ok(said));
        }
        let refused = Refused::read(&said.body);
        let words = refused.as_ref().map_or_else(|| "in a form that is not Azure's".to_owned(), Refused::words);
        Ok(Err((classify(said.status, refused.as_ref()), format!("{} {words}", said.status))))
    }
}

/// What is said of a version that the customer has switched off.
const STOPPED: &str = "its current version is disabled, or may not wrap and unwrap (key_ops)";

/// What is asked: about a key, or to wrap or unwrap a value.
#[derive(Clone, Copy)]
enum Asked<'a> {
    Key,
    Wrap(Algorithm, &'a [u8]),
    Unwrap(Algorithm, &'a [u8]),
}

/// An answer about something that may not be there.
enum Found<T> {
    Yes(T),
    No(String),
}

impl L1 for Azure {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn describe<'a>(&'a self, key: &'a KeyRef) -> Answer<'a, Described> {
        let described = async move {
            let Current { state, .. } = self.current(key).await?;
            Ok(Described { state, resolved: key.clone() })
        };
        Box::pin(within(PROVIDER, key, described))
    }

    fn wrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, plain: &'a [u8]) -> Answer<'a, Vec<u8>> {
        Box::pin(within(PROVIDER, key, self.wrapped(key, context, plain)))
    }

    fn unwrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, wrapped: &'a [u8]) -> Answer<'a, Plain> {
        Box::pin(within(PROVIDER, key, self.unwrapped(key, context, wrapped)))
    }
}

/// What wrapkey and unwrapkey are asked.
#[derive(Serialize)]
struct Form {
    alg: Algorithm,
    value: Base64Url,
}

#[derive(Deserialize)]
struct Value {
    value: Base64Url,
}

/// A key as the vault describes it.
#[derive(Deserialize)]
struct Bundle {
    key: Jwk,
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Jwk {
    /// The key's name with its version.
    kid: String,
    kty: String,
    #[serde(default)]
    key_ops: Vec<String>,
}

#[derive(Deserialize)]
struct Attributes {
    enabled: bool,
}

/// The version that new wraps take.
struct Current {
    version: Version,
    algorithm: Algorithm,
    state: State,
}

impl Bundle {
    fn current(self, key: &KeyRef) -> Result<Current, L1Error> {
        let Self { key: Jwk { kid, kty, key_ops }, attributes } = self;
        // Azure takes names of any case and gives them back in one of its own.
        let version = kid.get(key.as_str().len()..).and_then(|rest| rest.strip_prefix('/')).and_then(Version::read);
        let named = kid.get(..key.as_str().len()).is_some_and(|name| name.eq_ignore_ascii_case(key.as_str()));
        let version = version.filter(|_| named).ok_or_else(|| malformed(key))?;
        let algorithm = Algorithm::of(&kty).ok_or_else(|| {
            L1Error::unfit(PROVIDER, key, format!("it is of type {kty}: name one of type RSA, RSA-HSM or oct-HSM"))
        })?;
        let able = OPERATIONS.iter().all(|needed| key_ops.iter().any(|op| op == needed));
        let state = if attributes.enabled && able { State::Enabled } else { State::Disabled };
        Ok(Current { version, algorithm, state })
    }
}

/// What tokens for a host are for: its domain, without the vault's own name.
fn resource(host: &str) -> String {
    let domain = host.split_once('.').map_or(host, |(_, domain)| domain);
    format!("https://{domain}")
}

fn malformed(key: &KeyRef) -> L1Error {
    L1Error::unreachable(PROVIDER, key, Fault::Unknown, "its answer is not in Azure's form")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "https://acme.vault.azure.net/keys/acme-l1";

    fn bundle(kid: &str, kty: &str, ops: &str, enabled: bool) -> Result<Current, L1Error> {
        let text = format!(
            r#"{{"key":{{"kid":"{kid}","kty":"{kty}","key_ops":[{ops}]}},"attributes":{{"enabled":{enabled},"created":1}}}}"#
        );
        serde_json::from_str::<Bundle>(&text).unwrap().current(&KeyRef::new(KEY).unwrap())
    }

    const VERSION: &str = "78deebed173b48e48f55abf87ed4cf71";
    const BOTH: &str = r#""wrapKey","unwrapKey","sign""#;

    #[test]
    fn a_key_is_as_its_current_version() {
        let kid = format!("{KEY}/{VERSION}");
        let current = bundle(&kid, "RSA", BOTH, true).unwrap();
        assert_eq!((current.version.to_string().as_str(), current.state), (VERSION, State::Enabled));
        assert!(bundle(&format!("https://ACME.vault.azure.net/keys/Acme-L1/{VERSION}"), "oct-HSM", BOTH, true).is_ok());
        assert_eq!(bundle(&kid, "RSA-HSM", BOTH, false).unwrap().state, State::Disabled);
        for ops in [r#""wrapKey""#, r#""unwrapKey""#, ""] {
            assert_eq!(bundle(&kid, "RSA", ops, true).unwrap().state, State::Disabled, "{ops}");
        }
        for kty in ["EC", "EC-HSM", "oct", ""] {
            assert!(matches!(bundle(&kid, kty, BOTH, true), Err(L1Error::Unfit { .. })), "{kty}");
        }
    }

    #[test]
    fn an_answer_about_another_key_is_none() {
        for kid in [
            KEY.to_owned(),
            format!("{KEY}/"),
            format!("{KEY}2/{VERSION}"),
            format!("{KEY}/{VERSION}/x"),
            format!("https://evil.vault.azure.net/keys/acme-l1/{VERSION}"),
            format!("{KEY}/../other/keys/{VERSION}"),
        ] {
            let refused = bundle(&kid, "RSA", BOTH, true).err().unwrap();
            assert_eq!(refused.state(), Some(State::Unreachable), "{kid}");
        }
    }

    #[test]
    fn a_token_is_for_the_domain_of_the_vault() {
        assert_eq!(resource("acme.vault.azure.net"), "https://vault.azure.net");
        assert_eq!(resource("acme.managedhsm.azure.net"), "https://managedhsm.azure.net");
        assert_eq!(resource("localhost"), "https://localhost");
    }
}
