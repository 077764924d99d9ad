//! Who owns which address: a pure core that is told what happens, and says what to do. It sends nothing, reads no clock,
//! and knows no randomness; whoever runs it carries its [`Order`]s out, in their order, and calls [`Election::poll`] at
//! [`Election::deadline`] at the latest.
//!
//! docs/design/0004-election.md has the rules and what follows of them; `group` the state of addresses that are elected
//! together, and `decide` what is done about it.

mod around;
mod conflict;
mod decide;
mod gateway;
mod group;
mod local;
mod order;
mod peer;
mod profile;
mod rank;
mod view;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use pnet_base::MacAddr;

pub use gateway::{Gateway, Gateways};
pub use group::{Conflict, Motive, Takeover};
pub use local::{Hindrance, Local};
pub use order::{Order, Outcome, Probe};
pub use profile::Profile;
pub use view::{AddressView, State, View, WhyNot};

use self::{
    around::{Agenda, Around},
    group::{Group, Holding, Mine},
    peer::{Peer, Peers},
};
use crate::{
    Announcements, Moment, NodeName,
    heartbeat::{Claim, Claimed, Claims, Content, Heard, LinkId},
};

/// A peer that has been silent for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// What is known of an address from before: kept as well as possible, on the node, for the next start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The highest epoch that was heard of.
    pub epoch: u64,
    /// When one of our nodes was last known to own it; nothing if that was before the machine started.
    pub owned: Option<Moment>,
}

/// How an election begins.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// What is known from before.
    pub memory: BTreeMap<IpAddr, Remembered>,
    /// Addresses that a process on this node hands over to this one: owned without asking anybody.
    pub adopt: BTreeSet<IpAddr>,
}

/// Something that has happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// What should be announced, as a whole.
    Announcements(Arc<Announcements>),
    /// What this node can do, as a whole.
    Local(Local),
    /// A heartbeat of another node.
    Heard(Heard),
    /// What a probe that was asked for has found.
    Probed {
        /// Of which address.
        address: IpAddr,
        /// What it found.
        outcome: Outcome,
    },
    /// Everything that was to be prepared for an address is.
    Prepared {
        /// Which.
        address: IpAddr,
    },
    /// Somebody else was seen to answer for an address that this node announces.
    Contested {
        /// Which.
        address: IpAddr,
        /// Who.
        mac: MacAddr,
    },
    /// Restore the balance: move addresses one after the other to the nodes that would own them, had all been there from the
    /// start.
    Rebalance,
    /// Give up everything at once; nothing is taken any more.
    Stop,
}

/// Elects.
#[derive(Debug)]
pub struct Election {
    node: NodeName,
    profile: Profile,
    memory: BTreeMap<IpAddr, Remembered>,
    adopt: BTreeSet<IpAddr>,
    is_told: bool,
    local: Option<Local>,
    /// Since when each link has been listened on.
    links: BTreeMap<LinkId, Moment>,
    peers: Peers,
    groups: BTreeMap<IpAddr, Group>,
    /// Address → what it is elected as.
    keys: BTreeMap<IpAddr, IpAddr>,
    claims: Arc<Claims>,
    orders: Vec<Order>,
    last: Option<Moment>,
    next_beat: Moment,
    next_move: Moment,
    wake: Moment,
    is_changed: bool,
    is_urgent: bool,
    is_rebalancing: bool,
    is_stopped: bool,
    pauses: u64,
}

impl Election {
    /// For `node`. Says nothing before it knows what should be announced and what this node can do.
    pub fn new(node: NodeName, profile: Profile, start: Start) -> Self {
        Self {
            node,
            profile,
            memory: start.memory,
            adopt: start.adopt,
            is_told: false,
            local: None,
            links: BTreeMap::new(),
            peers: Peers::new(),
            groups: BTreeMap::new(),
            keys: BTreeMap::new(),
            claims: Arc::default(),
            orders: Vec::new(),
            last: None,
            next_beat: Moment::default(),
            next_move: Moment::default(),
            wake: Moment::default(),
            is_changed: true,
            is_urgent: false,
            is_rebalancing: false,
            is_stopped: false,
            pauses: 0,
        }
    }

    /// Takes in what has happened. What is to be done about it is said by [`Self::poll`], which must follow at once.
    pub fn handle(&mut self, now: Moment, input: Input) {
        self.notice_pause(now);
        match input {
            Input::Announcements(announcements) => self.announce(now, &announcements),
            Input::Local(local) => self.localise(now, local),
            Input::Heard(heard) => self.hear(now, &heard),
            Input::Probed { address, outcome } => self.probed(now, address, outcome),
            Input::Prepared { address } => {
                self.with_group(now, address, |group, _, _| group.prepared(address));
            }
            Input::Contested { address, mac } => self.contested(now, address, mac),
            Input::Rebalance => (self.is_rebalancing, self.is_changed) = (true, true),
            Input::Stop => (self.is_stopped, self.is_changed) = (true, true),
        }
    }

    /// What is to be done now, in this order.
    pub fn poll(&mut self, now: Moment) -> Vec<Order> {
        self.notice_pause(now);
        if self.is_told && self.local.is_some() {
            if self.is_changed || now >= self.wake {
                self.decide(now);
            }
            self.beat(now);
        }
        std::mem::take(&mut self.orders)
    }

    /// When to poll at the latest.
    pub fn deadline(&self) -> Moment {
        let next = self.wake.min(self.next_beat);
        self.last.map_or(next, |last| next.min(last + self.profile.beat))
    }

    /// What heartbeats should tell.
    pub fn content(&self) -> Content {
        let readiness = self.local.as_ref().map(|local| local.readiness).unwrap_or_default();
        Content { readiness, beat: self.profile.beat, claims: self.claims.clone() }
    }

    /// Whether this node answers for an address.
    pub fn owns_any(&self) -> bool {
        self.groups.values().any(Group::is_announced)
    }

    /// How often this process was found not to have run for longer than it may.
    pub const fn pauses(&self) -> u64 {
        self.pauses
    }

    /// What should be known at the next start.
    pub fn memory(&self) -> BTreeMap<IpAddr, Remembered> {
        let mut memory = self.memory.clone();
        for group in self.groups.values() {
            for address in group.members.keys() {
                let owned = group.lately.get(address).copied();
                memory.insert(*address, Remembered { epoch: group.epoch, owned });
            }
        }
        memory
    }

    /// A process that has not run for a while does not know any more whether it owns anything: it gives up everything before
    /// it does anything else, and begins anew.
    fn notice_pause(&mut self, now: Moment) {
        let last = self.last.replace(now);
        if last.is_none_or(|last| now.since(last) <= self.profile.longest_pause()) {
            return;
        }
        self.pauses += 1;
        let mut agenda = self.agenda(now);
        self.groups.values_mut().for_each(|group| group.release(now, &mut agenda));
        self.orders.extend(agenda.orders);
        self.links.values_mut().for_each(|since| *since = now);
        self.peers.values_mut().for_each(Peer::forget_hearing);
        self.is_changed = true;
    }

    fn agenda(&self, now: Moment) -> Agenda {
        Agenda {
            orders: Vec::new(),
            wake: now + FORGOTTEN,
            next_move: self.next_move,
            is_rebalancing: self.is_rebalancing,
            is_unbalanced: false,
        }
    }

    fn announce(&mut self, now: Moment, announcements: &Announcements) {
        self.memory = self.memory();
        let mut before = std::mem::take(&mut self.groups);
        self.keys.clear();
        for (address, announcement) in announcements {
            let key = announcement.elected_as;
            let found = || before.remove(&key).map(cleared).unwrap_or_else(|| Group::new(key, now));
            let group = self.groups.entry(key).or_insert_with(found);
            group.members.insert(*address, announcement.candidates.clone());
            self.keys.insert(*address, key);
        }
        let mut agenda = self.agenda(now);
        let mut held = BTreeMap::new();
        before.values_mut().for_each(|group| group.members.clear());
        before
            .values_mut()
            .chain(self.groups.values_mut())
            .for_each(|group| group.drop_strangers(&mut held, &mut agenda));
        for group in self.groups.values_mut() {
            group.remember(&self.memory);
            group.go_on(&mut held);
        }
        held.into_keys().for_each(|address| agenda.order(Order::Withdraw { address }));
        self.orders.extend(agenda.orders);
        self.memory.retain(|address, _| !self.keys.contains_key(address));
        (self.is_told, self.is_changed) = (true, true);
    }

    fn localise(&mut self, now: Moment, local: Local) {
        if self.local.as_ref() == Some(&local) {
            return;
        }
        self.links.retain(|link, _| local.links.contains_key(link));
        local.links.keys().for_each(|link| {
            self.links.entry(*link).or_insert(now);
        });
        self.is_urgent |= self.local.as_ref().is_some_and(|before| before.readiness != local.readiness);
        self.local = Some(local);
        self.is_changed = true;
    }

    fn hear(&mut self, now: Moment, heard: &Heard) {
        if heard.node == self.node {
            return;
        }
        let is_unknown = !self.peers.contains_key(&heard.node);
        let peer = self.peers.entry(heard.node.clone()).or_insert_with(|| Peer::new(now, heard));
        self.is_changed |= peer.hear(now, heard, &self.profile) || is_unknown;
        self.is_urgent |= is_unknown || heard.is_new;
    }

    fn probed(&mut self, now: Moment, address: IpAddr, outcome: Outcome) {
        self.with_group(now, address, |group, around, agenda| group.probed(around, address, outcome, agenda));
    }

    fn contested(&mut self, now: Moment, address: IpAddr, mac: MacAddr) {
        self.with_group(now, address, |group, around, agenda| group.contested(around, address, mac, agenda));
    }

    fn with_group(&mut self, now: Moment, address: IpAddr, act: impl FnOnce(&mut Group, &Around<'_>, &mut Agenda)) {
        let mut agenda = self.agenda(now);
        let mut groups = std::mem::take(&mut self.groups);
        let group = self.keys.get(&address).and_then(|key| groups.get_mut(key));
        if let (Some(group), Some(around)) = (group, self.around(now)) {
            act(group, &around, &mut agenda);
        }
        self.groups = groups;
        self.orders.extend(agenda.orders);
        self.is_changed = true;
    }

    fn around(&self, now: Moment) -> Option<Around<'_>> {
        Some(Around {
            now,
            node: &self.node,
            profile: &self.profile,
            peers: &self.peers,
            local: self.local.as_ref()?,
            links: &self.links,
            is_stopped: self.is_stopped,
        })
    }

    fn decide(&mut self, now: Moment) {
        self.peers.retain(|_, peer| now.since(peer.last()) < FORGOTTEN);
        let mut agenda = self.agenda(now);
        let mut groups = std::mem::take(&mut self.groups);
        if let Some(around) = self.around(now) {
            for group in groups.values_mut() {
                group.adopt(&around, &self.adopt, &mut agenda);
                group.decide(&around, &mut agenda);
            }
            around.peers.values().filter_map(|peer| peer.expires(now, &self.profile)).for_each(|at| agenda.wake_at(at));
            let claims = claims(&mut groups, &around, &mut agenda);
            self.tell(claims);
        }
        self.adopt.clear();
        self.groups = groups;
        self.wake = agenda.wake;
        self.next_move = agenda.next_move;
        self.is_rebalancing &= agenda.is_unbalanced || agenda.next_move > now;
        self.orders.extend(agenda.orders);
        self.is_changed = false;
    }

    /// Says at once what is more than an epoch that others know as well.
    fn tell(&mut self, claims: Claims) {
        if claims == *self.claims {
            return;
        }
        let said = |claims: &Claims| {
            let said = claims.iter().map(|(address, claimed)| {
                (*address, claimed.claim, if claimed.claim == Claim::Able { 0 } else { claimed.epoch })
            });
            said.collect::<Vec<_>>()
        };
        self.is_urgent |= said(&claims) != said(&self.claims);
        self.claims = Arc::new(claims);
    }

    /// One heartbeat, if it is time or something is to be told.
    fn beat(&mut self, now: Moment) {
        let is_ordered = self.orders.contains(&Order::Beat);
        self.orders.retain(|order| *order != Order::Beat);
        let is_due = now >= self.next_beat;
        if !is_due && !self.is_urgent && !is_ordered {
            return;
        }
        self.is_urgent = false;
        self.orders.push(Order::Beat);
        let next = self.next_beat + self.profile.beat;
        self.next_beat = if is_due && next > now { next } else { now + self.profile.beat };
    }
}

fn cleared(mut group: Group) -> Group {
    group.members.clear();
    group.forget_scores();
    group
}

/// What this node says of all addresses.
fn claims(groups: &mut BTreeMap<IpAddr, Group>, around: &Around<'_>, agenda: &mut Agenda) -> Claims {
    let mut claims = Claims::new();
    for group in groups.values_mut() {
        let is_able = group.own_standing(around).is_ok();
        let able = group.able(around);
        let given_up = group.given_up.filter(|(_, until)| *until > around.now);
        for address in group.members.keys() {
            let told = match (&group.mine, given_up) {
                (Some(mine), _) if mine.holdings.get(address) == Some(&Holding::Announced) => Some(mine.claimed()),
                (_, Some((claimed, until))) => {
                    agenda.wake_at(until);
                    Some(claimed)
                }
                _ if is_able && able.contains(address) => Some(Claimed { claim: Claim::Able, epoch: group.epoch }),
                _ => None,
            };
            claims.extend(told.map(|claimed| (*address, claimed)));
        }
    }
    claims
}

impl Mine {
    fn claimed(&self) -> Claimed {
        let claim = if self.offer.is_some() { Claim::Offered } else { Claim::Owned };
        Claimed { claim, epoch: self.epoch.unwrap_or(0) }
    }
}

impl Group {
    /// Lets go of addresses that are elected otherwise now, or not announced any more; those that were answered for are
    /// `held`, at their epoch.
    fn drop_strangers(&mut self, held: &mut BTreeMap<IpAddr, u64>, agenda: &mut Agenda) {
        let members = &self.members;
        let Some(mine) = &mut self.mine else { return };
        let epoch = mine.epoch.unwrap_or(0);
        mine.holdings.retain(|address, holding| {
            let is_kept = members.contains_key(address);
            match holding {
                Holding::Announced if !is_kept => drop(held.insert(*address, epoch)),
                _ if !is_kept => agenda.order(Order::Withdraw { address: *address }),
                _ => {}
            }
            is_kept
        });
        if mine.holdings.is_empty() {
            self.mine = None;
        }
        self.lately.retain(|address, _| members.contains_key(address));
    }

    /// Takes over what this node answers for already, as part of another group.
    fn go_on(&mut self, held: &mut BTreeMap<IpAddr, u64>) {
        for address in self.members.keys() {
            let Some(epoch) = held.remove(address) else { continue };
            let new = || Mine { epoch: Some(epoch), holdings: BTreeMap::new(), offer: None };
            let mine = self.mine.get_or_insert_with(new);
            mine.epoch = mine.epoch.max(Some(epoch));
            mine.holdings.insert(*address, Holding::Announced);
        }
    }

    fn remember(&mut self, memory: &BTreeMap<IpAddr, Remembered>) {
        for address in self.members.keys() {
            let Some(remembered) = memory.get(address) else { continue };
            self.epoch = self.epoch.max(remembered.epoch);
            if let Some(owned) = remembered.owned {
                self.lately.insert(*address, owned);
            }
        }
    }

    /// Goes on with what another process on this node owned.
    fn adopt(&mut self, around: &Around<'_>, adopted: &BTreeSet<IpAddr>, agenda: &mut Agenda) {
        let held: BTreeSet<IpAddr> = self.able(around).intersection(adopted).copied().collect();
        if held.is_empty() || self.mine.is_some() {
            return;
        }
        held.iter().for_each(|address| agenda.order(Order::Announce { address: *address }));
        let holdings = held.into_iter().map(|address| (address, Holding::Announced)).collect();
        self.mine = Some(Mine { epoch: Some(self.epoch), holdings, offer: None });
    }
}
