//! One node is asked which flows it has, until everything has arrived: a few portions at a time, and again those that
//! were lost.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use super::{
    MOST_FLOWS,
    datagram::{Answer, Question, Session},
};
use crate::{Moment, NodeName, kernel::Flow};

/// Portions that are asked for at a time: what a socket's buffer takes from several nodes at once.
const WINDOW: u16 = 16;
/// When nothing has come for so long it is asked again.
const AGAIN: Duration = Duration::from_millis(25);

/// What an answer has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It was none to this question, or had been heard.
    None,
    /// Something is still missing.
    Some,
    /// Everything is there.
    Complete,
}

/// Asks one node.
#[derive(Debug)]
pub struct Pull {
    question: Question,
    portions: BTreeMap<u16, Vec<Flow>>,
    count: Option<u16>,
    asked: Moment,
    is_due: bool,
}

impl Pull {
    /// `from` asks `to` for its flows at `addresses`.
    pub fn new(now: Moment, from: NodeName, to: NodeName, session: Session, addresses: Vec<IpAddr>) -> Self {
        let question = Question { from, to, session, first: 0, count: WINDOW, addresses };
        Self { question, portions: BTreeMap::new(), count: None, asked: now, is_due: true }
    }

    /// Who is asked.
    pub const fn node(&self) -> &NodeName {
        &self.question.to
    }

    /// When to ask again.
    pub fn due(&self) -> Moment {
        if self.is_due { self.asked } else { self.asked + AGAIN }
    }

    /// What to send now, if anything.
    pub fn poll(&mut self, now: Moment) -> Option<Question> {
        if now < self.due() {
            return None;
        }
        (self.asked, self.is_due) = (now, false);
        self.question.first = self.missing();
        Some(self.question.clone())
    }

    /// The first portion that has not come.
    fn missing(&self) -> u16 {
        let next = self.portions.keys().zip(0_u16..).find(|(portion, at)| *portion != at);
        next.map_or_else(|| u16::try_from(self.portions.len()).unwrap_or(u16::MAX), |(_, at)| at)
    }

    /// Takes an answer in.
    pub fn hear(&mut self, answer: Answer) -> Progress {
        let is_meant = answer.from == self.question.to && answer.session == self.question.session;
        if !is_meant
            || *self.count.get_or_insert(answer.count) != answer.count
            || self.portions.contains_key(&answer.index)
        {
            return Progress::None;
        }
        self.portions.insert(answer.index, answer.flows);
        if self.portions.len() == usize::from(answer.count) {
            return Progress::Complete;
        }
        self.is_due |= self.missing() >= self.question.first.saturating_add(WINDOW);
        Progress::Some
    }

    /// What has come, at the addresses that were asked for.
    pub fn into_flows(self) -> Vec<Flow> {
        let mut left: BTreeMap<IpAddr, usize> =
            self.question.addresses.iter().map(|address| (*address, MOST_FLOWS)).collect();
        let mut is_wanted = |flow: &Flow| match left.get_mut(&flow.local().ip()) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        };
        self.portions.into_values().flatten().filter(|flow| is_wanted(flow)).collect()
    }
}
