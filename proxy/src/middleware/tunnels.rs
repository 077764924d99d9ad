//! Upgrades through middlewares, from end to end: a client, a server of ours in front, a backend.

use std::{convert::Infallible, net::SocketAddr, rc::Rc};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::world::{Backend, World, run};

/// A listener that serves `world`.
async fn front(world: World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let world = Rc::new(world);
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let world = world.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let world = world.clone();
                async move { Ok::<_, Infallible>(world.serve(request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::task::spawn_local(async move { drop(connection.with_upgrades().await) });
        }
    });
    address
}

/// A backend that refuses so many upgrades, then grants them and echoes.
async fn echo(refusals: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::task::spawn_local(async move {
        let mut before = 0;
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(answer(stream, before < refusals));
            before += 1;
        }
    });
    address
}

async fn answer(mut stream: TcpStream, refuses: bool) {
    head(&mut stream).await;
    let answer = if refuses {
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    } else {
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n"
    };
    if stream.write_all(answer.as_bytes()).await.is_err() || refuses {
        return;
    }
    let mut bytes = [0; 64];
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Reads a head; what it got where the other side closes.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).expect("text")
}

async fn upgraded(front: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(front).await.expect("a connection");
    let ask = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.expect("it is read");
    let head = head(&mut stream).await;
    (stream, head)
}

async fn says(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.expect("it is read");
    let mut bytes = vec![0; text.len()];
    stream.read_exact(&mut bytes).await.expect("it is echoed");
    String::from_utf8(bytes).expect("text")
}

/// S17.
#[test]
fn upgrades_pass_whatever_stands_around_them() {
    run(async {
        let pages = Backend::saying(200, &[], "page").await;
        let errors = "errors: {status: ['100-599'], service: {name: pages, port: 80}}";
        let breaker = "circuitBreaker: {expression: RequestThreshold() > 50}";
        let buffering =
            "buffering: {maxRequestBodyBytes: 10, maxResponseBodyBytes: 10, retryExpression: Attempts() < 5}";
        let retry = "retry: {attempts: 5, status: ['100-599']}";
        for (middlewares, refusals) in [
            (&[retry][..], 0),
            (&[retry], 2),
            (&["retry: {attempts: 3}"], 0),
            (&[errors], 0),
            (&[breaker], 0),
            (&[buffering], 0),
            (&[buffering], 2),
            (
                &[
                    "compress: {}",
                    "rateLimit: {average: 0}",
                    errors,
                    breaker,
                    buffering,
                    retry,
                    "inFlightReq: {amount: 1}",
                ],
                3,
            ),
        ] {
            let front = front(World::new(middlewares, echo(refusals).await, pages.address)).await;
            let (mut stream, head) = upgraded(front).await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{middlewares:?} {refusals}: {head}");
            for text in ["hello", "again"] {
                assert_eq!(says(&mut stream, text).await, text, "{middlewares:?}");
            }
        }
    });
}

#[test]
fn a_tunnel_is_under_way_until_it_ends() {
    run(async {
        let nobody = Backend::nobody().await;
        let front = front(World::new(&["inFlightReq: {amount: 1}"], echo(0).await, nobody)).await;
        let (mut stream, head) = upgraded(front).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(says(&mut stream, "hello").await, "hello");
        let (_, head) = upgraded(front).await;
        assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
        stream.shutdown().await.expect("a socket");
        assert_eq!(stream.read(&mut [0]).await.expect("an end"), 0);
        drop(stream);
        // The tunnel's task ends after both of its sides have.
        let mut head = upgraded(front).await.1;
        while head.starts_with("HTTP/1.1 429 ") {
            tokio::task::yield_now().await;
            head = upgraded(front).await.1;
        }
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    });
}
