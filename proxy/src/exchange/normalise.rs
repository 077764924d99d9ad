//! The one place where a path is interpreted. Router, auth server and backend see the bytes that come out.
//!
//! RFC 3986 section 6.2.2: unreserved characters are decoded, other escapes are upper-cased, what cannot stand in a
//! path (`é`, `[`) is encoded as patterns are, dot segments are removed; and empty segments are collapsed, as
//! Traefik does by default. Reserved characters stay encoded, so `%2F` never becomes a separator. What two readers could
//! understand differently is refused.

use std::borrow::Cow;

use postern_config::model::path::encode_path;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum PathRefused {
    /// It does not begin with `/`.
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    BadEscape,
    /// `%00`.
    Nul,
    /// `\`, `#`, or a control character.
    BadCharacter,
    /// A dot segment that only some readers see: with `%2F`, `%5C` or `;` beside the dots.
    AmbiguousDots,
}

impl PathRefused {
    /// One sentence for logs and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAbsolute => "the path does not begin with /",
            Self::BadEscape => "invalid percent-encoding in the path",
            Self::Nul => "NUL in the path",
            Self::BadCharacter => "invalid character in the path",
            Self::AmbiguousDots => "ambiguous dot segment in the path",
        }
    }
}

/// The path in its one form; borrowed when it already was.
pub fn normalise(path: &str) -> Result<Cow<'_, str>, PathRefused> {
    if !path.starts_with('/') {
        return Err(PathRefused::NotAbsolute);
    }
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    refuse_unreadable(path)?;
    let spelled = encode_path(path);
    refuse_ambiguous_dots(&spelled)?;
    let resolved = resolve_dots(&spelled);
    Ok(if resolved == path { Cow::Borrowed(path) } else { Cow::Owned(resolved) })
}

/// Whether nothing in `path` asks for a closer look: the case of nearly every request.
fn is_plain(path: &[u8]) -> bool {
    let mut after_slash = false;
    for &byte in path {
        match byte {
            0..=0x20 | 0x7f.. | b'"' | b'#' | b'%' | b';' | b'<' | b'>' | b'['..=b'^' | b'`' | b'{'..=b'}' => {
                return false;
            }
            b'/' | b'.' if after_slash => return false,
            _ => after_slash = byte == b'/',
        }
    }
    true
}

fn refuse_unreadable(path: &str) -> Result<(), PathRefused> {
    if path.contains(|c: char| c == '\\' || c == '#' || c == ' ' || c.is_ascii_control()) {
        return Err(PathRefused::BadCharacter);
    }
    for escape in path.split('%').skip(1) {
        match escape.as_bytes() {
            [b'0', b'0', ..] => return Err(PathRefused::Nul),
            [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {}
            _ => return Err(PathRefused::BadEscape),
        }
    }
    Ok(())
}

fn refuse_ambiguous_dots(path: &str) -> Result<(), PathRefused> {
    let ambiguous = |segment: &str| {
        let has_escape = segment.contains("%2F") || segment.contains("%5C");
        let pieces = segment.replace("%2F", "/").replace("%5C", "/");
        let dots = |piece: &str| matches!(piece.split(';').next(), Some("." | ".."));
        (has_escape && pieces.split('/').any(dots)) || (segment.contains(';') && dots(segment))
    };
    if path.split('/').any(ambiguous) { Err(PathRefused::AmbiguousDots) } else { Ok(()) }
}

/// RFC 3986 section 5.2.4 with empty segments collapsed; a trailing slash, also an implied one, is kept.
fn resolve_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() || matches!(last, "" | "." | "..") {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_come_out_in_one_form() {
        for (path, want) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/a/", "/a/"),
            ("//", "/"),
            ("/%61%2e%2E/x", "/a../x"),
            ("/a/%2e%2e/b", "/b"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%3bx", "/a%3Bx"),
            ("/a;x=1/b", "/a;x=1/b"),
            ("/%7Euser", "/~user"),
            ("/%25%32%65", "/%252e"),
            ("/.well-known/x", "/.well-known/x"),
            ("/é/b", "/%C3%A9/b"),
            ("/%c3%a9/b", "/%C3%A9/b"),
            ("/a[1]/{x}|^\"<>`", "/a%5B1%5D/%7Bx%7D%7C%5E%22%3C%3E%60"),
            ("/:@!$&'()*+,=-._~", "/:@!$&'()*+,=-._~"),
            ("/...", "/..."),
        ] {
            assert_eq!(normalise(path).as_deref(), Ok(want), "{path}");
        }
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        for (path, want) in [
            ("a", PathRefused::NotAbsolute),
            ("*", PathRefused::NotAbsolute),
            ("/a%", PathRefused::BadEscape),
            ("/a%2", PathRefused::BadEscape),
            ("/a%zz", PathRefused::BadEscape),
            ("/a%+1", PathRefused::BadEscape),
            ("/a%00", PathRefused::Nul),
            ("/a\\b", PathRefused::BadCharacter),
            ("/a#b", PathRefused::BadCharacter),
            ("/a/..%2fb", PathRefused::AmbiguousDots),
            ("/a/%2e%2e%2fb", PathRefused::AmbiguousDots),
            ("/a/..%5cb", PathRefused::AmbiguousDots),
            ("/a/x%2f..%2fb", PathRefused::AmbiguousDots),
            ("/a/..;/b", PathRefused::AmbiguousDots),
            ("/a/.;x/b", PathRefused::AmbiguousDots),
        ] {
            assert_eq!(normalise(path), Err(want), "{path}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(path in "/[a-c./%;2eEfF5\\\\#é]{0,24}") {
            if let Ok(once) = normalise(&path) {
                let twice = normalise(&once);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
                prop_assert!(once.starts_with('/'));
                prop_assert!(!once.contains("//"));
                prop_assert!(!once.split('/').any(|segment| segment == "." || segment == ".."));
            }
        }
    }
}
