//! What the cluster shows of addresses that a real node announces on a real segment: conditions, events and MetalLB's
//! ServiceL2Status, all read back. Each test has a network namespace of its own, with the control plane in it.

use std::process::Command;

use serde_json::Value;

use super::{node::Node, support::control_plane::ControlPlane};

/// The link of the node, and the station at its other end.
const LINK: &str = "lan0";
const STRANGER: &str = "02:00:00:00:00:32";

/// A control plane, and a segment on which somebody else is.
struct Segment {
    cluster: ControlPlane,
    other: String,
    folder: tempfile::TempDir,
}

impl Segment {
    /// `None` where there is no API server, or no namespaces can be made.
    fn start(objects: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: network namespaces need root");
            return None;
        }
        // Of this thread alone, and of the processes that it starts.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("it can be made");
        ip("link set lo up");
        let other = format!("psa{}-{:x}", std::process::id(), rand::random::<u16>());
        ip(&format!("netns add {other}"));
        let cluster = ControlPlane::start()?;
        cluster.install_metallb_crds();
        cluster.apply(&format!("{BASE}{objects}"));
        let segment = Self { cluster, other, folder: tempfile::tempdir().expect("a directory") };
        segment.plug_in();
        Some(segment)
    }

    /// A link between both.
    fn plug_in(&self) {
        ip(&format!("link add {LINK} type veth peer name {LINK} address {STRANGER} netns {}", self.other));
        ip(&format!("addr add 192.0.2.1/24 dev {LINK}"));
        ip(&format!("link set {LINK} up"));
        self.there(&format!("addr add 192.0.2.50/24 dev {LINK}"));
        self.there(&format!("link set {LINK} up"));
    }

    /// On the other side of the segment.
    fn there(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.other));
    }

    fn node(&self, through: &[&str]) -> Node {
        let directory = self.folder.path().join("vips");
        let directory = directory.to_str().expect("text");
        let variables = [
            ("POSTERN_ROLES", "serve,announce,control"),
            ("POSTERN_NODE", "one"),
            ("POSTERN_VIPS_DIRECTORY", directory),
        ];
        Node::start_through(through, &self.cluster.kubeconfig(), &self.folder.path().join("cache"), &variables)
    }

    /// Waits until the Service shows the condition so; returns its message.
    fn until(&self, node: &Node, service: &str, status: &str, reason: &str) -> String {
        node.until_within(PATIENCE, &format!("{status} for {reason} of {service}"), |_| {
            let condition = self.condition(service);
            let is = condition["status"] == status && condition["reason"] == reason;
            is.then(|| condition["message"].as_str().unwrap_or_default().to_owned())
        })
    }

    fn condition(&self, service: &str) -> Value {
        let conditions = self.cluster.get("service", "shop", service)["status"]["conditions"].take();
        let conditions = conditions.as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|condition| condition["type"] == "postern.dev/Announced").unwrap_or_default()
    }

    /// Who is said to announce a Service, by node with the interfaces.
    fn announcing(&self, service: &str) -> Vec<(String, Vec<String>)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = self.cluster.list("servicel2statuses.metallb.io").into_iter();
        let of = all.filter(|object| {
            object["metadata"]["labels"]["metallb.io/service-name"] == service
                && object["metadata"]["labels"]["metallb.io/service-namespace"] == "shop"
        });
        let one = |object: Value| {
            assert_eq!(object["metadata"]["namespace"], "metallb-system", "{object}");
            assert_eq!(object["metadata"]["labels"]["metallb.io/node"], object["status"]["node"], "{object}");
            assert_eq!(object["status"]["serviceNamespace"], "shop", "{object}");
            let interfaces = object["status"]["interfaces"].as_array().cloned().unwrap_or_default();
            (text(&object["status"]["node"]), interfaces.iter().map(|it| text(&it["name"])).collect())
        };
        of.map(one).collect()
    }

    fn until_announcing(&self, node: &Node, service: &str, wanted: &[(&str, &str)]) {
        let wanted: Vec<(String, Vec<String>)> =
            wanted.iter().map(|(node, link)| ((*node).to_owned(), vec![(*link).to_owned()])).collect();
        node.until_within(PATIENCE, &format!("{wanted:?} for {service}"), |_| {
            (self.announcing(service) == wanted).then_some(())
        });
    }

    fn events(&self, about: &str, reason: &str) -> Vec<Value> {
        let events = self.cluster.list("events.events.k8s.io").into_iter();
        events.filter(|event| event["regarding"]["name"] == about && event["reason"] == reason).collect()
    }

    fn until_event(&self, node: &Node, about: &str, reason: &str) -> String {
        node.until_within(PATIENCE, &format!("{reason} of {about}"), |_| {
            self.events(about, reason).first().and_then(|event| Some(event["note"].as_str()?.to_owned()))
        })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // Whatever is left of a failed test.
        let _gone = Command::new("ip").args(["netns", "del", &self.other]).output();
    }
}

/// Longer than an address is probed before its first use, and asked for again when it was taken.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("the program starts");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

const BASE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
---
apiVersion: v1
kind: Node
metadata: {name: one}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
spec: {interfaces: [lan0]}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: home, namespace: metallb-system}
spec: {addresses: [192.0.2.10-192.0.2.20]}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: far, namespace: metallb-system}
spec: {addresses: [198.51.100.10/32], autoAssign: false}
";

/// A Service of kube-proxy's with an endpoint.
fn service(name: &str, address: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop, annotations: {{metallb.io/loadBalancerIPs: {address}}}}}
spec: {{type: LoadBalancer, ports: [{{name: web, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{{addresses: [10.0.0.9], conditions: {{ready: true}}}}]
ports: [{{name: web, port: 8000}}]
"
    )
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn who_announces_a_service_is_shown_as_metallb_shows_it_and_what_stands_against_it_with_the_way_out() {
    let objects = service("a", "192.0.2.10") + &service("far", "198.51.100.10");
    let Some(segment) = Segment::start(&objects) else { return };
    let node = segment.node(&[]);
    assert_eq!(segment.until(&node, "a", "True", "Announced"), "Its addresses are announced");
    segment.until_announcing(&node, "a", &[("one", LINK)]);
    let assigned = segment.until_event(&node, "a", "nodeAssigned");
    assert_eq!(assigned, "announcing from node \"one\" with protocol \"layer2\"");

    // In no subnet of the node: announced, as MetalLB does, and said.
    let message = segment.until(&node, "far", "True", "Announced");
    assert!(message.contains("198.51.100.10 has a subnet") && message.contains("; route it"), "{message}");
    let note = segment.until_event(&node, "far", "SubnetNotFound");
    println!("of the pool: {note}");
    let [of_pool] = segment.events("far", "SubnetNotFound").try_into().expect("told once");
    assert_eq!(of_pool["regarding"]["kind"], "IPAddressPool", "{of_pool}");
    assert!(note.starts_with("spec.addresses: 198.51.100.10 in use"), "{note}");

    // Somebody else has it.
    segment.there(&format!("addr add 192.0.2.11/32 dev {LINK}"));
    segment.cluster.apply(&service("taken", "192.0.2.11"));
    let message = segment.until(&node, "taken", "False", "AddressConflict");
    for part in [STRANGER, "192.0.2.11", "no node announces it", "IPAddressPool home", "status.loadBalancer.ingress: "]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    let note = segment.until_event(&node, "taken", "announceFailed");
    assert!(note.starts_with("AddressConflict: ") && note.contains(STRANGER), "{note}");
    assert_eq!(segment.announcing("taken"), []);
    segment.there(&format!("addr del 192.0.2.11/32 dev {LINK}"));
    segment.until(&node, "taken", "True", "Announced");
    segment.until_announcing(&node, "taken", &[("one", LINK)]);

    // The interface vanishes, and comes back.
    ip(&format!("link del {LINK}"));
    let message = segment.until(&node, "a", "False", "InterfaceNotFound");
    for part in ["192.0.2.10", "node one: ", LINK, "spec.interfaces of the L2Advertisement"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    segment.until_announcing(&node, "a", &[]);
    segment.plug_in();
    segment.until(&node, "a", "True", "Announced");
    segment.until_announcing(&node, "a", &[("one", LINK)]);

    // What goes is no more said to be announced.
    segment.cluster.delete("service", "shop", "a");
    segment.until_announcing(&node, "a", &[]);
    assert_eq!(segment.announcing("taken").len(), 1);
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn a_capability_that_is_missing_is_named_on_the_service() {
    let Some(segment) = Segment::start(&service("a", "192.0.2.10")) else { return };
    let node = segment.node(&["setpriv", "--bounding-set", "-net_raw"]);
    let message = segment.until(&node, "a", "False", "MissingCapability");
    for part in ["192.0.2.10", "node one: ", "CAP_NET_RAW", "securityContext.capabilities.add"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let note = segment.until_event(&node, "a", "announceFailed");
    assert!(note.starts_with("MissingCapability: "), "{note}");
    drop(node);
    let node = segment.node(&[]);
    segment.until(&node, "a", "True", "Announced");
}
