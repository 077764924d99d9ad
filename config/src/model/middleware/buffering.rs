//! Reads requests and answers whole before they are passed on.

use crate::model::{
    condition::{Call, Compared, Comparison, ConditionError, Vocabulary},
    expression::Expression,
};

/// Configuration. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffering {
    /// Larger requests are answered 413; `None` is no limit.
    pub max_request: Option<u64>,
    /// What of a request's body is beyond goes to a file.
    pub memory_of_request: u64,
    /// Larger answers become 500; `None` is no limit.
    pub max_response: Option<u64>,
    /// What of an answer's body is beyond goes to a file.
    pub memory_of_response: u64,
    /// A request is sent again while this holds.
    pub retry: Option<Expression<Test>>,
}

/// What is kept in memory where nothing is said.
pub const DEFAULT_MEMORY: u64 = 1 << 20;

/// A test of the last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Times that the request was sent.
    Attempts(Comparison, i64),
    /// Status of the answer.
    ResponseCode(Comparison, i64),
    /// Whether it was 502 or 504.
    IsNetworkError,
}

impl Vocabulary for Test {
    fn test(call: &Call<'_>, compared: Option<Compared>) -> Result<Self, ConditionError> {
        let whole = compared.and_then(|compared| Some((compared.how, compared.with.whole()?)));
        match (call.name, &*call.arguments, compared, whole) {
            ("Attempts", [], _, Some((how, with))) => Ok(Self::Attempts(how, with)),
            ("ResponseCode", [], _, Some((how, with))) => Ok(Self::ResponseCode(how, with)),
            ("IsNetworkError", [], None, _) => Ok(Self::IsNetworkError),
            ("Attempts", ..) => Err(call.misused("Attempts() <= 2")),
            ("ResponseCode", ..) => Err(call.misused("ResponseCode() == 503")),
            ("IsNetworkError", ..) => Err(call.misused("IsNetworkError()")),
            _ => Err(call.unknown("Attempts, ResponseCode, IsNetworkError")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::condition;

    #[test]
    fn the_functions_are_used_as_traefik_documents_them() {
        for (text, want) in [
            ("Attempts() <= 2", Some(Test::Attempts(Comparison::AtMost, 2))),
            ("ResponseCode() == 503", Some(Test::ResponseCode(Comparison::Equal, 503))),
            ("IsNetworkError()", Some(Test::IsNetworkError)),
            ("IsNetworkError() == 1", None),
            ("Attempts()", None),
            ("Attempts(1) > 2", None),
            ("ResponseCode() > 1.5", None),
            ("RequestMethod() == 1", None),
        ] {
            assert_eq!(condition::parse(text).ok(), want.map(Expression::Is), "{text}");
        }
    }
}
