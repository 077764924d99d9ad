//! What is held of one address: that it is announced, or probed, or both.

use super::{announced::Announced, probe::Probing};
use crate::{moment::Moment, wire::MacAddr};

#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) announced: Option<Announced>,
    pub(super) probing: Option<Probing>,
    /// For when it stands among what is due.
    pub(super) scheduled: Option<Moment>,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.announced.is_none() && self.probing.is_none()
    }

    pub(super) fn wakes(&self) -> Option<Moment> {
        let announced = self.announced.as_ref().and_then(Announced::wakes);
        let probing = self.probing.as_ref().and_then(Probing::wakes);
        [announced, probing].into_iter().flatten().min()
    }

    pub(super) fn stop_rounds(&mut self) {
        if let Some(announced) = &mut self.announced {
            announced.stop_rounds();
        }
    }

    /// Whether another station's claim is to be told of; it counts as told then.
    pub(super) fn tells_conflict(&mut self, now: Moment, mac: MacAddr) -> bool {
        self.announced.as_mut().is_some_and(|announced| announced.tells_conflict(now, mac))
    }
}
