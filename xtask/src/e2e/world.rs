//! What a cluster holds, to compare before and after.

use std::collections::BTreeMap;

use super::{cluster::Cluster, install::NAMESPACE};

/// Kinds that come and go by themselves, or are told by others: nobody's manifests.
const PASSING: [&str; 11] = [
    "componentstatuses",
    "events",
    "events.events.k8s.io",
    "ipaddresses.networking.k8s.io",
    "leases.coordination.k8s.io",
    "pods",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "controllerrevisions.apps",
    "replicasets.apps",
    "bindings",
];
const LABEL: &str = "\"app.kubernetes.io/name\":\"postern\"";
const LINE: &str = "{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}{\"\\t\"}{.metadata.uid}{\"\\t\"}{.metadata.generation}{\"\\t\"}{.metadata.labels}{.metadata.annotations}{.data}{\"\\n\"}{end}";

/// Each object with what tells one state of it from another: uid, generation, labels, annotations, data. Not its
/// status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct World(BTreeMap<String, String>);

impl World {
    /// All objects of `cluster` that are not Postern's own.
    pub(crate) fn of(cluster: &Cluster) -> Result<Self, String> {
        let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "--output=name"])?;
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !PASSING.contains(kind)).collect();
        let path = format!("jsonpath={LINE}");
        let text = cluster.kubectl(&["get", &kinds.join(","), "--all-namespaces", "--output", &path])?;
        let objects = text.lines().filter_map(|line| line.split_once('\t'));
        let is_ours = |name: &str, state: &str| name.contains(NAMESPACE) || state.contains(LABEL);
        let kept = objects.filter(|(name, state)| !is_ours(name, state));
        Ok(Self(kept.map(|(name, state)| (name.to_owned(), state.to_owned())).collect()))
    }

    /// What differs in `later`, one line each.
    pub(crate) fn changes(&self, later: &Self) -> Vec<String> {
        let gone = self.0.keys().filter(|name| !later.0.contains_key(*name)).map(|name| format!("gone: {name}"));
        let new = later.0.keys().filter(|name| !self.0.contains_key(*name)).map(|name| format!("new: {name}"));
        let other = self.0.iter().filter_map(|(name, state)| {
            let now = later.0.get(name)?;
            (now != state).then(|| format!("changed: {name}: {state} -> {now}"))
        });
        gone.chain(new).chain(other).collect()
    }

    /// How many objects it holds.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
