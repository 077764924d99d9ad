//! A link's kernel says nothing by ARP of addresses that the link has not: it neither answers for them (`arp_ignore`) nor
//! asks with them (`arp_announce`). What a link had before is remembered and put back.
//!
//! Over netlink, which needs `CAP_NET_ADMIN` alone: `/proc/sys` is read-only in a container. For NDP there is nothing to
//! do, as the kernel answers for an IPv6 address on the link that has it and on no other.

use std::{collections::BTreeSet, io, path::Path, sync::Arc};

use netlink_packet_core::{DefaultNla, Emitable, NLA_F_NESTED};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{AfSpecInet, AfSpecUnspec, LinkAttribute, LinkMessage},
};

use super::{
    Error,
    former::{self, ArpSettings, Former},
    netlink::Netlink,
};
use crate::wire::MacAddr;

// linux/if_link.h and linux/ip.h
const IFLA_INET_CONF: u16 = 1;
const IPV4_DEVCONF_ARP_ANNOUNCE: u16 = 18;
const IPV4_DEVCONF_ARP_IGNORE: u16 = 19;

/// What a link must have at least. Of a higher `arp_ignore` each keeps silent for an address that no link has, too.
const SILENT: ArpSettings = ArpSettings { ignore: 1, announce: 2 };

/// One link as it is.
pub(super) struct Link {
    /// Its number.
    pub(super) index: u32,
    /// Its MAC address, if it has one.
    pub(super) mac: Option<MacAddr>,
    arp: ArpSettings,
}

/// Looks a link up by its name.
pub(super) fn link(netlink: &mut Netlink, name: &Arc<str>) -> Result<Link, Error> {
    let mut question = LinkMessage::default();
    question.attributes.push(LinkAttribute::IfName(name.as_ref().to_owned()));
    let answers = match netlink.ask("look up a link", RouteNetlinkMessage::GetLink(question), 0) {
        Err(Error::Refused { source, .. }) if is_no_link(&source) => return Err(Error::NoLink(name.clone())),
        other => other?,
    };
    let found = answers.iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(message) => Some(described(message)),
        _ => None,
    });
    found.ok_or_else(|| Error::NoLink(name.clone()))
}

/// `ENODEV`; also `EINVAL`, for a name that no link can have, and `ERANGE`, for one that is too long.
fn is_no_link(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::NODEV | rustix::io::Errno::INVAL | rustix::io::Errno::RANGE))
}

fn described(message: &LinkMessage) -> Link {
    let mut link = Link { index: message.header.index, mac: None, arp: ArpSettings { ignore: 0, announce: 0 } };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Address(bytes) => link.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr::from),
            LinkAttribute::AfSpecUnspec(families) => link.arp = arp_settings(families).unwrap_or(link.arp),
            _ => {}
        }
    }
    link
}

fn arp_settings(families: &[AfSpecUnspec]) -> Option<ArpSettings> {
    let inet = families.iter().find_map(|family| match family {
        AfSpecUnspec::Inet(inet) => Some(inet),
        _ => None,
    })?;
    inet.iter().find_map(|attribute| match attribute {
        AfSpecInet::DevConf(conf) => Some(ArpSettings { ignore: conf.arp_ignore, announce: conf.arp_announce }),
        _ => None,
    })
}

fn set(netlink: &mut Netlink, index: u32, settings: ArpSettings) -> Result<(), Error> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let inet = AfSpecInet::Other(DefaultNla::new(IFLA_INET_CONF | NLA_F_NESTED, nested(settings)));
    message.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet(vec![inet])]));
    netlink.tell("set arp_ignore and arp_announce of a link", RouteNetlinkMessage::SetLink(message), 0)
}

/// By hand, as the crate leaves out zeros, and a zero is what is put back most often.
fn nested(settings: ArpSettings) -> Vec<u8> {
    let attribute = |kind, value: i32| DefaultNla::new(kind, value.to_ne_bytes().to_vec());
    let attributes =
        [attribute(IPV4_DEVCONF_ARP_IGNORE, settings.ignore), attribute(IPV4_DEVCONF_ARP_ANNOUNCE, settings.announce)];
    let mut bytes = vec![0; attributes.as_slice().buffer_len()];
    attributes.as_slice().emit(&mut bytes);
    bytes
}

/// Silences `links` and returns those that are not there. Where `alone`, all others get back what they had.
pub(super) fn apply(
    netlink: &mut Netlink,
    directory: &Path,
    links: &BTreeSet<Arc<str>>,
    alone: bool,
) -> Result<BTreeSet<Arc<str>>, Error> {
    let mut former = former::read(directory)?;
    let mut absent = BTreeSet::new();
    for name in links {
        match link(netlink, name) {
            Ok(found) => silence(netlink, directory, name, &found, &mut former)?,
            Err(Error::NoLink(name)) => drop(absent.insert(name)),
            Err(error) => return Err(error),
        }
    }
    if alone {
        restore(netlink, directory, former, links)?;
    }
    Ok(absent)
}

/// What the link had is on disk before it is changed.
fn silence(
    netlink: &mut Netlink,
    directory: &Path,
    name: &Arc<str>,
    link: &Link,
    former: &mut Former,
) -> Result<(), Error> {
    let had = link.arp;
    let wanted = ArpSettings { ignore: had.ignore.max(SILENT.ignore), announce: had.announce.max(SILENT.announce) };
    if had == wanted {
        return Ok(());
    }
    if !former.contains_key(name) {
        former.insert(name.clone(), had);
        former::write(directory, former)?;
    }
    set(netlink, link.index, wanted)
}

/// Gives all links but `kept` back what they had.
fn restore(
    netlink: &mut Netlink,
    directory: &Path,
    mut former: Former,
    kept: &BTreeSet<Arc<str>>,
) -> Result<(), Error> {
    let leaving: Vec<_> = former.extract_if(.., |name, _| !kept.contains(name)).collect();
    if leaving.is_empty() {
        return Ok(());
    }
    for (name, had) in leaving {
        match link(netlink, &name) {
            Ok(found) => set(netlink, found.index, had)?,
            Err(Error::NoLink(_)) => {}
            Err(error) => return Err(error),
        }
    }
    former::write(directory, &former)
}
