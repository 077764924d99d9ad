//! Frames as browsers send and read them.

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};

use super::*;
use crate::{
    exchange::BodyError,
    middleware::testing::{answered, exchange, finish, shown, spec},
};

/// A message frame: flags, length, message.
const MESSAGE: &[u8] = b"\0\0\0\0\x05hello";
const MESSAGE_TEXT: &str = "AAAAAAVoZWxsbw==";
const TRAILERS: &[u8] = b"\x80\0\0\0\x22grpc-status: 0\r\ngrpc-message: ok\r\n";

/// What a backend answers: a message and trailers.
fn answer_of_backend() -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("grpc-message", HeaderValue::from_static("ok"));
    let body = Full::new(Bytes::from_static(MESSAGE)).map_err(BodyError::from);
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::boxed(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
    response
}

/// Request fields and body as the backend sees them, answer fields and body as the browser does.
async fn call(options: &str, media_type: &str, body: &'static str, origin: &str) -> [(String, Vec<u8>); 2] {
    let middleware = spec(&format!("grpcWeb: {options}"));
    let request = exchange("POST", "http://a/pkg.Service/Method").header("content-type", media_type);
    let request = request.header("content-length", "99").header("origin", origin);
    let mut exchange = request.body(Body::from(body)).build();
    assert!(answered(&middleware, &mut exchange).await.is_none());
    let sent = std::mem::take(&mut exchange.body).collect().await.expect("no error").to_bytes().to_vec();
    let fields = shown(&exchange.parts.headers);
    let mut response = answer_of_backend();
    finish(&mut exchange, &mut response).await;
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.expect("no error");
    assert_eq!(collected.trailers(), None, "browsers see no trailers");
    [(fields, sent), (shown(&parts.headers), collected.to_bytes().to_vec())]
}

#[tokio::test]
async fn binary_frames_pass_and_trailers_become_the_last_one() {
    let [(request, sent), (answer, got)] =
        call("{allowOrigins: ['https://ok']}", "application/grpc-web+proto", "frame", "https://ok").await;
    assert_eq!(request, "content-length: 99; content-type: application/grpc+proto; origin: https://ok; te: trailers");
    assert_eq!(sent, b"frame");
    assert_eq!(
        answer,
        "access-control-allow-credentials: true; access-control-allow-origin: https://ok; \
         access-control-expose-headers: content-type, vary, grpc-status, grpc-message; \
         content-type: application/grpc-web+proto; vary: Origin"
    );
    assert_eq!(got, [MESSAGE, TRAILERS].concat());
}

#[tokio::test]
async fn text_is_base64_both_ways() {
    let [(request, sent), (answer, got)] =
        call("{allowOrigins: ['*']}", "application/grpc-web-text", MESSAGE_TEXT, "https://any").await;
    assert_eq!(request, "content-type: application/grpc; origin: https://any; te: trailers");
    assert_eq!(sent, MESSAGE);
    assert!(answer.contains("content-type: application/grpc-web-text+proto"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: https://any"), "{answer}");
    let mut decoder = Decoder::default();
    assert_eq!(decoder.feed(&got), Ok([MESSAGE, TRAILERS].concat()));
}

#[tokio::test]
async fn other_origins_may_not_read_the_answer() {
    for (options, origin) in
        [("{}", "https://ok"), ("{allowOrigins: ['https://ok']}", "https://evil"), ("{allowOrigins: ['*']}", "")]
    {
        let [_, (answer, got)] = call(options, "application/grpc-web", "frame", origin).await;
        assert!(!answer.contains("access-control-allow"), "{options} {origin}: {answer}");
        assert_eq!(got, [MESSAGE, TRAILERS].concat());
    }
}

#[tokio::test]
async fn a_body_that_is_no_base64_breaks_off() {
    let middleware = spec("grpcWeb: {}");
    let request = exchange("POST", "http://a/").header("content-type", "application/grpc-web-text");
    let mut exchange = request.body(Body::from("AAAA!")).build();
    assert!(answered(&middleware, &mut exchange).await.is_none());
    assert!(std::mem::take(&mut exchange.body).collect().await.is_err());
}

#[tokio::test]
async fn what_is_no_grpc_web_is_left_alone() {
    let middleware = spec("grpcWeb: {allowOrigins: ['*']}");
    for (method, media_type) in [
        ("POST", "application/grpc"),
        ("POST", "application/grpc+proto"),
        ("POST", "application/json"),
        ("POST", "application/grpc-webber"),
        ("GET", "application/grpc-web"),
    ] {
        let mut exchange = exchange(method, "http://a/").header("content-type", media_type).build();
        assert!(answered(&middleware, &mut exchange).await.is_none());
        assert_eq!(shown(&exchange.parts.headers), format!("content-type: {media_type}"));
        assert!(exchange.response_steps.is_empty(), "{method} {media_type}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_grpc_keeps_its_body() {
    let middleware = spec("grpcWeb: {allowOrigins: ['*']}");
    let request = exchange("POST", "http://a/").header("content-type", "application/grpc-web-text");
    let mut exchange = request.header("origin", "https://ok").build();
    assert!(answered(&middleware, &mut exchange).await.is_none());
    let mut response = crate::respond::plain(http::StatusCode::BAD_GATEWAY);
    finish(&mut exchange, &mut response).await;
    assert_eq!(
        response.headers().get("access-control-allow-origin").map(HeaderValue::as_bytes),
        Some(&b"https://ok"[..])
    );
    assert_eq!(response.into_body().collect().await.expect("no error").to_bytes(), "Bad Gateway");
}

#[tokio::test]
async fn preflights_of_grpc_web_end_here() {
    let ok = "access-control-allow-credentials: true; access-control-allow-headers: x-grpc-web, x-user; \
              access-control-allow-methods: POST; access-control-allow-origin: https://ok; access-control-max-age: 600; \
              content-length: 0; vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    let no = "content-length: 0; vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    let middleware = spec("grpcWeb: {allowOrigins: ['https://ok']}");
    for (method, asked, names, origin, want) in [
        ("OPTIONS", "POST", "x-grpc-web, x-user", "https://ok", Some(ok)),
        ("OPTIONS", "POST", "x-grpc-web, x-user", "https://evil", Some(no)),
        ("OPTIONS", "DELETE", "x-grpc-web, x-user", "https://ok", Some(no)),
        ("OPTIONS", "POST", "content-type", "https://ok", None),
        ("GET", "POST", "x-grpc-web", "https://ok", None),
    ] {
        let request = exchange(method, "http://a/").header("access-control-request-method", asked);
        let request = request.header("access-control-request-headers", names).header("origin", origin);
        let answer = answered(&middleware, &mut request.build()).await;
        assert_eq!(answer.as_ref().map(|answer| answer.status().as_u16()), want.map(|_| 200), "{names} {origin}");
        assert_eq!(answer.map(|answer| shown(answer.headers())).as_deref(), want, "{asked} {names} {origin}");
    }
}
