//! Series whose label values come from objects: found once, when a listener or a plan is built, and then counted
//! into without a look-up. They live as long as somebody counts into them, and so survive every plan that keeps
//! their cluster.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use http::StatusCode;
use postern_config::model::id::{ClusterId, ObjectId};

use super::{
    cell::{Counter, Histogram, HistogramTotal},
    label::{CodeClass, FailureReason},
};
use crate::respond::Failure;

/// One cluster's counters: a cell for each worker, made when the worker first needs it.
#[derive(Debug)]
pub struct ClusterSeries {
    cells: Box<[OnceLock<Box<ClusterCell>>]>,
}

/// What one worker counts for one cluster.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ClusterCell {
    requests: [Counter; CodeClass::COUNT],
    failures: [Counter; FailureReason::COUNT],
    retries: Counter,
    duration: Histogram,
}

/// A cluster's cells, summed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ClusterTotal {
    /// By [`CodeClass`].
    pub requests: [u64; CodeClass::COUNT],
    /// By [`FailureReason`].
    pub failures: [u64; FailureReason::COUNT],
    /// Tries after the first.
    pub retries: u64,
    /// First byte of the answer, from the start of the last try.
    pub duration: HistogramTotal,
}

/// The clusters that somebody counts for. A clone is another handle to the same registry.
#[derive(Clone, Debug)]
pub struct Clusters {
    workers: usize,
    series: Arc<Mutex<BTreeMap<ClusterId, Weak<ClusterSeries>>>>,
}

impl Default for Clusters {
    /// For one worker.
    fn default() -> Self {
        Self::new(1)
    }
}

impl Clusters {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers: workers.max(1), series: Arc::default() }
    }

    /// The series of `id`: the one that is counted into already, or a new one. Called when a plan is built.
    pub fn series(&self, id: &ClusterId) -> Arc<ClusterSeries> {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.get(id).and_then(Weak::upgrade) {
            return found;
        }
        let cells = std::iter::repeat_with(OnceLock::new).take(self.workers).collect();
        let series = Arc::new(ClusterSeries { cells });
        all.insert(id.clone(), Arc::downgrade(&series));
        series
    }

    /// Every live series with what was counted; the dead are forgotten.
    pub(super) fn totals(&self) -> Vec<(ClusterId, ClusterTotal)> {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, series| series.strong_count() > 0);
        all.iter().filter_map(|(id, series)| Some((id.clone(), series.upgrade()?.total()))).collect()
    }
}

impl ClusterSeries {
    /// Worker `worker`'s cell.
    pub fn cell(&self, worker: usize) -> &ClusterCell {
        let at = worker % self.cells.len();
        self.cells.get(at).expect("there is a cell per worker, at least one").get_or_init(Box::default)
    }

    fn total(&self) -> ClusterTotal {
        let mut total = ClusterTotal::default();
        self.cells.iter().filter_map(OnceLock::get).for_each(|cell| cell.add_to(&mut total));
        total
    }
}

impl ClusterCell {
    /// The backend answered: `duration` from the start of the last try to the first byte of its answer.
    pub fn answered(&self, status: StatusCode, duration: Duration) {
        add(&self.requests, CodeClass::of(status) as usize);
        self.duration.observe(duration);
    }

    /// No answer came; `failure` is what the client gets to see.
    pub fn failed(&self, failure: &Failure) {
        add(&self.failures, FailureReason::named(failure.reason()) as usize);
    }

    /// A try after the first was begun.
    pub fn retried(&self) {
        self.retries.add(1);
    }

    fn add_to(&self, total: &mut ClusterTotal) {
        sum(&mut total.requests, &self.requests);
        sum(&mut total.failures, &self.failures);
        total.retries += self.retries.value();
        self.duration.add_to(&mut total.duration);
    }
}

/// Route series beyond this many are counted together under the name `other`.
const MAX_ROUTES: usize = 10_000;

/// The routes that one worker has counted for (`metrics.routes`). The worker alone looks up and adds; a scrape only
/// reads, so the lock is never contended but by a scrape.
#[derive(Debug, Default)]
pub struct Routes {
    series: Mutex<RouteTable>,
}

#[derive(Debug, Default)]
struct RouteTable {
    named: std::collections::HashMap<ObjectId, [u64; CodeClass::COUNT], foldhash::fast::RandomState>,
    other: [u64; CodeClass::COUNT],
}

/// Requests of each route object by code class; `None` is those beyond the bound.
pub(super) type RouteTotals = BTreeMap<Option<ObjectId>, [u64; CodeClass::COUNT]>;

impl Routes {
    /// Counts a request that `route` served.
    pub fn request(&self, route: &ObjectId, status: StatusCode) {
        let mut table = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let class = CodeClass::of(status) as usize;
        if let Some(counts) = table.counts(route).get_mut(class) {
            *counts += 1;
        }
    }

    pub(super) fn add_to(&self, totals: &mut RouteTotals) {
        let table = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let named = table.named.iter().map(|(route, counts)| (Some(route.clone()), counts));
        for (route, counts) in named.chain([(None, &table.other)]) {
            let total = totals.entry(route).or_default();
            total.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
        }
    }
}

impl RouteTable {
    fn counts(&mut self, route: &ObjectId) -> &mut [u64; CodeClass::COUNT] {
        if !self.named.contains_key(route) {
            if self.named.len() >= MAX_ROUTES {
                return &mut self.other;
            }
            self.named.insert(route.clone(), Default::default());
        }
        self.named.get_mut(route).expect("present, or inserted above")
    }
}

/// Adds one to the counter of a label; labels are dense, so the index always exists.
pub(super) fn add(counters: &[Counter], at: usize) {
    if let Some(counter) = counters.get(at) {
        counter.add(1);
    }
}

pub(super) fn sum(totals: &mut [u64], counters: &[Counter]) {
    totals.iter_mut().zip(counters).for_each(|(total, counter)| *total += counter.value());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_keeps_its_counts_while_one_plan_after_the_other_holds_it() {
        let clusters = Clusters::new(2);
        let id = ClusterId::new("default/web:80");
        let old_plan = clusters.series(&id);
        old_plan.cell(0).answered(StatusCode::OK, Duration::from_millis(1));
        let new_plan = clusters.series(&id);
        drop(old_plan);
        new_plan.cell(1).answered(StatusCode::OK, Duration::from_millis(1));
        assert_eq!(clusters.totals().first().map(|(_, total)| total.duration.count()), Some(2));
        drop(new_plan);
        assert_eq!(clusters.totals(), []);
    }

    #[test]
    fn routes_beyond_the_bound_are_counted_together() {
        let routes = Routes::default();
        for n in 0..=MAX_ROUTES {
            let route = ObjectId { kind: "R".into(), namespace: "n".into(), name: n.to_string().into() };
            routes.request(&route, StatusCode::OK);
        }
        let mut totals = RouteTotals::new();
        routes.add_to(&mut totals);
        assert_eq!(totals.len(), MAX_ROUTES + 1);
        assert_eq!(totals.get(&None), Some(&[0, 1, 0, 0, 0, 0]));
    }
}
