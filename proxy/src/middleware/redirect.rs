//! What the redirecting middlewares share: statuses, the URL as the client sees it, the answer.

use http::{HeaderValue, Method, StatusCode, header};

use super::refuse;
use crate::{
    exchange::{Exchange, Flow},
    respond,
};

/// GET may change nothing by being repeated, so 301 and 302 suit it; 307 and 308 keep other methods.
pub(super) fn status(method: &Method, permanent: bool) -> StatusCode {
    match (*method == Method::GET, permanent) {
        (true, false) => StatusCode::FOUND,
        (true, true) => StatusCode::MOVED_PERMANENTLY,
        (false, false) => StatusCode::TEMPORARY_REDIRECT,
        (false, true) => StatusCode::PERMANENT_REDIRECT,
    }
}

/// Path and query as the backend would see them.
pub(super) fn target(exchange: &Exchange) -> &str {
    exchange.parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

/// The Host as the client wrote it.
pub(super) fn authority(exchange: &Exchange) -> &str {
    exchange.authority.to_str().unwrap_or_default()
}

/// Sends the client to `location`.
pub(super) fn answer(exchange: &mut Exchange, location: &str, permanent: bool) -> Flow {
    let Ok(location) = HeaderValue::from_str(location) else {
        return refuse(exchange, StatusCode::INTERNAL_SERVER_ERROR, "the redirect leads to no valid URL".to_owned());
    };
    let mut response = respond::plain(status(&exchange.parts.method, permanent));
    response.headers_mut().insert(header::LOCATION, location);
    Flow::Answer(response)
}
