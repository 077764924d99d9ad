//! `cargo xtask manifests`: the plain manifests of deploy/manifests, which are what the chart says with its defaults, and the
//! CRDs of deploy/crds.

use std::path::{Path, PathBuf};

use crate::{
    crds, tools,
    workspace::{output, program, root},
};

/// What the chart is rendered for; a helm built from its module knows none.
pub(crate) const KUBE_VERSION: &str = "1.35.0";
/// Where the manifests are installed.
pub(crate) const NAMESPACE: &str = "postern-system";

/// The file and what it has of the chart: all but the GatewayClass, which a cluster without Gateway API refuses, or that alone.
const FILES: [(&str, &[&str]); 2] = [("postern.yaml", &[]), ("gateway-class.yaml", &["gatewayClass.enabled=true"])];
const HEAD: &str = "# What `helm template` makes of deploy/helm/postern; made anew by `cargo xtask manifests`.\n";

/// The command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(unknown) = arguments.first() {
        return Err(format!("manifests: does not know `{unknown}`; it takes nothing"));
    }
    let helm = tools::helm()?;
    for (file, text) in made(&helm)? {
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        println!("{}", file.display());
    }
    Ok(())
}

/// An error unless the files are what they would be made now.
pub(crate) fn are_current(helm: &Path) -> Result<(), String> {
    for (file, text) in made(helm)? {
        if std::fs::read_to_string(&file).unwrap_or_default() != text {
            return Err(format!("{} is not current: run `cargo xtask manifests`", file.display()));
        }
    }
    Ok(())
}

/// The chart's folder.
pub(crate) fn chart() -> PathBuf {
    root().join("deploy/helm/postern")
}

/// What the chart says with `values`, each as `--set` takes it.
pub(crate) fn rendered(helm: &Path, values: &[&str]) -> Result<String, String> {
    let mut template =
        program(helm, &["template", "postern", "--namespace", NAMESPACE, "--kube-version", KUBE_VERSION]);
    template.arg(chart());
    for value in values {
        template.args(["--set", value]);
    }
    output(&mut template)
}

fn made(helm: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let folder = root().join("deploy/manifests");
    let of_chart = FILES
        .iter()
        .map(|(name, values)| {
            let all = without_helm(&rendered(helm, values)?);
            let is_class = |document: &&str| document.contains("\nkind: GatewayClass\n");
            let documents = all.split("---\n").filter(|document| !document.trim().is_empty());
            let wanted: Vec<&str> = documents.filter(|document| is_class(document) != values.is_empty()).collect();
            let namespace = if values.is_empty() { namespace() } else { String::new() };
            Ok((folder.join(name), format!("{HEAD}{namespace}---\n{}", wanted.join("---\n"))))
        })
        .collect::<Result<Vec<_>, String>>()?;
    Ok(of_chart.into_iter().chain(crds::made()?).collect())
}

/// Nobody but Helm is to take these objects for its own.
fn without_helm(text: &str) -> String {
    let of_helm = |line: &&str| {
        let line = line.trim_start();
        ["# Source: ", "helm.sh/chart:", "app.kubernetes.io/managed-by:"].iter().any(|start| line.starts_with(start))
    };
    text.lines().filter(|line| !of_helm(line)).flat_map(|line| [line, "\n"]).collect()
}

/// The pods share the network of their node, which Pod Security allows at this level alone.
fn namespace() -> String {
    format!(
        "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: privileged\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_has_the_version_of_the_workspace() {
        let chart = std::fs::read_to_string(chart().join("Chart.yaml")).expect("the chart is there");
        for key in ["version", "appVersion"] {
            let line = format!("{key}: {}", env!("CARGO_PKG_VERSION"));
            assert!(chart.lines().any(|have| have == line), "Chart.yaml lacks `{line}`");
        }
    }

    #[test]
    fn what_only_helm_reads_is_left_out() {
        let text = "---\n# Source: a\nkind: A\nmetadata:\n  labels:\n    helm.sh/chart: b\n    app.kubernetes.io/managed-by: Helm\n    a: b\n";
        assert_eq!(without_helm(text), "---\nkind: A\nmetadata:\n  labels:\n    a: b\n");
    }
}
