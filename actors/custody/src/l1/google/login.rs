//! Whose call it is: a service account, whose key signs a short-lived token for each call.
//!
//! No token is fetched anywhere: Google's APIs take one that the service account's own key has signed (Google Cloud documentation,
//! "Authenticate with a self-signed JWT"). The file is read at each call, so a key that is replaced counts without a restart.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::l1::{credential_file, soft_wire::Token};

/// Whom the token is for, whatever the address.
const AUDIENCE: &str = "https://cloudkms.googleapis.com/";
/// Life of a token, in seconds: a call takes 5, and clocks differ.
const LIFE_S: u64 = 300;
/// By how much our clock may be ahead of Google's, in seconds: a token of the future is refused.
const SKEW_S: u64 = 30;

/// The region's principal.
pub(super) struct Login {
    file: PathBuf,
}

/// A service account's key, as Google hands it out.
#[derive(Deserialize)]
struct Account {
    client_email: String,
    private_key_id: String,
    private_key: Token,
}

impl Login {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Whether the file can be used at all.
    pub(super) fn check(&self) -> Result<(), String> {
        self.bearer().map(drop)
    }

    /// The value of the `authorization` header of one call.
    pub(super) fn bearer(&self) -> Result<Zeroizing<String>, String> {
        let unusable = |why: &str| format!("credential file `{}` {why}", self.file.display());
        let text = credential_file::whole(&self.file)?;
        let account: Account = serde_json::from_str(&text).map_err(|_| {
            unusable("is no service account's key: write what `gcloud iam service-accounts keys create` wrote")
        })?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(account.private_key.expose().as_bytes());
        let key = key.ok().and_then(|der| RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok());
        let key = key.ok_or_else(|| unusable("holds no RSA key in `private_key` (PKCS#8 in PEM)"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(&json!({ "alg": "RS256", "typ": "JWT", "kid": account.private_key_id }));
        let claims = part(&json!({
            "iss": account.client_email, "sub": account.client_email, "aud": AUDIENCE, "iat": now.saturating_sub(SKEW_S), "exp": now + LIFE_S,
        }));
        let signed = format!("{head}.{claims}");
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| unusable("holds a key that does not sign"))?;
        Ok(Zeroizing::new(format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(&signature))))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_is_no_service_account_is_named_and_never_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("region.json");
        let why = |text: &str, mode: u32| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            Login::new(file.clone()).check().unwrap_err()
        };
        assert!(why("hunter2", 0o600).contains("no service account's key"));
        let pemless = r#"{"client_email":"a","private_key_id":"1","private_key":"hunter2"}"#;
        assert!(why(pemless, 0o600).contains("no RSA key"));
        assert!(!why(pemless, 0o600).contains("hunter2"));
        assert!(why(pemless, 0o644).contains("chmod 600"));
    }
}
