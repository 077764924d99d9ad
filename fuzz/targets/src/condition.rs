//! Conditions of `circuitBreaker` and `buffering`, sets of statuses and queries of error pages: read, or refused.

use http::StatusCode;
use postern_config::model::{
    condition::{self, Vocabulary},
    expression::Expression,
    middleware::{buffering, circuit_breaker, errors::Query, status::Statuses},
};

/// One text, read as each of them.
pub fn condition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(read) = condition::parse::<circuit_breaker::Test>(text) {
        judge(&read, text);
    }
    if let Ok(read) = condition::parse::<buffering::Test>(text) {
        judge(&read, text);
    }
    if let Ok(statuses) = Statuses::parse(&[text]) {
        assert!((100..600).any(|status| StatusCode::from_u16(status).is_ok_and(|status| statuses.contains(status))));
    }
    if let Ok(query) = Query::parse(text) {
        let filled = query.fill(StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY, "http://h/\u{e9} ?a=b");
        assert!(filled.is_some_and(|target| target.as_str().starts_with('/')), "{text:?} cannot be filled in");
    }
}

/// With no test that holds and with all that do, `!` alone turns the result round.
fn judge<T: Vocabulary>(read: &Expression<T>, text: &str) {
    for all in [false, true] {
        let plain = read.holds(&|_| all);
        assert!(plain == all || text.contains('!'), "{text:?}");
        let turned = condition::parse::<T>(&format!("!({text})"));
        if let Ok(turned) = turned {
            assert_eq!(turned.holds(&|_| all), !plain, "{text:?}");
        }
    }
}
