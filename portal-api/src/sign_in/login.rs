//! What the topology says about sign-in, in the form in which it is used.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use http::Uri;
use orbital::names::Group;

pub use super::token::claims::Mfa;
use crate::error::ApiError;

/// The path to which the provider sends browsers back.
pub const CALLBACK: &str = "/v1/signin/callback";

/// A secret that nothing prints.
#[derive(Clone)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// The text of a file, without the line's end.
    pub fn new(text: &str) -> Self {
        Self(text.trim_end_matches(['\r', '\n']).to_owned())
    }
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret")
    }
}

/// How people and programs sign in at an OpenID provider.
#[derive(Clone, Debug)]
pub struct Login {
    /// Exactly as the provider spells it.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: ClientSecret,
    /// Our own address with [`CALLBACK`], as browsers reach it.
    pub redirect: String,
    /// Beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that holds groups, and what each group of the provider is called here. None: the trust roots alone say who is in what.
    pub groups: Option<(String, BTreeMap<String, Group>)>,
    /// None: one means is enough.
    pub mfa: Option<Mfa>,
    /// How long after they proved themselves a person is signed in.
    pub max_age: Duration,
    /// How long a session may stay unused.
    pub idle: Duration,
    /// PEM: verifies the provider. None only where the provider is on this machine, in plain HTTP, for development.
    pub ca: Option<Vec<u8>>,
    /// What access tokens of programs must be for. None: no such token is taken.
    pub audience: Option<String>,
}

impl Login {
    /// Scheme, host and port of our own address: what a browser sends as `Origin`.
    pub(super) fn origin(&self) -> Result<String, ApiError> {
        let bad = |why: &str| ApiError::Login { what: "redirect", why: why.to_owned() };
        let uri: Uri = self.redirect.parse().map_err(|_| bad("it is no URL"))?;
        let ours = uri.scheme_str() == Some("https") && uri.path_and_query().is_some_and(|path| path == CALLBACK);
        let authority = uri.authority().filter(|_| ours);
        let authority = authority.ok_or_else(|| bad("it must be https://HOST/v1/signin/callback"))?;
        let authority = authority.as_str().to_ascii_lowercase();
        Ok(format!("https://{}", authority.strip_suffix(":443").unwrap_or(&authority)))
    }

    /// Groups of the provider, as they are called here. What the map does not name is none of ours.
    pub(super) fn mapped(&self, theirs: &BTreeSet<String>) -> Option<BTreeSet<Group>> {
        let (_, map) = self.groups.as_ref()?;
        Some(theirs.iter().filter_map(|group| map.get(group)).cloned().collect())
    }
}
