//! Heads: what reaches the backend, and what of a backend's answer is refused.

use super::*;

async fn answering(head: &'static str) -> World {
    let backend = Backend::raw(move |mut peer, _| async move {
        peer.head().await;
        peer.write(head).await;
    })
    .await;
    World::of([backend.address])
}

#[test]
fn the_backend_sees_origin_form_the_clients_host_and_the_peer() {
    on_worker(async {
        let backend = Backend::named("a").await;
        let world = World::of([backend.address]);
        let mut request = get("/a/b?c=d");
        let headers = request.headers_mut();
        headers.insert("host", HeaderValue::from_static("Web.Example:8080"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
        headers.insert("expect", HeaderValue::from_static("100-continue"));
        headers.insert("keep-alive", HeaderValue::from_static("timeout=5"));
        let (exchange, answer) = world.exchange(request).await;
        assert_eq!(answer.expect("an answer").status(), 200);
        let heads = backend.heads.borrow();
        let lines: Vec<&str> = heads[0].lines().collect();
        assert_eq!(lines[0], "GET /a/b?c=d HTTP/1.1");
        assert!(lines.contains(&"host: Web.Example:8080"), "{lines:?}");
        assert!(lines.contains(&"x-forwarded-for: 203.0.113.9, 192.0.2.7"), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("expect") || line.starts_with("keep-alive")), "{lines:?}");
        assert_eq!(exchange.record.endpoint, Some(backend.address));
        assert_eq!(exchange.record.cluster.as_deref(), Some(CLUSTER));
    });
}

#[test]
fn a_cluster_may_want_its_own_host() {
    on_worker(async {
        let backend = Backend::named("a").await;
        let world = Plans::new([backend.address]).with(|plans| plans.spec.pass_host = false).build();
        world.get("/").await.expect("an answer");
        let host = format!("host: {}\r\n", backend.address);
        assert!(backend.heads.borrow()[0].contains(&host));
    });
}

#[test]
fn not_appending_the_peer_can_be_asked_for() {
    on_worker(async {
        let backend = Backend::named("a").await;
        let plans = Plans::new([backend.address]);
        let world = plans.with(|plans| plans.settings.trust.not_append_forwarded_for = true).build();
        world.get("/").await.expect("an answer");
        assert!(!backend.heads.borrow()[0].contains("x-forwarded-for"));
    });
}

#[test]
fn interim_answers_are_passed_over() {
    on_worker(async {
        let world = answering(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n\
             HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
        )
        .await;
        assert_eq!(world.get("/").await, Ok((200, "a".into())));
    });
}

#[test]
fn answers_that_break_the_protocol_are_502() {
    on_worker(async {
        for head in [
            "garbage\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad header: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\na",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\na",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            "HTTP/1.1 2",
            "",
        ] {
            let world = answering(head).await;
            let failure = world.get("/").await.expect_err(head);
            assert_eq!(failure.status(), 502, "{head:?}: {failure}");
        }
    });
}

#[test]
fn the_limits_on_answer_heads_hold() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            while let Some(head) = peer.head().await {
                let fields = match head.split(' ').nth(1) {
                    Some("/count") => "a: b\r\n".repeat(21),
                    Some("/bytes") => format!("a: {}\r\n", "b".repeat(3000)),
                    _ => "a: b\r\n".repeat(10),
                };
                peer.write(&format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n")).await;
            }
        })
        .await;
        let world = Plans::new([backend.address])
            .with(|plans| {
                plans.settings.limits.response_header_bytes = 2048;
                plans.settings.limits.response_header_count = 20;
            })
            .build();
        assert_eq!(world.get("/").await, Ok((200, String::new())));
        for path in ["/count", "/bytes"] {
            assert_eq!(world.get(path).await.expect_err(path).status(), 502, "{path}");
        }
        assert_eq!(world.count(|state| state.ejections()), 0);
    });
}

#[test]
fn a_body_of_unknown_length_reaches_the_backend_chunked_whatever_the_method() {
    on_worker(async {
        let backend = Backend::http(|request| async move {
            let body = request.into_body().collect().await.expect("a whole body").to_bytes();
            Response::new(Full::new(body))
        })
        .await;
        let world = World::of([backend.address]);
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let frames = [Ok::<_, std::convert::Infallible>(http_body::Frame::data(Chunk::from_static(b"body")))];
            let body = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
            let answer = world.send(request(method.clone(), "/", body)).await.expect("an answer");
            assert_eq!(text(answer).await, "body", "{method}");
        }
    });
}

#[test]
fn connect_is_not_forwarded() {
    on_worker(async {
        let world = World::of([nobody().await]);
        let failure = world.send(request(Method::CONNECT, "/", Body::Empty)).await.map(drop);
        assert!(matches!(failure, Err(Failure::BadRequest(_))));
    });
}
