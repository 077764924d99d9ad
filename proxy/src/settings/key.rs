//! Every key of `postern.yaml`: its name, what it takes, its default, and where it goes. docs/reference/settings.md
//! lists them; a test compares both ways.
//!
//! A key's environment variable follows from its name: `limits.headerBytes` is `POSTERN_LIMITS_HEADER_BYTES`.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use postern_config::{
    kubernetes::takeover::{Product, Wish},
    model::{address_map::AddressMap, cluster_key::KeyError},
    snapshot::{SocketKey, Transport},
};

use postern_l2announce::{election::Profile, link::Exclude, station::Refresh};

use super::{
    AdminHosts, EntryPoint, LogFormat, Roles, Settings,
    access_log::{Keep, LineFormat, Shape, Target},
    document::{Entry, Value},
    value::{Refused, header, port_pair, public_address, status_range},
};

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name, with dots between levels.
    pub path: &'static str,
    /// What it takes, with unit and range.
    pub takes: &'static str,
    /// What holds when nobody says anything.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// Puts a value in its place.
    pub(super) set: fn(&mut Settings, &Value) -> Result<(), Refused>,
}

impl Key {
    /// The key of that name.
    pub fn find(path: &str) -> Option<&'static Self> {
        ALL.iter().find(|key| key.path == path)
    }

    /// Its environment variable; `None` for keys that hold maps.
    pub fn variable(&self) -> Option<String> {
        if self.takes.starts_with("map") {
            return None;
        }
        let mut name = String::from("POSTERN_");
        for c in self.path.chars() {
            match c {
                '.' => name.push('_'),
                c if c.is_ascii_uppercase() => name.extend(['_', c]),
                c => name.push(c.to_ascii_uppercase()),
            }
        }
        Some(name)
    }
}

/// The known name nearest to `path`, if any is near enough to be meant.
pub fn nearest<'a>(path: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|name| (strsim::jaro_winkler(&path.to_lowercase(), &name.to_lowercase()), name));
    scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Limits that may not be switched off.
const POSITIVE: RangeInclusive<Duration> = Duration::from_millis(1)..=DAY;
/// Limits that zero switches off.
const OR_OFF: RangeInclusive<Duration> = Duration::ZERO..=DAY;

macro_rules! keys {
    ($($path:literal ($takes:literal, $default:literal) $help:literal => $set:expr;)+) => {
        /// All keys, in the order of the reference.
        pub const ALL: &[Key] = &[$(Key { path: $path, takes: $takes, default: $default, help: $help, set: $set },)+];
    };
}

keys! {
    "manifests" ("path of a directory", "none")
        "Kubernetes YAML and JSON, read with all directories below and again whenever a file changes." =>
        |s, v| { s.manifests = Some(v.path()?); Ok(()) };
    "roles" ("list of serve, announce, control", "serve, announce, control")
        "What this Postern does: serve traffic; announce virtual addresses; control: hold the Lease and write what the cluster is shown." =>
        |s, v| {
            s.roles = Roles::parse(&v.list()?)?;
            s.cluster.scope.control = s.roles.control;
            Ok(())
        };
    "peers.address" ("address:port, :port for all addresses, or off", "off")
        "Where the Postern that holds the Lease is dialed by the others; off: it speaks to none, and a Gateway is programmed once this one serves it." =>
        |s, v| { s.cluster.scope.peers.listen = listen_or_off(v)?; Ok(()) };
    "peers.service" ("text", "none")
        "The headless Service, in Postern's own namespace, that selects its pods: by it the nodes that run Postern are known, and with `peers.address` Programmed waits for those that are ready." =>
        |s, v| { s.cluster.scope.peers.service = Some(v.text()?).filter(|name| *name != "none").map(str::to_owned); Ok(()) };
    "peers.name" ("text", "none")
        "What this Postern is called among them: the name of its pod. Without it, the host's name, which is that of a pod without hostNetwork." =>
        |s, v| { s.cluster.scope.peers.name = Some(v.text()?).filter(|name| *name != "none").map(Into::into); Ok(()) };
    "kubernetes.watch" ("true or false", "false")
        "Whether objects come from the cluster that the service account, or KUBECONFIG, names." =>
        |s, v| { s.cluster.watch = v.flag()?; Ok(()) };
    "kubernetes.namespaces" ("list of texts", "none")
        "Namespaces whose objects are read, where not all of them are; objects without a namespace are read in any case." =>
        |s, v| { s.cluster.scope.namespaces = v.list()?.into_iter().map(str::to_owned).collect(); Ok(()) };
    "kubernetes.cache" ("path of a directory, or off", "/var/lib/postern/objects")
        "Where objects in use are kept, keys among them and readable by us alone, for a start without the API server." =>
        |s, v| { s.cluster.scope.cache = path_or_off(v)?; Ok(()) };
    "kubernetes.cacheMaxAge" ("duration, 0s to 720h", "168h")
        "How old they may be to be served at such a start." =>
        |s, v| { s.cluster.scope.cache_max_age = v.duration(Duration::ZERO..=30 * DAY)?; Ok(()) };
    "kubernetes.status" ("true or false", "true")
        "Whether status is written to objects, by the one Postern of the cluster that holds the Lease `postern`." =>
        |s, v| { s.cluster.scope.writing = v.flag()?.then(|| s.cluster.scope.writing.take().unwrap_or_default()); Ok(()) };
    "kubernetes.events" ("true or false", "true")
        "Whether events are written for objects that are refused or mended, where status is." =>
        |s, v| {
            let events = v.flag()?;
            if let Some(writing) = &mut s.cluster.scope.writing {
                writing.events = events;
            }
            Ok(())
        };
    "kubernetes.leaseNamespace" ("text", "none")
        "Where the Lease is, if not in Postern's own namespace." =>
        |s, v| {
            let namespace = v.text()?;
            s.cluster.scope.lease_namespace = (namespace != "none").then(|| namespace.to_owned());
            Ok(())
        };
    "kubernetes.addresses" ("list of addresses or host names", "none")
        "Where clients reach Postern, as status says it: the node's address, or the one that a router maps to it. Without it, the adopted Service's, or the public ones of `addressMap`." =>
        |s, v| {
            let addresses = v.list()?.into_iter().map(public_address).collect::<Result<_, _>>()?;
            if let Some(writing) = &mut s.cluster.scope.writing {
                writing.addresses = addresses;
            }
            Ok(())
        };
    "addressMap" ("list of PUBLIC=PRIVATE", "none")
        "Public addresses that something else delivers to an address of a node, as clouds do: listeners bind the private one, status shows the public one, objects may name either. Such an address is never announced." =>
        |s, v| {
            let entries: Result<Vec<_>, _> = v.list()?.into_iter().map(str::parse).collect();
            let map = entries.and_then(AddressMap::new).map_err(|error| Refused::from(error.to_string()))?;
            if let Some(writing) = &mut s.cluster.scope.writing {
                writing.map = map.clone();
            }
            s.address_map = Arc::new(map);
            Ok(())
        };
    "takeover.traefik" ("auto, observe or own", "auto")
        "What Postern is to Traefik: `own` serves in its place, `observe` binds and writes nothing and reports, `auto` owns where it does not run at start." =>
        |s, v| wish(s, v, Product::Traefik);
    "takeover.ingressNginx" ("auto, observe or own", "auto")
        "The same for ingress-nginx." =>
        |s, v| wish(s, v, Product::IngressNginx);
    "takeover.kgateway" ("auto, observe or own", "auto")
        "The same for kgateway." =>
        |s, v| wish(s, v, Product::Kgateway);
    "takeover.envoyGateway" ("auto, observe or own", "auto")
        "The same for Envoy Gateway." =>
        |s, v| wish(s, v, Product::EnvoyGateway);
    "takeover.metallb" ("auto, observe or own", "auto")
        "The same for MetalLB: `own` gives Services of type LoadBalancer their addresses and announces them, `observe` does neither." =>
        |s, v| wish(s, v, Product::Metallb);
    "takeover.certManager" ("auto or observe", "auto")
        "cert-manager is found and reported; to own what it does is not carried yet." =>
        |s, v| wish(s, v, Product::CertManager);
    "takeover.externalDns" ("auto or observe", "auto")
        "The same for external-dns." =>
        |s, v| wish(s, v, Product::ExternalDns);
    "takeover.force" ("true or false", "false")
        "Own although the other's pods run." =>
        |s, v| { s.cluster.scope.takeover.force = v.flag()?; Ok(()) };
    "takeover.service" ("namespace/name, or none", "none")
        "The LoadBalancer Service whose addresses and ports Postern adopts, where it is not the only one of a product that is owned." =>
        |s, v| { s.cluster.scope.takeover.service = namespaced(v)?; Ok(()) };
    "bind" ("list of addresses", "0.0.0.0, ::")
        "Addresses that listeners without an address of their own bind; by default without `::` where the host has no IPv6." =>
        |s, v| {
            let addresses = v.addresses()?;
            if addresses.is_empty() {
                return Err("at least one address is wanted".to_owned().into());
            }
            s.bind = addresses;
            Ok(())
        };
    "mapPort" ("list of FROM=TO", "none")
        "The port in objects = the port that is bound; 0 lets the system choose." =>
        |s, v| { s.port_map = v.list()?.into_iter().map(port_pair).collect::<Result<_, _>>()?; Ok(()) };
    "workers" ("number, 1 to 1024", "one per CPU at hand")
        "Threads that serve." =>
        |s, v| { s.workers = v.number(1..=1024)?; Ok(()) };
    "drainDeadline" ("duration, 0s to 24h", "30s")
        "How long connections may go on after a stop was asked for." =>
        |s, v| { s.drain_deadline = v.duration(OR_OFF)?; Ok(()) };
    "handover.socket" ("path of a socket, or off", "off")
        "Where a new process takes the listening sockets over from the old one, without a refused connection. Both need the same path and user." =>
        |s, v| { s.handover.socket = path_or_off(v)?; Ok(()) };
    "handover.leave" ("true or false", "false")
        "Whether the old one drains and ends by itself once it is replaced. Not where something else ends it, as in Kubernetes." =>
        |s, v| { s.handover.leave = v.flag()?; Ok(()) };
    "node" ("text, or none", "none")
        "The name that other nodes know this one by, in a cluster the node's; none: the host's name." =>
        |s, v| { s.node = Some(v.text()?).filter(|name| *name != "none").map(Into::into); Ok(()) };
    "clusterKey" ("32 bytes in base64, or none", "none")
        "The key that hosts without a cluster share, by which they believe each other's heartbeats. In a cluster it is made, and kept in a Secret." =>
        |s, v| {
            let text = v.text()?;
            s.cluster_key = if text == "none" { None } else { Some(text.parse().map_err(|error: KeyError| error.to_string())?) };
            Ok(())
        };
    "vips.profile" ("default, fast or adaptive", "default")
        "How soon a node that is not heard loses its virtual addresses: heartbeats each 250 ms and 4 missed; each 100 ms and 3; or each 250 ms and as many as the link's habit asks for, for Wi-Fi." =>
        |s, v| {
            s.vips.profile = v.word(&[("default", Profile::DEFAULT), ("fast", Profile::FAST), ("adaptive", Profile::ADAPTIVE)])?;
            Ok(())
        };
    "vips.port" ("number, 1 to 65535", "7947")
        "UDP port of the heartbeats, the same on all nodes." =>
        |s, v| { s.vips.port = v.number::<u16>(1..=65_535)?; Ok(()) };
    "vips.excludeInterfaces" ("list of regular expressions, or default", "default")
        "Interfaces that never announce; default: MetalLB's list (docker, cbr, dummy, virbr, lxcbr, veth, lo, cali, tunl, flannel, kube-ipvs, cni, nodelocaldns, lxc)." =>
        |s, v| {
            let patterns = v.list()?;
            s.vips.exclude = match patterns.as_slice() {
                ["default"] => Exclude::default(),
                _ => Exclude::new(patterns).map_err(|error| error.to_string())?,
            };
            Ok(())
        };
    "vips.refresh" ("duration, 0s to 1h; 0s is never", "100s")
        "How often everybody is told of each announced address again, more or less: for switches that forget, and so that two clusters that both have an address notice." =>
        |s, v| {
            let most = v.duration(Duration::ZERO..=HOUR)?;
            s.vips.refresh = (!most.is_zero()).then(|| Refresh { at_least: most * 3 / 5, at_most: most });
            Ok(())
        };
    "vips.notrack" ("true or false", "true")
        "Whether traffic of addresses that Postern serves is spared connection tracking, and so DNAT of host ports. Not where a firewall of the node admits by connection state alone." =>
        |s, v| { s.vips.notrack = v.flag()?; Ok(()) };
    "vips.handBack" ("true or false", "true")
        "Whether connections go on at the node that had an address before it moved, for as long as `drainDeadline`. Not where a switch or hypervisor lets a port send with known addresses alone." =>
        |s, v| { s.vips.hand_back = v.flag()?; Ok(()) };
    "vips.directory" ("path of a directory", "/run/postern")
        "Where processes of this node agree on who announces, and leave to the next what they know; gone after a reboot." =>
        |s, v| { s.vips.directory = v.path()?; Ok(()) };
    "entryPoints" ("map of name to {port, address, tls, ingressClasses}", "web: {port: 80}, websecure: {port: 443, tls: true}")
        "Sockets that exist whatever the objects say. Ingress objects are served on all of them, but those of a class that some name in `ingressClasses` on these alone." =>
        |s, v| { s.entry_points = entry_points(v)?; Ok(()) };
    "admin.address" ("address:port, or off", "127.0.0.1:9000")
        "Where health, metrics and the API answer." =>
        |s, v| { s.admin.address = address_or_off(v)?; Ok(()) };
    "admin.socket" ("path of a socket, or off", "off")
        "Where the admin server answers as well, on a Unix socket for its own user alone: for probes of a container." =>
        |s, v| { s.admin.socket = path_or_off(v)?; Ok(()) };
    "admin.vip" ("address:port, or off", "off")
        "A virtual address where the admin server answers as well, to `admin.from` alone and nothing that changes anything: for people. An entry point may have the same port on all other addresses." =>
        |s, v| { s.admin.vip = address_or_off(v)?; Ok(()) };
    "admin.from" ("list of networks", "127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, ::1/128, fc00::/7, fe80::/10")
        "Who is answered at `admin.vip`; connections of others are closed." =>
        |s, v| { s.admin.from = v.networks()?; Ok(()) };
    "admin.hosts" ("list of host names, or *", "localhost")
        "Host names that the admin server answers to, beside addresses: a web page of another origin that resolves to it is refused. `*` answers to any." =>
        |s, v| {
            let names = v.list()?;
            s.admin.hosts = if names.contains(&"*") {
                AdminHosts::Any
            } else {
                AdminHosts::Only(names.into_iter().map(str::to_ascii_lowercase).collect())
            };
            Ok(())
        };
    "classes.ingressControllers" ("list of texts", "postern.dev/ingress, traefik.io/ingress-controller, k8s.io/ingress-nginx")
        "IngressClasses with these controllers are ours." =>
        |s, v| { s.classes.ingress_controllers = texts(v)?; Ok(()) };
    "classes.gatewayControllers" ("list of texts", "postern.dev/gateway, traefik.io/gateway-controller, kgateway.dev/kgateway, gateway.envoyproxy.io/gatewayclass-controller")
        "GatewayClasses with these controllers are ours." =>
        |s, v| { s.classes.gateway_controllers = texts(v)?; Ok(()) };
    "classes.serveClasslessIngress" ("true or false", "true")
        "Whether an Ingress without any class is ours." =>
        |s, v| { s.classes.serve_classless_ingress = v.flag()?; Ok(()) };
    "classes.loadBalancer" ("text, or none", "none")
        "Services of type LoadBalancer with this loadBalancerClass get addresses; none: those without a class do (MetalLB's --lb-class). Those with postern.dev/proxy do in any case, for Postern itself." =>
        |s, v| { s.classes.load_balancer = Some(v.text()?).filter(|class| *class != "none").map(Into::into); Ok(()) };
    "policy.allowExternalNames" ("true or false", "false")
        "Whether backends may point at names outside the cluster (ExternalName Services)." =>
        |s, v| { s.policy.allow_external_names = v.flag()?; Ok(()) };
    "policy.allowCrossNamespace" ("true or false", "false")
        "Whether a Middleware's chain may name Middlewares of other namespaces; an Ingress's annotation may in any case." =>
        |s, v| { s.policy.allow_cross_namespace = v.flag()?; Ok(()) };
    "policy.allowLoopbackEndpoints" ("true or false", "true")
        "Whether EndpointSlices may hold loopback addresses: right where the operator writes the files, wrong where tenants do." =>
        |s, v| { s.policy.allow_loopback_endpoints = v.flag()?; Ok(()) };
    "policy.ignoreExcludeLabel" ("true or false", "false")
        "Whether nodes with the label node.kubernetes.io/exclude-from-external-load-balancers announce addresses all the same (MetalLB's --ignore-exclude-lb)." =>
        |s, v| { s.policy.ignore_exclude_label = v.flag()?; Ok(()) };
    "limits.headerBytes" ("bytes, 8KiB to 16MiB", "64KiB")
        "Largest request head, request line included." =>
        |s, v| { s.limits.header_bytes = v.bytes(8192..=16 << 20)?; Ok(()) };
    "limits.headerCount" ("number, 1 to 10000", "100")
        "Most fields of a request head." =>
        |s, v| { s.limits.header_count = v.number(1..=10_000)?; Ok(()) };
    "limits.headerDeadline" ("duration, 1ms to 24h", "10s")
        "From the first byte of a request head to its last." =>
        |s, v| { s.limits.header_deadline = v.duration(POSITIVE)?; Ok(()) };
    "limits.handshakeDeadline" ("duration, 1ms to 24h", "10s")
        "From accept to the end of the TLS handshake, PROXY protocol header included." =>
        |s, v| { s.limits.handshake_deadline = v.duration(POSITIVE)?; Ok(()) };
    "limits.idle" ("duration, 1s to 24h", "3m")
        "How long a connection may be without a request." =>
        |s, v| { s.limits.idle = v.duration(SECOND..=DAY)?; Ok(()) };
    "limits.bodyIdle" ("duration, 1s to 24h", "1m")
        "How long a body may make no progress." =>
        |s, v| { s.limits.body_idle = v.duration(SECOND..=DAY)?; Ok(()) };
    "limits.connections" ("number, 1 to 10000000", "50000")
        "Most connections of clients to this node." =>
        |s, v| { s.limits.connections = v.number(1..=10_000_000)?; Ok(()) };
    "limits.connectionsPerAddress" ("number, 1 to 10000000", "1000")
        "Most connections of one client address; IPv6 counts by /64." =>
        |s, v| { s.limits.connections_per_address = v.number(1..=10_000_000)?; Ok(()) };
    "limits.h2Streams" ("number, 1 to 100000", "100")
        "Concurrent HTTP/2 streams of a connection." =>
        |s, v| { s.limits.h2_streams = v.number(1..=100_000)?; Ok(()) };
    "limits.h2Resets" ("number, 1 to 100000", "200")
        "Streams that a client may reset before they were answered, per connection at a time." =>
        |s, v| { s.limits.h2_resets = v.number(1..=100_000)?; Ok(()) };
    "limits.responseHeaderBytes" ("bytes, 8KiB to 16MiB", "256KiB")
        "Largest head of a backend's answer." =>
        |s, v| { s.limits.response_header_bytes = v.bytes(8192..=16 << 20)?; Ok(()) };
    "limits.responseHeaderCount" ("number, 1 to 10000", "100")
        "Most fields of a backend's answer." =>
        |s, v| { s.limits.response_header_count = v.number(1..=10_000)?; Ok(()) };
    "trust.forwarded" ("list of networks", "none")
        "Peers whose X-Forwarded-* and Forwarded fields are believed." =>
        |s, v| { s.trust.forwarded = v.networks()?; Ok(()) };
    "trust.forwardedInsecure" ("true or false", "false")
        "Believe these fields from everybody. Clients can then name any address as theirs." =>
        |s, v| { s.trust.forwarded_insecure = v.flag()?; Ok(()) };
    "trust.notAppendForwardedFor" ("true or false", "false")
        "Do not append the peer to X-Forwarded-For." =>
        |s, v| { s.trust.not_append_forwarded_for = v.flag()?; Ok(()) };
    "trust.proxyProtocol" ("list of networks", "none")
        "Peers that send a PROXY protocol header; from them it is required, from others refused." =>
        |s, v| { s.trust.proxy_protocol = v.networks()?; Ok(()) };
    "trust.clientIpHeader.name" ("name of a header field", "none")
        "Field that holds the client's address (CF-Connecting-IP), believed from `trust.clientIpHeader.from` alone." =>
        |s, v| {
            let name = v.header()?;
            let from = s.trust.client_ip_header.take().map(|(_, from)| from);
            s.trust.client_ip_header = Some((name, from.unwrap_or_default()));
            Ok(())
        };
    "trust.clientIpHeader.from" ("list of networks", "none")
        "Peers that this field is believed from." =>
        |s, v| {
            let networks = v.networks()?;
            let unnamed = http::header::FORWARDED;
            s.trust.client_ip_header.get_or_insert_with(|| (unnamed, Vec::new())).1 = networks;
            Ok(())
        };
    "upstream.connect" ("duration, 1ms to 24h", "10s")
        "One connect to a backend, TLS included." =>
        |s, v| { s.upstream.connect = v.duration(POSITIVE)?; Ok(()) };
    "upstream.firstByte" ("duration, 0s to 24h; 0s is no limit", "0s")
        "From the last byte of the request to the first byte of the answer." =>
        |s, v| { s.upstream.first_byte = v.duration(OR_OFF)?; Ok(()) };
    "upstream.request" ("duration, 0s to 24h; 0s is no limit", "0s")
        "The whole exchange with a backend." =>
        |s, v| { s.upstream.request = v.duration(OR_OFF)?; Ok(()) };
    "upstream.idle" ("duration, 1ms to 1h", "1m30s")
        "How long an idle connection to a backend is kept." =>
        |s, v| { s.upstream.idle = v.duration(Duration::from_millis(1)..=HOUR)?; Ok(()) };
    "upstream.idlePerEndpoint" ("number, 0 to 100000", "128")
        "Idle connections kept per endpoint and node." =>
        |s, v| { s.upstream.idle_per_endpoint = v.number(0..=100_000)?; Ok(()) };
    "upstream.retries" ("number, 0 to 10", "2")
        "Tries after the first, for requests that may be repeated." =>
        |s, v| { s.upstream.retries = v.number(0..=10)?; Ok(()) };
    "upstream.retryBudgetPercent" ("percent, 0 to 100", "20")
        "Share of requests that may be retries, beside a floor of 10 a second." =>
        |s, v| { s.upstream.retry_budget_percent = v.number(0..=100)?; Ok(()) };
    "accessLog.target" ("off, stdout, or the path of a file", "off")
        "Where a line per request goes. A file is opened anew on SIGUSR1." =>
        |s, v| { s.access_log.target = log_target(v)?; Ok(()) };
    "accessLog.format" ("common or json", "common")
        "How a line is written; json has Traefik's field names." =>
        |s, v| { shape(s).format = v.word(&[("common", LineFormat::Common), ("json", LineFormat::Json)])?; Ok(()) };
    "accessLog.queue" ("number, 1 to 1000000", "4096")
        "Lines that one worker may have waiting; beyond, lines are dropped and counted." =>
        |s, v| { s.access_log.queue = v.number(1..=1_000_000)?; Ok(()) };
    "accessLog.headers.default" ("drop, keep or redact", "drop")
        "What json lines show of header fields that are not named." =>
        |s, v| { shape(s).headers.default = keep(v)?; Ok(()) };
    "accessLog.headers.names" ("map of field name to drop, keep or redact", "none")
        "What json lines show of these header fields." =>
        |s, v| {
            for entry in v.map()? {
                let at = |refused: Refused| Refused { line: Some(entry.line), ..refused };
                shape(s).headers.names.insert(header(&entry.key).map_err(at)?, keep(&entry.value).map_err(at)?);
            }
            Ok(())
        };
    "accessLog.filter.statuses" ("list of statuses or ranges (500-599)", "none")
        "Log requests with these statuses. Filters are or-ed; without any, every request is logged." =>
        |s, v| {
            shape(s).filter.statuses = v.list()?.into_iter().map(status_range).collect::<Result<_, _>>()?;
            Ok(())
        };
    "accessLog.filter.retried" ("true or false", "false")
        "Log requests that were tried again." =>
        |s, v| { shape(s).filter.retried = v.flag()?; Ok(()) };
    "accessLog.filter.minDuration" ("duration, 0s to 24h", "none")
        "Log requests that took at least this long." =>
        |s, v| { shape(s).filter.min_duration = Some(v.duration(OR_OFF)?); Ok(()) };
    "metrics.routes" ("true or false", "false")
        "Count requests by route object too; costs a look-up per request and a series per route." =>
        |s, v| { s.metrics.routes = v.flag()?; Ok(()) };
    "metrics.address" ("address:port, or off", "off")
        "Where /metrics, /healthz and /readyz alone are answered, to `metrics.from`. While somebody else has the port it is tried again." =>
        |s, v| { s.metrics.address = address_or_off(v)?; Ok(()) };
    "metrics.from" ("list of networks", "127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, ::1/128, fc00::/7, fe80::/10")
        "Who is answered at `metrics.address`; connections of others are closed." =>
        |s, v| { s.metrics.from = v.networks()?; Ok(()) };
    "log.level" ("error, warn, info, debug, trace, or a filter such as info,postern_proxy=debug", "info")
        "What the program's own log says." =>
        |s, v| {
            let text = v.text()?;
            text.parse::<tracing_subscriber::EnvFilter>().map_err(|error| format!("{text:?} is no filter: {error}"))?;
            s.log.level = text.to_owned();
            Ok(())
        };
    "log.format" ("text or json", "text")
        "How the program's own log is written, on standard error." =>
        |s, v| { s.log.format = v.word(&[("text", LogFormat::Text), ("json", LogFormat::Json)])?; Ok(()) };
}

fn wish(settings: &mut Settings, value: &Value, product: Product) -> Result<(), Refused> {
    let wish = value.word(&Wish::WORDS)?;
    if wish == Wish::Own && !product.is_carried() {
        return Err(format!("to own what {} does is not carried yet", product.name()).into());
    }
    let products = &mut settings.cluster.scope.takeover.products;
    match wish {
        Wish::Auto => drop(products.remove(&product)),
        asked => drop(products.insert(product, asked)),
    }
    Ok(())
}

/// `namespace/name`.
fn namespaced(value: &Value) -> Result<Option<(String, String)>, Refused> {
    match value.text()? {
        "none" => Ok(None),
        text => match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Some((namespace.to_owned(), name.to_owned())))
            }
            _ => Err(format!("{text:?} is not namespace/name").into()),
        },
    }
}

fn shape(settings: &mut Settings) -> &mut Shape {
    Arc::make_mut(&mut settings.access_log.shape)
}

fn keep(value: &Value) -> Result<Keep, Refused> {
    value.word(&[("drop", Keep::Drop), ("keep", Keep::Keep), ("redact", Keep::Redact)])
}

fn texts(value: &Value) -> Result<Vec<Arc<str>>, Refused> {
    Ok(value.list()?.into_iter().map(Into::into).collect())
}

fn address_or_off(value: &Value) -> Result<Option<SocketAddr>, Refused> {
    match value.text()? {
        // `off` is a truth value in YAML 1.1.
        "off" | "false" => Ok(None),
        text => {
            let message = || format!("{text:?} is neither address:port (127.0.0.1:9000, [::1]:9000) nor off");
            text.parse().map(Some).map_err(|_| message().into())
        }
    }
}

fn path_or_off(value: &Value) -> Result<Option<PathBuf>, Refused> {
    match value.text()? {
        "off" | "false" => Ok(None),
        _ => value.path().map(Some),
    }
}

fn listen_or_off(value: &Value) -> Result<Option<(Option<IpAddr>, u16)>, Refused> {
    let text = value.text()?;
    let everywhere = text.strip_prefix(':').and_then(|port| port.parse().ok()).map(|port| (None, port));
    let address = || text.parse().ok().map(|address: SocketAddr| (Some(address.ip()), address.port()));
    match everywhere.or_else(address) {
        _ if text == "off" => Ok(None),
        Some(listen) => Ok(Some(listen)),
        None => {
            Err(format!("{text:?} is neither address:port (192.0.2.1:7947, [2001:db8::1]:7947) nor :port nor off")
                .into())
        }
    }
}

fn log_target(value: &Value) -> Result<Option<Target>, Refused> {
    Ok(match value.text()? {
        // `off` is a truth value in YAML 1.1.
        "off" | "false" => None,
        "stdout" => Some(Target::Stdout),
        _ => Some(Target::File(value.path()?)),
    })
}

fn entry_points(value: &Value) -> Result<Vec<EntryPoint>, Refused> {
    value.map()?.iter().map(entry_point).collect()
}

fn entry_point(entry: &Entry) -> Result<EntryPoint, Refused> {
    let (mut port, mut address, mut tls, mut ingress_classes) = (None, None, false, Vec::new());
    for part in entry.value.map()? {
        let at = |refused: Refused| Refused {
            line: Some(part.line),
            message: format!("{}.{}: {}", entry.key, part.key, refused.message),
        };
        match part.key.as_str() {
            "port" => port = Some(part.value.number::<u16>(1..=65_535).map_err(at)?),
            "address" => address = part.value.addresses().map_err(at)?.into_iter().next(),
            "tls" => tls = part.value.flag().map_err(at)?,
            "ingressClasses" => {
                let names = part.value.list().map_err(at)?;
                ingress_classes = names.into_iter().map(Into::into).collect();
            }
            _ => return Err(at("unknown; known are port, address, tls and ingressClasses".to_owned().into())),
        }
    }
    let missing = || Refused { line: Some(entry.line), message: format!("{}: port is missing", entry.key) };
    let socket = SocketKey { address, port: port.ok_or_else(missing)? };
    let transport = if tls { Transport::Tls } else { Transport::Plain };
    Ok(EntryPoint { name: entry.key.as_str().into(), socket, transport, ingress_classes })
}
