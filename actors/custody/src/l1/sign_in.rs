//! Tokens that a sign-in gets: held in memory, wiped on drop, for two thirds of their life, and shared by all who wait for one.

use std::{future::Future, time::Duration};

use orbital::names::KeyRef;
use tokio::{sync::Mutex, time::Instant};
use zeroize::Zeroizing;

use super::{Fault, L1Error};

/// Longest time that a token is taken for fresh, whatever its life.
const LIFE_MAX: Duration = Duration::from_secs(3600);

/// Why there is no token.
pub(super) struct NoToken {
    fault: Fault,
    why: String,
}

impl NoToken {
    /// `sign_in` begins the sentence: whose it was.
    pub(super) fn new(sign_in: &str, fault: Fault, why: &str) -> Self {
        Self { fault, why: format!("{sign_in}{why}") }
    }

    /// A success that brought none.
    pub(super) fn in_no_answer(sign_in: &str) -> Self {
        Self::new(sign_in, Fault::Unknown, "it answered without a token")
    }

    /// What whoever asked for `key` is told.
    pub(super) fn about(self, provider: &'static str, key: &KeyRef) -> L1Error {
        L1Error::unreachable(provider, key, self.fault, self.why)
    }

    /// A credential that can't be used, before anybody was asked.
    pub(super) fn unusable(why: String) -> Self {
        Self { fault: Fault::Credential, why }
    }

    /// What a sign-in was answered instead of a token. Doubt falls on our own credential.
    pub(super) fn answered(sign_in: &str, status: u16, why: &str) -> Self {
        let fault = match status {
            429 => Fault::Throttled,
            500..=599 => Fault::Server,
            _ => Fault::Credential,
        };
        Self::new(sign_in, fault, &format!("{status} {why}"))
    }
}

/// What a sign-in gave.
pub(super) struct Fresh {
    pub(super) token: Zeroizing<String>,
    /// How long it counts from now on; `None` where somebody else keeps it, who is asked each time.
    pub(super) life: Option<Duration>,
}

/// The token of one principal.
#[derive(Default)]
pub(super) struct Tokens(Mutex<Option<Held>>);

struct Held {
    token: Zeroizing<String>,
    until: Instant,
}

impl Tokens {
    /// The token that is held, or one of a sign-in that all who wait share.
    pub(super) async fn or_else(
        &self,
        sign_in: impl Future<Output = Result<Fresh, NoToken>>,
    ) -> Result<Zeroizing<String>, NoToken> {
        let mut held = self.0.lock().await;
        if let Some(known) = held.as_ref().filter(|known| Instant::now() < known.until) {
            return Ok(known.token.clone());
        }
        let Fresh { token, life } = sign_in.await?;
        *held = life.map(|life| Held { token: token.clone(), until: Instant::now() + served_for(life) });
        Ok(token)
    }

    /// Holds `stale` no longer: the KMS knows it no more. False where none is held, so that no sign-in can bring another.
    pub(super) async fn forget(&self, stale: &str) -> bool {
        let mut held = self.0.lock().await;
        let any = held.is_some();
        // Another call may have renewed it meanwhile.
        held.take_if(|held| held.token.as_str() == stale);
        any
    }
}

fn served_for(life: Duration) -> Duration {
    life.min(LIFE_MAX) * 2 / 3
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct SignIns(AtomicUsize);

    impl SignIns {
        async fn next(&self, life: Option<u64>) -> Result<Fresh, NoToken> {
            let token = Zeroizing::new(format!("token {}", self.0.fetch_add(1, Ordering::SeqCst)));
            Ok(Fresh { token, life: life.map(Duration::from_secs) })
        }
    }

    #[test]
    fn a_token_serves_for_two_thirds_of_its_life_and_of_an_hour_at_most() {
        for (life, served) in [(90, 60), (3600, 2400), (86_400, 2400), (0, 0)] {
            assert_eq!(served_for(Duration::from_secs(life)), Duration::from_secs(served), "{life}");
        }
    }

    #[tokio::test]
    async fn a_token_is_shared_until_it_is_stale_or_somebody_else_keeps_it() {
        let (tokens, signs) = (Tokens::default(), SignIns(AtomicUsize::new(0)));
        let ask = async |life| tokens.or_else(signs.next(life)).await.ok().unwrap().to_string();
        assert_eq!((ask(Some(90)).await, ask(Some(90)).await), ("token 0".to_owned(), "token 0".to_owned()));
        assert!(tokens.forget("token 0").await);
        for expected in ["token 1", "token 2"] {
            assert_eq!(ask(Some(0)).await, expected, "it has no life");
        }
        for expected in ["token 3", "token 4"] {
            assert_eq!(ask(None).await, expected, "somebody else keeps it");
        }
    }

    #[tokio::test]
    async fn only_the_stale_token_is_forgotten() {
        let (tokens, signs) = (Tokens::default(), SignIns(AtomicUsize::new(0)));
        assert!(!tokens.forget("token 0").await, "none is held");
        let ask = async || tokens.or_else(signs.next(Some(90))).await.ok().unwrap().to_string();
        ask().await;
        assert!(tokens.forget("another").await);
        assert_eq!(ask().await, "token 0");
        assert!(tokens.forget("token 0").await);
        assert_eq!(ask().await, "token 1");
    }
}
