//! Conditions as Traefik's `circuitBreaker` and `buffering` write them: tests of functions, joined by `&&`, `||`, `!`
//! and parentheses (`ResponseCodeRatio(500, 600, 0, 600) > 0.3 || NetworkErrorRatio() > 0.1`).
//!
//! Which functions there are and what they are compared with is the vocabulary of each; the rest is here, once.

use std::{cmp::Ordering, fmt};

use super::expression::Expression;

/// The functions of a kind of expression.
pub trait Vocabulary: Sized {
    /// The test that `call` is, or is when compared. What is wrong with it is said for users.
    fn test(call: &Call<'_>, compared: Option<Compared>) -> Result<Self, ConditionError>;
}

/// A function as it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Call<'t> {
    /// Its name.
    pub name: &'t str,
    /// What is in its parentheses.
    pub arguments: Vec<Number>,
}

/// What a function is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// How.
    pub how: Comparison,
    /// With what.
    pub with: Number,
}

/// A number as it is written: whether it has a point matters to some functions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Without a point.
    Whole(i64),
    /// With one; finite.
    Fraction(f64),
}

/// How two numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// The user's: a text that is no usable condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// Nothing, or nothing where something must follow.
    #[error("ends where a function is expected")]
    Ended,
    /// Something else stands there.
    #[error("has {found} where {wanted} is expected")]
    Unexpected {
        /// From there on, shortened.
        found: String,
        /// What could stand there.
        wanted: &'static str,
    },
    /// A number out of range.
    #[error("holds {0}, which is no number that can be compared")]
    Number(String),
    /// Longer or deeper than anybody writes.
    #[error("is longer than 4096 bytes or nested more than 32 deep")]
    TooLarge,
    /// A function that is none of the vocabulary.
    #[error("calls {name}, which is none of {known}")]
    Unknown {
        /// Its name.
        name: String,
        /// Those that there are.
        known: &'static str,
    },
    /// A function that is used in another way than it can be.
    #[error("uses {name} wrongly: write {usage}")]
    Usage {
        /// Its name.
        name: String,
        /// An example.
        usage: &'static str,
    },
}

const MOST_BYTES: usize = 4096;
const MOST_DEPTH: usize = 32;

/// Reads `text`. `&&` binds closer than `||`.
pub fn parse<T: Vocabulary>(text: &str) -> Result<Expression<T>, ConditionError> {
    if text.len() > MOST_BYTES {
        return Err(ConditionError::TooLarge);
    }
    let mut reader = Reader { rest: text.trim() };
    let expression = any(&mut reader, MOST_DEPTH)?;
    if reader.rest.is_empty() { Ok(expression) } else { Err(reader.unexpected("&& or ||")) }
}

impl Comparison {
    const SPELLINGS: [(&'static str, Self); 6] = [
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    /// Whether `left` is so to `right`.
    pub fn holds<N: PartialOrd>(self, left: N, right: N) -> bool {
        let order = left.partial_cmp(&right);
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
            Self::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spelling = Self::SPELLINGS.iter().find(|(_, comparison)| comparison == self);
        f.write_str(spelling.map_or("", |(text, _)| text))
    }
}

impl Number {
    /// As a fraction.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Fraction(number) => number,
        }
    }

    /// The number, if it was written without a point.
    pub fn whole(self) -> Option<i64> {
        match self {
            Self::Whole(number) => Some(number),
            Self::Fraction(_) => None,
        }
    }
}

impl Call<'_> {
    /// What is wrong where a function is used in another way than `usage`.
    pub fn misused(&self, usage: &'static str) -> ConditionError {
        ConditionError::Usage { name: self.name.to_owned(), usage }
    }

    /// What is wrong where a function is none of those `known`.
    pub fn unknown(&self, known: &'static str) -> ConditionError {
        ConditionError::Unknown { name: self.name.chars().take(64).collect(), known }
    }
}

/// What is left of the text, without white space before it.
struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn take(&mut self, mark: &str) -> bool {
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        taken
    }

    fn unexpected(&self, wanted: &'static str) -> ConditionError {
        if self.rest.is_empty() {
            return ConditionError::Ended;
        }
        let found: String = self.rest.chars().take(24).collect();
        ConditionError::Unexpected { found: format!("{found:?}"), wanted }
    }
}

fn any<T: Vocabulary>(reader: &mut Reader<'_>, depth: usize) -> Result<Expression<T>, ConditionError> {
    let mut inner = vec![all(reader, depth)?];
    while reader.take("||") {
        inner.push(all(reader, depth)?);
    }
    Ok(one_or(inner, Expression::Any))
}

fn all<T: Vocabulary>(reader: &mut Reader<'_>, depth: usize) -> Result<Expression<T>, ConditionError> {
    let mut inner = vec![one(reader, depth)?];
    while reader.take("&&") {
        inner.push(one(reader, depth)?);
    }
    Ok(one_or(inner, Expression::All))
}

fn one_or<T>(mut inner: Vec<Expression<T>>, join: impl Fn(Vec<Expression<T>>) -> Expression<T>) -> Expression<T> {
    match inner.pop() {
        Some(only) if inner.is_empty() => only,
        Some(last) => {
            inner.push(last);
            join(inner)
        }
        None => join(inner),
    }
}

fn one<T: Vocabulary>(reader: &mut Reader<'_>, depth: usize) -> Result<Expression<T>, ConditionError> {
    let depth = depth.checked_sub(1).ok_or(ConditionError::TooLarge)?;
    if reader.take("!") {
        return one(reader, depth).map(|inner| Expression::Not(Box::new(inner)));
    }
    if !reader.take("(") {
        let call = call(reader)?;
        let compared = compared(reader)?;
        return T::test(&call, compared).map(Expression::Is);
    }
    let inner = any(reader, depth)?;
    if reader.take(")") { Ok(inner) } else { Err(reader.unexpected("a closing parenthesis")) }
}

fn call<'t>(reader: &mut Reader<'t>) -> Result<Call<'t>, ConditionError> {
    if !reader.rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(reader.unexpected("a function"));
    }
    let name = reader.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
    if !reader.take("(") {
        return Err(reader.unexpected("an opening parenthesis"));
    }
    let mut arguments = Vec::new();
    while !reader.take(")") {
        if !arguments.is_empty() && !reader.take(",") {
            return Err(reader.unexpected("a comma or a closing parenthesis"));
        }
        arguments.push(number(reader)?);
    }
    Ok(Call { name, arguments })
}

fn compared(reader: &mut Reader<'_>) -> Result<Option<Compared>, ConditionError> {
    let found = Comparison::SPELLINGS.iter().find(|(text, _)| reader.take(text));
    let Some((_, how)) = found else { return Ok(None) };
    Ok(Some(Compared { how: *how, with: number(reader)? }))
}

fn number(reader: &mut Reader<'_>) -> Result<Number, ConditionError> {
    if !reader.rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(reader.unexpected("a number"));
    }
    let text = reader.take_while(|c| c.is_ascii_digit() || c == '.');
    let wrong = || ConditionError::Number(text.chars().take(24).collect());
    if !text.contains('.') {
        return text.parse().map(Number::Whole).map_err(|_| wrong());
    }
    let number: f64 = text.parse().map_err(|_| wrong())?;
    number.is_finite().then_some(Number::Fraction(number)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `N(n)` compared with a number holds as n does; `T()` and `F()` are what they say.
    #[derive(Clone, Debug, PartialEq)]
    struct Sample(bool);

    impl Vocabulary for Sample {
        fn test(call: &Call<'_>, compared: Option<Compared>) -> Result<Self, ConditionError> {
            match (call.name, &*call.arguments, compared) {
                ("T", [], None) => Ok(Self(true)),
                ("F", [], None) => Ok(Self(false)),
                ("N", [number], Some(compared)) => {
                    Ok(Self(compared.how.holds(number.as_f64(), compared.with.as_f64())))
                }
                ("T" | "F" | "N", ..) => Err(call.misused("T(), F() or N(1) > 0")),
                _ => Err(call.unknown("T, F, N")),
            }
        }
    }

    fn holds(text: &str) -> bool {
        let expression = parse::<Sample>(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        expression.holds(&|test| test.0)
    }

    #[test]
    fn conditions_mean_what_they_mean_in_go() {
        for (text, want) in [
            ("T()", true),
            (" F ( ) ", false),
            ("!F()", true),
            ("!!T()", true),
            ("T() || F() && F()", true),
            ("(T() || F()) && F()", false),
            ("!(T() && F())", true),
            ("N(1) == 1", true),
            ("N(1) != 1", false),
            ("N(0.5)>0.4", true),
            ("N(2) >= 2 && N(2) <= 2 && !(N(2) < 2)", true),
            ("N(10) > 9.", true),
        ] {
            assert_eq!(holds(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_with_what_is_wrong() {
        let deep = format!("{}T(){}", "(".repeat(40), ")".repeat(40));
        let nots = format!("{}T()", "!".repeat(4000));
        let long = format!("T(){}", " || T()".repeat(1000));
        for (text, want) in [
            ("", "ends where a function is expected"),
            ("T() &&", "ends where a function is expected"),
            ("T", "ends where a function is expected"),
            ("T() F()", "has \"F()\" where && or || is expected"),
            ("(T()", "ends where a function is expected"),
            ("1 < N(2)", "has \"1 < N(2)\" where a function is expected"),
            ("N(1 2) > 1", "has \"2) > 1\" where a comma or a closing parenthesis is expected"),
            ("N(1) > x", "has \"x\" where a number is expected"),
            ("N(1) > 1.2.3", "holds 1.2.3, which is no number that can be compared"),
            ("N(1) > 99999999999999999999", "holds 99999999999999999999, which is no number that can be compared"),
            ("T() > 1", "uses T wrongly: write T(), F() or N(1) > 0"),
            ("X()", "calls X, which is none of T, F, N"),
            ("\u{e9}()", "has \"\u{e9}()\" where a function is expected"),
            (&deep, "is longer than 4096 bytes or nested more than 32 deep"),
            (&nots, "is longer than 4096 bytes or nested more than 32 deep"),
            (&long, "is longer than 4096 bytes or nested more than 32 deep"),
        ] {
            let error = parse::<Sample>(text).expect_err(text);
            assert_eq!(error.to_string(), want, "{text}");
        }
    }
}
