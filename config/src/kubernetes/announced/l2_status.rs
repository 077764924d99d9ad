//! MetalLB's `ServiceL2Status` (metallb.io/v1beta1, v0.16): that one node announces one Service, and on which interfaces.
//! It says what is, and nobody reads it to decide anything.
//!
//! MetalLB puts them into its own namespace, under generated names, and finds its own by labels. Ours are in the namespace
//! of the pool, which is MetalLB's where MetalLB's manifests are used; their names follow from what they are about, so that
//! whoever holds the Lease next finds them.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

/// Group, version, kind and plural.
pub const API: [&str; 4] = ["metallb.io", "v1beta1", "ServiceL2Status", "servicel2statuses"];
/// The label that tells ours from those of others, and its value.
pub const OURS: (&str, &str) = ("app.kubernetes.io/managed-by", "postern");
const NODE: &str = "metallb.io/node";
const SERVICE: &str = "metallb.io/service-name";
const NAMESPACE: &str = "metallb.io/service-namespace";
/// What the value of a label may have.
const LONGEST_LABEL: usize = 63;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct L2Status {
    /// Where it is.
    pub namespace: Arc<str>,
    /// The Service's namespace and name.
    pub service: (Arc<str>, Arc<str>),
    /// The node that announces.
    pub node: Arc<str>,
    /// Where.
    pub interfaces: BTreeSet<Arc<str>>,
}

impl L2Status {
    /// Its name: the same for the same node and Service.
    pub fn name(&self) -> String {
        let (namespace, name) = &self.service;
        let digest = Sha1::digest(format!("{namespace}/{name}/{}", self.node).as_bytes());
        let number = digest.iter().take(5).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        format!("l2-{number:010x}")
    }

    /// As it is created; the status is written by itself.
    pub fn object(&self) -> Value {
        let [group, version, kind, _] = API;
        let (namespace, name) = &self.service;
        let mut labels = json!({OURS.0: OURS.1});
        for (label, value) in [(NODE, &self.node), (SERVICE, name), (NAMESPACE, namespace)] {
            // One that is longer cannot be a label; the status has it.
            if value.len() <= LONGEST_LABEL {
                labels[label] = json!(value);
            }
        }
        json!({
            "apiVersion": format!("{group}/{version}"),
            "kind": kind,
            "metadata": {"name": self.name(), "namespace": self.namespace, "labels": labels},
            "spec": {},
        })
    }

    /// Its status.
    pub fn status(&self) -> Value {
        let (namespace, name) = &self.service;
        let interfaces: Vec<_> = self.interfaces.iter().map(|name| json!({"name": name})).collect();
        json!({"node": self.node, "serviceName": name, "serviceNamespace": namespace, "interfaces": interfaces})
    }
}
