//! What the node's kernel must hold so that traffic to an announced address is taken here, and so that nothing but our
//! answers speaks for the address: local routes, silence by ARP, no connection tracking, and flows that go on at the node
//! that had the address before.
//!
//! The state belongs to the node, not to a process. The kernel itself is the record of it: what is there is read and
//! compared before each change, so that a process adopts what another has left, a second one beside it changes nothing
//! that is right already, and what somebody else has flushed comes back. Who answers for an address is not decided here,
//! and ARP and NDP are not spoken.
//!
//! Every call blocks for as long as the kernel works, which is milliseconds: it belongs on no thread that serves requests.

mod ability;
mod connection;
mod error;
mod filter;
mod former;
mod gateway;
mod hand_back;
mod lock;
mod netlink;
mod nft;
mod route;
mod silence;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use netlink_sys::protocols::NETLINK_ROUTE;

use crate::{
    announcement::{Port, Purpose},
    wire::MacAddr,
};

pub use self::{
    ability::{Abilities, Lack},
    connection::{Flow, connections},
    error::{Error, Refusal},
    gateway::gateways,
    hand_back::MAX_OLD_OWNERS,
    route::ROUTE_PROTOCOL,
};
use self::{
    filter::{Filter, Filtered},
    lock::{Hold, Turn},
    netlink::Netlink,
    nft::{Nft, Table},
};

/// How the kernel state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where locks and what links had before lie; the same for all processes of the node, and gone after a reboot, as the
    /// state itself is. It is made if it is absent.
    pub directory: PathBuf,
    /// Whether traffic of served addresses is spared connection tracking. It must be off where a firewall of the node
    /// admits by connection state alone.
    pub notrack: bool,
}

impl Default for Settings {
    /// `/run/postern`, without connection tracking.
    fn default() -> Self {
        Self { directory: "/run/postern".into(), notrack: true }
    }
}

/// All that this node's kernel should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Addresses that this node may own or may have to announce, whoever owns them now.
    pub addresses: BTreeMap<IpAddr, Purpose>,
    /// Links on which they are announced.
    pub links: BTreeSet<Arc<str>>,
    /// Ports at served addresses that are somebody else's, such as kube-proxy's: their traffic is tracked.
    pub foreign: BTreeSet<(IpAddr, Port)>,
}

/// What became of the addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Those that must not be announced by this node, with the reason. All others are ready.
    pub refused: BTreeMap<IpAddr, Refusal>,
    /// Links that are not there.
    pub absent: BTreeSet<Arc<str>>,
    /// Whether another process of ours holds the state too. Nothing was removed then: what is right for one of the two
    /// may look left over to the other.
    pub shared: bool,
}

/// The kernel state of this node, held by this process.
///
/// To drop it is what a crash does: the state stays, and whoever comes next adopts it. [`Kernel::close`] undoes it, if no
/// other process holds it.
pub struct Kernel {
    notrack: bool,
    hold: Hold,
    routes: Netlink,
    nft: Nft,
    filter: Filter,
    abilities: Abilities,
    wanted: Wanted,
}

impl Kernel {
    /// Becomes a holder, and finds out what can be done. Nothing is changed: what an earlier process has left stays until
    /// addresses and links are set.
    ///
    /// A capability that is missing is no error here; it is what addresses are refused for.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let hold = Hold::open(&settings.directory)?;
        hold.share(&hold.turn()?)?;
        let mut nft = Nft::open()?;
        let abilities = Abilities::probe(&mut nft)?;
        Ok(Self {
            notrack: settings.notrack,
            hold,
            routes: Netlink::open(NETLINK_ROUTE)?,
            nft,
            filter: Filter::new(),
            abilities,
            wanted: Wanted::default(),
        })
    }

    /// What was found missing.
    pub fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// Whether flows can be handed back, or the first thing that is missing.
    pub fn can_hand_back(&self) -> Result<(), Lack> {
        self.abilities.need(FORWARDING)
    }

    /// Sets all addresses that this node may own or may have to announce, whoever owns them now. Addresses that were set
    /// before and are not among these lose their state.
    ///
    /// After a start this should not be called before all addresses are known: what is left from before and is not named
    /// is removed.
    pub fn set_addresses(&mut self, addresses: BTreeMap<IpAddr, Purpose>) -> Result<Applied, Error> {
        self.wanted.addresses = addresses;
        self.settle()
    }

    /// Sets the links on which addresses are announced. One that is not there yet is for the caller to set again when it
    /// has come.
    pub fn set_links(&mut self, links: BTreeSet<Arc<str>>) -> Result<Applied, Error> {
        self.wanted.links = links;
        self.settle()
    }

    /// Sets everything at once.
    pub fn set(&mut self, wanted: Wanted) -> Result<Applied, Error> {
        self.wanted = wanted;
        self.settle()
    }

    /// Brings the kernel to what was set. To be called when a link has come or has changed, when an address of the node
    /// has, and now and then: others flush rule sets, and what was not removed beside another process is removed once it
    /// is gone.
    ///
    /// After an error nothing is certain, and no address should be announced that was not before. After one that passes
    /// ([`Error::is_passing`]) what was announced goes on, and it is to be tried again.
    pub fn settle(&mut self) -> Result<Applied, Error> {
        let turn = self.hold.turn()?;
        let alone = self.hold.is_alone(&turn)?;
        if self.abilities.need(&[Lack::NetAdmin]).is_err() {
            return Ok(self.powerless(!alone));
        }
        let absent = silence::apply(&mut self.routes, self.hold.directory(), &self.wanted.links, alone)?;
        let present = route::local_routes(&mut self.routes)?;
        let mut refused = self.refusals(&present)?;
        // Silence comes before the route, which is what the kernel would answer for.
        let filtered = self.filtered(&refused);
        self.filter.apply(&mut self.nft, &filtered, &refused.keys().copied().collect(), alone)?;
        self.route(&present, &mut refused, alone)?;
        if self.abilities.has(Lack::Forward) {
            hand_back::tidy(&mut self.nft)?;
        }
        Ok(Applied { refused, absent, shared: !alone })
    }

    /// Without the right to change anything.
    fn powerless(&self, shared: bool) -> Applied {
        let refused = self.wanted.addresses.iter().filter_map(|(address, purpose)| {
            let lack = self.abilities.need(needs(*purpose)).err()?;
            Some((*address, lack.into()))
        });
        Applied { refused: refused.collect(), absent: BTreeSet::new(), shared }
    }

    /// Makes what is served local. Somebody may have been faster.
    fn route(
        &mut self,
        present: &route::LocalRoutes,
        refused: &mut BTreeMap<IpAddr, Refusal>,
        alone: bool,
    ) -> Result<(), Error> {
        let served = accepted(&self.wanted.addresses, refused, |purpose| purpose == Purpose::Served);
        for address in served.difference(&present.ours) {
            if !route::add(&mut self.routes, *address)? {
                refused.insert(*address, Refusal::ForeignRoute(0));
            }
        }
        let mut leaving = present.ours.difference(&served).filter(|address| alone || refused.contains_key(address));
        leaving.try_for_each(|address| route::remove(&mut self.routes, *address))
    }

    /// What of the addresses cannot be had, and why.
    fn refusals(&mut self, present: &route::LocalRoutes) -> Result<BTreeMap<IpAddr, Refusal>, Error> {
        let on_links = route::link_addresses(&mut self.routes)?;
        let refusal = |address: IpAddr, purpose: Purpose| {
            self.abilities.need(needs(purpose))?;
            if !error::is_unicast(address) {
                return Err(Refusal::NotUnicast);
            }
            match on_links.get(&address) {
                Some(link) if purpose == Purpose::Served || **link != *IPVS_LINK => {
                    return Err(Refusal::OnLink(link.clone()));
                }
                _ => {}
            }
            match present.foreign.get(&address) {
                Some(protocol) if purpose == Purpose::Served => Err(Refusal::ForeignRoute(*protocol)),
                _ => Ok(()),
            }
        };
        let verdicts = self.wanted.addresses.iter().map(|(address, purpose)| (*address, refusal(*address, *purpose)));
        Ok(verdicts.filter_map(|(address, verdict)| Some((address, verdict.err()?))).collect())
    }

    fn filtered(&self, refused: &BTreeMap<IpAddr, Refusal>) -> Filtered {
        let silenced = || accepted(&self.wanted.addresses, refused, |_| true);
        let untracked = || accepted(&self.wanted.addresses, refused, |purpose| purpose == Purpose::Served);
        Filtered {
            silenced: self.abilities.has(Lack::ArpTables).then(silenced),
            untracked: (self.notrack && self.abilities.has(Lack::Notrack)).then(untracked),
            foreign: self
                .wanted
                .foreign
                .iter()
                .filter(|(address, _)| !refused.contains_key(address))
                .copied()
                .collect(),
        }
    }

    /// Sends the packets of `flows`, connections that `old_owner` has, on to it for as long as they last, and at most for
    /// `lasts`. They are, when it returns; the addresses must not be announced before. Returns how many flows there were.
    pub fn hand_back(
        &mut self,
        link: &Arc<str>,
        old_owner: MacAddr,
        flows: impl IntoIterator<Item = Flow>,
        lasts: Duration,
    ) -> Result<usize, Error> {
        self.abilities.need(FORWARDING)?;
        let found = silence::link(&mut self.routes, link)?;
        let _turn = self.hold.turn()?;
        hand_back::add(&mut self.nft, link, &found, old_owner, flows.into_iter(), lasts)
    }

    /// Ends the handing back of `flows`, which the old owner has no more.
    pub fn drop_flows(
        &mut self,
        link: &Arc<str>,
        old_owner: MacAddr,
        flows: impl IntoIterator<Item = Flow>,
    ) -> Result<(), Error> {
        self.abilities.need(FORWARDING)?;
        let found = silence::link(&mut self.routes, link)?;
        let _turn = self.hold.turn()?;
        hand_back::remove(&mut self.nft, found.index, old_owner, flows.into_iter())
    }

    /// Ends the handing back of all flows to `old_owner`.
    pub fn clear(&mut self, link: &Arc<str>, old_owner: MacAddr) -> Result<(), Error> {
        self.abilities.need(FORWARDING)?;
        let found = silence::link(&mut self.routes, link)?;
        let _turn = self.hold.turn()?;
        hand_back::clear(&mut self.nft, found.index, old_owner)
    }

    /// For as long as `lasts`, connections of `addresses` that this node does not know are not reset. A new owner does so
    /// before it announces: connections that the old owner accepted after it made its list live until they are handed
    /// back by a second one.
    pub fn hold_resets(&mut self, addresses: &BTreeSet<IpAddr>, lasts: Duration) -> Result<(), Error> {
        self.abilities.need(FORWARDING)?;
        let _turn = self.hold.turn()?;
        hand_back::hold_resets(&mut self.nft, addresses, lasts)
    }

    /// Ends. Where no other process holds the state, everything is undone, and the answer is true.
    pub fn close(mut self) -> Result<bool, Error> {
        let turn = self.hold.turn()?;
        let alone = self.hold.is_alone(&turn)?;
        if alone && self.abilities.need(&[Lack::NetAdmin]).is_ok() {
            undo_all(&mut self.routes, &mut self.nft, self.hold.directory())?;
        }
        self.hold.leave(&turn)?;
        Ok(alone)
    }
}

/// Where kube-proxy in IPVS mode puts the addresses of Services: on this node, and meant for no other.
const IPVS_LINK: &str = "kube-ipvs0";

/// What must not be missing for flows to be handed back.
const FORWARDING: &[Lack] = &[Lack::NetAdmin, Lack::NfTables, Lack::Forward];

/// What must not be missing. Of a foreign address only the belt needs `CAP_NET_ADMIN`.
fn needs(purpose: Purpose) -> &'static [Lack] {
    match purpose {
        Purpose::Served => &[Lack::NetAdmin, Lack::NetRaw],
        Purpose::Foreign => &[Lack::NetRaw],
    }
}

fn accepted(
    addresses: &BTreeMap<IpAddr, Purpose>,
    refused: &BTreeMap<IpAddr, Refusal>,
    is_meant: impl Fn(Purpose) -> bool,
) -> BTreeSet<IpAddr> {
    let meant = addresses.iter().filter(|(_, purpose)| is_meant(**purpose));
    meant.map(|(address, _)| *address).filter(|address| !refused.contains_key(address)).collect()
}

/// Undoes the kernel state of this node that processes before have left, whose directory is `directory`, and returns what
/// it was; with `dry_run` it says what it would. Refused while a process holds the state.
pub fn undo(directory: &Path, dry_run: bool) -> Result<Vec<String>, Error> {
    let (mut routes, mut nft) = (Netlink::open(NETLINK_ROUTE)?, Nft::open()?);
    let _turn = nobody_holds(directory)?;
    let left = left(&mut routes, &mut nft, directory)?;
    if !dry_run && !left.is_empty() {
        Abilities::probe(&mut nft)?.need(&[Lack::NetAdmin])?;
        undo_all(&mut routes, &mut nft, directory)?;
    }
    Ok(left)
}

/// The turn to change the state, where anybody ever held it.
fn nobody_holds(directory: &Path) -> Result<Option<Turn>, Error> {
    if !lock::was_held(directory) {
        return Ok(None);
    }
    let hold = Hold::open(directory)?;
    let turn = hold.turn()?;
    match hold.is_alone(&turn)? {
        true => Ok(Some(turn)),
        false => Err(Error::Held { path: hold.holders() }),
    }
}

/// What there is of ours. Without `CAP_NET_ADMIN` the kernel shows no tables.
fn left(routes: &mut Netlink, nft: &mut Nft, directory: &Path) -> Result<Vec<String>, Error> {
    let ours = route::local_routes(routes)?.ours;
    let mut left: Vec<String> = ours.iter().map(|address| format!("local route of {address}")).collect();
    for table in TABLES {
        if nft.exists(table)? {
            left.push(format!("table {} {}", table.family_name(), table.name));
        }
    }
    let former = former::read(directory)?;
    left.extend(former.keys().map(|link| format!("arp_ignore and arp_announce of link {link}")));
    Ok(left)
}

/// All that we may have.
const TABLES: [Table; 4] = [filter::ARP, filter::INET, hand_back::TABLE, hand_back::RESETS];

/// The routes go first: from then on there is nothing that the kernel could answer for.
fn undo_all(routes: &mut Netlink, nft: &mut Nft, directory: &Path) -> Result<(), Error> {
    let ours = route::local_routes(routes)?.ours;
    ours.into_iter().try_for_each(|address| route::remove(routes, address))?;
    for table in TABLES {
        if nft.exists(table)? {
            filter::delete(nft, table)?;
        }
    }
    silence::apply(routes, directory, &BTreeSet::new(), true).map(drop)
}
