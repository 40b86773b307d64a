//! The OpenID provider as we know it: where it is asked for what, and its keys. Both are kept for an hour; a key that is not among them makes
//! us look again, so often and no more. While it can't be asked, nobody signs in; who is signed in already stays so.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use form_urlencoded::{Serializer, byte_serialize};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    fetch::{Address, Client},
    login::Login,
    token::{
        Flaw,
        jws::{self, Signed},
        keys::Keys,
    },
};
use crate::error::ApiError;

/// How long addresses and keys are taken as they were read.
pub const KNOWN_MS: u64 = 3_600 * 1_000;
/// How often, at most, keys are read again because a token names one that is not there.
pub const KEYS_AGAIN_MS: u64 = 30 * 1_000;
/// How long a provider that could not be asked is left alone.
pub const FAILED_MS: u64 = 5_000;

/// What a provider says about itself (OpenID Connect Discovery §3, RFC 8414 §2, RFC 9207 §3).
#[derive(Debug, Deserialize)]
struct Written {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    end_session_endpoint: Option<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// The same, checked.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) authorization: String,
    token: Address,
    jwks: Address,
    pub(crate) end_session: Option<String>,
    /// It puts `iss` into each of its answers.
    pub(crate) answers_name_issuer: bool,
    /// Who we are goes into the form, since it takes no header.
    secret_in_form: bool,
}

/// Why the provider did not help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denied {
    #[error("the provider cannot be asked: {0}")]
    Unavailable(String),
    #[error("the token does not count: {0}")]
    Flawed(#[from] Flaw),
    #[error("the provider gave no token for the code: {0}")]
    NoToken(String),
}

#[derive(Debug, Default)]
struct Known {
    read: Option<(Arc<Metadata>, Arc<Keys>, u64)>,
    failed: Option<(String, u64)>,
    keys_again_ms: Option<u64>,
}

/// One provider.
pub(crate) struct Provider {
    login: Arc<Login>,
    client: Client,
    known: Mutex<Known>,
}

/// The member of an answer of the token endpoint that counts. The access token is not for us.
#[derive(Deserialize)]
struct Answer {
    id_token: String,
}

impl Provider {
    pub(crate) fn new(login: Arc<Login>) -> Result<Self, ApiError> {
        let client = Client::new(login.ca.as_deref())?;
        client.address(&login.issuer).map_err(|why| ApiError::Login { what: "issuer", why })?;
        Ok(Self { login, client, known: Mutex::default() })
    }

    pub(crate) async fn metadata(&self, now_ms: u64) -> Result<Arc<Metadata>, Denied> {
        Ok(self.known(now_ms).await?.0)
    }

    /// What the provider signed. Keys are read again for one that is new.
    pub(crate) async fn verify(&self, token: &str, now_ms: u64) -> Result<Signed, Denied> {
        let (metadata, keys) = self.known(now_ms).await?;
        match jws::verify(token, &keys) {
            Err(Flaw::UnknownKey(kid)) => match self.keys_again(&metadata, &keys, now_ms).await {
                Some(keys) => Ok(jws::verify(token, &keys)?),
                None => Err(Flaw::UnknownKey(kid).into()),
            },
            other => Ok(other?),
        }
    }

    /// The ID token for a code (RFC 6749 §4.1.3, RFC 7636 §4.5).
    pub(crate) async fn redeem(&self, metadata: &Metadata, code: &str, verifier: &str) -> Result<String, Denied> {
        let Login { client_id, client_secret, redirect, .. } = &*self.login;
        let form = {
            let mut form = Serializer::new(String::new());
            form.append_pair("grant_type", "authorization_code").append_pair("code", code);
            form.append_pair("redirect_uri", redirect).append_pair("code_verifier", verifier);
            if metadata.secret_in_form {
                form.append_pair("client_id", client_id).append_pair("client_secret", client_secret.expose());
            }
            form.finish()
        };
        let escaped = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", escaped(client_id), escaped(client_secret.expose()));
        let basic = (!metadata.secret_in_form).then(|| format!("Basic {}", STANDARD.encode(pair)));
        let answer = self.client.post(&metadata.token, basic.as_deref(), form).await.map_err(Denied::NoToken)?;
        let answer: Answer =
            serde_json::from_slice(&answer).map_err(|_| Denied::NoToken("its answer holds no `id_token`".into()))?;
        Ok(answer.id_token)
    }

    /// Addresses and keys. Whoever comes while somebody asks waits for the same answer.
    async fn known(&self, now_ms: u64) -> Result<(Arc<Metadata>, Arc<Keys>), Denied> {
        let mut known = self.known.lock().await;
        if let Some((metadata, keys, since)) = &known.read
            && now_ms.saturating_sub(*since) < KNOWN_MS
        {
            return Ok((metadata.clone(), keys.clone()));
        }
        if let Some((why, since)) = &known.failed
            && now_ms.saturating_sub(*since) < FAILED_MS
        {
            return Err(Denied::Unavailable(why.clone()));
        }
        match self.discover().await {
            Ok((metadata, keys)) => {
                known.read = Some((metadata.clone(), keys.clone(), now_ms));
                known.failed = None;
                Ok((metadata, keys))
            }
            Err(why) => {
                tracing::warn!(
                    issuer = self.login.issuer,
                    why,
                    "portal: the identity provider cannot be asked; nobody can sign in"
                );
                known.failed = Some((why.clone(), now_ms));
                Err(Denied::Unavailable(why))
            }
        }
    }

    /// The keys as they are now; none where they were read again a moment ago, or cannot be.
    async fn keys_again(&self, metadata: &Metadata, seen: &Arc<Keys>, now_ms: u64) -> Option<Arc<Keys>> {
        let mut known = self.known.lock().await;
        if let Some((_, keys, _)) = &known.read
            && !Arc::ptr_eq(keys, seen)
        {
            return Some(keys.clone());
        }
        if known.keys_again_ms.is_some_and(|since| now_ms.saturating_sub(since) < KEYS_AGAIN_MS) {
            return None;
        }
        known.keys_again_ms = Some(now_ms);
        let keys = Arc::new(self.keys(metadata).await.ok()?);
        if let Some(read) = &mut known.read {
            read.1 = keys.clone();
        }
        Some(keys)
    }

    async fn discover(&self) -> Result<(Arc<Metadata>, Arc<Keys>), String> {
        let url = format!("{}/.well-known/openid-configuration", self.login.issuer.trim_end_matches('/'));
        let bytes = self.client.get(&self.client.address(&url)?).await.map_err(|why| format!("{url}: {why}"))?;
        let written = serde_json::from_slice(&bytes).map_err(|why| format!("{url} does not read: {why}"))?;
        let metadata = self.checked(written)?;
        let keys = self.keys(&metadata).await?;
        Ok((Arc::new(metadata), Arc::new(keys)))
    }

    async fn keys(&self, metadata: &Metadata) -> Result<Keys, String> {
        Keys::read(&self.client.get(&metadata.jwks).await.map_err(|why| format!("its keys: {why}"))?)
    }

    fn checked(&self, written: Written) -> Result<Metadata, String> {
        if written.issuer != self.login.issuer {
            return Err("it calls itself by another issuer than the topology".into());
        }
        // Silence about it says nothing (RFC 8414 §2); the provider's answer would.
        if written.code_challenge_methods_supported.is_some_and(|all| !all.iter().any(|one| one == "S256")) {
            return Err("it does not take PKCE with S256".into());
        }
        self.client.address(&written.authorization_endpoint)?;
        written.end_session_endpoint.as_deref().map(|url| self.client.address(url)).transpose()?;
        let methods = written.token_endpoint_auth_methods_supported.unwrap_or_default();
        let takes = |method: &str| methods.iter().any(|one| one == method);
        Ok(Metadata {
            authorization: written.authorization_endpoint,
            token: self.client.address(&written.token_endpoint)?,
            jwks: self.client.address(&written.jwks_uri)?,
            end_session: written.end_session_endpoint,
            answers_name_issuer: written.authorization_response_iss_parameter_supported,
            secret_in_form: takes("client_secret_post") && !takes("client_secret_basic"),
        })
    }
}
