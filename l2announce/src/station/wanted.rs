//! What is wanted of one address on this node.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{
    announcement::Interfaces,
    link::Placement,
    responder::{Announce, Counters, Outcome},
};

#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) interfaces: Interfaces,
    /// Where it may be; nothing as long as nobody was told.
    pub(super) placement: Option<Placement>,
    pub(super) counters: Arc<Counters>,
    pub(super) refresh: Option<Duration>,
    pub(super) is_announced: bool,
    /// The links whose probes are under way.
    pub(super) probing: BTreeSet<u32>,
    /// Nobody has it on one link at least.
    pub(super) is_free_somewhere: bool,
}

impl Wanted {
    pub(super) fn announce(&self, burst: bool) -> Announce {
        Announce { burst, refresh: self.refresh, counters: Arc::clone(&self.counters) }
    }

    /// The numbers of the links where it may be.
    pub(super) fn links(&self) -> Vec<u32> {
        self.placement.iter().flat_map(|placement| &placement.places).map(|place| place.index).collect()
    }

    /// A probe on one link is over. Tells what has come of all of them, when it has.
    pub(super) fn probed(&mut self, link: u32, outcome: Outcome) -> Option<Outcome> {
        if !self.probing.remove(&link) {
            return None;
        }
        match outcome {
            Outcome::Taken { .. } | Outcome::Wanted { .. } => self.probing.clear(),
            Outcome::Free => self.is_free_somewhere = true,
            Outcome::Undecided => {}
        }
        let is_free = self.is_free_somewhere && outcome == Outcome::Undecided;
        self.probing.is_empty().then_some(if is_free { Outcome::Free } else { outcome })
    }

    /// Probes begin on all links where it may be.
    pub(super) fn begin_probes(&mut self) {
        self.probing = self.links().into_iter().collect();
        self.is_free_somewhere = false;
    }
}

#[cfg(test)]
mod tests {
    use pnet_base::MacAddr;

    use super::*;

    #[test]
    fn a_probe_is_over_when_it_is_on_all_links_or_taken_on_one() {
        let taken = Outcome::Taken { mac: MacAddr(2, 0, 0, 0, 0, 1) };
        let cases = [
            ([(1, Outcome::Free), (2, Outcome::Free)], [None, Some(Outcome::Free)]),
            ([(1, Outcome::Free), (2, taken)], [None, Some(taken)]),
            ([(1, taken), (2, Outcome::Free)], [Some(taken), None]),
            ([(1, Outcome::Free), (2, Outcome::Undecided)], [None, Some(Outcome::Free)]),
            ([(1, Outcome::Undecided), (2, Outcome::Free)], [None, Some(Outcome::Free)]),
            ([(1, Outcome::Undecided), (2, Outcome::Undecided)], [None, Some(Outcome::Undecided)]),
            ([(3, Outcome::Free), (1, taken)], [None, Some(taken)]),
        ];
        for (outcomes, expected) in cases {
            let mut wanted = Wanted {
                interfaces: Interfaces::All,
                placement: None,
                counters: Arc::default(),
                refresh: None,
                is_announced: false,
                probing: BTreeSet::from([1, 2]),
                is_free_somewhere: false,
            };
            assert_eq!(outcomes.map(|(link, outcome)| wanted.probed(link, outcome)), expected, "{outcomes:?}");
        }
    }
}
