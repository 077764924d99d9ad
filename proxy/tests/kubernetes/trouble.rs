//! What a node makes of an API server that vanishes, of kinds that it cannot list, and of rights that are halves.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    node::Node,
    support::control_plane::{Channel, ControlPlane},
    watch::{CLASSES, ingress, shop},
};

/// How soon it is to be noticed that nobody answers any more, on a busy machine too.
const NOTICED: Duration = Duration::from_secs(30);

/// Stands between a node and the API server, and can stop passing anything on without closing a connection, as a
/// network does that drops packets behind a balancer.
struct Between {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
}

impl Between {
    fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopped = is_stopped.clone();
        std::thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let Ok(to) = TcpStream::connect(to) else { continue };
                let pairs = [(&from, &to), (&to, &from)];
                for (from, to) in pairs.map(|(from, to)| (from.try_clone(), to.try_clone())) {
                    let stopped = stopped.clone();
                    std::thread::spawn(move || pass_on(from?, to?, &stopped));
                }
            }
        });
        Self { address, is_stopped }
    }

    /// As `kubeconfig`, but by way of this one.
    fn kubeconfig(&self, kubeconfig: &Path, directory: &Path, port: u16) -> PathBuf {
        let text = std::fs::read_to_string(kubeconfig).expect("it is there");
        let through = text.replace(&format!(":{port}"), &format!(":{}", self.address.port()));
        assert_ne!(through, text, "it names the API server's port");
        let file = directory.join("between.kubeconfig");
        std::fs::write(&file, through).expect("written");
        file
    }
}

/// What is read while it is stopped is lost, and the connection with it.
fn pass_on(mut from: TcpStream, mut to: TcpStream, is_stopped: &AtomicBool) -> io::Result<()> {
    use io::{Read, Write};
    let mut piece = [0; 16 << 10];
    let mut is_lost = false;
    loop {
        let read = from.read(&mut piece)?;
        is_lost |= is_stopped.load(Relaxed);
        match piece.get(..read) {
            Some([]) | None => return to.shutdown(std::net::Shutdown::Both),
            Some(bytes) if !is_lost => to.write_all(bytes)?,
            Some(_) => {}
        }
    }
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn an_api_server_that_vanishes_without_a_word_is_noticed_in_time() {
    let Some(cluster) = ControlPlane::start() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    cluster.apply(&[shop("shop"), ingress("shop", "a", "")].concat());
    let between = Between::start(cluster.address());
    let kubeconfig = between.kubeconfig(&cluster.kubeconfig(), directory.path(), cluster.address().port());
    let node = Node::start(&kubeconfig, &directory.path().join("cache"), "");
    node.until_status("a.example.com", 200);
    assert!(!node.log().contains("cannot be followed"), "{}", node.log());

    between.is_stopped.store(true, Relaxed);
    let began = Instant::now();
    node.until("that nobody answers", |node| node.log().contains("cannot be followed").then_some(()));
    let noticed = began.elapsed();
    eprintln!("a silent API server is noticed after {noticed:?}");
    assert!(noticed <= NOTICED, "{noticed:?}");
    assert_eq!(node.status("a.example.com"), Some(200));
    cluster.apply(&ingress("shop", "b", ""));
    between.is_stopped.store(false, Relaxed);
    node.until_status("b.example.com", 200);
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn a_kind_that_can_never_be_listed_costs_only_itself_and_heals() {
    let Some(cluster) = ControlPlane::start() else { return };
    cluster.install_crds(Channel::Standard);
    let crd = "httproutes.gateway.networking.k8s.io";
    let patch = |patch: &str, kind: &str| {
        cluster.kubectl(&["patch", "crd", crd, "--type", kind, "-p", patch]).expect("it is taken");
    };
    // Stored in one version, read in another, converted by nobody.
    let webhook = "{\"spec\":{\"conversion\":{\"strategy\":\"Webhook\",\"webhook\":{\"conversionReviewVersions\":[\"v1\"],\
                   \"clientConfig\":{\"url\":\"https://127.0.0.1:9/convert\"}}}}}";
    let stored = |name: &str| {
        let definition = cluster.get("crd", "", crd);
        let versions = definition["spec"]["versions"].as_array().expect("versions");
        let patches: Vec<_> = (0..versions.len())
            .map(|at| {
                let value = versions[at]["name"] == name;
                format!("{{\"op\":\"replace\",\"path\":\"/spec/versions/{at}/storage\",\"value\":{value}}}")
            })
            .collect();
        patch(&format!("[{}]", patches.join(",")), "json");
    };
    // What a server has at hand, objects and definitions, it goes on with for a while.
    let restart = || {
        cluster.stop_api_server();
        cluster.start_api_server();
    };
    stored("v1beta1");
    restart();
    cluster.apply(&format!("{}---{CLASSES}{}", shop("shop"), ingress("shop", "a", "")));
    patch(webhook, "merge");
    restart();
    let cache = tempfile::tempdir().expect("a directory");
    let node = Node::start(&cluster.kubeconfig(), cache.path(), "");
    node.until("which kind it waits for", |node| {
        let ready = node.admin("/readyz");
        (ready.contains("not ready") && ready.contains("waiting for HTTPRoute (")).then_some(())
    });
    node.until_within(Duration::from_secs(100), "the rest", |node| {
        (node.status("a.example.com") == Some(200)).then_some(())
    });
    assert_eq!(node.status("moved.example.com"), Some(503), "{}", node.log());
    let problems = node.json("/api/v1/problems")["input"].to_string();
    assert!(problems.contains("/httproutes") && problems.contains("answered 503"), "{problems}");
    assert!(node.admin("/metrics").contains("kind=\"HTTPRoute\",namespace=\"\",state=\"failing\"} 1"));
    patch("{\"spec\":{\"conversion\":{\"strategy\":\"None\",\"webhook\":null}}}", "merge");
    node.until_status("moved.example.com", 302);
    node.until_status("unheard.example.com", 404);
    node.until("no problems", |node| (node.json("/api/v1/problems")["input"] == serde_json::json!([])).then_some(()));
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn what_may_be_listed_and_not_watched_is_followed_slowly_and_told() {
    const OTHERS: &str = "{apiGroups: ['', discovery.k8s.io], verbs: [get, list, watch], \
         resources: [services, configmaps, secrets, namespaces, endpointslices, pods, nodes]}, \
         {apiGroups: [networking.k8s.io], resources: [ingressclasses], verbs: [get, list, watch]}";
    const LIST: &str = "{apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [get, list]}";
    const WATCH: &str = "{apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [get, list, watch]}";
    let Some(cluster) = ControlPlane::start() else { return };
    let cache = tempfile::tempdir().expect("a directory");
    let reader = cluster.user("reader", &format!("[{OTHERS}, {LIST}]"));
    cluster.apply(&[shop("shop"), ingress("shop", "a", "")].concat());
    let node = Node::start(&reader, cache.path(), "");
    node.until_status("a.example.com", 200);
    let input = |node: &Node| node.json("/api/v1/problems")["input"].to_string();
    node.until("that it may not watch", |node| {
        let input = input(node);
        (input.contains("/ingresses") && input.contains("listed and not watched")).then_some(())
    });
    // There are no CRDs, and a user without rights is not told so by an answer to a list.
    assert!(!input(&node).contains("gateway.networking.k8s.io"), "{}", input(&node));
    assert!(node.admin("/metrics").contains("kind=\"HTTPRoute\",namespace=\"\",state=\"missing\"} 1"));
    cluster.apply(&ingress("shop", "b", ""));
    node.until_status("b.example.com", 200);
    cluster.user("reader", &format!("[{OTHERS}, {WATCH}]"));
    node.until("no problems", |node| (input(node) == "[]").then_some(()));
}
