//! Tells others which flows this node has. What it has is listed once for each question, and told from that list for as
//! long as portions of it are asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use super::{
    MOST_FLOWS,
    datagram::{Answer, Question, Session, portions},
};
use crate::{
    Moment, NodeName,
    heartbeat::window::{Order, Window},
    kernel::Flow,
};

/// Portions that are told at a time, whatever is asked for.
const MOST_AT_ONCE: u16 = 32;
/// Questions that are remembered at a time.
const MOST_QUESTIONS: usize = 256;
/// Nodes that are.
const MOST_NODES: usize = 512;
/// A question that nobody has repeated for so long is over.
const OVER: Duration = Duration::from_secs(5);

/// What comes of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: it is old, or what it asks for is being listed.
    Nothing,
    /// Connections of these addresses are to be listed, and given to [`Teller::listed`].
    List(BTreeSet<IpAddr>),
    /// To be sent to the node that asks.
    Tell(Vec<Answer>),
}

/// Which start of a node has asked, and what.
#[derive(Debug, Default)]
struct Asker {
    boot: u64,
    window: Window,
}

#[derive(Debug)]
struct Telling {
    question: Question,
    asked: Moment,
    /// Nothing as long as it is being listed.
    portions: Option<Vec<Vec<Flow>>>,
}

/// Tells.
#[derive(Debug)]
pub struct Teller {
    node: NodeName,
    askers: BTreeMap<NodeName, Asker>,
    tellings: BTreeMap<(NodeName, Session), Telling>,
}

impl Teller {
    /// What the node of that name has.
    pub fn new(node: NodeName) -> Self {
        Self { node, askers: BTreeMap::new(), tellings: BTreeMap::new() }
    }

    /// Hears a question.
    pub fn hear(&mut self, now: Moment, question: Question) -> Asked {
        self.tellings.retain(|_, telling| now.since(telling.asked) < OVER);
        if question.to != self.node || question.from == self.node {
            return Asked::Nothing;
        }
        let key = (question.from.clone(), question.session);
        if let Some(telling) = self.tellings.get_mut(&key) {
            telling.asked = now;
            (telling.question.first, telling.question.count) = (question.first, question.count);
            return telling.answers().map_or(Asked::Nothing, Asked::Tell);
        }
        if self.tellings.len() >= MOST_QUESTIONS || !self.is_new(&question) {
            return Asked::Nothing;
        }
        let addresses = question.addresses.iter().copied().collect();
        self.tellings.insert(key, Telling { question, asked: now, portions: None });
        Asked::List(addresses)
    }

    /// Whether it was not asked before: an old question that somebody sends again costs nothing but to be refused.
    fn is_new(&mut self, question: &Question) -> bool {
        if self.askers.len() >= MOST_NODES && !self.askers.contains_key(&question.from) {
            return false;
        }
        let asker = self.askers.entry(question.from.clone()).or_default();
        if question.session.boot < asker.boot {
            return false;
        }
        if question.session.boot > asker.boot {
            *asker = Asker { boot: question.session.boot, window: Window::default() };
        }
        asker.window.hear(question.session.counter) != Order::Again
    }

    /// All that were waiting for a list of `addresses` are answered from `flows`.
    pub fn listed(&mut self, addresses: &BTreeSet<IpAddr>, flows: &[Flow]) -> Vec<Answer> {
        let is_answered = |telling: &&mut Telling| {
            telling.portions.is_none() && telling.question.addresses.iter().all(|address| addresses.contains(address))
        };
        let answered = self.tellings.values_mut().filter(is_answered);
        answered.flat_map(|telling| telling.list(flows)).collect()
    }
}

impl Telling {
    fn list(&mut self, flows: &[Flow]) -> Vec<Answer> {
        let mut left: BTreeMap<IpAddr, usize> =
            self.question.addresses.iter().map(|address| (*address, MOST_FLOWS)).collect();
        let mut is_told = |flow: &Flow| {
            let left = left.get_mut(&flow.local().ip());
            left.is_some_and(|left| left.checked_sub(1).map(|less| *left = less).is_some())
        };
        let told = flows.iter().filter(|flow| is_told(flow)).copied().collect();
        self.portions = Some(portions(told, &self.question.to, &self.question.from));
        self.answers().unwrap_or_default()
    }

    /// The portions that were asked for last.
    fn answers(&self) -> Option<Vec<Answer>> {
        let portions = self.portions.as_ref()?;
        let count = u16::try_from(portions.len()).unwrap_or(u16::MAX);
        let wanted = self.question.first..self.question.first.saturating_add(self.question.count.min(MOST_AT_ONCE));
        let answer = |index: u16| {
            Some(Answer {
                from: self.question.to.clone(),
                to: self.question.from.clone(),
                session: self.question.session,
                index,
                count,
                flows: portions.get(usize::from(index)).filter(|_| index < count)?.clone(),
            })
        };
        Some(wanted.map_while(answer).collect())
    }
}
