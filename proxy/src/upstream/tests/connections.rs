//! Connections are used again, capped, and dropped when they are of no more use.

use http_body_util::BodyExt as _;

use super::*;

#[test]
fn one_connection_serves_requests_that_follow_each_other() {
    on_worker(async {
        let backend = Backend::named("a").await;
        let world = World::of([backend.address]);
        for _ in 0..20 {
            assert_eq!(world.get("/").await, Ok((200, "a".into())));
        }
        assert_eq!(backend.connections.get(), 1);
        assert_eq!(world.idle(), 1);
    });
}

#[test]
fn large_and_chunked_answers_give_their_connection_back_too() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            while let Some(head) = peer.head().await {
                if head.starts_with("GET /large") {
                    peer.answer(&"x".repeat(1 << 20)).await;
                } else {
                    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                    tokio::task::yield_now().await;
                    peer.write("3\r\nabc\r\n").await;
                    tokio::task::yield_now().await;
                    peer.write("0\r\n\r\n").await;
                }
            }
        })
        .await;
        let world = World::of([backend.address]);
        for _ in 0..5 {
            assert_eq!(world.get("/large").await.expect("an answer").1.len(), 1 << 20);
            assert_eq!(world.get("/chunked").await, Ok((200, "abc".into())));
        }
        assert_eq!(backend.connections.get(), 1);
    });
}

#[test]
fn an_answer_that_is_not_read_to_its_end_costs_its_connection() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            while peer.head().await.is_some() {
                peer.answer(&"x".repeat(4 << 20)).await;
            }
        })
        .await;
        let world = World::of([backend.address]);
        drop(world.send(get("/")).await.expect("an answer"));
        assert_eq!(world.idle(), 0);
        assert_eq!(world.get("/").await.expect("an answer").1.len(), 4 << 20);
        assert_eq!(backend.connections.get(), 2);
    });
}

#[test]
fn a_connection_that_was_closed_while_idle_costs_no_error() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            peer.answer("a").await;
        })
        .await;
        let world = World::of([backend.address]);
        for _ in 0..10 {
            assert_eq!(world.get("/").await, Ok((200, "a".into())));
        }
        assert_eq!(backend.connections.get(), 10);
        assert_eq!(world.count(|state| state.ejections()), 0);
    });
}

#[test]
fn a_connection_that_was_closed_while_idle_costs_no_error_with_a_body_either() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            peer.body(4).await;
            peer.answer("a").await;
        })
        .await;
        let world = World::of([backend.address]);
        for _ in 0..10 {
            let request = Request::post("/").header("content-length", "4").body(Body::from("text")).expect("valid");
            assert_eq!(text(world.send(request).await.expect("an answer")).await, "a");
        }
        assert_eq!((backend.connections.get(), backend.requests.get()), (10, 10));
    });
}

#[test]
fn bytes_that_nobody_asked_for_are_no_answer_to_the_next_request() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            while peer.head().await.is_some() {
                let answer = |text: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{text}");
                peer.write(&(answer("good") + &answer("evil"))).await;
            }
        })
        .await;
        let world = World::of([backend.address]);
        for _ in 0..5 {
            assert_eq!(world.get("/").await, Ok((200, "good".into())));
        }
        assert_eq!(backend.connections.get(), 5);
    });
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_backend_has_left_is_swept() {
    LocalSet::new()
        .run_until(async {
            let backend = Backend::raw(|mut peer, _| async move {
                peer.head().await;
                peer.answer("a").await;
            })
            .await;
            let plans = Plans::new([backend.address]).with(|plans| {
                plans.settings.upstream.connect = Duration::ZERO;
                plans.settings.upstream.idle = Duration::from_secs(80);
            });
            let world = plans.build();
            world.get("/").await.expect("an answer");
            tokio::time::sleep(Duration::from_secs(25)).await;
            assert_eq!(world.idle(), 0);
        })
        .await;
}

#[test]
fn connection_close_is_obeyed() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            peer.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\na").await;
            peer.silence().await;
        })
        .await;
        let world = World::of([backend.address]);
        for _ in 0..3 {
            let answer = world.send(get("/")).await.expect("an answer");
            assert!(!answer.headers().contains_key("connection"));
            assert_eq!(text(answer).await, "a");
        }
        assert_eq!(backend.connections.get(), 3);
    });
}

#[test]
fn no_more_than_the_cap_are_kept_idle() {
    on_worker(async {
        let backend = Backend::named("a").await;
        let plans = Plans::new([backend.address]).with(|plans| plans.settings.upstream.idle_per_endpoint = 3);
        let world = plans.build();
        let all = futures_util::future::join_all((0..10).map(|_| world.get("/"))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(backend.connections.get(), 10);
        assert_eq!(world.idle(), 3);
        world.worker.shared.live.upstream.for_each_endpoint(|_, _, state| {
            assert_eq!(state.idle_permits.load(std::sync::atomic::Ordering::Relaxed), 3);
        });
    });
}

#[tokio::test(start_paused = true)]
async fn idle_connections_end_after_the_idle_time() {
    LocalSet::new()
        .run_until(async {
            let backend = Backend::named("a").await;
            let plans = Plans::new([backend.address]).with(|plans| {
                plans.settings.upstream.connect = Duration::ZERO;
                plans.settings.upstream.idle = Duration::from_secs(80);
            });
            let world = plans.build();
            world.get("/").await.expect("an answer");
            assert_eq!(world.idle(), 1);
            tokio::time::sleep(Duration::from_secs(75)).await;
            assert_eq!(world.idle(), 1);
            tokio::time::sleep(Duration::from_secs(25)).await;
            assert_eq!(world.idle(), 0);
        })
        .await;
}

#[test]
fn connections_made_with_other_settings_are_not_used() {
    on_worker(async {
        let backend = Backend::named("a").await;
        let plans = Plans::new([backend.address]);
        let mut spec = plans.spec.clone();
        let world = plans.build();
        world.get("/").await.expect("an answer");
        spec.passive.failures = 7;
        world.change(spec.clone());
        world.get("/").await.expect("an answer");
        assert_eq!(backend.connections.get(), 1, "an unrelated change keeps connections");
        spec.protocol = Protocol::Http2;
        world.change(spec.clone());
        spec.protocol = Protocol::Http;
        world.change(spec);
        world.get("/").await.expect("an answer");
        assert_eq!(backend.connections.get(), 2, "what was made before TLS was switched on and off is not used");
    });
}

#[test]
fn state_of_an_endpoint_survives_changes_and_ends_with_it() {
    on_worker(async {
        let (a, b) = (Backend::named("a").await, Backend::named("b").await);
        let plans = Plans::new([a.address, b.address]);
        let mut spec = plans.spec.clone();
        let world = plans.build();
        for _ in 0..4 {
            world.get("/").await.expect("an answer");
        }
        spec.endpoints.truncate(1);
        world.change(spec.clone());
        world.get("/").await.expect("an answer");
        assert_eq!(world.count(|state| state.requests()), 3, "two of before, one of now, none of the one that left");
        spec.endpoints.push(socket(b.address));
        world.change(spec);
        assert_eq!(world.count(|state| state.requests()), 3, "one that comes back begins anew");
    });
}

#[test]
fn trailers_pass_both_ways() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            let head = peer.head().await.expect("a head");
            assert!(head.contains("te: trailers\r\n"), "{head}");
            let mut body = Vec::new();
            while !body.ends_with(b"x-sum: 42\r\n\r\n") {
                body.extend(peer.body(1).await);
            }
            peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-after\r\n\r\n").await;
            peer.write("2\r\nhi\r\n0\r\nx-after: 7\r\n\r\n").await;
            peer.silence().await;
        })
        .await;
        let world = World::of([backend.address]);
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("42"));
        let frames = [
            Ok::<_, std::convert::Infallible>(http_body::Frame::data(Chunk::from_static(b"body"))),
            Ok(http_body::Frame::trailers(trailers)),
        ];
        let body = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
        let mut request = request(Method::POST, "/", body);
        request.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
        request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        let answer = world.send(request).await.expect("an answer").into_body().collect().await.expect("a whole body");
        assert_eq!(
            answer.trailers().and_then(|trailers| trailers.get("x-after")),
            Some(&HeaderValue::from_static("7"))
        );
    });
}
