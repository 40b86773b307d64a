//! Durations on the command line: `500ms`, `30s`, `5m`, `24h`.

use std::time::Duration;

/// Reads a duration. Every number carries its unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split).unwrap_or((text, ""));
    let bad = || format!("`{text}` is no duration: write a number and ms, s, m or h, such as 30s");
    let number: u64 = number.parse().map_err(|_| bad())?;
    let ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    ms.and_then(|ms: u64| number.checked_mul(ms)).map(Duration::from_millis).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_unit_is_refused() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("24h"), Ok(Duration::from_secs(86_400)));
        for bad in ["30", "s", "", "-1s", "1.5s", "18446744073709551615h", "1d", "5 s"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
