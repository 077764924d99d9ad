//! What may be repeated is, while another endpoint lives; what may not be never is.

use postern_config::model::route::Retry;

use super::*;

fn answers(results: &[Result<(u16, String), Failure>]) -> Vec<&str> {
    results.iter().map(|result| result.as_ref().map_or("", |(_, text)| text)).collect()
}

#[test]
fn a_dead_endpoint_costs_no_error_whatever_the_method() {
    on_worker(async {
        let alive = Backend::named("a").await;
        let plans = Plans::new([nobody().await, alive.address, nobody().await]);
        // Without passive health every request comes by the dead ones.
        let world = plans.with(|plans| plans.spec.passive.failures = 0).build();
        for method in [Method::GET, Method::POST, Method::DELETE, Method::PATCH] {
            for _ in 0..6 {
                let answer = world.send(request(method.clone(), "/", Body::from("x"))).await;
                assert_eq!(answer.map(|answer| answer.status()), Ok(StatusCode::OK), "{method}");
            }
        }
        assert!(world.count(|state| state.connect_errors()) > 10);
    });
}

#[test]
fn a_dead_endpoint_is_put_aside_and_tried_again_later() {
    on_worker(async {
        let alive = Backend::named("a").await;
        let dead = nobody().await;
        let world = World::of([dead, alive.address]);
        for _ in 0..20 {
            assert_eq!(world.get("/").await, Ok((200, "a".into())));
        }
        assert_eq!(world.count(|state| state.connect_errors()), 1);
        assert_eq!(world.count(|state| state.ejections()), 1);
    });
}

#[test]
fn when_all_are_aside_all_are_tried_and_a_success_brings_one_back() {
    on_worker(async {
        let backend = Backend::named("a").await;
        backend.kill().await;
        let world = World::of([backend.address, nobody().await]);
        assert!(matches!(world.get("/").await, Err(Failure::Unreachable(_))));
        let again = TcpListener::bind(backend.address).await.expect("the port is free again");
        tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = again.accept().await {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nb").await;
            }
        });
        assert_eq!(world.get("/").await, Ok((200, "b".into())));
        let mut aside = 0;
        let live = &world.worker.shared.live.upstream;
        live.for_each_endpoint(|_, _, state| aside += u32::from(live.is_aside(state)));
        assert_eq!(aside, 1);
    });
}

#[test]
fn killing_one_of_two_backends_under_load_costs_no_get() {
    on_worker(async {
        let slow = |name: &'static str| {
            Backend::raw(move |mut peer, _| async move {
                while peer.head().await.is_some() {
                    tokio::task::yield_now().await;
                    peer.answer(name).await;
                }
            })
        };
        let (a, b) = (slow("a").await, slow("b").await);
        let world = World::of([a.address, b.address]);
        for round in 0..20 {
            let load = futures_util::future::join_all((0..40).map(|_| world.get("/")));
            let kill = async {
                if round == 10 {
                    tokio::task::yield_now().await;
                    a.kill().await;
                }
            };
            let (results, ()) = tokio::join!(load, kill);
            assert!(results.iter().all(Result::is_ok), "round {round}: {results:?}");
        }
        assert_eq!(answers(&[world.get("/").await, world.get("/").await]), ["b", "b"]);
    });
}

#[test]
fn an_idempotent_request_is_repeated_elsewhere_after_a_reset() {
    on_worker(async {
        let resets = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            peer.reset();
        })
        .await;
        let good = Backend::named("b").await;
        let plans = Plans::new([resets.address, good.address]);
        let world = plans.with(|plans| plans.spec.passive.failures = 0).build();
        for _ in 0..6 {
            assert_eq!(world.get("/").await, Ok((200, "b".into())));
        }
        assert!(resets.requests.get() >= 3, "it was tried: {}", resets.requests.get());
    });
}

#[test]
fn a_post_is_not_repeated_once_it_was_sent() {
    on_worker(async {
        let resets = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            peer.body(1).await;
            peer.reset();
        })
        .await;
        let world = World::of([resets.address, resets.address]);
        let answer = world.send(request(Method::POST, "/", Body::from("x"))).await;
        assert!(matches!(answer, Err(Failure::BackendBroke(_))));
        assert_eq!(resets.requests.get(), 1);
    });
}

#[test]
fn a_put_whose_body_was_sent_is_not_repeated() {
    on_worker(async {
        let resets = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            peer.body(1).await;
            peer.reset();
        })
        .await;
        let good = Backend::named("b").await;
        let world = World::of([resets.address, good.address]);
        let mut failed = 0;
        for _ in 0..2 {
            let answer = world.send(request(Method::PUT, "/", Body::from("x"))).await;
            failed += u32::from(matches!(answer, Err(Failure::BackendBroke(_))));
        }
        assert_eq!((failed, resets.requests.get()), (1, 1));
    });
}

#[test]
fn a_request_on_a_connection_that_died_is_repeated_with_the_only_endpoint() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, before| async move {
            if before == 0 {
                peer.head().await;
                peer.answer("first").await;
                peer.head().await;
                peer.reset();
            } else {
                peer.head().await;
                peer.answer("second").await;
            }
        })
        .await;
        let world = World::of([backend.address]);
        assert_eq!(world.get("/").await, Ok((200, "first".into())));
        assert_eq!(world.get("/").await, Ok((200, "second".into())));
        assert_eq!(world.count(|state| state.ejections()), 0);
    });
}

#[test]
fn a_route_has_answers_of_some_statuses_tried_again() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            while peer.head().await.is_some() {
                if peer.requests.get() % 3 == 0 {
                    peer.answer("at last").await;
                } else {
                    peer.write("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
                }
            }
        })
        .await;
        let retry = |attempts| Retry { attempts, codes: vec![StatusCode::SERVICE_UNAVAILABLE], backoff: None };
        let plans = Plans::new([backend.address]);
        let mut world = plans.with(|plans| plans.forward.retry = Some(retry(2))).build();
        let (exchange, answer) = world.exchange(get("/")).await;
        assert_eq!(text(answer.expect("an answer")).await, "at last");
        assert_eq!((exchange.record.retries, backend.requests.get()), (2, 3));
        world.forward.retry = Some(retry(1));
        assert_eq!(world.get("/").await, Ok((503, String::new())), "the last answer is passed on");
        assert_eq!(backend.requests.get(), 5);
        world.forward.retry = Some(retry(0));
        assert_eq!(world.send(request(Method::POST, "/", Body::Empty)).await.expect("an answer").status(), 200);
    });
}

#[test]
fn the_budget_bounds_what_repetitions_cost() {
    on_worker(async {
        let resets = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            peer.reset();
        })
        .await;
        let world = Plans::new([resets.address])
            .with(|plans| {
                plans.spec.passive.failures = 0;
                plans.settings.upstream.retries = 1000;
                plans.settings.upstream.retry_budget_percent = 20;
            })
            .build();
        for _ in 0..3 {
            assert!(matches!(world.get("/").await, Err(Failure::BackendBroke(_))));
        }
        // The floor of one window, and a fifth of that again, and so on; and what a slow run earns by time.
        let requests = resets.requests.get();
        assert!((100..400).contains(&requests), "{requests}");
    });
}

#[test]
fn no_endpoint_and_no_backend_are_told_apart() {
    on_worker(async {
        assert_eq!(World::of([]).get("/").await, Err(Failure::NoEndpoints));
        let mut world = World::of([]);
        world.forward.unresolved = StatusCode::INTERNAL_SERVER_ERROR;
        world.forward.backends[0].target = Target::Invalid { reason: "gone".into() };
        let failure = world.get("/").await.expect_err("no backend");
        assert_eq!((failure.status().as_u16(), failure.reason()), (500, "backend-unresolved"));
        world.forward.backends[0].weight = 0;
        assert_eq!(world.get("/").await.expect_err("no backend").status(), 500);
        assert!(matches!(World::of([nobody().await]).get("/").await, Err(Failure::Unreachable(_))));
    });
}
