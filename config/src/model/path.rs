//! Path patterns, compared with the request path after it has been normalised once.

use std::{fmt, sync::Arc};

/// Which request paths a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// The whole path, byte by byte.
    Exact(Arc<str>),
    /// The path or anything below it, element by element: `/a` is for `/a`, `/a/` and `/a/b`, not for `/ab`.
    /// Kept without its trailing slash, so `/` is the empty text.
    Prefix(Arc<str>),
    /// Every path that begins with these characters: `/a` is for `/ab` too, and the empty text for every path.
    Start(Arc<str>),
    /// A regular expression for the whole path (anchored at both ends).
    Regex(PathRegex),
}

/// Why a text is not a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Relative paths match nothing.
    #[error("must begin with /")]
    NotAbsolute,
    /// The text can never equal a normalised path.
    #[error("can never match: {0}")]
    NeverMatches(&'static str),
    /// The regular expression does not compile, or compiles to more than 1 MiB.
    #[error("is not a usable regular expression: {0}")]
    Regex(String),
}

impl PathPattern {
    /// An exact pattern.
    pub fn exact(text: &str) -> Result<Self, PathError> {
        Ok(Self::Exact(readable(text)?.into()))
    }

    /// An element-wise prefix; trailing slashes have no meaning (Kubernetes Ingress, Gateway API `PathPrefix`).
    pub fn prefix(text: &str) -> Result<Self, PathError> {
        Ok(Self::Prefix(readable(text)?.trim_end_matches('/').into()))
    }

    /// A regular expression, anchored at both ends.
    pub fn regex(text: &str) -> Result<Self, PathError> {
        Ok(Self::Regex(PathRegex::new(text)?))
    }

    /// Whether the normalised `path` is in the set.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(text) => **text == *path,
            Self::Prefix(prefix) => {
                path.strip_prefix(&**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Start(text) => path.starts_with(&**text),
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "={text}"),
            Self::Prefix(text) => write!(f, "{text}/*"),
            Self::Start(text) => write!(f, "{text}*"),
            Self::Regex(regex) => write!(f, "~{}", regex.as_str()),
        }
    }
}

/// A compiled, anchored, size-limited regular expression; equal when its text is.
#[derive(Clone, Debug)]
pub struct PathRegex {
    text: Arc<str>,
    regex: Arc<regex::Regex>,
}

impl PathRegex {
    /// Compiles `text` as a match of the whole input, refusing what would take more than 1 MiB.
    pub fn new(text: &str) -> Result<Self, PathError> {
        // By itself first: `a)|(b` would leave the group that anchors it.
        compile(text)?;
        let regex = compile(&format!("^(?:{text})$"))?;
        Ok(Self { text: text.into(), regex: Arc::new(regex) })
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The expression as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn compile(text: &str) -> Result<regex::Regex, PathError> {
    let built = regex::RegexBuilder::new(text).size_limit(1 << 20).dfa_size_limit(1 << 20).build();
    built.map_err(|error| {
        // The library draws the expression over several lines; its last one says what is wrong.
        let text = error.to_string();
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        PathError::Regex(last.trim_start_matches("error: ").trim().to_owned())
    })
}

impl PartialEq for PathRegex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PathRegex {}

impl std::hash::Hash for PathRegex {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// `text` as requests spell it, if any of them can.
fn readable(text: &str) -> Result<String, PathError> {
    if !text.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if text.contains(['?', '#']) {
        return Err(PathError::NeverMatches("? and # end the path of a request"));
    }
    let path = encode_path(text);
    if path.contains("//") {
        return Err(PathError::NeverMatches("// is collapsed before routing"));
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(PathError::NeverMatches(". and .. segments are resolved before routing"));
    }
    for rest in path.split('%').skip(1) {
        match escaped(rest) {
            None => return Err(PathError::NeverMatches("% without two hexadecimal digits is refused before routing")),
            Some(0) => return Err(PathError::NeverMatches("%00 is refused before routing")),
            Some(_) => {}
        }
    }
    Ok(path)
}

/// `path` in the spelling in which paths are compared and sent (RFC 3986 section 6.2.2): unreserved characters stand for
/// themselves, other escapes are in upper case, and what cannot stand in a path is percent-encoded. A `%` that begins no
/// escape stays.
pub fn encode_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut pieces = path.split('%');
    encode(pieces.next().unwrap_or_default(), &mut out);
    for piece in pieces {
        let rest = match escaped(piece) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
                &piece[2..]
            }
            Some(_) => {
                out.push('%');
                out.push_str(&piece[..2].to_ascii_uppercase());
                &piece[2..]
            }
            None => {
                out.push('%');
                piece
            }
        };
        encode(rest, &mut out);
    }
    out
}

fn encode(text: &str, out: &mut String) {
    out.extend(percent_encoding::utf8_percent_encode(text, NOT_IN_PATHS));
}

/// The byte that is escaped by the first two characters of `text`.
fn escaped(text: &str) -> Option<u8> {
    let digits = text.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// RFC 3986 section 3.3, beside non-ASCII: what `pchar` and `/` leave out, `%` apart.
const NOT_IN_PATHS: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of kubernetes.io "Ingress, Examples" for pathType Prefix and Exact.
    #[test]
    fn kubernetes_path_examples() {
        for (prefix, path, want) in [
            ("/", "/anything", true),
            ("/foo", "/foo", true),
            ("/foo", "/foo/", true),
            ("/foo/", "/foo", true),
            ("/foo/", "/foo/", true),
            ("/aaa/bb", "/aaa/bbb", false),
            ("/aaa/bbb", "/aaa/bbb", true),
            ("/aaa/bbb/", "/aaa/bbb", true),
            ("/aaa/bbb", "/aaa/bbb/", true),
            ("/aaa/bbb", "/aaa/bbb/ccc", true),
            ("/aaa/bbb", "/aaa/bbbxyz", false),
        ] {
            let pattern = PathPattern::prefix(prefix).expect("a valid prefix");
            assert_eq!(pattern.matches(path), want, "{prefix} {path}");
        }
        for (exact, path, want) in
            [("/foo", "/foo", true), ("/foo", "/bar", false), ("/foo", "/foo/", false), ("/foo/", "/foo", false)]
        {
            assert_eq!(PathPattern::exact(exact).expect("a valid path").matches(path), want, "{exact} {path}");
        }
    }

    #[test]
    fn a_pattern_is_spelled_as_requests_are() {
        for (text, want) in [
            ("/caf\u{e9}", "=/caf%C3%A9"),
            ("/caf%c3%a9", "=/caf%C3%A9"),
            ("/sp ace", "=/sp%20ace"),
            ("/%61bc/%7Euser", "=/abc/~user"),
            ("/a%2fb", "=/a%2Fb"),
            ("/{id}", "=/%7Bid%7D"),
            ("/a;b=c,d!$&'()*+:@", "=/a;b=c,d!$&'()*+:@"),
        ] {
            assert_eq!(PathPattern::exact(text).expect("a valid path").to_string(), want, "{text}");
        }
        for text in ["/100%", "/a%2", "/%zz", "/%2\u{e9}", "/%00", "/%2e%2e/x", "/a/%2E"] {
            assert!(matches!(PathPattern::prefix(text), Err(PathError::NeverMatches(_))), "{text}");
        }
    }

    #[test]
    fn a_regex_is_for_the_whole_path() {
        let pattern = PathPattern::regex("/v[0-9]+/.*").expect("a valid expression");
        assert!(pattern.matches("/v1/x"));
        assert!(!pattern.matches("/a/v1/x"));
    }

    #[test]
    fn a_regex_cannot_leave_its_anchors() {
        assert!(matches!(PathPattern::regex("/a)|(/b"), Err(PathError::Regex(_))));
        let pattern = PathPattern::regex("/a|/b").expect("a valid expression");
        assert!(!pattern.matches("/ax") && !pattern.matches("/x/b"));
    }

    #[test]
    fn a_regex_that_would_eat_memory_is_refused() {
        assert!(matches!(PathPattern::regex("(a{1000}){1000}"), Err(PathError::Regex(_))));
    }
}
