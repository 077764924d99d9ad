//! Gateways with addresses of their own: each has port 443, with a certificate and routes that no other address shows,
//! whoever owns the address, and for whom on the nodes themselves too.

use std::{fmt::Write as _, net::Ipv4Addr};

use crate::{
    node::Node,
    segment::{Host, eventually},
    world::{World, manifests},
};

const HOST: &str = "gate.example.com";
const PUBLIC: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 120);
const PRIVATE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 121);

/// A Gateway with a certificate of its own and one route, of whose path it is the name.
struct Gate {
    name: &'static str,
    address: Ipv4Addr,
    certificate: tempfile::NamedTempFile,
    manifests: String,
}

impl Gate {
    /// `class` and `addresses` are where the Gateway says, or doesn't, where it wants to be.
    fn new(name: &'static str, address: Ipv4Addr, class: &str, addresses: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &certificate).expect("written");
        let block = |text: &str| text.lines().fold(String::new(), |all, line| all + "\n    " + line);
        let mut manifests = String::new();
        let _infallible = write!(
            manifests,
            "---
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: shop}}
type: kubernetes.io/tls
stringData:
  tls.crt: |{}
  tls.key: |{}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: shop}}
spec:
  gatewayClassName: {class}
  addresses: [{addresses}]
  listeners: [{{name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: {name}}}]}}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: shop}}
spec:
  parentRefs: [{{name: {name}}}]
  hostnames: [{HOST}]
  rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{name: web, port: 80}}]}}]
",
            block(&certificate),
            block(&key),
        );
        Self { name, address, certificate: file, manifests }
    }

    /// What `host` gets for `path` at this gate's address, if it is shown this certificate: status and body.
    fn ask(&self, host: &Host, path: &str) -> Result<(u16, String), String> {
        let mut command = host.command("curl");
        command.args(["--silent", "--show-error", "--max-time", "2", "--write-out", "\n%{http_code}", "--cacert"]);
        command.arg(self.certificate.path()).args(["--resolve", &format!("{HOST}:443:{}", self.address)]);
        let output = command.arg(format!("https://{HOST}/{path}")).output().expect("curl is there");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').expect("it was asked for");
        Ok((status.parse().expect("a status"), body.to_owned()))
    }

    /// Waits until `host` is served the gate's own route; the body.
    fn serves(&self, host: &Host) -> String {
        eventually(&format!("{} for {}", self.name, host.namespace), || match self.ask(host, self.name)? {
            (200, body) => Ok(body),
            other => Err(format!("{other:?}")),
        })
    }
}

/// Classes, and the pool that one of them names: of one address, since nobody keeps a record here.
const CLASSES: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: postern}
spec: {controllerName: postern.dev/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: private, annotations: {metallb.io/address-pool: private}}
spec: {controllerName: postern.dev/gateway}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: private, namespace: metallb-system}
spec: {addresses: [192.0.2.121/32], autoAssign: false}
";

/// One that asks by value, one whose class names a pool.
fn gates() -> [Gate; 2] {
    [Gate::new("public", PUBLIC, "postern", "{value: 192.0.2.120}"), Gate::new("private", PRIVATE, "private", "")]
}

fn world(gates: &[Gate; 2]) -> Option<World> {
    let of_gates: String = gates.iter().map(|gate| gate.manifests.as_str()).collect();
    let base = manifests::<Ipv4Addr>(&[]).replace("192.0.2.10-192.0.2.254", "192.0.2.10-192.0.2.120");
    let mut world = World::prepare(&format!("{base}{CLASSES}{of_gates}"))?;
    world.nodes.iter_mut().for_each(Node::start);
    Some(world)
}

#[test]
#[ignore = "a real segment: cargo xtask vip"]
fn gateways_own_one_port_at_two_addresses_and_show_nothing_of_each_other() {
    let gates = gates();
    let Some(world) = world(&gates) else { return };
    let [public, private] = &gates;
    for gate in &gates {
        let body = gate.serves(&world.client);
        assert!(body.contains(&world.client.address().to_string()), "the client's address is kept: {body}");
    }
    for (gate, other) in [(public, private), (private, public)] {
        assert_eq!(gate.ask(&world.client, other.name).map(|(status, _)| status), Ok(404), "{}'s route", other.name);
        let swapped = Gate { address: other.address, ..Gate::new(gate.name, gate.address, "postern", "") };
        let shown = Gate { certificate: copy(gate), ..swapped }.ask(&world.client, "");
        let refused = shown.expect_err("another certificate is shown there");
        assert!(refused.contains("certificate"), "{refused}");
    }
}

fn copy(gate: &Gate) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::copy(gate.certificate.path(), file.path()).expect("copied");
    file
}

#[test]
#[ignore = "a real segment: cargo xtask vip"]
fn processes_and_pods_of_every_node_reach_an_address_whoever_owns_it() {
    let gates = gates();
    let Some(mut world) = world(&gates) else { return };
    let [public, private] = &gates;
    public.serves(&world.client);
    private.serves(&world.client);
    let owners = eventually("owners", || world.nodes[0].owners());
    println!("the owners are {owners:?}");
    let hosts: Vec<Host> = world.nodes.iter().map(|node| node.host.clone()).collect();
    for host in &hosts {
        public.serves(host);
        private.serves(host);
        let pod = world.segment.pod(host);
        let body = public.serves(&pod);
        assert!(body.contains(&format!("10.244.{}.2", host.number)), "the pod's address is kept: {body}");
    }
}

const MAPPED: &str = "---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: mapped, namespace: metallb-system}
spec: {addresses: [203.0.113.7/32]}
";

/// A pool has the public address too, and every node would announce it.
#[test]
#[ignore = "a real segment: cargo xtask vip"]
fn a_public_address_is_served_at_the_private_one_of_a_node_and_leaves_no_trace_elsewhere() {
    let gate = Gate::new("mapped", Ipv4Addr::new(192, 0, 2, 1), "postern", "{value: 203.0.113.7}");
    let manifests = format!("{}{CLASSES}{MAPPED}{}", manifests::<Ipv4Addr>(&[]), gate.manifests);
    let Some(mut world) = World::prepare(&manifests) else { return };
    for node in &mut world.nodes {
        node.settings.push(("POSTERN_ADDRESS_MAP".to_owned(), "203.0.113.7=192.0.2.1".to_owned()));
        node.start();
    }
    gate.serves(&world.client);
    for node in &world.nodes {
        let view = eventually("an answer", || node.vips());
        assert!(view.vips.is_empty(), "{view:?}");
        let rules = node.host.command("nft").args(["list", "ruleset"]).output().expect("nft is there").stdout;
        let kernel = node.host.ip("route show table all") + &String::from_utf8_lossy(&rules);
        assert!(!kernel.contains("203.0.113.7"), "{}: {kernel}", node.name);
        assert!(!kernel.contains("postern"), "{}: {kernel}", node.name);
    }
}
