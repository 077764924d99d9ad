//! Three nodes and a client, and questions that all nodes must answer alike.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};

use postern_l2announce::wire::MacAddr;

use crate::{
    client,
    node::Node,
    segment::{Host, Segment, eventually},
};

/// The address that everything is about.
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);

/// Everything of one test. The order of the fields is that of their end.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) client: Host,
    pub(crate) segment: Segment,
    folder: tempfile::TempDir,
}

impl World {
    /// Three nodes that run, one of which owns [`VIP`]; `None` where there can't be any.
    pub(crate) fn start() -> Option<Self> {
        let mut world = Self::prepare(&manifests(&[VIP]))?;
        world.run();
        Some(world)
    }

    /// The same before anything runs.
    pub(crate) fn prepare(manifests: &str) -> Option<Self> {
        let mut segment = Segment::new()?;
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("manifests")).expect("made");
        let client = segment.host("client", 200);
        let nodes: Vec<_> = (1..=3).map(|number| segment.host(&format!("n{number}"), number)).collect();
        let nodes = nodes.into_iter().map(|host| Node::prepare(host, folder.path())).collect();
        let world = Self { nodes, client, segment, folder };
        world.write("all.yaml", manifests);
        Some(world)
    }

    /// Writes a file of manifests as a whole, as editors do.
    pub(crate) fn write(&self, name: &str, manifests: &str) {
        write(self.folder.path(), name, manifests);
    }

    /// Starts every node, and waits until all agree on an owner that serves the client.
    pub(crate) fn run(&mut self) {
        self.nodes.iter_mut().for_each(Node::start);
        self.owner();
        self.is_served();
    }

    /// The node that all which run say owns every address.
    pub(crate) fn owner(&self) -> usize {
        self.owner_for(&self.nodes.iter().collect::<Vec<_>>())
    }

    /// The node that all the others say owns every address.
    pub(crate) fn owner_without(&self, gone: usize) -> usize {
        let others: Vec<_> =
            self.nodes.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, node)| node).collect();
        let owner = self.owner_for(&others);
        assert_ne!(owner, gone);
        owner
    }

    fn owner_for(&self, asked: &[&Node]) -> usize {
        eventually("one owner that all know", || {
            let mut owners = Vec::new();
            for node in asked.iter().filter(|node| node.has_process()) {
                owners.extend(node.owners()?);
            }
            owners.dedup();
            let [owner] = owners.as_slice() else { return Err(format!("{owners:?}")) };
            let found =
                self.nodes.iter().position(|node| node.name == *owner && asked.iter().any(|its| its.name == *owner));
            found.ok_or_else(|| owner.clone())
        })
    }

    /// Sets what every node is told at its next start.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.nodes.iter_mut().for_each(|node| node.settings.push((name.to_owned(), value.to_owned())));
    }

    /// Waits until all nodes hear each other.
    pub(crate) fn is_acquainted(&self) {
        let all = self.nodes.len() * (self.nodes.len() - 1);
        eventually("all hear each other", || {
            let heard: usize =
                self.nodes.iter().map(|node| node.vips().map(|view| view.peers.len()).unwrap_or_default()).sum();
            if heard == all { Ok(()) } else { Err(format!("{heard} of {all}")) }
        });
    }

    /// Waits until the client is served.
    pub(crate) fn is_served(&self) {
        self.is_served_at(VIP);
    }

    /// Waits until the client is served at `address`.
    pub(crate) fn is_served_at(&self, address: impl Into<IpAddr>) {
        let address = address.into();
        self.client.inside(|| {
            eventually("an answer", || {
                client::request(address, Duration::from_secs(1)).map_err(|error| error.to_string())
            })
        });
    }

    /// Who answers for the address now.
    pub(crate) fn answering(&self) -> Vec<MacAddr> {
        let (start, probe) = (std::time::Instant::now(), client::arping(&self.client, VIP));
        crate::segment::pass(Duration::from_millis(500));
        probe.stop().answering(start, std::time::Instant::now())
    }

    pub(crate) fn epoch(&self, node: usize) -> u64 {
        eventually("an epoch", || Ok(self.nodes[node].vips()?.vips.first().ok_or("no address")?.epoch))
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    let aside = folder.join(name);
    fs::write(&aside, text).expect("written");
    fs::rename(&aside, folder.join("manifests").join(name)).expect("moved");
}

/// Everything that a client needs to be served at `addresses`, each of which a Service has.
pub(crate) fn manifests<A: Copy + Into<IpAddr>>(addresses: &[A]) -> String {
    let mut all = BASE.to_owned();
    for (number, address) in addresses.iter().enumerate() {
        let address: IpAddr = (*address).into();
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let _infallible = write!(
            all,
            "---
apiVersion: v1
kind: Service
metadata: {{name: edge-{number}, namespace: shop, annotations: {{metallb.io/loadBalancerIPs: {address}}}}}
spec: {{type: LoadBalancer, ipFamilies: [{family}], loadBalancerClass: postern.dev/proxy, ports: [{{name: web, port: 80}}]}}
"
        );
    }
    all
}

const BASE: &str = "apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: public, namespace: metallb-system}
spec: {addresses: [192.0.2.10-192.0.2.254, '2001:db8::100-2001:db8::1ff']}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: ['127.0.0.1'], conditions: {ready: true}}]
ports: [{name: http, port: 8000}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  rules:
  - host: shop.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
";
