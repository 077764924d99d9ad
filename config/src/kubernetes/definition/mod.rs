//! CustomResourceDefinitions that Postern brings along for clusters that lack them, and what to do about each. Only what is
//! absent, or was installed by Postern itself, is ever written: everything else belongs to somebody.

mod decide;

use serde_json::Value;

pub use decide::{Mark, Todo, decide};

use super::document;

/// Definitions that belong together, unchanged as their project published them.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    /// How it is asked for.
    pub name: &'static str,
    /// The release, as its project writes it.
    pub version: &'static str,
    /// What the definitions' own annotation with their release is called, where there is one.
    version_annotation: Option<&'static str>,
    text: &'static str,
}

/// All sets. `cargo xtask manifests` makes their files.
pub const SETS: [Set; 3] = [
    Set {
        name: "gateway-api",
        version: "v1.7.0",
        version_annotation: Some("gateway.networking.k8s.io/bundle-version"),
        text: include_str!("../../../../deploy/crds/gateway-api.yaml"),
    },
    Set {
        name: "traefik",
        version: "v3.7.13",
        version_annotation: None,
        text: include_str!("../../../../deploy/crds/traefik.yaml"),
    },
    Set {
        name: "metallb",
        version: "v0.16.2",
        version_annotation: None,
        text: include_str!("../../../../deploy/crds/metallb.yaml"),
    },
];

impl Set {
    /// The set of that name.
    pub fn find(name: &str) -> Option<Self> {
        SETS.into_iter().find(|set| set.name == name)
    }

    /// As YAML, with a comment on where it is from.
    pub fn yaml(&self) -> &'static str {
        self.text
    }

    /// Each definition.
    pub fn definitions(&self) -> Vec<Value> {
        document::values(self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_whole_and_of_the_version_that_it_says() {
        for set in SETS {
            let first = set.yaml().lines().next().unwrap_or_default();
            assert!(first.contains(set.version), "{first}");
            let definitions = set.definitions();
            assert!(definitions.len() > 1, "{}", set.name);
            for definition in definitions {
                let name = &definition["metadata"]["name"];
                assert_eq!(definition["kind"], "CustomResourceDefinition", "{name}");
                let Some(annotation) = set.version_annotation else { continue };
                assert_eq!(definition["metadata"]["annotations"][annotation], set.version, "{name}");
            }
        }
    }

    #[test]
    fn definitions_of_custom_kinds_that_are_read_are_at_hand() {
        use crate::kubernetes::object::Kind;
        let all: Vec<Value> = SETS.iter().flat_map(|set| set.definitions()).collect();
        let custom = Kind::ALL.iter().filter(|kind| {
            kind.group() == "gateway.networking.k8s.io"
                || kind.group().ends_with(".io") && !kind.group().ends_with(".k8s.io")
        });
        for kind in custom {
            let is_it =
                |it: &&Value| it["spec"]["group"] == kind.group() && it["spec"]["names"]["kind"] == kind.as_str();
            assert!(all.iter().any(|it| is_it(&it)), "{} of {}", kind.as_str(), kind.group());
        }
    }
}
