//! Tokens → expression, by recursive descent that is bounded in depth.

use super::{MOST_BYTES, MOST_DEPTH, Matcher, Position, Read, Rule, RuleError, token::Token, token::Tokens};
use crate::model::expression::Expression;

/// Reads `text` with these matchers.
pub(super) fn parse<C>(text: &str, matchers: &'static [Matcher<C>]) -> Result<Rule<C>, RuleError> {
    if text.len() > MOST_BYTES {
        return Err(RuleError::TooLong);
    }
    let mut tokens = Tokens::new(text);
    let next = tokens.next()?;
    let mut parser = Parser { tokens, next, matchers, never: Vec::new() };
    let expression = parser.any(0)?;
    match parser.next {
        (_, Token::End) => Ok(Rule { expression, never: parser.never }),
        _ => Err(parser.unexpected("&&, || or the end")),
    }
}

struct Parser<'t, C: 'static> {
    tokens: Tokens<'t>,
    next: (Position, Token<'t>),
    matchers: &'static [Matcher<C>],
    never: Vec<(Position, &'static str)>,
}

impl<'t, C> Parser<'t, C> {
    fn any(&mut self, depth: usize) -> Result<Expression<C>, RuleError> {
        let mut parts = vec![self.all(depth)?];
        while self.take(&Token::Or)? {
            parts.push(self.all(depth)?);
        }
        Ok(joined(parts, Expression::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Expression<C>, RuleError> {
        let mut parts = vec![self.one(depth)?];
        while self.take(&Token::And)? {
            parts.push(self.one(depth)?);
        }
        Ok(joined(parts, Expression::All))
    }

    fn one(&mut self, depth: usize) -> Result<Expression<C>, RuleError> {
        if depth == MOST_DEPTH {
            return Err(RuleError::TooDeep(self.next.0));
        }
        if self.take(&Token::Not)? {
            return Ok(Expression::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.take(&Token::Open)? {
            let inner = self.any(depth + 1)?;
            self.close("&&, || or )")?;
            return Ok(inner);
        }
        self.matcher()
    }

    fn matcher(&mut self) -> Result<Expression<C>, RuleError> {
        let (at, Token::Name(name)) = self.next else {
            return Err(self.unexpected("a matcher, ! or ("));
        };
        self.advance()?;
        let values = self.values()?;
        let Some(matcher) = self.matchers.iter().find(|matcher| matcher.is_called(name)) else {
            return Err(RuleError::Matcher { at, name: name.to_owned(), nearest: nearest(self.matchers, name) });
        };
        if !matcher.values.contains(&values.len()) {
            return Err(arity(at, matcher, &values));
        }
        match (matcher.read)(&values) {
            Ok(Read::Is(condition)) => Ok(Expression::Is(condition)),
            Ok(Read::Never(why)) => {
                self.never.push((at, why));
                Ok(Expression::NEVER)
            }
            Err(problem) => Err(RuleError::Value { at, name: matcher.name, problem }),
        }
    }

    /// The values in parentheses; a comma may stand behind the last one, as in Go.
    fn values(&mut self) -> Result<Vec<String>, RuleError> {
        if !self.take(&Token::Open)? {
            return Err(self.unexpected("( and its values"));
        }
        let mut values = Vec::new();
        while let (_, Token::Text(text)) = &mut self.next {
            values.push(std::mem::take(text));
            self.advance()?;
            if !self.take(&Token::Comma)? {
                break;
            }
        }
        self.close(if values.is_empty() { "a value in back-ticks, or )" } else { "a comma or )" })?;
        Ok(values)
    }

    fn close(&mut self, wanted: &'static str) -> Result<(), RuleError> {
        if self.take(&Token::Close)? { Ok(()) } else { Err(self.unexpected(wanted)) }
    }

    /// Whether `token` is next; then it is read.
    fn take(&mut self, token: &Token<'_>) -> Result<bool, RuleError> {
        let there = self.next.1 == *token;
        if there {
            self.advance()?;
        }
        Ok(there)
    }

    fn advance(&mut self) -> Result<(), RuleError> {
        self.next = self.tokens.next()?;
        Ok(())
    }

    fn unexpected(&self, wanted: &'static str) -> RuleError {
        let (at, found) = &self.next;
        RuleError::Unexpected { at: *at, wanted, found: found.to_string() }
    }
}

fn joined<C>(mut parts: Vec<Expression<C>>, join: fn(Vec<Expression<C>>) -> Expression<C>) -> Expression<C> {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            join(parts)
        }
    }
}

fn nearest<C>(matchers: &'static [Matcher<C>], name: &str) -> &'static str {
    let distance = |matcher: &&Matcher<C>| {
        strsim::damerau_levenshtein(&matcher.name.to_ascii_lowercase(), &name.to_ascii_lowercase())
    };
    matchers.iter().min_by_key(distance).map_or("", |matcher| matcher.name)
}

fn arity<C>(at: Position, matcher: &Matcher<C>, values: &[String]) -> RuleError {
    let alternatives: Vec<_> = values.iter().map(|value| format!("{}(`{value}`)", matcher.name)).collect();
    let several = values.len() > 1 && *matcher.values.end() == 1;
    // What the language's second version took several values for.
    let hint = if several { format!(": write {}", alternatives.join(" || ")) } else { String::new() };
    RuleError::Arity { at, name: matcher.name, wanted: matcher.arity, found: values.len(), hint }
}
