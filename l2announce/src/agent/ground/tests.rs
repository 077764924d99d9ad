//! What becomes of addresses while the kernel is slow, busy or refuses, on a kernel of the tests.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::{
    Purpose,
    kernel::{Applied, Error, Lack, Refusal},
};

type Answer = Result<Applied, Error>;

/// A kernel that answers when it is told what.
struct Slow {
    ground: Ground,
    asked: Receiver<Wanted>,
    answers: Sender<Answer>,
}

impl Slow {
    fn new() -> Self {
        let (ask, asked) = channel();
        let (answers, answered) = channel::<Answer>();
        let ground = Ground::over(move |wanted: &Wanted| {
            ask.send(wanted.clone()).expect("the test waits");
            answered.recv().expect("the test answers")
        });
        Self { ground, asked, answers }
    }

    fn want(&mut self, numbers: &[u8]) {
        let addresses = numbers.iter().map(|number| (ip(*number), Purpose::Served)).collect();
        let links = [Arc::from("eth0")].into();
        self.ground.want(Wanted { addresses, links, ..Wanted::default() });
    }

    fn is_asked_for(&self, numbers: &[u8]) {
        let wanted = self.asked.recv().expect("the thread runs");
        assert_eq!(
            wanted.addresses.into_keys().collect::<Vec<_>>(),
            numbers.iter().copied().map(ip).collect::<Vec<_>>()
        );
    }

    async fn answer(&mut self, answer: Answer) {
        self.answers.send(answer).expect("the thread waits");
        let done = self.ground.answers().await;
        self.ground.answered(done);
    }

    fn may(&self, number: u8) -> Result<(), String> {
        self.ground.verdict(ip(number)).map_err(|why| why.to_string())
    }
}

fn ip(number: u8) -> IpAddr {
    [192, 0, 2, number].into()
}

fn busy() -> Answer {
    Err(Error::Busy { path: "/run/postern/turn".into(), seconds: 1 })
}

#[tokio::test]
async fn a_slow_kernel_keeps_nobody_waiting_and_gets_states_in_their_order() {
    let mut slow = Slow::new();
    slow.want(&[1]);
    slow.is_asked_for(&[1]);
    // It works on the first now, for as long as the test likes; orders come back at once all the same.
    (2..=100).for_each(|number| slow.want(&[1, number]));
    assert!(!slow.ground.has_answered());
    assert!(slow.may(1).is_err_and(|why| why.contains("being told")));
    slow.answer(Ok(Applied::default())).await;
    assert_eq!(slow.may(1), Ok(()), "what was done counts, though more is wanted");
    assert!(slow.may(100).is_err());
    slow.is_asked_for(&[1, 100]);
    slow.answer(Ok(Applied::default())).await;
    assert_eq!((slow.may(1), slow.may(100)), (Ok(()), Ok(())));
    assert!(slow.ground.has_answered() && slow.ground.covers("eth0"));
    assert!(slow.asked.try_recv().is_err(), "states that a newer one has replaced are never set");
}

#[tokio::test]
async fn a_busy_kernel_is_asked_again_and_takes_nothing_away() {
    let mut slow = Slow::new();
    slow.want(&[1]);
    slow.is_asked_for(&[1]);
    slow.answer(Ok(Applied::default())).await;
    slow.want(&[1, 2]);
    for _ in 0..3 {
        slow.is_asked_for(&[1, 2]);
        slow.answer(busy()).await;
        assert_eq!(slow.may(1), Ok(()), "it is announced still");
        assert!(slow.may(2).is_err_and(|why| why.contains("asked again") && why.contains("turn")), "and that is said");
    }
    slow.is_asked_for(&[1, 2]);
    slow.answer(Ok(Applied::default())).await;
    assert_eq!((slow.may(1), slow.may(2)), (Ok(()), Ok(())));
}

#[tokio::test]
async fn what_is_refused_for_good_is_withdrawn_and_named() {
    let mut slow = Slow::new();
    slow.want(&[1, 2]);
    slow.is_asked_for(&[1, 2]);
    slow.answer(Ok(Applied::default())).await;
    slow.ground.settle();
    slow.is_asked_for(&[1, 2]);
    let refused = BTreeMap::from([(ip(2), Refusal::OnLink("eth1".into()))]);
    slow.answer(Ok(Applied { refused, ..Applied::default() })).await;
    assert_eq!(slow.may(1), Ok(()));
    assert!(slow.may(2).is_err_and(|why| why.contains("eth1")));
    slow.ground.settle();
    slow.is_asked_for(&[1, 2]);
    slow.answer(Err(Error::Lacks(Lack::NetAdmin))).await;
    assert!(slow.may(1).is_err_and(|why| why.contains("CAP_NET_ADMIN")));
}

#[test]
fn pauses_grow_up_to_a_bound() {
    let pauses = keeper::pauses(8);
    let millis: Vec<u128> = pauses.iter().map(std::time::Duration::as_millis).collect();
    assert_eq!(millis, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
}
