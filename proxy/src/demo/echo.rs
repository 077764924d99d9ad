//! Backends that answer with what they were sent, as `traefik/whoami` does, and echo WebSockets.

use std::{
    convert::Infallible,
    fmt::Write as _,
    io,
    net::{IpAddr, SocketAddr},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use sha1::{Digest as _, Sha1};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::websocket;

/// Ports that are tried until one is free on every address.
const TRIES: usize = 50;
/// RFC 6455 section 1.3.
const WEBSOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Listens on each of `addresses`, on one port for all.
pub async fn bind(addresses: &[IpAddr]) -> io::Result<(Vec<TcpListener>, u16)> {
    let mut last = io::Error::other("no address to listen on");
    for _ in 0..TRIES {
        match bind_once(addresses).await {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn bind_once(addresses: &[IpAddr]) -> io::Result<(Vec<TcpListener>, u16)> {
    let mut port = 0;
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(SocketAddr::new(*address, port)).await?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok((listeners, port))
}

/// Serves until dropped.
pub async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream) {
    let Ok(local) = stream.local_addr() else { return };
    let service = service_fn(move |request| async move { Ok::<_, Infallible>(answer(request, local)) });
    let served = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    // A peer that goes away is the peer's affair.
    let _gone = served.with_upgrades().await;
}

fn answer(mut request: Request<Incoming>, local: SocketAddr) -> Response<Full<Bytes>> {
    if let Some(accept) = websocket_accept(request.headers()) {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(stream) = upgrade.await {
                // A peer that breaks the protocol has been closed on.
                let _ended = websocket::echo(TokioIo::new(stream), &format!("hello from {local}")).await;
            }
        });
        return switching(accept);
    }
    let mut response = Response::new(Full::new(describe(&request, local).into()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn describe(request: &Request<Incoming>, local: SocketAddr) -> String {
    let mut text = format!("backend {local}\n\n{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        writeln!(text, "{name}: {value}").expect("a String takes every text");
    }
    text
}

fn switching(accept: HeaderValue) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The answer to a WebSocket's key (RFC 6455 section 4.2.2); `None` for requests that ask for no WebSocket.
fn websocket_accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get(header::UPGRADE)?.as_bytes().eq_ignore_ascii_case(b"websocket");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| wanted)?;
    let digest = Sha1::new().chain_update(key.as_bytes()).chain_update(WEBSOCKET_GUID).finalize();
    HeaderValue::try_from(STANDARD.encode(digest)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 section 1.3.
    #[test]
    fn a_key_is_answered_as_the_rfc_says() {
        let mut headers = HeaderMap::new();
        headers.insert(header::UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(websocket_accept(&headers).expect("a WebSocket"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
