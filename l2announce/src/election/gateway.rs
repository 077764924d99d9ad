//! Whether the gateway answers while no other node is heard: then this node is not the one that was cut off. Nobody is
//! asked while others are heard, but for a gateway that has never answered yet: one that never does proves nothing by its
//! silence. Knows nothing of routes nor of frames; [`Local::gateway_answers`](super::Local::gateway_answers) is what
//! comes of it.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use super::Profile;
use crate::{Moment, heartbeat::LinkId};

/// A gateway, and the link that it is on.
pub type Gateway = (LinkId, IpAddr);

/// Routes change; they are read again after so many questions.
const READ_AGAIN: u32 = 40;
/// The longest time between two questions to a gateway that has never answered, while others are heard.
const RARELY: Duration = Duration::from_secs(30);

/// What is known of the gateways of a node.
#[derive(Debug)]
pub struct Gateways {
    beat: Duration,
    /// So many questions without an answer are silence.
    misses: u32,
    started: Moment,
    known: BTreeSet<Gateway>,
    /// Those that have answered at any time.
    proven: BTreeSet<Gateway>,
    /// Whether one of those that can be asked has.
    is_proven: bool,
    /// When to ask one that has not, and how much later once more.
    proof: (Moment, Duration),
    /// Since the silence of the other nodes began.
    silence: Option<Silence>,
    wants_routes: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    asked: u32,
    /// Since the last answer.
    unanswered: u32,
    last: Option<Moment>,
    has_answered: bool,
}

impl Gateways {
    /// Of a node that starts `now`.
    pub fn new(now: Moment, profile: &Profile) -> Self {
        Self {
            beat: profile.beat,
            misses: profile.misses.saturating_sub(1).max(2),
            started: now,
            known: BTreeSet::new(),
            proven: BTreeSet::new(),
            is_proven: false,
            proof: (now, profile.beat),
            silence: None,
            wants_routes: false,
        }
    }

    /// Whether the routes should be read, for [`Self::known`]. True once.
    pub const fn wants_routes(&mut self) -> bool {
        std::mem::replace(&mut self.wants_routes, false)
    }

    /// These are the default gateways of the node.
    pub fn known(&mut self, now: Moment, gateways: BTreeSet<Gateway>) {
        if self.known != gateways {
            (self.known, self.proof) = (gateways, (now, self.beat));
        }
    }

    /// Whom to ask now, of those on `links`. Other nodes were heard `last`; nothing if never.
    pub fn poll(&mut self, now: Moment, last: Option<Moment>, links: &BTreeSet<LinkId>) -> BTreeSet<Gateway> {
        let at_hand: BTreeSet<_> = self.known.iter().filter(|(link, _)| links.contains(link)).copied().collect();
        self.is_proven = at_hand.iter().any(|gateway| self.proven.contains(gateway));
        let proves = self.proves(now);
        if now >= self.silent_at(last) {
            return if self.asks(now, !at_hand.is_empty()) { at_hand } else { BTreeSet::new() };
        }
        self.silence = None;
        if proves { at_hand } else { BTreeSet::new() }
    }

    /// Whether one that has never answered is to be asked.
    fn proves(&mut self, now: Moment) -> bool {
        let (at, pause) = self.proof;
        if self.is_proven || now < at {
            return false;
        }
        self.proof = (now + pause, (pause * 2).min(RARELY));
        self.wants_routes = true;
        true
    }

    fn asks(&mut self, now: Moment, is_at_hand: bool) -> bool {
        self.wants_routes |= self.silence.is_none();
        let silence = self.silence.get_or_insert_default();
        silence.last = silence.last.filter(|_| is_at_hand);
        if !is_at_hand || silence.last.is_some_and(|last| now < last + self.beat) {
            return false;
        }
        silence.asked = silence.asked.wrapping_add(1);
        silence.unanswered = silence.unanswered.saturating_add(1);
        silence.last = Some(now);
        self.wants_routes |= silence.asked.is_multiple_of(READ_AGAIN);
        true
    }

    /// From when on the others count as silent: a heartbeat late by a quarter is nothing.
    fn silent_at(&self, last: Option<Moment>) -> Moment {
        last.unwrap_or(self.started) + self.beat * 5 / 4
    }

    /// When to poll at the latest; nothing if that makes no difference.
    pub fn deadline(&self, now: Moment, last: Option<Moment>) -> Option<Moment> {
        let proof = (!self.is_proven).then_some(self.proof.0);
        let Some(silence) = &self.silence else { return Some(self.silent_at(last)).into_iter().chain(proof).min() };
        let asked = silence.last;
        let judged = asked.filter(|_| silence.unanswered == self.misses).map(|asked| asked + self.beat / 2);
        let judged = judged.filter(|judged| *judged > now);
        asked.map(|asked| asked + self.beat).into_iter().chain(judged).chain(proof).min()
    }

    /// It answers.
    pub fn heard(&mut self, gateway: Gateway) {
        if !self.known.contains(&gateway) {
            return;
        }
        self.proven.insert(gateway);
        self.is_proven = true;
        if let Some(silence) = &mut self.silence {
            (silence.unanswered, silence.has_answered) = (0, true);
        }
    }

    /// Whether one does; nothing while others are heard, and where none ever has. In a new silence it does not until its
    /// first answer is here, which takes milliseconds: nothing may be taken before that.
    pub fn answers(&self, now: Moment) -> Option<bool> {
        let silence = self.silence.filter(|_| self.is_proven)?;
        let is_late = silence.last.is_some_and(|last| now >= last + self.beat / 2);
        let is_silent = silence.unanswered > self.misses || (silence.unanswered == self.misses && is_late);
        Some(silence.has_answered && !is_silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAN: LinkId = 2;

    fn at(millis: u64) -> Moment {
        Moment::new(Duration::from_millis(millis))
    }

    fn gateway() -> Gateway {
        (LAN, [192, 0, 2, 254].into())
    }

    /// One that has answered before 1000 ms, if it `is_proven`.
    fn gateways(profile: &Profile, is_proven: bool) -> Gateways {
        let mut gateways = Gateways::new(at(0), profile);
        gateways.known(at(0), [gateway(), (7, [10, 0, 0, 1].into())].into());
        if is_proven {
            gateways.heard(gateway());
        }
        gateways
    }

    /// Times at which it is asked until `end`, others having been heard at 1000 ms for the last time.
    fn asked(gateways: &mut Gateways, begin: u64, end: u64) -> Vec<u64> {
        let links = BTreeSet::from([LAN]);
        let times = (begin..=end).filter(|millis| !gateways.poll(at(*millis), Some(at(1000)), &links).is_empty());
        times.collect()
    }

    #[test]
    fn a_gateway_that_does_not_answer_is_known_before_the_silent_nodes_count_as_lost() {
        for (profile, asks) in [(Profile::DEFAULT, vec![1313, 1563, 1813]), (Profile::FAST, vec![1125, 1225])] {
            let mut gateways = gateways(&profile, true);
            let millis = |duration: Duration| u64::try_from(duration.as_millis()).expect("short");
            let lost = 1000 + millis(profile.timeout());
            assert_eq!(asked(&mut gateways, 1000, lost - 1), asks);
            assert_eq!(gateways.answers(at(lost)), Some(false));
            gateways.heard(gateway());
            assert_eq!(gateways.answers(at(lost)), Some(true), "late is not never");
            let later = asked(&mut gateways, lost, lost + millis(profile.timeout()) - 1);
            let judged = later.get(asks.len() - 1).expect("it is asked on") + millis(profile.beat / 2);
            assert_eq!(gateways.answers(at(judged)), Some(false), "one that answers no more");
        }
    }

    #[test]
    fn nothing_is_concluded_before_the_first_answer_of_a_silence_and_all_after_it() {
        let mut gateways = gateways(&Profile::DEFAULT, true);
        assert_eq!(asked(&mut gateways, 1000, 1313), [1313]);
        assert_eq!(gateways.answers(at(1313)), Some(false));
        gateways.heard(gateway());
        assert_eq!(gateways.answers(at(1314)), Some(true));
        assert!(gateways.poll(at(1400), Some(at(1400)), &[LAN].into()).is_empty());
        assert_eq!(gateways.answers(at(1400)), None, "another node is heard");
    }

    #[test]
    fn nobody_is_asked_while_other_nodes_are_heard_but_for_one_that_has_never_answered() {
        for (is_proven, asks) in [(true, vec![]), (false, vec![0, 250, 750, 1750, 3750])] {
            let mut gateways = gateways(&Profile::DEFAULT, is_proven);
            let links = BTreeSet::from([LAN]);
            let is_asked = |millis: &u64| !gateways.poll(at(*millis), Some(at(*millis)), &links).is_empty();
            assert_eq!((0..5000).filter(is_asked).collect::<Vec<_>>(), asks);
            assert_eq!(gateways.answers(at(5000)), None);
        }
    }

    #[test]
    fn one_that_has_never_answered_and_one_on_another_link_prove_nothing() {
        for (links, is_asked) in [(BTreeSet::from([LAN]), true), ([3].into(), false)] {
            let mut gateways = gateways(&Profile::DEFAULT, false);
            for millis in 0..5000 {
                let asks = gateways.poll(at(millis), None, &links);
                assert!(is_asked || asks.is_empty());
                assert_eq!(gateways.answers(at(millis)), None);
            }
        }
        let mut gateways = gateways(&Profile::DEFAULT, false);
        assert_eq!(asked(&mut gateways, 1320, 1320), [1320]);
        gateways.heard(gateway());
        assert_eq!(gateways.answers(at(1320)), Some(true), "its first answer counts");
    }

    #[test]
    fn what_cannot_be_asked_any_more_is_not_waited_for() {
        let mut gateways = gateways(&Profile::DEFAULT, true);
        assert_eq!(asked(&mut gateways, 1400, 1400), [1400]);
        assert_eq!(gateways.deadline(at(1400), Some(at(1000))), Some(at(1650)));
        let without_link = |gateways: &mut Gateways| gateways.poll(at(1700), Some(at(1000)), &BTreeSet::new());
        assert!(without_link(&mut gateways).is_empty());
        assert_eq!(gateways.answers(at(1700)), None);
        assert!(gateways.deadline(at(1700), Some(at(1000))).is_some_and(|next| next > at(1700)));
    }

    #[test]
    fn routes_are_read_when_a_silence_begins_and_as_long_as_there_is_no_proof() {
        let mut proven = gateways(&Profile::DEFAULT, true);
        let _asked = proven.poll(at(1000), Some(at(1000)), &[LAN].into());
        assert!(!proven.wants_routes());
        let _asked = proven.poll(at(1400), Some(at(1000)), &[LAN].into());
        assert!(proven.wants_routes() && !proven.wants_routes());
        let mut nowhere = Gateways::new(at(0), &Profile::DEFAULT);
        let mut read = |millis: &u64| {
            let _nobody = nowhere.poll(at(*millis), Some(at(*millis)), &[LAN].into());
            nowhere.wants_routes()
        };
        assert_eq!((0..2000).filter(&mut read).collect::<Vec<_>>(), [0, 250, 750, 1750]);
    }
}
