//! Whose call it is: a service account, whose key signs a short-lived token for each call.
//!
//! No token is fetched anywhere: Google's APIs take one that the service account's own key has signed (Google Cloud documentation,
//! "Authenticate with a self-signed JWT"). The file is read at each call, so a key that is replaced counts without a restart.

use std::path::PathBuf;

use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::l1::{
    credential_file,
    jwt::{rsa_key, signed, span},
    soft_wire::Token,
};

/// Whom the token is for, whatever the address.
const AUDIENCE: &str = "https://cloudkms.googleapis.com/";

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
        let key = rsa_key(account.private_key.expose().as_bytes())
            .ok_or_else(|| unusable("holds no RSA key in `private_key` (PKCS#8 in PEM)"))?;
        let (from, until) = span();
        let head = json!({ "alg": "RS256", "typ": "JWT", "kid": account.private_key_id });
        let who = &account.client_email;
        let claims = json!({ "iss": who, "sub": who, "aud": AUDIENCE, "iat": from, "exp": until });
        let token = signed(&key, &RSA_PKCS1_SHA256, &head, &claims);
        let token = token.ok_or_else(|| unusable("holds a key that does not sign"))?;
        Ok(Zeroizing::new(format!("Bearer {}", *token)))
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
