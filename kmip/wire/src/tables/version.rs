//! Protocol versions: one port serves 1.0 to 1.4, decided by each request's header (KMIP 1.4 §6.1).

use std::fmt;

/// Major and minor version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProtocolVersion {
    pub major: i32,
    pub minor: i32,
}

impl ProtocolVersion {
    pub const V1_0: Self = Self { major: 1, minor: 0 };
    pub const V1_1: Self = Self { major: 1, minor: 1 };
    pub const V1_2: Self = Self { major: 1, minor: 2 };
    pub const V1_3: Self = Self { major: 1, minor: 3 };
    pub const V1_4: Self = Self { major: 1, minor: 4 };
    /// What is served, best first, as Discover Versions lists it.
    pub const SERVED: [Self; 5] = [Self::V1_4, Self::V1_3, Self::V1_2, Self::V1_1, Self::V1_0];

    /// Whether this is one of [`Self::SERVED`]: an unknown field of such a message is an error.
    pub const fn is_served(self) -> bool {
        self.major == 1 && self.minor >= 0 && self.minor <= 4
    }

    /// Whether messages of this version can be answered: a later minor version is served as far as we know it (§11.1).
    pub const fn is_understood(self) -> bool {
        self.major == 1 && self.minor >= 0
    }

    /// Whether a message of this version may hold what came with `since`.
    pub const fn knows(self, since: Self) -> bool {
        self.minor >= since.minor
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
