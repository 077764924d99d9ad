//! Somebody else was seen to answer for an address that this node answers for.

use std::{net::IpAddr, time::Duration};

use pnet_base::MacAddr;

use super::{
    around::{Agenda, Around},
    group::{Conflict, Group, Holding, Mine, Retry},
    order::Order,
    peer::of_mac,
    rank::insistence,
};
use crate::{Moment, NodeName, heartbeat::Claim};

/// Between two words to a stranger (RFC 5227, DEFEND_INTERVAL).
const DEFEND: Duration = Duration::from_secs(10);

impl Group {
    /// `mac` was seen to answer for `address`.
    pub(super) fn contested(&mut self, around: &Around<'_>, address: IpAddr, mac: MacAddr, agenda: &mut Agenda) {
        let is_ours = self.mine.as_ref().and_then(|mine| mine.holdings.get(&address)) == Some(&Holding::Announced);
        if !is_ours || around.local.has_mac(mac) {
            return;
        }
        let node = of_mac(around.peers, mac).cloned();
        self.conflict = Some(Conflict { at: around.now, address, mac, node: node.clone() });
        match node {
            None => self.defend(around, address, agenda),
            Some(node) if self.is_heard(around, &node) => self.insist(around, address, agenda),
            Some(node) => self.contested_unheard(around, node, address, mac, agenda),
        }
    }

    fn is_heard(&self, around: &Around<'_>, node: &str) -> bool {
        around.peers.get(node).is_some_and(|peer| peer.is_heard(None, around.now, around.profile))
    }

    fn defend(&mut self, around: &Around<'_>, address: IpAddr, agenda: &mut Agenda) {
        if self.may_speak(address, around.now, DEFEND) {
            agenda.order(Order::Defend { address });
        }
    }

    /// Another node of ours that is heard: were its claim the stronger one, we had yielded. It may not hear us.
    fn insist(&mut self, around: &Around<'_>, address: IpAddr, agenda: &mut Agenda) {
        if self.may_speak(address, around.now, around.profile.beat) {
            agenda.order(Order::Announce { address });
            agenda.order(Order::Beat);
        }
    }

    fn may_speak(&mut self, address: IpAddr, now: Moment, pause: Duration) -> bool {
        let may = self.defended.get(&address).is_none_or(|last| now.since(*last) >= pause);
        if may {
            self.defended.insert(address, now);
        }
        may
    }

    /// Another node of ours that is not heard may hear us and know that its claim is the stronger one, or it may hear as
    /// little as we do. The lower hash yields at once; the higher one when the other goes on, for then it hears us.
    fn contested_unheard(
        &mut self,
        around: &Around<'_>,
        node: NodeName,
        address: IpAddr,
        mac: MacAddr,
        agenda: &mut Agenda,
    ) {
        let offers = self.mine.as_ref().is_some_and(|mine: &Mine| mine.offer.is_some());
        let is_lower = insistence(around.node) < insistence(&node);
        let goes_on = self.blind.is_some_and(|first| around.now.since(first) >= around.profile.beat);
        if offers || is_lower || goes_on {
            let epoch = self.own_epoch();
            self.stand_down(agenda);
            if !offers {
                self.say_given_up(Claim::Yielded, epoch, around.now);
            }
            self.blind = None;
            self.lately.insert(address, around.now);
            self.retry = Some(Retry::after(None, around.now, around.profile.timeout(), around.profile.timeout()));
            self.answering = Some((node, mac));
            return;
        }
        self.blind.get_or_insert(around.now);
        self.insist(around, address, agenda);
    }
}
