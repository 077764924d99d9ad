//! What election asks to be done, and what it is told of it.

use std::net::IpAddr;

use pnet_base::MacAddr;

/// One thing to do, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask the segment whether somebody has the address; an outcome is waited for.
    Probe {
        /// Which.
        address: IpAddr,
        /// How thoroughly.
        probe: Probe,
    },
    /// Get ready to take the address from its owner, who offers it and goes on answering meanwhile;
    /// [`Input::Prepared`](super::Input::Prepared) is waited for, but not for long.
    Prepare {
        /// Which.
        address: IpAddr,
    },
    /// Answer for the address, and say so to everybody (a burst of gratuitous ARP or unsolicited advertisements); what is
    /// announced already is only said again.
    Announce {
        /// Which.
        address: IpAddr,
    },
    /// Stop whatever is under way for the address, answers and probes, without a word. Frames that wait to be answered are
    /// dropped.
    Withdraw {
        /// Which.
        address: IpAddr,
    },
    /// Say once that the address is ours (RFC 5227, section 2.4).
    Defend {
        /// Which.
        address: IpAddr,
    },
    /// Send a heartbeat on every link, now.
    Beat,
}

/// How thoroughly the segment is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// Three times, 20 ms apart: on a take-over, where all that matters is whether the last owner still answers.
    Short,
    /// As RFC 5227, section 2.1.1 wants it for an address that is used for the first time: 0.8 to 7 seconds, as the link
    /// is.
    Full,
}

/// What a probe has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody has the address.
    Free,
    /// Whoever has this hardware address.
    Taken(MacAddr),
    /// Nobody yet, but whoever has this hardware address asks for it too.
    Wanted(MacAddr),
}
