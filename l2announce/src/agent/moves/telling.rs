//! Other nodes are told which connections this one has. Connections are listed on a thread of their own, once for all who
//! wait for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    Moment, NodeName,
    flows::{Answer, Asked, Question, Teller},
    heartbeat::LinkId,
    kernel::{self, Flow},
};

/// Connections of addresses.
#[derive(Debug)]
pub(in crate::agent) struct Listed {
    addresses: BTreeSet<IpAddr>,
    flows: Result<Vec<Flow>, kernel::Error>,
}

/// Tells.
#[derive(Debug)]
pub(super) struct Telling {
    teller: Teller,
    is_on: bool,
    /// Where each node asked last.
    links: BTreeMap<NodeName, LinkId>,
    is_listing: bool,
    wanted: BTreeSet<IpAddr>,
    tell: UnboundedSender<Listed>,
    lists: UnboundedReceiver<Listed>,
}

impl Telling {
    /// Where it is not on, everybody is told that there is nothing.
    pub(super) fn new(node: NodeName, is_on: bool) -> Self {
        let (tell, lists) = unbounded_channel();
        let (links, wanted) = (BTreeMap::new(), BTreeSet::new());
        Self { teller: Teller::new(node), is_on, links, is_listing: false, wanted, tell, lists }
    }

    /// The next list. Can be dropped at any time.
    pub(super) async fn lists(&mut self) -> Listed {
        self.lists.recv().await.expect("this holds the other end")
    }

    pub(super) fn hear(
        &mut self,
        now: Moment,
        link: LinkId,
        question: Question,
        own: impl Fn(IpAddr) -> bool,
    ) -> Vec<(LinkId, Answer)> {
        let asker = question.from.clone();
        match self.teller.hear(now, question) {
            Asked::Nothing => Vec::new(),
            Asked::Tell(answers) => answers.into_iter().map(|answer| (link, answer)).collect(),
            Asked::List(addresses) => {
                self.links.insert(asker, link);
                let told: BTreeSet<IpAddr> = addresses.iter().copied().filter(|address| own(*address)).collect();
                if !self.is_on || told.is_empty() {
                    return self.answer(&addresses, &[]);
                }
                self.wanted.extend(addresses);
                self.list();
                Vec::new()
            }
        }
    }

    fn list(&mut self) {
        if self.is_listing || self.wanted.is_empty() {
            return;
        }
        self.is_listing = true;
        let (addresses, tell) = (std::mem::take(&mut self.wanted), self.tell.clone());
        tokio::task::spawn_blocking(move || {
            let flows = kernel::connections(&addresses);
            // Nobody is told by a process that ends.
            let _ended = tell.send(Listed { addresses, flows });
        });
    }

    /// Who has waited is answered; where nothing could be listed, nobody is, and takes it as it is.
    pub(super) fn listed(&mut self, listed: Listed) -> Vec<(LinkId, Answer)> {
        self.is_listing = false;
        self.list();
        match listed.flows {
            Ok(flows) => self.answer(&listed.addresses, &flows),
            Err(error) => {
                tracing::warn!(%error, "connections cannot be told to the node that takes their address");
                Vec::new()
            }
        }
    }

    fn answer(&mut self, addresses: &BTreeSet<IpAddr>, flows: &[Flow]) -> Vec<(LinkId, Answer)> {
        let answers = self.teller.listed(addresses, flows);
        answers.into_iter().filter_map(|answer| Some((*self.links.get(&answer.to)?, answer))).collect()
    }
}
