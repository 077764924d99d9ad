//! Several nodes and what they tell each other: a Gateway is programmed when all serve it, or are named.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    node::Node,
    support::control_plane::{Channel, ControlPlane},
    watch::{CLASSES, shop},
};

/// What a process without control may do: read.
const READER: &str = "[{apiGroups: ['', networking.k8s.io, discovery.k8s.io, gateway.networking.k8s.io, traefik.io, \
     gateway.envoyproxy.io, postern.dev, metallb.io, gateway.kgateway.dev, coordination.k8s.io, apps], \
     resources: ['*'], verbs: [get, list, watch]}]";

/// A cluster with objects, and nodes that are listed as the endpoint controller would list their pods.
struct Edge {
    cluster: ControlPlane,
    caches: tempfile::TempDir,
}

impl Edge {
    fn start() -> Option<Self> {
        let cluster = ControlPlane::start()?;
        cluster.install_crds(Channel::Standard);
        cluster.apply(&format!("{}---{CLASSES}", shop("shop")));
        Some(Self { cluster, caches: tempfile::tempdir().expect("a directory") })
    }

    /// A process in the pod `name`.
    fn node(&self, name: &str, roles: &str) -> Node {
        self.node_as(self.cluster.kubeconfig(), name, roles)
    }

    fn node_as(&self, kubeconfig: PathBuf, name: &str, roles: &str) -> Node {
        self.node_with(&kubeconfig, name, roles, "80=0,443=0")
    }

    fn node_with(&self, kubeconfig: &Path, name: &str, roles: &str, ports: &str) -> Node {
        let variables = [
            ("POSTERN_ROLES", roles),
            ("POSTERN_PEERS_NAME", name),
            ("POSTERN_PEERS_ADDRESS", ":0"),
            ("POSTERN_PEERS_SERVICE", "postern-peers"),
            ("POSTERN_MAP_PORT", ports),
        ];
        Node::start_with(kubeconfig, &self.caches.path().join(name), &variables)
    }

    /// Lists pods, each on the node of its name, with whether it is ready.
    fn list(&self, pods: &[(&str, bool)]) {
        let endpoints: Vec<_> = pods.iter().map(|(pod, ready)| endpoint(pod, *ready)).collect();
        self.cluster.apply(&format!(
            "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: postern-peers-1, namespace: default, labels: {{kubernetes.io/service-name: postern-peers}}}}
addressType: IPv4
endpoints: [{}]
ports: [{{name: peer, port: 7947, protocol: TCP}}]
",
            endpoints.join(", ")
        ));
    }

    fn programmed(&self) -> Condition {
        Condition::of(&self.cluster.get("gateway", "shop", "edge"))
    }

    fn version(&self) -> Value {
        self.cluster.get("gateway", "shop", "edge")["metadata"]["resourceVersion"].clone()
    }

    /// Makes a new generation of the Gateway.
    fn change(&self, hostname: &str) {
        self.cluster
            .apply(&CLASSES.replace("name: http, port: 80,", &format!("name: http, hostname: {hostname}, port: 80,")));
    }
}

fn endpoint(pod: &str, ready: bool) -> String {
    format!(
        "{{addresses: [{}], nodeName: node-{pod}, targetRef: {{kind: Pod, name: {pod}, namespace: default}}, \
         conditions: {{ready: true, serving: {ready}, terminating: false}}}}",
        super::node::own_address()
    )
}

/// A Gateway's `Programmed`.
#[derive(Debug)]
struct Condition {
    holds: bool,
    message: String,
    is_current: bool,
    /// When it began to hold, or not to.
    since: String,
}

impl Condition {
    fn of(gateway: &Value) -> Self {
        let conditions = gateway["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|condition| condition["type"] == "Programmed").unwrap_or_default();
        Self {
            holds: found["status"] == "True",
            message: found["message"].as_str().unwrap_or_default().to_owned(),
            since: found["lastTransitionTime"].as_str().unwrap_or_default().to_owned(),
            is_current: found["observedGeneration"] == gateway["metadata"]["generation"],
        }
    }
}

fn until(edge: &Edge, node: &Node, what: &str, is: impl Fn(&Condition) -> bool) {
    node.until(what, |_| {
        let condition = edge.programmed();
        (condition.is_current && is(&condition)).then_some(())
    });
}

fn member(node: &Node, name: &str) -> Value {
    let peers = node.json("/api/v1/peers");
    let members = peers["members"].as_array().cloned().unwrap_or_default();
    members.into_iter().find(|member| member["name"] == name).unwrap_or_default()
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn a_gateway_is_programmed_when_every_ready_node_serves_it_or_is_named() {
    let Some(edge) = Edge::start() else { return };
    edge.list(&[("a", true), ("b", true)]);
    let holder = edge.node("a", "serve,control");
    // Nobody answers for the second one: it is waited for, and then named.
    until(&edge, &holder, "the silent node is named", |condition| {
        condition.holds && condition.message.contains("node node-b has not answered for 10 s")
    });
    let reader = edge.cluster.user("reader", READER);
    let other = edge.node_as(reader, "b", "serve");
    until(&edge, &holder, "the name disappears", |condition| {
        condition.holds && condition.message == "The Gateway is served"
    });
    assert!(!other.log().contains("cannot be made") && !other.log().contains("writes status"), "{}", other.log());
    holder.until("the same in force on both", |holder| {
        let (peers, theirs) = (holder.json("/api/v1/peers"), member(holder, "b")["table"].clone());
        (theirs.is_string() && peers["table"] == theirs).then_some(())
    });

    // A node that is stopped.
    let before = edge.programmed().since;
    other.pause();
    edge.change("one.example.com");
    until(&edge, &holder, "the stopped node is named and waited for no more", |condition| {
        condition.holds && condition.message.contains("node-b")
    });
    assert!(edge.programmed().since > before, "pending while it was waited for");
    other.resume();
    until(&edge, &holder, "the node is back", |condition| condition.holds && !condition.message.contains("node-b"));
    other.until("it serves the change", |_| (member(&holder, "b")["waiting"] == 0).then_some(()));

    // A node that is not ready is not waited for, and one that leaves is not named.
    edge.list(&[("a", true), ("b", false)]);
    holder.until("b does not count", |holder| (member(holder, "b")["counts"] == false).then_some(()));
    drop(other);
    edge.change("two.example.com");
    until(&edge, &holder, "programmed without it", |condition| condition.holds);
    assert_eq!(edge.programmed().message, "The Gateway is served");
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn a_killed_holder_costs_some_seconds_and_no_flap() {
    let Some(edge) = Edge::start() else { return };
    edge.list(&[("a", true), ("b", true), ("c", true)]);
    let nodes = ["a", "b", "c"].map(|name| edge.node(name, "serve,control"));
    until(&edge, &nodes[0], "programmed", |condition| condition.holds && condition.message == "The Gateway is served");
    let before = edge.version();
    let is_holder = |node: &Node| node.json("/api/v1/peers")["holdsLease"] == true;
    let (mut holders, left): (Vec<_>, Vec<_>) = nodes.into_iter().partition(is_holder);
    let killed = holders.pop().expect("one holds the Lease");
    assert!(holders.is_empty());
    let pods: Vec<_> = left.iter().map(|node| node.json("/api/v1/peers")["name"].as_str().map(str::to_owned)).collect();
    let pods: Vec<_> = pods.iter().flatten().map(|name| (name.as_str(), true)).collect();
    drop(killed);
    edge.list(&pods);
    let next = left[0].until("another holder that hears the other", |_| {
        let holder = left.iter().position(is_holder)?;
        let peers = left[holder].json("/api/v1/peers");
        let all = peers["members"].as_array()?.iter().all(|member| member["connected"] == true);
        all.then_some(holder)
    });
    assert_eq!(edge.version(), before, "there was nothing to say: {:?}", edge.programmed());
    edge.change("next.example.com");
    until(&edge, &left[next], "the new holder goes on", |condition| condition.holds);
    assert_eq!(edge.programmed().message, "The Gateway is served");
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn another_key_is_refused_and_told_and_a_rotation_costs_nothing() {
    let Some(edge) = Edge::start() else { return };
    edge.list(&[("a", true), ("b", true)]);
    let holder = edge.node("a", "serve,control");
    let other = edge.node("b", "serve");
    until(&edge, &holder, "programmed", |condition| condition.holds && condition.message == "The Gateway is served");
    let key = || {
        edge.cluster.get("secret", "default", "postern-peer-key")["data"]["key"].as_str().unwrap_or_default().to_owned()
    };
    let first = key();
    let put = |current: &str, previous: Option<&str>| {
        let previous = previous.map(|key| format!(", previous: {key}")).unwrap_or_default();
        edge.cluster.apply(&format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: postern-peer-key, namespace: default}}, \
             data: {{key: {current}{previous}}}}}"
        ));
    };
    // Both valid, then only the new one: every change is acknowledged meanwhile, and nobody is ever named.
    let second = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    for (round, (current, previous)) in [(second, Some(first.as_str())), (second, None)].into_iter().enumerate() {
        put(current, previous);
        edge.change(&format!("r{round}.example.com"));
        until(&edge, &holder, "programmed with the keys of the round", |condition| condition.holds);
        assert_eq!(edge.programmed().message, "The Gateway is served", "{}{}", holder.log(), other.log());
        holder.until("joined", |holder| (member(holder, "b")["connected"] == true).then_some(()));
    }
    // Somebody with another key, who is told so.
    let elsewhere = Edge::start().expect("a second control plane");
    let stranger = elsewhere.node("x", "serve,control");
    stranger.until("a key of its own", |node| node.log().contains("made the key that peers share").then_some(()));
    let address =
        holder.json("/api/v1/peers")["listening"].as_str().and_then(|a| a.rsplit(':').next()).map(str::to_owned);
    let lease = format!("postern.dev/peer-address={}:{}", super::node::own_address(), address.expect("it listens"));
    drop(stranger);
    let third = elsewhere.node("y", "serve");
    elsewhere.cluster.kubectl(&["annotate", "--overwrite", "lease", "postern", &lease]).expect("the Lease is there");
    let holder_identity = r#"{"spec": {"holderIdentity": "gone", "leaseDurationSeconds": 3600}}"#;
    elsewhere.cluster.kubectl(&["patch", "lease", "postern", "--type=merge", "-p", holder_identity]).expect("patched");
    third.until("it is told", |node| node.log().contains("no stream to the holder of the Lease").then_some(()));
    holder.until("it is turned away", |holder| {
        holder.log().contains("it does not prove that it has the cluster key").then_some(())
    });
    assert!(holder.admin("/metrics").contains("postern_peer_refusals_total{reason=\"key\"}"));
    until(&edge, &holder, "nothing has changed", |condition| {
        condition.holds && condition.message == "The Gateway is served"
    });
}

#[test]
#[ignore = "needs an API server: cargo xtask test kubernetes"]
fn roles_are_split_and_a_socket_that_a_node_lacks_is_shown() {
    let Some(edge) = Edge::start() else { return };
    edge.list(&[("control", true), ("a", true), ("b", true)]);
    let control = edge.node("control", "control");
    let reader = edge.cluster.user("reader", READER);
    let serving = edge.node_as(reader.clone(), "a", "serve");
    // Its port for HTTP is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let lacking = edge.node_with(&reader, "b", "serve", &format!("80={port},443=0"));
    control.until("ready", |node| node.admin("/readyz").contains("200 OK").then_some(()));
    assert_eq!(
        control.json("/api/v1/listeners").as_array().map(|all| all.iter().all(|l| l["bound"] == serde_json::json!([]))),
        Some(true)
    );
    until(&edge, &control, "the socket is named with its node", |condition| {
        !condition.holds && condition.message.contains("node node-b: cannot listen on 127.0.0.1")
    });
    assert_eq!(serving.status("moved.example.com"), Some(302));
    drop(taken);
    lacking.until("the socket is had", |_| edge.programmed().holds.then_some(()));
    assert!(!serving.log().contains("writes status") && !lacking.log().contains("writes status"));
}
