//! Postern on the cluster, from its chart and its image; and what is done to it there.

use std::path::{Path, PathBuf};

use super::cluster::Cluster;
use crate::workspace::{output, program, root};

/// Where it is installed.
pub(super) const NAMESPACE: &str = "postern-system";
const RELEASE: &str = "postern";
const LEASE: &str = "postern";

/// A release; removed when dropped.
pub(crate) struct Installed<'a> {
    cluster: &'a Cluster,
    helm: PathBuf,
    image: String,
}

/// A pod of Postern.
pub(crate) struct Pod {
    name: String,
    /// Number of its node.
    pub(crate) node: usize,
}

impl<'a> Installed<'a> {
    /// Installs `image`, which every node has, and waits until all pods are ready.
    pub(crate) fn new(cluster: &'a Cluster, helm: &Path, image: &str) -> Result<Self, String> {
        let installed = Self { cluster, helm: helm.to_owned(), image: image.to_owned() };
        installed.upgrade(&[])?;
        Ok(installed)
    }

    /// Installs, or upgrades to these values beside the usual ones, and waits until all pods are ready and of these.
    pub(crate) fn upgrade(&self, values: &[&str]) -> Result<(), String> {
        let (repository, tag) = self.image.rsplit_once(':').unwrap_or((self.image.as_str(), "latest"));
        let addresses: Vec<String> = self.cluster.nodes().map(|number| self.cluster.address(number)).collect();
        let usual = [
            format!("image.repository={repository}"),
            format!("image.tag={tag}"),
            "image.pullPolicy=Never".to_owned(),
            format!("config.kubernetes.addresses={{{}}}", addresses.join(",")),
        ];
        let mut helm = program(&self.helm, &["upgrade", "--install", RELEASE]);
        helm.arg(root().join("deploy/helm/postern")).args(["--namespace", NAMESPACE, "--create-namespace"]);
        for value in usual.iter().map(String::as_str).chain(values.iter().copied()) {
            helm.args(["--set", value]);
        }
        output(helm.env("KUBECONFIG", self.cluster.kubeconfig()))?;
        self.ready()
    }

    /// Removes the release.
    pub(crate) fn uninstall(&self) -> Result<(), String> {
        let mut helm = program(&self.helm, &["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait"]);
        output(helm.env("KUBECONFIG", self.cluster.kubeconfig())).map(drop)
    }

    /// Waits until all pods are ready, and of the newest template.
    pub(crate) fn ready(&self) -> Result<(), String> {
        self.cluster.rolled_out(NAMESPACE, "daemonset/postern")
    }

    /// Replaces every pod, one after the other.
    pub(crate) fn restart(&self) -> Result<(), String> {
        self.cluster.kubectl(&["rollout", "restart", "daemonset/postern", "-n", NAMESPACE])?;
        self.ready()
    }

    /// Deletes all pods at once, without a pause.
    pub(crate) fn delete_pods(&self) -> Result<(), String> {
        let words = ["delete", "pods", "-n", NAMESPACE, "-l", SELECTOR, "--grace-period=0", "--force"];
        self.cluster.kubectl(&words).map(drop)
    }

    /// Who holds the Lease.
    pub(crate) fn holder(&self) -> Result<Pod, String> {
        let path = "jsonpath={.spec.holderIdentity}";
        let identity = self.cluster.kubectl(&["get", "lease", LEASE, "-n", NAMESPACE, "-o", path])?;
        let pods = self.pods()?;
        let names: Vec<String> = pods.iter().map(|pod| pod.name.clone()).collect();
        let holder = pods.into_iter().find(|pod| identity.contains(&pod.name));
        holder.ok_or_else(|| format!("the Lease is held by {identity}, who is none of {}", names.join(", ")))
    }

    /// The pod on node `number`.
    pub(crate) fn pod_on(&self, number: usize) -> Result<Pod, String> {
        let pod = self.pods()?.into_iter().find(|pod| pod.node == number);
        pod.ok_or_else(|| format!("no pod runs on node {number}"))
    }

    /// What `postern` with `words` prints in a pod.
    pub(crate) fn postern(&self, pod: &Pod, words: &[&str]) -> Result<String, String> {
        let inside = ["exec", "-n", NAMESPACE, &pod.name, "--", "/postern"];
        self.cluster.kubectl(&[&inside, words].concat())
    }

    /// Kills the process of a pod, which the node then starts again.
    pub(crate) fn kill(&self, pod: &Pod) -> Result<(), String> {
        let socket = format!("/run/pk-node{}/containerd.sock", pod.node);
        let ctr = |words: &[&str]| output(program("ctr", &["-a", &socket, "-n", "k8s.io"]).args(words));
        let label = format!("labels.\"io.kubernetes.pod.name\"=={}", pod.name);
        let containers = ctr(&["containers", "ls", "-q", &label])?;
        for container in containers.lines() {
            // The sandbox is a container too; without its network the pod would be another.
            if ctr(&["containers", "info", container])?.contains("\"io.kubernetes.container.name\"") {
                let _ended_before = ctr(&["tasks", "kill", "-s", "SIGKILL", container]);
            }
        }
        Ok(())
    }

    /// Resident memory of each pod's process, for people.
    pub(crate) fn memory(&self) -> Result<String, String> {
        let mut told = Vec::new();
        for number in self.cluster.nodes() {
            let text = output(&mut self.cluster.inside(number, &["ss", "-Hltnp", "sport = :443"]))?;
            let pid = text.split("pid=").nth(1).and_then(|rest| rest.split([',', ')']).next()).unwrap_or_default();
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("unknown");
            told.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        Ok(told.join(", "))
    }

    fn pods(&self) -> Result<Vec<Pod>, String> {
        let path = "jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{\"\\n\"}{end}";
        let text = self.cluster.kubectl(&["get", "pods", "-n", NAMESPACE, "-l", SELECTOR, "-o", path])?;
        let pod = |line: &str| {
            let (name, node) = line.split_once(' ')?;
            Some(Pod { name: name.to_owned(), node: node.strip_prefix("node")?.parse().ok()? })
        };
        Ok(text.lines().filter_map(pod).collect())
    }
}

const SELECTOR: &str = "app.kubernetes.io/name=postern";
