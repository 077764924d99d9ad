//! Processes of the built binary that serve the same manifests and meet at the same path.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use postern_proxy::demo::echo;

use super::{PATIENCE, clients};

/// The host of the only route.
pub(crate) const HOST: &str = "shop.example.com";

/// Manifests, a backend, and a place to meet.
pub(crate) struct World {
    folder: tempfile::TempDir,
    authority: rustls_pki_types::CertificateDer<'static>,
    _backend: tokio::runtime::Runtime,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let backend = runtime.expect("a runtime");
        let (listeners, port) = backend.block_on(echo::bind(&[[127, 0, 0, 1].into()])).expect("a free port");
        listeners.into_iter().for_each(|listener| drop(backend.spawn(echo::serve(listener))));
        let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).expect("a certificate");
        let manifests = manifests(port, &made.cert.pem(), &made.signing_key.serialize_pem());
        for name in ["manifests", "run"] {
            std::fs::create_dir(folder.path().join(name)).expect("made");
        }
        std::fs::write(folder.path().join("manifests/all.yaml"), manifests).expect("written");
        let world = Self { folder, authority: made.cert.der().clone(), _backend: backend };
        for path in [world.run(), world.folder.path().to_owned()] {
            open_to_all(&path, if path == world.run() { 0o700 } else { 0o755 });
        }
        world
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub(crate) fn meeting(&self) -> PathBuf {
        self.run().join("handover.sock")
    }

    pub(crate) fn authority(&self) -> rustls_pki_types::CertificateDer<'static> {
        self.authority.clone()
    }

    /// A process that serves, with a predecessor's sockets if there is one.
    pub(crate) fn start(&self, workers: usize) -> Node {
        let mut node = self.spawn(workers, &[]);
        node.started();
        node
    }

    /// The same as another user, whose the directory becomes.
    pub(crate) fn start_as(&self, user: u32, workers: usize) -> Node {
        std::os::unix::fs::chown(self.run(), Some(user), Some(user)).expect("root may");
        let mut command = self.command(workers, &[]);
        command.env("POSTERN_HANDOVER_SOCKET", self.meeting()).uid(user).gid(user);
        let mut node = Node::new(command);
        node.started();
        node
    }

    /// A process that may not have begun. `changes`: a port of objects and the one to bind, or `leave`, `entry`,
    /// `admin` or `metrics`.
    pub(crate) fn spawn(&self, workers: usize, changes: &[(&str, &str)]) -> Node {
        let mut command = self.command(workers, changes);
        command.env("POSTERN_HANDOVER_SOCKET", self.meeting());
        Node::new(command)
    }

    /// The same without a place to meet.
    pub(crate) fn spawn_without(&self, workers: usize, changes: &[(&str, &str)]) -> Node {
        Node::new(self.command(workers, changes))
    }

    fn command(&self, workers: usize, changes: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
        command.args(["serve", "--manifests", "manifests", "--bind", "127.0.0.1"]);
        command.args(["--workers", &workers.to_string()]).current_dir(self.folder.path()).env_clear();
        command.env("POSTERN_LIMITS_CONNECTIONS_PER_ADDRESS", "100000");
        command.env("POSTERN_DRAIN_DEADLINE", "20s");
        let changed = |name: &str| changes.iter().find(|(its, _)| *its == name).map(|(_, value)| *value);
        command.args(["--admin", changed("admin").unwrap_or("127.0.0.1:0")]);
        for port in ["80", "443", "8001", "8002"] {
            command.args(["--map-port", &format!("{port}={}", changed(port).unwrap_or("0"))]);
        }
        if let Some(leave) = changed("leave") {
            command.env("POSTERN_HANDOVER_LEAVE", leave);
        }
        if let Some(address) = changed("metrics") {
            command.env("POSTERN_METRICS_ADDRESS", address);
        }
        if let Some(entry) = changed("entry") {
            let name = format!("postern-{:x}.yaml", rand::random::<u64>());
            std::fs::write(self.folder.path().join(&name), format!("entryPoints: {entry}\n")).expect("written");
            command.args(["--config", &name]);
        }
        command
    }
}

fn open_to_all(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
}

fn manifests(port: u16, certificate: &str, key: &str) -> String {
    let (certificate, key) = (STANDARD.encode(certificate), STANDARD.encode(key));
    format!(
        "
apiVersion: v1
kind: Secret
metadata: {{name: tls, namespace: shop}}
type: kubernetes.io/tls
data: {{tls.crt: {certificate}, tls.key: {key}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]
ports: [{{name: http, port: {port}}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web, namespace: shop}}
spec:
  tls: [{{hosts: [{HOST}], secretName: tls}}]
  rules:
  - host: {HOST}
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}
"
    )
}

/// A process, which is killed when this is dropped.
pub(crate) struct Node {
    child: Child,
    lines: Receiver<String>,
    log: String,
    /// Up to where of it was waited for.
    read: usize,
    admin: Option<SocketAddr>,
    listeners: Vec<(u16, SocketAddr)>,
}

impl Node {
    fn new(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the binary runs");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let (said, lines) = mpsc::channel();
        std::thread::spawn(move || log.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        Self { child, lines, log: String::new(), read: 0, admin: None, listeners: Vec::new() }
    }

    /// Waits until it serves, and learns where.
    pub(crate) fn started(&mut self) {
        // Whatever it says before that is still to be waited for.
        self.log_until(" started ");
        self.read = 0;
        let line = self.log.lines().find(|line| line.contains(" started ")).expect("it was found").to_owned();
        let admin = line.split("admin=").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
        self.admin = Some(admin.parse().expect("an address"));
        self.listeners = clients::listeners(self.admin());
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.expect("it has started")
    }

    /// Where the listener is that objects call `port`.
    pub(crate) fn listener(&self, port: u16) -> SocketAddr {
        let found = self.listeners.iter().find(|(named, _)| *named == port);
        found.unwrap_or_else(|| panic!("{:?}\n{}", self.listeners, self.log)).1
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> &str {
        &self.log
    }

    /// Whether it has said `text` by now.
    pub(crate) fn said(&mut self, text: &str) -> bool {
        while let Ok(line) = self.lines.try_recv() {
            self.log += &(line + "\n");
        }
        self.log[self.read..].contains(text)
    }

    /// Waits until it says `text`, or has, since the last time that this was waited for.
    pub(crate) fn log_until(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said(text) {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.log += &(line + "\n"),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{text:?} was not said:\n{}", self.log)
                }
            }
        }
        self.read += self.log[self.read..].find(text).expect("it was said") + text.len();
    }

    /// Asks it to stop, as kubelet does, and waits until it has.
    pub(crate) fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        let code = self.child.wait().expect("it ends").code();
        assert_eq!(code, Some(0), "{}", self.log);
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) {
        self.signal(rustix::process::Signal::KILL);
        self.child.wait().expect("it ends");
    }

    /// Its exit code, once it ends by itself.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).expect("a process");
        rustix::process::kill_process(pid, signal).expect("it runs");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
