//! How a tenant's founding is shown.

use serde::Serialize;

/// How far a region is with taking a tenant.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FoundingView {
    pub state: Founded,
    /// The region's last refusal; empty otherwise.
    pub why: String,
    /// How often the tenant was brought there.
    pub tries: u32,
    /// When it was brought there first and last, Unix milliseconds.
    pub since_ms: u64,
    pub last_ms: u64,
}

/// One word of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Founded {
    /// The region has not answered.
    #[default]
    Waiting,
    /// It refused last; it is asked again.
    Refused,
    Done,
    /// The tenant ended before the region took it: it never will.
    Withdrawn,
}
