//! What the desk shows of routings and channels.

use orbital::{
    names::{Channel, Digest, TenantId},
    routing::{Occasion, Routing},
};
use serde::Serialize;

use crate::notify::Kind;

/// Who is told of what, as it is in force, and over what it could be.
#[derive(Clone, Debug, Serialize)]
pub struct RoutingView {
    pub tenant: TenantId,
    /// The ChangeRouting in force; none while the site's default hears everything.
    pub change: Option<Digest>,
    pub routing: Routing,
    /// The channels that this tenant may name.
    pub channels: Vec<ChannelView>,
    /// Every event that can be told.
    pub events: &'static [Occasion],
}

/// A way out for notices. Where it leads is the operators' secret.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelView {
    pub name: Channel,
    pub kind: Kind,
    /// It hears what no route takes.
    pub default: bool,
}
