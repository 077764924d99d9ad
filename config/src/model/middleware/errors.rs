//! Answers with a page of another Service in place of some statuses.

use std::sync::Arc;

use http::{HeaderName, StatusCode, uri::PathAndQuery};

use super::status::{StatusRange, Statuses};
use crate::model::id::ClusterId;

/// Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    /// Which answers are replaced.
    pub statuses: Statuses,
    /// What becomes of their status; the first range that holds it counts, narrow ones first.
    pub rewrites: Vec<(StatusRange, StatusCode)>,
    /// Who has the pages.
    pub service: ClusterId,
    /// Where they are.
    pub query: Query,
    /// Fields of the request that the Service sees; `None` is all but credentials.
    pub request_headers: Option<Vec<HeaderName>>,
}

/// Path and query of a page, with places for what is known of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Arc<str>),
    Status,
    OriginalStatus,
    Url,
}

/// The user's: a text that is no path whatever is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no path and query of a URL")]
pub struct QueryError;

impl Query {
    /// Reads `text`, in which `{status}`, `{originalStatus}` and `{url}` are places. A leading `/` is added.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        const PLACES: [(&str, Piece); 3] =
            [("{status}", Piece::Status), ("{originalStatus}", Piece::OriginalStatus), ("{url}", Piece::Url)];
        let mut pieces = Vec::new();
        let mut plain = "/".to_owned();
        let mut rest = text.strip_prefix('/').unwrap_or(text);
        while let Some(c) = rest.chars().next() {
            match PLACES.iter().find(|(place, _)| rest.starts_with(place)) {
                Some((place, piece)) => {
                    pieces.extend([Piece::Text(std::mem::take(&mut plain).into()), piece.clone()]);
                    rest = rest.get(place.len()..).unwrap_or_default();
                }
                None => {
                    plain.push(c);
                    rest = rest.get(c.len_utf8()..).unwrap_or_default();
                }
            }
        }
        pieces.push(Piece::Text(plain.into()));
        let query = Self(pieces);
        query.fill(StatusCode::OK, StatusCode::OK, "x").map(|_| query).ok_or(QueryError)
    }

    /// With what is known of the request filled in; `url` is escaped here.
    pub fn fill(&self, status: StatusCode, original: StatusCode, url: &str) -> Option<PathAndQuery> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Status => text.push_str(status.as_str()),
                Piece::OriginalStatus => text.push_str(original.as_str()),
                Piece::Url => text.extend(percent_encoding::utf8_percent_encode(url, ESCAPED)),
            }
        }
        PathAndQuery::try_from(text).ok()
    }
}

/// What Go's `url.QueryEscape` escapes.
const ESCAPED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_urls_escaped() {
        let (status, original) = (StatusCode::NOT_FOUND, StatusCode::IM_A_TEAPOT);
        for (text, url, want) in [
            ("", "http://a/", "/"),
            ("/{status}.html", "http://a/", "/404.html"),
            ("{originalStatus}/{status}", "http://a/", "/418/404"),
            (
                "/?status={status}&url={url}",
                "http://localhost/test?foo=bar&baz=b~z",
                "/?status=404&url=http%3A%2F%2Flocalhost%2Ftest%3Ffoo%3Dbar%26baz%3Db~z",
            ),
            ("/{Status}", "http://a/", "/{Status}"),
        ] {
            let filled = Query::parse(text).ok().and_then(|query| query.fill(status, original, url));
            assert_eq!(filled.as_ref().map(PathAndQuery::as_str), Some(want), "{text}");
        }
        for text in ["/a b", "/\u{1}", "/\n"] {
            assert_eq!(Query::parse(text), Err(QueryError), "{text:?}");
        }
    }
}
