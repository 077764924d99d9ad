//! What single nodes have to do with the status of a Gateway, in words.

use std::{collections::BTreeSet, sync::Arc};

use crate::snapshot::SocketKey;

/// Nodes that are named in one message.
const MOST_NAMES: usize = 8;

/// What is known of single nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nodes<'a> {
    /// Nodes that answer and have not served this state of the object for ten seconds.
    pub behind: &'a [Arc<str>],
    /// Nodes that should serve and have not answered for ten seconds; nobody waits for them. Sorted.
    pub silent: &'a [Arc<str>],
    /// Sockets that a node cannot have.
    pub unbound: &'a [Unbound],
}

/// A socket that a node cannot have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unbound {
    /// Which node.
    pub node: Arc<str>,
    /// Which socket, as objects name it.
    pub socket: SocketKey,
    /// Why not, and the way out.
    pub why: Arc<str>,
}

impl Nodes<'_> {
    /// Why an object is not programmed.
    pub(super) fn not_on_all(&self) -> String {
        match self.behind {
            [] => "Some nodes do not serve this generation yet".to_owned(),
            behind => format!("Not served for more than 10 s by {}", names(behind)),
        }
    }

    /// `good`, and which nodes nobody knows of.
    pub(super) fn except_silent(&self, good: &str) -> String {
        match self.silent {
            [] => good.to_owned(),
            [one] => format!("{good}; node {one} has not answered for 10 s"),
            several => format!("{good}; nodes {} have not answered for 10 s", names(several)),
        }
    }

    /// Which nodes lack one of `sockets`, and why.
    pub(super) fn unbound_of<'s>(&self, sockets: impl IntoIterator<Item = &'s SocketKey>) -> Option<String> {
        let sockets: BTreeSet<_> = sockets.into_iter().collect();
        let unbound = self.unbound.iter().filter(|unbound| sockets.contains(&unbound.socket));
        let said: Vec<_> = unbound.map(|Unbound { node, why, .. }| format!("node {node}: {why}")).collect();
        (!said.is_empty()).then(|| said.join(" | "))
    }
}

fn names(nodes: &[Arc<str>]) -> String {
    let mut text = nodes.iter().take(MOST_NAMES).map(|name| &**name).collect::<Vec<_>>().join(", ");
    if let Some(more) = nodes.len().checked_sub(MOST_NAMES).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
