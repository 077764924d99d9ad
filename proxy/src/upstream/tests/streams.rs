//! Bytes to an endpoint.

use super::*;
use crate::upstream::connect;

#[test]
fn a_stream_is_made_to_an_endpoint_that_lives() {
    on_worker(async {
        let backend = Backend::named("a").await;
        let plans = Plans::new([nobody().await, backend.address, nobody().await]);
        let world = plans.with(|plans| plans.spec.protocol = Protocol::Tcp).build();
        for _ in 0..6 {
            let stream = connect(&world.worker.plan(), &world.forward, &world.worker).await.expect("a stream");
            assert_eq!(stream.get_ref().peer_addr().expect("an address"), backend.address);
        }
    });
}

#[test]
fn without_a_living_endpoint_there_is_none() {
    on_worker(async {
        let world = World::of([nobody().await, nobody().await]);
        let failed = connect(&world.worker.plan(), &world.forward, &world.worker).await;
        assert!(matches!(failed, Err(Failure::Unreachable(_))));
        let world = World::of([]);
        let failed = connect(&world.worker.plan(), &world.forward, &world.worker).await;
        assert_eq!(failed.map(drop), Err(Failure::NoEndpoints));
    });
}
