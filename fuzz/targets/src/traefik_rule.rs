//! Traefik's rule language: any text is a rule or is refused at a place within it, and operators mean what they mean.

use postern_config::kubernetes::convert::traefik::rule::{self, MOST_BYTES, MOST_DEPTH, RuleError};

/// A rule, of either vocabulary.
pub fn traefik_rule(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = rule::tcp(text).map_err(|error| place(&error, text));
    let read = rule::http(text);
    let Ok(read) = read.map_err(|error| place(&error, text)) else { return };
    let is = |condition: &_| format!("{condition}").len() % 2 == 0;
    let holds = read.expression.holds(&is);
    // Twice negated, or joined with itself, it says the same. What was near the bounds may then be beyond them.
    for again in [format!("!(!({text}))"), format!("({text})&&({text})"), format!("({text})||({text})")] {
        match rule::http(&again) {
            Ok(again) => assert_eq!(again.expression.holds(&is), holds, "{text:?}"),
            Err(RuleError::TooDeep(_)) => assert!(text.len() > MOST_DEPTH - 4, "{text:?}"),
            Err(error) => assert!(again.len() > MOST_BYTES, "{text:?}: {error}"),
        }
    }
}

/// The place that is named is in the text, or right behind it.
fn place(error: &RuleError, text: &str) {
    let said = error.to_string();
    let Some(rest) = said.strip_prefix("at character ") else { return };
    let digits = rest.split(':').next().unwrap_or_default();
    let at: usize = digits.parse().expect("a number");
    assert!((1..=text.chars().count() + 1).contains(&at), "{said} in {text:?}");
}
