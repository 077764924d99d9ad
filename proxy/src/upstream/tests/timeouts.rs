//! Each limit in time ends what it is for, and nothing else. The backends here never answer, so short limits are
//! certain to be reached.

use super::*;

const SHORT: Duration = Duration::from_millis(30);

async fn silent() -> Backend {
    Backend::raw(|mut peer, _| async move {
        peer.head().await;
        peer.silence().await;
    })
    .await
}

#[test]
fn a_backend_that_does_not_answer_is_given_up() {
    on_worker(async {
        let backend = silent().await;
        let plans = Plans::new([backend.address]);
        let world = plans
            .with(|plans| {
                plans.forward.timeouts.backend_request = Some(SHORT);
                plans.settings.upstream.retries = 0;
            })
            .build();
        let failure = world.get("/").await.expect_err("no answer");
        assert_eq!(failure, Failure::TimedOut("backend"));
        assert_eq!(failure.status(), 504);
        assert_eq!(world.count(|state| state.ejections()), 1);
    });
}

#[test]
fn a_try_that_took_too_long_is_repeated_elsewhere() {
    on_worker(async {
        let (slow, good) = (silent().await, Backend::named("b").await);
        let plans = Plans::new([slow.address, good.address]);
        let world = plans.with(|plans| plans.forward.timeouts.backend_request = Some(SHORT)).build();
        for _ in 0..2 {
            assert_eq!(world.get("/").await, Ok((200, "b".into())));
        }
        assert_eq!(slow.requests.get(), 1);
    });
}

#[test]
fn the_total_limit_holds_over_all_tries() {
    on_worker(async {
        let backend = silent().await;
        let plans = Plans::new([backend.address]);
        let world = plans.with(|plans| plans.forward.timeouts.request = Some(SHORT)).build();
        assert_eq!(world.get("/").await, Err(Failure::TimedOut("request")));
    });
}

#[test]
fn the_total_limit_holds_for_the_body_of_the_answer() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
            peer.silence().await;
        })
        .await;
        let plans = Plans::new([backend.address]);
        let world = plans.with(|plans| plans.forward.timeouts.request = Some(SHORT)).build();
        let answer = world.send(get("/")).await.expect("a head");
        let error = answer.into_body().collect().await.expect_err("half a body");
        assert_eq!(error.downcast_ref::<Failure>(), Some(&Failure::TimedOut("request")));
        assert_eq!(world.idle(), 0);
    });
}

#[test]
fn zero_switches_a_limit_off() {
    on_worker(async {
        let backend = Backend::named("a").await;
        let world = Plans::new([backend.address])
            .with(|plans| {
                plans.settings.upstream.first_byte = Duration::from_nanos(1);
                plans.settings.upstream.request = Duration::from_nanos(1);
                plans.forward.timeouts =
                    Timeouts { request: Some(Duration::ZERO), backend_request: Some(Duration::ZERO) };
            })
            .build();
        assert_eq!(world.get("/").await, Ok((200, "a".into())));
    });
}

#[test]
fn the_default_first_byte_limit_begins_when_the_upload_has_ended() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            let mut body = Vec::new();
            while !body.ends_with(b"0\r\n\r\n") {
                body.extend(peer.body(1).await);
            }
            peer.answer("done").await;
        })
        .await;
        let plans = Plans::new([backend.address]);
        let world = plans.with(|plans| plans.settings.upstream.first_byte = SHORT).build();
        let (sender, receiver) = tokio::sync::mpsc::channel::<Chunk>(1);
        let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
            let chunk = receiver.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(http_body::Frame::data(chunk)), receiver))
        });
        let body = Body::boxed(http_body_util::StreamBody::new(frames));
        let upload = async {
            for _ in 0..3 {
                tokio::time::sleep(SHORT * 2).await;
                sender.send(Chunk::from_static(b"x")).await.expect("the backend reads");
            }
            drop(sender);
        };
        let (answer, ()) = tokio::join!(world.send(request(Method::POST, "/", body)), upload);
        assert_eq!(text(answer.expect("an answer")).await, "done");
    });
}
