//! The text of a rule, cut into tokens. Every slice is taken at a character's border, so no text can panic it.

use super::{Position, RuleError};

/// What a rule is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Name(&'t str),
    Text(String),
    Open,
    Close,
    Comma,
    And,
    Or,
    Not,
    /// A character that begins nothing.
    Other(char),
    End,
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Text(text) => write!(f, "the text `{text}`"),
            Self::Open => f.write_str("("),
            Self::Close => f.write_str(")"),
            Self::Comma => f.write_str("a comma"),
            Self::And => f.write_str("&&"),
            Self::Or => f.write_str("||"),
            Self::Not => f.write_str("!"),
            Self::Other('&') => f.write_str("a single &; and is &&"),
            Self::Other('|') => f.write_str("a single |; or is ||"),
            Self::Other(c) => write!(f, "{c:?}"),
            Self::End => f.write_str("the end"),
        }
    }
}

/// Where reading stands.
pub(super) struct Tokens<'t> {
    text: &'t str,
    rest: &'t str,
    /// Bytes whose characters are counted, and how many these are.
    counted: (usize, usize),
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, rest: text, counted: (0, 0) }
    }

    /// The next token and where it begins.
    pub(super) fn next(&mut self) -> Result<(Position, Token<'t>), RuleError> {
        self.rest = self.rest.trim_start();
        let at = self.position();
        let Some(first) = self.rest.chars().next() else { return Ok((at, Token::End)) };
        let token = match first {
            '`' => Token::Text(self.raw(at)?),
            '"' => Token::Text(self.quoted(at)?),
            c if c.is_ascii_alphabetic() || c == '_' => Token::Name(self.name()),
            _ => self.sign(first),
        };
        Ok((at, token))
    }

    fn position(&mut self) -> Position {
        let read = self.text.len() - self.rest.len();
        let (bytes, characters) = self.counted;
        let more = self.text.get(bytes..read).map_or(0, |more| more.chars().count());
        self.counted = (read, characters + more);
        Position(characters + more + 1)
    }

    fn sign(&mut self, first: char) -> Token<'t> {
        for (sign, token) in [
            ("&&", Token::And),
            ("||", Token::Or),
            ("!", Token::Not),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
        ] {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                self.rest = rest;
                return token;
            }
        }
        self.skip(first);
        Token::Other(first)
    }

    fn skip(&mut self, c: char) {
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
    }

    fn name(&mut self) -> &'t str {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name
    }

    /// Up to the next back-tick. Carriage returns are left out, as in Go.
    fn raw(&mut self, at: Position) -> Result<String, RuleError> {
        let inner = self.rest.strip_prefix('`').unwrap_or_default();
        let (text, rest) =
            inner.split_once('`').ok_or(RuleError::Text { at, problem: "this back-tick is never closed" })?;
        self.rest = rest;
        Ok(text.replace('\r', ""))
    }

    /// Up to the next double quote that is not escaped.
    fn quoted(&mut self, at: Position) -> Result<String, RuleError> {
        self.skip('"');
        let mut text = String::new();
        loop {
            let c = self.rest.chars().next().filter(|c| *c != '\n');
            let c = c.ok_or(RuleError::Text { at, problem: "this double quote is never closed" })?;
            match c {
                '"' => {
                    self.skip(c);
                    return Ok(text);
                }
                '\\' => text.push(self.escape()?),
                c => {
                    self.skip(c);
                    text.push(c);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, RuleError> {
        let at = self.position();
        self.skip('\\');
        let wrong =
            RuleError::Text { at, problem: "this is no escape; use back-ticks where \\ should stand for itself" };
        let Some(c) = self.rest.chars().next() else { return Err(wrong) };
        self.skip(c);
        Ok(match c {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' | '"' => c,
            'x' => self.digits(2, 0x7f).ok_or(wrong)?,
            'u' => self.digits(4, u32::MAX).ok_or(wrong)?,
            'U' => self.digits(8, u32::MAX).ok_or(wrong)?,
            _ => return Err(wrong),
        })
    }

    /// The character of `count` hexadecimal digits, up to `most`: a single byte above ASCII is no text.
    fn digits(&mut self, count: usize, most: u32) -> Option<char> {
        let (digits, rest) = (self.rest.get(..count)?, self.rest.get(count..)?);
        let number = digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())??;
        self.rest = rest;
        char::from_u32(number).filter(|_| number <= most)
    }
}
