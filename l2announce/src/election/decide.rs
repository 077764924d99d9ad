//! What to do about one group at one moment: the rules.
//!
//! An owner keeps what it has until it must not or another one claims it with more right. Nobody takes what a node that is
//! heard answers for, unless that one offers it; and before anything is taken whose owner has merely fallen silent, the
//! segment is asked, which knows better than heartbeats.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use pnet_base::MacAddr;

use super::{
    around::{Agenda, Around, Rival},
    group::{Conflict, Group, Holding, Mine, Motive, Offer, Retry, Takeover, Vacancy, Vacant},
    order::{Order, Outcome, Probe},
    peer::{Peer, of_mac},
    rank::insistence,
};
use crate::{
    Moment, NodeName,
    heartbeat::{Claim, Claimed, Readiness},
};

/// For so long after somebody owned an address a short probe is enough.
pub(super) const LATELY: Duration = Duration::from_secs(600);
/// How long it is told that an address was given up.
const TOLD: Duration = Duration::from_secs(5);
/// Between two addresses that are moved out of mere preference.
const PACE: Duration = Duration::from_millis(100);
/// After an offer out of preference that nobody took: the others may not have been told yet.
const CONTENT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// An address that a stranger has is tried again after so long, up to so long.
const BLOCKED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// How long a probe may take until it is taken for lost.
const SHORT: Duration = Duration::from_secs(1);
const FULL: Duration = Duration::from_secs(12);
/// How long it may take to prepare for an address that is offered.
const PREPARATION: Duration = Duration::from_secs(1);

impl Probe {
    const fn patience(self) -> Duration {
        match self {
            Self::Short => SHORT,
            Self::Full => FULL,
        }
    }
}

impl Group {
    /// Does what is to be done now.
    pub(super) fn decide(&mut self, around: &Around<'_>, agenda: &mut Agenda) {
        self.learn(around);
        let rival = self.strongest(around);
        if self.is_announced() {
            self.keep(around, rival.as_ref(), agenda);
        }
        if !self.is_announced() {
            self.seek(around, rival.as_ref(), agenda);
        }
        self.note_owner(around, rival);
    }

    /// What others tell of epochs, and of who owns what.
    fn learn(&mut self, around: &Around<'_>) {
        for peer in around.peers.values() {
            let is_heard = peer.is_heard(None, around.now, around.profile);
            for address in self.members.keys() {
                let Some(claimed) = peer.claims.get(address) else { continue };
                self.epoch = self.epoch.max(claimed.epoch);
                if is_heard && (claimed.claim.answers() || claimed.claim.is_given_up()) {
                    self.lately.insert(*address, around.now);
                }
            }
        }
    }

    fn note_owner(&mut self, around: &Around<'_>, rival: Option<Rival>) {
        let owner = if self.is_announced() { Some(around.node.clone()) } else { rival.map(|rival| rival.node) };
        if self.is_announced() {
            let own: Vec<IpAddr> = self.mine.iter().flat_map(Mine::announced).collect();
            self.lately.extend(own.into_iter().map(|address| (address, around.now)));
        }
        if owner.is_some() {
            self.answering = None;
            self.last_owner.clone_from(&owner);
        }
        if owner != self.owner.0 {
            self.owner = (owner, around.now);
        }
    }

    // === of what is ours

    fn keep(&mut self, around: &Around<'_>, rival: Option<&Rival>, agenda: &mut Agenda) {
        let own = (self.own_epoch(), insistence(around.node));
        match rival {
            Some(rival) if rival.strength > own => return self.yield_to(around, rival, agenda),
            Some(rival) if !rival.offers => self.dispute(around, rival, agenda),
            _ => self.follow_up(around, agenda),
        }
        if around.is_stopped || self.fitness(around).is_err() {
            return self.release(around.now, agenda);
        }
        self.catch_up(rival);
        self.drop_lost(around, agenda);
        if self.is_announced() {
            self.offer(around, agenda);
        }
        if self.is_announced() {
            self.extend(around, agenda);
            self.tend(around, agenda);
        }
    }

    /// A higher epoch of an owner that is there no more must not make what we say look old.
    fn catch_up(&mut self, rival: Option<&Rival>) {
        if let Some(mine) = self.mine.as_mut().filter(|_| rival.is_none()) {
            mine.epoch = mine.epoch.max(Some(self.epoch));
        }
    }

    pub(super) fn own_epoch(&self) -> u64 {
        self.mine.as_ref().and_then(|mine| mine.epoch).unwrap_or(0)
    }

    fn yield_to(&mut self, around: &Around<'_>, rival: &Rival, agenda: &mut Agenda) {
        let epoch = self.own_epoch();
        let is_conflict = self.mine.as_ref().is_some_and(|mine| mine.offer.is_none());
        if is_conflict {
            self.note_rival(around, rival);
        }
        self.stand_down(agenda);
        self.retry = None;
        if is_conflict {
            self.say_given_up(Claim::Yielded, epoch, around.now);
        }
    }

    fn note_rival(&mut self, around: &Around<'_>, rival: &Rival) {
        let mac = around.mac_of(&rival.node);
        let address = self.mine.as_ref().and_then(|mine| mine.announced().next());
        if let (Some(mac), Some(address)) = (mac, address) {
            self.conflict = Some(Conflict { at: around.now, address, mac, node: Some(rival.node.clone()) });
        }
    }

    /// Answers a weaker claim once: clients may have learned of it, and its owner may not hear us.
    fn dispute(&mut self, around: &Around<'_>, rival: &Rival, agenda: &mut Agenda) {
        if self.disputed.insert(rival.node.clone(), rival.strength.0) == Some(rival.strength.0) {
            return;
        }
        self.note_rival(around, rival);
        self.say_again(agenda);
    }

    /// One that yielded before we heard of its claim says so: clients may know that one still.
    fn follow_up(&mut self, around: &Around<'_>, agenda: &mut Agenda) {
        let yielded = self.yielded(around);
        let is_news = yielded.iter().any(|(node, epoch)| self.disputed.get(node) != Some(epoch));
        self.disputed = yielded;
        if is_news {
            self.say_again(agenda);
        }
    }

    /// Those that have given it up at an epoch that is not after ours.
    fn yielded(&self, around: &Around<'_>) -> BTreeMap<NodeName, u64> {
        let own = self.own_epoch();
        let yielded = |peer: &Peer| {
            let claimed = self.members.keys().filter_map(|address| peer.claims.get(address));
            let released = claimed.filter(|claimed| claimed.claim.is_given_up() && claimed.epoch <= own);
            released.map(|claimed| claimed.epoch).max()
        };
        let heard = around.peers.iter().filter(|(_, peer)| peer.is_heard(None, around.now, around.profile));
        heard.filter_map(|(node, peer)| Some((node.clone(), yielded(peer)?))).collect()
    }

    fn say_again(&self, agenda: &mut Agenda) {
        self.mine.iter().flat_map(Mine::announced).for_each(|address| agenda.order(Order::Announce { address }));
        agenda.order(Order::Beat);
    }

    /// Withdraws everything, without a word on the segment.
    pub(super) fn stand_down(&mut self, agenda: &mut Agenda) {
        let Some(mine) = self.mine.take() else { return };
        mine.holdings.into_keys().for_each(|address| agenda.order(Order::Withdraw { address }));
        self.disputed.clear();
        self.vacancy = None;
    }

    /// Withdraws everything and tells the others, of whom one takes it.
    pub(super) fn release(&mut self, now: Moment, agenda: &mut Agenda) {
        let epoch = self.mine.as_ref().and_then(|mine| mine.epoch);
        self.stand_down(agenda);
        if let Some(epoch) = epoch {
            self.say_given_up(Claim::Released, epoch, now);
        }
    }

    pub(super) fn say_given_up(&mut self, claim: Claim, epoch: u64, now: Moment) {
        self.given_up = Some((Claimed { claim, epoch }, now + TOLD));
    }

    /// Withdraws those addresses that cannot be announced any more.
    fn drop_lost(&mut self, around: &Around<'_>, agenda: &mut Agenda) {
        let able = self.able(around);
        let is_candidate = self.has_candidate(around.node);
        let reaches = |address: IpAddr| around.local.reach(address).is_ok();
        let is_kept = |address: &IpAddr| able.contains(address) || (!is_candidate && reaches(*address));
        let Some(mine) = &mut self.mine else { return };
        let lost: Vec<IpAddr> = mine.holdings.keys().filter(|address| !is_kept(address)).copied().collect();
        let goes_on = mine.announced().any(|address| is_kept(&address));
        if !goes_on {
            return self.release(around.now, agenda);
        }
        for address in lost {
            mine.holdings.remove(&address);
            agenda.order(Order::Withdraw { address });
        }
    }

    /// Offers the group, or takes the offer back.
    fn offer(&mut self, around: &Around<'_>, agenda: &mut Agenda) {
        let motive = self.motive(around, agenda);
        let standing = self.mine.as_ref().and_then(|mine| mine.offer);
        match (motive, standing) {
            (Some(motive), None) => self.begin_offer(around, motive, agenda),
            (Some(motive), Some(offer)) if offer.motive != motive => self.set_offer(around.now, Some(motive)),
            (Some(Motive::NoCandidate), Some(offer)) => {
                let end = offer.at + PREPARATION + around.profile.timeout();
                if end <= around.now {
                    return self.release(around.now, agenda);
                }
                agenda.wake_at(end);
            }
            (Some(motive), Some(offer)) if motive.is_preference() => {
                let end = offer.at + PREPARATION + around.profile.beat * 3 / 2;
                if end <= around.now {
                    self.set_offer(around.now, None);
                    self.stays = Some(Retry::after(self.stays, around.now, CONTENT.0, CONTENT.1));
                }
                agenda.wake_at(end.max(around.now));
            }
            (None, Some(_)) => self.set_offer(around.now, None),
            _ => {}
        }
    }

    fn begin_offer(&mut self, around: &Around<'_>, motive: Motive, agenda: &mut Agenda) {
        if motive.is_preference() {
            let pace = self.stays_until().max(agenda.next_move);
            if pace > around.now {
                return agenda.wake_at(pace);
            }
            agenda.next_move = around.now + PACE;
        }
        self.set_offer(around.now, Some(motive));
        agenda.wake_at(around.now + around.profile.beat);
    }

    fn stays_until(&self) -> Moment {
        self.stays.map_or_else(Moment::default, |stays| stays.until)
    }

    fn set_offer(&mut self, at: Moment, motive: Option<Motive>) {
        if let Some(mine) = &mut self.mine {
            mine.offer = motive.map(|motive| Offer { at, motive });
        }
    }

    fn motive(&mut self, around: &Around<'_>, agenda: &mut Agenda) -> Option<Motive> {
        if around.local.readiness != Readiness::Ready {
            return Some(Motive::Readiness);
        }
        if !self.has_candidate(around.node) {
            return Some(Motive::NoCandidate);
        }
        let able = self.able(around);
        let class = self.class(around.node, |address| able.contains(&address));
        let score = self.score(around.node);
        let (_, first, steady) = self.first_in_line(around)?;
        let is_heavier = first.class > class;
        let is_better = first.class == class && first.score > score && agenda.is_rebalancing;
        if (is_heavier || is_better) && steady > around.now {
            agenda.wake_at(steady);
            return None;
        }
        agenda.is_unbalanced |= is_better && self.stays_until() <= around.now;
        if is_heavier { Some(Motive::Class) } else { is_better.then_some(Motive::Rebalance) }
    }

    /// Asks about addresses of the group that can be announced since a while.
    fn extend(&mut self, around: &Around<'_>, agenda: &mut Agenda) {
        let able = self.able(around);
        let is_held = |address: &IpAddr| self.mine.as_ref().is_none_or(|mine| mine.holdings.contains_key(address));
        let missing: Vec<IpAddr> = able.into_iter().filter(|address| !is_held(address)).collect();
        for address in missing {
            let probe = self.probe_for(address, around.now);
            self.ask(address, probe, around.now, agenda);
        }
    }

    // === of what is not

    fn seek(&mut self, around: &Around<'_>, rival: Option<&Rival>, agenda: &mut Agenda) {
        if rival.is_some_and(|rival| !rival.offers) {
            self.stand_down(agenda);
            (self.vacancy, self.retry) = (None, None);
            return;
        }
        let vacancy = self.vacate(around, rival);
        let Ok(standing) = self.own_standing(around) else {
            self.wait_to_listen(around, agenda);
            return self.stand_down_from(vacancy, agenda);
        };
        // The answer of the gateway is told at once.
        if around.is_unsure() && self.has_rivals(around.node) {
            return self.stand_down_from(vacancy, agenda);
        }
        self.given_up = self.given_up.filter(|(claimed, _)| claimed.claim == Claim::Yielded);
        let others = self.standings(around);
        let others = others.iter().filter(|(node, _)| rival.is_none_or(|rival| rival.node != *node));
        let is_lighter = others.clone().any(|(_, other)| other.class > standing.class);
        if is_lighter {
            return self.stand_down_from(vacancy, agenda);
        }
        let place = others.filter(|(_, other)| *other > standing).count();
        let turn = vacancy.since + self.pause(around, vacancy.kind, place);
        if self.mine.is_some() && turn > around.now {
            self.stand_down_from(vacancy.clone(), agenda);
        }
        if self.mine.is_some() {
            return self.tend(around, agenda);
        }
        let due = turn.max(self.retry.map_or(turn, |retry| retry.until));
        if due > around.now {
            return agenda.wake_at(due);
        }
        self.take(around, vacancy.kind, agenda);
    }

    fn stand_down_from(&mut self, vacancy: Vacancy, agenda: &mut Agenda) {
        self.stand_down(agenda);
        self.vacancy = Some(vacancy);
    }

    fn wait_to_listen(&self, around: &Around<'_>, agenda: &mut Agenda) {
        if let Some(at) = self.listened_at(around).filter(|at| *at > around.now) {
            agenda.wake_at(at);
        }
    }

    /// Since when nobody owns it, and how that came to be.
    fn vacate(&mut self, around: &Around<'_>, offerer: Option<&Rival>) -> Vacancy {
        let kind = self.vacant(around, offerer);
        match &self.vacancy {
            Some(vacancy) if vacancy.kind == kind => vacancy.clone(),
            _ => {
                let vacancy = Vacancy { since: around.now, kind };
                self.vacancy = Some(vacancy.clone());
                vacancy
            }
        }
    }

    fn vacant(&self, around: &Around<'_>, offerer: Option<&Rival>) -> Vacant {
        if offerer.is_some() {
            return Vacant::Offered;
        }
        let releases = |peer: &Peer| {
            let claimed = self.members.keys().filter_map(|address| peer.claims.get(address));
            let mut claimed = claimed.filter(|claimed| claimed.claim == Claim::Released);
            claimed.any(|claimed| claimed.epoch >= self.epoch) && peer.is_heard(None, around.now, around.profile)
        };
        if around.peers.values().any(releases) {
            return Vacant::Released;
        }
        let is_recent = self.lately.values().any(|at| around.now.since(*at) < LATELY);
        if is_recent { Vacant::Lately } else { Vacant::Never }
    }

    /// How long the `place`th in line waits: those before it may not be there, or not know what it knows.
    fn pause(&self, around: &Around<'_>, kind: Vacant, place: usize) -> Duration {
        let beat = around.profile.beat;
        let knows_nobody = around.peers.is_empty() && self.has_rivals(around.node);
        let (first, step) = match kind {
            Vacant::Offered => (Duration::ZERO, PREPARATION + beat * 2),
            Vacant::Released => (Duration::ZERO, beat * 2),
            Vacant::Lately if knows_nobody => (beat * 2, beat * 2),
            Vacant::Lately => (Duration::ZERO, beat * 2),
            Vacant::Never if self.has_rivals(around.node) => (beat * 2, FULL),
            Vacant::Never => (Duration::ZERO, FULL),
        };
        first + step * u32::try_from(place).unwrap_or(u32::MAX)
    }

    fn take(&mut self, around: &Around<'_>, kind: Vacant, agenda: &mut Agenda) {
        self.mine = Some(Mine { epoch: None, holdings: BTreeMap::new(), offer: None });
        for address in self.able(around) {
            match kind {
                Vacant::Offered => self.prepare(address, around.now, agenda),
                Vacant::Released => self.hold(address, Holding::Free),
                Vacant::Lately | Vacant::Never => {
                    let probe = self.probe_for(address, around.now);
                    self.ask(address, probe, around.now, agenda);
                }
            }
        }
        self.conclude(around, agenda);
    }

    fn probe_for(&self, address: IpAddr, now: Moment) -> Probe {
        let lately = self.lately.get(&address).is_some_and(|at| now.since(*at) < LATELY);
        if lately { Probe::Short } else { Probe::Full }
    }

    fn hold(&mut self, address: IpAddr, holding: Holding) {
        if let Some(mine) = &mut self.mine {
            mine.holdings.insert(address, holding);
        }
    }

    fn prepare(&mut self, address: IpAddr, now: Moment, agenda: &mut Agenda) {
        let until = now + PREPARATION;
        self.hold(address, Holding::Preparing { until });
        agenda.order(Order::Prepare { address });
        agenda.wake_at(until);
    }

    /// What was ordered to be prepared is.
    pub(super) fn prepared(&mut self, address: IpAddr) {
        let holding = self.mine.as_ref().and_then(|mine| mine.holdings.get(&address));
        if matches!(holding, Some(Holding::Preparing { .. })) {
            self.hold(address, Holding::Free);
        }
    }

    fn ask(&mut self, address: IpAddr, probe: Probe, now: Moment, agenda: &mut Agenda) {
        let until = now + probe.patience();
        self.hold(address, Holding::Probing { probe, until });
        agenda.order(Order::Probe { address, probe });
        agenda.wake_at(until);
    }

    /// Asks again where no answer came or the pause is over, and announces where nobody has the addresses.
    fn tend(&mut self, around: &Around<'_>, agenda: &mut Agenda) {
        let holdings: Vec<(IpAddr, Holding)> = self
            .mine
            .iter()
            .flat_map(|mine| mine.holdings.iter())
            .map(|(address, holding)| (*address, *holding))
            .collect();
        for (address, holding) in holdings {
            match holding {
                Holding::Probing { probe, until } if until <= around.now => {
                    self.ask(address, probe, around.now, agenda)
                }
                Holding::Blocked { retry, .. } if retry.until <= around.now => {
                    self.ask(address, Probe::Full, around.now, agenda);
                }
                Holding::Preparing { until } => self.go_on_preparing(around, address, until, agenda),
                Holding::Probing { until, .. } | Holding::Blocked { retry: Retry { until, .. }, .. } => {
                    agenda.wake_at(until);
                }
                Holding::Announced | Holding::Free => {}
            }
        }
        self.conclude(around, agenda);
    }

    /// The owner may have fallen silent meanwhile, or have been released from answering.
    fn go_on_preparing(&mut self, around: &Around<'_>, address: IpAddr, until: Moment, agenda: &mut Agenda) {
        match self.vacancy.as_ref().map(|vacancy| vacancy.kind) {
            Some(Vacant::Lately | Vacant::Never) => {
                let probe = self.probe_for(address, around.now);
                self.ask(address, probe, around.now, agenda);
            }
            Some(Vacant::Offered) if until > around.now => agenda.wake_at(until),
            _ => self.hold(address, Holding::Free),
        }
    }

    /// Announces what nobody has, once all questions are answered.
    fn conclude(&mut self, around: &Around<'_>, agenda: &mut Agenda) {
        let Some(mine) = &mut self.mine else { return };
        let is_open = mine
            .holdings
            .values()
            .any(|holding| matches!(holding, Holding::Probing { .. } | Holding::Preparing { .. }));
        let free = mine.holdings.iter_mut().filter(|(_, holding)| **holding == Holding::Free);
        if is_open {
            return;
        }
        let mut announced = Vec::new();
        for (address, holding) in free {
            *holding = Holding::Announced;
            announced.push(*address);
        }
        if announced.is_empty() {
            return;
        }
        if mine.epoch.is_none() {
            self.epoch = self.epoch.saturating_add(1);
            mine.epoch = Some(self.epoch);
            self.note_takeover(around);
        }
        announced.iter().for_each(|address| agenda.order(Order::Announce { address: *address }));
        self.blocks.retain(|address, _| !announced.contains(address));
        self.disputed = self.yielded(around);
        (self.retry, self.given_up, self.blind, self.vacancy, self.stays) = (None, None, None, None, None);
    }

    fn note_takeover(&mut self, around: &Around<'_>) {
        let Some(vacancy) = &self.vacancy else { return };
        let from = self.last_owner.clone();
        let last = from.as_ref().and_then(|node| around.peers.get(node)).map(Peer::last);
        let since = match vacancy.kind {
            Vacant::Offered => around.now,
            Vacant::Lately => last.map_or(vacancy.since, |last| last.min(vacancy.since)),
            Vacant::Released | Vacant::Never => vacancy.since,
        };
        self.takeover = Some(Takeover { at: around.now, duration: around.now.since(since), from });
    }

    /// What a probe has found that we asked for.
    pub(super) fn probed(&mut self, around: &Around<'_>, address: IpAddr, outcome: Outcome, agenda: &mut Agenda) {
        let holding = self.mine.as_ref().and_then(|mine| mine.holdings.get(&address));
        let Some(Holding::Probing { probe, .. }) = holding.copied() else { return };
        let (mac, is_answered) = match outcome {
            Outcome::Free => return self.hold(address, Holding::Free),
            Outcome::Taken(mac) => (mac, true),
            Outcome::Wanted(mac) => (mac, false),
        };
        if around.local.has_mac(mac) {
            return self.hold(address, Holding::Free);
        }
        match of_mac(around.peers, mac).cloned() {
            Some(node) if !is_answered => self.meet(around, &node, address, probe, agenda),
            Some(node) if !self.is_announced() => self.leave_to(around, node, address, mac, agenda),
            node => self.block(around, node, address, mac),
        }
    }

    /// A node of ours asks for the same address, as if it had not heard of us: no conflict. The higher hash asks on, the
    /// lower one waits until the other has come to an end.
    fn meet(&mut self, around: &Around<'_>, node: &str, address: IpAddr, probe: Probe, agenda: &mut Agenda) {
        if self.is_announced() || insistence(around.node) > insistence(node) {
            return self.ask(address, probe, around.now, agenda);
        }
        self.stand_down(agenda);
        self.retry = Some(Retry::after(None, around.now, FULL, FULL));
    }

    /// A node of ours answers that is not heard: it still owns the address.
    fn leave_to(&mut self, around: &Around<'_>, node: NodeName, address: IpAddr, mac: MacAddr, agenda: &mut Agenda) {
        let vacancy = self.vacancy.clone();
        self.stand_down(agenda);
        self.vacancy = vacancy;
        self.lately.insert(address, around.now);
        let longest = around.profile.timeout() * 2;
        self.retry = Some(Retry::after(self.retry, around.now, around.profile.beat, longest));
        if around.peers.get(&node).is_some_and(|peer| peer.is_heard(None, around.now, around.profile)) {
            self.conflict = Some(Conflict { at: around.now, address, mac, node: Some(node.clone()) });
        }
        self.answering = Some((node, mac));
    }

    fn block(&mut self, around: &Around<'_>, node: Option<NodeName>, address: IpAddr, mac: MacAddr) {
        self.conflict = Some(Conflict { at: around.now, address, mac, node });
        let (first, longest) = BLOCKED;
        let before = self.blocks.get(&address).copied();
        let retry = Retry::after(before, around.now, first, longest);
        self.blocks.insert(address, retry);
        self.hold(address, Holding::Blocked { mac, retry });
    }
}
