//! Who announces: three nodes of one kind, each with a backend.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::segment::{NODES, Segment, wait};
use crate::{
    manifests::HOST,
    result::{Context, Error, Result},
    watch::Seen,
};

const VIP: &str = "192.0.2.100";
const TARGET: &str = "192.0.2.100:80";
/// Shared by the nodes of a run, and by nobody else: it guards nothing.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Long enough for an answer.
const GLANCE: Duration = Duration::from_millis(400);

/// The kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announcer {
    Default,
    Fast,
    Keepalived,
}

impl Announcer {
    pub(super) const ALL: [Self; 3] = [Self::Default, Self::Fast, Self::Keepalived];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Default => "postern",
            Self::Fast => "postern-fast",
            Self::Keepalived => "keepalived",
        }
    }
}

/// Three nodes that run. The order of the fields is that of their end.
pub(super) struct Nodes {
    processes: Vec<Running>,
    _backends: Vec<Running>,
    announcer: Announcer,
    folder: PathBuf,
    postern: PathBuf,
    segment: Segment,
}

/// A process; killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client that watches.
pub(super) struct Watch(Running);

impl Watch {
    /// What it has seen.
    pub(super) fn stop(mut self) -> Result<Seen> {
        drop(self.0.0.stdin.take());
        let stdout = self.0.0.stdout.take().ok_or_else(|| Error::Unexpected("the watch is mute".to_owned()))?;
        serde_json::from_reader(stdout).map_err(|error| Error::Unexpected(format!("what the watch says: {error}")))
    }
}

impl Nodes {
    /// Starts them on `segment`, and waits until the client is served.
    pub(super) fn start(announcer: Announcer, segment: Segment, folder: &Path, postern: &Path) -> Result<Self> {
        let (folder, postern) = (folder.to_owned(), postern.to_owned());
        let mut nodes = Self { processes: Vec::new(), _backends: Vec::new(), announcer, folder, postern, segment };
        nodes.write()?;
        for node in 1..=NODES {
            let backend = nodes.backend(node)?;
            nodes._backends.push(backend);
            let process = nodes.spawn(node)?;
            nodes.processes.push(process);
        }
        nodes.owner()?;
        std::thread::sleep(Duration::from_secs(5));
        Ok(nodes)
    }

    fn write(&self) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = self.folder.join(name);
            std::fs::write(&path, text).context(path.display().to_string())
        };
        let manifests = self.folder.join("manifests");
        std::fs::create_dir_all(&manifests).context(manifests.display().to_string())?;
        write("manifests/all.yaml", MANIFESTS.replace("HOST", HOST))?;
        (1..=NODES).try_for_each(|node| write(&format!("{node}.conf"), keepalived(node)))
    }

    /// Postern's stands behind it, and keepalived's in the open.
    fn backend(&self, node: u8) -> Result<Running> {
        let bind = if self.announcer == Announcer::Keepalived { "0.0.0.0:80" } else { "127.0.0.1:8000" };
        let own = std::env::current_exe().context("finding this program")?;
        let mut command = self.segment.command(node, own);
        spawn(command.args(["backend", "--bind", bind]), &self.folder.join(format!("{node}-backend.log")))
    }

    fn spawn(&self, node: u8) -> Result<Running> {
        let log = self.folder.join(format!("{node}.log"));
        let own = |name: &str| self.folder.join(format!("{node}{name}"));
        if self.announcer == Announcer::Keepalived {
            let mut command = self.segment.command(node, "keepalived");
            command.args(["--dont-fork", "--log-console", "--vrrp", "--use-file"]).arg(own(".conf"));
            command.arg("--pid").arg(own(".pid")).arg("--vrrp_pid").arg(own("-vrrp.pid"));
            return spawn(&mut command, &log);
        }
        let mut command = self.segment.command(node, &self.postern);
        command.args(["serve", "--workers", "1", "--manifests"]).arg(self.folder.join("manifests"));
        command.env("POSTERN_CLUSTER_KEY", KEY).env("POSTERN_NODE", format!("n{node}"));
        command.env("POSTERN_VIPS_DIRECTORY", own("-run")).env("POSTERN_DRAIN_DEADLINE", "3s");
        if self.announcer == Announcer::Fast {
            command.env("POSTERN_VIPS_PROFILE", "fast");
        }
        spawn(&mut command, &log)
    }

    /// Who owns the address, by what the client knows.
    pub(super) fn owner(&self) -> Result<u8> {
        wait("a node that answers", || {
            let watch = self.watch().ok()?;
            std::thread::sleep(GLANCE);
            let seen = watch.stop().ok()?;
            self.segment.known(VIP).filter(|_| seen.answered > 0)
        })
    }

    pub(super) fn watch(&self) -> Result<Watch> {
        let own = std::env::current_exe().context("finding this program")?;
        let mut command = self.segment.client(own);
        command.args(["watch", "--target", TARGET]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Watch(Running(command.spawn().context("starting the watch")?)))
    }

    pub(super) fn cut(&self, node: u8) -> Result<()> {
        self.segment.cable(node, "down")
    }

    pub(super) fn restore(&self, node: u8) -> Result<()> {
        self.segment.cable(node, "up")
    }

    pub(super) fn terminate(&self, node: u8) -> Result<()> {
        let process = self.processes.get(usize::from(node) - 1);
        let process = process.ok_or_else(|| Error::Unexpected(format!("there is no node {node}")))?;
        let pid = rustix::process::Pid::from_child(&process.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| Error::Io("ending a node".to_owned(), error.into()))
    }

    pub(super) fn start_again(&mut self, node: u8) -> Result<()> {
        let process = self.spawn(node)?;
        if let Some(place) = self.processes.get_mut(usize::from(node) - 1) {
            *place = process;
        }
        Ok(())
    }
}

fn spawn(command: &mut Command, log: &Path) -> Result<Running> {
    let file = File::options().create(true).append(true).open(log).context(log.display().to_string())?;
    let copy = file.try_clone().context("duplicating a descriptor")?;
    let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn();
    Ok(Running(child.context(format!("starting {command:?}"))?))
}

/// As its documentation has it: an advertisement a second, and nobody takes back what another one has.
fn keepalived(node: u8) -> String {
    format!(
        "vrrp_instance bench {{
  state BACKUP
  nopreempt
  interface lan0
  virtual_router_id 51
  priority {}
  advert_int 1
  virtual_ipaddress {{ {VIP}/24 }}
}}
",
        100 + node
    )
}

const MANIFESTS: &str = "apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: bench, namespace: metallb-system}
spec: {addresses: [192.0.2.100/32]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: bench, namespace: metallb-system}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: bench, annotations: {metallb.io/loadBalancerIPs: 192.0.2.100}}
spec: {type: LoadBalancer, loadBalancerClass: postern.dev/proxy, ports: [{name: web, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: bench}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: bench, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: ['127.0.0.1'], conditions: {ready: true}}]
ports: [{name: http, port: 8000}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: bench}
spec:
  rules:
  - host: HOST
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
";
