//! A node with something to look at, and a page that looks at it.

use std::{panic::AssertUnwindSafe, path::Path};

use futures_util::FutureExt as _;
use postern_proxy::{app::App, settings::Settings, telemetry::log::LevelControl};

use crate::browser::Page;

/// Two routes, of which the longer path wins, a backend that is not there, and a middleware with a mistake.
pub(crate) const MANIFESTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: ['192.0.2.7'], conditions: {ready: true}}, {addresses: ['192.0.2.8'], conditions: {ready: true}}]
ports: [{name: http, port: 8080}]
---
apiVersion: v1
kind: Secret
metadata: {name: users, namespace: shop}
stringData: {users: 'admin:$apr1$hidden00$x1K2hGLKTLPzVqmVj9zaR1'}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: users, namespace: shop}
spec: {basicAuth: {secret: users}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: marks, namespace: shop}
spec: {headers: {customRequestHeaders: {X-Secret: hidden-value}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  annotations: {traefik.ingress.kubernetes.io/router.middlewares: 'shop-marks@kubernetescrd,shop-users@kubernetescrd'}
spec:
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
      - {path: /cart, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: broken, namespace: shop}
spec:
  rules:
  - host: broken.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: missing, port: {number: 80}}}}
";

/// Runs `test` with a page and the origin of a node that serves `manifests`, which lie in a directory.
pub(crate) fn look<T>(manifests: &str, test: impl AsyncFnOnce(&mut Page, &str, &Path) -> T) -> T {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("all.yaml"), manifests).expect("written");
    let mut settings = Settings {
        manifests: Some(directory.path().to_owned()),
        bind: vec![[127, 0, 0, 1].into()],
        port_map: vec![(80, 0), (443, 0)],
        workers: 1,
        drain_deadline: std::time::Duration::ZERO,
        ..Settings::default()
    };
    settings.admin.address = Some(([127, 0, 0, 1], 0).into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let app = App::build(settings, LevelControl::default()).await.expect("a node");
        let (origin, state) = (format!("http://{}", app.bound().admin.expect("bound")), app.state());
        let testing = async {
            let tested = AssertUnwindSafe(async {
                let mut page = Page::open().await;
                (test(&mut page, &origin, directory.path()).await, page)
            });
            let tested = tested.catch_unwind().await;
            // The node ends whatever came of the test.
            state.drain.notify_one();
            tested
        };
        let never = std::future::pending::<()>;
        let (tested, ()) = tokio::join!(testing, app.run(never(), never()));
        let (result, page) = tested.unwrap_or_else(|failure| std::panic::resume_unwind(failure));
        assert_only_looked(&page, &origin);
        result
    })
}

/// Holds for every test: nobody else was asked, nothing was changed, and the browser had nothing to object to.
fn assert_only_looked(page: &Page, origin: &str) {
    let asked = page.asked();
    assert!(asked.iter().any(|it| it.url.contains("/api/v1/")), "{asked:?}");
    for it in &asked {
        assert_eq!(it.method, "GET", "{it:?}");
        assert!(it.url == "about:blank" || it.url.starts_with(&format!("{origin}/")), "{it:?}");
    }
    let complaints = page.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}
