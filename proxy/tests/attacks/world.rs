//! A node, backends that write down what reaches them, and a client that sends what it is told.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use postern_proxy::{
    app::{App, Bound},
    settings::Settings,
    telemetry::log::LevelControl,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that answers every head with the same bytes.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        Self::answering(OK).await
    }

    pub(crate) async fn answering(answer: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (log, answer) = (heads.clone(), Arc::new(answer.into()));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, log.clone(), answer.clone()));
            }
        });
        Self { address, heads, task }
    }

    /// The heads that have come since the last look.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().expect("not poisoned"))
    }

    /// The one head that has come since the last look.
    pub(crate) fn only(&self) -> String {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(mut stream: TcpStream, log: Arc<Mutex<Vec<String>>>, answer: Arc<String>) {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = end else {
            match stream.read_buf(&mut bytes).await {
                Ok(1..) => continue,
                _ => return,
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end + 2]).into_owned();
        let length = field(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while bytes.len() < end + 4 + length {
            if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
        }
        bytes.drain(..end + 4 + length);
        log.lock().expect("not poisoned").push(head);
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The value of the only field of a name, which is in lower case.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let values = fields(head, name);
    assert!(values.len() <= 1, "{name} is there more than once: {head}");
    values.first().copied()
}

/// All values of a field.
pub(crate) fn fields<'h>(head: &'h str, name: &str) -> Vec<&'h str> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}

/// The target of a head.
pub(crate) fn target(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// Manifests in the making; all of it in namespace `default`.
#[derive(Default)]
pub(crate) struct Manifests(String);

impl Manifests {
    pub(crate) fn document(mut self, text: &str) -> Self {
        write!(self.0, "---\n{text}\n").expect("a String takes every text");
        self
    }

    /// A Service that leads to `backend`.
    pub(crate) fn service(self, name: &str, backend: &Backend) -> Self {
        let (address, port) = (backend.address.ip(), backend.address.port());
        self.document(&format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
             spec: {{ports: [{{name: http, port: 80}}]}}"
        ))
        .document(&format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: {name}-1, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}\n\
             addressType: IPv4\nendpoints: [{{addresses: ['{address}'], conditions: {{ready: true}}}}]\n\
             ports: [{{name: http, port: {port}}}]"
        ))
    }

    pub(crate) fn middleware(self, name: &str, spec: &str) -> Self {
        self.document(&format!(
            "apiVersion: traefik.io/v1alpha1\nkind: Middleware\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  {spec}"
        ))
    }

    /// A Secret with one key `users`.
    pub(crate) fn users(self, name: &str, file: &str) -> Self {
        self.document(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\nstringData: {{users: '{file}'}}"
        ))
    }

    /// An Ingress that leads from a host and a path through middlewares to a Service.
    pub(crate) fn route(self, host: &str, path: &str, through: &[&str], service: &str) -> Self {
        let name = format!("{host}{}", path.replace('/', "-")).trim_end_matches('-').to_owned();
        let refs: Vec<_> = through.iter().map(|name| format!("default-{name}@kubernetescrd")).collect();
        let annotation = "traefik.ingress.kubernetes.io/router.middlewares";
        self.document(&format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\n\
             metadata: {{name: {name}, namespace: default, annotations: {{{annotation}: '{}'}}}}\n\
             spec: {{rules: [{{host: {host}, http: {{paths: [{{path: {path}, pathType: Prefix, backend: \
             {{service: {{name: {service}, port: {{number: 80}}}}}}}}]}}}}]}}",
            refs.join(", ")
        ))
    }
}

/// Runs a test where backends can live.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test)
}

/// Runs `test` beside a node that serves `manifests`.
pub(crate) async fn beside_node<T>(manifests: Manifests, test: impl AsyncFnOnce(Bound) -> T) -> T {
    beside_node_as(manifests, |_| {}, test).await
}

/// The same with other settings.
pub(crate) async fn beside_node_as<T>(
    manifests: Manifests,
    change: impl FnOnce(&mut Settings),
    test: impl AsyncFnOnce(Bound) -> T,
) -> T {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("all.yaml"), manifests.0).expect("written");
    let mut settings = Settings {
        manifests: Some(directory.path().to_owned()),
        bind: vec![[127, 0, 0, 1].into()],
        port_map: vec![(80, 0), (443, 0)],
        workers: 1,
        drain_deadline: Duration::from_millis(100),
        ..Settings::default()
    };
    settings.admin.address = None;
    change(&mut settings);
    let app = App::build(settings, LevelControl::default()).await.expect("a node");
    let bound = app.bound();
    let (done, stop) = tokio::sync::oneshot::channel::<()>();
    let testing = async {
        let result = test(bound).await;
        drop(done);
        result
    };
    let stopped = async { drop(stop.await) };
    let (result, ()) = tokio::join!(testing, app.run(stopped, std::future::pending()));
    result
}

/// Where plain HTTP is served.
pub(crate) fn web(bound: &Bound) -> SocketAddr {
    bound.listener(80).expect("bound")
}

/// Sends bytes and reads until the server closes.
pub(crate) async fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let asking = async {
        let mut stream = TcpStream::connect(address).await.expect("a listener");
        stream.write_all(bytes.as_ref()).await.expect("written");
        let mut answer = Vec::new();
        // A reset behind an answer is an end too.
        let _end = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(DEADLINE, asking).await.expect("an answer in time")
}

/// A GET with further fields (each ends in CR LF).
pub(crate) async fn get(address: SocketAddr, host: &str, target: &str, fields: &str) -> String {
    let close = if fields.to_ascii_lowercase().contains("connection:") { "" } else { "Connection: close\r\n" };
    send(address, format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{close}{fields}\r\n")).await
}

/// The status of an answer.
pub(crate) fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// forwardAuth to `server`.
pub(crate) fn auth(server: &Backend, options: &str) -> String {
    format!("forwardAuth: {{address: 'http://{}/auth'{options}}}", server.address)
}
