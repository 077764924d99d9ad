//! Upgrades from end to end: a client, a server of ours in front, a backend.

use std::convert::Infallible;

use hyper::{client::conn::http2, ext::Protocol as ConnectProtocol};

use super::*;
use crate::upstream::attempt::LocalExecutor;

async fn serve(world: Rc<World>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (exchange, answer) = world.exchange(request.map(Body::Incoming)).await;
    Ok(answer.unwrap_or_else(|failure| crate::respond::answer(&failure, &exchange.parts.headers)))
}

/// A listener that forwards to `world`.
async fn front(world: World, version2: bool) -> SocketAddr {
    let world = Rc::new(world);
    let backend = Backend::raw(move |peer, _| {
        let world = world.clone();
        async move {
            let service = service_fn(move |request| serve(world.clone(), request));
            let io = TokioIo::new(peer.stream);
            if version2 {
                let mut builder = hyper::server::conn::http2::Builder::new(LocalExecutor);
                let _ = builder.enable_connect_protocol().serve_connection(io, service).await;
            } else {
                let connection = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
                let _ = connection.with_upgrades().await;
            }
        }
    })
    .await;
    backend.address
}

/// A backend that upgrades and then echoes until the client ends.
async fn echo() -> Backend {
    Backend::raw(|mut peer, _| async move {
        let head = peer.head().await.expect("a head").to_ascii_lowercase();
        assert!(head.contains("connection: upgrade\r\n"), "{head}");
        assert!(head.contains("upgrade: echo\r\n"), "{head}");
        peer.write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\nx-own: 1\r\n\r\n")
            .await;
        let mut bytes = [0; 64];
        loop {
            match peer.stream.read(&mut bytes).await {
                Ok(0) | Err(_) => break,
                Ok(count) => peer.stream.write_all(&bytes[..count]).await.expect("the proxy reads"),
            }
        }
    })
    .await
}

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: web.example\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";

async fn client(front: SocketAddr, ask: &str) -> Peer {
    let stream = TcpStream::connect(front).await.expect("a connection");
    let mut peer = Peer { stream, requests: Rc::default(), heads: Rc::default() };
    peer.write(ask).await;
    peer
}

#[test]
fn bytes_pass_both_ways_once_the_backend_has_upgraded() {
    on_worker(async {
        let backend = echo().await;
        let front = front(World::of([backend.address]), false).await;
        let mut client = client(front, ASK).await;
        let head = client.head().await.expect("a head");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: echo\r\n"), "{head}");
        assert!(head.contains("x-own: 1\r\n"), "{head}");
        for text in ["hello", "again"] {
            client.write(text).await;
            assert_eq!(client.body(5).await, text.as_bytes());
        }
        client.stream.shutdown().await.expect("a socket");
        assert_eq!(client.stream.read(&mut [0]).await.expect("an end"), 0, "the end of one side ends the other");
    });
}

#[test]
fn a_tunnel_ends_when_the_backend_dies() {
    on_worker(async {
        let backend = echo().await;
        let front = front(World::of([backend.address]), false).await;
        let mut client = client(front, ASK).await;
        client.head().await.expect("a head");
        client.write("hello").await;
        client.body(5).await;
        backend.kill().await;
        assert!(matches!(client.stream.read(&mut [0]).await, Ok(0) | Err(_)));
    });
}

#[test]
fn an_answer_that_does_not_upgrade_is_passed_on() {
    on_worker(async {
        let backend = Backend::named("no").await;
        let front = front(World::of([backend.address]), false).await;
        let mut client = client(front, ASK).await;
        let head = client.head().await.expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("upgrade"), "{head}");
        assert_eq!(client.body(2).await, b"no");
    });
}

#[test]
fn a_change_to_http_is_not_asked_of_the_backend() {
    on_worker(async {
        let backend = Backend::named("plain").await;
        let front = front(World::of([backend.address]), false).await;
        let ask = ASK.replace("upgrade: echo", "upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__");
        let mut client = client(front, &ask).await;
        assert!(client.head().await.expect("a head").starts_with("HTTP/1.1 200 "));
        let head = backend.heads.borrow()[0].clone();
        assert!(!head.contains("h2c") && !head.contains("http2-settings"), "{head}");
    });
}

#[test]
fn a_backend_that_switches_to_something_else_is_502() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            peer.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n").await;
            peer.silence().await;
        })
        .await;
        let front = front(World::of([backend.address]), false).await;
        let mut client = client(front, ASK).await;
        assert!(client.head().await.expect("a head").starts_with("HTTP/1.1 502 "));
    });
}

/// Asks `front` for a WebSocket over HTTP/2 (RFC 8441).
async fn extended(front: SocketAddr) -> (http2::SendRequest<Body>, Response<Incoming>) {
    let stream = TcpStream::connect(front).await.expect("a connection");
    let (mut sender, connection) =
        http2::Builder::new(LocalExecutor).handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::task::spawn_local(connection);
    // The server's settings must have arrived before CONNECT may be extended: an ordinary request brings them.
    sender.send_request(Request::get("http://web.example/").body(Body::Empty).expect("valid")).await.map(drop).ok();
    let request = Request::connect("http://web.example/chat")
        .extension(ConnectProtocol::from_static("websocket"))
        .body(Body::Empty)
        .expect("a valid request");
    let answer = sender.send_request(request).await.expect("an answer");
    (sender, answer)
}

fn header_of<'h>(head: &'h str, name: &str) -> &'h str {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name)).unwrap_or_default();
    line.split_once(": ").map_or("", |(_, value)| value)
}

/// A WebSocket server: one that does not echo frames but bytes.
async fn websocket(accept: Option<&'static str>) -> Backend {
    Backend::raw(move |mut peer, _| async move {
        loop {
            let Some(head) = peer.head().await else { return };
            if !head.starts_with("GET /chat") {
                peer.answer("").await;
                continue;
            }
            assert_eq!(header_of(&head, "upgrade"), "websocket", "{head}");
            let key = HeaderValue::from_str(header_of(&head, "sec-websocket-key")).expect("a key");
            let right = crate::upstream::upgrade::websocket_accept(&key);
            let accept = accept.unwrap_or(right.to_str().expect("text"));
            let fields = format!("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n");
            peer.write(&format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n")).await;
            let mut bytes = peer.body(4).await;
            bytes.reverse();
            peer.stream.write_all(&bytes).await.expect("the proxy reads");
        }
    })
    .await
}

#[test]
fn a_websocket_over_http2_reaches_an_http1_backend() {
    on_worker(async {
        let backend = websocket(None).await;
        let front = front(World::of([backend.address]), true).await;
        let (_sender, mut answer) = extended(front).await;
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key("sec-websocket-accept"));
        let mut tunnel = TokioIo::new(hyper::upgrade::on(&mut answer).await.expect("a tunnel"));
        tunnel.write_all(b"ping").await.expect("an open tunnel");
        let mut bytes = [0; 4];
        tunnel.read_exact(&mut bytes).await.expect("an open tunnel");
        assert_eq!(&bytes, b"gnip");
    });
}

#[test]
fn a_backend_that_only_pretends_to_speak_websocket_is_502() {
    on_worker(async {
        for backend in [websocket(Some("wrong")).await, Backend::named("200").await] {
            let front = front(World::of([backend.address]), true).await;
            let (_sender, answer) = extended(front).await;
            assert_eq!(answer.status(), 502);
        }
    });
}
