//! What is published → plan, swapped once for all workers; and what metrics and the admin server are told about it.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use jiff::Timestamp;
use postern_config::publish::{Published, Publisher};
use tokio::sync::watch;

use crate::{admin::State, telemetry::metrics::Stage};

/// Applies what is published; lives on the control runtime.
#[derive(Debug)]
pub(super) struct Pipeline {
    state: Arc<State>,
    plans: watch::Sender<u64>,
}

impl Pipeline {
    /// Each plan is announced to `plans` by its generation.
    pub(super) fn new(state: Arc<State>, plans: watch::Sender<u64>) -> Self {
        Self { state, plans }
    }

    /// Applies until publishing ends, which only an error makes it.
    pub(super) async fn run(&self, publisher: &mut Publisher) {
        // Before there is a plan whose sockets could be bound.
        let serves = self.state.serves().await;
        self.state.shared.observing.store(!serves, Relaxed);
        while let Some(published) = publisher.next().await {
            self.apply(&published);
            publisher.show(published.shows);
        }
    }

    /// Builds the plan beside the old one and swaps; verdicts follow.
    pub(super) fn apply(&self, published: &Published) {
        let started = Instant::now();
        if !published.changed.is_empty() {
            self.swap(published);
        }
        if !self.state.is_programmed() {
            self.state.set_programmed();
            // Whoever waits for the first plan is told of it, though it be empty.
            self.plans.send_modify(|_| ());
        }
        let before = self.state.report.swap(published.report.clone());
        let control = &self.state.shared.metrics.control;
        if published.report.input.iter().any(|problem| !before.input.contains(problem)) {
            control.reload_failed();
        }
        let stages = &published.stages;
        if stages.files > 0 {
            control.stage(Stage::Parse, stages.read);
        }
        if stages.objects > 0 {
            control.stage(Stage::Compile, stages.compile);
            control.stage(Stage::Apply, started.elapsed());
            control.reload_succeeded(Timestamp::now());
            let (objects, recomputed) = (stages.objects, stages.recomputed);
            tracing::info!(objects, recomputed, took = ?stages.noticed.elapsed(), "configuration applied");
        }
    }

    fn swap(&self, published: &Published) {
        let shared = &self.state.shared;
        let plan = shared.plan.load().next(published.snapshot.clone(), &published.changed, &shared.live);
        let generation = plan.generation;
        shared.plan.store(Arc::new(plan));
        self.plans.send_replace(generation);
    }
}
