//! Every metric by name: what docs/reference/metrics.md lists, compared by a test both ways.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Counts up; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by bucket.
    Histogram,
    /// Counts up under another product's name, which does not end as it should.
    Untyped,
}

/// A metric with all its series.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name as the text format 0.0.4 shows it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, in the order of the samples.
    pub labels: &'static [&'static str],
    /// One line.
    pub help: &'static str,
}

macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) const $constant: Family =
            Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)+

        /// All of them, in the order in which they are shown.
        pub const ALL: &[Family] = &[$($constant,)+];
    };
}

families! {
    BUILD_INFO = Gauge "postern_build_info" ["version"] "Always 1; the label says which version runs.";
    ENTRY_POINT_REQUESTS = Counter "postern_entry_point_requests_total" ["entry_point", "protocol", "code"]
        "Requests answered, by class of the status.";
    ENTRY_POINT_DURATION = Histogram "postern_entry_point_request_duration_seconds" ["entry_point"]
        "From the first header byte of a request to the last byte of its answer.";
    ENTRY_POINT_BYTES_IN = Counter "postern_entry_point_request_bytes_total" ["entry_point"]
        "Bytes of request bodies.";
    ENTRY_POINT_BYTES_OUT = Counter "postern_entry_point_response_bytes_total" ["entry_point"]
        "Bytes of answer bodies.";
    OPEN_CONNECTIONS = Gauge "postern_open_connections" ["entry_point", "wire"] "Connections of clients at the moment.";
    CONNECTIONS = Counter "postern_connections_total" ["entry_point", "wire"] "Connections of clients accepted.";
    HANDSHAKES = Counter "postern_tls_handshakes_total" ["outcome"] "TLS handshakes by how they ended.";
    LIMITS = Counter "postern_limit_refusals_total" ["limit"] "What a limit has refused or ended.";
    FAILURES = Counter "postern_failures_total" ["reason"] "Answers that Postern made up itself, by reason.";
    ROUTE_REQUESTS = Counter "postern_route_requests_total" ["kind", "namespace", "name", "code"]
        "Requests by route object; only with the setting metrics.routes.";
    CLUSTER_REQUESTS = Counter "postern_cluster_requests_total" ["cluster", "code"] "Answers of backends.";
    CLUSTER_DURATION = Histogram "postern_cluster_request_duration_seconds" ["cluster"]
        "From the start of the last try to the first byte of the backend's answer.";
    CLUSTER_RETRIES = Counter "postern_cluster_retries_total" ["cluster"] "Tries after the first.";
    CLUSTER_FAILURES = Counter "postern_cluster_failures_total" ["cluster", "reason"]
        "Requests that got no answer of a backend.";
    CLUSTER_ENDPOINTS = Gauge "postern_cluster_endpoints" ["cluster", "state"]
        "Endpoints by state: ready, draining, unhealthy or aside.";
    CONFIG_RELOADS = Counter "postern_config_reloads_total" ["result"] "Changes of the configuration.";
    CONFIG_LAST_SUCCESS = Gauge "postern_config_last_success_timestamp_seconds" []
        "When a change last took effect, in seconds since 1970.";
    CONFIG_STAGE = Histogram "postern_config_stage_duration_seconds" ["stage"]
        "How long the steps of a change took.";
    HAND_OVERS = Counter "postern_handovers_total" ["outcome"]
        "Hand-overs of listening sockets between an old and a new process, as this one saw them.";
    OBJECTS = Gauge "postern_objects" ["kind", "verdict"] "Objects by worst finding; accepted: none.";
    KUBERNETES_CONTACT = Gauge "postern_kubernetes_last_contact_timestamp_seconds" []
        "When the API server was heard last, in seconds since 1970.";
    KUBERNETES_ERRORS = Counter "postern_kubernetes_request_errors_total" ["code"]
        "Requests to the API server that failed, by status; 0: no answer, or one that broke off.";
    KUBERNETES_SKEW = Gauge "postern_kubernetes_clock_skew_seconds" []
        "How far this node's clock is ahead of the API server's.";
    KUBERNETES_WATCH = Gauge "postern_kubernetes_watch_state" ["kind", "namespace", "state"]
        "1 for the state that the watch of a kind is in; without a namespace, it is of all.";
    KUBERNETES_RESTARTS = Counter "postern_kubernetes_watch_restarts_total" ["kind", "namespace"]
        "How often a watch was begun anew after trouble.";
    KUBERNETES_TROUBLE = Gauge "postern_kubernetes_watch_last_error_timestamp_seconds" ["kind", "namespace"]
        "When a watch was in trouble last, in seconds since 1970.";
    KUBERNETES_FETCHES = Counter "postern_kubernetes_fetches_total" ["kind", "outcome"]
        "Reads of single objects that others refer to.";
    KUBERNETES_STATUS = Counter "postern_kubernetes_status_writes_total" ["kind", "outcome"]
        "Writes of status to objects.";
    KUBERNETES_EVENTS = Counter "postern_kubernetes_events_total" ["outcome"] "Events about objects.";
    OTHER_INSTALLATIONS = Gauge "postern_other_installations" []
        "Other installations of Postern in the cluster that speak for the same controllers.";
    KUBERNETES_LEASE = Gauge "postern_kubernetes_lease_held" []
        "1 while this node holds the Lease whose holder writes.";
    KUBERNETES_TRANSITIONS = Counter "postern_kubernetes_lease_transitions_total" []
        "How often this node came to hold the Lease, or held it no more.";
    PROBLEMS = Gauge "postern_object_problems" ["kind", "severity", "reason"] "Findings about objects.";
    INPUT_PROBLEMS = Gauge "postern_input_problems" ["reason"] "Files and documents that could not be read.";
    LISTENER_ERRORS = Gauge "postern_listener_errors" ["listener"] "1 for a listener that could not be bound.";
    READY = Gauge "postern_ready" [] "1 when every object listed at start is programmed and every listener is bound.";
    PEERS = Gauge "postern_peers" ["state"]
        "Other Posterns as the holder of the Lease sees them: connected, absent, or silent for ten seconds.";
    PEER_HEARD = Gauge "postern_peer_heard" [] "1 when the holder of the Lease hears this node, or is this node.";
    PEER_REFUSALS = Counter "postern_peer_refusals_total" ["reason"] "Streams of peers that were turned away.";
    ACKNOWLEDGEMENT_WAITING = Gauge "postern_acknowledgement_waiting_objects" []
        "Objects that some node does not serve yet, as the holder of the Lease knows.";
    ACKNOWLEDGEMENT_LAG = Gauge "postern_acknowledgement_lag_seconds" []
        "How long the object has waited that has waited longest for a node to serve it.";
    ALLOCATOR_TOTAL = Gauge "metallb_allocator_addresses_total" ["pool"]
        "Addresses of a pool that can be given out, under MetalLB's name.";
    ALLOCATOR_TOTAL_V4 = Gauge "metallb_allocator_ipv4_addresses_total" ["pool"]
        "Those of IPv4.";
    ALLOCATOR_TOTAL_V6 = Gauge "metallb_allocator_ipv6_addresses_total" ["pool"]
        "Those of IPv6.";
    ALLOCATOR_IN_USE = Gauge "metallb_allocator_addresses_in_use_total" ["pool"]
        "Addresses of a pool that somebody has, under MetalLB's name.";
    ALLOCATOR_IN_USE_V4 = Gauge "metallb_allocator_ipv4_addresses_in_use_total" ["pool"]
        "Those of IPv4.";
    ALLOCATOR_IN_USE_V6 = Gauge "metallb_allocator_ipv6_addresses_in_use_total" ["pool"]
        "Those of IPv6.";
    ALLOCATOR_SERVICES = Gauge "metallb_allocator_services_allocated_total" ["pool"]
        "Services and Gateways that have addresses of a pool, under MetalLB's name.";
    SPEAKER_ANNOUNCED = Gauge "metallb_speaker_announced" ["service", "protocol", "node", "ip"]
        "1 for each address that this node answers for, under MetalLB's name.";
    LAYER2_REQUESTS = Untyped "metallb_layer2_requests_received" ["ip"]
        "Requests for the station of an announced address, under MetalLB's name.";
    LAYER2_RESPONSES = Untyped "metallb_layer2_responses_sent" ["ip"] "Answers to them, under MetalLB's name.";
    LAYER2_GRATUITOUS = Untyped "metallb_layer2_gratuitous_sent" ["ip"]
        "Frames that tell of an announced address unasked, under MetalLB's name.";
    VIP_OWNER = Gauge "postern_vip_owner" ["ip", "node"] "1 for the owner of each address, as this node knows it.";
    VIP_EPOCH = Gauge "postern_vip_epoch" ["ip"] "Epoch of each address: how often it has changed hands.";
    VIP_PEERS = Gauge "postern_vip_peers" [] "Other nodes whose heartbeats were ever heard.";
    VIP_PAUSES = Counter "postern_vip_pauses_total" []
        "Times that the process had not run for longer than it may, and gave up what it owned.";
    VIP_REFUSALS = Counter "postern_vip_heartbeat_refusals_total" ["reason"] "Heartbeats that were not believed.";
    VIP_FLOWS = Gauge "postern_vip_flows_handed_back" []
        "Connections of addresses that have moved here whose packets are sent on to the node that has them.";
    VIP_FLOWS_TOTAL = Counter "postern_vip_flows_handed_back_total" []
        "Connections that were handed back when an address was taken from a node that offered it.";
    VIP_FLOWS_LATE = Counter "postern_vip_hand_back_late_total" []
        "Times that a node had not told all its connections when its address was taken: those are reset.";
    VIP_FLOWS_FAILED = Counter "postern_vip_hand_back_failures_total" []
        "Times that the kernel refused to hand connections back, or to end that.";
    CERTIFICATE_EXPIRY = Gauge "postern_certificate_expiry_timestamp_seconds" ["certificate"]
        "End of validity of each certificate, in seconds since 1970.";
    ACCESS_LOG_RECORDS = Counter "postern_access_log_records_total" ["result"]
        "Access-log records: written, or dropped because the queue was full.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "CPU time, user and system.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [] "Resident memory.";
    PROCESS_FDS = Gauge "process_open_fds" [] "Open file descriptors.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" [] "Most file descriptors that the process may open.";
    PROCESS_START = Gauge "process_start_time_seconds" [] "When the process started, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_lists_every_metric_and_no_other() {
        let reference = include_str!("../../../../docs/reference/metrics.md");
        let rows: Vec<_> = ALL.iter().map(row).collect();
        for row in &rows {
            assert!(reference.lines().any(|line| line == row), "docs/reference/metrics.md lacks:\n{row}");
        }
        for line in reference.lines().filter(|line| line.starts_with("| `")) {
            assert!(rows.iter().any(|row| row == line), "no such metric: {line}");
        }
    }

    fn row(family: &Family) -> String {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        let kind = format!("{:?}", family.kind).to_lowercase();
        format!("| `{}` | {kind} | {labels} | {} |", family.name, family.help)
    }

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        // What is another product's keeps its name.
        for family in ALL.iter().filter(|family| !family.name.starts_with("metallb_")) {
            let name = family.name;
            assert_eq!(family.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(family.kind == Kind::Histogram, name.ends_with("_duration_seconds"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(family.help.ends_with('.'), "{name}");
        }
    }
}
