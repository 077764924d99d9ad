//! A real etcd and kube-apiserver for one test, on loopback, with nothing else of a cluster: objects are stored,
//! defaulted, validated, watched and guarded by RBAC, but nobody acts on them. Namespaces that are deleted stay.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read, Seek, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;

/// For one call of kubectl or a script; the slowest is the start of the API server on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Which CRDs of Gateway API.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Channel {
    /// Those that most clusters have.
    Standard,
    /// These, and those that may still change: TCPRoute, UDPRoute and more fields.
    Experimental,
}

/// A control plane; stopped and removed when dropped, and also when the test's process ends in any other way.
pub(crate) struct ControlPlane {
    bin: PathBuf,
    port: u16,
    guard: Guard,
    directory: tempfile::TempDir,
}

impl ControlPlane {
    /// Starts one. None where there are no binaries, which is said on standard error, and is a failure in CI.
    pub(crate) fn start() -> Option<Self> {
        let Some(bin) = std::env::var_os("POSTERN_KUBE_BIN") else {
            skip(
                "POSTERN_KUBE_BIN does not name a folder with etcd, kube-apiserver and kubectl; `cargo xtask test kubernetes` builds them",
            );
            return None;
        };
        let directory = tempfile::tempdir().expect("a directory");
        let guard = Guard::of(directory.path());
        let plane = Self { bin: bin.into(), port: free_port(), guard, directory };
        plane.start_api_server();
        Some(plane)
    }

    /// Where the API server listens; the same after it was stopped and started.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Of an administrator, who may do everything.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Ends the API server and keeps its data: an outage.
    pub(crate) fn stop_api_server(&self) {
        run(script("kube-down.sh").arg(self.directory.path()).arg("--apiserver"), "").expect("it stops");
    }

    /// Starts the API server again; returns when it is ready.
    pub(crate) fn start_api_server(&self) {
        let mut up = script("kube-up.sh");
        up.arg(self.directory.path()).arg(self.port.to_string()).env("PEERS_BIN", &self.bin);
        run(&mut up, "").expect("it starts");
    }

    /// kubectl as whom `kubeconfig` describes; what it prints, or what it complains of.
    pub(crate) fn kubectl_as(&self, kubeconfig: &Path, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new(self.bin.join("kubectl"));
        command.args(arguments).arg("--request-timeout=30s").env("KUBECONFIG", kubeconfig);
        // Its cache of what the server serves belongs to this server.
        run(command.env("HOME", self.directory.path()).current_dir(self.directory.path()), input)
    }

    /// kubectl as an administrator.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.kubectl_as(&self.kubeconfig(), arguments, "")
    }

    /// Applies the objects of `yaml`, namespaces first; an error says what the server did not want.
    pub(crate) fn try_apply(&self, yaml: &str) -> Result<(), String> {
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.kubectl_as(&self.kubeconfig(), &apply, &namespaces_first(yaml)).map(drop)
    }

    /// Applies the objects of `yaml`, namespaces first.
    pub(crate) fn apply(&self, yaml: &str) {
        self.try_apply(yaml).expect("the server takes them");
    }

    /// Creates the objects of `json`, many at once: nothing is compared or checked before.
    pub(crate) fn create(&self, json: &str) {
        let create = ["create", "--validate=false", "-o", "name", "-f", "-"];
        self.kubectl_as(&self.kubeconfig(), &create, json).expect("the server takes them");
    }

    /// Applies every YAML file of `folder`, namespaces first.
    pub(crate) fn apply_folder(&self, folder: &Path) {
        let texts = yaml_files(folder).into_iter().map(|file| std::fs::read_to_string(file).expect("a file of text"));
        self.apply(&texts.collect::<Vec<_>>().join("\n---\n"));
    }

    /// Deletes an object; returns when it is gone. `namespace` is empty for what has none.
    pub(crate) fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let delete = ["delete", kind, name, "--namespace", namespace, "--timeout=30s"];
        self.kubectl(&delete).expect("it was there");
    }

    /// An object as it is stored. `namespace` is empty for what has none.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let text = self.kubectl(&["get", kind, name, "--namespace", namespace, "--output=json"]);
        serde_json::from_str(&text.expect("it is there")).expect("JSON")
    }

    /// All objects of a kind, in all namespaces.
    pub(crate) fn list(&self, kind: &str) -> Vec<Value> {
        let text = self.kubectl(&["get", kind, "--all-namespaces", "--output=json"]).expect("a known kind");
        let mut list: Value = serde_json::from_str(&text).expect("JSON");
        serde_json::from_value(list["items"].take()).expect("a list")
    }

    /// A kubeconfig of a user who may do only what `rules` say in all namespaces: RBAC rules as a YAML flow, such as
    /// `[{apiGroups: [""], resources: [services], verbs: [get, list, watch]}]`. Call it again with other rules to change
    /// what the same user may do.
    pub(crate) fn user(&self, name: &str, rules: &str) -> PathBuf {
        let subject = format!("/CN={name}");
        run(script("kube-user.sh").arg(self.directory.path()).args([name, &subject]), "").expect("a certificate");
        self.apply(&format!(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: '{name}'}}
rules: {rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: '{name}'}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: '{name}'}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: '{name}'}}]
"
        ));
        self.directory.path().join(format!("{name}.kubeconfig"))
    }

    /// Installs the CRDs of Gateway API, Traefik and MetalLB; returns when they are served.
    pub(crate) fn install_crds(&self, channel: Channel) {
        let folder =
            PathBuf::from(std::env::var_os("POSTERN_CRDS").expect("POSTERN_CRDS names the folder of the CRDs"));
        let gateway = newest(&folder.join("sigs.k8s.io"), "gateway-api@").join(match channel {
            Channel::Standard => "config/crd/standard",
            Channel::Experimental => "config/crd/experimental",
        });
        let traefik = newest(&folder.join("github.com/traefik/traefik"), "v3@");
        let traefik = traefik.join("docs/content/reference/dynamic-configuration");
        [gateway, traefik].iter().for_each(|folder| self.apply_folder(folder));
        self.install_metallb_crds();
    }

    /// Installs those of MetalLB that Postern reads; returns when all that were installed are served.
    pub(crate) fn install_metallb_crds(&self) {
        self.apply(include_str!("../../../deploy/crds/metallb.yaml"));
        let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"];
        self.kubectl(&wait).expect("the server takes them up");
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("apiserver.log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("kube-apiserver said at last:\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        self.guard.finish();
    }
}

/// Waits beside the test for the end of its standard input, and then removes the control plane: a process that is
/// killed runs no `drop`.
struct Guard(Child);

impl Guard {
    fn of(directory: &Path) -> Self {
        let mut command = Command::new("setsid");
        command.args(["bash", "-c", "read -r; exec \"$0\" \"$1\" --purge"]).arg(scripts().join("kube-down.sh"));
        command.arg(directory).stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().expect("setsid and bash are there"))
    }

    fn finish(&mut self) {
        drop(self.0.stdin.take());
        if wait(&mut self.0).is_none() {
            eprintln!("the control plane did not stop within {} s", DEADLINE.as_secs());
        }
    }
}

/// Past the capture of a passing test's output, which would hide it.
fn skip(reason: &str) {
    let is_ci = std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "0" && value != "false");
    assert!(!is_ci, "cannot run here: {reason}");
    let thread = std::thread::current();
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: {reason}", thread.name().unwrap_or_default());
}

/// A free loopback port below those that the kernel gives to outgoing connections: nobody takes it while the server is
/// down. Tests of other processes start to look elsewhere.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() * 61 % u32::from(COUNT)).expect("less than COUNT");
    let port = || FIRST + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(port).take(usize::from(COUNT)).find(is_free).expect("a free port")
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/scripts")
}

fn script(name: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(scripts().join(name));
    command
}

/// Runs to the end, or to the deadline. Files carry what is said, so that nobody has to read it meanwhile.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let [mut stdin, stdout, stderr] = std::array::from_fn(|_| tempfile::tempfile().expect("a file"));
    stdin.write_all(input.as_bytes()).and_then(|()| stdin.rewind()).expect("written");
    let copy = |file: &File| file.try_clone().expect("a handle");
    let mut child = command.stdin(stdin).stdout(copy(&stdout)).stderr(copy(&stderr)).spawn().expect("it starts");
    let status = wait(&mut child);
    let words: Vec<&OsStr> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    match status {
        Some(true) => Ok(text(stdout)),
        Some(false) => Err(format!("{words:?} failed:\n{}{}", text(stdout), text(stderr))),
        None => Err(format!("{words:?}: no end within {} s:\n{}{}", DEADLINE.as_secs(), text(stdout), text(stderr))),
    }
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("readable");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether it ended well; None, and killed, when it did not end.
fn wait(child: &mut Child) -> Option<bool> {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        match child.try_wait().expect("a child of ours") {
            Some(status) => return Some(status.success()),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    let _ = child.kill().and_then(|()| child.wait());
    None
}

/// A server wants a namespace before what is in it, whatever file it is in.
fn namespaces_first(yaml: &str) -> String {
    let mut documents: Vec<&str> = yaml.split("\n---").collect();
    documents.sort_by_key(|document| !document.lines().any(|line| line.trim_end() == "kind: Namespace"));
    documents.join("\n---\n")
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("readable").path());
    // A kustomization is no object.
    let is_yaml = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "yaml" || end == "yml") && !path.ends_with("kustomization.yaml")
    };
    let mut files: Vec<PathBuf> = paths.filter(is_yaml).collect();
    files.sort();
    files
}

fn newest(folder: &Path, prefix: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    folder.join(names.filter(|name| name.starts_with(prefix)).max().expect("the CRDs were fetched"))
}
