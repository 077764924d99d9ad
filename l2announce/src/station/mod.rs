//! This node on its links: it carries out what election orders, and tells what it hears. Here the responders get their
//! frames and their time; what they decide is in `responder`, on which links an address may be is in `link`.
//!
//! [`open`] gives three things: a [`Station`] to give orders to, a stream of [`Event`]s, and a [`Driver`] to run. All it
//! holds in the kernel are sockets, so nothing of it outlives the process.

mod clock;
mod driver;
mod port;
mod ports;
mod wanted;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    watch,
};

pub use self::{clock::now, driver::Driver};
use crate::{
    announcement::Interfaces,
    link::{Exclude, Links, Placement, Watch, WatchError},
    responder::{self, Counters, Outcome},
    wire::MacAddr,
};

/// What a station is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Links that never announce.
    pub exclude: Exclude,
    /// Of each link's responder.
    pub responder: responder::Settings,
    /// Whether everybody is told of each address again and again; off unless it is asked for.
    pub refresh: Option<Refresh>,
    /// When the process has not run for longer than this, nothing is sent before [`Command::Confirm`]: somebody else may
    /// have taken its addresses. As long as election allows itself; at least 50 ms.
    pub longest_pause: Duration,
}

impl Default for Settings {
    /// MetalLB's list, no refresh, 500 ms.
    fn default() -> Self {
        Self {
            exclude: Exclude::default(),
            responder: responder::Settings::default(),
            refresh: None,
            longest_pause: Duration::from_millis(500),
        }
    }
}

/// How often everybody is told again, so that switches that forget (300 s, often) don't send an address's packets
/// everywhere or nowhere. Each address gets an interval of its own between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// The shortest interval.
    pub at_least: Duration,
    /// The longest interval.
    pub at_most: Duration,
}

impl Default for Refresh {
    /// 60 to 100 s.
    fn default() -> Self {
        Self { at_least: Duration::from_secs(60), at_most: Duration::from_secs(100) }
    }
}

/// What a station is ordered to do. Orders take effect in their order, and before any frame that is received later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Find out where an address may be announced, now and whenever that changes ([`Event::Links`]). All other orders are
    /// for watched addresses only.
    Watch {
        /// Which.
        address: IpAddr,
        /// Where it may be.
        interfaces: Interfaces,
    },
    /// Withdraw an address, and watch it no more.
    Forget {
        /// Which.
        address: IpAddr,
    },
    /// Answer for an address on all links where it may be.
    Announce {
        /// Which.
        address: IpAddr,
        /// Who is told unasked.
        tell: Tell,
    },
    /// Send nothing for an address any more, and end its probe.
    Withdraw {
        /// Which.
        address: IpAddr,
    },
    /// Ask whether anybody has an address, on all links where it may be ([`Event::Probed`]).
    Probe {
        /// Which.
        address: IpAddr,
        /// How thoroughly.
        thoroughness: Thoroughness,
    },
    /// Tell everybody once that an announced address is here; at most once in 10 s, more are passed over.
    Defend {
        /// Which.
        address: IpAddr,
    },
    /// Ask once on a link where an address may be whether the station that has another address is there
    /// ([`Event::Answered`]).
    Ask {
        /// The number of the link.
        link: u32,
        /// Whose station.
        address: IpAddr,
    },
    /// Go on after [`Event::Paused`] with what is announced still.
    Confirm,
}

/// Who is told of an address when it is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Nobody: they know, because this node had it all along.
    Nobody,
    /// Everybody, if it was not announced before. Nobody if it was.
    News,
    /// Everybody, also if it was announced before.
    Again,
}

/// How thoroughly the segment is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoroughness {
    /// 60 ms: for a take-over.
    Short,
    /// Before the first use of an address (RFC 5227): 0.8 to 1.4 s on a wire, 4 to 7 s by radio.
    Full,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Where a watched address may be announced: at first, and whenever it is another place.
    Links {
        /// Which.
        address: IpAddr,
        /// Where, and why not elsewhere.
        placement: Placement,
    },
    /// A probe is over, on all links.
    Probed {
        /// What was probed.
        address: IpAddr,
        /// Free if nobody has it on any link; undecided if there was no link to ask on.
        outcome: Outcome,
    },
    /// A station has answered [`Command::Ask`].
    Answered {
        /// The number of the link where it was heard.
        link: u32,
        /// Which address it has.
        address: IpAddr,
    },
    /// Another station says that it has an address that is announced.
    Conflict {
        /// Which.
        address: IpAddr,
        /// The number of the link where it was heard.
        link: u32,
        /// Who.
        mac: MacAddr,
    },
    /// The process has not run for a while. Nothing is sent before [`Command::Confirm`]; what should not go on must be
    /// withdrawn first.
    Paused {
        /// For how long.
        gap: Duration,
    },
}

/// Orders to a station. The station ends when the last of these is gone.
#[derive(Clone, Debug)]
pub struct Station {
    commands: UnboundedSender<Command>,
    statistics: Arc<Statistics>,
    links: watch::Receiver<Arc<Links>>,
}

impl Station {
    /// The links of this node, as they are followed; they are another value when there is news of them, which is there
    /// before the events that follow of it.
    pub fn links(&self) -> watch::Receiver<Arc<Links>> {
        self.links.clone()
    }

    /// Gives an order. It is carried out as soon as the driver runs; orders to a driver that has ended go nowhere, as do
    /// those to a process that ends.
    pub fn order(&self, command: Command) {
        // Unbounded: orders are few, and whoever gives them must not wait.
        let _ = self.commands.send(command);
    }

    /// What was counted of every address that was watched since the start.
    pub fn counters(&self) -> Vec<(IpAddr, Arc<Counters>)> {
        self.statistics.all()
    }
}

/// Counters by address. They outlive the watching of it, since counters never go back.
#[derive(Debug, Default)]
struct Statistics(Mutex<BTreeMap<IpAddr, Arc<Counters>>>);

impl Statistics {
    fn of(&self, address: IpAddr) -> Arc<Counters> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(address).or_default())
    }

    fn all(&self) -> Vec<(IpAddr, Arc<Counters>)> {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.iter().map(|(address, counters)| (*address, Arc::clone(counters))).collect()
    }
}

/// Opens a station in the network namespace of this thread, and takes all links in. Needs a tokio runtime with I/O and
/// time. That a capability is missing is no error here: it is why no link can announce ([`Event::Links`]).
pub async fn open(settings: Settings) -> Result<(Station, UnboundedReceiver<Event>, Driver), WatchError> {
    let mut links = Links::new(settings.exclude.clone());
    let watch = Watch::open(&mut links).await?;
    let (commands, orders) = unbounded_channel();
    let (events, told) = unbounded_channel();
    let (show, shown) = watch::channel(Arc::new(links.clone()));
    let station = Station { commands, statistics: Arc::default(), links: shown };
    let driver = Driver::new(settings, (links, watch, show), orders, events, Arc::clone(&station.statistics));
    Ok((station, told, driver))
}
