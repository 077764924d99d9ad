//! Host patterns: which host names a listener, a route or a certificate answers for.
//!
//! Two kinds of wildcard exist in this field and differ in depth: an Ingress wildcard stands for exactly one label
//! (Kubernetes Ingress, "Hostname wildcards"), a Gateway API wildcard for one or more (Gateway API `Hostname`).

use std::{cmp::Ordering, fmt, sync::Arc};

/// A set of host names. Text is lower-case ASCII without a trailing dot and without a port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host alone.
    Exact(Arc<str>),
    /// One label in front of the suffix (`*.example.com` of an Ingress or a certificate). Holds `example.com`.
    OneLabel(Arc<str>),
    /// One or more labels in front of the suffix (`*.example.com` of the Gateway API). Holds `example.com`.
    Subdomains(Arc<str>),
    /// Every host, also a request that names none.
    Any,
}

/// How deep a leading `*.` reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WildcardDepth {
    /// Exactly one label: Ingress and certificates.
    One,
    /// One label or more: Gateway API.
    Many,
}

/// Why a text is not a host pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The text is an IP address; the formats that we read forbid it.
    #[error("is an IP address; a host name is wanted")]
    IpAddress,
    /// The text breaks RFC 1123 (labels of letters, digits and inner hyphens, at most 63 long, 253 in all).
    #[error("is not a host name: {0}")]
    Malformed(&'static str),
}

impl HostPattern {
    /// Parses `example.com` or `*.example.com`; the empty text is [`HostPattern::Any`].
    pub fn parse(text: &str, depth: WildcardDepth) -> Result<Self, HostError> {
        if text.is_empty() || text == "*" {
            return Ok(Self::Any);
        }
        let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (wild, name) = match lower.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, lower.as_str()),
        };
        if lower.parse::<std::net::IpAddr>().is_ok() {
            return Err(HostError::IpAddress);
        }
        check_name(name)?;
        let name: Arc<str> = name.into();
        Ok(match (wild, depth) {
            (false, _) => Self::Exact(name),
            (true, WildcardDepth::One) => Self::OneLabel(name),
            (true, WildcardDepth::Many) => Self::Subdomains(name),
        })
    }

    /// Whether `host` (lower-case, no port, no trailing dot) is in the set.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::OneLabel(suffix) => parent(host) == Some(suffix),
            Self::Subdomains(suffix) => strictly_below(host, suffix),
            Self::Any => true,
        }
    }

    /// The hosts that are in both sets, as one pattern; `None` when there are none.
    ///
    /// This is Gateway API hostname intersection extended to one-label wildcards.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, x) | (x, Self::Any) => Some(x.clone()),
            (Self::Exact(name), pattern) | (pattern, Self::Exact(name)) => {
                pattern.matches(name).then(|| Self::Exact(name.clone()))
            }
            (Self::OneLabel(a), Self::OneLabel(b)) => (a == b).then(|| self.clone()),
            (Self::Subdomains(a), Self::Subdomains(b)) => {
                if a == b || strictly_below(a, b) {
                    Some(self.clone())
                } else if strictly_below(b, a) {
                    Some(other.clone())
                } else {
                    None
                }
            }
            (one @ Self::OneLabel(a), Self::Subdomains(b)) | (Self::Subdomains(b), one @ Self::OneLabel(a)) => {
                (a == b || strictly_below(a, b)).then(|| one.clone())
            }
        }
    }

    /// Whether every host of `other` is in this set too.
    pub fn contains(&self, other: &Self) -> bool {
        self.intersect(other).as_ref() == Some(other)
    }

    fn rank(&self) -> (u8, usize, u8) {
        match self {
            Self::Exact(name) => (0, usize::MAX - name.len(), 0),
            Self::OneLabel(suffix) => (1, usize::MAX - suffix.len(), 0),
            Self::Subdomains(suffix) => (1, usize::MAX - suffix.len(), 1),
            Self::Any => (2, 0, 0),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::OneLabel(text) | Self::Subdomains(text) => text,
            Self::Any => "",
        }
    }
}

/// The most specific pattern is the least: exact, then wildcards by length of suffix, then any.
impl Ord for HostPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| self.text().cmp(other.text()))
    }
}

impl PartialOrd for HostPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::OneLabel(suffix) => write!(f, "*.{suffix}"),
            Self::Subdomains(suffix) => write!(f, "**.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl fmt::Debug for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is left of `host` after its first label; `None` for a single label.
pub fn parent(host: &str) -> Option<&str> {
    host.split_once('.').map(|(_, rest)| rest)
}

fn strictly_below(host: &str, suffix: &str) -> bool {
    host.len() > suffix.len() + 1
        && host.ends_with(suffix)
        && host.as_bytes().get(host.len() - suffix.len() - 1) == Some(&b'.')
}

fn check_name(name: &str) -> Result<(), HostError> {
    if name.is_empty() || name.len() > 253 {
        return Err(HostError::Malformed("its length must be 1 to 253"));
    }
    for label in name.split('.') {
        let bytes = label.as_bytes();
        if bytes.is_empty() || bytes.len() > 63 {
            return Err(HostError::Malformed("the length of each label must be 1 to 63"));
        }
        if !bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-') {
            return Err(HostError::Malformed(
                "labels may hold letters, digits and hyphens; a wildcard is the whole first label",
            ));
        }
        if bytes.first() == Some(&b'-') || bytes.last() == Some(&b'-') {
            return Err(HostError::Malformed("a label may not begin or end with a hyphen"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(text: &str) -> HostPattern {
        HostPattern::parse(text, WildcardDepth::Many).expect("a valid pattern")
    }

    fn one(text: &str) -> HostPattern {
        HostPattern::parse(text, WildcardDepth::One).expect("a valid pattern")
    }

    #[test]
    fn an_ingress_wildcard_stands_for_exactly_one_label() {
        assert!(one("*.foo.com").matches("bar.foo.com"));
        assert!(!one("*.foo.com").matches("baz.bar.foo.com"));
        assert!(!one("*.foo.com").matches("foo.com"));
    }

    #[test]
    fn a_gateway_wildcard_stands_for_one_or_more_labels() {
        assert!(many("*.foo.com").matches("bar.foo.com"));
        assert!(many("*.foo.com").matches("baz.bar.foo.com"));
        assert!(!many("*.foo.com").matches("foo.com"));
        assert!(!many("*.foo.com").matches("barfoo.com"));
    }

    #[test]
    fn intersection_is_the_narrower_pattern() {
        assert_eq!(many("*.example.com").intersect(&many("a.example.com")), Some(many("a.example.com")));
        assert_eq!(many("*.example.com").intersect(&many("*.b.example.com")), Some(many("*.b.example.com")));
        assert_eq!(many("*.example.com").intersect(&many("example.com")), None);
        assert_eq!(HostPattern::Any.intersect(&many("*.x.org")), Some(many("*.x.org")));
        assert_eq!(many("*.a.com").intersect(&many("*.b.com")), None);
    }

    #[test]
    fn more_specific_patterns_sort_first() {
        let mut patterns = [HostPattern::Any, many("*.com"), many("*.a.com"), many("x.a.com")];
        patterns.sort();
        assert_eq!(patterns, [many("x.a.com"), many("*.a.com"), many("*.com"), HostPattern::Any]);
    }

    #[test]
    fn text_that_is_no_host_name_is_refused() {
        for text in ["10.0.0.1", "::1", "a..b", "-a.com", "a_b.com", "a.*.com", "*a.com", "*.", "a b", "ä.com"] {
            assert!(HostPattern::parse(text, WildcardDepth::Many).is_err(), "{text}");
        }
    }
}
