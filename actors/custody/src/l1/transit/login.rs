//! Whose call it is: a token that somebody else keeps fresh in a file, or an AppRole that signs in here.
//!
//! The file is read at each use (token) or at each sign-in (AppRole), so a credential that is replaced counts without a restart.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::classify::words;
use crate::l1::{
    Fault, credential_file,
    https::{Body, Https, Question},
    sign_in::{Fresh, NoToken, Tokens},
    soft_wire::Token,
};

/// Where an AppRole signs in, unless the file says otherwise.
const AUTH_MOUNT: &str = "approle";
/// How long a token without an end is used before the AppRole signs in anew.
const ENDLESS_S: u64 = 600;
/// Begins each sentence about a sign-in that failed.
const SIGN_IN: &str = "AppRole sign-in: ";

/// The region's principal at one server.
pub(super) struct Login {
    file: PathBuf,
    namespace: Option<String>,
    tokens: Tokens,
}

/// What the file holds.
enum Credential {
    Token(Zeroizing<String>),
    AppRole { role_id: Zeroizing<String>, secret_id: Zeroizing<String>, mount: String },
}

#[derive(Serialize)]
struct SignIn {
    role_id: Token,
    secret_id: Token,
}

#[derive(Deserialize)]
struct SignedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Token,
    lease_duration: u64,
}

impl Login {
    pub(super) fn new(file: PathBuf, namespace: Option<String>) -> Self {
        Self { file, namespace, tokens: Tokens::default() }
    }

    /// Whether the file can be used at all.
    pub(super) fn check(&self) -> Result<(), String> {
        self.credential().map(drop)
    }

    /// A token to ask with: the file's own, one that is held, or one of a sign-in that all who wait share.
    pub(super) async fn token(&self, https: &Https) -> Result<Zeroizing<String>, NoToken> {
        let fresh = async {
            match self.credential().map_err(NoToken::unusable)? {
                Credential::Token(token) => Ok(Fresh { token, life: None }),
                Credential::AppRole { role_id, secret_id, mount } => {
                    self.sign_in(https, role_id, secret_id, &mount).await
                }
            }
        };
        self.tokens.or_else(fresh).await
    }

    /// Signs in anew in place of `stale`, if it can. A success proves that the server knows us now. `None`: a file's token proves nothing.
    pub(super) async fn renewed(&self, https: &Https, stale: &str) -> Option<Result<Zeroizing<String>, NoToken>> {
        if self.tokens.forget(stale).await { Some(self.token(https).await) } else { None }
    }

    /// Token, and namespace where there is one.
    pub(super) fn headers(&self, token: Zeroizing<String>) -> Vec<(&'static str, Zeroizing<String>)> {
        [("x-vault-token", token)].into_iter().chain(self.namespace()).collect()
    }

    fn namespace(&self) -> Option<(&'static str, Zeroizing<String>)> {
        self.namespace.clone().map(|name| ("x-vault-namespace", Zeroizing::new(name)))
    }

    fn credential(&self) -> Result<Credential, String> {
        let place = self.file.display();
        let names = ["token", "role_id", "secret_id", "auth_mount"];
        match credential_file::read(&self.file, names)? {
            [Some(token), None, None, None] => Ok(Credential::Token(token)),
            [None, Some(role_id), Some(secret_id), mount] => {
                let mount = mount.map_or_else(|| AUTH_MOUNT.to_owned(), |mount| mount.to_string());
                if !super::is_path(&mount) {
                    return Err(format!(
                        "credential file `{place}`: `auth_mount` is no path of a mount, such as `approle`"
                    ));
                }
                Ok(Credential::AppRole { role_id, secret_id, mount })
            }
            _ => Err(format!("credential file `{place}` must hold `role_id` and `secret_id`, or `token` alone")),
        }
    }

    async fn sign_in(
        &self,
        https: &Https,
        role_id: Zeroizing<String>,
        secret_id: Zeroizing<String>,
        mount: &str,
    ) -> Result<Fresh, NoToken> {
        let form = SignIn { role_id: Token::new(role_id.as_str()), secret_id: Token::new(secret_id.as_str()) };
        let body = Body::json(&form).map_err(|e| NoToken::unusable(format!("{SIGN_IN}{e}")))?;
        let headers = self.namespace().into_iter().collect();
        let path = format!("/v1/auth/{mount}/login");
        let question = Question { path: &path, headers, body: Some(body) };
        let said = https.ask(question).await.map_err(|why| NoToken::new(SIGN_IN, Fault::Network, &why))?;
        if said.status != 200 {
            let why = words(&said.body).unwrap_or_else(|| "an answer in another form".to_owned());
            return Err(NoToken::answered(SIGN_IN, said.status, &why));
        }
        let SignedIn { auth } = serde_json::from_slice(&said.body).map_err(|_| NoToken::in_no_answer(SIGN_IN))?;
        let life = if auth.lease_duration == 0 { ENDLESS_S } else { auth.lease_duration };
        let token = Zeroizing::new(auth.client_token.expose().to_owned());
        Ok(Fresh { token, life: Some(Duration::from_secs(life)) })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_holds_a_token_or_an_approle_and_nothing_in_between() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bao.credentials");
        let login = Login::new(file.clone(), None);
        let written = |text: &str| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            login.credential()
        };
        assert!(matches!(written("token = s.x"), Ok(Credential::Token(_))));
        let approle = written("role_id = r\nsecret_id = s\n");
        assert!(matches!(approle, Ok(Credential::AppRole { mount, .. }) if mount == "approle"));
        let elsewhere = written("role_id = r\nsecret_id = s\nauth_mount = kcm/approle\n");
        assert!(matches!(elsewhere, Ok(Credential::AppRole { mount, .. }) if mount == "kcm/approle"));
        for bad in
            ["", "role_id = hunter2", "token = hunter2\nrole_id = r\nsecret_id = s", "token = hunter2\nauth_mount = x"]
        {
            let why = written(bad).err().unwrap();
            assert!(why.contains("or `token` alone") && !why.contains("hunter2"), "{bad:?}: {why}");
        }
        let why = written("role_id = r\nsecret_id = s\nauth_mount = ../sys\n").err().unwrap();
        assert!(why.contains("no path of a mount"), "{why}");
    }
}
