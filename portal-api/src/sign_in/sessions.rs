//! Who is signed in: sessions by the digest of the secret that their browser keeps. In memory alone: a restart signs everybody out.
//!
//! A session ends with its time, when it is idle, by its person's wish, by the provider's word, or where one person has too many. Whoever
//! waits on it learns of the end at once.

use std::{collections::HashMap, sync::Arc};

use governance::Vouched;
use tokio::sync::watch;

use super::{secret::Trace, token::claims::Logout};

/// Most sessions at once.
pub const SESSIONS_MAX: usize = 4_096;
/// Most sessions of one person; for one more, their oldest ends.
pub const SESSIONS_PER_SUBJECT_MAX: usize = 8;

/// A moment: Unix seconds, and milliseconds of a clock that never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) unix_s: u64,
    pub(crate) ms: u64,
}

/// Somebody who is signed in.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) vouched: Arc<Vouched>,
    /// The provider's own name for its session.
    pub(crate) sid: Option<String>,
    pub(crate) auth_time_s: u64,
    pub(crate) acr: Option<String>,
    pub(crate) amr: Vec<String>,
    /// Whether the token showed what the topology demands.
    pub(crate) mfa: bool,
    /// The end, in Unix seconds, whatever happens before.
    pub(crate) expires_s: u64,
    /// Tells the provider which of its sessions ends, at sign-out.
    pub(crate) hint: Option<String>,
}

/// A session that was found, and how one learns of its end.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) session: Arc<Session>,
    pub(crate) gone: watch::Receiver<()>,
}

#[derive(Debug)]
struct Row {
    session: Arc<Session>,
    serial: u64,
    /// On the clock that never goes back, as `expires_s` was at sign-in.
    until_ms: u64,
    seen_ms: u64,
    /// Dropped with the row.
    gone: watch::Sender<()>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Sessions {
    rows: HashMap<Trace, Row>,
    serial: u64,
    idle_ms: u64,
    most: usize,
    most_per_subject: usize,
}

/// There is no room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) usize);

impl Row {
    fn deadline_ms(&self, idle_ms: u64) -> u64 {
        self.until_ms.min(self.seen_ms.saturating_add(idle_ms))
    }
    /// By either clock: one that is set forward ends a session, one that is set back prolongs none.
    fn over(&self, idle_ms: u64, now: Now) -> bool {
        now.ms >= self.deadline_ms(idle_ms) || now.unix_s >= self.session.expires_s
    }
}

impl Sessions {
    pub(crate) fn new(idle_ms: u64, most: usize, most_per_subject: usize) -> Self {
        Self { rows: HashMap::new(), serial: 0, idle_ms, most, most_per_subject }
    }

    pub(crate) fn open(&mut self, id: Trace, session: Session, now: Now) -> Result<(), Full> {
        let idle_ms = self.idle_ms;
        self.rows.retain(|_, row| !row.over(idle_ms, now));
        let of = |row: &Row| row.session.vouched.subject == session.vouched.subject;
        let mut own: Vec<_> = self.rows.iter().filter(|(_, row)| of(row)).map(|(id, row)| (row.serial, *id)).collect();
        own.sort_unstable();
        let over = (own.len() + 1).saturating_sub(self.most_per_subject);
        for (_, oldest) in own.into_iter().take(over) {
            self.rows.remove(&oldest);
        }
        if self.rows.len() >= self.most {
            return Err(Full(self.most));
        }
        self.serial += 1;
        let left_ms = session.expires_s.saturating_sub(now.unix_s).saturating_mul(1_000);
        let (until_ms, gone) = (now.ms.saturating_add(left_ms), watch::channel(()).0);
        let row = Row { session: Arc::new(session), serial: self.serial, until_ms, seen_ms: now.ms, gone };
        self.rows.insert(id, row);
        Ok(())
    }

    /// The session of this secret, which is no longer idle then.
    pub(crate) fn seen(&mut self, id: &Trace, now: Now) -> Option<Found> {
        self.deadline_ms(id, now)?;
        let row = self.rows.get_mut(id)?;
        row.seen_ms = now.ms;
        Some(Found { session: row.session.clone(), gone: row.gone.subscribe() })
    }

    /// When the session ends if nobody asks for anything; none once it has ended.
    pub(crate) fn deadline_ms(&mut self, id: &Trace, now: Now) -> Option<u64> {
        let row = self.rows.get(id)?;
        if row.over(self.idle_ms, now) {
            self.rows.remove(id);
            return None;
        }
        Some(row.deadline_ms(self.idle_ms))
    }

    pub(crate) fn end(&mut self, id: &Trace) -> Option<Arc<Session>> {
        self.rows.remove(id).map(|row| row.session)
    }

    /// The provider says that somebody signed out there: everything that its token names must fit. How many sessions ended.
    pub(crate) fn end_all(&mut self, logout: &Logout) -> usize {
        let before = self.rows.len();
        self.rows.retain(|_, row| {
            let subject = logout.subject.as_ref().is_none_or(|subject| *subject == row.session.vouched.subject);
            let sid = logout.sid.is_none() || logout.sid == row.session.sid;
            !(subject && sid)
        });
        before.saturating_sub(self.rows.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE_MS: u64 = 1_000;

    fn at(s: u64) -> Now {
        Now { unix_s: 1_000 + s, ms: s * 1_000 }
    }

    fn sessions() -> Sessions {
        Sessions::new(IDLE_MS * 60, 3, 2)
    }

    fn of(subject: &str, sid: &str, expires_s: u64) -> Session {
        let vouched = Arc::new(Vouched { subject: subject.into(), groups: None });
        let (acr, amr, hint) = (None, vec![], None);
        Session { vouched, sid: Some(sid.into()), auth_time_s: 1, acr, amr, mfa: true, expires_s, hint }
    }

    #[test]
    fn it_ends_with_its_time_and_when_it_is_idle() {
        let mut all = sessions();
        all.open([1; 32], of("a", "s", 1_100), at(0)).unwrap();
        assert!(all.seen(&[1; 32], at(59)).is_some(), "not idle for long enough");
        assert!(all.seen(&[1; 32], at(99)).is_some(), "seen in between");
        assert!(all.seen(&[1; 32], at(100)).is_none(), "its time is over");
        assert!(all.seen(&[1; 32], at(0)).is_none(), "and it does not come back");
        all.open([2; 32], of("a", "s", 9_000), at(0)).unwrap();
        assert!(all.seen(&[2; 32], at(60)).is_none(), "idle");
    }

    #[test]
    fn a_clock_that_is_set_back_prolongs_nothing() {
        let mut all = sessions();
        all.open([1; 32], of("a", "s", 1_050), at(0)).unwrap();
        assert!(all.seen(&[1; 32], Now { unix_s: 0, ms: 49_999 }).is_some());
        assert!(all.seen(&[1; 32], Now { unix_s: 0, ms: 50_000 }).is_none());
        all.open([1; 32], of("a", "s", 1_050), at(0)).unwrap();
        assert!(all.seen(&[1; 32], Now { unix_s: 1_050, ms: 1 }).is_none(), "one that is set forward ends it");
    }

    #[test]
    fn of_one_person_the_oldest_gives_way_and_of_all_none() {
        let mut all = sessions();
        for id in 1..=3 {
            all.open([id; 32], of("a", "s", 2_000), at(u64::from(id))).unwrap();
        }
        let alive: Vec<_> = (1..=3).filter(|id| all.seen(&[*id; 32], at(4)).is_some()).collect();
        assert_eq!(alive, [2, 3]);
        all.open([4; 32], of("b", "s", 2_000), at(4)).unwrap();
        assert_eq!(all.open([5; 32], of("c", "s", 2_000), at(4)), Err(Full(3)));
        assert!(all.open([5; 32], of("c", "s", 2_000), at(70)).is_ok(), "what is over makes room");
    }

    #[test]
    fn the_provider_ends_what_it_names_and_no_more() {
        let mut all = Sessions::new(IDLE_MS * 60, 9, 9);
        let open = |all: &mut Sessions| {
            for (id, subject, sid) in [(1, "a", "s1"), (2, "a", "s2"), (3, "b", "s1")] {
                all.open([id; 32], of(subject, sid, 2_000), at(0)).unwrap();
            }
        };
        let says = |subject: Option<&str>, sid: Option<&str>| Logout {
            subject: subject.map(str::to_owned),
            sid: sid.map(str::to_owned),
            jti: "j".into(),
        };
        for (logout, ends) in [
            (says(Some("a"), None), vec![1, 2]),
            (says(None, Some("s1")), vec![1, 3]),
            (says(Some("a"), Some("s1")), vec![1]),
            (says(Some("a"), Some("s3")), vec![]),
            (says(Some("c"), Some("s1")), vec![]),
        ] {
            open(&mut all);
            let mut gone = all.seen(&[1; 32], at(1)).unwrap().gone;
            assert_eq!(all.end_all(&logout), ends.len(), "{logout:?}");
            let ended: Vec<u8> = (1..=3).filter(|id| all.seen(&[*id; 32], at(1)).is_none()).collect();
            assert_eq!(ended, ends, "{logout:?}");
            assert_eq!(gone.has_changed().is_err(), ends.contains(&1), "whoever waits learns of it");
            gone.mark_unchanged();
        }
    }
}
