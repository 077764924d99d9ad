//! What goes along with an address when it moves: the connections that other nodes have at it. Before an address is
//! announced that its owner offers, every node is asked for its flows, and these are handed back; and again soon after,
//! since the owner accepts connections until clients know better, and now and then until all have ended or their time is
//! over. docs/design/0005-flow-hand-back.md says why.

mod loader;
mod neighbourhood;
mod round;
mod telling;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use self::{
    loader::{Job, Loaded, Loader},
    round::{Kind, Round},
    telling::Telling,
};
pub(super) use self::{
    neighbourhood::{Neighbourhood, Spoken},
    telling::Listed,
};
use super::{Settings, shown::HandBack};
use crate::{
    Moment, NodeName,
    flows::{Answer, Message, Session},
    heartbeat::{Installation, Keys, LinkId},
    kernel::Kernel,
    wire::MacAddr,
};

/// When the nodes are asked again, counted from the announcement; later ones come at the pace of the last two.
const FOLLOW: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];
/// For so long packets may come that were sent to this node before clients knew the next owner.
const LINGER: Duration = Duration::from_secs(5);

/// What has happened beside the loop.
#[derive(Debug)]
pub(super) enum Happened {
    /// Connections were listed, for somebody who asked.
    Listed(Listed),
    /// The kernel has what was told.
    Loaded(Loaded),
}

/// An address whose flows are handed back.
#[derive(Debug)]
struct Kept {
    until: Moment,
    announced: Option<Moment>,
    asked: usize,
    next: Option<Moment>,
}

impl Kept {
    const fn new(until: Moment) -> Self {
        Self { until, announced: None, asked: 0, next: None }
    }

    fn announce(&mut self, now: Moment, until: Moment) {
        *self = Self { until, announced: Some(now), asked: 0, next: FOLLOW.first().map(|after| now + *after) };
    }

    fn ask(&mut self, now: Moment) {
        self.asked += 1;
        let last = FOLLOW.len() - 1;
        let pace = FOLLOW.get(last).copied().unwrap_or_default() - FOLLOW.get(last - 1).copied().unwrap_or_default();
        let planned = FOLLOW.get(self.asked).and_then(|after| Some(self.announced? + *after));
        self.next = Some(planned.unwrap_or(now + pace));
    }

    /// Whether connections that were accepted before the announcement have been asked for by now.
    fn is_settled(&self) -> bool {
        self.asked >= FOLLOW.len() - 1
    }
}

/// All of it.
pub(super) struct Moves {
    node: NodeName,
    installation: Installation,
    keys: Keys,
    drain: Duration,
    loader: Option<Loader>,
    loaded: UnboundedReceiver<Loaded>,
    telling: Telling,
    /// To be prepared, all at once.
    wanted: BTreeSet<IpAddr>,
    rounds: BTreeMap<u64, Round>,
    kept: BTreeMap<IpAddr, Kept>,
    /// To whom flows are handed back, by which links.
    owners: BTreeMap<NodeName, BTreeSet<(Arc<str>, MacAddr)>>,
    counter: u64,
    outgoing: Vec<(LinkId, NodeName, Vec<u8>)>,
    prepared: BTreeSet<IpAddr>,
    wake: Option<Moment>,
    shown: HandBack,
}

impl Moves {
    /// With the kernel, or why there is none that flows could be handed back with.
    pub(super) fn new(settings: &Settings, kernel: Result<Arc<Mutex<Kernel>>, Arc<str>>, keys: Keys) -> Self {
        let kernel = if settings.hand_back { kernel } else { Err("it is switched off".into()) };
        let (tell, loaded) = unbounded_channel();
        let loader = kernel.and_then(|kernel| {
            Loader::start(kernel, tell).map_err(|error| Arc::from(format!("no thread can be had for it: {error}")))
        });
        let off = loader.as_ref().err().cloned();
        if let Some(why) = &off {
            tracing::info!(why = &**why, "a planned move resets connections, since flows are not handed back");
        }
        Self {
            node: settings.node.clone(),
            installation: settings.installation,
            keys,
            drain: settings.drain,
            loaded,
            telling: Telling::new(settings.node.clone(), off.is_none()),
            loader: loader.ok(),
            wanted: BTreeSet::new(),
            rounds: BTreeMap::new(),
            kept: BTreeMap::new(),
            owners: BTreeMap::new(),
            counter: 0,
            outgoing: Vec::new(),
            prepared: BTreeSet::new(),
            wake: None,
            shown: HandBack { off, ..HandBack::default() },
        }
    }

    pub(super) fn rekey(&mut self, keys: Keys) {
        self.keys = keys;
    }

    pub(super) const fn shown(&self) -> &HandBack {
        &self.shown
    }

    /// The address is about to be taken from a node that offers it. [`Self::poll`] says when it may be.
    pub(super) fn prepare(&mut self, address: IpAddr) {
        self.wanted.insert(address);
    }

    /// The address is announced now.
    pub(super) fn announced(&mut self, now: Moment, address: IpAddr) {
        if self.loader.is_some() {
            let until = now + self.drain;
            self.kept.entry(address).or_insert_with(|| Kept::new(until)).announce(now, until);
        }
    }

    /// The address is given up.
    pub(super) fn withdrawn(&mut self, now: Moment, address: IpAddr) {
        self.wanted.remove(&address);
        if let Some(kept) = self.kept.get_mut(&address) {
            *kept = Kept::new(kept.until.min(now + LINGER));
        }
    }

    /// What has happened beside the loop. Can be dropped at any time.
    pub(super) async fn happens(&mut self) -> Happened {
        let Self { telling, loaded, loader, .. } = self;
        tokio::select! {
            listed = telling.lists() => Happened::Listed(listed),
            Some(done) = loaded.recv(), if loader.is_some() => Happened::Loaded(done),
        }
    }

    pub(super) fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Listed(listed) => {
                let answers = self.telling.listed(listed);
                self.answer(answers);
            }
            Happened::Loaded(loaded) => {
                self.shown.flows = loaded.held;
                self.shown.failures += u64::from(loaded.has_failed);
                self.prepared.extend(loaded.prepared);
            }
        }
    }

    /// Hears a datagram about flows; connections of `own` addresses may be told of.
    pub(super) fn hear(&mut self, now: Moment, link: LinkId, bytes: &[u8], own: impl Fn(IpAddr) -> bool) {
        match Message::open(bytes, self.installation, &self.keys) {
            Ok(Message::Question(question)) => {
                let answers = self.telling.hear(now, link, question, own);
                self.answer(answers);
            }
            Ok(Message::Answer(answer)) if answer.to == self.node => self.hear_answer(now, answer),
            Ok(Message::Answer(_)) => {}
            Err(refusal) => tracing::debug!(%refusal, link, "a datagram about flows"),
        }
    }

    fn hear_answer(&mut self, now: Moment, answer: Answer) {
        let round = self.rounds.values_mut().find(|round| round.asks(answer.session.counter));
        if let Some(round) = round {
            round.hear(now, answer);
        }
        self.wake = Some(now);
    }

    fn answer(&mut self, answers: Vec<(LinkId, Answer)>) {
        for (link, answer) in answers {
            let to = answer.to.clone();
            self.outgoing.push((link, to, Message::Answer(answer).seal(self.installation, &self.keys)));
        }
    }

    /// Does what is due. What is to be sent is in [`Self::outgoing`] then; the addresses may be announced.
    pub(super) fn poll(&mut self, now: Moment, boot: u64, around: &Neighbourhood<'_>) -> BTreeSet<IpAddr> {
        self.begin_preparing(now, boot, around);
        self.follow(now, boot, around);
        self.ask(now);
        self.drop_silent(now, around);
        self.drop_ended(now);
        self.wake = self.next(now, around);
        std::mem::take(&mut self.prepared)
    }

    /// Datagrams, and to whom on which link.
    pub(super) fn outgoing(&mut self) -> Vec<(LinkId, NodeName, Vec<u8>)> {
        std::mem::take(&mut self.outgoing)
    }

    /// When to poll at the latest.
    pub(super) fn deadline(&self, now: Moment) -> Option<Moment> {
        let is_due = !self.wanted.is_empty() || !self.prepared.is_empty() || !self.outgoing.is_empty();
        if is_due { Some(now) } else { self.wake }
    }

    fn begin_preparing(&mut self, now: Moment, boot: u64, around: &Neighbourhood<'_>) {
        let addresses = std::mem::take(&mut self.wanted);
        if self.loader.is_none() {
            return self.prepared.extend(addresses);
        }
        if !addresses.is_empty() {
            let until = now + self.drain;
            self.kept.extend(addresses.iter().map(|address| (*address, Kept::new(until))));
            self.begin(now, boot, Kind::Prepare, addresses, around);
        }
    }

    /// Asks again for what is announced, one round at a time.
    fn follow(&mut self, now: Moment, boot: u64, around: &Neighbourhood<'_>) {
        if self.rounds.values().any(|round| round.kind() == Kind::Follow) {
            return;
        }
        let due = self.kept.iter_mut().filter(|(_, kept)| kept.next.is_some_and(|next| next <= now));
        let mut addresses = BTreeSet::new();
        for (address, kept) in due {
            kept.ask(now);
            addresses.insert(*address);
        }
        if !addresses.is_empty() {
            self.begin(now, boot, Kind::Follow, addresses, around);
        }
    }

    fn begin(&mut self, now: Moment, boot: u64, kind: Kind, addresses: BTreeSet<IpAddr>, around: &Neighbourhood<'_>) {
        let mut counter = self.counter;
        let session = || {
            counter += 1;
            Session { boot, counter }
        };
        let round = Round::new(now, kind, &self.node, addresses, around, session);
        self.rounds.insert(counter, round);
        self.counter = counter + 1;
    }

    fn ask(&mut self, now: Moment) {
        for round in self.rounds.values_mut() {
            for (link, question) in round.poll(now) {
                let to = question.to.clone();
                let bytes = Message::Question(question).seal(self.installation, &self.keys);
                self.outgoing.push((link, to, bytes));
            }
        }
        let over: Vec<u64> =
            self.rounds.iter().filter(|(_, round)| round.ends_at() <= now).map(|(key, _)| *key).collect();
        for round in over.into_iter().filter_map(|key| self.rounds.remove(&key)).collect::<Vec<_>>() {
            self.conclude(now, round);
        }
    }

    /// Everything has been told that will be.
    fn conclude(&mut self, now: Moment, round: Round) {
        let (kind, addresses) = (round.kind(), round.addresses().clone());
        let told = round.into_told();
        if kind == Kind::Prepare {
            for late in told.iter().filter(|told| !told.is_whole) {
                self.shown.late += 1;
                tracing::warn!(
                    node = &*late.node,
                    told = late.flows.len(),
                    "a node has not told all its connections in time: those that it has not told are reset"
                );
            }
            self.shown.handed_back += told.iter().map(|told| told.flows.len() as u64).sum::<u64>();
        }
        let is_kept = |address: &IpAddr| {
            kind == Kind::Prepare || self.kept.get(address).is_some_and(|kept| kept.announced.is_some())
        };
        let addresses: BTreeSet<IpAddr> = addresses.into_iter().filter(is_kept).collect();
        let until = addresses.iter().filter_map(|address| Some(self.kept.get(address)?.until)).max();
        let lasts = until.map(|until| until.since(now)).unwrap_or_default();
        if kind == Kind::Follow {
            self.forget_quiet(&addresses, &told);
        }
        for told in told.iter().filter(|told| !told.flows.is_empty()) {
            self.owners.entry(told.node.clone()).or_default().extend(told.places.iter().cloned());
        }
        self.order(Job::Load { addresses, told, lasts, is_move: kind == Kind::Prepare });
    }

    /// Nobody has connections of these any more.
    fn forget_quiet(&mut self, addresses: &BTreeSet<IpAddr>, told: &[round::Told]) {
        if told.iter().any(|told| !told.is_whole) {
            return;
        }
        let busy: BTreeSet<IpAddr> = told.iter().flat_map(|told| &told.flows).map(|flow| flow.local().ip()).collect();
        for address in addresses.difference(&busy) {
            if let Some(kept) = self.kept.get_mut(address).filter(|kept| kept.is_settled()) {
                (kept.until, kept.next) = (Moment::default(), None);
            }
        }
    }

    /// What a node had that is not heard any more is gone: its clients should know soon.
    fn drop_silent(&mut self, now: Moment, around: &Neighbourhood<'_>) {
        let silent: Vec<NodeName> = self
            .owners
            .keys()
            .filter(|node| around.heard_until(node).is_none_or(|until| until <= now))
            .cloned()
            .collect();
        for node in silent {
            tracing::info!(node = &*node, "a node that flows were handed back to is gone, and they end");
            let places = self.owners.remove(&node).unwrap_or_default();
            places.into_iter().for_each(|(link, mac)| self.order(Job::Clear { link, mac }));
        }
    }

    /// The time of these is over.
    fn drop_ended(&mut self, now: Moment) {
        let ended: BTreeSet<IpAddr> =
            self.kept.iter().filter(|(_, kept)| kept.until <= now).map(|(address, _)| *address).collect();
        if !ended.is_empty() {
            self.kept.retain(|address, _| !ended.contains(address));
            self.order(Job::Forget { addresses: ended });
        }
        if self.kept.is_empty() {
            self.owners.clear();
        }
    }

    fn next(&self, now: Moment, around: &Neighbourhood<'_>) -> Option<Moment> {
        let is_following = self.rounds.values().any(|round| round.kind() == Kind::Follow);
        let rounds = self.rounds.values().map(Round::due);
        let kept = self
            .kept
            .values()
            .map(|kept| kept.next.filter(|_| !is_following).map_or(kept.until, |next| next.min(kept.until)));
        let owners = self.owners.keys().map(|node| around.heard_until(node).unwrap_or(now));
        rounds.chain(kept).chain(owners).min()
    }

    fn order(&self, job: Job) {
        if let Some(loader) = &self.loader {
            loader.order(job);
        }
    }

    /// Ends, and lets the kernel go.
    pub(super) fn stop(self) {
        if let Some(loader) = self.loader {
            loader.stop();
        }
    }
}
