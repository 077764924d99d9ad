//! Against an auth server on loopback that says what it was asked.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::{
    exchange::{Body, BodyError, Exchange},
    middleware::testing::{Builder, answered, exchange, finish, shown, spec},
};

/// What the auth server was asked.
#[derive(Debug)]
struct Asked {
    method: String,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

/// An auth server that answers every request with `answer`.
struct Server {
    address: String,
    asked: Rc<RefCell<Vec<Asked>>>,
}

impl Server {
    async fn answering(answer: impl Fn() -> Response<Full<Bytes>> + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let asked: Rc<RefCell<Vec<Asked>>> = Rc::default();
        let (seen, answer) = (asked.clone(), Rc::new(answer));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer) = (seen.clone(), answer.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (seen, answer) = (seen.clone(), answer.clone());
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let (method, target) = (parts.method.to_string(), parts.uri.to_string());
                        seen.borrow_mut().push(Asked { method, target, headers: parts.headers, body });
                        Ok::<_, hyper::Error>(answer())
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service);
                tokio::task::spawn_local(async move { drop(connection.await) });
            }
        });
        Self { address, asked }
    }

    fn last(&self) -> Asked {
        self.asked.borrow_mut().pop().expect("the auth server was asked")
    }
}

fn reply(status: u16, fields: &[(&str, &str)], body: &'static str) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(status);
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::from(body)).expect("a valid answer")
}

async fn ask(server: &Server, options: &str, request: Builder) -> (Option<Response<Body>>, Exchange) {
    let path = if options.contains("address") { "" } else { "/verify?a=b" };
    let middleware = spec(&format!("forwardAuth: {{address: '{}{path}'{options}}}", server.address));
    let mut exchange = request.build();
    let answer = answered(&middleware, &mut exchange).await;
    (answer, exchange)
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

/// The table of X-Forwarded-* by trust: what the client (through a trusted peer) had, and what the auth server sees.
#[test]
fn the_auth_server_learns_who_asks_for_what() {
    run(async {
        let server = Server::answering(|| reply(200, &[], "")).await;
        for (trust, want) in [
            (
                "",
                "host; x-forwarded-for: 192.0.2.1; x-forwarded-host: example.com:8080; x-forwarded-method: POST; \
                 x-forwarded-port: 9; x-forwarded-prefix: /old; x-forwarded-proto: http; \
                 x-forwarded-uri: /a%2Fb?c=d; x-real-ip: 6.6.6.6",
            ),
            (
                ", trustForwardHeader: false",
                "host; x-forwarded-for: 192.0.2.1; x-forwarded-host: example.com:8080; x-forwarded-method: POST; \
                 x-forwarded-port: 8080; x-forwarded-proto: http; x-forwarded-uri: /a%2Fb?c=d",
            ),
            (
                ", trustForwardHeader: true",
                "host; x-forwarded-for: 1.1.1.1, 192.0.2.1; x-forwarded-host: client.example; \
                 x-forwarded-method: PATCH; x-forwarded-port: 9; x-forwarded-prefix: /old; x-forwarded-proto: wss; \
                 x-forwarded-uri: /client; x-real-ip: 6.6.6.6",
            ),
        ] {
            let request = exchange("POST", "http://example.com:8080/a%2Fb?c=d")
                .header("x-forwarded-for", "1.1.1.1")
                .header("x-forwarded-host", "client.example")
                .header("x-forwarded-method", "PATCH")
                .header("x-forwarded-port", "9")
                .header("x-forwarded-prefix", "/old")
                .header("x-forwarded-proto", "wss")
                .header("x-forwarded-uri", "/client")
                .header("x-real-ip", "6.6.6.6");
            let (answer, _) = ask(&server, trust, request).await;
            assert!(answer.is_none(), "200 lets the request on");
            let asked = server.last();
            assert_eq!((&*asked.method, &*asked.target), ("GET", "/verify?a=b"), "{trust}");
            let shown = shown(&asked.headers);
            let (host, rest) = shown.split_once(": ").expect("a field");
            let rest = rest.split_once("; ").map_or("", |(_, rest)| rest);
            assert_eq!(format!("{host}; {rest}"), want, "{trust}");
        }
    });
}

#[test]
fn what_frames_the_clients_message_stays_with_it() {
    run(async {
        let server = Server::answering(|| reply(204, &[], "")).await;
        let request = exchange("POST", "http://example.com/")
            .header("content-length", "5")
            .header("expect", "100-continue")
            .header("te", "trailers")
            .header("trailer", "x-sum")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("proxy-authorization", "kept")
            .header("cookie", "a=b")
            .body(Body::from("hello"));
        let (answer, exchange) = ask(&server, "", request).await;
        assert!(answer.is_none(), "204 lets the request on");
        let asked = server.last();
        for name in
            ["content-length", "transfer-encoding", "expect", "te", "trailer", "connection", "upgrade", "user-agent"]
        {
            assert!(!asked.headers.contains_key(name), "{name} reached the auth server");
        }
        assert!(asked.headers.contains_key("cookie") && asked.headers.contains_key("proxy-authorization"));
        assert!(asked.body.is_empty());
        assert_eq!(exchange.parts.headers.get("upgrade").map(|value| value.as_bytes()), Some(&b"websocket"[..]));
        let body = exchange.body.collect().await.expect("untouched").to_bytes();
        assert_eq!(body, "hello");
    });
}

#[test]
fn only_listed_client_fields_reach_the_auth_server() {
    run(async {
        let server = Server::answering(|| reply(200, &[], "")).await;
        let request = exchange("GET", "http://example.com/").header("x-a", "1").header("x-b", "2");
        ask(&server, ", authRequestHeaders: [X-A]", request).await;
        let asked = server.last();
        assert!(asked.headers.contains_key("x-a") && !asked.headers.contains_key("x-b"));
        assert!(asked.headers.contains_key("x-forwarded-uri"));
    });
}

#[test]
fn identity_fields_are_the_auth_servers_alone() {
    run(async {
        let fields = [("X-Auth-User", "alice"), ("x-auth-user", "b"), ("X-Auth-Empty", ""), ("content-length", "0")];
        let server = Server::answering(move || reply(299, &fields, "")).await;
        for options in [
            ", authResponseHeaders: [x-auth-USER, X-Auth-Empty, X-Auth-Group]",
            ", authResponseHeadersRegex: '^X-Auth-'",
        ] {
            let request = exchange("GET", "http://example.com/")
                .header("x-auth-user", "mallory")
                .header("X_Auth_User", "mallory")
                .header("x-auth_group", "admins")
                .header("x-auth-group", "admins")
                .header("x-auth-empty", "full")
                .header("x-other", "1");
            let (answer, exchange) = ask(&server, options, request).await;
            assert!(answer.is_none());
            let want = "x-auth-empty: ; x-auth-user: alice; x-auth-user: b; x-other: 1";
            assert_eq!(shown(&exchange.parts.headers), want, "{options}");
        }
    });
}

#[test]
fn whoever_is_turned_away_gets_the_auth_servers_answer() {
    run(async {
        for (status, location, options, want, to) in [
            (302, "/login?x=1", "", 302, "{}/login?x=1"),
            (302, "/login", ", preserveLocationHeader: true", 302, "/login"),
            (302, "https://sso.example/a b", "", 302, "https://sso.example/a b"),
            (302, "login", "", 302, "{}/login"),
            (401, "", "", 401, ""),
            (401, "", ", authSigninURL: 'https://sso.example/'", 302, "https://sso.example/"),
            (403, "", ", authSigninURL: 'https://sso.example/'", 403, ""),
            (304, "", "", 304, ""),
            (500, "", "", 500, ""),
            (302, "http://[::x/", "", 500, ""),
        ] {
            let server = Server::answering(move || {
                let mut fields = vec![("set-cookie", "a=1"), ("set-cookie", "b=2")];
                fields.extend((!location.is_empty()).then_some(("location", location)));
                reply(status, &fields, if status == 304 { "" } else { "go away" })
            })
            .await;
            let (answer, exchange) = ask(&server, options, exchange("HEAD", "http://example.com/")).await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.status(), want, "{status} {location} {options}");
            let got = answer.headers().get("location").map_or("", |value| value.to_str().expect("text"));
            assert_eq!(got, to.replace("{}", &server.address), "{status} {location} {options}");
            if want == status {
                assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2, "{status}");
            }
            assert!(exchange.record.detail.is_some(), "the log says why");
        }
    });
}

#[test]
fn a_server_that_cannot_be_reached_lets_nobody_pass() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        drop(listener);
        let middleware = spec(&format!("forwardAuth: {{address: '{address}'}}"));
        let mut exchange = exchange("GET", "http://example.com/").build();
        let answer = answered(&middleware, &mut exchange).await.expect("an answer");
        assert_eq!(answer.status(), 500);
    });
}

#[test]
fn answers_are_read_up_to_their_limit() {
    run(async {
        let server = Server::answering(|| reply(200, &[], "0123456789")).await;
        for (options, want) in [(", maxResponseBodySize: 9", Some(401)), (", maxResponseBodySize: 10", None)] {
            let (answer, _) = ask(&server, options, exchange("GET", "http://example.com/")).await;
            assert_eq!(answer.map(|answer| answer.status().as_u16()), want, "{options}");
        }
    });
}

#[test]
fn a_forwarded_body_reaches_both_servers_whole() {
    run(async {
        let server = Server::answering(|| reply(200, &[], "")).await;
        let trailers =
            HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), http::HeaderValue::from_static("1"))]);
        let frames =
            [Frame::data(Bytes::from("he")), Frame::data(Bytes::from("llo")), Frame::trailers(trailers.clone())];
        let stream = futures_util::stream::iter(frames.map(Ok::<_, BodyError>));
        let request = exchange("PUT", "http://example.com/").body(Body::boxed(StreamBody::new(stream)));
        let options = ", forwardBody: true, maxBodySize: 5, preserveRequestMethod: true";
        let (answer, exchange) = ask(&server, options, request).await;
        assert!(answer.is_none());
        let asked = server.last();
        assert_eq!((&*asked.method, &asked.body[..]), ("PUT", &b"hello"[..]));
        let body = exchange.body.collect().await.expect("replayed");
        assert_eq!(body.trailers(), Some(&trailers));
        assert_eq!(body.to_bytes(), "hello");

        let request = exchange_with_body("123456");
        let (answer, _) = ask(&server, options, request).await;
        assert_eq!(answer.map(|answer| answer.status().as_u16()), Some(401));
        assert!(server.asked.borrow().is_empty(), "a body over the limit is not shown to the auth server");
    });
}

fn exchange_with_body(body: &'static str) -> Builder {
    exchange("PUT", "http://example.com/").body(Body::from(body))
}

#[test]
fn listed_cookies_of_the_auth_server_replace_the_backends() {
    run(async {
        let server = Server::answering(|| {
            reply(200, &[("set-cookie", "session=new; Path=/"), ("set-cookie", "other=auth"), ("X-User", "alice")], "")
        })
        .await;
        let options = ", addAuthCookiesToResponse: [session, gone], headerField: x-user";
        let (answer, mut exchange) = ask(&server, options, exchange("GET", "http://example.com/")).await;
        assert!(answer.is_none());
        assert_eq!(exchange.record.user.as_deref(), Some("alice"));
        let mut response = Response::new(Body::Empty);
        for cookie in ["session=old", "gone=1", "mine=1; Secure"] {
            response.headers_mut().append("set-cookie", http::HeaderValue::from_static(cookie));
        }
        finish(&mut exchange, &mut response).await;
        assert_eq!(shown(response.headers()), "set-cookie: mine=1; Secure; set-cookie: session=new; Path=/");
    });
}
