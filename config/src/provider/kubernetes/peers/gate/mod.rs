//! What is programmed: acknowledged by every node that counts, or that node silent for ten seconds and named.
//!
//! Pure: time is an argument. A member counts while its pod is ready and not on its way out; one that says it does not
//! serve is not waited for. What was programmed once stays so until the object changes: nodes that come later have it
//! in force before they are ready. Whoever begins a term decides nothing before all have reported, or ten seconds.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{Acknowledgement, Heard, MemberView, Portion, Problem, Version, View, Word, acknowledgement::mark};
use crate::{
    kubernetes::{
        announced::{Account, Accounts},
        status::{Unbound, waits_for_nodes},
        store::{Key, Store},
    },
    provider::InForce,
};

/// After that long without a word nobody waits for a node any more.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// Addresses that one portion may be about.
const MOST_PARTS: usize = 1000;

/// Who should be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Members {
    /// Nobody says: this Postern speaks for itself alone.
    #[default]
    Alone,
    /// There is a list that could not be read yet: those that have joined count.
    Unknown,
    /// These, by the names of their pods.
    Known(BTreeMap<Arc<str>, Member>),
}

/// One of the Posterns of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// The node that it is on.
    pub(crate) node: Arc<str>,
    /// Where it is reached.
    pub(crate) address: Option<IpAddr>,
    /// Ready, and not on its way out.
    pub(crate) counts: bool,
}

/// Whether an object is programmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is too early to say.
    #[default]
    Undecided,
    /// Some nodes lack it; named are those that had ten seconds.
    Pending(Arc<[Arc<str>]>),
    /// All have it.
    Programmed,
}

/// What is to be shown anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Objects whose standing has changed.
    pub(crate) objects: Vec<Key>,
    /// Whether [`Gate::silent`] or [`Gate::unbound`] has changed.
    pub(crate) nodes: bool,
}

/// See the module.
pub(crate) struct Gate {
    me: Arc<str>,
    members: Members,
    /// Members that count, us not among them, and since when.
    counted: BTreeMap<Arc<str>, Instant>,
    nodes: BTreeMap<Arc<str>, Node>,
    term: Option<Term>,
    own: HashMap<Key, Own>,
    pending: HashSet<Key>,
    own_problems: Vec<Problem>,
    own_table: u64,
    silent: Vec<Arc<str>>,
    unbound: Vec<Unbound>,
    own_account: Option<Arc<Account>>,
    /// Whether [`Gate::accounts`] says something else than before.
    has_news: bool,
}

#[derive(Clone, Copy)]
struct Term {
    began: Instant,
    /// Whether everybody had the time to report.
    decided: bool,
}

/// An object that is in force here.
struct Own {
    mark: u128,
    version: Version,
    since: Instant,
    standing: Standing,
}

/// What a node has said.
struct Node {
    name: Arc<str>,
    serves: bool,
    version: Arc<str>,
    connected: bool,
    reported: bool,
    heard: Instant,
    served: HashMap<u128, Version>,
    table: u64,
    problems: Vec<Problem>,
    account: Option<Arc<Account>>,
    /// What it is about to say of addresses.
    coming: Account,
}

impl Gate {
    /// Of the Postern that is called `me` among its peers.
    pub(crate) fn new(me: Arc<str>, members: Members) -> Self {
        Self {
            me,
            members,
            counted: BTreeMap::new(),
            nodes: BTreeMap::new(),
            term: None,
            own: HashMap::new(),
            pending: HashSet::new(),
            own_problems: Vec::new(),
            own_table: 0,
            silent: Vec::new(),
            unbound: Vec::new(),
            own_account: None,
            has_news: false,
        }
    }

    /// What this node says of addresses.
    pub(crate) fn set_account(&mut self, account: Arc<Account>) {
        self.own_account = Some(account);
        self.has_news = true;
    }

    /// Whether [`Gate::accounts`] says something else than when this was asked last.
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// What all nodes that are heard say of addresses.
    pub(crate) fn accounts(&self, now: Instant) -> Accounts {
        let is_heard = |node: &&Node| node.connected && now.duration_since(node.heard) < SILENCE;
        let of_others = self.nodes.values().filter(is_heard).filter_map(|node| node.account.as_ref());
        of_others.chain(&self.own_account).map(|account| (account.node.clone(), account.clone())).collect()
    }

    /// Since when it is us who decide.
    pub(crate) fn decides_since(&self) -> Option<Instant> {
        self.term.map(|term| term.began)
    }

    /// Nodes that count and are not waited for, by name.
    pub(crate) fn silent(&self) -> &[Arc<str>] {
        &self.silent
    }

    /// Sockets that nodes cannot have.
    pub(crate) fn unbound(&self) -> &[Unbound] {
        &self.unbound
    }

    /// Whether `key` is programmed.
    pub(crate) fn standing(&self, key: &Key) -> Standing {
        match self.own.get(key) {
            Some(own) => own.standing.clone(),
            None if waits_for_nodes(key.kind) => Standing::Undecided,
            None => Standing::Programmed,
        }
    }

    /// From `now` on it is us who decide, of what is in `store`.
    pub(crate) fn begin_term(&mut self, store: &Store, now: Instant) {
        self.end_term();
        self.term = Some(Term { began: now, decided: false });
        let gated = store.iter().filter(|(key, _)| waits_for_nodes(key.kind));
        gated.for_each(|(key, object)| self.put(key, Version::of(object), now));
    }

    /// Others decide: nothing is kept, but of those that are still here.
    pub(crate) fn end_term(&mut self) {
        (self.term, self.own_table) = (None, 0);
        (self.own, self.pending) = (HashMap::new(), HashSet::new());
        self.nodes.retain(|_, node| node.connected);
        (self.silent, self.unbound) = (Vec::new(), Vec::new());
    }

    /// What has changed is in force here.
    pub(crate) fn in_force(&mut self, news: &InForce, now: Instant) {
        if self.term.is_none() {
            return;
        }
        for key in news.touched.iter().filter(|key| waits_for_nodes(key.kind)) {
            match news.store.get(key) {
                Some(object) => self.put(key, Version::of(object), now),
                None => self.forget(key),
            }
        }
    }

    fn put(&mut self, key: &Key, version: Version, now: Instant) {
        if self.own.get(key).is_some_and(|own| own.version == version) {
            return;
        }
        self.forget(key);
        let own = Own { mark: mark(key), version, since: now, standing: Standing::Undecided };
        self.own_table ^= Acknowledgement { object: own.mark, version: Some(version) }.hash();
        self.own.insert(key.clone(), own);
        self.pending.insert(key.clone());
    }

    fn forget(&mut self, key: &Key) {
        self.pending.remove(key);
        if let Some(own) = self.own.remove(key) {
            self.own_table ^= Acknowledgement { object: own.mark, version: Some(own.version) }.hash();
        }
    }

    /// The cluster shows already what it would show once `key` is programmed: whoever wrote that knew that it is.
    pub(crate) fn settle(&mut self, key: &Key) {
        self.pending.remove(key);
        if let Some(own) = self.own.get_mut(key) {
            own.standing = Standing::Programmed;
        }
    }

    /// The sockets that this node cannot have.
    pub(crate) fn set_problems(&mut self, problems: Vec<Problem>) {
        self.own_problems = problems;
    }

    /// Who should be there, as of `now`.
    pub(crate) fn set_members(&mut self, members: Members, now: Instant) {
        self.members = members;
        let Members::Known(members) = &self.members else { return };
        let counts = members.iter().filter(|(name, member)| member.counts && **name != self.me);
        let since = |name: &Arc<str>| self.counted.get(name).copied().unwrap_or(now);
        self.counted = counts.map(|(name, _)| (name.clone(), since(name))).collect();
        self.nodes.retain(|name, node| node.connected || members.contains_key(name));
    }

    /// Takes a node's word; it may come shortly before we know of our own term.
    pub(crate) fn hear(&mut self, heard: Heard, now: Instant) {
        if let Word::Joined { node: name, serves, version } = heard.word {
            let (served, problems) = (HashMap::new(), Vec::new());
            let (connected, reported, heard_at, table) = (true, false, now, 0);
            let (account, coming) = (None, Account::default());
            let node = Node {
                name,
                serves,
                version,
                connected,
                reported,
                heard: heard_at,
                served,
                table,
                problems,
                account,
                coming,
            };
            self.nodes.insert(heard.member, node);
            return;
        }
        self.has_news |= matches!(heard.word, Word::Account(Portion { ends: true, .. }) | Word::Left);
        match (self.nodes.get_mut(&heard.member), heard.word) {
            (Some(node), Word::Left) if self.term.is_some() => node.connected = false,
            (Some(_), Word::Left) => drop(self.nodes.remove(&heard.member)),
            (Some(node), word) => node.take(word, now),
            (None, _) => {}
        }
    }

    /// Draws conclusions as of `now`.
    pub(crate) fn look(&mut self, now: Instant) -> Look {
        let Some(term) = self.term else { return Look::default() };
        let silent = self.silent_members(now);
        self.term = Some(Term { decided: term.decided || self.has_decided(&silent, now), ..term });
        let objects = self.judge(&silent, now);
        let silent: BTreeSet<_> = silent.iter().map(|name| self.node_of(name)).collect();
        let silent = Vec::from_iter(silent);
        let unbound = self.all_unbound();
        let nodes = (&self.silent, &self.unbound) != (&silent, &unbound);
        (self.silent, self.unbound) = (silent, unbound);
        Look { objects, nodes }
    }

    /// When to look again, if nothing happens before.
    pub(crate) fn wake(&self, now: Instant) -> Option<Instant> {
        let term = self.term?;
        let decide = (!term.decided).then_some(term.began + SILENCE);
        let silent = self.voters().filter_map(|(name, since)| Some(self.last_sign(&name, since)? + SILENCE));
        let behind = self.pending.iter().filter_map(|key| Some(self.own.get(key)?.since + SILENCE));
        decide.into_iter().chain(silent).chain(behind).filter(|at| *at > now).min()
    }

    /// Who should acknowledge, and since when.
    fn voters(&self) -> impl Iterator<Item = (Arc<str>, Instant)> {
        let serves = |name: &Arc<str>| self.nodes.get(name).is_none_or(|node| node.serves);
        let joined = self.nodes.iter().filter(|(_, node)| node.connected).map(|(name, node)| (name, node.heard));
        let joined = joined.filter(|_| self.members == Members::Unknown);
        let counted = self.counted.iter().map(|(name, since)| (name, *since));
        joined.chain(counted).filter(move |(name, _)| serves(name)).map(|(name, since)| (name.clone(), since))
    }

    /// When a voter that counts `since` then has shown last that it is there.
    fn last_sign(&self, name: &str, since: Instant) -> Option<Instant> {
        let begin = since.max(self.term?.began);
        Some(self.nodes.get(name).map_or(begin, |node| begin.max(node.heard)))
    }

    fn silent_members(&self, now: Instant) -> BTreeSet<Arc<str>> {
        let is_silent = |(name, since): &(Arc<str>, Instant)| {
            self.last_sign(name, *since).is_some_and(|last| now.duration_since(last) >= SILENCE)
        };
        self.voters().filter(is_silent).map(|(name, _)| name).collect()
    }

    fn has_decided(&self, silent: &BTreeSet<Arc<str>>, now: Instant) -> bool {
        let in_time = self.term.is_some_and(|term| now.duration_since(term.began) < SILENCE);
        let reported = |name: &Arc<str>| self.nodes.get(name).is_some_and(|node| node.reported);
        let all = || self.voters().all(|(name, _)| silent.contains(&name) || reported(&name));
        !in_time || (self.members != Members::Unknown && all())
    }

    /// Judges what is not programmed; returns what stands otherwise than before.
    fn judge(&mut self, silent: &BTreeSet<Arc<str>>, now: Instant) -> Vec<Key> {
        let decided = self.term.is_some_and(|term| term.decided);
        let voters: Vec<_> = self.voters().map(|(name, _)| name).filter(|name| !silent.contains(name)).collect();
        let mut changed = Vec::new();
        for key in &self.pending {
            let Some(own) = self.own.get(key) else { continue };
            let lacks = |name: &&Arc<str>| !self.nodes.get(*name).is_some_and(|node| node.has(own));
            let lacking: BTreeSet<_> = voters.iter().filter(lacks).map(|name| self.node_of(name)).collect();
            let standing = match () {
                () if !decided => Standing::Undecided,
                () if lacking.is_empty() => Standing::Programmed,
                () if now.duration_since(own.since) < SILENCE => Standing::Pending(Arc::default()),
                () => Standing::Pending(lacking.into_iter().collect()),
            };
            if standing != own.standing {
                changed.push((key.clone(), standing));
            }
        }
        for (key, standing) in &changed {
            if *standing == Standing::Programmed {
                self.pending.remove(key);
            }
            if let Some(own) = self.own.get_mut(key) {
                own.standing = standing.clone();
            }
        }
        changed.into_iter().map(|(key, _)| key).collect()
    }

    /// The name that people know a member by.
    fn node_of(&self, member: &Arc<str>) -> Arc<str> {
        let listed = match &self.members {
            Members::Known(members) => members.get(member).map(|member| &member.node),
            _ => None,
        };
        let said = || self.nodes.get(member).map(|node| &node.name);
        listed.filter(|node| !node.is_empty()).or_else(said).unwrap_or(member).clone()
    }

    fn all_unbound(&self) -> Vec<Unbound> {
        let of = |member: &Arc<str>, problems: &[Problem]| {
            let node = self.node_of(member);
            let unbound = problems.iter().map(|(socket, why)| (node.clone(), *socket, why.clone()));
            unbound.map(|(node, socket, why)| Unbound { node, socket, why }).collect::<Vec<_>>()
        };
        let mut all = of(&self.me, &self.own_problems);
        for (name, _) in self.voters() {
            all.extend(self.nodes.get(&name).map(|node| of(&name, &node.problems)).unwrap_or_default());
        }
        all.sort();
        all
    }

    /// What people are shown.
    pub(crate) fn view(&self, now: Instant) -> View {
        let silent = self.silent_members(now);
        let voters: BTreeSet<_> = self.voters().map(|(name, _)| name).collect();
        let listed = match &self.members {
            Members::Known(members) => members.keys().filter(|name| **name != self.me).cloned().collect(),
            _ => BTreeSet::new(),
        };
        let names: BTreeSet<_> = listed.into_iter().chain(self.nodes.keys().cloned()).collect();
        let member = |name: Arc<str>| {
            let node = self.nodes.get(&name);
            let waits = |key: &&Key| self.own.get(*key).is_some_and(|own| !node.is_some_and(|node| node.has(own)));
            let counts = voters.contains(&name);
            MemberView {
                node: self.node_of(&name),
                counts,
                connected: node.is_some_and(|node| node.connected),
                version: node.map(|node| node.version.clone()),
                heard: node.map(|node| node.heard),
                silent: silent.contains(&name),
                waiting: if counts { self.pending.iter().filter(waits).count() } else { 0 },
                table: node.map_or(0, |node| node.table),
                name,
            }
        };
        View {
            holds: self.term.is_some(),
            members: names.into_iter().map(member).collect(),
            waiting_since: self.pending.iter().filter_map(|key| Some(self.own.get(key)?.since)).min(),
            waiting: self.pending.len(),
            table: self.own_table,
        }
    }
}

impl Node {
    fn take(&mut self, word: Word, now: Instant) {
        self.heard = now;
        match word {
            Word::Acknowledged(all) => all.into_iter().for_each(|acknowledgement| self.acknowledged(acknowledgement)),
            Word::Reported => self.reported = true,
            Word::Unbound(problems) => self.problems = problems,
            Word::Account(portion) => self.accounts_for(portion),
            Word::Alive | Word::Joined { .. } | Word::Left => {}
        }
    }

    fn accounts_for(&mut self, portion: Portion) {
        if portion.begins {
            self.coming = Account::default();
        }
        self.coming.node = portion.node;
        self.coming.parts.extend(portion.parts.into_iter().take(MOST_PARTS));
        if portion.ends {
            self.account = Some(Arc::new(std::mem::take(&mut self.coming)));
        }
    }

    fn acknowledged(&mut self, acknowledgement: Acknowledgement) {
        let Acknowledgement { object, version } = acknowledgement;
        let before = match version {
            Some(version) => self.served.insert(object, version),
            None => self.served.remove(&object),
        };
        for version in [before, version].into_iter().flatten() {
            self.table ^= Acknowledgement { object, version: Some(version) }.hash();
        }
    }

    fn has(&self, own: &Own) -> bool {
        self.served.get(&own.mark).is_some_and(|version| version.covers(own.version))
    }
}

#[cfg(test)]
mod tests;
