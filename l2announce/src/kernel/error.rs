//! What can go wrong between us and the kernel, by who can mend it; and what one address or one link is refused for.

use std::{io, net::IpAddr, path::PathBuf, sync::Arc};

use rustix::io::Errno;

use super::ability::Lack;

/// Why the kernel state could not be brought about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel said no.
    #[error("the kernel refused to {doing}: {source}")]
    Refused {
        /// What it was asked for.
        doing: &'static str,
        /// What it answered.
        #[source]
        source: io::Error,
    },
    /// The kernel said something that we cannot read.
    #[error("the kernel's answer cannot be read when asked to {doing}: {reason}")]
    Unreadable {
        /// What it was asked for.
        doing: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the state directory could not be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file that remembers what links had before is not ours, or damaged.
    #[error(
        "{} line {line}: not a link and its former arp_ignore and arp_announce; remove the file, and set both by hand on \
         the links that it named",
        path.display()
    )]
    Former {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// Another process of ours keeps the turn to change the kernel state.
    #[error("{}: another process has been changing the kernel state for {seconds} s and has not come to an end", path.display())]
    Busy {
        /// The lock that it holds.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// What would be undone is in use.
    #[error("{}: a running process holds the kernel state of this node; it undoes it when it ends", path.display())]
    Held {
        /// The lock that is held.
        path: PathBuf,
    },
    /// This node cannot do it.
    #[error("{0}")]
    Lacks(#[from] Lack),
    /// There is no such link, or no longer.
    #[error("there is no link {0}")]
    NoLink(Arc<str>),
    /// A link on which nothing can be sent on.
    #[error("link {0} has no MAC address: flows cannot be handed back on it")]
    NoMac(Arc<str>),
    /// Packets would go round in a circle.
    #[error("the station to hand flows back to on link {0} is this node itself")]
    Itself(Arc<str>),
    /// Flows are handed back to more nodes than is sane.
    #[error("flows are handed back to {0} nodes already; no more than that are kept")]
    TooManyOwners(usize),
}

impl Error {
    /// Whether the same may well succeed a little later, though nobody does anything about it: somebody else has the turn,
    /// a message was lost, or what was read has been changed by others before it was acted upon. What this process may
    /// not do, or this kernel cannot, stays as it is.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Refused { source, .. } => is_passing(source),
            _ => false,
        }
    }
}

fn is_passing(source: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, Interrupted, NotFound, Other, OutOfMemory, ResourceBusy, TimedOut, WouldBlock};
    let kinds = [AlreadyExists, Interrupted, NotFound, OutOfMemory, Other, ResourceBusy, TimedOut, WouldBlock];
    kinds.contains(&source.kind()) || source.raw_os_error() == Some(Errno::NOBUFS.raw_os_error())
}

/// Why an address gets no kernel state, and so must not be announced by this node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It belongs to the node: silencing it would cut the node off.
    #[error("it is an address of this node already, on link {0}: remove it there, or serve it as a node address")]
    OnLink(Arc<str>),
    /// Somebody else made it local.
    #[error(
        "there is a local route of this address already, made by somebody else (protocol {0}): remove it with \
         `ip route del local ADDRESS table local`"
    )]
    ForeignRoute(u8),
    /// No address of that kind can be announced.
    #[error("it is not an address that one node can have")]
    NotUnicast,
    /// This node cannot take its traffic, or cannot answer for it.
    #[error("{0}")]
    Lacks(#[from] Lack),
}

/// Whether `address` can belong to one node of a segment.
pub(super) fn is_unicast(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || broadcast)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_or_cannot_be_done_does_not_pass() {
        let refused = |errno: Errno| Error::Refused { doing: "try", source: errno.into() };
        let table = [
            (Error::Busy { path: "/run/postern/turn".into(), seconds: 1 }, true),
            (refused(Errno::BUSY), true),
            (refused(Errno::AGAIN), true),
            (refused(Errno::NOBUFS), true),
            (refused(Errno::NOENT), true),
            (Error::Refused { doing: "list", source: io::ErrorKind::TimedOut.into() }, true),
            (refused(Errno::PERM), false),
            (refused(Errno::ACCESS), false),
            (refused(Errno::OPNOTSUPP), false),
            (refused(Errno::INVAL), false),
            (Error::Lacks(Lack::NetAdmin), false),
            (Error::File { path: "/run/postern".into(), source: Errno::ROFS.into() }, false),
        ];
        for (error, passes) in table {
            assert_eq!(error.is_passing(), passes, "{error}");
        }
    }
}
