//! The session that a request rides on: who it is, what a request that writes must bring, and its end.

use std::time::Duration;

use form_urlencoded::Serializer;
use http::HeaderValue;

use super::{
    SignIn, cookie,
    secret::{self, Trace},
    sessions::{Found, Session},
};

/// A session of the caller.
#[derive(Clone)]
pub(crate) struct SignedIn {
    of: SignIn,
    id: Trace,
    found: Found,
    csrf: String,
}

impl SignedIn {
    /// `secret` is what the browser brought.
    pub(super) fn new(of: &SignIn, id: Trace, found: Found, secret: &str) -> Self {
        Self { of: of.clone(), id, found, csrf: secret::csrf(secret) }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.found.session
    }

    /// What a request that writes must bring along.
    pub(crate) fn csrf(&self) -> &str {
        &self.csrf
    }

    pub(crate) fn brings(&self, csrf: Option<&HeaderValue>) -> bool {
        csrf.is_some_and(|csrf| secret::same(csrf.as_bytes(), self.csrf.as_bytes()))
    }

    /// Signs out: where the browser may go to sign out at the provider, too, and the cookie that takes ours away.
    pub(crate) async fn end(&self) -> (Option<String>, Option<HeaderValue>) {
        let SignIn(inner) = &self.of;
        self.of.held().sessions.end(&self.id);
        let at = match inner.provider.metadata(self.of.now().ms).await {
            Ok(metadata) => metadata.end_session.clone(),
            // Ours has ended all the same.
            Err(_) => None,
        };
        let to = at.map(|at| {
            let mut query = Serializer::new(String::new());
            query.append_pair("client_id", &inner.login.client_id);
            if let Some(hint) = &self.found.session.hint {
                query.append_pair("id_token_hint", hint);
            }
            format!("{at}{}{}", if at.contains('?') { '&' } else { '?' }, query.finish())
        });
        (to, cookie::set(cookie::SESSION, "", 0))
    }

    /// Until the session has ended, whatever ended it.
    pub(crate) async fn over(mut self) {
        loop {
            let now = self.of.now();
            let Some(deadline_ms) = self.of.held().sessions.deadline_ms(&self.id, now) else { return };
            let left = Duration::from_millis(deadline_ms.saturating_sub(now.ms));
            tokio::select! {
                changed = self.found.gone.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(left) => {}
            }
        }
    }
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignedIn({})", self.session().vouched.subject)
    }
}
