//! Sign-in with OpenID Connect, for people with a browser and for programs with a token (docs/sign-in.md). Machines and the command line
//! keep their client certificates.
//!
//! `token/` says what a token proves, `sessions`, `waiting` and `rate` hold what there is a limited number of; all of them are pure.
//! `provider` and `fetch` are the only way out. This file joins them: authorization code with PKCE (S256), `state` bound to the browser that
//! began, `nonce`, and the issuer in the answer (RFC 9207).
//!
//! Nothing here says who may do what. A person acts for a tenant only where its trust root knows this issuer and subject; the provider's
//! groups can only take away (`governance::Vouched`).

mod cookie;
mod denied;
mod fetch;
mod held;
mod login;
mod provider;
mod rate;
mod secret;
mod sessions;
mod signed_in;
mod token;
mod waiting;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use form_urlencoded::{Serializer, parse};
use governance::{Clock, Desk, Vouched};
use http::{HeaderMap, HeaderValue};
use orbital::names::Group;

pub use fetch::{PROVIDER_BYTES_MAX, PROVIDER_TIMEOUT_MS};
pub use held::{
    BAD_TOKENS_A_MINUTE_MAX, BAD_TOKENS_A_MINUTE_PER_SOURCE_MAX, LOGOUTS_A_MINUTE_MAX, LOGOUTS_A_MINUTE_PER_SOURCE_MAX,
    STEPS_A_MINUTE_MAX, STEPS_A_MINUTE_PER_SOURCE_MAX,
};
pub use login::{CALLBACK, ClientSecret, Login, Mfa};
pub use provider::{FAILED_MS, KEYS_AGAIN_MS, KNOWN_MS};
pub use sessions::{SESSIONS_MAX, SESSIONS_PER_SUBJECT_MAX};
pub use waiting::{WAITING_MAX, WAITING_MS, WAITING_PER_SOURCE_MAX};

pub(crate) use denied::{bad_token, cross_site, needed, not_configured};
pub(crate) use sessions::Session;
pub(crate) use signed_in::SignedIn;

use crate::{error::ApiError, problem::Problem};
use held::Held;
use provider::{Denied, Provider};
use sessions::{Full, Now};
use token::{
    Flaw,
    claims::{self, Expected},
};
use waiting::Begun;

/// Longest ID token that is kept to tell the provider, at sign-out, which of its sessions ends.
const HINT_BYTES_MAX: usize = 4 * 1024;
/// Longest path to which a browser goes after it signed in.
const BACK_BYTES_MAX: usize = 512;
/// Where it goes if it does not say.
const BACK_DEFAULT: &str = "/docs";

/// Everything about sign-in of one listener. Cheap to clone.
#[derive(Clone)]
pub struct SignIn(Arc<Inner>);

struct Inner {
    login: Arc<Login>,
    origin: String,
    provider: Provider,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
}

/// What a browser is told: where to go, and the cookies for it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) to: String,
    pub(crate) cookies: Vec<HeaderValue>,
}

/// A program with a token.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) vouched: Arc<Vouched>,
    pub(crate) expires_s: u64,
}

impl SignIn {
    /// Checks what the topology says; the provider is asked when the first person comes.
    pub fn new(login: Login, clock: Arc<dyn Clock>) -> Result<Self, ApiError> {
        orbital::subject::of_person(&login.issuer, "x")
            .map_err(|why| ApiError::Login { what: "issuer", why: why.to_string() })?;
        let login = Arc::new(login);
        let idle_ms = u64::try_from(login.idle.as_millis()).unwrap_or(u64::MAX);
        let (origin, provider) = (login.origin()?, Provider::new(login.clone())?);
        Ok(Self(Arc::new(Inner { login, origin, provider, clock, held: Mutex::new(Held::new(idle_ms)) })))
    }

    /// Scheme, host and port that browsers reach us by.
    pub(crate) fn origin(&self) -> &str {
        &self.0.origin
    }

    // Whole after every call below, so a panic elsewhere leaves nothing half done.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        Now { unix_s: self.0.clock.unix_seconds(), ms: self.0.clock.monotonic_us() / 1_000 }
    }

    /// A browser wants to sign in, and to go to a path of ours afterwards.
    pub(crate) async fn begin(&self, source: IpAddr, to: Option<&str>) -> Result<Sent, Problem> {
        let now = self.now();
        self.step(source, now)?;
        let to = to.unwrap_or(BACK_DEFAULT);
        if !is_path_of_ours(to) {
            return Err(Problem::unreadable("", &"query member to: it must be a path of this host, such as /docs"));
        }
        let metadata = self.0.provider.metadata(now.ms).await.map_err(|why| denied::unavailable(&why))?;
        let (state, browser) = (secret::fresh()?, secret::fresh()?);
        let (nonce, verifier) = (secret::fresh()?, secret::fresh()?);
        let location = self.asking(&metadata.authorization, &state, &nonce, &secret::challenge(&verifier));
        let traces = secret::trace(&state).zip(secret::trace(&browser));
        let (state, trace) = traces.ok_or_else(|| denied::failed(&"a secret of ours does not read"))?;
        let begun = Begun { browser: trace, nonce, verifier, to: to.to_owned(), source, since_ms: now.ms };
        self.held().waiting.enter(state, begun);
        let cookies = cookie::set(cookie::SIGN_IN, &browser, WAITING_MS / 1_000).into_iter().collect();
        Ok(Sent { to: location, cookies })
    }

    /// The provider's address with our question (OpenID Connect Core §3.1.2.1).
    fn asking(&self, at: &str, state: &str, nonce: &str, challenge: &str) -> String {
        let login = &self.0.login;
        let scopes = std::iter::once("openid").chain(login.scopes.iter().map(String::as_str));
        let mut query = Serializer::new(String::new());
        query.append_pair("response_type", "code").append_pair("client_id", &login.client_id);
        query.append_pair("redirect_uri", &login.redirect);
        query.append_pair("scope", &scopes.collect::<Vec<_>>().join(" "));
        query.append_pair("state", state).append_pair("nonce", nonce);
        query.append_pair("code_challenge", challenge).append_pair("code_challenge_method", "S256");
        query.append_pair("max_age", &login.max_age.as_secs().to_string());
        if let Some(mfa) = login.mfa.as_ref().filter(|mfa| !mfa.acr.is_empty()) {
            query.append_pair("acr_values", &mfa.acr.join(" "));
        }
        format!("{at}{}{}", if at.contains('?') { '&' } else { '?' }, query.finish())
    }

    /// The browser is back with the provider's answer.
    pub(crate) async fn finish(
        &self,
        source: IpAddr,
        query: &str,
        headers: &HeaderMap,
        desk: &Desk,
    ) -> Result<Sent, Problem> {
        let now = self.now();
        self.step(source, now)?;
        let begun = self.answered(query, headers, now)?;
        let (token, identity) = self.identity(query, &begun, now).await?;
        let vouched = Arc::new(Vouched { groups: self.0.login.mapped(&identity.groups), subject: identity.subject });
        // Whom no trust root knows has no session: it would show nothing and take room.
        desk.vouched(vouched.clone()).check_known()?;
        let session = Session {
            vouched,
            sid: identity.sid,
            auth_time_s: identity.auth_time_s,
            acr: identity.acr,
            amr: identity.amr,
            mfa: self.0.login.mfa.is_some(),
            expires_s: identity.auth_time_s.saturating_add(self.0.login.max_age.as_secs()),
            hint: (token.len() <= HINT_BYTES_MAX).then_some(token),
        };
        let id = secret::fresh()?;
        let seconds = session.expires_s.saturating_sub(now.unix_s);
        let trace = secret::trace(&id).ok_or_else(|| denied::failed(&"a secret of ours does not read"))?;
        {
            let mut held = self.held();
            // A new secret for each sign-in; the one before it, in this browser, is over.
            if let Some(before) = cookie::read(headers, cookie::SESSION).and_then(secret::trace) {
                held.sessions.end(&before);
            }
            tracing::info!(subject = session.vouched.subject, "portal: signed in");
            held.sessions
                .open(trace, session, now)
                .map_err(|Full(most)| denied::too_many(&format!("at most {most} sessions are open at once")))?;
        }
        let cookies = [cookie::set(cookie::SESSION, &id, seconds), cookie::set(cookie::SIGN_IN, "", 0)];
        Ok(Sent { to: begun.to, cookies: cookies.into_iter().flatten().collect() })
    }

    /// The sign-in that this answer belongs to; it has no other answer from then on.
    fn answered(&self, query: &str, headers: &HeaderMap, now: Now) -> Result<Begun, Problem> {
        let state = member(query, "state")?.as_deref().and_then(secret::trace);
        let begun = state.and_then(|state| self.held().waiting.take(&state, now.ms));
        let begun = begun.ok_or_else(|| denied::failed(&"its `state` is none that waits"))?;
        let browser = cookie::read(headers, cookie::SIGN_IN).and_then(secret::trace);
        if !browser.is_some_and(|browser| secret::same(&browser, &begun.browser)) {
            return Err(denied::failed(&"another browser began it"));
        }
        Ok(begun)
    }

    /// Who it is, and the token that proves it.
    async fn identity(&self, query: &str, begun: &Begun, now: Now) -> Result<(String, claims::Identity), Problem> {
        let (login, provider) = (&self.0.login, &self.0.provider);
        let metadata = provider.metadata(now.ms).await.map_err(|why| denied::unavailable(&why))?;
        match member(query, "iss")? {
            Some(iss) if iss != login.issuer => return Err(denied::failed(&"another issuer answered")),
            None if metadata.answers_name_issuer => return Err(denied::failed(&"the answer names no issuer")),
            _ => {}
        }
        if let Some(error) = member(query, "error")? {
            let error: String = error.chars().filter(char::is_ascii_graphic).take(64).collect();
            return Err(denied::failed(&format!("the provider says: {error}")));
        }
        let code = member(query, "code")?.ok_or_else(|| denied::failed(&"the answer has no code"))?;
        let redeemed = provider.redeem(&metadata, &code, &begun.verifier).await;
        let token = redeemed.map_err(|why| denied::failed(&why))?;
        let expected = Expected {
            issuer: &login.issuer,
            client_id: &login.client_id,
            nonce: &begun.nonce,
            max_age_s: login.max_age.as_secs(),
            mfa: login.mfa.as_ref(),
            groups: login.groups.as_ref().map(|(claim, _)| claim.as_str()),
        };
        let checked = match provider.verify(&token, now.ms).await {
            Ok(signed) => claims::id_token(&signed, &expected, self.now().unix_s).map_err(Denied::from),
            Err(why) => Err(why),
        };
        match checked {
            Ok(identity) => Ok((token, identity)),
            Err(Denied::Flawed(why @ Flaw::Weak(_))) => Err(denied::weak(&why)),
            Err(why @ Denied::Unavailable(_)) => Err(denied::unavailable(&why)),
            Err(why) => Err(denied::failed(&why)),
        }
    }

    fn step(&self, source: IpAddr, now: Now) -> Result<(), Problem> {
        if self.held().steps.attempt(seats::network(source), now.ms) {
            return Ok(());
        }
        let text = format!(
            "sign-ins have at most {STEPS_A_MINUTE_PER_SOURCE_MAX} steps a minute of one address, {STEPS_A_MINUTE_MAX} of all"
        );
        Err(denied::too_many(&text))
    }

    /// The provider says that somebody signed out there (Back-Channel Logout §2.5): how many sessions ended.
    pub(crate) async fn logged_out(&self, source: IpAddr, token: &str) -> Result<usize, Problem> {
        let now = self.now();
        if !self.held().logouts.attempt(seats::network(source), now.ms) {
            return Err(denied::too_many("logout tokens come too often"));
        }
        let login = &self.0.login;
        let signed = self.0.provider.verify(token, now.ms).await;
        let read =
            signed.and_then(|signed| Ok(claims::logout_token(&signed, &login.issuer, &login.client_id, now.unix_s)?));
        let logout = match read {
            Ok(logout) => logout,
            Err(why @ Denied::Unavailable(_)) => return Err(denied::unavailable(&why)),
            Err(why) => return Err(denied::failed(&why)),
        };
        let mut held = self.held();
        held.hear(&logout.jti, now.unix_s).map_err(|why| denied::failed(&why))?;
        let ended = held.sessions.end_all(&logout);
        tracing::info!(subject = logout.subject, ended, "portal: the identity provider ended sessions");
        Ok(ended)
    }

    /// The session whose secret the request brings.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Option<SignedIn> {
        let secret = cookie::read(headers, cookie::SESSION)?;
        let (id, now) = (secret::trace(secret)?, self.now());
        let found = self.held().sessions.seen(&id, now)?;
        Some(SignedIn::new(self, id, found, secret))
    }

    /// The program whose access token this is.
    pub(crate) async fn program(&self, source: IpAddr, token: &str) -> Result<Program, Problem> {
        let (now, source) = (self.now(), seats::network(source));
        if !self.held().bad_tokens.has_room(source, now.ms) {
            return Err(denied::too_many("too many access tokens from this address did not count"));
        }
        let login = &self.0.login;
        let read = match &login.audience {
            None => Err(Denied::from(Flaw::Missing("governance.login.audience"))),
            Some(audience) => self
                .0
                .provider
                .verify(token, now.ms)
                .await
                .and_then(|signed| Ok(claims::access_token(&signed, &login.issuer, audience, now.unix_s)?)),
        };
        match read {
            // A program's groups are those of the trust root, as with its client certificate.
            Ok(claims::Program { subject, expires_s }) => {
                Ok(Program { vouched: Arc::new(Vouched { subject, groups: None }), expires_s })
            }
            Err(why @ Denied::Unavailable(_)) => Err(denied::unavailable(&why)),
            Err(why) => {
                self.held().bad_tokens.attempt(source, now.ms);
                Err(denied::bad_token(&why))
            }
        }
    }

    /// Until a program's token is over.
    pub(crate) async fn until(&self, expires_s: u64) {
        tokio::time::sleep(Duration::from_secs(expires_s.saturating_sub(self.now().unix_s))).await;
    }
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignIn({})", self.0.login.issuer)
    }
}

/// The groups that the provider leaves somebody, for people to see.
pub(crate) fn groups(vouched: &Vouched) -> Option<Vec<Group>> {
    vouched.groups.as_ref().map(|groups| groups.iter().cloned().collect())
}

/// A member of the provider's answer; one that stands there twice says nothing (RFC 6749 §3.1).
fn member(query: &str, name: &str) -> Result<Option<String>, Problem> {
    let mut found = parse(query.as_bytes()).filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let value = found.next();
    match found.next() {
        Some(_) => Err(denied::failed(&format!("`{name}` stands twice in the answer"))),
        None => Ok(value),
    }
}

/// A path that no browser takes for another host.
fn is_path_of_ours(to: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'\\';
    to.len() <= BACK_BYTES_MAX && to.starts_with('/') && !to.starts_with("//") && to.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_goes_nowhere_else_afterwards() {
        for good in ["/", "/docs", "/v1/proposals?state=open#x"] {
            assert!(is_path_of_ours(good), "{good}");
        }
        for bad in ["", "docs", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb: c", "/a b", "/ü"]
        {
            assert!(!is_path_of_ours(bad), "{bad}");
        }
        assert!(!is_path_of_ours(&format!("/{}", "a".repeat(BACK_BYTES_MAX))));
    }

    #[test]
    fn a_member_that_stands_twice_says_nothing() {
        assert_eq!(member("state=a%20b&code=c", "state").unwrap().as_deref(), Some("a b"));
        assert_eq!(member("code=c", "state").unwrap(), None);
        assert_eq!(member("state=a&state=a", "state").unwrap_err().code, "sign-in-failed");
    }
}
