//! What the kernel tells of links and addresses: everything at first, changes from then on, and everything again when it
//! had to drop some.

use std::{io, path::Path};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::task::JoinHandle;

use super::{Change, Links};

const GROUPS: [MulticastGroup; 3] = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];

/// Follows the links of the network namespace that it was opened in.
pub struct Watch {
    handle: Handle,
    messages: Box<dyn stream::Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Send + Unpin>,
    connection: JoinHandle<()>,
    /// Messages were lost since everything was listed.
    is_stale: bool,
}

/// The kernel doesn't tell of its links.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There is no socket for it.
    #[error("cannot open a route netlink socket, by which links are followed: {0}")]
    Open(#[source] io::Error),
    /// It refused to tell what there is.
    #[error("the kernel does not list its links and addresses: {0}")]
    List(#[source] rtnetlink::Error),
    /// The socket ended.
    #[error("the route netlink socket, by which links are followed, was closed")]
    Closed,
}

impl Watch {
    /// Opens the source and takes all links in.
    pub async fn open(links: &mut Links) -> Result<Self, WatchError> {
        let (connection, handle, messages) = new_multicast_connection(&GROUPS).map_err(WatchError::Open)?;
        let messages = Box::new(messages.map(|(message, _)| message));
        let mut watch = Self { handle, messages, connection: tokio::spawn(connection), is_stale: true };
        watch.list(links).await?;
        Ok(watch)
    }

    /// Waits for the next messages and takes them in. True if they are news. May be dropped while it waits.
    pub async fn next(&mut self, links: &mut Links) -> Result<bool, WatchError> {
        if self.is_stale {
            self.list(links).await?;
            return Ok(true);
        }
        let message = self.messages.next().await.ok_or(WatchError::Closed)?;
        match message.payload {
            NetlinkPayload::InnerMessage(message) => {
                Ok(Change::read(&message, is_wireless).is_some_and(|change| links.apply(change)))
            }
            NetlinkPayload::Overrun(_) => {
                tracing::warn!("the kernel dropped messages about links, all are read anew");
                self.is_stale = true;
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    async fn list(&mut self, links: &mut Links) -> Result<(), WatchError> {
        let all_links = self.handle.link().get().execute().map_ok(RouteNetlinkMessage::NewLink);
        let mut all: Vec<RouteNetlinkMessage> = all_links.try_collect().await.map_err(WatchError::List)?;
        let addresses = self.handle.address().get().execute().map_ok(RouteNetlinkMessage::NewAddress);
        all.extend(addresses.try_collect::<Vec<_>>().await.map_err(WatchError::List)?);
        links.replace(all.iter().filter_map(|message| Change::read(message, is_wireless)));
        self.is_stale = false;
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The kernel's route messages don't say it, its file system does.
fn is_wireless(name: &str) -> bool {
    let link = Path::new("/sys/class/net").join(name);
    ["wireless", "phy80211"].iter().any(|mark| link.join(mark).exists())
}
