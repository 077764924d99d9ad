//! What the snapshot says of an address → what the agent wants to know of it.

use std::{net::IpAddr, sync::Arc};

use imbl::OrdMap;
use postern_config::{allocation, snapshot};
use postern_l2announce::{
    Candidate, Interfaces, Port, Purpose, Transport,
    agent::{Candidates, Wish, Wishes},
};

/// As a snapshot has them; to copy them is cheap.
pub(super) type Announcements = OrdMap<IpAddr, Arc<snapshot::Announcement>>;

/// All of them.
pub(super) fn wishes(announcements: &Announcements) -> Wishes {
    announcements.iter().map(|(address, announcement)| (*address, wish(announcement))).collect()
}

fn wish(announcement: &snapshot::Announcement) -> Wish {
    let candidates = match &announcement.candidates {
        snapshot::Candidates::Named(nodes) => {
            Candidates::Named(nodes.iter().map(|(node, it)| (node.clone(), candidate(it))).collect())
        }
        snapshot::Candidates::Everybody(it) => Candidates::Everybody(candidate(it)),
    };
    let purpose = match announcement.purpose {
        allocation::Purpose::Served => Purpose::Served,
        allocation::Purpose::Foreign => Purpose::Foreign,
    };
    let foreign_ports = announcement.foreign_ports.iter().copied().map(port).collect();
    Wish { candidates, elected_as: announcement.elected_as, purpose, foreign_ports }
}

fn port(port: allocation::Port) -> Port {
    let transport = match port.transport {
        allocation::Transport::Tcp => Transport::Tcp,
        allocation::Transport::Udp => Transport::Udp,
        allocation::Transport::Sctp => Transport::Sctp,
    };
    Port { transport, number: port.number }
}

fn candidate(candidate: &snapshot::Candidate) -> Candidate {
    let interfaces = match &candidate.interfaces {
        snapshot::Interfaces::All => Interfaces::All,
        snapshot::Interfaces::Named(names) => Interfaces::Named(names.clone()),
    };
    Candidate { weight: candidate.weight, interfaces }
}
