//! Sets of statuses as Traefik's objects write them: `503`, `500-599`, `404,418,500-599`.

use http::StatusCode;

/// A set of statuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Vec<StatusRange>);

/// Statuses from one to another, both of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

/// The user's: a text that is no range of statuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("holds {0:?}, which is no status or range of statuses; write 503 or 500-599")]
pub struct StatusesError(String);

impl StatusRange {
    /// Reads one status or two with `-` between.
    pub fn parse(text: &str) -> Result<Self, StatusesError> {
        let wrong = || StatusesError(text.chars().take(24).collect());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let status = |text: &str| -> Option<u16> {
            let text = text.trim();
            let plain = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| text.parse().ok()).flatten().filter(|status| (100..600).contains(status))
        };
        let (first, last) = (status(first).ok_or_else(wrong)?, status(last).ok_or_else(wrong)?);
        if first > last { Err(wrong()) } else { Ok(Self { first, last }) }
    }

    /// Whether `status` is of the range.
    pub fn contains(self, status: StatusCode) -> bool {
        (self.first..=self.last).contains(&status.as_u16())
    }

    /// How many statuses it holds.
    pub fn width(self) -> u16 {
        self.last - self.first + 1
    }
}

impl Statuses {
    /// Reads texts, each of which may hold several ranges with commas between.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, StatusesError> {
        let parts = texts.iter().flat_map(|text| text.as_ref().split(','));
        parts.map(|part| StatusRange::parse(part.trim())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `status` is among them.
    pub fn contains(&self, status: StatusCode) -> bool {
        self.0.iter().any(|range| range.contains(status))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_both_ends() {
        for (texts, status, want) in [
            (&["500-501", "503-599"][..], 500, true),
            (&["500-501", "503-599"], 502, false),
            (&["500-501", "503-599"], 599, true),
            (&["404,418, 500-599"], 418, true),
            (&["503"], 503, true),
            (&["503"], 504, false),
            (&[], 500, false),
        ] {
            let statuses = Statuses::parse(texts).expect("valid ranges");
            assert_eq!(statuses.contains(StatusCode::from_u16(status).expect("a status")), want, "{texts:?} {status}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "5xx", "50", "600", "099", "+50", "599-500", "500-", "-500", "500-599-600", "500;501", ","] {
            assert!(Statuses::parse(&[text]).is_err(), "{text}");
        }
    }
}
