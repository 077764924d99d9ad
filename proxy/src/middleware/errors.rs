//! Answers with a page of another Service in place of some statuses. The status stays, or becomes what was configured;
//! it is never that of the page, so that a page for 401 lets nobody in.
//!
//! Where there is no page, the answer that should have been replaced is what the client gets.

use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, uri::PathAndQuery};
use postern_config::model::{id::MiddlewareId, middleware::errors as model};

use crate::{
    exchange::{Body, Exchange, Rest, forwarded::FORWARDED_PROTO},
    respond::{self, Failure},
    upstream::client::{Asked, ask},
    worker::Worker,
};

/// What nobody but the backend of the route should see, unless the configuration names it.
const CREDENTIALS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// Fields that are about another answer or another body than the page.
const OF_THE_REQUEST: [HeaderName; 10] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::EXPECT,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// Fields without which some statuses are no use to clients.
const OF_THE_STATUS: [HeaderName; 4] =
    [header::WWW_AUTHENTICATE, header::PROXY_AUTHENTICATE, header::RETRY_AFTER, header::ALLOW];

/// Running state.
#[derive(Debug)]
pub(super) struct Errors {
    id: MiddlewareId,
    spec: model::Errors,
}

/// What is known of a request once it has been sent.
struct Seen {
    method: Method,
    /// Whether it asked for a tunnel over HTTP/2, where 200 grants it.
    tunnel: bool,
    target: PathAndQuery,
    authority: HeaderValue,
    scheme: &'static str,
    headers: HeaderMap,
    grpc: bool,
    response_steps: usize,
}

impl Errors {
    pub(super) fn build(id: &MiddlewareId, spec: &model::Errors) -> Self {
        Self { id: id.clone(), spec: spec.clone() }
    }

    pub(super) async fn run(
        &self,
        mut rest: Rest,
        exchange: &mut Exchange,
        worker: &Rc<Worker>,
    ) -> Result<Response<Body>, Failure> {
        let seen = self.look_at(exchange);
        let answered = rest.run(exchange, worker).await;
        let original = answered.as_ref().map_or_else(Failure::status, Response::status);
        if !self.spec.statuses.contains(original) || seen.is_tunnel(original) {
            return answered;
        }
        let answer = answered.unwrap_or_else(|failure| note(&failure, seen.grpc, exchange, worker));
        let status = self.rewritten(original);
        Ok(self.replace(answer, original, status, seen, exchange, worker).await)
    }

    async fn replace(
        &self,
        mut answer: Response<Body>,
        original: StatusCode,
        status: StatusCode,
        seen: Seen,
        exchange: &mut Exchange,
        worker: &Rc<Worker>,
    ) -> Response<Body> {
        let asked = self.page_request(&seen, original, status, exchange);
        let head = seen.method == Method::HEAD;
        match ask(worker, asked).await {
            Ok(mut page) => {
                // What was decided for the answer below was for that answer.
                exchange.response_steps.truncate(seen.response_steps);
                keep_fields(answer.headers(), page.headers_mut());
                *page.status_mut() = status;
                if head { page.map(|_| Body::Empty) } else { page }
            }
            Err(failure) => {
                tracing::debug!(middleware = %self.id, error = %failure, "there is no page for an error");
                exchange.record.detail.get_or_insert_with(|| format!("{}: no page: {failure}", self.id));
                *answer.status_mut() = status;
                answer
            }
        }
    }

    /// What the page may depend on, before the request is sent.
    fn look_at(&self, exchange: &Exchange) -> Seen {
        let parts = &exchange.parts;
        Seen {
            method: parts.method.clone(),
            tunnel: parts.extensions.get::<hyper::ext::Protocol>().is_some(),
            target: parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")),
            authority: exchange.authority.clone(),
            scheme: scheme(&parts.headers, exchange.scheme),
            headers: self.shown(&parts.headers),
            grpc: respond::is_grpc(&parts.headers),
            response_steps: exchange.response_steps.len(),
        }
    }

    /// The fields that the Service sees.
    fn shown(&self, headers: &HeaderMap) -> HeaderMap {
        let Some(names) = &self.spec.request_headers else {
            let mut shown = headers.clone();
            for name in CREDENTIALS.iter().chain(&OF_THE_REQUEST) {
                shown.remove(name);
            }
            return shown;
        };
        let mut shown = HeaderMap::new();
        for name in names.iter().filter(|name| !OF_THE_REQUEST.contains(name)) {
            for value in headers.get_all(name) {
                shown.append(name, value.clone());
            }
        }
        shown
    }

    fn rewritten(&self, status: StatusCode) -> StatusCode {
        let found = self.spec.rewrites.iter().find(|(range, _)| range.contains(status));
        found.map_or(status, |(_, rewritten)| *rewritten)
    }

    fn page_request<'e>(
        &'e self,
        seen: &Seen,
        original: StatusCode,
        status: StatusCode,
        exchange: &'e Exchange,
    ) -> Asked<'e> {
        let host = seen.authority.to_str().unwrap_or_default();
        let url = format!("{}://{host}{}", seen.scheme, seen.target);
        let target = self.spec.query.fill(status, original, &url).unwrap_or_else(|| PathAndQuery::from_static("/"));
        let mut request = Request::new(Body::Empty);
        *request.uri_mut() = target.into();
        *request.headers_mut() = seen.headers.clone();
        Asked { cluster: &self.spec.service, request, authority: seen.authority.clone(), exchange }
    }
}

impl Seen {
    /// Whether an answer with `status` is the begin of a tunnel, or none that ends a request.
    fn is_tunnel(&self, status: StatusCode) -> bool {
        status.is_informational() || (self.tunnel && status.is_success())
    }
}

/// The scheme that the client used, as a trusted proxy before this one may have told.
fn scheme(headers: &HeaderMap, own: &'static str) -> &'static str {
    let said = headers.get(FORWARDED_PROTO).map(HeaderValue::as_bytes).unwrap_or_default();
    let is = |names: [&[u8]; 2]| names.iter().any(|name| said.eq_ignore_ascii_case(name));
    if is([b"http", b"ws"]) {
        "http"
    } else if is([b"https", b"wss"]) {
        "https"
    } else {
        own
    }
}

/// The answer to `failure`, which is counted and logged although the client gets a page.
fn note(failure: &Failure, grpc: bool, exchange: &mut Exchange, worker: &Worker) -> Response<Body> {
    worker.metrics().failed(failure);
    exchange.record.reason = Some(failure.reason());
    exchange.record.detail = Some(failure.to_string());
    respond::answer_as(failure, grpc)
}

fn keep_fields(from: &HeaderMap, to: &mut HeaderMap) {
    for name in OF_THE_STATUS.iter().filter(|name| from.contains_key(*name)) {
        to.remove(name);
        for value in from.get_all(name) {
            to.append(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::middleware::{
        testing::exchange,
        world::{Backend, World, run},
    };

    const SERVICE: &str = "service: {name: pages, port: 80}";

    fn errors(options: &str) -> String {
        format!("errors: {{{SERVICE}, {options}}}")
    }

    /// Traefik's own table.
    #[test]
    fn answers_in_the_range_are_replaced_and_keep_their_status() {
        run(async {
            let pages = Backend::saying(200, &[("x-page", "1")], "My error page.").await;
            let ranges = "status: ['500-501', '503-599']";
            for (options, status, want, replaced) in [
                (ranges, 200, 200, false),
                (ranges, 206, 206, false),
                (ranges, 304, 304, false),
                (ranges, 500, 500, true),
                (ranges, 502, 502, false),
                ("status: ['503']", 503, 503, true),
                ("status: ['404,418']", 418, 418, true),
                ("status: ['418'], statusRewrites: {'410-418': 404}", 418, 404, true),
                ("status: ['500-599'], statusRewrites: {'500-599': 500, '503': 418}", 503, 418, true),
                ("", 500, 500, false),
                ("status: ['200']", 200, 200, true),
            ] {
                let backend =
                    Backend::answering(move |_, _| super::super::world::reply(status, &[], "of the backend")).await;
                let world = World::new(&[&errors(options)], backend.address, pages.address);
                let got = world.ask(exchange("GET", "http://localhost/test?foo=bar")).await;
                assert_eq!((got.status, got.body == "My error page."), (want, replaced), "{options} {status}");
                assert_eq!(got.header("x-page").is_some(), replaced, "{options} {status}");
            }
        });
    }

    #[test]
    fn pages_are_asked_for_with_what_the_query_says() {
        run(async {
            let pages = Backend::saying(404, &[], "").await;
            let backend = Backend::saying(503, &[], "").await;
            for (options, url, proto, want) in [
                ("", "http://a/x", "", "/"),
                (", query: '/{status}'", "http://a/x", "", "/503"),
                (", query: '{status}-{originalStatus}', statusRewrites: {'503': 404}", "http://a/", "", "/404-503"),
                (
                    ", query: '/?status={status}&url={url}'",
                    "http://localhost/test?foo=bar&baz=buz",
                    "",
                    "/?status=503&url=http%3A%2F%2Flocalhost%2Ftest%3Ffoo%3Dbar%26baz%3Dbuz",
                ),
                (", query: '/?url={url}'", "https://who.example/api", "", "/?url=https%3A%2F%2Fwho.example%2Fapi"),
                (", query: '/?url={url}'", "http://who.example/api", "https", "/?url=https%3A%2F%2Fwho.example%2Fapi"),
                (", query: '/?url={url}'", "http://who.example/api", "ws", "/?url=http%3A%2F%2Fwho.example%2Fapi"),
                (", query: '/?url={url}'", "http://who.example/api", "wss", "/?url=https%3A%2F%2Fwho.example%2Fapi"),
                (", query: '/?url={url}'", "https://who.example/api", "ftp", "/?url=https%3A%2F%2Fwho.example%2Fapi"),
            ] {
                let world =
                    World::new(&[&errors(&format!("status: ['503']{options}"))], backend.address, pages.address);
                let request = exchange("POST", url);
                let request = if proto.is_empty() { request } else { request.header("x-forwarded-proto", proto) };
                world.ask(request).await;
                let asked = pages.last();
                assert_eq!((&*asked.method, &*asked.target), ("GET", want), "{options} {url} {proto}");
                assert_eq!(asked.headers["host"], url.split('/').nth(2).expect("a host"));
            }
        });
    }

    /// S12.
    #[test]
    fn pages_see_no_credentials_unless_told_to() {
        run(async {
            let pages = Backend::saying(200, &[], "").await;
            let backend = Backend::saying(500, &[], "").await;
            for (options, want) in [
                ("", [true, false, false]),
                (", errorRequestHeaders: [x-request-id, Authorization]", [true, true, false]),
                (", errorRequestHeaders: [Cookie]", [false, false, true]),
                (", errorRequestHeaders: []", [false, false, false]),
            ] {
                let world =
                    World::new(&[&errors(&format!("status: ['500']{options}"))], backend.address, pages.address);
                let request = exchange("GET", "http://a/")
                    .header("x-request-id", "1")
                    .header("authorization", "Bearer secret")
                    .header("cookie", "session=secret")
                    .header("if-none-match", "\"x\"");
                world.ask(request).await;
                let seen = pages.last().headers;
                let found = ["x-request-id", "authorization", "cookie"].map(|name| seen.contains_key(name));
                assert_eq!(found, want, "{options}");
                assert!(!seen.contains_key("if-none-match"), "that was about another answer");
            }
        });
    }

    /// S9.
    #[test]
    fn a_page_for_a_denial_lets_nobody_in() {
        run(async {
            let pages = Backend::saying(200, &[("www-authenticate", "None")], "Please log in").await;
            let backend = Backend::saying(200, &[], "secret").await;
            let deny = "ipAllowList: {sourceRange: [10.0.0.1], rejectStatusCode: 401}";
            let world = World::new(&[&errors("status: ['401-403']"), deny], backend.address, pages.address);
            let got = world.ask(exchange("GET", "http://a/")).await;
            assert_eq!((got.status, &*got.body, got.record.reason), (401, "Please log in", Some("refused")));
            assert_eq!(backend.count(), 0);
            let asking = Backend::saying(401, &[("www-authenticate", "Basic realm=x")], "").await;
            let world = World::new(&[&errors("status: ['401-403']")], asking.address, pages.address);
            let got = world.ask(exchange("GET", "http://a/")).await;
            assert_eq!((got.status, got.header("www-authenticate")), (401, Some("Basic realm=x")));
        });
    }

    #[test]
    fn failures_of_the_backend_have_pages_too() {
        run(async {
            let pages = Backend::saying(200, &[], "Sorry").await;
            let world = World::new(&[&errors("status: ['502']")], Backend::nobody().await, pages.address);
            let got = world.ask(exchange("GET", "http://a/")).await;
            assert_eq!((got.status, &*got.body, got.record.reason), (502, "Sorry", Some("unreachable")));
        });
    }

    #[test]
    fn without_a_page_the_answer_is_the_original_one() {
        run(async {
            let backend = Backend::saying(404, &[("x-own", "1")], "own page").await;
            let nobody = Backend::nobody().await;
            let inner = "headers: {customResponseHeaders: {x-inner: '1'}}";
            let world = World::new(&[&errors("status: ['404']"), inner], backend.address, nobody);
            let got = world.ask(exchange("GET", "http://a/")).await;
            assert_eq!((got.status, &*got.body, got.header("x-own")), (404, "own page", Some("1")));
            assert_eq!(got.header("x-inner"), Some("1"));
            let world = World::new(&[&errors("status: ['502']")], nobody, nobody);
            assert_eq!(world.ask(exchange("GET", "http://a/")).await.status, 502);
        });
    }

    #[test]
    fn what_stands_outside_changes_the_page_and_what_stands_inside_does_not() {
        run(async {
            let pages = Backend::saying(200, &[], "Sorry").await;
            let backend = Backend::saying(500, &[], "").await;
            let outer = "headers: {customResponseHeaders: {x-outer: '1'}}";
            let inner = "headers: {customResponseHeaders: {x-inner: '1'}}";
            let world = World::new(&[outer, &errors("status: ['500']"), inner], backend.address, pages.address);
            let got = world.ask(exchange("GET", "http://a/")).await;
            assert_eq!((got.header("x-outer"), got.header("x-inner")), (Some("1"), None));
        });
    }

    #[test]
    fn the_answer_to_a_head_has_no_body() {
        run(async {
            let pages = Backend::saying(200, &[], "Sorry").await;
            let backend = Backend::saying(500, &[], "").await;
            let world = World::new(&[&errors("status: ['500']")], backend.address, pages.address);
            let got = world.ask(exchange("HEAD", "http://a/")).await;
            assert_eq!((got.status, &*got.body, got.header("content-length")), (500, "", Some("5")));
        });
    }
}
