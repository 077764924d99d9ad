//! A whole node on real sockets: manifests in, requests and admin answers out, then a drain that the API asks for.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use postern_proxy::{
    app::{App, Bound},
    demo::echo,
    settings::{Metrics, Settings},
    telemetry::log::LevelControl,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const DEADLINE: Duration = Duration::from_secs(30);

fn manifests(backend: SocketAddr, host: &str) -> String {
    let (address, port) = (backend.ip(), backend.port());
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
endpoints: [{{addresses: ['{address}'], conditions: {{ready: true}}}}]
ports: [{{name: http, port: {port}}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web, namespace: shop}}
spec:
  rules:
  - host: {host}
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: broken, namespace: shop}}
spec:
  rules:
  - host: broken.example.com
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: missing, port: {{number: 80}}}}}}}}
"
    )
}

/// Runs `test` beside a node that serves `directory`; the node must end by itself.
fn with_node<T>(directory: &Path, test: impl AsyncFnOnce(Bound) -> T) -> T {
    with_node_as(directory, |_| {}, test)
}

/// The same with other settings.
fn with_node_as<T>(directory: &Path, change: impl FnOnce(&mut Settings), test: impl AsyncFnOnce(Bound) -> T) -> T {
    let mut settings = Settings {
        manifests: Some(directory.to_owned()),
        bind: vec![[127, 0, 0, 1].into()],
        port_map: vec![(80, 0), (443, 0)],
        workers: 2,
        metrics: Metrics {
            routes: true,
            address: Some(([127, 0, 0, 1], 0).into()),
            from: vec!["127.0.0.1/32".parse().expect("a network")],
        },
        ..Settings::default()
    };
    settings.admin.address = Some(([127, 0, 0, 1], 0).into());
    settings.admin.vip = Some(([127, 0, 0, 2], 0).into());
    change(&mut settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let app = App::build(settings, LevelControl::default()).await.expect("a node");
        let bound = app.bound();
        let never = std::future::pending::<()>;
        let (result, ()) = tokio::join!(test(bound), app.run(never(), never()));
        result
    })
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let asking = async {
        let mut stream = TcpStream::connect(address).await.expect("a listener");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("read");
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(DEADLINE, asking).await.expect("an answer in time")
}

async fn get(address: SocketAddr, host: &str, target: &str) -> String {
    ask(address, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let trying = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, trying).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn a_node_serves_follows_its_manifests_and_shows_what_it_does() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("all.yaml");
    let backends = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let backends = backends.expect("a runtime");
    let (listeners, port) = backends.block_on(echo::bind(&[[127, 0, 0, 1].into()])).expect("a free port");
    listeners.into_iter().for_each(|listener| drop(backends.spawn(echo::serve(listener))));
    let backend = SocketAddr::from(([127, 0, 0, 1], port));
    std::fs::write(&file, manifests(backend, "old.example.com")).expect("written");
    with_node(directory.path(), async |bound| {
        let web = bound.listener(80).expect("bound");
        let admin = bound.admin.expect("bound");

        assert_eq!(status(&get(admin, "127.0.0.1", "/readyz").await), "200");
        let served = get(web, "old.example.com", "/a?b=1").await;
        assert_eq!(status(&served), "200", "{served}");
        assert!(served.contains("GET /a?b=1"), "{served}");
        assert_eq!(status(&get(web, "nobody.example.com", "/").await), "404");

        shows_the_dashboard(admin).await;
        shows_verdicts(admin).await;
        searches(admin).await;
        answers_tools_made_for_traefik(admin).await;
        explains(admin).await;
        guards(admin).await;
        counts(admin).await;
        answers_scrapers(bound.metrics.expect("bound")).await;
        answers_viewers(bound.admin_vip.expect("bound")).await;

        let next = directory.path().join("next");
        std::fs::write(&next, manifests(backend, "new.example.com")).expect("written");
        std::fs::rename(&next, &file).expect("renamed");
        eventually("the new route is served", async || status(&get(web, "new.example.com", "/").await) == "200").await;
        assert_eq!(status(&get(web, "old.example.com", "/").await), "404");

        let drained = ask(admin, "POST /api/v1/drain HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await;
        assert_eq!(status(&drained), "202", "{drained}");
    });
}

async fn shows_the_dashboard(admin: SocketAddr) {
    for path in ["/", "/dashboard/"] {
        let page = get(admin, "localhost", path).await;
        let head = page.split("\r\n\r\n").next().unwrap_or_default().to_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self';"), "{head}");
        assert!(!head.contains("unsafe"), "{head}");
        assert!(page.contains("<title>Postern</title>"), "{page}");
    }
    let overview = get(admin, "localhost", "/api/v1/overview").await;
    let overview: serde_json::Value = serde_json::from_str(body(&overview)).expect("JSON");
    assert_eq!(overview["endpoints"]["ready"], 1, "{overview}");
    let web = overview["traffic"].as_array().and_then(|all| all.iter().find(|one| one["entryPoint"] == "web"));
    assert_eq!(web.expect("an entry point")["requests"], 2, "{overview}");
}

async fn searches(admin: SocketAddr) {
    for (target, total) in [
        ("routes?q=old+ingress", 2),
        ("routes?q=SHOP/WEB:80", 2),
        ("routes?q=old+missing", 0),
        ("routes?state=closed", 2),
        ("routes?state=closed&limit=1", 2),
        ("clusters?q=web:80", 1),
        ("clusters?state=refused", 1),
        ("clusters?state=unhealthy", 0),
        ("problems?q=missing", 1),
        ("problems?verdict=warning", 0),
    ] {
        let answer = get(admin, "localhost", &format!("/api/v1/{target}")).await;
        let found: serde_json::Value = serde_json::from_str(body(&answer)).expect("JSON");
        assert_eq!(found["total"], total, "{target}: {found}");
    }
}

/// Shapes and paging of Traefik's API, and what it must not show.
async fn answers_tools_made_for_traefik(admin: SocketAddr) {
    let ask = async |target: &str| {
        let answer = get(admin, "localhost", target).await;
        assert_eq!(status(&answer), "200", "{target}: {answer}");
        let json: serde_json::Value = serde_json::from_str(body(&answer)).expect("JSON");
        (json, answer)
    };
    assert_eq!(body(&get(admin, "localhost", "/ping").await), "OK");
    let (routers, answer) = ask("/api/http/routers?search=old&per_page=1").await;
    assert!(answer.contains("x-next-page: 1\r\n"), "{answer}");
    let router = &routers[0];
    assert_eq!(router["name"], "shop-web-old-example-com@kubernetes", "{router}");
    assert_eq!(router["rule"], "Host(`old.example.com`) && PathPrefix(`/`)");
    assert_eq!(router["entryPoints"], serde_json::json!(["web", "websecure"]));
    assert_eq!(router["service"], "shop-web-80@kubernetes");
    let (disabled, _) = ask("/api/http/routers?status=disabled").await;
    assert_eq!(disabled.as_array().map(Vec::len), Some(1), "{disabled}");
    assert!(disabled[0]["error"][0].as_str().is_some_and(|why| why.contains("missing")), "{disabled}");
    let (service, _) = ask("/api/http/services/shop-web-80@kubernetes").await;
    assert_eq!((&service["type"], &service["provider"]), (&"loadbalancer".into(), &"kubernetes".into()), "{service}");
    assert!(service["serverStatus"].as_object().is_some_and(|all| all.values().all(|up| up == "UP")), "{service}");
    let (overview, _) = ask("/api/overview").await;
    assert_eq!(
        overview["http"]["routers"],
        serde_json::json!({ "total": 2, "warnings": 0, "errors": 1 }),
        "{overview}"
    );
    let (raw, _) = ask("/api/rawdata").await;
    assert_eq!(raw["routers"]["shop-web-old-example-com@kubernetes"]["status"], "enabled", "{raw}");
    let (points, _) = ask("/api/entrypoints").await;
    assert_eq!(points[0]["address"], ":80", "{points}");
    assert!(ask("/api/version").await.0["Version"].is_string());
    for (target, expected) in [
        ("/api/http/routers?page=9", "400"),
        ("/api/http/routers/none@kubernetes", "404"),
        ("/api/http/routersx", "404"),
    ] {
        assert_eq!(status(&get(admin, "localhost", target).await), expected, "{target}");
    }
}

async fn shows_verdicts(admin: SocketAddr) {
    let problems = get(admin, "localhost", "/api/v1/problems").await;
    let problems: serde_json::Value = serde_json::from_str(body(&problems)).expect("JSON");
    let broken = problems["objects"].as_array().expect("a list").iter().find(|object| object["name"] == "broken");
    let broken = broken.unwrap_or_else(|| panic!("the broken Ingress has a verdict: {problems}"));
    let finding = &broken["findings"][0];
    assert!(finding["message"].as_str().is_some_and(|text| text.contains("missing")), "{finding}");
    assert!(broken["file"].as_str().is_some_and(|file| file.ends_with("all.yaml")), "{broken}");
    for path in [
        "overview",
        "objects",
        "listeners",
        "routes?host=old.example.com",
        "clusters",
        "certificates",
        "middlewares",
        "version",
    ] {
        let answer = get(admin, "localhost", &format!("/api/v1/{path}")).await;
        assert_eq!(status(&answer), "200", "{path}");
        assert!(serde_json::from_str::<serde_json::Value>(body(&answer)).is_ok(), "{path}: {answer}");
    }
}

async fn explains(admin: SocketAddr) {
    let answer = get(admin, "localhost", "/api/v1/explain?url=http%3A%2F%2Fold.example.com%2Fa").await;
    let answer: serde_json::Value = serde_json::from_str(body(&answer)).expect("JSON");
    assert_eq!(answer["outcome"]["route"], "Ingress shop/web", "{answer}");
    assert_eq!(status(&get(admin, "localhost", "/api/v1/explain?url=nonsense").await), "400");
}

async fn guards(admin: SocketAddr) {
    assert_eq!(status(&get(admin, "attacker.example", "/api/v1/overview").await), "421");
    assert_eq!(status(&get(admin, "localhost", "/nowhere").await), "404");
    let posted = "POST /api/v1/drain HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://attacker.example\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&ask(admin, posted).await), "403");
    let head = ask(admin, "HEAD /api/v1/overview HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!((status(&head), body(&head)), ("200", ""));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}Connection: close\r\n\r\n", "X: a\r\n".repeat(80));
    assert_eq!(status(&ask(admin, &many).await), "431");
}

async fn answers_viewers(vip: SocketAddr) {
    assert_eq!(status(&get(vip, "127.0.0.2", "/api/v1/overview").await), "200");
    let drain = ask(vip, "POST /api/v1/drain HTTP/1.1\r\nHost: 127.0.0.2\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&drain), "405", "{drain}");
}

#[test]
fn the_admin_server_answers_at_its_vip_to_those_alone_who_may_ask() {
    let directory = tempfile::tempdir().expect("a directory");
    let stranger = |settings: &mut Settings| settings.admin.from = vec!["192.168.0.0/16".parse().expect("a network")];
    with_node_as(directory.path(), stranger, async |bound| {
        let mut stream = TcpStream::connect(bound.admin_vip.expect("bound")).await.expect("it listens");
        let closed = tokio::time::timeout(DEADLINE, stream.read(&mut [0])).await.expect("in time");
        assert!(!matches!(closed, Ok(1..)), "{closed:?}");
        let drain = "POST /api/v1/drain HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        assert_eq!(status(&ask(bound.admin.expect("bound"), drain).await), "202");
    });
}

/// The way in that people have from Traefik: a route to its API, behind an allow-list.
#[test]
fn a_route_leads_to_the_dashboard_and_to_nothing_that_changes() {
    const ROUTES: &str = "
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: lan, namespace: edge}
spec: {ipAllowList: {sourceRange: [127.0.0.0/8]}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: elsewhere, namespace: edge}
spec: {ipAllowList: {sourceRange: [192.0.2.0/24]}}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: inside, namespace: edge}
spec:
  entryPoints: [web]
  routes:
  - match: Host(`traefik.example.com`) && (PathPrefix(`/api`) || PathPrefix(`/dashboard`))
    middlewares: [{name: lan}]
    services: [{kind: TraefikService, name: api@internal}]
  - match: Host(`refused.example.com`)
    middlewares: [{name: elsewhere}]
    services: [{kind: TraefikService, name: api@internal}]
  - match: Host(`all.example.com`)
    services: [{kind: TraefikService, name: api@internal}]
  - match: Host(`metrics.example.com`)
    services: [{kind: TraefikService, name: prometheus@internal}]
  - match: Host(`ping.example.com`)
    services: [{kind: TraefikService, name: ping@internal}]
";
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("all.yaml"), ROUTES).expect("written");
    with_node(directory.path(), async |bound| {
        let web = bound.listener(80).expect("bound");
        for (host, target, expected) in [
            ("traefik.example.com", "/dashboard/", "200"),
            ("traefik.example.com", "/dashboard", "308"),
            ("traefik.example.com", "/dashboard/app/main.js", "200"),
            ("traefik.example.com", "/api/v1/overview", "200"),
            ("traefik.example.com", "/api/version", "200"),
            ("traefik.example.com", "/", "404"),
            ("refused.example.com", "/api/v1/overview", "403"),
            ("all.example.com", "/", "200"),
            ("all.example.com", "/metrics", "404"),
            ("all.example.com", "/api/v1/drain", "405"),
            ("metrics.example.com", "/metrics", "200"),
            ("ping.example.com", "/ping", "200"),
        ] {
            let answer = get(web, host, target).await;
            assert_eq!(status(&answer), expected, "{host}{target}: {answer}");
        }
        let page = get(web, "traefik.example.com", "/dashboard/").await;
        assert!(page.contains("script-src 'self'") && page.contains("<title>Postern</title>"), "{page}");
        for target in ["/api/v1/drain", "/api/v1/vips/drain", "/api/v1/log-level?level=trace", "/api/v1/overview"] {
            let post = format!("POST {target} HTTP/1.1\r\nHost: all.example.com\r\nConnection: close\r\n\r\n");
            assert_eq!(status(&ask(web, &post).await), "405", "{target}");
        }
        let admin = bound.admin.expect("bound");
        let problems = get(admin, "localhost", "/api/v1/problems").await;
        assert_eq!(problems.matches("InternalServiceOpen").count(), 2, "{problems}");
        let explained = get(admin, "localhost", "/api/v1/explain?url=http://all.example.com/").await;
        assert!(explained.contains("api@internal") && !explained.contains("has no endpoint"), "{explained}");
        let router = get(admin, "localhost", "/api/http/routers?search=all.example.com").await;
        assert!(router.contains("\"service\":\"api@internal\"") && router.contains("enabled"), "{router}");
        let drain = "POST /api/v1/drain HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        assert_eq!(status(&ask(admin, drain).await), "202");
    });
}

async fn answers_scrapers(metrics: SocketAddr) {
    for (target, expected) in [
        ("/metrics", "200"),
        ("/healthz", "200"),
        ("/readyz", "200"),
        ("/ping", "200"),
        ("/", "404"),
        ("/api/v1/overview", "404"),
    ] {
        assert_eq!(status(&get(metrics, "127.0.0.1", target).await), expected, "{target}");
    }
    let drain = ask(metrics, "POST /api/v1/drain HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&drain), "404", "{drain}");
    let elsewhere = tokio::net::TcpSocket::new_v4().expect("a socket");
    elsewhere.bind(([127, 0, 0, 2], 0).into()).expect("bound");
    let mut stream = elsewhere.connect(metrics).await.expect("the system accepts it");
    let mut answer = Vec::new();
    // Closed before anything was asked; a reset is as good.
    let closed = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("closed in time");
    assert!(closed.is_err() || answer.is_empty(), "{answer:?}");
}

async fn counts(admin: SocketAddr) {
    let text = get(admin, "localhost", "/metrics").await;
    for line in [
        "postern_entry_point_requests_total{entry_point=\"web\",protocol=\"http1\",code=\"2xx\"} 1",
        "postern_entry_point_requests_total{entry_point=\"web\",protocol=\"http1\",code=\"4xx\"} 1",
        "postern_cluster_requests_total{cluster=\"shop/web:80\",code=\"2xx\"} 1",
        "postern_route_requests_total{kind=\"Ingress\",namespace=\"shop\",name=\"web\",code=\"2xx\"} 1",
        "postern_failures_total{reason=\"no-route\"} 1",
        "postern_ready 1",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
    }
    lint(body(&text));
    let asked =
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\nConnection: close\r\n\r\n";
    assert!(body(&ask(admin, asked).await).ends_with("# EOF\n"));
}

/// Every sample belongs to the family before it, no sample comes twice, and histograms are cumulative.
fn lint(text: &str) {
    let (mut family, mut kinds, mut seen) = (String::new(), BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a kind");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            family = name.to_owned();
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let name = series.split('{').next().unwrap_or(series);
            assert!(name.starts_with(&family), "{line} is not of {family}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(seen.insert(series.to_owned(), ()).is_none(), "{series} twice");
        }
    }
}
