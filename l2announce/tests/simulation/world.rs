//! A virtual segment: nodes with real elections on it, a clock that jumps from event to event, and a network that loses,
//! delays, doubles and cuts.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use pnet_base::MacAddr;
use postern_l2announce::{
    Announcement, Announcements, Candidate, Interfaces, Moment, NodeName, Purpose,
    election::{
        Election, Gateway, Gateways, Hindrance, Input, Local, Order, Outcome, Probe, Profile, Remembered, Start,
    },
    heartbeat::{Claims, Heard, Inbox, Installation, Keys, LinkId, Outbox, Readiness, Refusal, Speaker},
};

use crate::random::Random;

/// Microseconds.
pub(crate) type Time = u64;
pub(crate) const SECOND: Time = 1_000_000;
pub(crate) const MILLI: Time = 1_000;

const LINK: LinkId = 2;
const GATEWAY: Gateway = (LINK, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254)));
pub(crate) const FOREIGN: MacAddr = MacAddr(6, 6, 6, 6, 6, 6);

/// One machine.
pub(crate) struct Node {
    pub(crate) name: NodeName,
    pub(crate) mac: MacAddr,
    pub(crate) election: Option<Election>,
    /// What its driver answers for.
    pub(crate) answers: BTreeSet<IpAddr>,
    /// Counts starts.
    pub(crate) boot: u64,
    counter: u64,
    /// Its clock less that of the world.
    offset: Time,
    pub(crate) is_paused: bool,
    waiting: Vec<Event>,
    wake: Time,
    probes: BTreeMap<IpAddr, u64>,
    /// What is kept for the next start.
    memory: BTreeMap<IpAddr, Remembered>,
    pub(crate) link_is_up: bool,
    pub(crate) readiness: Readiness,
    pub(crate) unserved: bool,
    /// Nodes on whose heartbeats it has heard which boot and counter.
    heard: BTreeMap<usize, (u64, u64)>,
    codec: Option<(Outbox, Inbox)>,
    gateways: Gateways,
    /// When any other node was heard last.
    heard_at: Option<Moment>,
    /// What its election knows of the gateway.
    gateway_answers: Option<bool>,
    /// Whether the gateway has answered since it started.
    pub(crate) has_gateway: bool,
    /// Which side of a partition it is on.
    pub(crate) side: u8,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Wake,
    Hear(Said),
    Datagram(Arc<Vec<u8>>),
    Probed { address: IpAddr, id: u64, outcome: Outcome },
    Prepared { address: IpAddr },
    ProbeRound { address: IpAddr, id: u64, left: u8, pause: Time },
    Contested { address: IpAddr, mac: MacAddr },
    Burst { address: IpAddr, left: u8 },
    Gateway,
    Announcements(Arc<Announcements>),
}

#[derive(Clone, Debug)]
pub(crate) struct Said {
    from: usize,
    boot: u64,
    counter: u64,
    beat: Duration,
    readiness: Readiness,
    claims: Arc<Claims>,
}

/// The whole of it.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) random: Random,
    pub(crate) nodes: Vec<Node>,
    pub(crate) profile: Profile,
    queue: BinaryHeap<Reverse<(Time, u64, usize, u64)>>,
    events: BTreeMap<u64, Event>,
    sequence: u64,
    /// Of a thousand frames.
    pub(crate) loss: u64,
    pub(crate) doubled: u64,
    /// Longest delay of a frame.
    pub(crate) delay: Time,
    /// Heartbeats from the first to the second do not arrive; all else does.
    pub(crate) mute: BTreeSet<(usize, usize)>,
    /// Addresses that a strange device answers for.
    pub(crate) foreign: BTreeSet<IpAddr>,
    pub(crate) announcements: Arc<Announcements>,
    /// Every announcing that was begun: when, by whom, of what.
    pub(crate) begun: Vec<(Time, usize, IpAddr)>,
    /// How often each announced what.
    pub(crate) said: BTreeMap<(usize, IpAddr), u64>,
    /// Since when more than one node of a side answers for an address.
    pub(crate) doubles: BTreeMap<(u8, IpAddr), Time>,
    pub(crate) longest_double: Time,
    pub(crate) uses_codec: bool,
    /// Whether the gateway is there, on side 0; nothing where nodes have none.
    pub(crate) gateway: Option<bool>,
    /// Print what is done.
    pub(crate) is_told: bool,
}

pub(crate) fn mac_of(index: usize) -> MacAddr {
    MacAddr(2, 0, 0, 0, 0, u8::try_from(index + 1).expect("few nodes"))
}

pub(crate) fn address(index: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(index + 1).expect("few addresses")])
}

impl World {
    pub(crate) fn new(seed: u64, nodes: usize, profile: Profile) -> Self {
        let mut world = Self {
            now: 0,
            random: Random::new(seed),
            nodes: Vec::new(),
            profile,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            loss: 0,
            doubled: 10,
            delay: MILLI,
            mute: BTreeSet::new(),
            foreign: BTreeSet::new(),
            announcements: Arc::default(),
            begun: Vec::new(),
            said: BTreeMap::new(),
            doubles: BTreeMap::new(),
            longest_double: 0,
            uses_codec: false,
            gateway: None,
            is_told: std::env::var_os("POSTERN_SIMULATION_SEED").is_some(),
        };
        (0..nodes).for_each(|index| world.add(index));
        world
    }

    fn add(&mut self, index: usize) {
        self.nodes.push(Node {
            name: format!("node-{index}").into(),
            mac: mac_of(index),
            election: None,
            answers: BTreeSet::new(),
            boot: 0,
            counter: 0,
            offset: self.random.between(0, 1000 * SECOND),
            is_paused: false,
            waiting: Vec::new(),
            wake: Time::MAX,
            probes: BTreeMap::new(),
            memory: BTreeMap::new(),
            link_is_up: true,
            readiness: Readiness::Ready,
            unserved: false,
            heard: BTreeMap::new(),
            codec: None,
            gateways: Gateways::new(Moment::default(), &self.profile),
            heard_at: None,
            gateway_answers: None,
            has_gateway: false,
            side: 0,
        });
    }

    /// The last start of every node knew `count` addresses, so that no thorough probe is wanted.
    pub(crate) fn remember(&mut self, count: usize) {
        for node in &mut self.nodes {
            let owned = Some(Moment::new(Duration::from_micros(node.offset)));
            node.memory = (0..count).map(|index| (address(index), Remembered { epoch: 3, owned })).collect();
        }
    }

    /// Addresses that every node may own; the first two are elected together where `pairs`.
    pub(crate) fn announce_all(count: usize, nodes: usize, weights: &[u32], pairs: bool) -> Announcements {
        let candidate = |node: usize| {
            let weight = weights.get(node).copied().unwrap_or(0);
            (NodeName::from(format!("node-{node}")), Candidate { weight, interfaces: Interfaces::All })
        };
        let announcement = |index: usize| {
            let elected_as = address(if pairs && index == 1 { 0 } else { index });
            let candidates = (0..nodes).map(candidate).collect();
            (address(index), Announcement { candidates, elected_as, purpose: Purpose::Served })
        };
        (0..count).map(announcement).collect()
    }

    fn push(&mut self, at: Time, node: usize, event: Event) {
        self.sequence += 1;
        let boot = self.nodes[node].boot;
        self.events.insert(self.sequence, event);
        self.queue.push(Reverse((at, self.sequence, node, boot)));
    }

    fn moment(&self, node: usize) -> Moment {
        Moment::new(Duration::from_micros(self.now + self.nodes[node].offset))
    }

    // === what happens to nodes

    pub(crate) fn start(&mut self, index: usize) {
        let announcements = self.announcements.clone();
        let (profile, uses_codec) = (self.profile, self.uses_codec);
        let now = self.moment(index);
        let node = &mut self.nodes[index];
        node.gateways = Gateways::new(now, &profile);
        (node.heard_at, node.gateway_answers, node.has_gateway) = (None, None, false);
        node.boot += 1;
        node.counter = 0;
        node.heard.clear();
        let start = Start { memory: node.memory.clone(), adopt: BTreeSet::new() };
        node.election = Some(Election::new(node.name.clone(), profile, start));
        node.codec = uses_codec.then(|| codec(&node.name, node.boot));
        self.give(index, Input::Announcements(announcements));
        self.localise(index);
    }

    pub(crate) fn crash(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if let Some(election) = node.election.take() {
            node.memory = election.memory();
        }
        node.answers.clear();
        node.probes.clear();
        node.waiting.clear();
        node.is_paused = false;
        node.wake = Time::MAX;
        self.watch_doubles();
    }

    pub(crate) fn pause(&mut self, index: usize) {
        self.nodes[index].is_paused = true;
        self.watch_doubles();
    }

    /// Goes on where it was; what arrived in between is there.
    pub(crate) fn resume(&mut self, index: usize) {
        self.nodes[index].is_paused = false;
        let waiting = std::mem::take(&mut self.nodes[index].waiting);
        if self.random.happens(500) {
            self.poll(index);
        }
        for event in waiting {
            self.happen(index, event);
        }
        self.poll(index);
    }

    pub(crate) fn localise(&mut self, index: usize) {
        self.give(index, Input::Local(self.local(index)));
    }

    fn local(&self, index: usize) -> Local {
        let node = &self.nodes[index];
        let links = if node.link_is_up { BTreeMap::from([(LINK, node.mac)]) } else { BTreeMap::new() };
        let reach = || match (node.link_is_up, node.unserved) {
            (false, _) => Err(Hindrance::Down("eth0".into())),
            (true, true) => Err(Hindrance::Other("the accept loop is stuck".into())),
            (true, false) => Ok(BTreeSet::from([LINK])),
        };
        Local {
            links,
            addresses: (0..8).map(|index| (address(index), reach())).collect(),
            readiness: node.readiness,
            gateway_answers: node.gateway_answers,
        }
    }

    /// Tells each node at its own time, within `spread`.
    pub(crate) fn tell(&mut self, announcements: Announcements, spread: Time) {
        self.announcements = Arc::new(announcements);
        for index in 0..self.nodes.len() {
            let at = self.now + self.random.between(0, spread);
            self.push(at, index, Event::Announcements(self.announcements.clone()));
        }
    }

    pub(crate) fn give(&mut self, index: usize, input: Input) {
        let now = self.moment(index);
        if let Some(election) = &mut self.nodes[index].election {
            election.handle(now, input);
        }
        self.poll(index);
    }

    fn poll(&mut self, index: usize) {
        let now = self.moment(index);
        let asks = self.gateway.is_some() && self.nodes.len() > 1;
        if asks {
            self.tend_gateway(index);
        }
        let offset = self.nodes[index].offset;
        let node = &mut self.nodes[index];
        let Some(election) = &mut node.election else { return };
        let orders = election.poll(now);
        let deadline = election.deadline();
        let gateway = node.gateways.deadline(now, node.heard_at).filter(|_| asks);
        let deadline = gateway.map_or(deadline, |gateway| gateway.min(deadline)).since(Moment::default());
        for order in orders {
            self.obey(index, order);
        }
        let deadline = Time::try_from(deadline.as_micros()).unwrap_or(Time::MAX).saturating_sub(offset);
        let late = self.random.between(0, 2 * MILLI);
        let wake = deadline.max(self.now) + late;
        if wake < self.nodes[index].wake || self.nodes[index].wake <= self.now {
            self.nodes[index].wake = wake;
            self.push(wake, index, Event::Wake);
        }
    }

    /// As the agent does it: before the election is asked what to do.
    fn tend_gateway(&mut self, index: usize) {
        let now = self.moment(index);
        let node = &mut self.nodes[index];
        let links = if node.link_is_up { BTreeSet::from([LINK]) } else { BTreeSet::new() };
        let asks = !node.gateways.poll(now, node.heard_at, &links).is_empty();
        if node.gateways.wants_routes() {
            node.gateways.known(now, [GATEWAY].into());
        }
        let answers = node.gateways.answers(now);
        let is_news = std::mem::replace(&mut node.gateway_answers, answers) != answers;
        let is_near = self.nodes[index].side == 0 && self.gateway == Some(true);
        if asks && is_near && !self.is_lost() && !self.is_lost() {
            let at = self.arrives();
            self.push(at, index, Event::Gateway);
        }
        let local = self.local(index);
        if let Some(election) = self.nodes[index].election.as_mut().filter(|_| is_news) {
            election.handle(now, Input::Local(local));
        }
    }

    fn hear_gateway(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.gateways.heard(GATEWAY);
        node.has_gateway = true;
        self.poll(index);
    }

    /// What happens, where one schedule is run alone.
    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.is_told {
            println!("{:>12} us  {}", self.now, what());
        }
    }

    fn obey(&mut self, index: usize, order: Order) {
        if order != Order::Beat {
            self.say(|| format!("node-{index}: {order:?}"));
        }
        match order {
            Order::Beat => self.beat(index),
            Order::Withdraw { address } => {
                self.nodes[index].answers.remove(&address);
                self.nodes[index].probes.remove(&address);
                self.watch_doubles();
            }
            Order::Announce { address } => {
                if self.nodes[index].answers.insert(address) {
                    self.begun.push((self.now, index, address));
                }
                *self.said.entry((index, address)).or_default() += 1;
                self.watch_doubles();
                self.burst(index, address, 3);
            }
            Order::Defend { .. } => {}
            // Up to what it takes to be told of many flows; now and then it never comes.
            Order::Prepare { address } if self.random.happens(950) => {
                let at = self.now + self.random.between(0, 300 * MILLI);
                self.push(at, index, Event::Prepared { address });
            }
            Order::Prepare { .. } => {}
            Order::Probe { address, probe } => self.begin_probe(index, address, probe),
        }
    }

    // === frames

    fn reaches(&self, from: usize, to: usize) -> bool {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        from.link_is_up && to.link_is_up && from.side == to.side
    }

    fn is_lost(&mut self) -> bool {
        self.random.happens(self.loss)
    }

    fn arrives(&mut self) -> Time {
        self.now + self.random.between(100, self.delay)
    }

    fn beat(&mut self, from: usize) {
        let now = self.nodes[from].mac;
        let node = &mut self.nodes[from];
        let Some(election) = &node.election else { return };
        let content = election.content();
        node.counter += 1;
        let event = match &mut node.codec {
            Some((outbox, _)) => {
                let mut datagrams = outbox.beat(&content, &[vec![now]]).remove(0);
                Event::Datagram(Arc::new(datagrams.remove(0)))
            }
            None => Event::Hear(Said {
                from,
                boot: node.boot,
                counter: node.counter,
                beat: content.beat,
                readiness: content.readiness,
                claims: content.claims,
            }),
        };
        for to in 0..self.nodes.len() {
            if to == from || !self.reaches(from, to) || self.mute.contains(&(from, to)) || self.is_lost() {
                continue;
            }
            let copies = if self.random.happens(self.doubled) { 2 } else { 1 };
            for _ in 0..copies {
                let at = self.arrives();
                self.push(at, to, event.clone());
            }
        }
    }

    fn burst(&mut self, from: usize, address: IpAddr, left: u8) {
        for to in 0..self.nodes.len() {
            if to != from && self.reaches(from, to) && self.nodes[to].answers.contains(&address) && !self.is_lost() {
                let (at, mac) = (self.arrives(), self.nodes[from].mac);
                self.push(at, to, Event::Contested { address, mac });
            }
        }
        if left > 0 {
            self.push(self.now + 1100 * MILLI, from, Event::Burst { address, left: left - 1 });
        }
    }

    fn begin_probe(&mut self, index: usize, address: IpAddr, probe: Probe) {
        self.sequence += 1;
        let id = self.sequence;
        self.nodes[index].probes.insert(address, id);
        let (first, pause) = match probe {
            Probe::Short => (0, 20 * MILLI),
            Probe::Full => (self.random.between(0, SECOND), 1500 * MILLI),
        };
        self.push(self.now + first, index, Event::ProbeRound { address, id, left: 2, pause });
    }

    fn probe_round(&mut self, index: usize, address: IpAddr, id: u64, left: u8, pause: Time) {
        if let Some(mac) = self.answer(index, address) {
            let at = self.arrives();
            self.push(at, index, Event::Probed { address, id, outcome: Outcome::Taken(mac) });
        }
        let next = self.now + pause;
        let event = match left {
            0 => Event::Probed { address, id, outcome: Outcome::Free },
            _ => Event::ProbeRound { address, id, left: left - 1, pause },
        };
        self.push(next, index, event);
    }

    fn answer(&mut self, index: usize, address: IpAddr) -> Option<MacAddr> {
        if !self.nodes[index].link_is_up || self.is_lost() {
            return None;
        }
        let answers = |other: &usize| {
            let node = &self.nodes[*other];
            *other != index && !node.is_paused && node.answers.contains(&address) && self.reaches(index, *other)
        };
        let answer = (0..self.nodes.len()).find(answers).map(|other| self.nodes[other].mac);
        let answer = answer.or_else(|| self.foreign.contains(&address).then_some(FOREIGN));
        answer.filter(|_| !self.is_lost())
    }

    // === time

    /// Lets everything happen until `end`.
    pub(crate) fn run_until(&mut self, end: Time) {
        while let Some(Reverse((at, sequence, node, boot))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            let event = self.events.remove(&sequence).expect("each is queued once");
            self.now = self.now.max(at);
            let is_own = matches!(event, Event::Hear(_) | Event::Datagram(_) | Event::Announcements(_));
            if boot != self.nodes[node].boot && !is_own {
                continue;
            }
            if self.nodes[node].is_paused {
                self.nodes[node].waiting.push(event);
            } else {
                self.happen(node, event);
            }
        }
        self.now = end;
    }

    pub(crate) fn run(&mut self, time: Time) {
        self.run_until(self.now + time);
    }

    fn happen(&mut self, index: usize, event: Event) {
        if self.nodes[index].election.is_none() {
            return;
        }
        match event {
            Event::Wake => self.poll(index),
            Event::Hear(said) => self.hear(index, &said),
            Event::Datagram(bytes) => self.hear_bytes(index, &bytes),
            Event::Announcements(announcements) => self.give(index, Input::Announcements(announcements)),
            Event::Gateway => self.hear_gateway(index),
            Event::Prepared { address } => self.give(index, Input::Prepared { address }),
            Event::Contested { address, mac } => self.give(index, Input::Contested { address, mac }),
            Event::Burst { address, left } if self.nodes[index].answers.contains(&address) => {
                self.burst(index, address, left);
            }
            Event::Burst { .. } => {}
            Event::ProbeRound { address, id, left, pause } if self.nodes[index].probes.get(&address) == Some(&id) => {
                self.probe_round(index, address, id, left, pause);
            }
            Event::Probed { address, id, outcome } if self.nodes[index].probes.get(&address) == Some(&id) => {
                self.nodes[index].probes.remove(&address);
                self.say(|| format!("node-{index}: {address} is {outcome:?}"));
                self.give(index, Input::Probed { address, outcome });
            }
            Event::ProbeRound { .. } | Event::Probed { .. } => {}
        }
    }

    fn hear(&mut self, index: usize, said: &Said) {
        let known = self.nodes[index].heard.get(&said.from).copied();
        let latest = (said.boot, said.counter);
        if known.is_some_and(|known| known >= latest) || !self.nodes[index].link_is_up {
            return;
        }
        self.nodes[index].heard.insert(said.from, latest);
        self.nodes[index].heard_at = Some(self.moment(index));
        let heard = Heard {
            link: LINK,
            node: self.nodes[said.from].name.clone(),
            boot: said.boot,
            readiness: said.readiness,
            beat: said.beat,
            macs: vec![self.nodes[said.from].mac],
            claims: Some(said.claims.clone()),
            is_new: known.is_none_or(|(boot, _)| boot != said.boot),
            knows_us_as: None,
        };
        self.give(index, Input::Heard(heard));
    }

    fn hear_bytes(&mut self, index: usize, bytes: &[u8]) {
        let now = self.moment(index);
        let node = &mut self.nodes[index];
        let Some((outbox, inbox)) = &mut node.codec else { return };
        if !node.link_is_up {
            return;
        }
        match inbox.hear(now, LINK, bytes, outbox.boot()) {
            Ok(Some(heard)) => {
                if heard.is_new {
                    outbox.greet();
                }
                node.heard_at = Some(now);
                self.give(index, Input::Heard(heard));
            }
            Ok(None) | Err(Refusal::Replayed | Refusal::Outdated(_)) => {}
            Err(refusal) => panic!("refused: {refusal}"),
        }
    }

    // === what is seen from outside

    /// The nodes of `side` that answer for `address`.
    pub(crate) fn owners(&self, side: u8, address: IpAddr) -> Vec<usize> {
        let answers = |index: &usize| {
            let node = &self.nodes[*index];
            node.side == side && node.link_is_up && !node.is_paused && node.answers.contains(&address)
        };
        (0..self.nodes.len()).filter(answers).collect()
    }

    pub(crate) fn watch_doubles(&mut self) {
        let addresses: BTreeSet<IpAddr> = self.nodes.iter().flat_map(|node| node.answers.iter().copied()).collect();
        let mut doubles = BTreeMap::new();
        for side in 0..2 {
            for address in &addresses {
                if self.owners(side, *address).len() > 1 {
                    let since = self.doubles.get(&(side, *address)).copied().unwrap_or(self.now);
                    doubles.insert((side, *address), since);
                }
            }
        }
        for (key, since) in &self.doubles {
            if !doubles.contains_key(key) {
                self.longest_double = self.longest_double.max(self.now - since);
            }
        }
        self.doubles = doubles;
    }
}

fn codec(name: &NodeName, boot: u64) -> (Outbox, Inbox) {
    let installation = Installation::named("simulation");
    let keys = Keys::new(&[3; 32], None);
    let speaker = Speaker { node: name.clone(), installation, boot };
    (Outbox::new(speaker, keys.clone()), Inbox::new(name.clone(), installation, keys))
}
