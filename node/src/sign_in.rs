//! From what the topology says about sign-in to what the portal takes: the files are read here.

use std::{fs, path::Path, sync::Arc};

use portal_api::sign_in::{ClientSecret, Login, Mfa, SignIn};

use crate::{fault::RunError, keyfiles};

/// Reads the secret and the CA. The provider itself is asked when the first person comes: governance starts without it.
pub(crate) fn sign_in(part: &topology::Login) -> Result<SignIn, RunError> {
    let read = |path: &Path| fs::read(path).map_err(|why| RunError::Unreadable { path: path.to_owned(), why });
    let secret = ClientSecret::new(&keyfiles::read_line(&part.client_secret_file)?);
    let login = Login {
        issuer: part.issuer.clone(),
        client_id: part.client_id.clone(),
        client_secret: secret,
        redirect: part.redirect.clone(),
        scopes: part.scopes.clone(),
        groups: part.groups.as_ref().map(|groups| (groups.claim.clone(), groups.map.clone())),
        mfa: part.mfa.as_ref().map(|mfa| Mfa { acr: mfa.acr.clone(), amr: mfa.amr.clone() }),
        max_age: part.max_age.duration(),
        idle: part.idle.duration(),
        ca: part.ca.as_deref().map(read).transpose()?,
        audience: part.audience.clone(),
    };
    Ok(SignIn::new(login, Arc::new(governance::SystemClock::default()))?)
}
