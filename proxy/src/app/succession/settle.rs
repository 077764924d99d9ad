//! How a process gets its place: from a predecessor, beside one of another version, or alone.

use std::{path::Path, rc::Rc};

use http::{Request, Response};
use hyper::body::Incoming;

use super::Succession;
use crate::{
    exchange::{Body, Connection},
    handover::{self, Answer, Broken, Inheritance, Offered, Place, Predecessor, Purpose, Stranger},
    listener::Heirloom,
    telemetry::metrics::HandOver,
    worker::Worker,
};

/// A predecessor that ends in the middle is asked again at once, to see whether it lives; so often at most.
const TRIES: usize = 5;

impl<F, R> Succession<F>
where
    F: Fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    /// Gets this process its place, or leaves it unsettled, to be tried again.
    pub(super) async fn settle(&mut self) {
        let Some(meeting) = self.meeting.clone() else {
            self.listeners.reconcile();
            self.settled = true;
            return;
        };
        // Sockets of a predecessor that may be dead: closed only when it is known that it lives.
        let mut held = Vec::new();
        for _ in 0..TRIES {
            match self.try_to_settle(&meeting, &mut held).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot take over from the predecessor yet");
                    self.count(HandOver::Failed);
                    if !matches!(error, Broken::Ended) {
                        break;
                    }
                }
            }
        }
        self.listeners.reconcile();
    }

    async fn try_to_settle(&mut self, meeting: &Path, held: &mut Vec<Offered>) -> Result<(), Broken> {
        match handover::ask(meeting, self.state.shared.settings.workers).await {
            Answer::Nobody => self.settle_alone(std::mem::take(held)),
            Answer::Offered(inheritance) => self.take(inheritance, held).await?,
            Answer::OtherVersion(stranger) => self.settle_beside(stranger).await?,
            Answer::Busy => tracing::info!("another process has asked the predecessor first; waiting"),
            Answer::Broken { error, held: came } => {
                if !came.is_empty() {
                    *held = came;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn take(&mut self, inheritance: Inheritance, held: &mut Vec<Offered>) -> Result<(), Broken> {
        // It lives, so that what it gave before is not needed.
        held.clear();
        let wanted: Vec<Place> = inheritance.places().filter(|place| self.wants(place)).copied().collect();
        match inheritance.take(|place| wanted.contains(place)).await {
            Ok((predecessor, taken)) => {
                self.succeed(predecessor, taken);
                Ok(())
            }
            Err((error, offered)) => {
                *held = offered;
                Err(error)
            }
        }
    }

    fn succeed(&mut self, predecessor: Predecessor, taken: Vec<Offered>) {
        self.inherit(taken);
        self.listeners.reconcile();
        self.predecessor = Some(predecessor);
        self.settled = true;
        self.open_door();
        self.count(HandOver::Taken);
        tracing::info!("taken over from the predecessor");
    }

    fn settle_alone(&mut self, held: Vec<Offered>) {
        self.inherit(held);
        self.listeners.forget_predecessor();
        let status = self.listeners.reconcile();
        // Somebody else's ports may be a predecessor's that cannot be asked, or one's that has just come first.
        self.settled = !status.problems.iter().any(|problem| problem.taken);
        if self.settled {
            self.open_door();
        }
    }

    /// Takes ports together with one that cannot hand them over, which then gives them up.
    async fn settle_beside(&mut self, stranger: Stranger) -> Result<(), Broken> {
        tracing::warn!(
            theirs = stranger.version,
            ours = handover::message::VERSION,
            "the predecessor speaks another version of the hand-over: listening beside it until it has given its sockets up"
        );
        self.listeners.reconcile_beside();
        self.predecessor = Some(stranger.vacate().await?);
        self.settled = true;
        self.open_door();
        self.count(HandOver::OtherVersion);
        Ok(())
    }

    fn wants(&self, place: &Place) -> bool {
        match place.purpose {
            Purpose::Traffic => self.listeners.wants(place.port, place.address),
            purpose => self.desk.wants(purpose, place.address),
        }
    }

    fn inherit(&mut self, taken: Vec<Offered>) {
        let (traffic, rest): (Vec<_>, Vec<_>) =
            taken.into_iter().partition(|offered| offered.place.purpose == Purpose::Traffic);
        let heirloom = |Offered { place, sockets }| Heirloom { port: place.port, address: place.address, sockets };
        self.listeners.inherit(traffic.into_iter().map(heirloom).collect());
        rest.into_iter().for_each(|offered| self.desk.inherit(offered));
    }
}
