//! Refuses paths with certain encoded characters: 400.
//!
//! What is looked at is the path that router and backend see. Normalisation decodes unreserved characters alone, and
//! none of those that can be denied is one, so every one that the client has encoded still is.

use std::str;

use http::StatusCode;
use postern_config::model::{id::MiddlewareId, middleware::encoded_characters as model};

use super::refuse;
use crate::exchange::{Exchange, Flow};

/// Running state.
#[derive(Debug)]
pub(super) struct EncodedCharacters {
    id: MiddlewareId,
    denied: Vec<u8>,
}

impl EncodedCharacters {
    pub(super) fn build(id: &MiddlewareId, spec: &model::EncodedCharacters) -> Self {
        Self { id: id.clone(), denied: spec.denied.clone() }
    }

    pub(super) fn on_request(&self, exchange: &mut Exchange) -> Flow {
        match self.first_denied(exchange.parts.uri.path()) {
            None => Flow::Continue,
            Some(byte) => {
                let reason = format!("{}: the path holds %{byte:02X}, which is not allowed", self.id);
                refuse(exchange, StatusCode::BAD_REQUEST, reason)
            }
        }
    }

    fn first_denied(&self, path: &str) -> Option<u8> {
        let mut escapes = path.split('%').skip(1).filter_map(escaped);
        escapes.find(|byte| self.denied.contains(byte))
    }
}

/// The byte whose two digits stand at the front.
fn escaped(text: &str) -> Option<u8> {
    let digits = str::from_utf8(text.as_bytes().get(..2)?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use crate::middleware::testing::{exchange, spec, status};

    #[test]
    fn each_character_is_denied_unless_it_is_allowed() {
        for (option, escapes) in [
            ("allowEncodedSlash", &["%2F", "%2f"][..]),
            ("allowEncodedBackSlash", &["%5C", "%5c"]),
            ("allowEncodedNullCharacter", &["%00"]),
            ("allowEncodedSemicolon", &["%3B", "%3b"]),
            ("allowEncodedPercent", &["%25"]),
            ("allowEncodedQuestionMark", &["%3F", "%3f"]),
            ("allowEncodedHash", &["%23"]),
        ] {
            for escape in escapes {
                let url = format!("http://a.example/x{escape}y");
                let denied = spec("encodedCharacters: {}");
                assert_eq!(status(&denied, &mut exchange("GET", &url).build()), Some(400), "{escape}");
                let allowed = spec(&format!("encodedCharacters: {{{option}: true}}"));
                assert_eq!(status(&allowed, &mut exchange("GET", &url).build()), None, "{escape} with {option}");
            }
        }
    }

    #[test]
    fn others_pass_and_the_query_is_not_looked_at() {
        let middleware = spec("encodedCharacters: {}");
        for path in ["/", "/a%20b", "/%C3%A9", "/a?b=%2F%25", "/a;b"] {
            let url = format!("http://a.example{path}");
            assert_eq!(status(&middleware, &mut exchange("GET", &url).build()), None, "{path}");
        }
    }
}
