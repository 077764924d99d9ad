//! The solicited-node groups that a link listens to, one for each address or a few.

use std::{collections::BTreeMap, io, net::Ipv6Addr};

use socket2::{Domain, Socket, Type};

use super::{PacketSocket, SocketError};
use crate::wire::{multicast_mac, solicited_node};

/// How many groups one socket joins: the kernel bounds what a socket may hold (`net.core.optmem_max`).
const GROUPS_PER_SOCKET: usize = 64;

/// The groups that one link was told to listen to. All are left when this goes.
#[derive(Debug, Default)]
pub struct Groups {
    /// How many addresses need a group, and which socket told the switches of it.
    joined: BTreeMap<Ipv6Addr, Membership>,
    reporters: Vec<(Socket, usize)>,
}

#[derive(Debug)]
struct Membership {
    addresses: usize,
    reporter: Option<usize>,
}

impl Groups {
    /// Listens for solicitations of `address` on the link with this number.
    pub fn join(&mut self, packets: &PacketSocket, index: u32, address: Ipv6Addr) -> Result<(), SocketError> {
        let group = solicited_node(address);
        if let Some(membership) = self.joined.get_mut(&group) {
            membership.addresses += 1;
            return Ok(());
        }
        packets.join(multicast_mac(group))?;
        let reporter = self.report(index, group).inspect_err(|error| {
            tracing::debug!(%group, index, %error, "switches are not told of a group: they must pass it on unasked");
        });
        self.joined.insert(group, Membership { addresses: 1, reporter: reporter.ok() });
        Ok(())
    }

    /// Ends what [`Self::join`] began for `address`.
    pub fn leave(&mut self, packets: &PacketSocket, index: u32, address: Ipv6Addr) {
        let group = solicited_node(address);
        let Some(membership) = self.joined.get_mut(&group) else { return };
        membership.addresses -= 1;
        if membership.addresses > 0 {
            return;
        }
        let membership = self.joined.remove(&group).expect("it was found");
        // A link that is gone has left all groups.
        let _ = packets.leave(multicast_mac(group));
        if let Some((socket, count)) = membership.reporter.and_then(|at| self.reporters.get_mut(at)) {
            let _ = socket.leave_multicast_v6(&group, index);
            *count -= 1;
        }
    }

    /// Joins as an IPv6 host does, so that switches that watch for it (MLD snooping) pass the group on to this link.
    fn report(&mut self, index: u32, group: Ipv6Addr) -> io::Result<usize> {
        let at = match self.reporters.iter().position(|(_, count)| *count < GROUPS_PER_SOCKET) {
            Some(at) => at,
            None => {
                self.reporters.push((Socket::new(Domain::IPV6, Type::DGRAM.cloexec(), None)?, 0));
                self.reporters.len() - 1
            }
        };
        let (socket, count) = self.reporters.get_mut(at).expect("it was found or added");
        socket.join_multicast_v6(&group, index)?;
        *count += 1;
        Ok(at)
    }
}
