//! Durations as the formats that we read spell them.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form that the format asks for.
    #[error("is not a duration; write it as 10s, 1m30s or 500ms")]
    Malformed,
    /// Larger than [`Duration`] or than the format allows.
    #[error("is too large a duration")]
    TooLarge,
}

/// Parses a Gateway API duration (GEP-2257): `([0-9]{1,5}(h|m|s|ms)){1,4}`.
pub fn parse_gateway(text: &str) -> Result<Duration, DurationError> {
    parse(text, &["h", "m", "s", "ms"], false)
}

/// Parses a Go duration that is not negative (`1.5h`, `300ms`, `2us`), or bare seconds, as Traefik's objects allow.
pub fn parse_go(text: &str) -> Result<Duration, DurationError> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    parse(text, &["h", "m", "s", "ms", "us", "µs", "ns"], true)
}

fn parse(text: &str, units: &[&str], go: bool) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || (go && c == '.'))).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_len);
        if number.is_empty() || !units.contains(&unit) || (!go && number.len() > 5) {
            return Err(DurationError::Malformed);
        }
        let number: f64 = number.parse().map_err(|_| DurationError::Malformed)?;
        let seconds = number * unit_seconds(unit);
        let part = Duration::try_from_secs_f64(seconds).map_err(|_| DurationError::TooLarge)?;
        total = total.checked_add(part).ok_or(DurationError::TooLarge)?;
        rest = next;
        parts += 1;
    }
    if parts == 0 || (!go && parts > 4) {
        return Err(DurationError::Malformed);
    }
    Ok(total)
}

fn unit_seconds(unit: &str) -> f64 {
    match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        _ => 1e-9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_durations() {
        assert_eq!(parse_gateway("1h2m3s4ms"), Ok(Duration::from_millis(3_723_004)));
        assert_eq!(parse_gateway("0s"), Ok(Duration::ZERO));
        for bad in ["", "1", "1.5s", "-1s", "100000s", "1d", "1s1s1s1s1s", "s"] {
            assert!(parse_gateway(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn go_durations() {
        assert_eq!(parse_go("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_go("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_go("100us"), Ok(Duration::from_micros(100)));
        for bad in ["", "-1s", "abc", "1..2s"] {
            assert!(parse_go(bad).is_err(), "{bad}");
        }
    }
}
