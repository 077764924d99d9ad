//! What is published → plan, swapped once for all workers; and what metrics and the admin server are told about it.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use jiff::Timestamp;
use postern_config::{
    provider::{
        InForce,
        kubernetes::{News, peers::Problem},
    },
    publish::{Published, Publisher},
};
use tokio::sync::{mpsc, watch};

use crate::{admin::State, listener::BindProblem, telemetry::metrics::Stage};

/// Applies what is published; lives on the control runtime.
#[derive(Debug)]
pub(super) struct Pipeline {
    state: Arc<State>,
    plans: watch::Sender<u64>,
    /// The plan that sockets were last brought in line with.
    reconciled: watch::Receiver<u64>,
    /// Whoever tells peers what becomes of this node.
    link: Option<mpsc::UnboundedSender<News>>,
}

impl Pipeline {
    /// Each plan is announced to `plans` by its generation; `reconciled` says when its sockets are bound.
    pub(super) fn new(state: Arc<State>, plans: watch::Sender<u64>, reconciled: watch::Receiver<u64>) -> Self {
        Self { state, plans, reconciled, link: None }
    }

    /// Tells peers too, through `link`.
    pub(super) fn set_link(&mut self, link: mpsc::UnboundedSender<News>) {
        self.link = Some(link);
    }

    /// Applies until publishing ends, which only an error makes it.
    pub(super) async fn run(mut self, publisher: &mut Publisher) {
        // Before there is a plan whose sockets could be bound.
        let serves = self.state.serves().await;
        self.state.shared.observing.store(!serves, Relaxed);
        let (mut problems, mut unbound) = (Vec::new(), None);
        let mut account = self.state.vips.account();
        account.mark_changed();
        loop {
            let published = tokio::select! {
                published = publisher.next() => published,
                Ok(()) = self.reconciled.changed() => {
                    self.tell_problems(publisher, &mut problems);
                    self.tell_bound(publisher, &mut unbound);
                    continue;
                }
                Ok(()) = account.changed() => {
                    if let Some(account) = account.borrow_and_update().clone() {
                        self.tell(publisher, News::Account(account));
                    }
                    continue;
                }
            };
            let Some(published) = published else { return };
            self.apply(&published);
            let Some(in_force) = published.in_force else { continue };
            match &mut unbound {
                Some(before) => before.merge(in_force),
                None => unbound = Some(in_force),
            }
            self.tell_bound(publisher, &mut unbound);
        }
    }

    /// Tells what is in force, once its sockets are bound as far as they can be.
    fn tell_bound(&self, publisher: &Publisher, unbound: &mut Option<InForce>) {
        if *self.reconciled.borrow() >= self.state.shared.plan.load().generation
            && let Some(in_force) = unbound.take()
        {
            self.tell(publisher, News::InForce(in_force));
        }
    }

    /// Tells which sockets cannot be had, where that differs from `told`.
    fn tell_problems(&self, publisher: &Publisher, told: &mut Vec<Problem>) {
        let status = self.state.listeners.load();
        let problem = |problem: &BindProblem| (problem.key, Arc::from(problem.to_string()));
        let problems: Vec<Problem> = status.problems.iter().map(problem).collect();
        if problems != *told {
            told.clone_from(&problems);
            self.tell(publisher, News::Unbound(problems));
        }
    }

    fn tell(&self, publisher: &Publisher, news: News) {
        if let Some(link) = &self.link {
            // An error means that the link has ended.
            let _ended = link.send(news.clone());
        }
        publisher.tell(news);
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
            let (objects, recomputed, took) = (stages.objects, stages.recomputed, stages.noticed.elapsed());
            // A status that we have written comes back as a change of its object, which changes nothing.
            if recomputed > 0 || !published.changed.is_empty() {
                tracing::info!(objects, recomputed, ?took, "configuration applied");
            } else {
                tracing::debug!(objects, ?took, "nothing to apply");
            }
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
