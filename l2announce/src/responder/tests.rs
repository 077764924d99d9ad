//! What a responder sends and tells, on a clock of the tests.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::wire::{
    ALL_NODES, Advertisement, Arp, Frame, Operation, Packet, Solicitation, multicast_mac, solicited_node,
};

const OURS: MacAddr = MacAddr(0x02, 0, 0, 0, 0, 0x01);
const OUR_OTHER: MacAddr = MacAddr(0x02, 0, 0, 0, 0, 0x02);
const CLIENT: MacAddr = MacAddr(0x02, 0, 0, 0, 0, 0xc1);
const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xc1);
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);

const fn at(milliseconds: u64) -> Moment {
    Moment::new(Duration::from_millis(1_000_000 + milliseconds))
}

fn up() -> Responder {
    let mut responder = Responder::new(OURS, &Settings::default());
    responder.set_own(Arc::new(BTreeSet::from([OURS, OUR_OTHER])));
    responder.set_up(at(0), true);
    responder
}

fn quiet() -> Announce {
    Announce { burst: false, refresh: None, counters: Arc::default() }
}

fn loud() -> Announce {
    Announce { burst: true, ..quiet() }
}

/// An up link that announces both addresses and has told so to nobody.
fn announcing() -> Responder {
    let mut responder = up();
    responder.announce(at(0), V4.into(), quiet());
    responder.announce(at(0), V6.into(), quiet());
    responder
}

fn sent(responder: &mut Responder, now: Moment) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(bytes) = responder.next_frame(now) {
        frames.push(Frame::parse(&bytes).expect("what is sent can be read"));
    }
    frames
}

fn events(responder: &mut Responder) -> Vec<Event> {
    std::iter::from_fn(|| responder.next_event()).collect()
}

/// Runs the clock from `from` to `to`, as a driver does it, and tells when each frame left, in ms since 0.
fn run(responder: &mut Responder, from: u64, to: u64) -> Vec<(u64, Frame)> {
    let mut now = at(from);
    let mut all = Vec::new();
    loop {
        let elapsed = u64::try_from(now.since(at(0)).as_millis()).unwrap();
        all.extend(sent(responder, now).into_iter().map(|frame| (elapsed, frame)));
        match responder.wakes() {
            Some(next) if next <= at(to) => now = now.max(next),
            _ => return all,
        }
    }
}

fn receive(responder: &mut Responder, now: Moment, frame: &Frame) -> Vec<Frame> {
    responder.receive(now, &frame.encode()).expect("the frame is well-formed");
    sent(responder, now)
}

fn request(target: Ipv4Addr) -> Frame {
    let packet = Arp {
        operation: Operation::Request,
        sender_mac: CLIENT,
        sender: CLIENT_V4,
        target_mac: MacAddr::zero(),
        target,
    };
    Frame { destination: MacAddr::broadcast(), source: CLIENT, packet: Packet::Arp(packet) }
}

fn arp_of(frame: &Frame) -> Arp {
    let Packet::Arp(arp) = frame.packet else { panic!("{frame:?} is ARP") };
    arp
}

fn solicitation(source: Ipv6Addr, destination: Ipv6Addr, source_link: Option<MacAddr>) -> Frame {
    let packet = Solicitation { source, destination, target: V6, source_link };
    let mac = if destination.is_multicast() { multicast_mac(destination) } else { OURS };
    Frame { destination: mac, source: CLIENT, packet: Packet::Solicitation(packet) }
}

fn asked() -> Frame {
    solicitation(CLIENT_V6, solicited_node(V6), Some(CLIENT))
}

/// Every frame by which another station claims one of the addresses.
fn claims(mac: MacAddr) -> Vec<(&'static str, IpAddr, Frame)> {
    let broadcast = |operation| Arp::announcement(operation, mac, V4);
    let question = Arp { sender: V4, target: CLIENT_V4, ..arp_of(&broadcast(Operation::Request)) };
    let solicitation =
        Solicitation { source: V6, destination: solicited_node(CLIENT_V6), target: CLIENT_V6, source_link: Some(mac) };
    vec![
        ("ARP announcement", V4.into(), broadcast(Operation::Request)),
        ("ARP announcement as a reply", V4.into(), broadcast(Operation::Reply)),
        (
            "ARP question in its name",
            V4.into(),
            Frame { packet: Packet::Arp(question), ..broadcast(Operation::Request) },
        ),
        ("advertisement", V6.into(), Advertisement::announcement(mac, V6)),
        (
            "solicitation in its name",
            V6.into(),
            Frame { destination: MacAddr::broadcast(), source: mac, packet: Packet::Solicitation(solicitation) },
        ),
    ]
}

#[test]
fn a_request_for_an_announced_address_is_answered_to_who_asked() {
    let mut responder = announcing();
    let answers = receive(&mut responder, at(1), &request(V4));
    let Packet::Arp(asked) = request(V4).packet else { panic!("it is ARP") };
    assert_eq!(answers, [asked.answer(OURS)]);
}

#[test]
fn a_request_is_answered_only_when_it_is_for_an_announced_address_and_for_us() {
    let own = Frame { destination: OURS, ..request(V4) };
    let other = Frame { destination: OUR_OTHER, ..request(V4) };
    let reply = Arp { operation: Operation::Reply, ..arp_of(&request(V4)) };
    let cases = [
        ("to all", request(V4), 1),
        ("to our station", own, 1),
        ("to another station", other, 0),
        ("for another address", request(Ipv4Addr::new(192, 0, 2, 11)), 0),
        ("not a question", Frame { packet: Packet::Arp(reply), ..request(V4) }, 0),
        ("a probe", Arp::probe(CLIENT, V4), 1),
        ("from another link of this node", Arp::probe(OUR_OTHER, V4), 0),
    ];
    for (name, frame, expected) in cases {
        assert_eq!(receive(&mut announcing(), at(1), &frame).len(), expected, "{name}");
    }
}

#[test]
fn a_solicitation_is_answered_with_override_and_without_router() {
    let unnamed = solicitation(CLIENT_V6, solicited_node(V6), None);
    let unicast = solicitation(CLIENT_V6, V6, None);
    let probe = solicitation(Ipv6Addr::UNSPECIFIED, solicited_node(V6), None);
    let everybody = multicast_mac(ALL_NODES);
    let cases = [
        ("that names its station", asked(), CLIENT, CLIENT_V6, true),
        ("that names none", unnamed, CLIENT, CLIENT_V6, true),
        ("that asks whether we are still there", unicast, CLIENT, CLIENT_V6, true),
        ("of duplicate address detection", probe, everybody, ALL_NODES, false),
    ];
    for (name, frame, mac, destination, solicited) in cases {
        let answers = receive(&mut announcing(), at(1), &frame);
        let [Frame { destination: to, source: OURS, packet: Packet::Advertisement(answer) }] = answers.as_slice()
        else {
            panic!("{name}: {answers:?}")
        };
        assert_eq!((*to, answer.destination, answer.solicited), (mac, destination, solicited), "{name}");
        assert_eq!((answer.overriding, answer.router, answer.target_link), (true, false, Some(OURS)), "{name}");
    }
}

#[test]
fn nothing_is_answered_before_announcing_after_withdrawing_or_while_the_link_is_down() {
    assert_eq!(receive(&mut up(), at(1), &request(V4)), []);
    let mut withdrawn = announcing();
    withdrawn.withdraw(V4.into());
    withdrawn.withdraw(V6.into());
    let mut down = announcing();
    down.set_up(at(0), false);
    for frame in [request(V4), asked()] {
        assert_eq!(receive(&mut withdrawn, at(1), &frame), []);
        assert_eq!(receive(&mut down, at(1), &frame), []);
    }
}

#[test]
fn everybody_is_told_five_times_by_request_and_then_by_reply() {
    let mut responder = up();
    responder.announce(at(0), V4.into(), loud());
    let frames = run(&mut responder, 0, 60_000);
    let expected: Vec<(u64, Frame)> = [0, 1_100, 2_200, 3_300, 4_400]
        .into_iter()
        .flat_map(|when| {
            let form = move |operation| (when, Arp::announcement(operation, OURS, V4));
            [form(Operation::Request), form(Operation::Reply)]
        })
        .collect();
    assert_eq!(frames, expected);
}

#[test]
fn everybody_is_told_of_an_ipv6_address_five_times() {
    let mut responder = up();
    responder.announce(at(0), V6.into(), loud());
    let expected = [0, 1_100, 2_200, 3_300, 4_400].map(|when| (when, Advertisement::announcement(OURS, V6)));
    assert_eq!(run(&mut responder, 0, 60_000), expected);
}

#[test]
fn announcing_what_is_announced_sends_nothing() {
    let mut responder = up();
    responder.announce(at(0), V4.into(), loud());
    assert_eq!(run(&mut responder, 0, 10_000).len(), 10);
    for when in 0..50 {
        responder.announce(at(10_000 + when * 20), V4.into(), loud());
    }
    assert_eq!(run(&mut responder, 10_000, 60_000), []);
}

#[test]
fn nothing_is_sent_after_withdrawing_in_the_middle_of_the_rounds() {
    let mut responder = up();
    responder.announce(at(0), V4.into(), loud());
    assert_eq!(run(&mut responder, 0, 1_000).len(), 2);
    responder.withdraw(V4.into());
    assert_eq!(run(&mut responder, 1_000, 60_000), []);
    // What an earlier announcement left is not sent by a later one.
    responder.announce(at(1_000), V4.into(), loud());
    responder.withdraw(V4.into());
    responder.announce(at(1_000), V4.into(), quiet());
    assert_eq!(run(&mut responder, 1_000, 60_000), []);
}

#[test]
fn a_link_that_comes_back_or_changes_its_station_tells_everybody_anew() {
    let mut responder = announcing();
    responder.set_up(at(0), false);
    assert_eq!(run(&mut responder, 0, 1_000), []);
    responder.set_up(at(1_000), true);
    assert_eq!(run(&mut responder, 1_000, 60_000).len(), 15);
    responder.set_mac(at(60_000), OUR_OTHER);
    let frames = run(&mut responder, 60_000, 120_000);
    assert_eq!(frames.len(), 15);
    assert!(frames.iter().all(|(_, frame)| frame.source == OUR_OTHER));
}

#[test]
fn a_refresh_tells_everybody_again_and_again() {
    let mut responder = up();
    let refresh = Some(Duration::from_secs(60));
    responder.announce(at(0), V6.into(), Announce { refresh, ..loud() });
    let when: Vec<u64> = run(&mut responder, 0, 200_000).into_iter().map(|(when, _)| when).collect();
    assert_eq!(when, [0, 1_100, 2_200, 3_300, 4_400, 64_400, 124_400, 184_400]);
}

#[test]
fn many_addresses_are_told_of_within_50_ms_and_then_at_the_rate() {
    let mut responder = up();
    let address = |number: u8| Ipv4Addr::new(198, 51, 100, number);
    for number in 0..200 {
        responder.announce(at(0), address(number).into(), loud());
    }
    let frames = run(&mut responder, 0, 20_000);
    assert_eq!(frames.len(), 2_000);
    let first = |number: u8, operation: Operation| {
        let is_it = |arp: Arp| arp.sender == address(number) && arp.operation == operation;
        frames.iter().find(|(_, frame)| is_it(arp_of(frame))).expect("each address is told of").0
    };
    let latest = |operation| (0..200).map(|number| first(number, operation)).max();
    assert!(latest(Operation::Request) <= Some(15), "{:?}", latest(Operation::Request));
    assert!(latest(Operation::Reply) <= Some(50), "{:?}", latest(Operation::Reply));
    let behind: Vec<u64> = frames.iter().map(|(when, _)| *when).filter(|when| *when >= 1_000).collect();
    let most = behind.iter().map(|from| behind.iter().filter(|when| (*from..from + 100).contains(*when)).count()).max();
    assert!(most <= Some(100 + LATER_DEPTH as usize + 1), "{most:?} frames within 100 ms");
}

#[test]
fn another_stations_claim_is_a_conflict_and_ours_is_none() {
    for (name, address, frame) in claims(CLIENT) {
        let mut responder = announcing();
        assert_eq!(receive(&mut responder, at(1), &frame), [], "{name}");
        assert_eq!(events(&mut responder), [Event::Conflict { address, mac: CLIENT }], "{name}");
    }
    for (name, _, frame) in claims(OUR_OTHER) {
        let mut responder = announcing();
        receive(&mut responder, at(1), &frame);
        assert_eq!(events(&mut responder), [], "{name}");
    }
    for (name, _, frame) in claims(CLIENT) {
        let mut responder = up();
        receive(&mut responder, at(1), &frame);
        assert_eq!(events(&mut responder), [], "{name}: it isn't announced");
    }
}

#[test]
fn the_same_conflict_is_told_once_a_second_and_a_new_station_at_once() {
    let mut responder = announcing();
    let mut told = |when, mac| {
        receive(&mut responder, at(when), &Arp::announcement(Operation::Request, mac, V4));
        events(&mut responder).len()
    };
    let other = MacAddr(2, 0, 0, 0, 0, 0xd1);
    assert_eq!([told(0, CLIENT), told(999, CLIENT), told(1_000, CLIENT), told(1_001, other)], [1, 0, 1, 1]);
}

#[test]
fn an_address_is_defended_by_one_announcement_in_ten_seconds() {
    let mut responder = announcing();
    assert!(responder.defend(at(0), V4.into()));
    assert_eq!(run(&mut responder, 0, 9_999).len(), 2, "both forms, once");
    assert!(!responder.defend(at(9_999), V4.into()));
    assert_eq!(run(&mut responder, 9_999, 9_999), []);
    assert!(responder.defend(at(10_000), V4.into()));
    assert!(!responder.defend(at(10_000), "192.0.2.77".parse().unwrap()), "it isn't announced");
}

#[test]
fn nothing_is_defended_unasked() {
    let mut responder = announcing();
    for (_, _, frame) in claims(CLIENT) {
        receive(&mut responder, at(1), &frame);
    }
    assert_eq!(run(&mut responder, 1, 60_000), []);
}

fn probed(address: IpAddr, outcome: Outcome) -> [Event; 1] {
    [Event::Probed { address, outcome }]
}

#[test]
fn a_short_probe_asks_three_times_and_is_over_after_60_ms() {
    for address in [IpAddr::from(V4), V6.into()] {
        let mut responder = up();
        responder.probe(at(0), address, ProbeSchedule::short());
        let frames = run(&mut responder, 0, 59);
        let question = Frame::parse(&probe::question(OURS, address)).unwrap();
        assert_eq!(frames, [0, 20, 40].map(|when| (when, question.clone())));
        assert_eq!(events(&mut responder), []);
        assert_eq!(run(&mut responder, 60, 60), []);
        assert_eq!(events(&mut responder), probed(address, Outcome::Free));
        assert_eq!(run(&mut responder, 60, 60_000), []);
    }
}

#[test]
fn a_full_probe_takes_the_times_of_rfc_5227() {
    let mut responder = up();
    responder.probe(at(0), V4.into(), ProbeSchedule::full([0.5, 0.0, 0.25]));
    let when: Vec<u64> = run(&mut responder, 0, 4_749).into_iter().map(|(when, _)| when).collect();
    assert_eq!(when, [500, 1_500, 2_750]);
    assert_eq!(events(&mut responder), []);
    run(&mut responder, 4_750, 4_750);
    assert_eq!(events(&mut responder), probed(V4.into(), Outcome::Free));
}

#[test]
fn on_a_wire_a_full_probe_takes_a_fifth_of_that() {
    let mut responder = up();
    responder.probe(at(0), V4.into(), ProbeSchedule::wired([0.5, 0.0, 0.25]));
    let when: Vec<u64> = run(&mut responder, 0, 949).into_iter().map(|(when, _)| when).collect();
    assert_eq!(when, [100, 300, 550]);
    assert_eq!(events(&mut responder), []);
    run(&mut responder, 950, 950);
    assert_eq!(events(&mut responder), probed(V4.into(), Outcome::Free));
}

#[test]
fn a_question_that_leaves_late_gets_its_time_to_be_answered() {
    let mut responder = up();
    responder.probe(at(0), V4.into(), ProbeSchedule::short());
    run(&mut responder, 0, 0);
    assert_eq!(run(&mut responder, 300, 339).len(), 2);
    assert_eq!(events(&mut responder), [], "the last question left at 320");
    run(&mut responder, 340, 340);
    assert_eq!(events(&mut responder), probed(V4.into(), Outcome::Free));
}

#[test]
fn a_claim_ends_a_probe_with_the_station_that_made_it() {
    for (name, address, frame) in claims(CLIENT) {
        let mut responder = up();
        responder.probe(at(0), address, ProbeSchedule::short());
        assert_eq!(run(&mut responder, 0, 10).len(), 1);
        receive(&mut responder, at(10), &frame);
        assert_eq!(events(&mut responder), probed(address, Outcome::Taken { mac: CLIENT }), "{name}");
        assert_eq!(run(&mut responder, 10, 10_000), [], "{name}");
    }
}

#[test]
fn the_answer_to_a_probe_is_a_claim() {
    let (mut owner, mut candidate) = (announcing(), Responder::new(CLIENT, &Settings::default()));
    candidate.set_up(at(0), true);
    for address in [IpAddr::from(V4), V6.into()] {
        candidate.probe(at(0), address, ProbeSchedule::short());
        let [question] = &sent(&mut candidate, at(0))[..] else { panic!("one question") };
        let [answer] = &receive(&mut owner, at(0), question)[..] else { panic!("one answer") };
        receive(&mut candidate, at(0), answer);
        assert_eq!(events(&mut candidate), probed(address, Outcome::Taken { mac: OURS }));
    }
    assert_eq!(events(&mut owner), [], "a question is no claim");
}

#[test]
fn another_stations_probe_ends_a_full_probe_alone() {
    let full = ProbeSchedule::full([0.0; 3]);
    for (address, frame) in [(IpAddr::from(V4), Arp::probe(CLIENT, V4)), (V6.into(), Solicitation::probe(CLIENT, V6))] {
        let outcome = |schedule| {
            let mut responder = up();
            responder.probe(at(0), address, schedule);
            receive(&mut responder, at(1), &frame);
            events(&mut responder)
        };
        assert_eq!(outcome(full), probed(address, Outcome::Wanted { mac: CLIENT }));
        assert_eq!(outcome(ProbeSchedule::short()), []);
    }
}

#[test]
fn who_is_asked_whether_it_is_there_answers_once() {
    for (address, answer) in [
        (CLIENT_V4.into(), Arp::announcement(Operation::Reply, CLIENT, CLIENT_V4).encode()),
        (CLIENT_V6.into(), Advertisement::announcement(CLIENT, CLIENT_V6).encode()),
    ] {
        let mut responder = up();
        responder.ask(address);
        assert_eq!(run(&mut responder, 0, 10_000).len(), 1, "asked once, and no more by itself");
        for expected in [vec![Event::Answered { address }], vec![]] {
            let _heard = responder.receive(at(1), &answer);
            assert_eq!(events(&mut responder), expected);
        }
    }
}

#[test]
fn a_probe_on_a_link_that_is_or_goes_down_is_undecided() {
    let mut responder = up();
    responder.probe(at(0), V4.into(), ProbeSchedule::short());
    responder.set_up(at(10), false);
    assert_eq!(events(&mut responder), probed(V4.into(), Outcome::Undecided));
    responder.probe(at(20), V4.into(), ProbeSchedule::short());
    assert_eq!(events(&mut responder), probed(V4.into(), Outcome::Undecided));
    assert_eq!(run(&mut responder, 0, 60_000), []);
}

#[test]
fn a_probe_whose_answers_were_thrown_away_is_undecided() {
    let mut responder = announcing();
    responder.probe(at(0), CLIENT_V4.into(), ProbeSchedule::short());
    assert!(responder.is_probing());
    responder.lose_probes();
    assert!(!responder.is_probing());
    assert_eq!(events(&mut responder), probed(CLIENT_V4.into(), Outcome::Undecided));
    run(&mut responder, 0, 60_000);
    assert_eq!(events(&mut responder), []);
    assert_eq!(receive(&mut responder, at(60_000), &request(V4)).len(), 1, "what is announced goes on");
}

#[test]
fn frames_are_counted_by_address() {
    let counters = Arc::new(Counters::default());
    let mut responder = up();
    responder.announce(at(0), V4.into(), Announce { counters: Arc::clone(&counters), ..loud() });
    run(&mut responder, 0, 10_000);
    receive(&mut responder, at(10_000), &request(V4));
    receive(&mut responder, at(10_000), &request(CLIENT_V4));
    let counts = [counters.requests_received(), counters.responses_sent(), counters.gratuitous_sent()];
    assert_eq!(counts, [1, 1, 10]);
}
