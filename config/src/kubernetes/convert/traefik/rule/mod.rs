//! Traefik's rule language (v3): matchers joined by `&&`, `||`, `!` and parentheses → an expression of typed conditions.
//!
//! ```text
//! any     = all { "||" all }
//! all     = one { "&&" one }
//! one     = "!" one | "(" any ")" | NAME "(" [ TEXT { "," TEXT } ] ")"
//! TEXT    = in back-ticks, as it stands, or in double quotes with Go's escapes
//! ```
//! White space stands anywhere between. Names are spelled as Traefik takes them: `PathPrefix`, `pathprefix`,
//! `PATHPREFIX`, `Pathprefix`. Deliberately not here: what a rule without priority ranks as (its length in bytes), and
//! the second version of the language.

mod http;
mod parse;
mod spread;
mod tcp;
#[cfg(test)]
mod tests;
mod token;

use crate::model::{expression::Expression, request::Condition};

pub(super) use spread::needed;
pub use spread::{Branch, MOST_BRANCHES, spread};
pub use tcp::Condition as TcpCondition;

/// Longer rules are refused, in bytes.
pub const MOST_BYTES: usize = 64 * 1024;
/// Deeper parentheses and negations are refused.
pub const MOST_DEPTH: usize = 64;

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule<C> {
    /// Its conditions.
    pub expression: Expression<C>,
    /// Matchers that can never hold, by position and why; they stand as [`Expression::NEVER`].
    pub never: Vec<(Position, &'static str)>,
}

/// A place in the text of a rule: characters from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position(pub usize);

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "character {}", self.0)
    }
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// More than [`MOST_BYTES`].
    #[error("is longer than {MOST_BYTES} bytes")]
    TooLong,
    /// More than [`MOST_DEPTH`].
    #[error("at {0}: parentheses and negations are nested more than {MOST_DEPTH} deep")]
    TooDeep(Position),
    /// Something else should stand there.
    #[error("at {at}: {wanted} is expected, not {found}")]
    Unexpected {
        /// Where.
        at: Position,
        /// What could stand there.
        wanted: &'static str,
        /// What does.
        found: String,
    },
    /// A text without its end, or with an escape that Go does not know.
    #[error("at {at}: {problem}")]
    Text {
        /// Where.
        at: Position,
        /// What is wrong.
        problem: &'static str,
    },
    /// Nobody knows the matcher.
    #[error("at {at}: there is no matcher {name}; did you mean {nearest}?")]
    Matcher {
        /// Where.
        at: Position,
        /// As written.
        name: String,
        /// What is spelled most like it.
        nearest: &'static str,
    },
    /// The wrong number of values.
    #[error("at {at}: {name} takes {wanted}, not {found}{hint}")]
    Arity {
        /// Where.
        at: Position,
        /// The matcher.
        name: &'static str,
        /// How many.
        wanted: &'static str,
        /// How many there are.
        found: usize,
        /// What was probably meant; begins with `: ` where there is one.
        hint: String,
    },
    /// A value that the matcher does not take.
    #[error("at {at}: {name}: {problem}")]
    Value {
        /// Where.
        at: Position,
        /// The matcher.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads a rule on requests.
pub fn http(text: &str) -> Result<Rule<Condition>, RuleError> {
    parse::parse(text, http::MATCHERS)
}

/// Reads a rule on TCP connections.
pub fn tcp(text: &str) -> Result<Rule<TcpCondition>, RuleError> {
    parse::parse(text, tcp::MATCHERS)
}

/// A matcher: how it is called, and what makes a condition of its values.
struct Matcher<C: 'static> {
    /// As Traefik's documentation spells it.
    name: &'static str,
    /// How many values it takes, for messages.
    arity: &'static str,
    /// Least and most values.
    values: std::ops::RangeInclusive<usize>,
    /// What it says.
    read: fn(&[String]) -> Result<Read<C>, String>,
}

/// What a matcher comes to.
enum Read<C> {
    /// A condition.
    Is(C),
    /// It never holds, and why.
    Never(&'static str),
}

impl<C> Matcher<C> {
    /// Name, lower case, upper case, or title case, and no other mixture.
    fn is_called(&self, name: &str) -> bool {
        let title = || {
            let lower = self.name.to_ascii_lowercase();
            lower.get(..1).map(str::to_ascii_uppercase).unwrap_or_default() + lower.get(1..).unwrap_or_default()
        };
        name == self.name
            || name == self.name.to_ascii_lowercase()
            || name == self.name.to_ascii_uppercase()
            || name == title()
    }
}
