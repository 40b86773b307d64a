//! What a token claims, held against what is expected. Three kinds, each told from the others: an ID token (OpenID Connect Core §3.1.3.7),
//! a logout token (Back-Channel Logout §2.6), an access token of a program (RFC 9068 §4).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Number, Value};

use super::{Flaw, SKEW_SECONDS_MAX, jws::Signed};

/// How old an ID token may be when it comes: it is fetched in the moment in which it is made.
pub(crate) const ID_TOKEN_AGE_SECONDS_MAX: u64 = 600;
/// How old a logout token may be (Back-Channel Logout §4 recommends two minutes).
pub(crate) const LOGOUT_TOKEN_AGE_SECONDS_MAX: u64 = 120;
/// Longest life of a program's access token.
pub(crate) const ACCESS_TOKEN_SECONDS_MAX: u64 = 24 * 3_600;
/// Most groups of one token that are read.
pub(crate) const GROUPS_MAX: usize = 1_024;
/// The event of a logout token.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Claims as they are written.
#[derive(Debug, Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    azp: Option<String>,
    exp: Option<Number>,
    iat: Option<Number>,
    nbf: Option<Number>,
    auth_time: Option<Number>,
    nonce: Option<String>,
    acr: Option<String>,
    amr: Option<Vec<String>>,
    sid: Option<String>,
    jti: Option<String>,
    events: Option<Map<String, Value>>,
    client_id: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// What shows that a person proved themselves by more than one means. A list that is empty demands nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mfa {
    /// One of these classes (`acr`).
    pub acr: Vec<String>,
    /// At least one of these methods (`amr`, RFC 8176).
    pub amr: Vec<String>,
}

/// What an ID token must say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'e> {
    pub(crate) issuer: &'e str,
    pub(crate) client_id: &'e str,
    pub(crate) nonce: &'e str,
    /// How long ago the person may have proved themselves.
    pub(crate) max_age_s: u64,
    pub(crate) mfa: Option<&'e Mfa>,
    /// The claim that holds groups.
    pub(crate) groups: Option<&'e str>,
}

/// A person, as an ID token proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// As [`orbital::subject`] writes it.
    pub(crate) subject: String,
    pub(crate) sid: Option<String>,
    /// As the provider calls them.
    pub(crate) groups: BTreeSet<String>,
    pub(crate) auth_time_s: u64,
    pub(crate) acr: Option<String>,
    pub(crate) amr: Vec<String>,
}

/// Whose sessions end, as a logout token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logout {
    /// As [`orbital::subject`] writes it.
    pub(crate) subject: Option<String>,
    pub(crate) sid: Option<String>,
    pub(crate) jti: String,
}

/// A program that signs in as itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// As [`orbital::subject`] writes it.
    pub(crate) subject: String,
    pub(crate) expires_s: u64,
}

/// A sign-in's ID token.
pub(crate) fn id_token(signed: &Signed, expected: &Expected<'_>, now_s: u64) -> Result<Identity, Flaw> {
    let claims = read(signed, "JWT", &[None, Some("jwt")])?;
    same("iss", claims.iss.as_deref(), expected.issuer)?;
    ours(&claims, expected.client_id)?;
    same("nonce", claims.nonce.as_deref(), expected.nonce)?;
    if claims.events.is_some() {
        return Err(Flaw::Unwanted("events"));
    }
    times(&claims, now_s, true)?;
    fresh(&claims, now_s, ID_TOKEN_AGE_SECONDS_MAX)?;
    let auth_time_s = seconds("auth_time", claims.auth_time.as_ref())?.ok_or(Flaw::Missing("auth_time"))?;
    let late = now_s > auth_time_s.saturating_add(expected.max_age_s).saturating_add(SKEW_SECONDS_MAX);
    if late || auth_time_s > now_s.saturating_add(SKEW_SECONDS_MAX) {
        return Err(Flaw::Time { claim: "auth_time", found: auth_time_s, now: now_s });
    }
    let amr = claims.amr.clone().unwrap_or_default();
    strong(expected.mfa, claims.acr.as_deref(), &amr)?;
    Ok(Identity {
        subject: orbital::subject::of_person(expected.issuer, claims.sub.as_deref().ok_or(Flaw::Missing("sub"))?)?,
        sid: claims.sid,
        groups: expected.groups.and_then(|claim| claims.more.get(claim)).map(groups).unwrap_or_default(),
        auth_time_s,
        acr: claims.acr,
        amr,
    })
}

/// The provider's word that somebody signed out.
pub(crate) fn logout_token(signed: &Signed, issuer: &str, client_id: &str, now_s: u64) -> Result<Logout, Flaw> {
    // Typed by newer providers only; `events` and no `nonce` tell it from an ID token.
    let claims = read(signed, "logout+jwt", &[None, Some("jwt"), Some("logout+jwt")])?;
    same("iss", claims.iss.as_deref(), issuer)?;
    ours(&claims, client_id)?;
    if claims.nonce.is_some() {
        return Err(Flaw::Unwanted("nonce"));
    }
    let event = claims.events.as_ref().ok_or(Flaw::Missing("events"))?.get(LOGOUT_EVENT);
    if !event.is_some_and(Value::is_object) {
        return Err(Flaw::Other("events"));
    }
    times(&claims, now_s, false)?;
    fresh(&claims, now_s, LOGOUT_TOKEN_AGE_SECONDS_MAX)?;
    let subject = claims.sub.map(|sub| orbital::subject::of_person(issuer, &sub)).transpose()?;
    if subject.is_none() && claims.sid.is_none() {
        return Err(Flaw::Missing("sub"));
    }
    Ok(Logout { subject, sid: claims.sid, jti: claims.jti.ok_or(Flaw::Missing("jti"))? })
}

/// A program's access token. One that some program got for a person is refused: nothing in it shows how the person signed in.
pub(crate) fn access_token(signed: &Signed, issuer: &str, audience: &str, now_s: u64) -> Result<Program, Flaw> {
    let claims = read(signed, "at+jwt", &[Some("at+jwt")])?;
    same("iss", claims.iss.as_deref(), issuer)?;
    let for_us = |aud: &Audience| aud.all().iter().any(|one| one == audience);
    match &claims.aud {
        None => return Err(Flaw::Missing("aud")),
        Some(aud) if !for_us(aud) => return Err(Flaw::Other("aud")),
        Some(_) => {}
    }
    times(&claims, now_s, true)?;
    let issued = seconds("iat", claims.iat.as_ref())?.ok_or(Flaw::Missing("iat"))?;
    let expires_s = seconds("exp", claims.exp.as_ref())?.ok_or(Flaw::Missing("exp"))?;
    if expires_s.saturating_sub(issued) > ACCESS_TOKEN_SECONDS_MAX {
        return Err(Flaw::Time { claim: "exp", found: expires_s, now: now_s });
    }
    if claims.jti.is_none() {
        return Err(Flaw::Missing("jti"));
    }
    let client_id = claims.client_id.as_deref().ok_or(Flaw::Missing("client_id"))?;
    same("sub", claims.sub.as_deref(), client_id)?;
    Ok(Program { subject: orbital::subject::of_program(issuer, client_id)?, expires_s })
}

fn read(signed: &Signed, wanted: &'static str, types: &[Option<&str>]) -> Result<Claims, Flaw> {
    let (payload, typ) = signed.parts();
    // A media type, with or without its `application/` (RFC 7515 §4.1.9).
    let short =
        typ.map(|typ| typ.to_ascii_lowercase()).map(|typ| typ.strip_prefix("application/").unwrap_or(&typ).to_owned());
    if !types.contains(&short.as_deref()) {
        return Err(Flaw::Type { found: typ.unwrap_or("none").chars().take(32).collect(), wanted });
    }
    serde_json::from_slice(payload).map_err(|why| Flaw::Unreadable { part: "claims", why: why.to_string() })
}

fn same(claim: &'static str, found: Option<&str>, wanted: &str) -> Result<(), Flaw> {
    match found {
        None => Err(Flaw::Missing(claim)),
        Some(found) if found != wanted => Err(Flaw::Other(claim)),
        Some(_) => Ok(()),
    }
}

/// For this client and nobody else (OpenID Connect Core §3.1.3.7, 3 to 5): another audience is none that we trust.
fn ours(claims: &Claims, client_id: &str) -> Result<(), Flaw> {
    let audience = claims.aud.as_ref().ok_or(Flaw::Missing("aud"))?;
    if audience.all().is_empty() || audience.all().iter().any(|one| one != client_id) {
        return Err(Flaw::Other("aud"));
    }
    if claims.azp.as_deref().is_some_and(|azp| azp != client_id) { Err(Flaw::Other("azp")) } else { Ok(()) }
}

/// `exp`, `nbf` and `iat` as far as they concern every token.
fn times(claims: &Claims, now_s: u64, must_end: bool) -> Result<(), Flaw> {
    let out = |claim, found| Err(Flaw::Time { claim, found, now: now_s });
    match seconds("exp", claims.exp.as_ref())? {
        None if must_end => return Err(Flaw::Missing("exp")),
        Some(exp) if now_s >= exp.saturating_add(SKEW_SECONDS_MAX) => return out("exp", exp),
        _ => {}
    }
    for (claim, number) in [("nbf", &claims.nbf), ("iat", &claims.iat)] {
        if let Some(from) = seconds(claim, number.as_ref())?
            && from > now_s.saturating_add(SKEW_SECONDS_MAX)
        {
            return out(claim, from);
        }
    }
    Ok(())
}

/// Made not longer ago than this.
fn fresh(claims: &Claims, now_s: u64, age_max_s: u64) -> Result<(), Flaw> {
    let issued = seconds("iat", claims.iat.as_ref())?.ok_or(Flaw::Missing("iat"))?;
    if now_s > issued.saturating_add(age_max_s).saturating_add(SKEW_SECONDS_MAX) {
        return Err(Flaw::Time { claim: "iat", found: issued, now: now_s });
    }
    Ok(())
}

/// A NumericDate (RFC 7519 §2): seconds, which may have a fraction.
fn seconds(claim: &'static str, number: Option<&Number>) -> Result<Option<u64>, Flaw> {
    let Some(number) = number else { return Ok(None) };
    let whole = number.to_string().split('.').next().and_then(|whole| whole.parse::<u64>().ok());
    whole.map(Some).ok_or(Flaw::Other(claim))
}

/// Asking for it is not enough: some providers answer with less.
fn strong(mfa: Option<&Mfa>, acr: Option<&str>, amr: &[String]) -> Result<(), Flaw> {
    let Some(mfa) = mfa else { return Ok(()) };
    if !mfa.acr.is_empty() && !acr.is_some_and(|acr| mfa.acr.iter().any(|one| one == acr)) {
        return Err(Flaw::Weak("acr"));
    }
    if !mfa.amr.is_empty() && !amr.iter().any(|method| mfa.amr.contains(method)) {
        return Err(Flaw::Weak("amr"));
    }
    Ok(())
}

/// A list of texts, or one. Whatever else stands there is no group.
fn groups(value: &Value) -> BTreeSet<String> {
    let one = |value: &Value| value.as_str().map(str::to_owned);
    match value {
        Value::Array(all) => all.iter().take(GROUPS_MAX).filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}
