//! Notices: people are told what happens to their tenant, over the channels that the operators gave. Nothing is ever decided this way: a
//! notice says what there is and where to look, and whoever answers it by chat or mail answers nobody (DESIGN §2.17).
//!
//! The ledger and the events are the only source ([`news`] reads them); [`route`] says who hears what where, [`render`] in which words, and
//! [`queue`] when; all four are pure. The [`herald`] performs: it writes what it takes up into its journal first, so that a crash loses
//! nothing and repeats at most what had no answer. No decision ever waits for any of this, and what could not be told stands in the log.

mod ask;
mod channel;
mod hand;
mod herald;
mod journal;
mod mail;
mod news;
mod notice;
mod post;
mod queue;
mod render;
mod route;

pub use channel::{Channel, Channels, Hidden, Kind, MailTls, PAGERDUTY_URL, Target};
pub(crate) use herald::{Herald, HeraldMsg};
pub use notice::{Delivery, DeliveryFilter, DeliveryState, Notice};
pub use post::{BadTarget, Roots, Url, is_loopback};

use std::{path::PathBuf, time::Duration};

/// How notices are told.
#[derive(Clone, Default)]
pub struct Notifying {
    /// The ways out; without any nobody is told anything.
    pub channels: Channels,
    /// Where deliveries are written down; none keeps them in memory, for tests.
    pub journal: Option<PathBuf>,
    /// What a link begins with, such as `https://kcm.example:8443`.
    pub links: String,
    pub pace: Pace,
}

/// How long one attempt may take, and how long there is between two.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub attempt: Duration,
    /// Before the second attempt; it doubles with each.
    pub first: Duration,
    pub longest: Duration,
    pub attempts: u32,
}

impl Default for Pace {
    fn default() -> Self {
        // Together some 50 minutes: a receiver may be restarted meanwhile. After that it is for a person to look, and to replay.
        Self {
            attempt: Duration::from_secs(10),
            first: Duration::from_secs(1),
            longest: Duration::from_secs(600),
            attempts: 14,
        }
    }
}
