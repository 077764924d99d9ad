//! Requests of Postern's own.

use super::*;
use crate::upstream::client::{Options, fetch};

async fn fetched(world: &World, uri: &str, options: &Options) -> Result<(u16, String), Failure> {
    let uri = uri.parse().expect("a URI");
    let answer = fetch(&world.worker, &uri, request(Method::GET, "/", Body::Empty), options).await?;
    Ok((answer.status().as_u16(), text(answer).await))
}

#[test]
fn an_origin_is_asked_for_the_uris_path_on_a_kept_connection() {
    on_worker(async {
        let backend = Backend::named("auth").await;
        let world = World::of([]);
        for _ in 0..3 {
            let uri = format!("http://{}/verify?x=1", backend.address);
            assert_eq!(fetched(&world, &uri, &Options::default()).await, Ok((200, "auth".into())));
        }
        assert_eq!(backend.connections.get(), 1);
        let heads = backend.heads.borrow();
        assert!(heads[0].starts_with("GET /verify?x=1 HTTP/1.1\r\n"), "{heads:?}");
        assert!(heads[0].contains(&format!("host: {}\r\n", backend.address)), "{heads:?}");
    });
}

#[test]
fn names_of_services_are_those_of_the_plan() {
    on_worker(async {
        let backend = Backend::named("auth").await;
        let world = World::of([backend.address]);
        for host in ["web.default.svc.cluster.local", "web.default.svc", "web.default.svc:80"] {
            let answer = fetched(&world, &format!("http://{host}/"), &Options::default()).await;
            assert_eq!(answer, Ok((200, "auth".into())), "{host}");
        }
        assert!(backend.heads.borrow()[0].contains("host: web.default.svc.cluster.local\r\n"));
    });
}

#[test]
fn a_slow_origin_is_given_up() {
    on_worker(async {
        let backend = Backend::raw(|mut peer, _| async move {
            peer.head().await;
            peer.silence().await;
        })
        .await;
        let world = World::of([]);
        let options = Options { timeout: Some(Duration::from_millis(20)), tls: None };
        let failure = fetched(&world, &format!("http://{}/", backend.address), &options).await;
        assert_eq!(failure, Err(Failure::TimedOut("request")));
    });
}

#[test]
fn an_address_that_is_none_is_an_error() {
    on_worker(async {
        let world = World::of([]);
        for uri in ["/only/a/path", "ftp://a/", "a:80"] {
            assert!(fetched(&world, uri, &Options::default()).await.is_err(), "{uri}");
        }
    });
}
