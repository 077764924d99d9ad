//! Which endpoint a request goes to.

use postern_config::model::cluster::{HashKey, StickyCookie};

use super::*;

async fn backends() -> [Backend; 3] {
    [Backend::named("a").await, Backend::named("b").await, Backend::named("c").await]
}

fn addresses(backends: &[Backend; 3]) -> [SocketAddr; 3] {
    [backends[0].address, backends[1].address, backends[2].address]
}

fn requests(backends: &[Backend; 3]) -> [usize; 3] {
    [backends[0].requests.get(), backends[1].requests.get(), backends[2].requests.get()]
}

#[test]
fn weights_are_honoured_exactly() {
    on_worker(async {
        let backends = backends().await;
        let plans = Plans::new(addresses(&backends));
        let world = plans.with(|plans| plans.spec.endpoints[0].weight = 8).build();
        for _ in 0..50 {
            world.get("/").await.expect("an answer");
        }
        assert_eq!(requests(&backends), [40, 5, 5]);
    });
}

#[test]
fn draining_endpoints_get_new_clients_only_when_no_other_is_left() {
    on_worker(async {
        let backends = backends().await;
        let plans = Plans::new(addresses(&backends)).with(|plans| plans.spec.endpoints[0].draining = true);
        let mut spec = plans.spec.clone();
        let world = plans.build();
        for _ in 0..10 {
            world.get("/").await.expect("an answer");
        }
        assert_eq!(requests(&backends), [0, 5, 5]);
        spec.endpoints.iter_mut().for_each(|endpoint| endpoint.draining = true);
        world.change(spec);
        for _ in 0..3 {
            world.get("/").await.expect("an answer");
        }
        assert_eq!(requests(&backends), [1, 6, 6]);
    });
}

#[test]
fn the_less_busy_of_two_is_chosen() {
    on_worker(async {
        let busy = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            peer.silence().await;
        })
        .await;
        let free = Backend::named("b").await;
        let plans = Plans::new([busy.address, free.address]);
        let world = Rc::new(plans.with(|plans| plans.spec.balance = Balance::PowerOfTwo).build());
        let held = world.clone();
        // One after the other, until one is held by the endpoint that never answers.
        while busy.requests.get() == 0 {
            let held = held.clone();
            let mut sent = tokio::task::spawn_local(async move { drop(held.get("/").await) });
            while busy.requests.get() == 0 && !sent.is_finished() {
                tokio::task::yield_now().await;
            }
            if sent.is_finished() {
                (&mut sent).await.expect("an answer");
            }
        }
        for _ in 0..20 {
            assert_eq!(world.get("/").await, Ok((200, "b".into())));
        }
        assert_eq!(world.count(|state| u64::from(state.in_flight())), busy.requests.get() as u64);
    });
}

#[test]
fn a_key_stays_with_its_endpoint() {
    on_worker(async {
        let backends = backends().await;
        let plans = Plans::new(addresses(&backends));
        let key = HashKey::Header(http::HeaderName::from_static("x-user"));
        let world = plans.with(|plans| plans.spec.balance = Balance::ConsistentHash(key)).build();
        let mut homes = std::collections::HashSet::new();
        for user in 0..30u32 {
            let ask = || async {
                let mut request = get("/");
                request.headers_mut().insert("x-user", HeaderValue::from(user));
                text(world.send(request).await.expect("an answer")).await
            };
            let first = ask().await;
            assert_eq!(ask().await, first);
            homes.insert(first);
        }
        assert_eq!(homes.len(), 3, "thirty users are on three endpoints");
        let before = requests(&backends);
        for _ in 0..9 {
            world.get("/").await.expect("an answer");
        }
        let after = requests(&backends);
        assert_eq!(std::array::from_fn(|n| after[n] - before[n]), [3, 3, 3], "requests without a key take turns");
    });
}

fn sticky() -> StickyCookie {
    StickyCookie {
        name: "lb".into(),
        secure: false,
        http_only: true,
        same_site: None,
        max_age: None,
        path: "/".into(),
        domain: None,
    }
}

async fn ask(world: &World, cookie: Option<&str>) -> (String, Option<String>) {
    let mut request = get("/");
    if let Some(cookie) = cookie {
        request.headers_mut().insert("cookie", HeaderValue::from_str(cookie).expect("a cookie"));
    }
    let answer = world.send(request).await.expect("an answer");
    let set = answer.headers().get("set-cookie").map(|value| value.to_str().expect("text").to_owned());
    (text(answer).await, set)
}

#[test]
fn a_client_stays_with_the_endpoint_that_its_cookie_names() {
    on_worker(async {
        let backends = backends().await;
        let plans = Plans::new(addresses(&backends)).with(|plans| plans.spec.sticky = Some(sticky()));
        let mut spec = plans.spec.clone();
        let world = plans.build();
        let (first, set) = ask(&world, None).await;
        let set = set.expect("a cookie is set");
        assert!(set.ends_with("; Path=/; HttpOnly"), "{set}");
        let cookie = set.split(';').next().expect("a pair");
        for _ in 0..5 {
            assert_eq!(ask(&world, Some(cookie)).await, (first.clone(), None));
        }
        let at = ["a", "b", "c"].iter().position(|name| **name == first).expect("one of the three");
        spec.endpoints[at].draining = true;
        world.change(spec.clone());
        assert_eq!(ask(&world, Some(cookie)).await, (first.clone(), None), "a draining endpoint keeps its clients");
        assert_ne!(ask(&world, None).await.0, first, "and gets no new ones");
        spec.endpoints.remove(at);
        world.change(spec);
        let (other, set) = ask(&world, Some(cookie)).await;
        assert_ne!(other, first);
        assert!(set.is_some(), "a client whose endpoint is gone gets another");
        let forged = ask(&world, Some("lb=nonsense")).await;
        assert!(forged.1.is_some());
    });
}

#[test]
fn a_client_whose_endpoint_died_gets_another_at_once() {
    on_worker(async {
        let backends = backends().await;
        let plans = Plans::new(addresses(&backends)).with(|plans| plans.spec.sticky = Some(sticky()));
        let world = plans.build();
        let (first, set) = ask(&world, None).await;
        let set = set.expect("a cookie is set");
        let cookie = set.split(';').next().expect("a pair");
        let at = ["a", "b", "c"].iter().position(|name| **name == first).expect("one of the three");
        backends[at].kill().await;
        let (other, set) = ask(&world, Some(cookie)).await;
        assert_ne!(other, first);
        assert!(set.is_some_and(|set| !set.starts_with(cookie)));
    });
}

#[test]
fn a_rules_backends_share_by_weight_and_a_bad_one_answers_for_its_share() {
    on_worker(async {
        let backend = Backend::named("a").await;
        let mut world = World::of([backend.address]);
        let good = world.forward.backends[0].clone();
        let bad = Share { target: Target::Invalid { reason: "no such Service".into() }, ..good.clone() };
        world.forward.backends =
            vec![Share { weight: 75, ..good.clone() }, Share { weight: 25, ..bad }, Share { weight: 0, ..good }];
        let mut refused = 0;
        for _ in 0..100 {
            refused += u32::from(world.get("/").await.is_err());
        }
        assert!((24..=26).contains(&refused), "{refused}");
    });
}

#[test]
fn filters_of_the_chosen_backend_are_run() {
    use postern_config::model::filter::{Filter, HeaderChange};
    on_worker(async {
        let backend = Backend::named("a").await;
        let mut world = World::of([backend.address]);
        let set = vec![(http::HeaderName::from_static("x-share"), HeaderValue::from_static("1"))];
        let change = HeaderChange { set, ..HeaderChange::default() };
        world.forward.backends[0].filters = vec![Filter::RequestHeaders(change)];
        world.get("/").await.expect("an answer");
        assert!(backend.heads.borrow()[0].contains("x-share: 1\r\n"));
    });
}
