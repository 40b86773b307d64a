//! Discover Versions (KMIP 1.4 §4.26).

use kmip::{
    ProtocolVersion,
    ops::{Answer, discover_versions},
};
use policy::Permitted;

use super::Turn;
use crate::refusal::Outcome;

pub(super) fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: &discover_versions::Request) -> Outcome<()> {
    let protocol_versions = common(&request.protocol_versions);
    turn.success(&Answer::DiscoverVersions(discover_versions::Answer { protocol_versions }));
    Ok(())
}

/// What both speak, best first. A client that names nothing is told everything.
fn common(offered: &[ProtocolVersion]) -> Vec<ProtocolVersion> {
    ProtocolVersion::SERVED.into_iter().filter(|version| offered.is_empty() || offered.contains(version)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_versions_best_first() {
        assert_eq!(common(&[]), ProtocolVersion::SERVED);
        let two = ProtocolVersion { major: 2, minor: 0 };
        assert_eq!(
            common(&[two, ProtocolVersion::V1_0, ProtocolVersion::V1_2]),
            [ProtocolVersion::V1_2, ProtocolVersion::V1_0]
        );
        assert!(common(&[two]).is_empty());
    }
}
