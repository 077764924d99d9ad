//! The loop of an agent: whatever happens goes into the election, and what it orders is carried out at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    time::{Instant, sleep_until},
};

use super::{
    End, Inputs, Peer, Settings, Shown, ShownAddress, Wishes,
    ears::{Ears, Received},
    ground::{Done, Ground},
    local::Known,
    moves::{Happened, Moves, Neighbourhood, Spoken},
    seat::Seat,
};
use crate::{
    Interfaces, Moment, NodeName,
    election::{Election, Input, Local, Order, Outcome, Probe},
    flows,
    heartbeat::{Heard, Inbox, Keys, LinkId, Outbox, Readiness, Refusal, Speaker},
    kernel,
    link::{Links, Placement, Watch, WatchError},
    responder,
    station::{self, Command, Driver, Event, Station, Tell, Thoroughness, now},
};

/// Others flush rule sets, and nobody tells.
const SETTLE: Duration = Duration::from_secs(10);
/// How often what is shown is brought up to date though nothing happens: times go on.
const SHOW: Duration = Duration::from_secs(1);
/// Where a node was is forgotten after this.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// What has failed is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs until it is told to end.
pub(super) async fn run(
    settings: Settings,
    inputs: Inputs,
    rebalance: UnboundedReceiver<()>,
    mut end: watch::Receiver<End>,
    show: watch::Sender<Arc<Shown>>,
) {
    let seat = tokio::select! {
        seat = Seat::take(&settings.directory) => seat,
        _ended = end.wait_for(|end| *end != End::Never) => return,
    };
    let (open, ground) = tokio::select! {
        both = async { (begin(&settings, &show, open).await, begin(&settings, &show, Ground::open).await) } => both,
        _ended = end.wait_for(|end| *end != End::Never) => return,
    };
    let Open { station, events, driver, links, watch } = open;
    let agent = Loop::new(settings, (seat, ground), station, (links, watch), &inputs, show);
    tokio::select! {
        () = agent.run(inputs, events, rebalance, end) => {}
        () = driver.run() => {}
    }
}

/// Opens something that must be there before anything else, however long it takes.
async fn begin<T, E: std::error::Error>(
    settings: &Settings,
    show: &watch::Sender<Arc<Shown>>,
    open: impl AsyncFn(&Settings) -> Result<T, E>,
) -> T {
    loop {
        match open(settings).await {
            Ok(opened) => return opened,
            Err(error) => show.send_replace(Arc::new(unable(settings, &error))),
        };
        tokio::time::sleep(AGAIN).await;
    }
}

fn unable(settings: &Settings, error: &impl std::error::Error) -> Shown {
    tracing::error!(%error, "nothing can be announced; trying on");
    Shown { at: now(), node: settings.node.clone(), problem: Some(error.to_string().into()), ..Shown::default() }
}

/// What has to be there before anything else.
struct Open {
    station: Station,
    events: UnboundedReceiver<Event>,
    driver: Driver,
    links: Links,
    watch: Watch,
}

async fn open(settings: &Settings) -> Result<Open, WatchError> {
    let told = station::Settings {
        exclude: settings.exclude.clone(),
        refresh: settings.refresh,
        longest_pause: settings.profile.longest_pause(),
        ..station::Settings::default()
    };
    let (station, events, driver) = station::open(told).await?;
    let mut links = Links::new(settings.exclude.clone());
    let watch = Watch::open(&mut links).await?;
    Ok(Open { station, events, driver, links, watch })
}

/// What has happened.
enum Woken {
    Event(Option<Event>),
    Links(Result<bool, WatchError>),
    Received(Received),
    Moved(Happened),
    Ground(Done),
    Told,
    Rebalance,
    End,
    Time,
}

struct Loop {
    settings: Settings,
    seat: Seat,
    station: Station,
    links: Links,
    watch: Option<Watch>,
    election: Election,
    ears: Ears,
    ground: Ground,
    moves: Moves,
    /// Which nodes were heard where.
    spoken: BTreeMap<(NodeName, LinkId), Spoken>,
    inbox: Inbox,
    outbox: Outbox,
    wishes: Option<Arc<Wishes>>,
    has_key: bool,
    unserved: Option<Arc<str>>,
    readiness: Readiness,
    /// What the station was told to watch.
    watched: BTreeMap<IpAddr, Interfaces>,
    placements: BTreeMap<IpAddr, Placement>,
    announced: BTreeSet<IpAddr>,
    peers: BTreeMap<NodeName, Peer>,
    local: Local,
    /// Whether the election knows what this node can do.
    is_known: bool,
    show: watch::Sender<Arc<Shown>>,
    is_stale: bool,
    shown: Moment,
    settled: Moment,
    is_left: bool,
}

impl Loop {
    fn new(
        settings: Settings,
        (seat, ground): (Seat, Ground),
        station: Station,
        (links, watch): (Links, Watch),
        inputs: &Inputs,
        show: watch::Sender<Arc<Shown>>,
    ) -> Self {
        let now = now();
        let key = inputs.keys.borrow().clone();
        let (has_key, keys) = (key.is_some(), key.unwrap_or_else(nobodys));
        let speaker = Speaker { node: settings.node.clone(), installation: settings.installation, boot: boot() };
        Self {
            election: Election::new(settings.node.clone(), settings.profile, seat.remembered(now)),
            inbox: Inbox::new(settings.node.clone(), settings.installation, keys.clone()),
            outbox: Outbox::new(speaker, keys.clone()),
            ears: Ears::new(settings.port),
            moves: Moves::new(&settings, ground.for_moves(), keys),
            spoken: BTreeMap::new(),
            ground,
            seat,
            station,
            links,
            watch: Some(watch),
            wishes: None,
            has_key,
            unserved: inputs.unserved.borrow().clone(),
            readiness: *inputs.readiness.borrow(),
            watched: BTreeMap::new(),
            placements: BTreeMap::new(),
            announced: BTreeSet::new(),
            peers: BTreeMap::new(),
            local: Local::default(),
            is_known: false,
            show,
            is_stale: true,
            shown: now,
            settled: now,
            is_left: false,
            settings,
        }
    }

    async fn run(
        mut self,
        mut inputs: Inputs,
        mut events: UnboundedReceiver<Event>,
        mut rebalance: UnboundedReceiver<()>,
        mut end: watch::Receiver<End>,
    ) {
        self.hear_inputs(&mut inputs);
        loop {
            self.turn();
            let until = self.next_time();
            let Self { watch, links, ears, moves, ground, .. } = &mut self;
            let woken = tokio::select! {
                event = events.recv() => Woken::Event(event),
                told = follow(watch, links) => Woken::Links(told),
                received = ears.receive() => Woken::Received(received),
                moved = moves.happens() => Woken::Moved(moved),
                done = ground.answers() => Woken::Ground(done),
                () = changed(&mut inputs) => Woken::Told,
                Some(()) = rebalance.recv() => Woken::Rebalance,
                Ok(()) = end.changed() => Woken::End,
                () = sleep_until(until) => Woken::Time,
            };
            match woken {
                Woken::Event(Some(event)) => self.happens(event),
                Woken::Event(None) => return,
                Woken::Links(Ok(is_news)) => self.links_changed(is_news),
                Woken::Links(Err(error)) => {
                    tracing::warn!(%error, "links are not followed any more; trying again");
                    self.watch = None;
                }
                Woken::Received((link, bytes, sender)) => self.hear(link, &bytes, sender),
                Woken::Moved(happened) => self.moves.happened(happened),
                Woken::Ground(done) => self.answered(done),
                Woken::Told => self.hear_inputs(&mut inputs),
                Woken::Rebalance => self.election.handle(now(), Input::Rebalance),
                Woken::End => {
                    let asked = *end.borrow_and_update();
                    match asked {
                        End::Never => {}
                        End::Leaving => self.leave(),
                        End::Succeeded => return self.hand_over(),
                        End::Over => return self.end(),
                    }
                }
                Woken::Time => self.try_again().await,
            }
        }
    }

    fn next_time(&self) -> Instant {
        let (now, instant) = (now(), Instant::now());
        let show = if self.is_stale { now } else { self.shown + SHOW };
        let again = if self.watch.is_none() { now + AGAIN } else { self.settled + SETTLE };
        let moves = self.moves.deadline(now).unwrap_or(again);
        let next = self.election.deadline().min(show).min(again).min(moves);
        instant + next.since(now)
    }

    /// Carries out what the election orders, and shows what it has come to.
    fn turn(&mut self) {
        let now = now();
        loop {
            for order in self.election.poll(now) {
                self.obey(now, order);
            }
            if !self.tend_moves(now) {
                break;
            }
        }
        if self.is_stale || now.since(self.shown) >= SHOW {
            self.show(now);
        }
    }

    /// Asks for flows and tells of them. True if that makes a difference to the election.
    fn tend_moves(&mut self, now: Moment) -> bool {
        let around = Neighbourhood { placements: &self.placements, spoken: &self.spoken };
        let prepared = self.moves.poll(now, self.outbox.boot(), &around);
        for (link, node, datagram) in self.moves.outgoing() {
            self.ears.send_to(now, link, &node, &datagram);
        }
        for address in &prepared {
            self.election.handle(now, Input::Prepared { address: *address });
        }
        !prepared.is_empty()
    }

    fn obey(&mut self, now: Moment, order: Order) {
        let command = match order {
            Order::Beat => return self.beat(now),
            Order::Probe { address, probe } => {
                let thoroughness = if probe == Probe::Full { Thoroughness::Full } else { Thoroughness::Short };
                Command::Probe { address, thoroughness }
            }
            Order::Prepare { address } => return self.moves.prepare(address),
            Order::Announce { address } => {
                if self.announced.insert(address) {
                    self.moves.announced(now, address);
                    tracing::info!(%address, "announcing");
                }
                Command::Announce { address, tell: Tell::Again }
            }
            Order::Withdraw { address } => {
                self.moves.withdrawn(now, address);
                if self.announced.remove(&address) {
                    tracing::info!(%address, "withdrawn");
                }
                Command::Withdraw { address }
            }
            Order::Defend { address } => Command::Defend { address },
        };
        self.is_stale = true;
        self.station.order(command);
    }

    fn beat(&mut self, now: Moment) {
        let speaking = self.ears.speaking(&self.links);
        let macs: Vec<_> = speaking.iter().map(|(_, macs)| macs.clone()).collect();
        let beats = self.outbox.beat(&self.election.content(), &macs);
        for ((link, _), datagrams) in speaking.iter().zip(beats) {
            self.ears.send(now, *link, &datagrams);
        }
    }

    fn happens(&mut self, event: Event) {
        let now = now();
        match event {
            Event::Links { address, placement } => {
                self.placements.insert(address, placement);
                self.place();
            }
            Event::Probed { address, outcome } => {
                let outcome = match outcome {
                    responder::Outcome::Free => Outcome::Free,
                    responder::Outcome::Taken { mac } => Outcome::Taken(mac),
                    responder::Outcome::Wanted { mac } => Outcome::Wanted(mac),
                    // There was no link to ask on: it is asked again when there is one.
                    responder::Outcome::Undecided => return,
                };
                self.election.handle(now, Input::Probed { address, outcome });
            }
            Event::Conflict { address, mac, link } => {
                tracing::warn!(%address, %mac, link, "somebody else answers for an address that is announced");
                self.election.handle(now, Input::Contested { address, mac });
            }
            Event::Paused { gap } => self.go_on(now, gap),
        }
        self.is_stale = true;
    }

    /// The election has seen the gap as well, and withdraws what it may not keep before anything is sent again.
    fn go_on(&mut self, now: Moment, gap: Duration) {
        tracing::warn!(?gap, "the process has not run for a while");
        self.ears.drop_waiting();
        for order in self.election.poll(now) {
            self.obey(now, order);
        }
        self.station.order(Command::Confirm);
    }

    fn links_changed(&mut self, is_news: bool) {
        if is_news {
            self.ground.settle();
            self.place();
        }
    }

    /// Listens and speaks on the links where addresses may be, keeps the kernel silent there, and tells the election.
    fn place(&mut self) {
        let places = || self.placements.values().flat_map(|placement| &placement.places);
        let indexes: BTreeSet<LinkId> = places().map(|place| place.index).collect();
        let links = places().map(|place| place.name.clone()).collect();
        self.ears.reconcile(&indexes, &self.links);
        if self.is_placed() {
            self.ground.want(self.wanted_of_kernel(links));
        }
        self.localise();
    }

    /// Whether it is known of every address where it may be.
    fn is_placed(&self) -> bool {
        self.wishes.is_some() && self.watched.keys().all(|address| self.placements.contains_key(address))
    }

    fn wanted_of_kernel(&self, links: BTreeSet<Arc<str>>) -> kernel::Wanted {
        let all = || self.wishes.iter().flat_map(|wishes| wishes.iter());
        let own = || all().filter(|(address, _)| self.watched.contains_key(*address));
        let foreign = own().flat_map(|(address, wish)| wish.foreign_ports.iter().map(|port| (*address, *port)));
        kernel::Wanted {
            addresses: own().map(|(address, wish)| (*address, wish.purpose)).collect(),
            links,
            foreign: foreign.collect(),
        }
    }

    fn answered(&mut self, done: Done) {
        if self.ground.answered(done) {
            self.localise();
        }
    }

    fn localise(&mut self) {
        let Some(wishes) = &self.wishes else { return };
        // What another process hands over is taken with the first word, or not at all.
        let is_ready = self.is_placed() && self.ground.has_answered();
        if !is_ready && !self.is_known {
            return;
        }
        let was_known = std::mem::replace(&mut self.is_known, true);
        let known = Known {
            node: &self.settings.node,
            wishes,
            placements: &self.placements,
            links: &self.links,
            ears: &self.ears,
            ground: &self.ground,
            unserved: self.unserved.as_ref(),
            readiness: self.readiness,
            has_key: self.has_key,
        };
        let local = known.local();
        if local != self.local || !was_known {
            self.local = local.clone();
            self.is_stale = true;
            self.election.handle(now(), Input::Local(local));
        }
    }

    fn hear(&mut self, link: LinkId, bytes: &[u8], sender: SocketAddr) {
        let now = now();
        if flows::is_ours(bytes) {
            let own = &self.watched;
            return self.moves.hear(now, link, bytes, |address| own.contains_key(&address));
        }
        match self.inbox.hear(now, link, bytes, self.outbox.boot()) {
            Ok(Some(heard)) => {
                self.ears.meet(now, link, &heard.node, sender);
                if heard.is_new {
                    self.outbox.greet();
                }
                heard.knows_us_as.into_iter().for_each(|known| self.outbox.outdated(known));
                self.place_peer(now, &heard);
                let peer = Peer { heard: now, readiness: heard.readiness };
                let is_first = self.peers.insert(heard.node.clone(), peer).is_none();
                if is_first {
                    tracing::info!(node = &*heard.node, "another node is heard");
                    self.announce();
                }
                self.is_stale |= heard.is_new;
                self.election.handle(now, Input::Heard(heard));
            }
            Ok(None) => {}
            Err(Refusal::Outdated(node)) => {
                if let Some(known) = self.inbox.boot_of(&node) {
                    self.outbox.remind(node, known);
                }
            }
            // Counted by the inbox.
            Err(_) => {}
        }
    }

    /// By the address of the link, which stands first.
    fn place_peer(&mut self, now: Moment, heard: &Heard) {
        if let Some(mac) = heard.macs.first() {
            let spoken = Spoken { mac: *mac, at: now, timeout: self.settings.profile.longest(heard.beat) };
            self.spoken.insert((heard.node.clone(), heard.link), spoken);
        }
        self.spoken.retain(|_, spoken| now.since(spoken.at) < FORGOTTEN);
    }

    fn hear_inputs(&mut self, inputs: &mut Inputs) {
        if inputs.keys.has_changed().unwrap_or_default() {
            let keys = inputs.keys.borrow_and_update().clone();
            self.has_key = keys.is_some();
            let keys = keys.unwrap_or_else(nobodys);
            self.inbox.rekey(keys.clone());
            self.moves.rekey(keys.clone());
            self.outbox.rekey(keys);
        }
        self.unserved.clone_from(&inputs.unserved.borrow_and_update());
        let readiness = *inputs.readiness.borrow_and_update();
        self.readiness = if self.is_left { Readiness::Leaving } else { readiness };
        let wishes = inputs.wishes.borrow_and_update().clone();
        if let Some(wishes) = wishes.filter(|wishes| self.wishes.as_ref() != Some(wishes)) {
            self.wish(wishes);
        }
        self.localise();
    }

    fn wish(&mut self, wishes: Arc<Wishes>) {
        let node = &*self.settings.node;
        let own: Vec<_> =
            wishes.iter().filter_map(|(address, wish)| Some((*address, wish, wish.candidate(node)?))).collect();
        let watched: BTreeMap<IpAddr, Interfaces> =
            own.iter().map(|(address, _, candidate)| (*address, candidate.interfaces.clone())).collect();
        for address in self.watched.keys().filter(|address| !watched.contains_key(address)) {
            self.station.order(Command::Forget { address: *address });
            self.placements.remove(address);
        }
        for (address, interfaces) in watched.iter().filter(|(address, new)| self.watched.get(address) != Some(new)) {
            self.station.order(Command::Watch { address: *address, interfaces: interfaces.clone() });
        }
        self.watched = watched;
        self.wishes = Some(wishes);
        self.announce();
        self.place();
    }

    /// Tells the election what should be announced, by whom as far as is known.
    fn announce(&mut self) {
        let Some(wishes) = &self.wishes else { return };
        let everybody = || self.peers.keys().chain(std::iter::once(&self.settings.node));
        let announcements = wishes.iter().map(|(address, wish)| (*address, wish.announcement(everybody()))).collect();
        self.election.handle(now(), Input::Announcements(Arc::new(announcements)));
        self.is_stale = true;
    }

    async fn try_again(&mut self) {
        let now = now();
        if self.watch.is_none() {
            let mut links = Links::new(self.settings.exclude.clone());
            if let Ok(watch) = Watch::open(&mut links).await {
                (self.watch, self.links) = (Some(watch), links);
                self.links_changed(true);
            }
        }
        if now.since(self.settled) >= SETTLE {
            self.settled = now;
            self.ground.settle();
            self.place();
        }
    }

    fn show(&mut self, now: Moment) {
        (self.is_stale, self.shown) = (false, now);
        let view = self.election.view(now);
        let links = |address: &IpAddr| {
            let places = self.placements.get(address).map(|placement| placement.places.as_slice());
            places.unwrap_or_default().iter().map(|place| place.name.clone()).collect()
        };
        let purpose = |address: &IpAddr| self.wishes.as_ref().and_then(|wishes| Some(wishes.get(address)?.purpose));
        let addresses = view.into_iter().filter_map(|(address, view)| {
            let is_in_subnet = self.placements.get(&address).map(|placement| placement.is_in_subnet);
            Some((address, ShownAddress { purpose: purpose(&address)?, links: links(&address), is_in_subnet, view }))
        });
        let shown = Shown {
            at: now,
            node: self.settings.node.clone(),
            problem: None,
            readiness: self.readiness,
            addresses: addresses.collect(),
            peers: self.peers.clone(),
            hand_back: self.moves.shown().clone(),
            refusals: self.inbox.refusals().clone(),
            pauses: self.election.pauses(),
            counters: self.station.counters(),
        };
        self.seat.remember(now, &self.election.memory(), &BTreeSet::new());
        self.show.send_replace(Arc::new(shown));
    }

    fn leave(&mut self) {
        if !std::mem::replace(&mut self.is_left, true) {
            self.readiness = Readiness::Leaving;
            self.localise();
        }
    }

    fn hand_over(mut self) {
        let now = now();
        self.seat.remember(now, &self.election.memory(), &self.announced);
        tracing::info!(addresses = self.announced.len(), "another process of this node goes on announcing");
    }

    fn end(mut self) {
        self.election.handle(now(), Input::Stop);
        self.turn();
        self.show(now());
        self.moves.stop();
        self.ground.close();
    }
}

async fn follow(watch: &mut Option<Watch>, links: &mut Links) -> Result<bool, WatchError> {
    match watch {
        Some(watch) => watch.next(links).await,
        None => std::future::pending().await,
    }
}

/// Something else is to be done than before. Who tells of it may have gone: then nothing changes any more.
async fn changed(inputs: &mut Inputs) {
    async fn one<T>(input: &mut watch::Receiver<T>) {
        if input.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        // It is read again with the others.
        input.mark_changed();
    }
    tokio::select! {
        () = one(&mut inputs.wishes) => {}
        () = one(&mut inputs.keys) => {}
        () = one(&mut inputs.unserved) => {}
        () = one(&mut inputs.readiness) => {}
    }
}

/// A key that nobody else has.
fn nobodys() -> Keys {
    Keys::new(&rand::random(), None)
}

/// Rises from start to start, unless the clock goes back; peers say so then.
fn boot() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
