//! Limits that both planes and people rely on, in the units of the documents: a signature that one release takes, another must not refuse.

#[cfg(test)]
mod tests {
    use orbital::{
        certificate::{ARMED_DELIVERY_SECONDS, ARMED_SECONDS_MAX},
        delegation::DELEGATION_SECONDS_MAX,
        recovery::{RECOVERY_DELAY_SECONDS_MAX, RECOVERY_DELAY_SECONDS_MIN},
    };

    const HOUR: u64 = 3_600;
    const DAY: u64 = 24 * HOUR;

    #[test]
    fn the_times_of_the_documents_are_those_of_the_code() {
        for (limit, seconds, hours) in [
            ("docs/recovery.md: at least 72 h", RECOVERY_DELAY_SECONDS_MIN, 72),
            ("docs/recovery.md: at most 90 days", RECOVERY_DELAY_SECONDS_MAX, 90 * 24),
            ("docs/armed.md: fired within 400 days", ARMED_SECONDS_MAX, 400 * 24),
            ("docs/armed.md: delivered within a day more", ARMED_DELIVERY_SECONDS, 24),
            ("docs/delegation.md: at most 400 days", DELEGATION_SECONDS_MAX, 400 * 24),
        ] {
            assert_eq!((seconds / HOUR, seconds % HOUR), (hours, 0), "{limit}");
        }
        assert_eq!(DAY, 86_400);
    }
}
