//! Whose call it is: an application of Entra ID, which proves itself by a certificate or by a client secret.
//!
//! The credential file is read at each sign-in, so one that is replaced counts without a restart. A certificate's key never leaves the
//! region: it signs a statement of five minutes (RFC 7523; Microsoft identity platform, "Certificate credentials").

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::RSA_PSS_SHA256,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use form_urlencoded::byte_serialize;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::l1::{
    Fault, L1Error, credential_file,
    https::{Body, Https, Question},
    jwt::{rsa_key, signed, span},
    one_line,
    sign_in::{Fresh, NoToken, Tokens},
    soft_wire::Token,
};

/// Bytes of a statement's own random name.
const NAME_BYTES: usize = 16;
/// Begins each sentence about a sign-in that failed.
const SIGN_IN: &str = "sign-in at Entra ID: ";
/// What says that a statement is one.
const STATEMENT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The region's principal.
pub(super) struct Login {
    https: Https,
    /// Where tokens are handed out, below the host.
    path: String,
    /// The same with its host: whom a statement is for.
    audience: String,
    /// What a token is for: the vault's domain.
    scope: String,
    file: PathBuf,
    tokens: Tokens,
}

/// What the file holds.
struct Credential {
    client_id: Zeroizing<String>,
    proof: Proof,
}

enum Proof {
    Secret(Zeroizing<String>),
    /// A PEM file with the key and its certificate.
    Certificate(PathBuf),
}

#[derive(Deserialize)]
struct SignedIn {
    access_token: Token,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Login {
    /// `login` is `https://HOST[:PORT]`; `resource` what the tokens are for.
    pub(super) fn new(
        provider: &'static str,
        (login, ca): (&str, &Path),
        directory: &str,
        resource: &str,
        file: PathBuf,
    ) -> Result<Self, L1Error> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        if directory.is_empty() || directory.starts_with('.') || !directory.bytes().all(plain) {
            let why =
                format!("its directory `{directory}` is no directory (tenant) id of Entra ID, nor a domain of one");
            return Err(L1Error::setup(provider, why));
        }
        let https = Https::new(provider, login, ca)?;
        let path = format!("/{directory}/oauth2/v2.0/token");
        let audience = format!("{}{path}", login.trim_end_matches('/'));
        let scope = format!("{resource}/.default");
        Ok(Self { https, path, audience, scope, file, tokens: Tokens::default() })
    }

    /// Whether the files can be used at all.
    pub(super) fn check(&self) -> Result<(), String> {
        self.form().map(drop)
    }

    /// The value of the `authorization` header of one call.
    pub(super) async fn bearer(&self) -> Result<Zeroizing<String>, NoToken> {
        self.tokens.or_else(self.sign_in()).await
    }

    /// Whether another token may come in place of `stale`.
    pub(super) async fn forget(&self, stale: &str) -> bool {
        self.tokens.forget(stale).await
    }

    async fn sign_in(&self) -> Result<Fresh, NoToken> {
        let form = self.form().map_err(NoToken::unusable)?;
        let question = Question { path: &self.path, headers: Vec::new(), body: Some(Body::form(form)) };
        let said = self.https.ask(question).await.map_err(|why| NoToken::new(SIGN_IN, Fault::Network, &why))?;
        if said.status != 200 {
            let denied = serde_json::from_slice::<Denied>(&said.body);
            let why = denied.map_or_else(
                |_| "an answer in another form".to_owned(),
                |denied| format!("{} {}", one_line(&denied.error), one_line(&denied.error_description)),
            );
            return Err(NoToken::answered(SIGN_IN, said.status, &why));
        }
        let SignedIn { access_token, expires_in } =
            serde_json::from_slice(&said.body).map_err(|_| NoToken::in_no_answer(SIGN_IN))?;
        let token = Zeroizing::new(format!("Bearer {}", access_token.expose()));
        Ok(Fresh { token, life: Some(Duration::from_secs(expires_in)) })
    }

    /// What a sign-in sends, from the files as they are now.
    fn form(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let Credential { client_id, proof } = self.credential()?;
        let mut form = Form::new();
        form.field("grant_type", "client_credentials");
        form.field("client_id", &client_id);
        form.field("scope", &self.scope);
        match proof {
            Proof::Secret(secret) => form.field("client_secret", &secret),
            Proof::Certificate(file) => {
                form.field("client_assertion_type", STATEMENT);
                form.field("client_assertion", &self.statement(&client_id, &file)?);
            }
        }
        Ok(form.0)
    }

    fn credential(&self) -> Result<Credential, String> {
        let names = ["client_id", "client_secret", "certificate"];
        let (client_id, proof) = match credential_file::read(&self.file, names)? {
            [Some(client_id), Some(secret), None] => (client_id, Proof::Secret(secret)),
            [Some(client_id), None, Some(file)] => {
                let beside = self.file.parent().unwrap_or(Path::new("")).join(file.as_str());
                (client_id, Proof::Certificate(beside))
            }
            _ => {
                return Err(format!(
                    "credential file `{}` must hold `client_id`, and `certificate` or `client_secret`",
                    self.file.display()
                ));
            }
        };
        Ok(Credential { client_id, proof })
    }

    /// The application says who it is, signed by its certificate's key.
    fn statement(&self, client_id: &str, file: &Path) -> Result<Zeroizing<String>, String> {
        let unusable = |why: &str| format!("certificate file `{}` {why}", file.display());
        let pem = credential_file::whole(file)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
            unusable("holds no certificate: write the key (PKCS#8) and its certificate into it, in PEM")
        })?;
        let key = rsa_key(pem.as_bytes()).ok_or_else(|| unusable("holds no RSA key (PKCS#8 in PEM)"))?;
        let mut name = [0; NAME_BYTES];
        getrandom::fill(&mut name).map_err(|e| unusable(&format!("can't be used: no random bytes: {e}")))?;
        let (from, until) = span();
        let print = URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate));
        let head = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": print });
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": self.audience, "jti": URL_SAFE_NO_PAD.encode(name), "nbf": from, "exp": until,
        });
        signed(&key, &RSA_PSS_SHA256, &head, &claims).ok_or_else(|| unusable("holds a key that does not sign"))
    }
}

/// A form in `application/x-www-form-urlencoded`, wiped on drop.
struct Form(Zeroizing<Vec<u8>>);

/// Longest form, in bytes. Reserved at once: bytes that grow leave copies behind.
const FORM_BYTES: usize = 64 * 1024;

impl Form {
    fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(FORM_BYTES)))
    }

    fn field(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
        byte_serialize(value.as_bytes()).for_each(|part| self.0.extend_from_slice(part.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn login(folder: &Path) -> Result<Login, L1Error> {
        let ca = folder.join("ca.pem");
        std::fs::write(&ca, rcgen::generate_simple_self_signed(vec!["x".into()]).unwrap().cert.pem()).unwrap();
        let at = ("https://login.example", ca.as_path());
        Login::new("azure-key-vault", at, "acme.example", "https://vault.azure.net", folder.join("az.credentials"))
    }

    fn private(file: &Path, text: &str) {
        std::fs::write(file, text).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn a_form_escapes_what_a_secret_may_hold() {
        let mut form = Form::new();
        form.field("a", "x~1");
        form.field("client_secret", "a&b=c d+ü%");
        let read = [("a".to_owned(), "x~1".to_owned()), ("client_secret".to_owned(), "a&b=c d+ü%".to_owned())];
        assert_eq!(pairs(&form.0), read);
    }

    /// As a server reads it.
    fn pairs(form: &[u8]) -> Vec<(String, String)> {
        form_urlencoded::parse(form).into_owned().collect()
    }

    #[test]
    fn a_file_holds_one_proof_and_a_mistake_is_named_without_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let (login, file) = (login(folder.path()).unwrap(), folder.path().join("az.credentials"));
        private(&file, "client_id = 1f\nclient_secret = hunter2\n");
        let form = login.form().unwrap();
        let pairs = pairs(&form);
        assert!(pairs.contains(&("scope".to_owned(), "https://vault.azure.net/.default".to_owned())), "{pairs:?}");
        assert!(pairs.contains(&("client_secret".to_owned(), "hunter2".to_owned())), "{pairs:?}");
        for bad in
            ["", "client_id = 1f", "client_secret = hunter2", "client_id = 1\nclient_secret = hunter2\ncertificate = x"]
        {
            private(&file, bad);
            let why = login.check().unwrap_err();
            assert!(why.contains("`certificate` or `client_secret`") && !why.contains("hunter2"), "{bad:?}: {why}");
        }
        private(&file, "client_id = 1f\ncertificate = region.pem\n");
        assert!(login.check().unwrap_err().contains("region.pem"), "it lies beside the file");
        private(&folder.path().join("region.pem"), "hunter2");
        let why = login.check().unwrap_err();
        assert!(why.contains("holds no certificate") && !why.contains("hunter2"), "{why}");
        let elliptic = rcgen::generate_simple_self_signed(vec!["x".into()]).unwrap();
        let pem = elliptic.signing_key.serialize_pem() + &elliptic.cert.pem();
        private(&folder.path().join("region.pem"), &pem);
        assert!(login.check().unwrap_err().contains("holds no RSA key"));
    }

    #[test]
    fn a_directory_is_an_id_or_a_domain() {
        let folder = tempfile::tempdir().unwrap();
        drop(login(folder.path()).unwrap());
        let ca = folder.path().join("ca.pem");
        for bad in ["", "../common", "a/b", ".", "a b"] {
            let at = ("https://login.example", ca.as_path());
            let refused = Login::new("p", at, bad, "https://vault.azure.net", folder.path().join("x")).err().unwrap();
            assert!(refused.to_string().contains("directory"), "{bad}: {refused}");
        }
    }
}
