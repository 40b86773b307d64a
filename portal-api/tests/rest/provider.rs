//! An identity provider for tests that does exactly what a test tells it, and counts how often it is asked. A real one is the journeys'.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const CLIENT: &str = "kcm-portal";
pub(crate) const SECRET: &str = "s3cret:with/odd characters";

/// What the provider does and has seen.
#[derive(Default)]
struct State {
    /// Members of the discovery document that a test sets, or takes away by null.
    metadata: BTreeMap<String, Value>,
    /// The claims of the ID token of each code; a code is taken once.
    codes: BTreeMap<String, Value>,
    down: bool,
    /// The forms that the token endpoint got, each with its `Authorization`.
    asked: Vec<(String, String)>,
    key_reads: usize,
    serial: usize,
}

/// A running provider.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    key: Arc<Mutex<(EcdsaKeyPair, String)>>,
    state: Arc<Mutex<State>>,
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn fresh() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = Arc::new(Mutex::new((fresh(), "key-1".to_owned())));
        let provider = Self { issuer, key, state: Arc::default() };
        let served = provider.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let provider = served.clone();
                let service = service_fn(move |request| {
                    let provider = provider.clone();
                    async move { Ok::<_, Infallible>(provider.answer(request).await) }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service);
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        provider
    }

    pub(crate) fn with(self, member: &str, value: Value) -> Self {
        self.state.lock().unwrap().metadata.insert(member.to_owned(), value);
        self
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    pub(crate) fn key_reads(&self) -> usize {
        self.state.lock().unwrap().key_reads
    }

    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        self.state.lock().unwrap().asked.clone()
    }

    /// From now on it signs with another key.
    pub(crate) fn rotate(&self, kid: &str) {
        *self.key.lock().unwrap() = (fresh(), kid.to_owned());
    }

    /// A code for an ID token with these claims.
    pub(crate) fn code(&self, claims: Value) -> String {
        let mut state = self.state.lock().unwrap();
        state.serial += 1;
        let code = format!("code-{}", state.serial);
        state.codes.insert(code.clone(), claims);
        code
    }

    /// The claims of somebody who proved themselves by two means.
    pub(crate) fn person(&self, subject: &str, nonce: &str) -> Value {
        json!({
            "iss": self.issuer, "sub": subject, "aud": CLIENT, "exp": now() + 300, "iat": now(), "auth_time": now(), "nonce": nonce,
            "acr": "urn:mfa", "amr": ["pwd", "otp", "mfa"], "sid": format!("sid-{subject}"), "groups": ["idp-security", "idp-other"],
        })
    }

    pub(crate) fn logout(&self, subject: &str, jti: &str) -> Value {
        let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
        json!({ "iss": self.issuer, "sub": subject, "aud": CLIENT, "iat": now(), "exp": now() + 60, "jti": jti, "events": event })
    }

    pub(crate) fn program(&self, client: &str, audience: &str) -> Value {
        json!({
            "iss": self.issuer, "sub": client, "client_id": client, "aud": audience, "exp": now() + 300, "iat": now(), "jti": "1",
        })
    }

    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        let (pair, kid) = &*self.key.lock().unwrap();
        let header = json!({ "alg": "ES256", "kid": kid, "typ": typ });
        let signed = format!("{}.{}", text(header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", text(signature.as_ref()))
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let form = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let authorization =
            parts.headers.get("authorization").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        let (status, body) = match parts.uri.path() {
            _ if self.state.lock().unwrap().down => (503, json!({})),
            "/.well-known/openid-configuration" => (200, self.metadata()),
            "/keys" => (200, self.keys()),
            "/token" => self.token(&form, authorization),
            _ => (404, json!({})),
        };
        Response::builder().status(status).body(Full::from(body.to_string())).unwrap()
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}/{path}", self.issuer);
        let mut document = json!({
            "issuer": self.issuer, "authorization_endpoint": at("authorize?kept=1"), "token_endpoint": at("token"),
            "jwks_uri": at("keys"), "end_session_endpoint": at("end"), "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        for (member, value) in &self.state.lock().unwrap().metadata {
            match value {
                Value::Null => _ = document.as_object_mut().unwrap().remove(member),
                value => document[member] = value.clone(),
            }
        }
        document
    }

    fn keys(&self) -> Value {
        self.state.lock().unwrap().key_reads += 1;
        let (pair, kid) = &*self.key.lock().unwrap();
        let point = pair.public_key().as_ref();
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": text(&point[1..33]), "y": text(&point[33..]) }] })
    }

    fn token(&self, form: &str, authorization: String) -> (u16, Value) {
        let code = form_urlencoded::parse(form.as_bytes()).find(|(name, _)| name == "code").unwrap().1.into_owned();
        let claims = {
            let mut state = self.state.lock().unwrap();
            state.asked.push((form.to_owned(), authorization));
            state.codes.remove(&code)
        };
        match claims {
            Some(claims) => {
                (200, json!({ "access_token": "x", "token_type": "Bearer", "id_token": self.sign("JWT", &claims) }))
            }
            None => (400, json!({ "error": "invalid_grant" })),
        }
    }
}
