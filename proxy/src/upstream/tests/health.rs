//! Probes decide who gets requests.

use postern_config::model::cluster::ActiveHealth;

use super::*;
use crate::upstream::health::active;

fn probes() -> ActiveHealth {
    ActiveHealth {
        path: "/healthz".into(),
        host: Some("probe.example".into()),
        port: None,
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(5),
        status: None,
        healthy_after: 1,
        unhealthy_after: 2,
    }
}

/// Ends when `holds`; the test's own deadline is the limit.
async fn eventually(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn an_endpoint_whose_probes_fail_gets_no_requests_until_they_succeed() {
    on_worker(async {
        let sick = Rc::new(Cell::new(true));
        let state = sick.clone();
        let backend = Backend::raw(move |mut peer, _| {
            let sick = state.clone();
            async move {
                while let Some(head) = peer.head().await {
                    if head.starts_with("GET /healthz") {
                        assert!(head.contains("host: probe.example\r\n"), "{head}");
                    }
                    let status = if sick.get() { "500 Sick" } else { "204 Fine" };
                    peer.write(&format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
                }
            }
        })
        .await;
        let world = Plans::new([backend.address]).with(|plans| plans.spec.health = Some(probes())).build();
        let running = tokio::spawn(active::run(world.worker.shared.clone()));
        let unhealthy = || world.count(|state| u64::from(state.is_unhealthy()));
        eventually(|| unhealthy() == 1).await;
        assert_eq!(world.get("/").await, Err(Failure::NoEndpoints));
        sick.set(false);
        eventually(|| unhealthy() == 0).await;
        assert_eq!(world.get("/").await, Ok((204, String::new())));
        running.abort();
    });
}

#[test]
fn probes_end_with_the_cluster() {
    on_worker(async {
        let backend = Backend::named("a").await;
        let plans = Plans::new([backend.address]).with(|plans| plans.spec.health = Some(probes()));
        let mut spec = plans.spec.clone();
        let world = plans.build();
        let running = tokio::spawn(active::run(world.worker.shared.clone()));
        eventually(|| backend.requests.get() > 0).await;
        spec.health = None;
        world.change(spec);
        // Let go of the old plan, as workers do at their next request.
        world.worker.plan();
        tokio::time::sleep(Duration::from_millis(150)).await;
        let so_far = backend.requests.get();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(backend.requests.get(), so_far);
        running.abort();
    });
}
