//! One schedule: some nodes, some addresses, and a few disturbances, one after the other; what must hold is asserted after
//! each.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use postern_l2announce::{
    election::{Input, Profile},
    heartbeat::Readiness,
};

use crate::world::{MILLI, SECOND, Time, World, address};

/// Cause → how long nobody answered, in microseconds.
pub(crate) type Outages = BTreeMap<&'static str, Vec<u64>>;

/// A probe and the way of a frame and of a late timer.
const PROBE: Time = 70 * MILLI;

struct Schedule {
    world: World,
    count: usize,
    outages: Outages,
    profile_name: &'static str,
}

/// Runs the schedule of `seed`.
pub(crate) fn run(seed: u64) -> Outages {
    let mut schedule = Schedule::begin(seed);
    let disturbances = schedule.world.random.between(1, 3);
    for _ in 0..disturbances {
        schedule.disturb();
        schedule.view();
    }
    schedule.outages
}

fn micros(duration: Duration) -> Time {
    Time::try_from(duration.as_micros()).expect("short")
}

impl Schedule {
    fn begin(seed: u64) -> Self {
        let mut world = World::new(seed, 0, Profile::DEFAULT);
        let nodes = usize::try_from(world.random.between(1, 5)).expect("few");
        let count = usize::try_from(world.random.between(1, 3)).expect("few");
        let (profile, profile_name) = match world.random.index(4) {
            0 => (Profile::FAST, "fast"),
            1 => (Profile::ADAPTIVE, "adaptive"),
            _ => (Profile::DEFAULT, "default"),
        };
        let chance = world.random.next();
        world = World::new(chance, nodes, profile);
        world.gateway = (chance % 5 < 2).then_some(true);
        world.uses_codec = seed.is_multiple_of(16);
        world.delay = if chance.is_multiple_of(4) { 5 * MILLI } else { MILLI };
        let pairs = chance.is_multiple_of(3);
        world.announcements = World::announce_all(count, nodes, &[], pairs).into();
        let mut schedule = Self { world, count, outages: Outages::new(), profile_name };
        schedule.start(chance);
        schedule
    }

    /// One in eight begins with addresses that nobody has ever used.
    fn start(&mut self, chance: u64) {
        let is_fresh = chance % 8 == 1;
        if !is_fresh {
            self.world.remember(self.count);
        }
        for index in 0..self.world.nodes.len() {
            self.world.start(index);
            let pause = self.world.random.between(0, 300 * MILLI);
            self.world.run(pause);
        }
        let settle = self.listening() + 4 * self.beat() + PROBE + if is_fresh { 8 * SECOND } else { 0 };
        self.world.run(settle);
        self.assert_owned("after the start");
    }

    fn beat(&self) -> Time {
        micros(self.world.profile.beat)
    }

    fn listening(&self) -> Time {
        micros(self.world.profile.listening())
    }

    /// How long a silent node may count as there.
    fn timeout(&self) -> Time {
        u64::from(self.world.profile.patience.unwrap_or(self.world.profile.misses)) * self.beat()
    }

    /// Within which a lost owner is replaced: the timeout, a turn of two beats for each of those before, and the probe.
    fn takeover(&self) -> Time {
        self.timeout() + PROBE + 2 * self.beat()
    }

    fn node(&mut self) -> usize {
        let count = self.world.nodes.len();
        self.world.random.index(count)
    }

    fn owner(&self, address: IpAddr) -> Option<usize> {
        self.world.owners(0, address).first().copied()
    }

    fn owners(&self) -> Vec<Vec<usize>> {
        (0..self.count).map(|index| self.world.owners(0, address(index))).collect()
    }

    fn assert_owned(&self, when: &str) {
        for index in 0..self.count {
            let owners = self.world.owners(0, address(index));
            assert_eq!(owners.len(), 1, "{when}: {} is owned by {owners:?} at {} us", address(index), self.world.now);
        }
    }

    fn assert_all_owned_on(&self, side: u8, when: &str) {
        for index in 0..self.count {
            let owners = self.world.owners(side, address(index));
            assert_eq!(owners.len(), 1, "{when}: {} is owned by {owners:?} on side {side}", address(index));
        }
    }

    /// Two may answer while an address is handed over, as long as a heartbeat is under way or lost.
    fn assert_doubles(&mut self, most: Time, when: &str) {
        self.world.watch_doubles();
        let standing = self.world.doubles.values().map(|since| self.world.now - since).max().unwrap_or(0);
        let longest = standing.max(self.world.longest_double);
        assert!(longest <= most, "{when}: two answered for {longest} us");
        self.world.longest_double = 0;
    }

    fn view(&mut self) {
        let now = postern_l2announce::Moment::new(Duration::from_micros(self.world.now));
        for node in &mut self.world.nodes {
            let Some(election) = &mut node.election else { continue };
            for shown in election.view(now).values() {
                let _text: Vec<String> = shown.others.values().map(ToString::to_string).collect();
            }
        }
    }

    /// What is announced from `since` on, after what was owned by `node`.
    fn note_outages(&mut self, cause: &'static str, node: usize, owned: &[IpAddr], since: Time) {
        for address in owned {
            let begun = self.world.begun.iter();
            let next =
                begun.filter(|(at, by, of)| *at >= since && *by != node && of == address).map(|(at, ..)| *at).min();
            if let Some(at) = next {
                self.outages.entry(cause).or_default().push(at - since);
            }
        }
    }

    fn cause(&self, what: &'static str) -> &'static str {
        match (what, self.profile_name) {
            ("crash", "default") => "crash, default profile",
            ("crash", "fast") => "crash, fast profile",
            ("crash", _) => "crash, adaptive profile",
            ("pause", "default") => "pause, default profile",
            ("pause", "fast") => "pause, fast profile",
            ("pause", _) => "pause, adaptive profile",
            (what, _) => what,
        }
    }

    fn owned_by(&self, node: usize) -> Vec<IpAddr> {
        self.world.nodes[node].answers.iter().copied().collect()
    }

    // === disturbances

    fn disturb(&mut self) {
        let pause = self.world.random.between(0, 400 * MILLI);
        self.world.run(pause);
        let kind = self.world.random.index(15);
        self.world.say(|| format!("disturbance {kind}"));
        match kind {
            0 => self.crash_and_return(),
            1 => self.pause_and_resume(),
            2 => self.link_down_and_up(),
            3 => self.mute(false),
            4 => self.mute(true),
            5 => self.partition_and_heal(),
            6 => self.drain_and_return(),
            7 => self.unserve(),
            8 => self.lose(),
            9 => self.change_announcements(),
            10 => self.restart_at_once(),
            11 => self.foreign(),
            12 => self.isolate(),
            13 => self.lose_gateway(),
            _ => self.everything_at_once(),
        }
    }

    fn is_alone(&self) -> bool {
        self.world.nodes.len() == 1
    }

    fn crash_and_return(&mut self) {
        let node = self.node();
        let (owned, since) = (self.owned_by(node), self.world.now);
        self.world.crash(node);
        let bound = self.takeover();
        self.world.run(bound);
        if !self.is_alone() {
            self.assert_owned("after a crash");
            let cause = self.cause("crash");
            self.note_outages(cause, node, &owned, since);
        }
        self.returns(node);
    }

    /// A node that comes (back) moves nothing.
    fn returns(&mut self, node: usize) {
        let before = self.owners();
        self.world.start(node);
        let settle = self.listening() + 4 * self.beat() + PROBE;
        self.world.run(settle);
        if !self.is_alone() {
            assert_eq!(self.owners(), before, "a node that comes back moves nothing");
        }
        self.assert_owned("after a return");
        self.assert_doubles(20 * MILLI, "after a return");
    }

    fn pause_and_resume(&mut self) {
        let node = self.node();
        let (owned, since) = (self.owned_by(node), self.world.now);
        self.world.pause(node);
        let time = self.world.random.between(50 * MILLI, 6 * SECOND);
        self.world.run(time);
        let begun = self.world.begun.len();
        self.world.resume(node);
        if time > 2 * self.beat() + 400 * MILLI && !self.is_alone() {
            assert!(self.world.nodes[node].answers.is_empty(), "a paused node answers for nothing when it goes on");
            assert_eq!(self.world.begun.len(), begun, "and announces nothing");
        }
        let settle = self.takeover() + self.listening();
        self.world.run(settle);
        self.assert_owned("after a pause");
        if time > self.takeover() {
            let cause = self.cause("pause");
            self.note_outages(cause, node, &owned, since);
        }
        self.assert_doubles(20 * MILLI, "after a pause");
    }

    fn link_down_and_up(&mut self) {
        let node = self.node();
        let (owned, since) = (self.owned_by(node), self.world.now);
        self.world.nodes[node].link_is_up = false;
        self.world.localise(node);
        assert!(self.world.nodes[node].answers.is_empty(), "nothing is answered for without a link");
        let bound = self.takeover();
        self.world.run(bound);
        if !self.is_alone() {
            self.assert_owned("after a link went down");
            self.note_outages("link down, its only one", node, &owned, since);
        }
        self.world.nodes[node].link_is_up = true;
        let before = self.owners();
        self.world.localise(node);
        let settle = self.listening() + 4 * self.beat() + PROBE;
        self.world.run(settle);
        if !self.is_alone() {
            assert_eq!(self.owners(), before, "a link that comes back moves nothing");
        }
        self.assert_owned("after a link came back");
    }

    /// Heartbeats are cut, one way or both; the owner is well and answers, so nobody takes anything.
    fn mute(&mut self, both: bool) {
        let (from, to) = (self.node(), self.node());
        if from == to {
            return;
        }
        let before = self.owners();
        let begun = self.world.begun.len();
        self.world.mute.insert((from, to));
        if both {
            self.world.mute.insert((to, from));
        }
        let time = self.world.random.between(SECOND, 8 * SECOND);
        self.world.run(time);
        assert_eq!(self.owners(), before, "heartbeats that are not heard move nothing");
        assert_eq!(self.world.begun.len(), begun, "and nobody else announces meanwhile");
        self.lose_owner_while_muted(from, to);
        self.world.mute.clear();
        let settle = self.takeover() + self.listening();
        self.world.run(settle);
        self.assert_owned("after heartbeats are heard again");
    }

    /// Whoever does not hear the owner asks the segment again and again, and takes over when it is gone.
    fn lose_owner_while_muted(&mut self, from: usize, to: usize) {
        if self.world.nodes.len() != 2 || self.world.random.happens(500) {
            return;
        }
        let owned = self.owned_by(from);
        self.world.crash(from);
        let bound = 2 * self.timeout() + self.takeover();
        self.world.run(bound);
        for address in owned {
            assert_eq!(self.world.owners(0, address), [to], "an owner that was not heard is replaced");
        }
        self.returns(from);
    }

    /// Whether so many nodes of a side must not answer: one alone, without the gateway.
    fn is_cut_off(&self, side: u8) -> bool {
        let count = self.world.nodes.iter().filter(|node| node.side == side).count();
        self.world.gateway.is_some() && side == 1 && count == 1 && !self.is_alone()
    }

    /// A gateway that has never answered a node does not count for it.
    fn know_gateway(&mut self) {
        let end = self.world.now + 40 * SECOND;
        while self.world.gateway.is_some() && !self.world.nodes.iter().all(|node| node.has_gateway) && !self.is_alone()
        {
            assert!(self.world.now < end, "the gateway is asked again until it answers");
            self.world.run(SECOND);
        }
    }

    /// One node is cut off from everything, the gateway too, though its link stays up.
    fn isolate(&mut self) {
        if self.world.gateway.is_none() || self.is_alone() {
            return;
        }
        self.know_gateway();
        let node = self.node();
        let (owned, since, begun) = (self.owned_by(node), self.world.now, self.world.begun.len());
        self.world.nodes[node].side = 1;
        let bound = self.takeover();
        self.world.run(bound);
        self.assert_owned("on the side of the gateway");
        self.note_outages("cut off, carrier up", node, &owned, since);
        let rest = self.world.random.between(0, 20 * SECOND);
        self.world.run(rest);
        assert!(self.world.nodes[node].answers.is_empty(), "a node that is cut off answers for nothing");
        assert!(self.world.begun.iter().skip(begun).all(|(_, by, _)| *by != node), "and claims nothing");
        let before = self.owners();
        self.world.nodes[node].side = 0;
        self.world.watch_doubles();
        let settle = self.listening() + 4 * self.beat() + PROBE;
        self.world.run(settle);
        assert_eq!(self.owners(), before, "who is heard again moves nothing");
        self.world.longest_double = 0;
    }

    /// Nothing moves as long as nodes hear each other; the last one that hears nobody waits for the gateway.
    fn lose_gateway(&mut self) {
        if self.world.gateway.is_none() || self.is_alone() {
            return;
        }
        self.know_gateway();
        let (before, begun) = (self.owners(), self.world.begun.len());
        self.world.gateway = Some(false);
        let time = self.world.random.between(SECOND, 8 * SECOND);
        self.world.run(time);
        assert_eq!((self.owners(), self.world.begun.len()), (before, begun), "nodes that hear each other go on");
        let node = self.node();
        self.world.crash(node);
        let bound = self.takeover() + self.beat();
        self.world.run(bound);
        if self.world.nodes.len() > 2 {
            self.assert_owned("after a crash without a gateway");
        } else {
            assert!(self.world.nodes.iter().all(|node| node.answers.is_empty()), "it may be the one that was cut off");
        }
        self.world.gateway = Some(true);
        let soon = 2 * self.beat() + PROBE;
        self.world.run(soon);
        self.assert_owned("when the gateway answers again");
        self.returns(node);
    }

    fn partition_and_heal(&mut self) {
        self.know_gateway();
        let before = self.owners();
        for index in 0..self.world.nodes.len() {
            self.world.nodes[index].side = u8::from(self.world.random.happens(500));
        }
        let sides: Vec<u8> = (0..2).filter(|side| self.world.nodes.iter().any(|node| node.side == *side)).collect();
        let bound = self.takeover();
        self.world.run(bound);
        for side in &sides {
            if !self.is_cut_off(*side) {
                self.assert_all_owned_on(*side, "in a partition");
            }
        }
        let rest = self.world.random.between(0, 5 * SECOND);
        self.world.run(rest);
        for index in (0..self.count).filter(|_| self.is_cut_off(1)) {
            assert!(self.world.owners(1, address(index)).is_empty(), "one that is cut off answers for nothing");
        }
        self.world.longest_double = 0;
        let said = self.world.said.clone();
        let disputed: Vec<IpAddr> = (0..self.count)
            .map(address)
            .filter(|address| sides.iter().filter(|side| !self.world.owners(**side, *address).is_empty()).count() > 1)
            .collect();
        self.world.nodes.iter_mut().for_each(|node| node.side = 0);
        self.world.watch_doubles();
        self.world.run(SECOND);
        self.assert_owned("a second after a partition healed");
        self.assert_doubles(SECOND, "after a partition healed");
        for address in disputed {
            let owner = self.owner(address).expect("it is owned");
            let times = |said: &BTreeMap<(usize, IpAddr), u64>| said.get(&(owner, address)).copied().unwrap_or(0);
            assert!(times(&self.world.said) > times(&said), "the winner says so, for clients know the loser still");
        }
        if sides.len() < 2 {
            assert_eq!(self.owners(), before, "without a cut nothing moves");
        }
    }

    fn drain_and_return(&mut self) {
        let node = self.node();
        let (owned, since) = (self.owned_by(node), self.world.now);
        self.world.nodes[node].readiness =
            [Readiness::Draining, Readiness::Excluded, Readiness::Leaving][self.world.random.index(3)];
        self.world.localise(node);
        // What is to be prepared that never is, is waited for.
        let bound = SECOND + 20 * MILLI;
        self.world.run(bound);
        self.assert_owned("after a drain");
        if !self.is_alone() {
            assert!(self.world.nodes[node].answers.is_empty(), "a drained node has given everything away");
            self.note_outages("drain (nobody is without an answer)", node, &owned, since);
        }
        self.assert_doubles(20 * MILLI, "after a drain");
        let before = self.owners();
        self.world.nodes[node].readiness = Readiness::Ready;
        self.world.localise(node);
        let settle = self.listening() + 4 * self.beat();
        self.world.run(settle);
        assert_eq!(self.owners(), before, "a node that is ready again moves nothing");
    }

    fn unserve(&mut self) {
        let node = self.node();
        let (owned, since) = (self.owned_by(node), self.world.now);
        self.world.nodes[node].unserved = true;
        self.world.localise(node);
        assert!(self.world.nodes[node].answers.is_empty(), "nothing is answered for that is not served");
        self.world.run(20 * MILLI);
        if !self.is_alone() {
            self.assert_owned("after a data plane failed");
            self.note_outages("data plane down, link up", node, &owned, since);
        }
        let rest = self.world.random.between(0, 8 * SECOND);
        self.world.run(rest);
        let before = self.owners();
        self.world.nodes[node].unserved = false;
        self.world.localise(node);
        let settle = self.listening() + 4 * self.beat() + PROBE;
        self.world.run(settle);
        if !self.is_alone() {
            assert_eq!(self.owners(), before, "a data plane that is back moves nothing");
        }
        self.assert_owned("after a data plane came back");
    }

    /// Loss may move addresses, and may lead to two owners for a moment. When it is over, all is well again.
    fn lose(&mut self) {
        self.world.loss = self.world.random.between(50, 400);
        self.world.delay = self.world.random.between(5 * MILLI, 300 * MILLI);
        let time = self.world.random.between(SECOND, 6 * SECOND);
        self.world.run(time);
        self.world.loss = 0;
        self.world.delay = MILLI;
        let settle = self.recovery();
        self.world.run(settle);
        self.assert_owned("after loss");
        self.world.longest_double = 0;
    }

    /// From the worst: timeouts at their ceiling, a pause between two probes at its longest.
    fn recovery(&self) -> Time {
        4 * self.timeout() + self.listening() + 4 * self.beat() + PROBE
    }

    fn change_announcements(&mut self) {
        let nodes = self.world.nodes.len();
        let weights: Vec<u32> =
            (0..nodes).map(|_| u32::try_from(self.world.random.next() % 3).expect("small")).collect();
        let mut announcements = World::announce_all(self.count, nodes, &weights, false);
        let excluded = self.node();
        if !self.is_alone() {
            let name = self.world.nodes[excluded].name.clone();
            announcements.values_mut().for_each(|announcement| drop(announcement.candidates.remove(&name)));
        }
        self.world.tell(announcements, 2 * SECOND);
        self.world.run(2 * SECOND + 8 * SECOND);
        let settle = self.takeover() + self.listening();
        self.world.run(settle);
        self.assert_owned("after announcements changed");
        if !self.is_alone() {
            assert!(self.world.nodes[excluded].answers.is_empty(), "who is no candidate owns nothing");
        }
        self.world.run(12 * SECOND);
        let heaviest = (0..nodes).filter(|node| self.is_alone() || *node != excluded).map(|node| weights[node]).max();
        for index in 0..self.count {
            let owner = self.owner(address(index)).expect("it is owned");
            assert_eq!(Some(weights[owner]), heaviest, "the preferred own");
        }
        self.assert_doubles(SECOND, "after announcements changed");
        let plain = World::announce_all(self.count, nodes, &[], false);
        let before = self.owners();
        self.world.tell(plain, 500 * MILLI);
        self.world.run(4 * SECOND);
        assert_eq!(self.owners(), before, "preference that ends moves nothing");
    }

    /// kill -9, and a supervisor that is quicker than the timeout.
    fn restart_at_once(&mut self) {
        let node = self.node();
        let (owned, since) = (self.owned_by(node), self.world.now);
        self.world.crash(node);
        let pause = self.world.random.between(5 * MILLI, 300 * MILLI);
        self.world.run(pause);
        self.world.start(node);
        let settle = self.takeover() + self.listening() + 4 * self.beat();
        self.world.run(settle);
        self.assert_owned("after a restart");
        if !self.is_alone() {
            self.note_outages("killed and restarted at once", node, &owned, since);
        }
        self.assert_doubles(20 * MILLI, "after a restart");
    }

    /// A strange device has an address that nobody has used yet: it is never announced.
    fn foreign(&mut self) {
        let address = address(self.count);
        self.world.foreign.insert(address);
        let nodes = self.world.nodes.len();
        let announcements = World::announce_all(self.count + 1, nodes, &[], false);
        let before = self.owners();
        let begun = self.world.begun.len();
        self.world.tell(announcements, 500 * MILLI);
        self.world.run(12 * SECOND);
        assert!(
            self.world.begun.iter().skip(begun).all(|(.., of)| *of != address),
            "a stranger's address is not announced"
        );
        assert_eq!(self.owners(), before, "and the others stay where they are");
        self.world.foreign.remove(&address);
        self.world.run(80 * SECOND);
        assert_eq!(self.world.owners(0, address).len(), 1, "an address that became free is announced");
        let announcements = World::announce_all(self.count, nodes, &[], false);
        self.world.tell(announcements, 500 * MILLI);
        self.world.run(SECOND);
        assert_eq!(self.world.owners(0, address).len(), 0, "what is not announced any more is withdrawn");
    }

    fn everything_at_once(&mut self) {
        for _ in 0..self.world.random.between(2, 5) {
            let node = self.node();
            match self.world.random.index(6) {
                0 if self.world.nodes[node].election.is_some() => self.world.crash(node),
                1 => self.world.pause(node),
                2 => {
                    self.world.nodes[node].link_is_up = false;
                    self.world.localise(node);
                }
                3 => self.world.nodes[node].side = 1,
                4 => self.world.loss = self.world.random.between(0, 300),
                _ => {
                    let other = self.node();
                    self.world.mute.insert((node, other));
                }
            }
            if self.world.random.happens(200) {
                self.world.give(node, Input::Rebalance);
            }
            let pause = self.world.random.between(0, 2 * SECOND);
            self.world.run(pause);
        }
        self.mend();
        let settle = self.recovery() + 2 * self.takeover();
        self.world.run(settle);
        self.assert_owned("after everything at once");
        self.world.longest_double = 0;
    }

    fn mend(&mut self) {
        self.world.loss = 0;
        self.world.mute.clear();
        for index in 0..self.world.nodes.len() {
            self.world.nodes[index].side = 0;
            if self.world.nodes[index].is_paused {
                self.world.resume(index);
            }
            if self.world.nodes[index].election.is_none() {
                self.world.nodes[index].link_is_up = true;
                self.world.start(index);
            } else if !self.world.nodes[index].link_is_up {
                self.world.nodes[index].link_is_up = true;
                self.world.localise(index);
            }
        }
        self.world.watch_doubles();
    }
}
