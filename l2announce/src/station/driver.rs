//! The loop of a station: orders first, then what the kernel tells of links, then frames, then what is due.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        watch,
    },
    time::{Instant, sleep_until},
};

use super::{
    Command, Event, Refresh, Settings, Statistics, Tell, Thoroughness, clock::now, ports::Ports, wanted::Wanted,
};
use crate::{
    announcement::Interfaces,
    link::{Links, Watch, WatchError},
    moment::Moment,
    responder::{self, Outcome},
    socket::SocketError,
};

/// After which time links that could not be used, or followed, are tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Less is what any busy machine does to a process.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// Runs a station.
pub struct Driver {
    settings: Settings,
    links: Links,
    show: watch::Sender<Arc<Links>>,
    watch: Option<Watch>,
    orders: UnboundedReceiver<Command>,
    events: UnboundedSender<Event>,
    statistics: Arc<Statistics>,
    wanted: BTreeMap<IpAddr, Wanted>,
    ports: Ports,
    /// When the loop last ran.
    ran: Moment,
    /// Since a pause, until it is confirmed that the addresses are still this node's.
    is_muted: bool,
    again: Moment,
}

/// What the loop was woken by.
enum Woken {
    Order(Option<Command>),
    Links(Result<bool, WatchError>),
    Frame(u32, Result<usize, SocketError>),
    Time,
}

impl Driver {
    pub(super) fn new(
        settings: Settings,
        (links, watch, show): (Links, Watch, watch::Sender<Arc<Links>>),
        orders: UnboundedReceiver<Command>,
        events: UnboundedSender<Event>,
        statistics: Arc<Statistics>,
    ) -> Self {
        let ran = now();
        let settings = Settings { longest_pause: settings.longest_pause.max(SHORTEST_PAUSE), ..settings };
        let (wanted, ports) = (BTreeMap::new(), Ports::new());
        let watch = Some(watch);
        Self {
            settings,
            links,
            show,
            watch,
            orders,
            events,
            statistics,
            wanted,
            ports,
            ran,
            is_muted: false,
            again: ran + AGAIN,
        }
    }

    /// Runs until the last [`super::Station`] is gone. When it ends or is dropped, its addresses are answered for no more.
    pub async fn run(mut self) {
        self.ran = now();
        loop {
            let woken = self.wait().await;
            let now = now();
            self.notice_pause(now);
            match woken {
                Woken::Order(Some(command)) => self.obey(now, command),
                Woken::Order(None) => return,
                Woken::Links(told) => self.follow(now, told),
                Woken::Frame(link, Ok(length)) => self.receive(now, link, length),
                Woken::Frame(link, Err(error)) => self.give_up(now, link, &error),
                Woken::Time => self.try_again(now).await,
            }
            self.send();
        }
    }

    async fn wait(&mut self) -> Woken {
        let until = self.next_time();
        let Self { orders, watch, links, ports, .. } = self;
        let told = async {
            match watch {
                Some(watch) => watch.next(links).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            order = orders.recv() => Woken::Order(order),
            told = told => Woken::Links(told),
            (link, received) = ports.readable() => Woken::Frame(link, received),
            () = sleep_until(until) => Woken::Time,
        }
    }

    /// A process that sleeps longer than it has to was paused: so it never sleeps for long.
    fn next_time(&self) -> Instant {
        let (now, instant) = (now(), Instant::now());
        let pulse = if self.is_busy() { self.settings.longest_pause / 4 } else { AGAIN };
        let due = self.ports.wakes().filter(|_| !self.is_muted).map(|due| due.since(now));
        instant + due.map_or(pulse, |due| due.min(pulse))
    }

    /// Frames that came in while the process did not run are not answered, and nothing is until election has looked.
    fn notice_pause(&mut self, now: Moment) {
        let gap = now.since(self.ran);
        self.ran = now;
        // Who has nothing to lose may sleep.
        if gap <= self.settings.longest_pause || !self.is_busy() {
            return;
        }
        let discarded = self.ports.forget_heard();
        tracing::warn!(
            ?gap,
            discarded,
            "the process did not run for a while: nothing is announced until it is confirmed"
        );
        self.is_muted = true;
        self.tell(Event::Paused { gap });
    }

    fn is_busy(&self) -> bool {
        self.wanted.values().any(|wanted| wanted.is_announced || !wanted.probing.is_empty())
    }

    fn obey(&mut self, now: Moment, command: Command) {
        match command {
            Command::Watch { address, interfaces } => self.watch(now, address, interfaces),
            Command::Forget { address } => self.forget(now, address),
            Command::Announce { address, tell } => self.announce(now, address, tell),
            Command::Withdraw { address } => self.withdraw(address),
            Command::Probe { address, thoroughness } => self.probe(now, address, thoroughness),
            Command::Defend { address } => self.ports.all().for_each(|(_, port)| port.defend(now, address)),
            Command::Ask { link, address } => self.ports.get(link).into_iter().for_each(|port| port.ask(address)),
            Command::Confirm => self.confirm(),
        }
    }

    fn watch(&mut self, now: Moment, address: IpAddr, interfaces: Interfaces) {
        let wanted = self.wanted.entry(address).or_insert_with(|| Wanted {
            interfaces: Interfaces::All,
            placement: None,
            counters: self.statistics.of(address),
            refresh: self.settings.refresh.map(interval),
            is_announced: false,
            probing: BTreeSet::new(),
            is_free_somewhere: false,
        });
        if wanted.placement.is_none() || wanted.interfaces != interfaces {
            wanted.interfaces = interfaces;
            self.settle(now);
        }
    }

    fn forget(&mut self, now: Moment, address: IpAddr) {
        self.withdraw(address);
        if self.wanted.remove(&address).is_some() {
            self.settle(now);
        }
    }

    fn announce(&mut self, now: Moment, address: IpAddr, tell: Tell) {
        let Some(wanted) = self.wanted.get_mut(&address) else {
            tracing::warn!(%address, "an address that isn't watched can't be announced");
            return;
        };
        let is_news = !std::mem::replace(&mut wanted.is_announced, true);
        for link in wanted.links() {
            let Some(port) = self.ports.get(link) else { continue };
            match tell {
                Tell::Again if !is_news => port.tell_again(now, address),
                _ => port.announce(now, address, wanted.announce(tell != Tell::Nobody)),
            }
        }
    }

    fn withdraw(&mut self, address: IpAddr) {
        if let Some(wanted) = self.wanted.get_mut(&address) {
            wanted.is_announced = false;
            wanted.probing.clear();
        }
        self.ports.withdraw(address);
    }

    fn probe(&mut self, now: Moment, address: IpAddr, thoroughness: Thoroughness) {
        let Some(wanted) = self.wanted.get_mut(&address).filter(|wanted| !wanted.links().is_empty()) else {
            self.tell(Event::Probed { address, outcome: Outcome::Undecided });
            return;
        };
        wanted.begin_probes();
        for link in wanted.links() {
            if let Some(port) = self.ports.get(link) {
                port.probe(now, address, thoroughness);
            }
        }
    }

    fn confirm(&mut self) {
        self.ports.discard();
        self.is_muted = false;
    }

    fn follow(&mut self, now: Moment, told: Result<bool, WatchError>) {
        match told {
            Ok(true) => self.news_of_links(now),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "links are not followed, which is tried again");
                self.watch = None;
            }
        }
    }

    fn news_of_links(&mut self, now: Moment) {
        self.show.send_replace(Arc::new(self.links.clone()));
        self.settle(now);
    }

    fn receive(&mut self, now: Moment, link: u32, length: usize) {
        if !self.is_muted {
            self.ports.receive(now, link, length);
        }
    }

    fn give_up(&mut self, now: Moment, link: u32, error: &SocketError) {
        self.ports.fail(link, error);
        self.settle_placements(now);
    }

    async fn try_again(&mut self, now: Moment) {
        if now < self.again {
            return;
        }
        self.again = now + AGAIN;
        if self.watch.is_none() {
            self.watch = Watch::open(&mut self.links).await.ok();
            self.news_of_links(now);
        } else if self.ports.has_failed() {
            self.settle(now);
        }
    }

    /// Opens and closes links as they are now, and has every address where it may be.
    fn settle(&mut self, now: Moment) {
        let places = |(address, wanted): (&IpAddr, &Wanted)| self.links.place(*address, &wanted.interfaces).places;
        let needed = self.wanted.iter().flat_map(places).map(|place| place.index).collect();
        self.ports.keep(&needed, &self.links, &self.settings.responder, now);
        self.settle_placements(now);
    }

    fn settle_placements(&mut self, now: Moment) {
        let mut told = Vec::new();
        for (address, wanted) in &mut self.wanted {
            let placement = self.ports.usable(self.links.place(*address, &wanted.interfaces));
            if wanted.placement.as_ref() != Some(&placement) {
                wanted.placement = Some(placement.clone());
                told.push(Event::Links { address: *address, placement });
            }
            told.extend(move_to_its_links(&mut self.ports, now, *address, wanted));
        }
        told.into_iter().for_each(|event| self.tell(event));
    }

    /// Sends what is to be sent and tells what has happened, on all links.
    fn send(&mut self) {
        let now = now();
        if !self.is_muted {
            self.ports.catch_up(now);
        }
        let mut happened = Vec::new();
        for (link, port) in self.ports.all() {
            if !self.is_muted {
                port.send(now);
            }
            happened.extend(std::iter::from_fn(|| port.next_event()).map(|event| (link, event)));
        }
        for (link, event) in happened {
            self.happened(link, event);
        }
    }

    fn happened(&mut self, link: u32, event: responder::Event) {
        match event {
            responder::Event::Conflict { address, mac } => self.tell(Event::Conflict { address, link, mac }),
            responder::Event::Answered { address } => self.tell(Event::Answered { link, address }),
            responder::Event::Probed { address, outcome } => {
                if let Some(port) = self.ports.get(link) {
                    port.settle_group(address);
                }
                self.probed(link, address, outcome);
            }
        }
    }

    fn probed(&mut self, link: u32, address: IpAddr, outcome: Outcome) {
        let Some(outcome) = self.wanted.get_mut(&address).and_then(|wanted| wanted.probed(link, outcome)) else {
            return;
        };
        // One that is taken on one link needs no asking on the others.
        self.ports.all().for_each(|(_, port)| port.end_probe(address));
        self.tell(Event::Probed { address, outcome });
    }

    fn tell(&self, event: Event) {
        // Nobody who listens is nobody who wants to know.
        let _ = self.events.send(event);
    }
}

/// Has an address on the links where it may be, and on no others. A probe on a link that is lost tells nothing.
fn move_to_its_links(ports: &mut Ports, now: Moment, address: IpAddr, wanted: &mut Wanted) -> Option<Event> {
    let links: BTreeSet<u32> = wanted.links().into_iter().collect();
    for (link, port) in ports.all() {
        match (links.contains(&link), wanted.is_announced) {
            (true, true) => port.announce(now, address, wanted.announce(true)),
            (true, false) => {}
            (false, _) => port.withdraw(address),
        }
    }
    let lost: Vec<u32> = wanted.probing.difference(&links).copied().collect();
    let outcome = lost.into_iter().filter_map(|link| wanted.probed(link, Outcome::Undecided)).last()?;
    Some(Event::Probed { address, outcome })
}

fn interval(refresh: Refresh) -> Duration {
    let spread = refresh.at_most.saturating_sub(refresh.at_least);
    refresh.at_least + spread.mul_f64(rand::random::<f64>())
}
