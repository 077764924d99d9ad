//! HTTP/2 to backends, with prior knowledge.

use std::convert::Infallible;

use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::upstream::attempt::LocalExecutor;

fn plans(address: SocketAddr) -> Plans {
    Plans::new([address]).with(|plans| plans.spec.protocol = Protocol::Http2)
}

/// A server of hyper's that takes `streams` at a time and answers with what it saw, then a trailer.
async fn server(streams: u32) -> Backend {
    Backend::raw(move |peer, _| async move {
        let requests = peer.requests.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            requests.set(requests.get() + 1);
            async move {
                let seen = format!("{:?} {} {}", request.version(), request.method(), request.uri());
                assert!(!request.headers().contains_key("host"));
                let body = request.into_body().collect().await.expect("a whole body");
                let mut trailers = body.trailers().cloned().unwrap_or_default();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                let frames = [Ok::<_, Infallible>(Frame::data(Chunk::from(seen))), Ok(Frame::trailers(trailers))];
                Ok::<_, Infallible>(Response::new(StreamBody::new(futures_util::stream::iter(frames))))
            }
        });
        let mut builder = hyper::server::conn::http2::Builder::new(LocalExecutor);
        let _ = builder.max_concurrent_streams(streams).serve_connection(TokioIo::new(peer.stream), service).await;
    })
    .await
}

#[test]
fn requests_share_a_connection_and_have_an_authority() {
    on_worker(async {
        let backend = server(100).await;
        let world = plans(backend.address).build();
        let all = futures_util::future::join_all((0..20).map(|_| world.get("/a?b"))).await;
        for answer in all {
            assert_eq!(answer, Ok((200, "HTTP/2.0 GET http://web.example/a?b".into())));
        }
        assert_eq!(backend.connections.get(), 1);
    });
}

#[test]
fn no_more_streams_are_opened_than_the_backend_allows() {
    on_worker(async {
        let backend = server(4).await;
        let world = plans(backend.address).build();
        world.get("/").await.expect("an answer");
        let held: Vec<_> = futures_util::future::join_all((0..10).map(|_| world.send(get("/")))).await;
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(world.worker.upstream.pools.shared(), backend.connections.get());
    });
}

#[test]
fn trailers_pass_both_ways() {
    on_worker(async {
        let backend = server(100).await;
        let world = plans(backend.address).build();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("42"));
        let frames = [Ok::<_, Infallible>(Frame::data(Chunk::from_static(b"body"))), Ok(Frame::trailers(trailers))];
        let body = Body::boxed(StreamBody::new(futures_util::stream::iter(frames)));
        let mut request = request(Method::POST, "/", body);
        request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        let answer = world.send(request).await.expect("an answer").into_body().collect().await.expect("a whole body");
        let trailers = answer.trailers().expect("trailers");
        assert_eq!((trailers["x-sum"].as_bytes(), trailers["grpc-status"].as_bytes()), (&b"42"[..], &b"0"[..]));
    });
}

#[test]
fn a_connection_that_goes_away_costs_no_error() {
    on_worker(async {
        // Answers one request on each connection, says GOAWAY, and closes.
        let backend = Backend::raw(|peer, _| async move {
            let mut connection = h2::server::handshake(peer.stream).await.expect("a handshake");
            if let Some(Ok((_, mut respond))) = connection.accept().await {
                peer.requests.set(peer.requests.get() + 1);
                let mut body = respond.send_response(Response::new(()), false).expect("an open stream");
                body.send_data(Chunk::from_static(b"a"), true).expect("an open stream");
                connection.graceful_shutdown();
            }
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            }
        })
        .await;
        let world = plans(backend.address).build();
        for _ in 0..10 {
            let answer = world.send(request(Method::POST, "/", Body::Empty)).await.expect("an answer");
            assert_eq!(text(answer).await, "a");
        }
        assert!(backend.connections.get() > 1);
    });
}

#[test]
fn what_a_backend_has_not_processed_is_repeated_even_when_it_is_a_post() {
    on_worker(async {
        let backend = Backend::raw(|peer, _| async move {
            let mut connection = h2::server::handshake(peer.stream).await.expect("a handshake");
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let count = peer.requests.get();
                peer.requests.set(count + 1);
                if count == 0 {
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                } else {
                    respond.send_response(Response::new(()), true).expect("an open stream");
                }
            }
        })
        .await;
        let world = plans(backend.address).build();
        let answer = world.send(request(Method::POST, "/", Body::Empty)).await;
        assert_eq!(answer.map(|answer| answer.status()), Ok(StatusCode::OK));
        assert_eq!(backend.requests.get(), 2);
    });
}
