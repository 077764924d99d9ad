//! Sums the shards and looks at the state of the node when somebody scrapes.

use std::collections::BTreeMap;

use postern_config::{
    model::certificate::CertificateSlot, provider::kubernetes::Tally, report::Report, snapshot::Snapshot,
};
use postern_l2announce::agent::Shown;

use super::{
    CodeClass, EntryPointCell, EntryPointIndex, FailureReason, Format, HandOver, Handshake, Limit, Metrics, Protocol,
    Shard, Stage, Wire, allocator,
    cell::HistogramTotal,
    cluster_api,
    exposition::Writer,
    family::{self, Family},
    process::Process,
    series::RouteTotals,
    sum, vip,
};

/// What a scrape shows beside the counters.
#[derive(Debug)]
pub struct Scrape<'a> {
    /// The newest verdicts.
    pub report: &'a Report,
    /// What is served.
    pub snapshot: &'a Snapshot,
    /// Endpoints by cluster and state.
    pub endpoints: &'a BTreeMap<(String, String), u64>,
    /// Listeners that could not be bound.
    pub listener_errors: &'a [(String, String)],
    /// Whether the node is ready.
    pub ready: bool,
    /// What is counted of the cluster's API, where objects come from there.
    pub cluster: Option<&'a Tally>,
    /// The link to other nodes, where there is one.
    pub peers: Option<Peers>,
    /// Virtual addresses, where announcing is one of this process's roles.
    pub vips: Option<&'a Shown>,
}

/// What is counted of the link between nodes.
#[derive(Debug)]
pub struct Peers {
    /// Members by state.
    pub members: [(&'static str, u64); 3],
    /// Whether this node is heard, or is itself the one who hears.
    pub heard: bool,
    /// Objects that wait for a node.
    pub waiting: u64,
    /// How long the one that has waited longest has, in seconds.
    pub lag: f64,
    /// Who was turned away, by reason.
    pub refused: Vec<(&'static str, u64)>,
}

/// Reads one number of an entry point's cell.
type ReadCell = fn(&EntryPointCell) -> u64;

impl Metrics {
    /// Everything as text.
    pub fn render(&self, format: Format, scrape: &Scrape<'_>) -> String {
        let mut writer = Writer::new(format);
        writer.family(family::BUILD_INFO).count(&[env!("CARGO_PKG_VERSION")], 1);
        self.entry_points(&mut writer);
        self.connections(&mut writer);
        self.refusals(&mut writer);
        self.routes(&mut writer, scrape.report);
        self.clusters(&mut writer, scrape);
        self.reloads(&mut writer);
        self.hand_overs(&mut writer);
        verdicts(&mut writer, scrape);
        if let Some(tally) = scrape.cluster {
            cluster_api::write(&mut writer, tally);
            if tally.holds_lease {
                allocator::write(&mut writer, &tally.allocation);
            }
        }
        certificates(&mut writer, scrape.snapshot);
        if let Some(counts) = &scrape.peers {
            peers(&mut writer, counts);
        }
        if let Some(shown) = scrape.vips {
            vip::write(&mut writer, shown, scrape.snapshot);
        }
        self.access_log(&mut writer);
        process(&mut writer);
        writer.finish()
    }

    fn cells(&self, index: EntryPointIndex) -> impl Iterator<Item = &EntryPointCell> {
        self.shards.iter().map(move |shard| shard.entry_point(index))
    }

    fn entry_points(&self, writer: &mut Writer) {
        let names = self.entry_point_names();
        let mut requests = writer.family(family::ENTRY_POINT_REQUESTS);
        for (index, name) in &names {
            for protocol in Protocol::ALL {
                let mut total = [0; CodeClass::COUNT];
                let rows = self.cells(*index).filter_map(|cell| cell.requests.get(*protocol as usize));
                rows.for_each(|row| sum(&mut total, row));
                let classes = CodeClass::ALL.iter().zip(total).filter(|(_, count)| *count > 0);
                classes.for_each(|(class, count)| {
                    requests.count(&[name, protocol.as_str(), class.as_str()], count);
                });
            }
        }
        let mut durations = writer.family(family::ENTRY_POINT_DURATION);
        for (index, name) in &names {
            let mut total = HistogramTotal::default();
            self.cells(*index).for_each(|cell| cell.duration.add_to(&mut total));
            durations.histogram(&[name], &total);
        }
        let bytes: [(Family, ReadCell); 2] = [
            (family::ENTRY_POINT_BYTES_IN, |cell| cell.bytes_in.value()),
            (family::ENTRY_POINT_BYTES_OUT, |cell| cell.bytes_out.value()),
        ];
        for (family, value) in bytes {
            let mut samples = writer.family(family);
            names.iter().for_each(|(index, name)| {
                samples.count(&[name], self.cells(*index).map(value).sum());
            });
        }
    }

    fn connections(&self, writer: &mut Writer) {
        let names = self.entry_point_names();
        let counted = |index, wire: Wire| {
            let at = wire as usize;
            self.cells(index).fold((0, 0), |(opened, closed), cell| {
                let value = |counters: &[super::Counter]| counters.get(at).map_or(0, super::Counter::value);
                (opened + value(&cell.opened), closed + value(&cell.closed))
            })
        };
        let mut open = writer.family(family::OPEN_CONNECTIONS);
        for (index, name) in &names {
            for wire in Wire::ALL {
                let (opened, closed) = counted(*index, *wire);
                open.count(&[name, wire.as_str()], u64::saturating_sub(opened, closed));
            }
        }
        let mut accepted = writer.family(family::CONNECTIONS);
        for (index, name) in &names {
            for wire in Wire::ALL {
                accepted.count(&[name, wire.as_str()], counted(*index, *wire).0);
            }
        }
    }

    fn refusals(&self, writer: &mut Writer) {
        let mut total = vec![0; Handshake::COUNT];
        self.shards.iter().for_each(|shard| sum(&mut total, &shard.handshakes));
        let mut handshakes = writer.family(family::HANDSHAKES);
        for (outcome, count) in Handshake::ALL.iter().zip(total) {
            handshakes.count(&[outcome.as_str()], count);
        }
        let mut limits = writer.family(family::LIMITS);
        for limit in Limit::ALL {
            limits.count(&[limit.as_str()], self.limited(*limit));
        }
        let mut failures = writer.family(family::FAILURES);
        for reason in FailureReason::ALL {
            failures.count(&[reason.as_str()], self.failed(*reason));
        }
    }

    /// Routes that no longer exist are not shown, so that a gone route's series ends.
    fn routes(&self, writer: &mut Writer, report: &Report) {
        let mut totals = RouteTotals::new();
        self.shards.iter().for_each(|shard| shard.routes.add_to(&mut totals));
        let mut samples = writer.family(family::ROUTE_REQUESTS);
        for (route, counts) in &totals {
            let labels = match route {
                Some(route) if report.objects.contains_key(route) => [&*route.kind, &*route.namespace, &*route.name],
                Some(_) => continue,
                None => ["", "", "other"],
            };
            let classes = CodeClass::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
            classes.for_each(|(class, count)| {
                let [kind, namespace, name] = labels;
                samples.count(&[kind, namespace, name, class.as_str()], *count);
            });
        }
    }

    fn clusters(&self, writer: &mut Writer, scrape: &Scrape<'_>) {
        let totals = self.clusters.totals();
        let mut requests = writer.family(family::CLUSTER_REQUESTS);
        for (id, total) in &totals {
            let classes = CodeClass::ALL.iter().zip(total.requests).filter(|(_, count)| *count > 0);
            classes.for_each(|(class, count)| {
                requests.count(&[id.as_str(), class.as_str()], count);
            });
        }
        // A histogram has seventeen lines: one per cluster that was ever asked, not one per cluster.
        let asked = || totals.iter().filter(|(_, total)| total.duration.count() > 0);
        let mut durations = writer.family(family::CLUSTER_DURATION);
        asked().for_each(|(id, total)| {
            durations.histogram(&[id.as_str()], &total.duration);
        });
        let mut retries = writer.family(family::CLUSTER_RETRIES);
        asked().for_each(|(id, total)| {
            retries.count(&[id.as_str()], total.retries);
        });
        let mut failures = writer.family(family::CLUSTER_FAILURES);
        for (id, total) in &totals {
            let reasons = FailureReason::ALL.iter().zip(total.failures).filter(|(_, count)| *count > 0);
            reasons.for_each(|(reason, count)| {
                failures.count(&[id.as_str(), reason.as_str()], count);
            });
        }
        endpoints(writer, scrape);
    }

    fn reloads(&self, writer: &mut Writer) {
        let reloads = self.control.reloads();
        let mut results = writer.family(family::CONFIG_RELOADS);
        results.count(&["success"], reloads.succeeded).count(&["failure"], reloads.failed);
        let mut last = writer.family(family::CONFIG_LAST_SUCCESS);
        if let Some(at) = reloads.last_success {
            last.sample(&[], seconds(at));
        }
        let mut stages = writer.family(family::CONFIG_STAGE);
        for stage in Stage::ALL {
            stages.histogram(&[stage.as_str()], &self.control.stage_total(*stage));
        }
    }

    fn hand_overs(&self, writer: &mut Writer) {
        let mut outcomes = writer.family(family::HAND_OVERS);
        for outcome in HandOver::ALL {
            outcomes.count(&[outcome.as_str()], self.control.hand_overs(*outcome));
        }
    }

    fn access_log(&self, writer: &mut Writer) {
        let total = |value: fn(&Shard) -> u64| self.shards.iter().map(value).sum();
        let mut records = writer.family(family::ACCESS_LOG_RECORDS);
        records.count(&["written"], total(|shard| shard.access_log_written.value()));
        records.count(&["dropped"], total(|shard| shard.access_log_dropped.value()));
    }
}

fn endpoints(writer: &mut Writer, scrape: &Scrape<'_>) {
    let mut samples = writer.family(family::CLUSTER_ENDPOINTS);
    scrape.endpoints.iter().for_each(|((cluster, state), count)| {
        samples.count(&[cluster, state], *count);
    });
}

fn verdicts(writer: &mut Writer, scrape: &Scrape<'_>) {
    let mut objects = BTreeMap::<_, u64>::new();
    let mut problems = BTreeMap::<_, u64>::new();
    for (id, verdict) in &scrape.report.objects {
        let worst = verdict.worst().map_or("accepted", |severity| severity.as_str());
        *objects.entry((id.kind.clone(), worst)).or_default() += 1;
        for finding in &verdict.findings {
            *problems.entry((id.kind.clone(), finding.severity.as_str(), finding.reason)).or_default() += 1;
        }
    }
    let mut samples = writer.family(family::OBJECTS);
    objects.iter().for_each(|((kind, verdict), count)| {
        samples.count(&[kind, verdict], *count);
    });
    let mut samples = writer.family(family::PROBLEMS);
    problems.iter().for_each(|((kind, severity, reason), count)| {
        samples.count(&[kind, severity, reason], *count);
    });
    let mut input = BTreeMap::<_, u64>::new();
    scrape.report.input.iter().for_each(|problem| *input.entry(problem.reason).or_default() += 1);
    let mut samples = writer.family(family::INPUT_PROBLEMS);
    input.iter().for_each(|(reason, count)| {
        samples.count(&[reason], *count);
    });
    let mut samples = writer.family(family::LISTENER_ERRORS);
    scrape.listener_errors.iter().for_each(|(listener, _)| {
        samples.count(&[listener], 1);
    });
    writer.family(family::READY).count(&[], u64::from(scrape.ready));
}

fn peers(writer: &mut Writer, counts: &Peers) {
    let mut samples = writer.family(family::PEERS);
    counts.members.iter().for_each(|(state, count)| {
        samples.count(&[state], *count);
    });
    writer.family(family::PEER_HEARD).count(&[], u64::from(counts.heard));
    let mut samples = writer.family(family::PEER_REFUSALS);
    counts.refused.iter().for_each(|(reason, count)| {
        samples.count(&[reason], *count);
    });
    writer.family(family::ACKNOWLEDGEMENT_WAITING).count(&[], counts.waiting);
    writer.family(family::ACKNOWLEDGEMENT_LAG).sample(&[], counts.lag);
}

fn certificates(writer: &mut Writer, snapshot: &Snapshot) {
    let mut slots: Vec<_> = snapshot.certificates.iter().collect();
    slots.sort_by_key(|(id, _)| *id);
    let mut samples = writer.family(family::CERTIFICATE_EXPIRY);
    for (id, slot) in slots {
        if let CertificateSlot::Ready(certificate) = &**slot {
            samples.sample(&[id.as_str()], seconds(certificate.not_after));
        }
    }
}

fn process(writer: &mut Writer) {
    let process = Process::look();
    let values = [
        (family::PROCESS_CPU, process.cpu.map(|time| time.as_secs_f64())),
        (family::PROCESS_RESIDENT, process.resident_bytes.map(|bytes| bytes as f64)),
        (family::PROCESS_FDS, process.open_fds.map(|count| count as f64)),
        (family::PROCESS_MAX_FDS, process.max_fds.map(|count| count as f64)),
        (family::PROCESS_START, process.started),
    ];
    for (family, value) in values {
        if let Some(value) = value {
            writer.family(family).sample(&[], value);
        }
    }
}

pub(super) fn seconds(at: jiff::Timestamp) -> f64 {
    at.as_second() as f64
}
