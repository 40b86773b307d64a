//! What sign-in holds in memory, each part with its limit: who is signed in, who has begun, how often something was tried, and which logout
//! tokens were heard.

use super::{
    rate::Rate,
    sessions::{SESSIONS_MAX, SESSIONS_PER_SUBJECT_MAX, Sessions},
    token::{Flaw, SKEW_SECONDS_MAX, claims::LOGOUT_TOKEN_AGE_SECONDS_MAX},
    waiting::Waiting,
};

/// Steps of sign-ins a minute, of all and of one address: a sign-in has two.
pub const STEPS_A_MINUTE_MAX: u32 = 1_200;
pub const STEPS_A_MINUTE_PER_SOURCE_MAX: u32 = 60;
/// Logout tokens a minute, of all and of one address.
pub const LOGOUTS_A_MINUTE_MAX: u32 = 1_200;
pub const LOGOUTS_A_MINUTE_PER_SOURCE_MAX: u32 = 600;
/// Access tokens a minute that do not count, of all and of one address: beyond, none of it is read.
pub const BAD_TOKENS_A_MINUTE_MAX: u32 = 1_200;
pub const BAD_TOKENS_A_MINUTE_PER_SOURCE_MAX: u32 = 30;
/// Logout tokens that are remembered, so that none counts twice.
const LOGOUTS_KEPT_MAX: usize = 4_096;
pub(super) struct Held {
    pub(super) sessions: Sessions,
    pub(super) waiting: Waiting,
    pub(super) steps: Rate,
    pub(super) logouts: Rate,
    pub(super) bad_tokens: Rate,
    /// `jti` of logout tokens, with the time of each.
    heard: Vec<(String, u64)>,
}

impl Held {
    pub(super) fn new(idle_ms: u64) -> Self {
        Self {
            sessions: Sessions::new(idle_ms, SESSIONS_MAX, SESSIONS_PER_SUBJECT_MAX),
            waiting: Waiting::default(),
            steps: Rate::new(STEPS_A_MINUTE_MAX, STEPS_A_MINUTE_PER_SOURCE_MAX),
            logouts: Rate::new(LOGOUTS_A_MINUTE_MAX, LOGOUTS_A_MINUTE_PER_SOURCE_MAX),
            bad_tokens: Rate::new(BAD_TOKENS_A_MINUTE_MAX, BAD_TOKENS_A_MINUTE_PER_SOURCE_MAX),
            heard: Vec::new(),
        }
    }

    /// A logout token counts once.
    pub(super) fn hear(&mut self, jti: &str, now_s: u64) -> Result<(), Flaw> {
        // Older ones are refused for their age.
        let kept_s = LOGOUT_TOKEN_AGE_SECONDS_MAX + 2 * SKEW_SECONDS_MAX;
        self.heard.retain(|(_, since)| now_s.saturating_sub(*since) <= kept_s);
        if self.heard.iter().any(|(heard, _)| heard == jti) {
            return Err(Flaw::Replayed);
        }
        if self.heard.len() >= LOGOUTS_KEPT_MAX {
            self.heard.remove(0);
        }
        self.heard.push((jti.to_owned(), now_s));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logout_token_counts_once_while_it_could_count() {
        let mut held = Held::new(1);
        assert_eq!(held.hear("a", 1_000), Ok(()));
        assert_eq!(held.hear("a", 1_000 + LOGOUT_TOKEN_AGE_SECONDS_MAX + 2 * SKEW_SECONDS_MAX), Err(Flaw::Replayed));
        assert_eq!(held.hear("b", 1_000), Ok(()));
        assert_eq!(
            held.hear("a", 1_001 + LOGOUT_TOKEN_AGE_SECONDS_MAX + 2 * SKEW_SECONDS_MAX),
            Ok(()),
            "too old by now"
        );
        for number in 0..LOGOUTS_KEPT_MAX + 5 {
            held.hear(&format!("x{number}"), 2_000).unwrap();
            assert!(held.heard.len() <= LOGOUTS_KEPT_MAX);
        }
    }
}
