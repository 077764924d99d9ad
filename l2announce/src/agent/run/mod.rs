//! The loop of an agent: whatever happens goes into the election, and what it orders is carried out at once.

mod begin;
mod hear;
mod know;
mod show;
mod told;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    time::{Instant, sleep_until},
};

pub(super) use self::begin::run;
use self::{
    begin::boot,
    told::{changed, nobodys},
};
use super::{
    End, Inputs, Peer, Settings, Shown, Wishes,
    ears::{Ears, Received},
    ground::{Done, Ground},
    moves::{Happened, Moves, Neighbourhood, Spoken},
    routes::Routes,
    seat::Seat,
};
use crate::{
    Interfaces, Moment, NodeName,
    election::{Election, Gateway, Gateways, Input, Local, Order, Outcome, Probe},
    heartbeat::{Inbox, LinkId, Outbox, Readiness, Speaker},
    link::{Links, Placement},
    responder,
    station::{Command, Event, Station, Tell, Thoroughness, now},
};

/// Others flush rule sets, and nobody tells.
const SETTLE: Duration = Duration::from_secs(10);
/// How often what is shown is brought up to date though nothing happens: times go on.
const SHOW: Duration = Duration::from_secs(1);

/// What has happened.
enum Woken {
    Event(Option<Event>),
    Links,
    Received(Received),
    Moved(Happened),
    Ground(Done),
    Gateways(BTreeSet<Gateway>),
    Told,
    Rebalance,
    End,
    Time,
}

struct Loop {
    settings: Settings,
    seat: Seat,
    station: Station,
    links: watch::Receiver<Arc<Links>>,
    election: Election,
    ears: Ears,
    ground: Ground,
    gateways: Gateways,
    routes: Routes,
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
            gateways: Gateways::new(now, &settings.profile),
            routes: Routes::new(),
            moves: Moves::new(&settings, ground.for_moves(), keys),
            spoken: BTreeMap::new(),
            ground,
            seat,
            links: station.links(),
            station,
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
            let Self { links, ears, moves, ground, routes, .. } = &mut self;
            let woken = tokio::select! {
                event = events.recv() => Woken::Event(event),
                Ok(()) = links.changed() => Woken::Links,
                received = ears.receive() => Woken::Received(received),
                moved = moves.happens() => Woken::Moved(moved),
                done = ground.answers() => Woken::Ground(done),
                gateways = routes.gateways() => Woken::Gateways(gateways),
                () = changed(&mut inputs) => Woken::Told,
                Some(()) = rebalance.recv() => Woken::Rebalance,
                Ok(()) = end.changed() => Woken::End,
                () = sleep_until(until) => Woken::Time,
            };
            match woken {
                Woken::Event(Some(event)) => self.happens(event),
                Woken::Event(None) => return,
                Woken::Links => {
                    self.ground.settle();
                    self.place();
                }
                Woken::Received((link, bytes, sender)) => self.hear(link, &bytes, sender),
                Woken::Moved(happened) => self.moves.happened(happened),
                Woken::Ground(done) => self.answered(done),
                Woken::Gateways(gateways) => self.gateways.known(now(), gateways),
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
                Woken::Time => self.settle_again(),
            }
        }
    }

    fn next_time(&self) -> Instant {
        let (now, instant) = (now(), Instant::now());
        let show = if self.is_stale { now } else { self.shown + SHOW };
        let again = self.settled + SETTLE;
        let moves = self.moves.deadline(now).unwrap_or(again);
        let gateway = self.has_rivals().then(|| self.gateways.deadline(now, self.others_heard()));
        let gateway = gateway.flatten().unwrap_or(again);
        let next = self.election.deadline().min(show).min(again).min(moves).min(gateway);
        instant + next.since(now)
    }

    /// Carries out what the election orders, and shows what it has come to.
    fn turn(&mut self) {
        let now = now();
        self.tend_gateway(now);
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
        let speaking = self.ears.speaking(&self.links.borrow());
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
            Event::Answered { link, address } => return self.gateways.heard((link, address)),
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
