//! Two nodes, and a wire between them that loses.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{Answer, Asked, Message, Progress, Pull, Question, Refusal, Session, Teller};
use crate::{
    Moment,
    heartbeat::{Installation, Keys, LONGEST},
    kernel::Flow,
};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn flows(local: &str, client: &str, count: usize) -> Vec<Flow> {
    let flow = |number: usize| {
        let port = u16::try_from(number % 60_000 + 1).expect("it fits");
        let local = SocketAddr::new(ip(local), u16::try_from(443 + number / 60_000).expect("it fits"));
        Flow::new(SocketAddr::new(ip(client), port), local).expect("of one family")
    };
    (0..count).map(flow).collect()
}

fn installation() -> Installation {
    Installation::named("test")
}

fn keys() -> Keys {
    Keys::new(&[1; 32], Some(&[2; 32]))
}

/// As it arrives.
fn sent(message: &Message) -> Message {
    let bytes = message.seal(installation(), &keys());
    assert!(bytes.len() <= LONGEST, "{} bytes", bytes.len());
    assert!(super::is_ours(&bytes));
    Message::open(&bytes, installation(), &keys()).expect("it can be read")
}

fn pull(counter: u64, addresses: &[&str]) -> Pull {
    let session = Session { boot: 5, counter };
    let addresses = addresses.iter().map(|address| ip(address)).collect();
    Pull::new(Moment::default(), "new".into(), "old".into(), session, addresses)
}

/// Asks until everything is there, where one of `lost` datagrams is lost; what was told, and how long it took.
fn told(addresses: &[&str], has: &[Flow], lost: u64) -> (BTreeSet<Flow>, Duration) {
    let (mut pull, mut teller) = (pull(1, addresses), Teller::new("old".into()));
    let (mut now, mut random) = (Moment::default(), 1_u64);
    let mut arrives = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        lost == 0 || !(random >> 33).is_multiple_of(lost)
    };
    loop {
        now = now.max(pull.due());
        assert!(now.since(Moment::default()) < Duration::from_secs(60), "it comes to an end");
        let question = pull.poll(now).expect("it is due");
        if !arrives() {
            continue;
        }
        let Message::Question(question) = sent(&Message::Question(question)) else { panic!("a question") };
        let answers = match teller.hear(now, question) {
            Asked::List(asked) => teller.listed(&asked, has),
            Asked::Tell(answers) => answers,
            Asked::Nothing => panic!("the question is new, or has been listed"),
        };
        for answer in answers {
            let Message::Answer(answer) = sent(&Message::Answer(answer)) else { panic!("an answer") };
            if arrives() && pull.hear(answer) == Progress::Complete {
                return (pull.into_flows().into_iter().collect(), now.since(Moment::default()));
            }
        }
    }
}

#[test]
fn what_a_node_has_arrives_whole_whatever_is_lost() {
    let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
    let few = [flows("192.0.2.1", "10.0.0.1", 3), flows("2001:db8::1", "fd00::1", 2)].concat();
    let many = [flows("192.0.2.2", "10.0.0.1", 50_000), flows("2001:db8::1", "fd00::1", 50_000)].concat();
    for (has, lost) in [(&few, 0), (&few, 2), (&many, 0), (&many, 7), (&Vec::new(), 3)] {
        let (told, took) = told(&addresses, has, lost);
        assert_eq!(told.len(), has.len(), "one of {lost} is lost");
        assert!(has.iter().all(|flow| told.contains(flow)));
        println!("{} flows where one of {lost} datagrams is lost: waited {took:?}", has.len());
        assert!(lost > 0 || took.is_zero(), "it waits for nothing but what is lost");
    }
}

#[test]
fn what_was_not_asked_for_and_what_is_too_much_is_not_told_or_taken() {
    let has = [flows("192.0.2.1", "10.0.0.1", 50_010), flows("192.0.2.9", "10.0.0.1", 3)].concat();
    assert_eq!(told(&["192.0.2.1"], &has, 0).0.len(), super::MOST_FLOWS);
    let mut pull = pull(1, &["192.0.2.2"]);
    let answer = Answer {
        from: "old".into(),
        to: "new".into(),
        session: Session { boot: 5, counter: 1 },
        index: 0,
        count: 1,
        flows: has,
    };
    assert_eq!(pull.hear(Answer { from: "other".into(), count: 9, ..answer.clone() }), Progress::None);
    let other = Session { boot: 5, counter: 2 };
    assert_eq!(pull.hear(Answer { session: other, count: 9, ..answer.clone() }), Progress::None);
    assert_eq!(pull.hear(answer), Progress::Complete);
    assert_eq!(pull.into_flows(), []);
}

#[test]
fn a_question_is_listed_once_and_an_old_one_not_again() {
    let mut teller = Teller::new("old".into());
    let question = |boot, counter| Question {
        from: "new".into(),
        to: "old".into(),
        session: Session { boot, counter },
        first: 0,
        count: 4,
        addresses: vec![ip("192.0.2.1")],
    };
    let asked = BTreeSet::from([ip("192.0.2.1")]);
    let now = Moment::default();
    assert_eq!(teller.hear(now, Question { to: "third".into(), ..question(5, 1) }), Asked::Nothing);
    assert_eq!(teller.hear(now, question(5, 1)), Asked::List(asked.clone()));
    assert_eq!(teller.hear(now, question(5, 1)), Asked::Nothing, "it is being listed");
    assert_eq!(teller.hear(now, question(5, 2)), Asked::List(asked.clone()));
    assert_eq!(teller.listed(&asked, &[]).len(), 2, "both were waiting");
    assert!(matches!(teller.hear(now, question(5, 1)), Asked::Tell(_)));
    let later = now + Duration::from_secs(6);
    assert_eq!(teller.hear(later, question(5, 1)), Asked::Nothing, "it was asked before");
    assert_eq!(teller.hear(later, question(4, 9)), Asked::Nothing, "of an earlier start");
    assert_eq!(teller.hear(later, question(6, 1)), Asked::List(asked));
}

#[test]
fn who_has_another_key_or_is_of_another_installation_is_not_listened_to() {
    let message = Message::Question(Question {
        from: "new".into(),
        to: "old".into(),
        session: Session { boot: 1, counter: 1 },
        first: 0,
        count: 1,
        addresses: vec![ip("192.0.2.1")],
    });
    let bytes = message.seal(installation(), &keys());
    let open = |bytes: &[u8], name, key| Message::open(bytes, Installation::named(name), &Keys::new(&[key; 32], None));
    assert_eq!(open(&bytes, "test", 2), Ok(message), "either key will do");
    assert_eq!(open(&bytes, "test", 3), Err(Refusal::Key));
    assert_eq!(open(&bytes, "other", 1), Err(Refusal::Foreign));
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(open(&damaged, "test", 1).is_err() || at >= bytes.len() - 16, "byte {at}");
        assert!(open(&bytes[..at], "test", 1).is_err(), "cut at {at}");
    }
}
