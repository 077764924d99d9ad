//! `cargo xtask kube` and `cargo xtask cluster`: the real Kubernetes to try things on, as a control plane on loopback or
//! as a whole cluster whose nodes are network namespaces. The scripts do the work; this names what they need.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    tools,
    workspace::{self, peers, script},
};

const USAGE: &str = "wants: up DIR | down DIR";
const PORT: &str = "16443";
const CONTROL_PLANE: &[&str] = &["kube-apiserver", "kubectl"];
const CLUSTER: &[&str] =
    &["kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"];

/// `cargo xtask kube up DIR [--port N] | down DIR`.
pub(crate) fn kube(arguments: &[String]) -> Result<(), String> {
    let (verb, folder, flags) = read(arguments, &["--port"]).map_err(|reason| format!("kube {reason}"))?;
    if folder.join("cluster.env").exists() {
        return Err(format!("kube: {} holds a whole cluster: `cargo xtask cluster down`", folder.display()));
    }
    match verb {
        Verb::Up => {
            timed("binaries", || tools::kubernetes(CONTROL_PLANE).map(drop))?;
            let port = flags.value("--port").unwrap_or(PORT);
            timed("control plane", || workspace::run(script("kube-up.sh").arg(&folder).arg(port)))?;
            hint(&folder);
            Ok(())
        }
        Verb::Down => timed("down", || workspace::run(script("kube-down.sh").arg(&folder).arg("--purge"))),
    }
}

/// `cargo xtask cluster up DIR [--nodes N] [--port N] | down DIR`.
pub(crate) fn cluster(arguments: &[String]) -> Result<(), String> {
    let (verb, folder, flags) =
        read(arguments, &["--nodes", "--port"]).map_err(|reason| format!("cluster {reason}"))?;
    if !tools::is_root() {
        return Err("cluster: nodes are network namespaces, which need root".to_owned());
    }
    match verb {
        Verb::Up => {
            timed("packages", || workspace::run(&mut script("deps.sh")))?;
            timed("binaries", || tools::kubernetes(CLUSTER).map(drop))?;
            timed("images", || workspace::run(&mut script("images.sh")))?;
            let mut up = script("cluster-up.sh");
            up.arg(&folder).arg(flags.value("--nodes").unwrap_or("1"));
            up.envs(flags.value("--port").map(|port| ("CLUSTER_PORT", port)));
            timed("cluster", || workspace::run(&mut up))?;
            hint(&folder);
            Ok(())
        }
        Verb::Down => timed("down", || workspace::run(script("cluster-down.sh").arg(&folder).arg("--purge"))),
    }
}

enum Verb {
    Up,
    Down,
}

struct Flags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Flags<'a> {
    fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(flag, _)| *flag == name).map(|(_, value)| *value)
    }
}

/// `up DIR` or `down DIR`, then numbers for the flags that are known. The folder is seen from where the user stands.
fn read<'a>(arguments: &'a [String], known: &[&str]) -> Result<(Verb, PathBuf, Flags<'a>), String> {
    let [verb, folder, rest @ ..] = arguments else { return Err(USAGE.to_owned()) };
    let verb = match verb.as_str() {
        "up" => Verb::Up,
        "down" => Verb::Down,
        _ => return Err(USAGE.to_owned()),
    };
    let folder = std::path::absolute(folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut flags = Vec::new();
    for pair in rest.chunks(2) {
        match pair {
            [flag, value] if known.contains(&flag.as_str()) && value.parse::<u16>().is_ok_and(|number| number > 0) => {
                flags.push((flag.as_str(), value.as_str()));
            }
            _ => {
                return Err(format!(
                    "does not know `{}`; flags, each with a number: {}",
                    pair.join(" "),
                    known.join(", ")
                ));
            }
        }
    }
    Ok((verb, folder, Flags(flags)))
}

fn timed(what: &str, run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    println!("== {what}");
    let start = Instant::now();
    let result = run();
    println!("-- {what}: {:.1} s", start.elapsed().as_secs_f64());
    result
}

fn hint(folder: &Path) {
    let kubectl = peers().join("bin/kubectl");
    println!("\nexport KUBECONFIG={}\n{} get all -A", folder.join("kubeconfig").display(), kubectl.display());
}
