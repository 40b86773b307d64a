//! How an armed stop is shown.

use std::collections::BTreeSet;

use orbital::names::{Person, Region};
use serde::Serialize;

use super::VoteView;

/// A stop that is signed in advance, and fired by one of those who signed it.
#[derive(Clone, Debug, Serialize)]
pub struct ArmedView {
    /// The last moment to fire it, Unix seconds.
    pub until: u64,
    /// When it had its quorum, Unix milliseconds.
    pub since_ms: Option<u64>,
    pub fired: Option<VoteView>,
    /// Whose fire would count now; empty unless it is armed and lacks nothing.
    pub may_fire: BTreeSet<Person>,
    /// Why its signatures do not suffice under the present trust root; none where they do, or where they are still collected.
    pub lacks: Option<String>,
    /// Regions of the present trust root that it does not name, since they entered later: they serve on when it is fired.
    pub misses: BTreeSet<Region>,
}
