//! Sign-in with OpenID Connect: its shape in the file, its place in the model, and its rules.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use orbital::names::Group;

use crate::{
    build::Base,
    file::File,
    finding::{At, Code, Finding, Place},
    reader::{Table, shapes, wrong},
    units::Span,
    write::Page,
};

/// How long after they proved themselves a person is signed in, unless the file says otherwise.
pub const LOGIN_MAX_AGE_DEFAULT: Span = Span::hours(12);
/// How long a session may stay unused, unless the file says otherwise.
pub const LOGIN_IDLE_DEFAULT: Span = Span::seconds(30 * 60);
/// Longest `max_age`.
const MAX_AGE_MAX: Span = Span::hours(24);
/// Shortest `idle`.
const IDLE_MIN: Span = Span::seconds(60);
/// The path to which the provider sends browsers back.
const CALLBACK: &str = "/v1/signin/callback";
/// Longest name at the provider, in bytes (OpenID Connect Core §2).
const NAME_BYTES_MAX: usize = 255;
const SAMPLE: &str = "`samples/demo.toml` shows each field with its meaning.";

shapes! {
    LoginPart {
        required issuer: String,
        required client_id: String,
        required client_secret_file: PathBuf,
        required redirect: String,
        optional ca: PathBuf,
        optional scopes: Vec<At<String>>,
        optional groups_claim: String,
        optional groups: Table<String, Group>,
        optional mfa: MfaPart,
        optional max_age: Span,
        optional idle: Span,
        optional audience: String,
    }
    MfaPart {
        optional acr: Vec<At<String>>,
        optional amr: Vec<At<String>>,
    }
}

/// How people and programs sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The provider, exactly as it spells itself.
    pub issuer: String,
    pub client_id: String,
    pub client_secret_file: PathBuf,
    /// Governance's own callback, as browsers reach it.
    pub redirect: String,
    /// Verifies the provider; `None` only for one on this machine in plain HTTP.
    pub ca: Option<PathBuf>,
    /// Asked for beside `openid`.
    pub scopes: Vec<String>,
    pub groups: Option<LoginGroups>,
    pub mfa: Option<LoginMfa>,
    pub max_age: Span,
    pub idle: Span,
    /// What access tokens of programs are for; `None`: none is taken.
    pub audience: Option<String>,
}

/// Which groups the provider leaves a person of those that the trust root gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginGroups {
    pub claim: String,
    /// The provider's name of a group, and ours.
    pub map: BTreeMap<String, Group>,
}

/// What a token must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginMfa {
    pub acr: Vec<String>,
    pub amr: Vec<String>,
}

fn texts(list: &Option<At<Vec<At<String>>>>) -> Vec<String> {
    list.iter().flat_map(|list| &list.value).map(|one| one.value.clone()).collect()
}

/// `None` when something required is not there; the reader has said so.
pub(crate) fn build(part: &LoginPart, base: &Base<'_>) -> Option<Login> {
    let text = |field: &Option<At<String>>| field.as_ref().map(|at| at.value.clone());
    let span = |field: &Option<At<Span>>| field.as_ref().map(|at| at.value);
    let groups = part.groups.as_ref().zip(text(&part.groups_claim)).map(|(table, claim)| {
        let map = table.value.entries.iter().map(|(theirs, ours)| (theirs.value.clone(), ours.value.clone())).collect();
        LoginGroups { claim, map }
    });
    Some(Login {
        issuer: text(&part.issuer)?,
        client_id: text(&part.client_id)?,
        client_secret_file: base.path(&part.client_secret_file.as_ref()?.value),
        redirect: text(&part.redirect)?,
        ca: part.ca.as_ref().map(|ca| base.path(&ca.value)),
        scopes: texts(&part.scopes),
        groups,
        mfa: part.mfa.as_ref().map(|mfa| LoginMfa { acr: texts(&mfa.value.acr), amr: texts(&mfa.value.amr) }),
        max_age: span(&part.max_age).unwrap_or(LOGIN_MAX_AGE_DEFAULT),
        idle: span(&part.idle).unwrap_or(LOGIN_IDLE_DEFAULT),
        audience: text(&part.audience),
    })
}

pub(crate) fn write(page: &mut Page, login: &Login) {
    page.header(&["governance", "login"]);
    page.text("issuer", &login.issuer);
    page.text("client_id", &login.client_id);
    page.path("client_secret_file", &login.client_secret_file);
    page.text("redirect", &login.redirect);
    page.maybe("ca", login.ca.as_ref().map(|ca| ca.display()));
    if !login.scopes.is_empty() {
        page.list("scopes", &login.scopes);
    }
    if let Some(groups) = &login.groups {
        page.text("groups_claim", &groups.claim);
        let map: Vec<(&str, String)> =
            groups.map.iter().map(|(theirs, ours)| (theirs.as_str(), ours.to_string())).collect();
        page.inline("groups", &map);
    }
    page.text("max_age", login.max_age);
    page.text("idle", login.idle);
    page.maybe("audience", login.audience.as_ref());
    if let Some(mfa) = &login.mfa {
        page.header(&["governance", "login", "mfa"]);
        [("acr", &mfa.acr), ("amr", &mfa.amr)].into_iter().filter(|(_, list)| !list.is_empty()).for_each(
            |(name, list)| {
                page.list(name, list);
            },
        );
    }
}

/// The rules: T0102 and T0106, and T0306 for a provider without TLS.
pub(crate) fn check(file: &File, findings: &mut Vec<Finding>) {
    let Some(login) = file.governance.as_ref().and_then(|governance| governance.value.login.as_ref()) else { return };
    let part = &login.value;
    if let Some(issuer) = &part.issuer {
        check_issuer(file, issuer, &login.place, part, findings);
    }
    if let Some(redirect) = part.redirect.as_ref().filter(|redirect| !is_callback(&redirect.value)) {
        findings.push(wrong(&redirect.place, &format!("must be https://HOST{CALLBACK}, as browsers reach governance")));
    }
    if let Some(client) = part.client_id.as_ref().filter(|client| !is_visible(&client.value)) {
        findings.push(wrong(&client.place, &format!("must have at most {NAME_BYTES_MAX} visible ASCII characters")));
    }
    for scope in part.scopes.iter().flat_map(|list| &list.value).filter(|scope| !is_visible(&scope.value)) {
        findings.push(wrong(&scope.place, "must be single words, such as \"groups\""));
    }
    check_groups(part, &login.place, findings);
    if let Some(mfa) = &part.mfa
        && texts(&mfa.value.acr).is_empty()
        && texts(&mfa.value.amr).is_empty()
    {
        let help = "Name classes (`acr`) or methods (`amr`) that the provider gives for more than one factor, or leave `mfa` away.";
        findings.push(Finding::new(Code::WrongValue, "`mfa` demands nothing", help).at(&mfa.place, "has neither"));
    }
    check_times(part, findings);
}

fn check_issuer(file: &File, issuer: &At<String>, whole: &Place, part: &LoginPart, findings: &mut Vec<Finding>) {
    let text = issuer.value.as_str();
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = rest.split('/').next().unwrap_or_default();
    if !matches!(scheme, "https" | "http")
        || authority.is_empty()
        || text.contains(['?', '#', '@'])
        || !is_visible(text)
    {
        findings.push(wrong(
            &issuer.place,
            "must be the provider's URL as it spells itself, such as \"https://idp.acme.example\"",
        ));
    } else if scheme == "https" && part.ca.is_none() {
        let help = "Add `ca`: the PEM file of the CAs that verify it. /etc/ssl/certs/ca-certificates.crt holds those of a Debian system.";
        let message = "`login` lacks `ca`: nothing would verify the provider";
        findings.push(Finding::new(Code::Missing, message, help).at(whole, "incomplete"));
    } else if scheme == "http" && !(is_loopback(authority) && file.is_development()) {
        let message = format!("the provider {text} would be asked without TLS");
        let help = "Give an https issuer. Plain HTTP is for a provider on this very machine, with `development = true`, which no real deployment has.";
        findings.push(Finding::new(Code::DevelopmentOnly, message, help).at(&issuer.place, "protects nothing"));
    } else if scheme == "http"
        && let Some(ca) = &part.ca
    {
        let help = "Remove it, or give an https issuer.";
        let message = "`ca` means nothing for a provider in plain HTTP";
        findings.push(Finding::new(Code::WrongValue, message, help).at(&ca.place, "has no effect"));
    }
}

fn check_groups(part: &LoginPart, whole: &Place, findings: &mut Vec<Finding>) {
    if part.groups.is_some() != part.groups_claim.is_some() {
        let message = "`groups_claim` and `groups` belong together";
        let help =
            "Give both (the provider narrows the groups of the trust roots) or neither (the trust roots alone say).";
        findings.push(Finding::new(Code::Missing, message, help).at(whole, "has one of the two"));
    }
    if let Some(groups) = part.groups.as_ref().filter(|groups| groups.value.entries.is_empty()) {
        let help = format!("Map the provider's groups, or leave `groups` and `groups_claim` away. {SAMPLE}");
        let message = "`groups` maps nothing: nobody who signs in would be in any group";
        findings.push(Finding::new(Code::WrongValue, message, help).at(&groups.place, "is empty"));
    }
}

fn check_times(part: &LoginPart, findings: &mut Vec<Finding>) {
    let max_age = part.max_age.as_ref().map_or(LOGIN_MAX_AGE_DEFAULT, |at| at.value);
    if let Some(at) = part.max_age.as_ref().filter(|at| !(IDLE_MIN..=MAX_AGE_MAX).contains(&at.value)) {
        findings.push(wrong(&at.place, &format!("must be {IDLE_MIN} to {MAX_AGE_MAX}")));
    }
    if let Some(at) = part.idle.as_ref().filter(|at| at.value < IDLE_MIN || at.value > max_age) {
        findings.push(wrong(&at.place, &format!("must be {IDLE_MIN} to `max_age`, which is {max_age}")));
    }
}

fn is_visible(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_callback(text: &str) -> bool {
    let authority = text.strip_prefix("https://").and_then(|rest| rest.strip_suffix(CALLBACK));
    authority.is_some_and(|authority| is_visible(authority) && !authority.contains(['/', '?', '#', '@']))
}

/// A host and port that are this machine.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
