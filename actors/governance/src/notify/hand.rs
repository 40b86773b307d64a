//! The hand: one attempt at one delivery, over whatever its channel speaks. It keeps no state and never waits longer than it is given.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    Pace,
    channel::{Channel, Hidden, Target},
    mail::{self, Mail, Server},
    notice::Delivery,
    post::{Roots, Url, post},
    queue::Answer,
    render,
};

/// How a secret of Standard Webhooks begins.
const SECRET_PREFIX: &str = "whsec_";

/// Tries it once.
pub(super) async fn attempt(channel: &Channel, delivery: &Delivery, source: &str, now_ms: u64, pace: Pace) -> Answer {
    let late = || Answer::Later { why: format!("no answer within {} ms", pace.attempt.as_millis()), after: None };
    tokio::time::timeout(pace.attempt, over(channel, delivery, source, now_ms, pace)).await.unwrap_or_else(|_| late())
}

async fn over(channel: &Channel, delivery: &Delivery, source: &str, now_ms: u64, pace: Pace) -> Answer {
    let notice = &delivery.notice;
    match &channel.target {
        Target::Slack { url, roots } => json(url, roots, &render::slack(notice), Vec::new).await,
        Target::Pagerduty { url, key, roots } => {
            let mut event = render::pagerduty(notice, source);
            if let Some(members) = event.as_object_mut() {
                members.insert("routing_key".to_owned(), Value::String(key.expose().to_owned()));
            }
            json(url, roots, &event, Vec::new).await
        }
        Target::Webhook { url, secret, roots } => {
            let body = render::webhook(delivery);
            let Ok(bytes) = serde_json::to_vec(&body) else { return unwritable() };
            let headers = signed(secret, &delivery.id, now_ms / 1_000, &bytes);
            json(url, roots, &body, || headers).await
        }
        Target::Smtp { host, port, tls, from, login, ca } => {
            let server = Server { host, port: *port, tls: *tls, login: login.as_ref(), ca: ca.as_deref() };
            let Some(to) = &delivery.to else {
                return Answer::Never { why: "the mail has no address".to_owned() };
            };
            let (subject, text) = (render::headline(notice), render::text(notice));
            mail::send(&server, Mail { id: &delivery.id, from, to, subject, text }, pace.attempt).await
        }
    }
}

fn unwritable() -> Answer {
    Answer::Never { why: "the body cannot be written".to_owned() }
}

async fn json(url: &Url, roots: &Roots, body: &Value, headers: impl FnOnce() -> Vec<(&'static str, String)>) -> Answer {
    let Ok(bytes) = serde_json::to_vec(body) else { return unwritable() };
    match post(url, roots, &headers(), bytes).await {
        Ok(reply) => reply.meaning(),
        Err(why) => Answer::Later { why, after: None },
    }
}

/// Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, so that a receiver knows who sent it, and when.
fn signed(secret: &Hidden, id: &str, seconds: u64, body: &[u8]) -> Vec<(&'static str, String)> {
    let timestamp = seconds.to_string();
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key(secret)));
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].into_iter().for_each(|part| context.update(part));
    let signature = STANDARD.encode(context.sign());
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", format!("v1,{signature}")),
    ]
}

/// The bytes of a secret: base64 after `whsec_`. [`Hidden::is_webhook_secret`] was asked when the channel was made.
fn key(secret: &Hidden) -> Vec<u8> {
    let text = secret.expose();
    STANDARD.decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text)).unwrap_or_default()
}

impl Hidden {
    /// Whether this is a secret of Standard Webhooks: 24 to 64 bytes in base64, after `whsec_` or without.
    pub fn is_webhook_secret(&self) -> bool {
        (24..=64).contains(&key(self).len())
    }
    /// Whether this is an integration key of PagerDuty: 32 characters.
    pub fn is_routing_key(&self) -> bool {
        self.expose().len() == 32 && self.expose().bytes().all(|b| b.is_ascii_alphanumeric())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standards_own_example() {
        // Standard Webhooks, the vector of its reference libraries.
        let secret = Hidden::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let headers = signed(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(headers[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!((headers[0].1.as_str(), headers[1].1.as_str()), ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"));
    }

    #[test]
    fn secrets_have_a_length() {
        assert!(Hidden::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_webhook_secret());
        assert!(Hidden::new("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_webhook_secret());
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64 at all, whatever it is"] {
            assert!(!Hidden::new(bad).is_webhook_secret(), "{bad}");
        }
        assert!(Hidden::new("0123456789abcdef0123456789abcdef").is_routing_key());
        assert!(!Hidden::new("0123456789abcdef").is_routing_key());
    }
}
