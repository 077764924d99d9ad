//! What the agent shows of this node → what the holder of the Lease is told of it, and how often.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use postern_config::kubernetes::announced::{Account, Cause, Mac, Part, Rival, Role};
use postern_l2announce::{
    agent::{Shown, ShownAddress},
    election::{Hindrance, State, WhyNot},
    heartbeat::Readiness,
};
use tokio::sync::watch;

/// Between two words: what comes and goes in between is told as it is then.
const BETWEEN: Duration = Duration::from_secs(1);
/// Somebody else who answered is believed to have gone after so long without a word, where this node answers too.
const RIVAL_FADES: Duration = Duration::from_secs(60);
/// The same where this node asks again and again whether somebody answers.
const ASKED_AGAIN: Duration = Duration::from_secs(180);
/// Another installation is on the segment if it was heard so lately.
const NEIGHBOUR: Duration = Duration::from_secs(10);

/// Tells what changes.
#[derive(Debug)]
pub(super) struct Accounts {
    told: watch::Sender<Option<Arc<Account>>>,
    next: Instant,
}

impl Accounts {
    pub(super) fn new(told: watch::Sender<Option<Arc<Account>>>) -> Self {
        Self { told, next: Instant::now() }
    }

    /// Tells of `shown`, if that is news and not too soon.
    pub(super) fn tell(&mut self, shown: &Shown) {
        let now = Instant::now();
        // Before an agent has shown anything, nobody knows what this node does.
        if now < self.next || shown.node.is_empty() {
            return;
        }
        let account = account(shown);
        let is_news = self.told.send_if_modified(|told| {
            let is_news = told.as_deref() != Some(&account);
            if is_news {
                *told = Some(Arc::new(account));
            }
            is_news
        });
        if is_news {
            self.next = now + BETWEEN;
        }
    }
}

fn account(shown: &Shown) -> Account {
    let parts = shown.addresses.iter().filter_map(|(address, it)| Some((*address, part(shown, *address, it)?)));
    Account { node: shown.node.clone(), parts: parts.collect() }
}

/// `None`: this node is no candidate.
fn part(shown: &Shown, address: IpAddr, it: &ShownAddress) -> Option<Part> {
    let rival = rival(shown, address, it);
    let role = role(shown, it, rival.is_some())?;
    Some(Part { role, is_in_subnet: it.is_in_subnet.unwrap_or(true), rival })
}

fn role(shown: &Shown, it: &ShownAddress, has_rival: bool) -> Option<Role> {
    match (&it.view.state, it.view.others.get(&shown.node)) {
        (State::Owned | State::Offered(_), _) => {
            Some(Role::Announces { epoch: it.view.epoch, interfaces: it.links.iter().cloned().collect() })
        }
        (State::Blocked(_), _) => Some(Role::Blocked),
        (State::Probing, _) if has_rival => Some(Role::Blocked),
        (_, None | Some(WhyNot::NoCandidate)) => it.is_in_subnet.map(|_| Role::Stands),
        (_, Some(why)) => Some(hindered(why)),
    }
}

fn hindered(why: &WhyNot) -> Role {
    let because = |cause| Role::Hindered(cause, why.to_string().into());
    match why {
        WhyNot::Hindered(Hindrance::Unknown) => Role::Stands,
        WhyNot::Hindered(hindrance) => because(match hindrance {
            Hindrance::Capability(_) => Cause::Capability,
            Hindrance::Missing(_) => Cause::Missing,
            Hindrance::Down(_) => Cause::Down,
            Hindrance::Interface(_) => Cause::Interface,
            Hindrance::Unknown | Hindrance::Other(_) => Cause::Other,
        }),
        WhyNot::Isolated => because(Cause::Other),
        WhyNot::Readiness(readiness) if *readiness != Readiness::Ready => because(Cause::Other),
        _ => Role::Stands,
    }
}

/// Who else answers for `address`, and is no node of ours.
fn rival(shown: &Shown, address: IpAddr, it: &ShownAddress) -> Option<Rival> {
    let conflict = it.view.conflict.as_ref().filter(|conflict| conflict.node.is_none() && conflict.address == address);
    let within =
        |most: Duration| conflict.filter(|conflict| shown.ago(conflict.at) < most).map(|conflict| conflict.mac);
    let mac = match &it.view.state {
        State::Blocked(mac) => Some(*mac).filter(|_| it.view.conflict.as_ref().is_none_or(|all| all.node.is_none())),
        State::Probing => within(ASKED_AGAIN),
        State::Owned | State::Offered(_) => within(RIVAL_FADES),
        _ => None,
    }?;
    let lately = |moment| shown.ago(moment) < NEIGHBOUR;
    let refusals = &shown.refusals;
    let with_installation = refusals.installations.values().copied().chain(refusals.other_key).any(lately);
    Some(Rival { mac: Mac(mac.octets()), with_installation })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use postern_l2announce::{
        Moment, Purpose,
        election::{AddressView, Conflict},
        wire::MacAddr,
    };

    use super::*;

    const MAC: MacAddr = MacAddr(2, 0, 0, 0, 0, 50);

    fn shown(state: State, why: Option<WhyNot>, conflict: Option<Duration>) -> Shown {
        let address = IpAddr::from([192, 0, 2, 10]);
        let at = Moment::default() + Duration::from_secs(1000);
        let conflict = conflict.map(|ago| Conflict {
            at: Moment::default() + (Duration::from_secs(1000) - ago),
            address,
            mac: MAC,
            node: None,
        });
        let view = AddressView {
            owner: None,
            mac: None,
            epoch: 7,
            state,
            since: at,
            others: why.map(|why| (Arc::from("a"), why)).into_iter().collect(),
            takeover: None,
            conflict,
        };
        let links = vec!["eth0".into()];
        let it = ShownAddress { purpose: Purpose::Served, links, is_in_subnet: Some(true), view };
        Shown { at, node: "a".into(), addresses: BTreeMap::from([(address, it)]), ..Shown::default() }
    }

    fn part_of(shown: &Shown) -> Part {
        account(shown).parts.into_values().next().expect("it is a candidate")
    }

    #[test]
    fn a_node_says_what_it_does_and_what_keeps_it_from_more() {
        let announces = Role::Announces { epoch: 7, interfaces: ["eth0".into()].into() };
        let lacks = |cause| Role::Hindered(cause, "why".into());
        let hindered = |hindrance| Some(WhyNot::Hindered(hindrance));
        for (state, why, role) in [
            (State::Owned, None, announces),
            (State::Standby, Some(WhyNot::OwnerStays), Role::Stands),
            (State::Blocked(MAC), Some(WhyNot::Next), Role::Blocked),
            (State::Waiting, hindered(Hindrance::Capability("why".into())), lacks(Cause::Capability)),
            (State::Waiting, hindered(Hindrance::Missing("why".into())), lacks(Cause::Missing)),
            (State::Waiting, hindered(Hindrance::Down("why".into())), lacks(Cause::Down)),
            (State::Waiting, hindered(Hindrance::Interface("why".into())), lacks(Cause::Interface)),
            (State::Waiting, hindered(Hindrance::Other("why".into())), lacks(Cause::Other)),
            (State::Waiting, hindered(Hindrance::Unknown), Role::Stands),
        ] {
            assert_eq!(part_of(&shown(state.clone(), why, None)).role, role, "{state}");
        }
    }

    #[test]
    fn somebody_else_who_answers_is_named_until_nothing_was_heard_of_him_for_long() {
        let second = Duration::from_secs(1);
        for (state, ago, is_named) in [
            (State::Owned, second, true),
            (State::Owned, RIVAL_FADES, false),
            (State::Blocked(MAC), second, true),
            (State::Probing, RIVAL_FADES, true),
            (State::Probing, ASKED_AGAIN, false),
            (State::Standby, second, false),
        ] {
            let part = part_of(&shown(state.clone(), None, Some(ago)));
            assert_eq!(part.rival.map(|rival| rival.mac), is_named.then_some(Mac(MAC.octets())), "{state} {ago:?}");
        }
        let mut beside = shown(State::Owned, None, Some(second));
        beside.refusals.other_key = Some(beside.at);
        assert!(part_of(&beside).rival.is_some_and(|rival| rival.with_installation));
    }
}
