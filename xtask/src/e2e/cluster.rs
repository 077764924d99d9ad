//! The cluster that scenarios run on: what kubectl and containerd are asked to do there.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    kube,
    workspace::{output, peers, program, run, script},
};

/// First three numbers of the nodes' addresses: `.1` is the bridge, node i is `.(10+i)`.
const NET: &str = "172.31.250";
/// Prefix of the nodes' network namespaces.
const NAME: &str = "pk";
/// For what the cluster has been asked to do.
const DEADLINE: Duration = Duration::from_secs(180);

/// A cluster; taken down when dropped.
pub(crate) struct Cluster {
    folder: PathBuf,
    nodes: usize,
}

impl Cluster {
    /// Starts one.
    pub(crate) fn up(folder: PathBuf, nodes: usize) -> Result<Self, String> {
        kube::cluster(&["up".into(), folder.display().to_string(), "--nodes".into(), nodes.to_string()])?;
        Ok(Self { folder, nodes })
    }

    /// Of an administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Numbers of its nodes, from 1.
    pub(crate) fn nodes(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.nodes
    }

    /// The address of node `number`.
    pub(crate) fn address(&self, number: usize) -> String {
        format!("{NET}.{}", 10 + number)
    }

    /// A command that runs in the network of node `number`.
    pub(crate) fn inside(&self, number: usize, words: &[&str]) -> Command {
        let mut command = program("nsenter", &[&format!("--net=/run/netns/{NAME}-node{number}")]);
        command.args(words);
        command
    }

    /// A process of each network that pods of node `number` have of their own.
    pub(crate) fn pod_networks(&self, number: usize) -> Result<Vec<String>, String> {
        let network = |process: &str| output(&mut program("readlink", &[&format!("/proc/{process}/ns/net")]));
        let socket = format!("/run/{NAME}-node{number}/containerd.sock");
        let tasks = output(&mut program("ctr", &["-a", &socket, "-n", "k8s.io", "tasks", "list"]))?;
        let mut known = vec![output(&mut self.inside(number, &["readlink", "/proc/self/ns/net"]))?];
        let mut processes = Vec::new();
        for process in tasks.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)) {
            // A container that ends meanwhile has none.
            let Ok(network) = network(process) else { continue };
            if !known.contains(&network) {
                known.push(network);
                processes.push(process.to_owned());
            }
        }
        Ok(processes)
    }

    /// Gives an image to every node.
    pub(crate) fn import(&self, tar: &Path) -> Result<(), String> {
        for number in self.nodes() {
            let socket = format!("/run/{NAME}-node{number}/containerd.sock");
            output(program("ctr", &["-a", &socket, "-n", "k8s.io", "images", "import"]).arg(tar))?;
        }
        Ok(())
    }

    /// kubectl about to be run.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut kubectl = program(peers().join("bin/kubectl"), words);
        kubectl.env("KUBECONFIG", self.kubeconfig());
        kubectl
    }

    /// What kubectl prints.
    pub(crate) fn kubectl(&self, words: &[&str]) -> Result<String, String> {
        output(&mut self.command(words))
    }

    /// Applies objects.
    pub(crate) fn apply(&self, yaml: &str) -> Result<(), String> {
        self.feed(&["apply", "--server-side", "--force-conflicts", "-f", "-"], yaml)
    }

    /// Creates objects; faster than applying them.
    pub(crate) fn create(&self, yaml: &str) -> Result<(), String> {
        self.feed(&["create", "--validate=false", "-f", "-"], yaml)
    }

    fn feed(&self, words: &[&str], yaml: &str) -> Result<(), String> {
        let mut kubectl = self.command(words);
        let mut child =
            kubectl.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map_err(|error| error.to_string())?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(yaml.as_bytes()).map_err(|error| format!("kubectl: {error}"))?;
        }
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("kubectl {}: {other:?} of\n{}", words.join(" "), yaml.get(..4000).unwrap_or(yaml))),
        }
    }

    /// Applies all files of a folder, namespaces first.
    pub(crate) fn apply_folder(&self, folder: &Path) -> Result<(), String> {
        let mut texts = Vec::new();
        let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        // A kustomization is no object.
        for file in files.iter().filter(|file| !file.ends_with("kustomization.yaml")) {
            texts.push(std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?);
        }
        let text = texts.join("\n---\n");
        let mut documents: Vec<&str> = text.split("\n---").collect();
        documents.sort_by_key(|document| !document.lines().any(|line| line.trim_end() == "kind: Namespace"));
        self.apply(&documents.join("\n---\n"))
    }

    /// Waits until a DaemonSet or Deployment is as it should be.
    pub(crate) fn rolled_out(&self, namespace: &str, what: &str) -> Result<(), String> {
        let deadline = format!("--timeout={}s", DEADLINE.as_secs());
        self.kubectl(&["rollout", "status", what, "-n", namespace, &deadline]).map(drop)
    }

    /// Waits until `holds`; the error says `what` did not come and what was seen last.
    pub(crate) fn wait(&self, what: &str, holds: impl FnMut() -> Result<bool, String>) -> Result<Duration, String> {
        wait(what, DEADLINE, holds)
    }

    /// Stops the API server, and keeps its data.
    pub(crate) fn stop_api_server(&self) -> Result<(), String> {
        run(script("kube-down.sh").arg(&self.folder).arg("--apiserver"))
    }

    /// Starts it again.
    pub(crate) fn start_api_server(&self) -> Result<(), String> {
        run(script("kube-up.sh").arg(&self.folder).stdout(Stdio::null()))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(reason) = kube::cluster(&["down".into(), self.folder.display().to_string()]) {
            eprintln!("{reason}");
        }
    }
}

/// Waits until `holds`, for `deadline`; how long it took.
pub(crate) fn wait(
    what: &str,
    deadline: Duration,
    mut holds: impl FnMut() -> Result<bool, String>,
) -> Result<Duration, String> {
    let start = Instant::now();
    loop {
        let last = holds();
        if last == Ok(true) {
            return Ok(start.elapsed());
        }
        if start.elapsed() > deadline {
            let why = last.err().unwrap_or_default();
            return Err(format!("not within {} s: {what}: {why}", deadline.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
