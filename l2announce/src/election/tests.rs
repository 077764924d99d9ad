//! The rules, each in the smallest case that shows it. What follows of them together is shown by tests/simulation.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use pnet_base::MacAddr;

use super::{Election, Hindrance, Input, Local, Order, Outcome, Probe, Profile, Remembered, Start, State, WhyNot};
use crate::{
    Announcement, Announcements, Candidate, Interfaces, Moment, NodeName, Purpose,
    heartbeat::{Claim, Claimed, Heard, LinkId, Readiness},
};

const OWN: MacAddr = MacAddr(2, 0, 0, 0, 0, 1);
const PEER: MacAddr = MacAddr(2, 0, 0, 0, 0, 2);
const STRANGER: MacAddr = MacAddr(6, 6, 6, 6, 6, 6);

fn vip() -> IpAddr {
    IpAddr::from([192, 0, 2, 1])
}

fn second() -> IpAddr {
    "2001:db8::1".parse().expect("an address")
}

/// The node `a` among the candidates of one address, at a time that tests move.
struct Case {
    election: Election,
    now: Moment,
    counter: u64,
    local: Local,
}

impl Case {
    fn new(nodes: &[&str], start: Start) -> Self {
        Self::with(announcements(nodes, &[vip()]), start)
    }

    fn with(announcements: Announcements, start: Start) -> Self {
        let local = Local {
            links: BTreeMap::from([(1, OWN)]),
            addresses: announcements.keys().map(|address| (*address, Ok(BTreeSet::from([1])))).collect(),
            ..Local::default()
        };
        let now = Moment::new(Duration::from_secs(100));
        let election = Election::new("a".into(), Profile::DEFAULT, start);
        let mut case = Self { election, now, counter: 0, local: local.clone() };
        case.election.handle(now, Input::Announcements(Arc::new(announcements)));
        case.election.handle(now, Input::Local(local));
        case
    }

    /// Owner of the address since a short probe found it free.
    fn owner(nodes: &[&str]) -> Self {
        let mut case = Self::new(nodes, known());
        case.run(1600);
        case.election.handle(case.now, Input::Probed { address: vip(), outcome: Outcome::Free });
        assert_eq!(case.orders(), [Order::Announce { address: vip() }]);
        case
    }

    /// What is done but heartbeats.
    fn orders(&mut self) -> Vec<Order> {
        let mut orders = self.election.poll(self.now);
        orders.retain(|order| *order != Order::Beat);
        orders
    }

    /// Polls as often as is wanted for so many milliseconds.
    fn run(&mut self, millis: u64) -> Vec<Order> {
        let end = self.now + Duration::from_millis(millis);
        let mut orders = self.orders();
        while self.election.deadline() <= end {
            self.now = self.election.deadline().max(self.now);
            orders.extend(self.orders());
        }
        self.now = end;
        orders.extend(self.orders());
        orders
    }

    fn hear(&mut self, node: &str, claim: Option<(Claim, u64)>, readiness: Readiness) -> Vec<Order> {
        self.hear_on(1, node, claim, readiness)
    }

    fn hear_on(&mut self, link: LinkId, node: &str, claim: Option<(Claim, u64)>, readiness: Readiness) -> Vec<Order> {
        self.counter += 1;
        let claims = claim.map(|(claim, epoch)| (vip(), Claimed { claim, epoch })).into_iter().collect();
        let heard = Heard {
            link,
            node: node.into(),
            boot: 1,
            readiness,
            beat: Profile::DEFAULT.beat,
            macs: vec![PEER],
            claims: Some(Arc::new(claims)),
            is_new: false,
            knows_us_as: None,
        };
        self.election.handle(self.now, Input::Heard(heard));
        self.orders()
    }

    /// The peer `b` is heard for so many milliseconds, saying `claim`.
    fn hear_for(&mut self, millis: u64, claim: Option<(Claim, u64)>) -> Vec<Order> {
        let mut orders = Vec::new();
        for _ in 0..millis / 250 {
            orders.extend(self.hear("b", claim, Readiness::Ready));
            orders.extend(self.run(250));
        }
        orders
    }

    fn localise(&mut self, change: impl FnOnce(&mut Local)) -> Vec<Order> {
        change(&mut self.local);
        self.election.handle(self.now, Input::Local(self.local.clone()));
        self.orders()
    }

    fn probed(&mut self, outcome: Outcome) -> Vec<Order> {
        self.election.handle(self.now, Input::Probed { address: vip(), outcome });
        self.orders()
    }

    fn prepared(&mut self) -> Vec<Order> {
        self.election.handle(self.now, Input::Prepared { address: vip() });
        self.orders()
    }

    fn contested(&mut self, mac: MacAddr) -> Vec<Order> {
        self.election.handle(self.now, Input::Contested { address: vip(), mac });
        self.orders()
    }

    fn claim(&self) -> Option<(Claim, u64)> {
        self.election.content().claims.get(&vip()).map(|claimed| (claimed.claim, claimed.epoch))
    }

    fn state(&mut self) -> State {
        self.election.view(self.now).remove(&vip()).expect("it is announced").state
    }

    fn why_not(&mut self, node: &str) -> Option<WhyNot> {
        self.election.view(self.now).remove(&vip()).expect("it is announced").others.remove(node)
    }
}

fn announcements(nodes: &[&str], addresses: &[IpAddr]) -> Announcements {
    let candidate = Candidate { weight: 0, interfaces: Interfaces::All };
    let candidates: BTreeMap<NodeName, Candidate> =
        nodes.iter().map(|node| (NodeName::from(*node), candidate.clone())).collect();
    let elected_as = vip();
    let announcement = Announcement { candidates, elected_as, purpose: Purpose::Served };
    addresses.iter().map(|address| (*address, announcement.clone())).collect()
}

/// The address was owned a while ago.
fn known() -> Start {
    let owned = Some(Moment::new(Duration::from_secs(95)));
    let remembered = Remembered { epoch: 7, owned };
    Start { memory: BTreeMap::from([(vip(), remembered), (second(), remembered)]), adopt: BTreeSet::new() }
}

fn withdraw() -> Vec<Order> {
    vec![Order::Withdraw { address: vip() }]
}

fn announce() -> Vec<Order> {
    vec![Order::Announce { address: vip() }]
}

fn prepare() -> Vec<Order> {
    vec![Order::Prepare { address: vip() }]
}

fn probe(probe: Probe) -> Vec<Order> {
    vec![Order::Probe { address: vip(), probe }]
}

#[test]
fn an_address_that_nobody_has_used_is_probed_thoroughly() {
    let mut case = Case::new(&["a"], Start::default());
    assert_eq!(case.orders(), probe(Probe::Full), "nobody else could own it, so there is nobody to listen to");
    assert_eq!(case.claim(), Some((Claim::Able, 0)));
    assert_eq!(case.probed(Outcome::Free), announce());
    assert_eq!(case.claim(), Some((Claim::Owned, 1)));
}

#[test]
fn one_that_was_owned_lately_is_probed_shortly() {
    let mut case = Case::new(&["a"], known());
    assert_eq!(case.orders(), probe(Probe::Short));
    assert_eq!(case.probed(Outcome::Free), announce());
    assert_eq!(case.claim(), Some((Claim::Owned, 8)), "the highest epoch and one");
}

#[test]
fn with_others_about_it_listens_before_it_claims() {
    let mut case = Case::new(&["a", "b"], known());
    assert_eq!(case.run(990), []);
    assert_eq!(case.claim(), None);
    assert_eq!(case.why_not("a"), Some(WhyNot::Listening));
    assert_eq!(case.run(600), probe(Probe::Short));
}

#[test]
fn an_owner_that_is_heard_keeps_it() {
    let mut case = Case::new(&["a", "b"], known());
    assert_eq!(case.hear_for(20_000, Some((Claim::Owned, 7))), []);
    assert_eq!((case.state(), case.why_not("a")), (State::Standby, Some(WhyNot::OwnerStays)));
}

#[test]
fn an_owner_that_falls_silent_is_looked_for_on_the_segment() {
    let mut case = Case::new(&["a", "b"], known());
    case.hear_for(2000, Some((Claim::Owned, 7)));
    assert_eq!(case.run(740), []);
    assert_eq!(case.run(20), probe(Probe::Short), "1 s after it was heard last");
    assert_eq!(case.probed(Outcome::Taken(PEER)), withdraw(), "it still answers");
    assert_eq!(case.state(), State::Unheard("b".into()));
    assert_eq!(case.run(240), []);
    assert_eq!(case.run(10), probe(Probe::Short), "after a beat");
    assert_eq!(case.probed(Outcome::Taken(PEER)), withdraw());
    assert_eq!(case.run(490), []);
    assert_eq!(case.run(10), probe(Probe::Short), "after two");
    assert_eq!(case.probed(Outcome::Free), announce());
    assert_eq!(case.claim(), Some((Claim::Owned, 8)));
}

#[test]
fn an_owner_that_is_heard_again_ends_the_probe() {
    let mut case = Case::new(&["a", "b"], known());
    case.hear_for(2000, Some((Claim::Owned, 7)));
    assert_eq!(case.run(760), probe(Probe::Short));
    assert_eq!(case.hear("b", Some((Claim::Owned, 7)), Readiness::Ready), withdraw());
    assert_eq!(case.probed(Outcome::Free), [], "too late");
}

#[test]
fn what_is_released_is_taken_at_once_and_what_is_offered_when_it_is_prepared() {
    for claim in [Claim::Offered, Claim::Released] {
        let mut case = Case::new(&["a", "b"], known());
        case.hear_for(2000, Some((Claim::Owned, 7)));
        let taken = case.hear("b", Some((claim, 7)), Readiness::Draining);
        if claim == Claim::Offered {
            assert_eq!((taken, case.state()), (prepare(), State::Preparing));
            assert_eq!(case.claim(), Some((Claim::Able, 7)), "its owner goes on answering");
            assert_eq!(case.prepared(), announce());
        } else {
            assert_eq!(taken, announce());
        }
        assert_eq!(case.claim(), Some((Claim::Owned, 8)));
    }
}

#[test]
fn what_is_offered_is_taken_though_it_cannot_be_prepared() {
    let mut case = Case::new(&["a", "b"], known());
    case.hear_for(2000, Some((Claim::Owned, 7)));
    assert_eq!(case.hear("b", Some((Claim::Offered, 7)), Readiness::Draining), prepare());
    let mut orders = Vec::new();
    for _ in 0..5 {
        orders.extend(case.run(250));
        orders.extend(case.hear("b", Some((Claim::Offered, 7)), Readiness::Draining));
    }
    assert_eq!(orders, announce());
    assert_eq!(case.prepared(), [], "too late");
}

#[test]
fn an_offer_that_ends_while_it_is_prepared_for_is_not_taken() {
    let offered = || {
        let mut case = Case::new(&["a", "b"], known());
        case.hear_for(2000, Some((Claim::Owned, 7)));
        assert_eq!(case.hear("b", Some((Claim::Offered, 7)), Readiness::Ready), prepare());
        case
    };
    let mut taken_back = offered();
    assert_eq!(taken_back.hear("b", Some((Claim::Owned, 7)), Readiness::Ready), withdraw());
    assert_eq!(taken_back.prepared(), []);
    let mut given_up = offered();
    assert_eq!(given_up.hear("b", Some((Claim::Released, 7)), Readiness::Ready), announce(), "nobody answers");
    let mut dead = offered();
    assert_eq!(dead.run(1000), probe(Probe::Short), "the segment is asked whether the owner still answers");
    assert_eq!(dead.probed(Outcome::Free), announce());
}

#[test]
fn a_drained_owner_answers_until_another_one_does() {
    let mut case = Case::owner(&["a", "b"]);
    case.hear("b", Some((Claim::Able, 8)), Readiness::Ready);
    assert_eq!(case.localise(|local| local.readiness = Readiness::Draining), []);
    assert_eq!(case.claim(), Some((Claim::Offered, 8)));
    assert_eq!(case.hear("b", Some((Claim::Owned, 9)), Readiness::Ready), withdraw());
    assert_eq!(case.claim(), None);
}

#[test]
fn a_node_alone_keeps_what_it_has_though_it_is_drained() {
    let mut case = Case::owner(&["a", "b"]);
    assert_eq!(case.localise(|local| local.readiness = Readiness::Leaving), []);
    assert_eq!(case.run(30_000), []);
    assert!(case.election.owns_any());
    case.election.handle(case.now, Input::Stop);
    assert_eq!(case.orders(), withdraw());
    assert_eq!(case.claim(), Some((Claim::Released, 8)));
}

#[test]
fn an_owner_that_cannot_serve_answers_no_more() {
    let changes: [fn(&mut Local); 3] = [
        |local| drop(local.addresses.insert(vip(), Err(Hindrance::Other("the accept loop is stuck".into())))),
        |local| drop(local.addresses.insert(vip(), Err(Hindrance::Down("eth0".into())))),
        |local| local.addresses.clear(),
    ];
    for change in changes {
        let mut case = Case::owner(&["a", "b"]);
        assert_eq!(case.localise(change), withdraw());
        assert_eq!(case.claim(), Some((Claim::Released, 8)), "and another one takes it at once");
    }
}

#[test]
fn without_others_and_gateway_it_is_withdrawn_unless_nobody_else_could_own_it() {
    for (nodes, orders) in [(&["a", "b"][..], withdraw()), (&["a"], Vec::new())] {
        let mut case = Case::owner(nodes);
        assert_eq!(case.localise(|local| local.gateway_answers = Some(false)), orders);
    }
    let mut case = Case::owner(&["a", "b"]);
    case.hear("b", Some((Claim::Able, 8)), Readiness::Ready);
    assert_eq!(case.localise(|local| local.gateway_answers = Some(false)), [], "another one is heard");
}

#[test]
fn while_all_are_silent_nothing_is_taken_before_the_gateway_answers() {
    let mut case = Case::new(&["a", "b", "c"], known());
    case.hear_for(5000, Some((Claim::Owned, 7)));
    let _heard_later = case.hear("c", None, Readiness::Ready);
    assert_eq!(case.localise(|local| local.gateway_answers = Some(false)), []);
    assert_eq!(case.run(20_000), [], "neither while one counts as there still, nor after it");
    assert_eq!(case.localise(|local| local.gateway_answers = Some(true)), probe(Probe::Short));
    assert_eq!(case.localise(|local| local.gateway_answers = Some(false)), withdraw(), "not even what is asked about");
    let mut alone = Case::new(&["a"], known());
    assert_eq!(alone.localise(|local| local.gateway_answers = Some(false)), probe(Probe::Short), "nobody else could");
}

#[test]
fn a_pause_withdraws_before_anything_else() {
    let mut case = Case::owner(&["a", "b"]);
    case.now = case.now + Duration::from_millis(510);
    assert_eq!(case.contested(STRANGER), withdraw());
    assert_eq!(case.claim(), Some((Claim::Released, 8)));
    assert_eq!(case.run(990), [], "it listens again");
    assert_eq!(case.election.pauses(), 1);

    let mut case = Case::owner(&["a", "b"]);
    case.now = case.now + Duration::from_millis(490);
    assert_eq!(case.orders(), []);
}

#[test]
fn of_two_owners_the_higher_epoch_stays_and_says_so_once() {
    let mut case = Case::owner(&["a", "b"]);
    assert_eq!(case.hear("b", Some((Claim::Owned, 7)), Readiness::Ready), announce());
    assert_eq!(case.hear("b", Some((Claim::Owned, 7)), Readiness::Ready), []);
    assert_eq!(case.hear("b", Some((Claim::Yielded, 7)), Readiness::Ready), []);

    let mut case = Case::owner(&["a", "b"]);
    assert_eq!(case.hear("b", Some((Claim::Owned, 9)), Readiness::Ready), withdraw(), "without a word");
    assert_eq!(case.claim(), Some((Claim::Yielded, 8)));
}

#[test]
fn one_that_yielded_before_it_was_heard_is_followed_by_an_announcement() {
    let mut case = Case::owner(&["a", "b"]);
    assert_eq!(case.hear("b", Some((Claim::Yielded, 7)), Readiness::Ready), announce());
    assert_eq!(case.hear("b", Some((Claim::Yielded, 7)), Readiness::Ready), []);
}

#[test]
fn a_stranger_is_told_once_in_ten_seconds() {
    let mut case = Case::owner(&["a"]);
    let defend = vec![Order::Defend { address: vip() }];
    assert_eq!(case.contested(STRANGER), defend);
    case.run(9900);
    assert_eq!(case.contested(STRANGER), []);
    case.run(200);
    assert_eq!(case.contested(STRANGER), defend);
    let conflict = case.election.view(case.now).remove(&vip()).and_then(|shown| shown.conflict);
    assert_eq!(conflict.map(|conflict| (conflict.mac, conflict.node)), Some((STRANGER, None)));
    assert_eq!(case.contested(OWN), [], "our own is none");
}

#[test]
fn an_address_of_a_stranger_is_not_announced_and_tried_again_later() {
    let mut case = Case::new(&["a"], Start::default());
    case.orders();
    assert_eq!(case.probed(Outcome::Taken(STRANGER)), []);
    assert_eq!(case.state(), State::Blocked(STRANGER));
    assert_eq!(case.run(4990), []);
    assert_eq!(case.run(10), probe(Probe::Full));
    case.probed(Outcome::Taken(STRANGER));
    assert_eq!(case.run(9990), []);
    assert_eq!(case.run(10), probe(Probe::Full));
    assert_eq!(case.probed(Outcome::Free), announce());
}

#[test]
fn of_two_nodes_that_ask_for_an_address_at_once_one_asks_on_and_neither_is_a_conflict() {
    // Of their hashes, that of `b` is the lowest and that of `h` the highest.
    for (peer, next) in [("b", probe(Probe::Full)), ("h", withdraw())] {
        let mut case = Case::new(&["a"], Start::default());
        assert_eq!(case.orders(), probe(Probe::Full));
        case.hear(peer, None, Readiness::Ready);
        assert_eq!(case.probed(Outcome::Wanted(PEER)), next, "{peer}");
        let conflict = case.election.view(case.now).remove(&vip()).and_then(|shown| shown.conflict);
        assert_eq!(conflict, None, "{peer}");
    }
    let mut stranger = Case::new(&["a"], Start::default());
    stranger.orders();
    stranger.probed(Outcome::Wanted(STRANGER));
    assert_eq!(stranger.state(), State::Blocked(STRANGER), "as RFC 5227 wants it");
}

#[test]
fn a_preferred_node_gets_it_when_it_has_been_there_for_a_while() {
    let mut announcements = announcements(&["a", "b"], &[vip()]);
    let announcement = announcements.get_mut(&vip()).expect("it is there");
    announcement.candidates.insert("b".into(), Candidate { weight: 5, interfaces: Interfaces::All });
    let mut case = Case::with(announcements, known());
    case.run(1600);
    assert_eq!(case.probed(Outcome::Free), announce());
    assert_eq!(case.hear_for(9750, Some((Claim::Able, 8))), []);
    assert_eq!(case.claim(), Some((Claim::Owned, 8)));
    assert_eq!(case.hear_for(500, Some((Claim::Able, 8))), []);
    assert_eq!(case.claim(), Some((Claim::Offered, 8)));
    assert_eq!(case.hear("b", Some((Claim::Owned, 9)), Readiness::Ready), withdraw());
}

#[test]
fn what_is_elected_together_is_taken_together() {
    let mut case = Case::with(announcements(&["a"], &[vip(), second()]), known());
    assert_eq!(case.orders().len(), 2);
    assert_eq!(case.probed(Outcome::Free), [], "the other one is asked about still");
    case.election.handle(case.now, Input::Probed { address: second(), outcome: Outcome::Free });
    assert_eq!(case.orders(), [Order::Announce { address: vip() }, Order::Announce { address: second() }]);
    assert_eq!(
        case.localise(|local| drop(local.addresses.insert(second(), Err(Hindrance::Unknown)))),
        [Order::Withdraw { address: second() }],
        "one that cannot be announced any more leaves the others"
    );
}

#[test]
fn one_that_is_heard_on_another_link_alone_is_asked_for_on_the_segment() {
    let mut case = Case::new(&["a", "b"], known());
    let mut orders = Vec::new();
    for _ in 0..7 {
        orders.extend(case.hear_on(2, "b", Some((Claim::Owned, 7)), Readiness::Ready));
        orders.extend(case.run(250));
    }
    assert_eq!(orders, probe(Probe::Short));
    assert_eq!(case.why_not("b"), Some(WhyNot::OtherLink));
}

#[test]
fn what_a_process_hands_over_is_owned_without_a_question() {
    let mut case = Case::new(&["a", "b"], Start { adopt: BTreeSet::from([vip()]), ..known() });
    assert_eq!(case.orders(), announce());
    assert_eq!(case.claim(), Some((Claim::Owned, 7)));
}

#[test]
fn nothing_is_said_before_it_is_known_what_should_be_announced() {
    let mut election = Election::new("a".into(), Profile::DEFAULT, Start::default());
    assert_eq!(election.poll(Moment::default()), []);
}

#[test]
fn the_first_in_line_is_the_same_for_all_and_spreads_addresses() {
    let nodes = ["a", "b", "c"];
    let mut counts = BTreeMap::new();
    for last in 0..=255_u8 {
        let address = IpAddr::from([10, 0, 0, last]);
        let first = nodes.iter().max_by_key(|node| super::rank::score(address, node)).expect("three");
        *counts.entry(*first).or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| (60..=115).contains(count)), "{counts:?}");
    assert_eq!(super::rank::score(vip(), "a") >> 96, 0x49af_1a21, "the same in every version");
}
