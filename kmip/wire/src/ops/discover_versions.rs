//! Discover Versions: which protocol versions both sides speak (KMIP 1.4 §4.26).

use crate::{tables::ProtocolVersion, ttlv::record};

record! {
    pub struct Request {
        /// What the client speaks, best first. Empty: it asks for everything.
        many protocol_versions: ProtocolVersion = PROTOCOL_VERSION V1_1,
    }
}

record! {
    pub struct Answer {
        /// What both speak, best first.
        many protocol_versions: ProtocolVersion = PROTOCOL_VERSION V1_1,
    }
}
