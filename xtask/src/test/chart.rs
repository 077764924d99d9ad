//! The chart and what is made of it: linted, rendered with several values, and every object shown to a real API server,
//! which checks fields and defaults without keeping anything.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    child::{free_ports, scratch},
    manifests,
    step::Outcome,
    tools,
    workspace::{output, program, root, run as run_command, script},
};

/// Values beside the defaults: none, all that can be switched on, two namespaces, all that can be switched off.
const VALUES: [&[&str]; 4] = [
    &[],
    &[
        "control.separate=true",
        "metrics.serviceMonitor.enabled=true",
        "gatewayClass.enabled=true",
        "ingressClass.default=true",
        "imagePullSecrets[0].name=registry",
        "service.ports.postgres.port=5432",
        "services.public.loadBalancerIPs={192.0.2.10,2001:db8::10}",
        "services.public.ports.web.port=80",
        "services.private.addressPool=private",
        "services.private.allowSharedIP=gates",
        "services.private.ports.websecure.port=443",
        "serve.extraEnv[0].name=POSTERN_LOG_LEVEL",
        "serve.extraEnv[0].value=debug",
        "metrics.address=::",
        "podAnnotations.a=b",
        "commonLabels.team=edge",
    ],
    &[
        "config.kubernetes.namespaces={one,two}",
        "control.separate=true",
        "config.kubernetes.leaseNamespace=one",
        "config.takeover.service=shop/old",
    ],
    &[
        "config.kubernetes.status=false",
        "metrics.enabled=false",
        "ingressClass.enabled=false",
        "gatewayClass.enabled=false",
        "service.enabled=false",
        "tolerations=null",
        "nodeSelector=null",
    ],
];
/// What must be refused, with a word of the message.
const REFUSED: [(&str, &str); 10] = [
    ("crds.install=true", "never part of this release"),
    ("metric.enabled=true", "'metric' not allowed"),
    ("metrics.port=0", "/metrics/port"),
    ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ("config.admin.socket=/tmp/a", "config.admin.socket"),
    ("config.roles=serve", "control.separate"),
    ("config.drainDeadline=soon", "/config/drainDeadline"),
    ("terminationGracePeriodSeconds=44", "at least 45"),
    ("services.public.addressPool=public", "/services/public"),
    ("gatewayClass.enabled=maybe", "/gatewayClass/enabled"),
];

/// The step.
pub(super) fn run() -> Result<Outcome, String> {
    every_value_is_described()?;
    let parts = tools::helm().and_then(|helm| Ok((helm, tools::kubernetes(&["kube-apiserver", "kubectl"])?, crds()?)));
    let (helm, bin, crds) = match parts {
        Ok(parts) => parts,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let lint = ["lint", "--strict", "--quiet", "--kube-version", manifests::KUBE_VERSION];
    run_command(program(&helm, &lint).arg(manifests::chart()))?;
    bad_values_are_refused(&helm)?;
    manifests::are_current(&helm)?;
    let server = Server::start(bin)?;
    server.prepare(&crds)?;
    for (at, values) in VALUES.iter().enumerate() {
        let file = server.folder.join(format!("values-{at}.yaml"));
        let text = manifests::rendered(&helm, values)?;
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        server.accepts(&file)?;
    }
    for file in shipped()? {
        server.accepts(&file)?;
    }
    Ok(Outcome::Passed)
}

/// Gateway API's CRDs, and those of the operators that read what we ship.
fn crds() -> Result<Vec<PathBuf>, String> {
    let mut folders = tools::operator_crds()?;
    folders.push(tools::gateway_crds()?);
    Ok(folders)
}

/// Manifests that people apply as they are.
fn shipped() -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for folder in ["deploy/manifests", "deploy/flux", "deploy/argocd", "deploy/host"] {
        let failed = |error: std::io::Error| format!("{folder}: {error}");
        for entry in std::fs::read_dir(root().join(folder)).map_err(failed)? {
            files.push(entry.map_err(failed)?.path());
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

/// Each value of values.yaml is in the first column of the README's table, and nothing else is.
fn every_value_is_described() -> Result<(), String> {
    let read = |name: &str| {
        let path = manifests::chart().join(name);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let schema: Value = serde_json::from_str(&read("values.schema.json")?).map_err(|error| error.to_string())?;
    let mut known = BTreeSet::new();
    leaves(&schema, "", &mut known);
    let readme = read("README.md")?;
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let described: BTreeSet<String> = rows.map(|(value, _)| value.to_owned()).collect();
    let lacking: Vec<_> = known.difference(&described).cloned().collect();
    let unknown: Vec<_> = described.difference(&known).filter(|path| !path.starts_with("config.")).cloned().collect();
    if lacking.is_empty() && unknown.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the chart's README lacks {lacking:?} and describes {unknown:?}, which values.schema.json does not know"
    ))
}

/// Paths of values that are no maps with keys of their own.
fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let properties = schema["properties"].as_object().filter(|_| schema["additionalProperties"] == false);
    let Some(properties) = properties.filter(|_| path != "resources" && path != "control.resources") else {
        found.insert(path.to_owned());
        return;
    };
    for (name, schema) in properties {
        match (path, name.as_str()) {
            // Of a chart that this one is part of, and what is refused.
            ("", "global" | "crds") => {}
            ("", _) => leaves(schema, name, found),
            _ => leaves(schema, &format!("{path}.{name}"), found),
        }
    }
}

fn bad_values_are_refused(helm: &Path) -> Result<(), String> {
    for (value, word) in REFUSED {
        match manifests::rendered(helm, &[value]) {
            Err(reason) if reason.contains(word) => {}
            Err(reason) => return Err(format!("{value} is refused without the word {word:?}: {reason}")),
            Ok(_) => return Err(format!("{value} is not refused")),
        }
    }
    Ok(())
}

/// An API server of this step; stopped when dropped.
struct Server {
    bin: PathBuf,
    folder: PathBuf,
}

impl Server {
    fn start(bin: PathBuf) -> Result<Self, String> {
        let [port] = free_ports()?;
        let server = Self { bin, folder: scratch("chart")? };
        run_command(script("kube-up.sh").arg(&server.folder).arg(port.to_string()))?;
        Ok(server)
    }

    /// CRDs, and the namespaces that objects of ours are in.
    fn prepare(&self, crds: &[PathBuf]) -> Result<(), String> {
        let mut apply = self.kubectl(&["apply", "--server-side", "--recursive"]);
        for folder in crds {
            apply.arg("-f").arg(folder);
        }
        output(&mut apply)?;
        output(&mut self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]))?;
        for namespace in [manifests::NAMESPACE, "one", "two", "shop", "flux-system", "argocd"] {
            output(&mut self.kubectl(&["create", "namespace", namespace]))?;
        }
        Ok(())
    }

    /// An error unless the server takes every object of `file`, each field of it known.
    fn accepts(&self, file: &Path) -> Result<(), String> {
        let apply = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-o", "name", "-f"];
        let names = output(self.kubectl(&apply).arg(file))?;
        println!("an API server takes the {} objects of {}", names.lines().count(), file.display());
        if names.is_empty() { Err(format!("{} holds no object", file.display())) } else { Ok(()) }
    }

    fn kubectl(&self, words: &[&str]) -> Command {
        let mut kubectl = program(self.bin.join("kubectl"), words);
        kubectl.env("KUBECONFIG", self.folder.join("kubeconfig")).env("HOME", &self.folder);
        kubectl
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(reason) = run_command(script("kube-down.sh").arg(&self.folder).arg("--purge")) {
            println!("the API server was left behind: {reason}");
        }
    }
}
