//! The CustomResourceDefinitions of deploy/crds, which `postern crds` carries: what other projects have published,
//! unchanged, from their Go modules at pinned versions.

use std::path::{Path, PathBuf};

use crate::{tools, workspace::root};

/// A file of deploy/crds.
struct Set {
    file: &'static str,
    project: &'static str,
    module: &'static str,
    version: &'static str,
    license: &'static str,
    /// The files of the module; other kinds of objects in them are left out.
    sources: &'static [&'static str],
}

const SETS: [Set; 3] = [
    Set {
        file: "gateway-api.yaml",
        project: "Gateway API, standard channel",
        module: "sigs.k8s.io/gateway-api",
        version: "v1.7.0",
        license: "Apache-2.0",
        sources: &["config/crd/standard/*"],
    },
    Set {
        file: "traefik.yaml",
        project: "Traefik Proxy",
        module: "github.com/traefik/traefik/v3",
        version: "v3.7.13",
        license: "MIT",
        sources: &["docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml"],
    },
    Set {
        file: "metallb.yaml",
        project: "MetalLB, pools and layer-2 advertisements",
        module: "go.universe.tf/metallb",
        version: "v0.16.2",
        license: "Apache-2.0",
        sources: &[
            "config/crd/bases/metallb.io_ipaddresspools.yaml",
            "config/crd/bases/metallb.io_l2advertisements.yaml",
            "config/crd/bases/metallb.io_servicel2statuses.yaml",
        ],
    },
];

/// The files and what they should hold.
pub(crate) fn made() -> Result<Vec<(PathBuf, String)>, String> {
    SETS.iter().map(|set| Ok((root().join("deploy/crds").join(set.file), set.text()?))).collect()
}

impl Set {
    fn text(&self) -> Result<String, String> {
        let Self { project, module, version, license, .. } = self;
        let unpacked = tools::definitions(module, version, self.sources)?;
        let mut files = Vec::new();
        for source in self.sources {
            let path = unpacked.join(source.trim_end_matches("/*"));
            if path.is_dir() { files.extend(yaml_files(&path)?) } else { files.push(path) }
        }
        files.sort();
        let mut text = format!(
            "# {project} {version}: definitions as published ({module}, {license}); made anew by `cargo xtask manifests`.\n"
        );
        for file in files {
            let content = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let documents = content.split("\n---\n").map(|document| document.trim_start_matches("---\n").trim_end());
            for document in documents.filter(|document| document.contains("\nkind: CustomResourceDefinition\n")) {
                text += "---\n";
                text += document;
                text += "\n";
            }
        }
        Ok(text)
    }
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect::<Result<Vec<_>, _>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect())
}
