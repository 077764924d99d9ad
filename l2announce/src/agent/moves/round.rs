//! All nodes are asked once, for the flows of some addresses.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use super::neighbourhood::{At, Neighbour, Neighbourhood};
use crate::{
    Moment, NodeName,
    flows::{Answer, MOST_ADDRESSES, Progress, Pull, Question, Session},
    heartbeat::LinkId,
    kernel::Flow,
};

/// A round ends when nobody has told anything new for so long.
const PATIENCE: Duration = Duration::from_millis(250);
/// A round ends after this in any case.
const LONGEST: Duration = Duration::from_millis(600);

/// What the round is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The addresses are about to be announced.
    Prepare,
    /// They have been.
    Follow,
}

/// What one node has.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) node: NodeName,
    pub(super) places: BTreeSet<At>,
    pub(super) flows: BTreeSet<Flow>,
    /// Whether that is all.
    pub(super) is_whole: bool,
}

#[derive(Debug)]
struct Asked {
    link: LinkId,
    pull: Pull,
    is_whole: bool,
}

/// One round.
#[derive(Debug)]
pub(super) struct Round {
    kind: Kind,
    addresses: BTreeSet<IpAddr>,
    began: Moment,
    progress: Moment,
    asked: BTreeMap<u64, Asked>,
    places: BTreeMap<NodeName, BTreeSet<At>>,
}

impl Round {
    pub(super) fn new(
        now: Moment,
        kind: Kind,
        own: &NodeName,
        addresses: BTreeSet<IpAddr>,
        around: &Neighbourhood<'_>,
        mut session: impl FnMut() -> Session,
    ) -> Self {
        let (mut asked, mut places) = (BTreeMap::new(), BTreeMap::new());
        for (node, Neighbour { links, places: at, addresses }) in around.of(now, &addresses) {
            let Some(link) = links.first().copied() else { continue };
            let addresses: Vec<IpAddr> = addresses.into_iter().collect();
            for part in addresses.chunks(MOST_ADDRESSES) {
                let session = session();
                let pull = Pull::new(now, own.clone(), node.clone(), session, part.to_vec());
                asked.insert(session.counter, Asked { link, pull, is_whole: false });
            }
            places.insert(node, at);
        }
        Self { kind, addresses, began: now, progress: now, asked, places }
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) const fn addresses(&self) -> &BTreeSet<IpAddr> {
        &self.addresses
    }

    /// Whether a question of that number belongs to it.
    pub(super) fn asks(&self, counter: u64) -> bool {
        self.asked.contains_key(&counter)
    }

    pub(super) fn hear(&mut self, now: Moment, answer: Answer) {
        let Some(asked) = self.asked.get_mut(&answer.session.counter).filter(|asked| !asked.is_whole) else { return };
        match asked.pull.hear(answer) {
            Progress::None => {}
            Progress::Some => self.progress = now,
            Progress::Complete => (self.progress, asked.is_whole) = (now, true),
        }
    }

    /// What to send now, on which links.
    pub(super) fn poll(&mut self, now: Moment) -> Vec<(LinkId, Question)> {
        let open = self.asked.values_mut().filter(|asked| !asked.is_whole);
        open.filter_map(|asked| Some((asked.link, asked.pull.poll(now)?))).collect()
    }

    /// When it ends, unless something comes in; at once where nothing is missing.
    pub(super) fn ends_at(&self) -> Moment {
        if self.asked.values().all(|asked| asked.is_whole) {
            return self.began;
        }
        (self.progress + PATIENCE).min(self.began + LONGEST)
    }

    /// When to look after it.
    pub(super) fn due(&self) -> Moment {
        let open = self.asked.values().filter(|asked| !asked.is_whole);
        open.map(|asked| asked.pull.due()).fold(self.ends_at(), Moment::min)
    }

    /// What each node has told.
    pub(super) fn into_told(self) -> Vec<Told> {
        let mut told: BTreeMap<NodeName, Told> = BTreeMap::new();
        for Asked { pull, is_whole, .. } in self.asked.into_values() {
            let node = pull.node().clone();
            let places = self.places.get(&node).cloned().unwrap_or_default();
            let all = told.entry(node.clone()).or_insert(Told { node, places, flows: BTreeSet::new(), is_whole: true });
            all.is_whole &= is_whole;
            all.flows.extend(pull.into_flows());
        }
        told.into_values().collect()
    }
}
