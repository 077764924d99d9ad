//! What the operator decided, in types that cannot be wrong: defaults < `postern.yaml` < environment < flags.

pub mod access_log;
pub mod document;
pub mod key;
mod resolve;
mod roles;
mod value;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use http::HeaderName;
use ipnet::IpNet;
pub use postern_config::kubernetes::convert::EntryPoint;
use postern_config::kubernetes::convert::{self, exposure::AddressSettings};
use postern_config::{
    model::{address_map::AddressMap, cluster_key::ClusterKey},
    provider::kubernetes::{Scope, Writing},
};
use postern_l2announce::{election::Profile, heartbeat, link::Exclude, station::Refresh};
pub use resolve::{Mistake, Place, Said, resolve};
pub use roles::Roles;

/// Everything that is decided at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory of manifests.
    pub manifests: Option<PathBuf>,
    /// What this process does.
    pub roles: Roles,
    /// The cluster.
    pub cluster: Cluster,
    /// Sockets that exist whatever the objects say.
    pub entry_points: Vec<EntryPoint>,
    /// The admin server.
    pub admin: Admin,
    /// Which objects are ours.
    pub classes: Classes,
    /// What objects may do.
    pub policy: Policy,
    /// The access log.
    pub access_log: access_log::AccessLog,
    /// Metrics: what is counted and who may ask.
    pub metrics: Metrics,
    /// The program's own log.
    pub log: Log,
    /// Addresses that listeners without an address of their own bind.
    pub bind: Vec<IpAddr>,
    /// Public addresses that reach this node, or another, under one of its own.
    pub address_map: Arc<AddressMap>,
    /// Port in objects → port that is bound.
    pub port_map: Vec<(u16, u16)>,
    /// Number of workers.
    pub workers: usize,
    /// Limits on clients.
    pub limits: Limits,
    /// Who may speak for clients.
    pub trust: Trust,
    /// Time limits towards backends.
    pub upstream: UpstreamDefaults,
    /// How long connections may go on after a stop was asked for.
    pub drain_deadline: Duration,
    /// How a new process takes over from an old one.
    pub handover: HandOver,
    /// The name that other nodes know this one by; `None`: the host's.
    pub node: Option<Arc<str>>,
    /// The key that hosts without a cluster share.
    pub cluster_key: Option<ClusterKey>,
    /// Virtual addresses.
    pub vips: Vips,
}

/// How virtual addresses are announced.
#[derive(Clone, Debug)]
pub struct Vips {
    /// How soon a node that is not heard counts as lost.
    pub profile: Profile,
    /// UDP port of the heartbeats, the same on all nodes.
    pub port: u16,
    /// Interfaces that never announce.
    pub exclude: Exclude,
    /// Whether everybody is told of each address again and again.
    pub refresh: Option<Refresh>,
    /// Whether traffic of addresses that Postern serves is spared connection tracking.
    pub notrack: bool,
    /// Whether connections go on at the node that had an address before it moved.
    pub hand_back: bool,
    /// Where locks and what should be known at the next start lie.
    pub directory: PathBuf,
}

/// Limits on clients. Each has a metric and a log line.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request head, request line included.
    pub header_bytes: usize,
    /// Fields of a request head.
    pub header_count: usize,
    /// From the first byte of a head to its last.
    pub header_deadline: Duration,
    /// From accept to the end of the TLS handshake, PROXY protocol header included.
    pub handshake_deadline: Duration,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// How long a body may make no progress.
    pub body_idle: Duration,
    /// Connections of this node.
    pub connections: usize,
    /// Connections of one client address (IPv6: one /64).
    pub connections_per_address: usize,
    /// Concurrent HTTP/2 streams of a connection.
    pub h2_streams: u32,
    /// Streams that a peer may reset before they were answered, per connection at a time.
    pub h2_resets: usize,
    /// Bytes of a backend's answer head.
    pub response_header_bytes: usize,
    /// Fields of a backend's answer head.
    pub response_header_count: usize,
}

/// Who may speak for clients.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Peers whose X-Forwarded-* and Forwarded are believed (Traefik `forwardedHeaders.trustedIPs`).
    pub forwarded: Vec<IpNet>,
    /// Every peer is (Traefik `forwardedHeaders.insecure`).
    pub forwarded_insecure: bool,
    /// Do not append the peer to X-Forwarded-For.
    pub not_append_forwarded_for: bool,
    /// Peers that may send a PROXY protocol header; from them it is required.
    pub proxy_protocol: Vec<IpNet>,
    /// Header that holds the client's address when one of these peers sends it (`CF-Connecting-IP`).
    pub client_ip_header: Option<(HeaderName, Vec<IpNet>)>,
}

/// Time limits towards backends, where the route says nothing.
#[derive(Clone, Debug)]
pub struct UpstreamDefaults {
    /// One connect, TLS included.
    pub connect: Duration,
    /// From the last byte of the request to the first byte of the answer; zero is no limit.
    pub first_byte: Duration,
    /// The whole exchange; zero is no limit.
    pub request: Duration,
    /// How long an idle connection is kept.
    pub idle: Duration,
    /// Idle connections kept per endpoint and node.
    pub idle_per_endpoint: usize,
    /// Tries after the first, for requests that may be repeated.
    pub retries: u32,
    /// Share of requests that may be retries, in percent, beside a floor of 10 a second.
    pub retry_budget_percent: u32,
}

/// The admin server.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens; `None` is nowhere.
    pub address: Option<SocketAddr>,
    /// The path of a Unix socket where it listens too; `None` is nowhere.
    pub socket: Option<PathBuf>,
    /// A virtual address where it answers questions that change nothing; `None` is nowhere.
    pub vip: Option<SocketAddr>,
    /// Who is answered there.
    pub from: Vec<IpNet>,
    /// Which host names it answers to.
    pub hosts: AdminHosts,
}

/// Metrics, beside what the admin server answers.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Whether requests are counted by route object.
    pub routes: bool,
    /// Where metrics and health, and nothing else, are answered; `None` is nowhere.
    pub address: Option<SocketAddr>,
    /// Who is answered there.
    pub from: Vec<IpNet>,
}

/// How a new process takes over from an old one on the same host.
#[derive(Clone, Debug, Default)]
pub struct HandOver {
    /// The path of the Unix socket at which they meet; `None`: nothing is handed over.
    pub socket: Option<PathBuf>,
    /// Whether a process that was replaced drains and ends by itself.
    pub leave: bool,
}

/// Host names that the admin server answers to, beside addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminHosts {
    /// All: something in front of it decides.
    Any,
    /// These, in lower case.
    Only(BTreeSet<String>),
}

/// Which objects are ours.
#[derive(Clone, Debug)]
pub struct Classes {
    /// Controllers of IngressClasses.
    pub ingress_controllers: Vec<Arc<str>>,
    /// Controllers of GatewayClasses.
    pub gateway_controllers: Vec<Arc<str>>,
    /// Whether an Ingress without any class is ours.
    pub serve_classless_ingress: bool,
    /// The class of LoadBalancer Services that get addresses; `None`: those without one do.
    pub load_balancer: Option<Arc<str>>,
}

/// What objects may do.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Backends outside the cluster.
    pub allow_external_names: bool,
    /// Middlewares of other namespaces.
    pub allow_cross_namespace: bool,
    /// EndpointSlices with loopback addresses.
    pub allow_loopback_endpoints: bool,
    /// Nodes that are labelled as excluded announce addresses all the same.
    pub ignore_exclude_label: bool,
}

/// The program's own log, on standard error.
#[derive(Clone, Debug)]
pub struct Log {
    /// A filter as `tracing_subscriber::EnvFilter` reads it.
    pub level: String,
    /// How it is written.
    pub format: LogFormat,
}

/// Whether and how objects come from a cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Whether to watch the cluster that the environment names.
    pub watch: bool,
    /// What to read of it.
    pub scope: Scope,
}

/// How the program's log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object per line.
    Json,
}

impl Settings {
    /// What the compiler is told; certificates are judged at `now`.
    pub fn for_compiler(&self, now: jiff::Timestamp) -> convert::Settings {
        convert::Settings {
            entry_points: self.entry_points.clone(),
            ingress_controllers: self.classes.ingress_controllers.clone(),
            gateway_controllers: self.classes.gateway_controllers.clone(),
            serve_classless_ingress: self.classes.serve_classless_ingress,
            allow_external_names: self.policy.allow_external_names,
            allow_cross_namespace: self.policy.allow_cross_namespace,
            allow_loopback_endpoints: self.policy.allow_loopback_endpoints && !self.cluster.watch,
            addresses: AddressSettings {
                class: self.classes.load_balancer.clone(),
                ignore_excluded: self.policy.ignore_exclude_label,
                map: self.address_map.clone(),
                ..for_files().addresses
            },
            now,
        }
    }
}

impl Settings {
    /// Has what the operator named by a public address be bound at the private one.
    fn bind_private(&mut self) {
        let map = self.address_map.clone();
        let mut bind: Vec<IpAddr> = Vec::new();
        for address in self.bind.iter().map(|address| map.private(*address)) {
            if !bind.contains(&address) {
                bind.push(address);
            }
        }
        self.bind = bind;
        for entry in &mut self.entry_points {
            entry.socket.address = entry.socket.address.map(|address| map.private(address));
        }
    }

    /// The name that other nodes know this one by.
    pub fn node_name(&self) -> Arc<str> {
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned().into();
        self.node.clone().unwrap_or_else(host)
    }
}

impl Default for Admin {
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9000));
        let hosts = AdminHosts::Only(["localhost".to_owned()].into());
        Self { address: Some(address), socket: None, vip: None, from: private(), hosts }
    }
}

/// Loopback, RFC 1918, RFC 4193 and link-local: networks that nobody reaches from the Internet.
const PRIVATE: [(IpAddr, u8); 8] = [
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
];

fn private() -> Vec<IpNet> {
    PRIVATE.iter().map(|(address, length)| IpNet::new_assert(*address, *length)).collect()
}

impl Default for Metrics {
    fn default() -> Self {
        Self { routes: false, address: None, from: private() }
    }
}

/// The compiler's own defaults for files; the time plays no part in them.
fn for_files() -> convert::Settings {
    convert::Settings::for_files(jiff::Timestamp::UNIX_EPOCH)
}

impl Default for Classes {
    /// Ours, and those of the products that Postern replaces: nobody edits a class name.
    fn default() -> Self {
        let convert::Settings { ingress_controllers, gateway_controllers, serve_classless_ingress, addresses, .. } =
            for_files();
        let load_balancer = addresses.class;
        Self { ingress_controllers, gateway_controllers, serve_classless_ingress, load_balancer }
    }
}

impl Default for Policy {
    fn default() -> Self {
        let convert::Settings {
            allow_external_names, allow_cross_namespace, allow_loopback_endpoints, addresses, ..
        } = for_files();
        let ignore_exclude_label = addresses.ignore_excluded;
        Self { allow_external_names, allow_cross_namespace, allow_loopback_endpoints, ignore_exclude_label }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        let scope = Scope {
            namespaces: Vec::new(),
            cache: Some("/var/lib/postern/objects".into()),
            cache_max_age: Duration::from_secs(7 * 24 * 3600),
            control: true,
            writing: Some(Writing::default()),
            ..Scope::default()
        };
        Self { watch: false, scope }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            manifests: None,
            roles: Roles::default(),
            cluster: Cluster::default(),
            entry_points: for_files().entry_points,
            admin: Admin::default(),
            classes: Classes::default(),
            policy: Policy::default(),
            access_log: access_log::AccessLog::default(),
            metrics: Metrics::default(),
            log: Log::default(),
            bind: every_address(),
            address_map: Arc::default(),
            port_map: Vec::new(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            limits: Limits::default(),
            trust: Trust::default(),
            upstream: UpstreamDefaults::default(),
            drain_deadline: Duration::from_secs(30),
            handover: HandOver::default(),
            node: None,
            cluster_key: None,
            vips: Vips::default(),
        }
    }
}

/// All addresses of the families that the host has: `ipv6.disable=1` leaves one.
fn every_address() -> Vec<IpAddr> {
    let has_ipv6 = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).is_ok();
    let ipv6 = has_ipv6.then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    std::iter::once(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).chain(ipv6).collect()
}

impl Default for Vips {
    fn default() -> Self {
        Self {
            profile: Profile::DEFAULT,
            port: heartbeat::socket::PORT,
            exclude: Exclude::default(),
            refresh: Some(Refresh { at_least: Duration::from_secs(60), at_most: Duration::from_secs(100) }),
            notrack: true,
            hand_back: true,
            directory: "/run/postern".into(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 64 * 1024,
            header_count: 100,
            header_deadline: Duration::from_secs(10),
            handshake_deadline: Duration::from_secs(10),
            idle: Duration::from_secs(180),
            body_idle: Duration::from_secs(60),
            connections: 50_000,
            connections_per_address: 1_000,
            h2_streams: 100,
            h2_resets: 200,
            response_header_bytes: 256 * 1024,
            response_header_count: 100,
        }
    }
}

impl Default for UpstreamDefaults {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::ZERO,
            request: Duration::ZERO,
            idle: Duration::from_secs(90),
            idle_per_endpoint: 128,
            retries: 2,
            retry_budget_percent: 20,
        }
    }
}
