//! What tests of several crates start governance with (feature `testing`).

#![allow(clippy::unwrap_used, reason = "for tests: whatever is wrong should stop one where it stands")]

use crate::notify::{Channel, Channels, Hidden, Notifying, Roots, Target, Url};

/// One way out, to where nobody listens: what is told waits.
pub fn nowhere() -> Notifying {
    let target = Target::Webhook {
        url: Url::new("http://127.0.0.1:9/", true).unwrap(),
        secret: Hidden::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        roots: Roots::system().unwrap(),
    };
    let channel = Channel { target, tenants: [].into(), to: [].into(), default: true };
    let channels = Channels([(orbital::names::Channel::new("ops").unwrap(), channel)].into());
    Notifying { channels, links: "https://kcm.example".into(), ..Notifying::default() }
}
