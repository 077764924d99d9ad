//! Regular expressions as Go writes them (RE2 syntax), which Traefik's objects use, on the `regex` crate.
//!
//! Both engines match in linear time and differ in a few spellings, which are translated: `\d`, `\w`, `\s` and `\b`
//! are ASCII in Go; `\Q…\E` quotes; `\<` and `\>` are plain characters; brackets inside a class are plain, and
//! `&&`, `--`, `~~` are no set operators there.

use std::{borrow::Cow, fmt, sync::Arc};

/// A compiled, size-limited expression that is not anchored; equal when its text is.
#[derive(Clone)]
pub struct GoRegex {
    text: Arc<str>,
    regex: regex::Regex,
}

/// The expression does not compile, or compiles to more than 1 MiB.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a usable regular expression: {0}")]
pub struct GoRegexError(String);

impl GoRegex {
    /// Compiles `text`, refusing what would take more than 1 MiB.
    pub fn new(text: &str) -> Result<Self, GoRegexError> {
        let regex = regex::RegexBuilder::new(&translate(text))
            .size_limit(1 << 20)
            .dfa_size_limit(1 << 20)
            .build()
            .map_err(|error| GoRegexError(error.to_string()))?;
        Ok(Self { text: text.into(), regex })
    }

    /// Whether any part of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Where the leftmost match is: begin and end in bytes.
    pub fn find(&self, text: &str) -> Option<(usize, usize)> {
        self.regex.find(text).map(|found| (found.start(), found.end()))
    }

    /// `text` with every match replaced by `replacement`, in which `$1`, `$name` and `${name}` stand for groups
    /// (Go's `Regexp.ReplaceAllString`; the name after `$` is as long as possible, so `$1x` is the group `1x`).
    pub fn replace_all<'t>(&self, text: &'t str, replacement: &str) -> Cow<'t, str> {
        self.regex.replace_all(text, replacement)
    }

    /// The expression as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for GoRegex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for GoRegex {}

impl std::hash::Hash for GoRegex {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for GoRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// `text` in the spelling of the `regex` crate. What is wrong stays wrong, and is refused by the compiler.
fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut class = Class::Outside;
    while let Some(c) = rest.chars().next() {
        let tail = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match (c, class) {
            ('\\', _) => escape(tail, class, &mut out),
            ('[', Class::Outside) => open_class(tail, &mut out),
            ('[', _) => inner_bracket(tail, &mut out),
            _ => plain(c, tail, class, &mut out),
        };
        class = match (c, class) {
            ('[', Class::Outside) => Class::First,
            (']', Class::Inside) | (_, Class::Outside) => Class::Outside,
            _ => Class::Inside,
        };
    }
    out
}

/// A character that begins no longer spelling.
fn plain<'t>(c: char, tail: &'t str, class: Class, out: &mut String) -> &'t str {
    let operator = class != Class::Outside && (matches!(c, '&' | '~') || (c == '-' && tail.starts_with('-')));
    if operator || (c == ']' && class == Class::First) {
        out.push('\\');
    }
    out.push(c);
    tail
}

/// Where the translation is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Not in a class.
    Outside,
    /// Right behind `[` or `[^`, where `]` is a plain character.
    First,
    /// Further inside.
    Inside,
}

fn open_class<'t>(tail: &'t str, out: &mut String) -> &'t str {
    out.push('[');
    match tail.strip_prefix('^') {
        Some(rest) => {
            out.push('^');
            rest
        }
        None => tail,
    }
}

/// A `[` inside a class: the beginning of `[:alpha:]`, or a plain character.
fn inner_bracket<'t>(tail: &'t str, out: &mut String) -> &'t str {
    if tail.starts_with(':')
        && let Some(end) = tail.find(":]")
    {
        let (name, rest) = tail.split_at(end + 2);
        out.push('[');
        out.push_str(name);
        return rest;
    }
    out.push_str(r"\[");
    tail
}

fn escape<'t>(tail: &'t str, class: Class, out: &mut String) -> &'t str {
    let Some(c) = tail.chars().next() else {
        out.push('\\');
        return tail;
    };
    let rest = tail.get(c.len_utf8()..).unwrap_or_default();
    let inside = class != Class::Outside;
    match c {
        'd' if inside => out.push_str("0-9"),
        'w' if inside => out.push_str("0-9A-Za-z_"),
        's' if inside => out.push_str(r"\t\n\f\r "),
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str(r"[\t\n\f\r ]"),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'b' if !inside => out.push_str(r"(?-u:\b)"),
        'Q' => return quoted(rest, out),
        '<' | '>' => out.push(c),
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
    rest
}

/// What `\Q` quotes, up to `\E` or the end.
fn quoted<'t>(text: &'t str, out: &mut String) -> &'t str {
    let (plain, rest) = text.split_once(r"\E").unwrap_or((text, ""));
    out.push_str(&regex::escape(plain));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(text: &str) -> GoRegex {
        GoRegex::new(text).expect("a valid expression")
    }

    #[test]
    fn go_spellings_mean_what_they_mean_in_go() {
        for (expression, text, want) in [
            (r"^\d+$", "123", true),
            (r"^\d+$", "١٢٣", false),
            (r"^[\d.]+$", "1.2", true),
            (r"^\w+$", "é", false),
            (r"^[\w-]+$", "a-b_1", true),
            (r"^a\Q.*\Eb$", "a.*b", true),
            (r"^a\Q.*\Eb$", "axxb", false),
            (r"\<b\>", "a<b>c", true),
            (r"^[a[b]+$", "[", true),
            (r"^[]a]+$", "]a", true),
            (r"^[^]a]+$", "b", true),
            (r"^[a&&b]+$", "&", true),
            (r"^[[:alpha:]]+$", "abc", true),
            (r"^[[:alpha:]]+$", "1", false),
            (r"\bfoo\b", "a foo b", true),
            (r"^\S+$", "a b", false),
        ] {
            assert_eq!(go(expression).is_match(text), want, "{expression} on {text}");
        }
    }

    #[test]
    fn replacements_expand_groups_as_go_does() {
        for (expression, replacement, text, want) in [
            (r"^http://localhost/(.*)", "http://mydomain/$1", "http://localhost/a?b=c", "http://mydomain/a?b=c"),
            (r"^/foo/(.*)", "/bar/$1", "/foo/x", "/bar/x"),
            (r"^(?P<rest>.*)$", "${rest}!", "a", "a!"),
            (r"(a)", "$1x", "a", ""),
            (r"(a)", "${1}x", "a", "ax"),
            (r"a", "$$1", "a", "$1"),
        ] {
            assert_eq!(go(expression).replace_all(text, replacement), want, "{expression} {replacement}");
        }
    }

    #[test]
    fn expressions_that_do_not_compile_or_eat_memory_are_refused() {
        for text in ["(", "[", "a{1000}{1000}{10}", r"\", "*", r"(?=a)"] {
            assert!(GoRegex::new(text).is_err(), "{text}");
        }
    }
}
