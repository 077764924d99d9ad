//! A real etcd and kube-apiserver on loopback, and the few objects that questions write there.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{
    contender::free,
    result::{Context, Error, Result},
};

/// Of the range for benchmarks (RFC 2544); put on the loopback device, so that nothing leaves the machine.
const BACKENDS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Writes under way at once.
const AT_ONCE: usize = 16;
const DEADLINE: Duration = Duration::from_secs(300);

/// A running control plane; stopped and removed when dropped.
pub(crate) struct ApiServer {
    bin: PathBuf,
    folder: PathBuf,
    runtime: Runtime,
    client: Client,
}

impl ApiServer {
    /// Starts one with its state in `folder`, from the binaries in `bin`.
    pub(crate) fn start(bin: &Path, folder: &Path) -> Result<Self> {
        let [address] = free()?;
        done(script("kube-up.sh").arg(folder).arg(address.port().to_string()).env("PEERS_BIN", bin))?;
        let address = done(Command::new("ip").args(["addr", "replace", &format!("{BACKENDS}/32"), "dev", "lo"]));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")?;
        let client = runtime.block_on(connect(&folder.join("kubeconfig")));
        let (bin, folder) = (bin.to_owned(), folder.to_owned());
        match (address, client) {
            (Ok(()), Ok(client)) => Ok(Self { bin, folder, runtime, client }),
            (address, client) => {
                remove(&folder);
                Err(address.err().or(client.err()).unwrap_or_else(|| Error::Unexpected("no client".to_owned())))
            }
        }
    }

    /// Where backends may listen so that EndpointSlices may name them.
    pub(crate) fn address_for_backends(&self) -> IpAddr {
        BACKENDS.into()
    }

    /// Of an administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Applies the manifests of a folder, which are of the namespace `bench`.
    pub(crate) fn apply(&self, manifests: &Path) -> Result<()> {
        done(self.kubectl().args(["create", "namespace", "bench"]))?;
        done(self.kubectl().args(["apply", "--server-side", "-f"]).arg(manifests))
    }

    /// Writes routes for other hosts.
    pub(crate) fn routes(&self, numbers: Range<usize>) -> Result<()> {
        let next = AtomicUsize::new(numbers.start);
        let all = std::iter::repeat_with(|| {
            let (next, end) = (&next, numbers.end);
            async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return Ok(());
                    }
                    self.create(&format!("route-{number}"), &format!("host-{number}.example.com")).await?;
                }
            }
        });
        self.runtime.block_on(futures_util::future::try_join_all(all.take(AT_ONCE))).map(drop)
    }

    /// Writes a route; when the API server had answered.
    pub(crate) fn route(&self, name: &str, host: &str) -> Result<Instant> {
        self.runtime.block_on(self.create(name, host))?;
        Ok(Instant::now())
    }

    /// Waits until `count` Ingresses say where they are reached; how long that took.
    pub(crate) fn wait_for_status(&self, count: usize) -> Result<Duration> {
        let started = Instant::now();
        while started.elapsed() < DEADLINE {
            let list = self.runtime.block_on(self.ingresses().list(&ListParams::default())).map_err(failed)?;
            let is_shown = |ingress: &Ingress| {
                let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
                balancer.and_then(|balancer| balancer.ingress.as_ref()).is_some_and(|addresses| !addresses.is_empty())
            };
            if list.items.iter().filter(|ingress| is_shown(ingress)).count() >= count {
                return Ok(started.elapsed());
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        Err(Error::Unexpected(format!("not all of {count} Ingresses have a status after {} s", DEADLINE.as_secs())))
    }

    async fn create(&self, name: &str, host: &str) -> Result<()> {
        let path = json!({
            "path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "backend", "port": {"number": 80}}},
        });
        let object = json!({
            "metadata": {"name": name},
            "spec": {
                "ingressClassName": "postern",
                "tls": [{"hosts": [host], "secretName": "bench-tls"}],
                "rules": [{"host": host, "http": {"paths": [path]}}],
            },
        });
        let ingress = serde_json::from_value(object).map_err(failed)?;
        self.ingresses().create(&PostParams::default(), &ingress).await.map(drop).map_err(failed)
    }

    fn ingresses(&self) -> Api<Ingress> {
        Api::namespaced(self.client.clone(), "bench")
    }

    fn kubectl(&self) -> Command {
        let mut kubectl = Command::new(self.bin.join("kubectl"));
        kubectl.env("KUBECONFIG", self.kubeconfig());
        kubectl
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    for command in [
        script("kube-down.sh").arg(folder).arg("--purge"),
        Command::new("ip").args(["addr", "del", &format!("{BACKENDS}/32"), "dev", "lo"]),
    ] {
        if let Err(error) = done(command) {
            eprintln!("  {error}");
        }
    }
}

async fn connect(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).map_err(failed)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(failed)?;
    Client::try_from(config).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Unexpected(format!("the API server: {error}"))
}

fn script(name: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/scripts").join(name));
    command
}

fn done(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.context(command.get_program().to_string_lossy())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Unexpected(format!("{:?} failed: {said}", command.get_args().collect::<Vec<_>>())))
}
