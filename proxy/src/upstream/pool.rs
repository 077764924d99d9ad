//! One worker's connections: idle HTTP/1.1 ones last in, first out; HTTP/2 ones shared by many requests.
//!
//! Finding a pool is an index into a vector ([`Home`]). Idle connections are capped per endpoint and node: a worker
//! takes a permit from the endpoint's shared count only when its own list grows beyond what it ever was since the
//! last sweep, so that a busy pool touches no shared memory. Age is counted in ticks of the sweep: no clock is read
//! per request.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::{Arc, Weak as ArcWeak, atomic::Ordering::Relaxed},
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use tokio::sync::Notify;

use super::{
    balance::{round_robin::Cursor, share::Sequence},
    client::Origins,
    driven::Driver,
    live::{EndpointState, StateKey},
};
use crate::{exchange::Body, settings::UpstreamDefaults};

/// Ticks that an idle connection lives, and so the grain of its age.
const TICKS: u32 = 8;

/// What belongs to one worker.
#[derive(Debug, Default)]
pub struct WorkerState {
    pub(super) pools: Rc<Pools>,
    pub(super) shares: Sequence,
    pub(super) origins: Origins,
    cursors: RefCell<Vec<Cursor>>,
    random: Random,
}

impl WorkerState {
    /// Runs `choose` with the cursor that belongs to `key`.
    pub(super) fn with_cursor<R>(&self, key: &StateKey, choose: impl FnOnce(&mut Cursor) -> R) -> R {
        let mut cursors = self.cursors.borrow_mut();
        if cursors.len() <= key.index {
            cursors.resize_with(key.index + 1, Cursor::default);
        }
        choose(cursors.get_mut(key.index).expect("the vector was just made long enough"))
    }

    pub(super) fn random(&self) -> u64 {
        self.random.next()
    }
}

/// Random enough to balance by: splitmix64 from a random seed.
#[derive(Debug)]
struct Random(Cell<u64>);

impl Default for Random {
    fn default() -> Self {
        Self(Cell::new(rand::random()))
    }
}

impl Random {
    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// Where a worker keeps connections to one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Home {
    /// Place in the vector; used again by a later endpoint.
    pub(super) index: usize,
    /// The endpoint.
    pub(super) serial: u64,
    /// What its connections are made with.
    pub(super) transport: u64,
}

/// All pools of a worker.
#[derive(Debug, Default)]
pub(super) struct Pools {
    by_index: RefCell<Vec<Option<Box<Pool>>>>,
    tick: Cell<u32>,
    sweeping: Cell<bool>,
}

#[derive(Debug)]
struct Pool {
    home: Home,
    state: ArcWeak<EndpointState>,
    /// The cluster's name in this worker's own memory: the access log clones it for each request.
    cluster: Arc<str>,
    /// Oldest first.
    idle: Vec<Idle>,
    permits: usize,
    shared: Vec<Rc<Shared>>,
    /// Whether its connections turned out to be HTTP/2: then one is made at a time.
    http2: bool,
    connecting: Option<Rc<Notify>>,
}

/// An HTTP/1.1 connection between two requests.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) sender: http1::SendRequest<Body>,
    pub(super) driver: Driver,
    pub(super) address: SocketAddr,
    /// The TLS server name it was made for, when that is the request's host.
    pub(super) host: Option<Arc<str>>,
    since: u32,
}

/// An HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) sender: RefCell<http2::SendRequest<Body>>,
    pub(super) address: SocketAddr,
    host: Option<Arc<str>>,
    streams: Cell<usize>,
    most: Cell<usize>,
    idle_since: Cell<u32>,
}

/// One request on an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Stream(pub(super) Rc<Shared>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
    }
}

impl Idle {
    pub(super) fn new(
        sender: http1::SendRequest<Body>,
        driver: Driver,
        address: SocketAddr,
        host: Option<Arc<str>>,
    ) -> Self {
        Self { sender, driver, address, host, since: 0 }
    }

    fn is_closed(&mut self) -> bool {
        self.driver.look();
        self.sender.is_closed()
    }
}

impl Shared {
    pub(super) fn new(sender: http2::SendRequest<Body>, address: SocketAddr, host: Option<Arc<str>>) -> Rc<Self> {
        Rc::new(Self {
            sender: RefCell::new(sender),
            address,
            host,
            streams: Cell::new(0),
            most: Cell::new(usize::MAX),
            idle_since: Cell::new(0),
        })
    }

    /// Begins a request, which is counted until the answer is dropped.
    pub(super) fn begin(self: &Rc<Self>) -> Stream {
        self.streams.set(self.streams.get() + 1);
        Stream(self.clone())
    }

    /// Notes how many requests the backend takes at a time.
    pub(super) fn allow(&self, most: usize) {
        self.most.set(most.max(1));
    }

    fn has_room(&self) -> bool {
        self.streams.get() < self.most.get() && !self.sender.borrow().is_closed()
    }
}

/// How long and how many idle connections are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    pub(super) idle: Duration,
    pub(super) cap: usize,
}

impl From<&UpstreamDefaults> for Keep {
    fn from(settings: &UpstreamDefaults) -> Self {
        Self { idle: settings.idle, cap: settings.idle_per_endpoint }
    }
}

/// What a pool had.
#[derive(Debug)]
pub(super) enum Taken {
    Idle(Idle),
    Stream(Stream),
    /// Nothing, and somebody is about to add a connection that many can share.
    Wait(Rc<Notify>),
    Nothing,
}

impl Pools {
    /// A usable connection to `home` for `host`.
    pub(super) fn take(&self, home: Home, host: Option<&str>, http1: bool) -> Taken {
        let mut pools = self.by_index.borrow_mut();
        let Some(Some(pool)) = pools.get_mut(home.index) else { return Taken::Nothing };
        if pool.home != home {
            return Taken::Nothing;
        }
        if let Some(idle) = pool.take_idle(host) {
            return Taken::Idle(idle);
        }
        if http1 || !pool.http2 {
            return Taken::Nothing;
        }
        pool.shared.retain(|shared| !shared.sender.borrow().is_closed());
        let fits = |shared: &&Rc<Shared>| shared.has_room() && shared.host.as_deref() == host;
        match (pool.shared.iter().find(fits), &pool.connecting) {
            (Some(shared), _) => Taken::Stream(shared.begin()),
            (None, Some(connecting)) => Taken::Wait(connecting.clone()),
            (None, None) => Taken::Nothing,
        }
    }

    /// Says that somebody makes a connection to `home`; the others wait when it is one that can be shared.
    pub(super) fn begin_connecting(self: &Rc<Self>, home: Home, http2: bool) -> Connecting {
        let notify = self.with(home, |pool| {
            pool.http2 |= http2;
            pool.http2.then(|| pool.connecting.insert(Rc::default()).clone())
        });
        Connecting { pools: self.clone(), home, notify: notify.flatten() }
    }

    /// Makes the pool for `home` if there is none, and drops that of a former endpoint or setting. The name of the
    /// cluster is this worker's copy.
    pub(super) fn open(&self, home: Home, state: &Arc<EndpointState>, cluster: &str) -> Arc<str> {
        let mut pools = self.by_index.borrow_mut();
        if pools.len() <= home.index {
            pools.resize_with(home.index + 1, || None);
        }
        let place = pools.get_mut(home.index).expect("the vector was just made long enough");
        match place {
            // A request that still runs on an older plan must not evict what newer ones use.
            Some(pool) if (pool.home.serial, pool.home.transport) >= (home.serial, home.transport) => {
                pool.cluster.clone()
            }
            _ => place.insert(Box::new(Pool::new(home, Arc::downgrade(state), cluster))).cluster.clone(),
        }
    }

    /// Keeps a connection whose answer is complete, if the caps allow.
    pub(super) fn give_back(self: &Rc<Self>, home: Home, mut idle: Idle, keep: Keep) {
        idle.since = self.tick.get();
        let kept = self.with(home, |pool| pool.keep(idle, keep.cap));
        if kept == Some(true) {
            self.sweep_later(keep.idle);
        }
    }

    /// Adds a connection that many requests share.
    pub(super) fn add_shared(self: &Rc<Self>, home: Home, shared: &Rc<Shared>, keep: Keep) {
        shared.idle_since.set(self.tick.get());
        self.with(home, |pool| {
            pool.http2 = true;
            pool.shared.push(shared.clone());
        });
        self.sweep_later(keep.idle);
    }

    fn with<R>(&self, home: Home, change: impl FnOnce(&mut Pool) -> R) -> Option<R> {
        let mut pools = self.by_index.borrow_mut();
        match pools.get_mut(home.index) {
            Some(Some(pool)) if pool.home == home => Some(change(pool)),
            _ => None,
        }
    }

    /// Runs sweeps for as long as there is something to sweep.
    fn sweep_later(self: &Rc<Self>, idle: Duration) {
        if self.sweeping.replace(true) {
            return;
        }
        let pools = Rc::downgrade(self);
        let period = (idle / TICKS).max(Duration::from_millis(10));
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(period).await;
                let Some(pools) = Weak::upgrade(&pools) else { return };
                if !pools.sweep() {
                    pools.sweeping.set(false);
                    return;
                }
            }
        });
    }

    /// Drops what has been idle for too long; says whether anything is left.
    fn sweep(&self) -> bool {
        let now = self.tick.get().wrapping_add(1);
        self.tick.set(now);
        let mut left = false;
        for place in self.by_index.borrow_mut().iter_mut() {
            let Some(pool) = place else { continue };
            pool.sweep(now);
            if pool.is_empty() && pool.state.strong_count() == 0 {
                *place = None;
            } else {
                left |= !pool.is_empty();
            }
        }
        left
    }

    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.by_index.borrow().iter().flatten().map(|pool| pool.idle.len()).sum()
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> usize {
        self.by_index.borrow().iter().flatten().map(|pool| pool.shared.len()).sum()
    }
}

impl Pool {
    fn new(home: Home, state: ArcWeak<EndpointState>, cluster: &str) -> Self {
        Self {
            home,
            state,
            cluster: cluster.into(),
            idle: Vec::new(),
            permits: 0,
            shared: Vec::new(),
            http2: false,
            connecting: None,
        }
    }

    fn take_idle(&mut self, host: Option<&str>) -> Option<Idle> {
        loop {
            let at = self.idle.iter().rposition(|idle| idle.host.as_deref() == host)?;
            let idle = self.idle.remove(at);
            if idle.sender.is_ready() {
                return Some(idle);
            }
        }
    }

    fn keep(&mut self, idle: Idle, cap: usize) -> bool {
        if self.idle.len() >= self.permits && !self.take_permit(cap) {
            return false;
        }
        self.idle.push(idle);
        true
    }

    fn take_permit(&mut self, cap: usize) -> bool {
        let Some(state) = self.state.upgrade() else { return false };
        let cap = u32::try_from(cap).unwrap_or(u32::MAX);
        let taken = state.idle_permits.fetch_update(Relaxed, Relaxed, |held| (held < cap).then(|| held + 1));
        self.permits += usize::from(taken.is_ok());
        taken.is_ok()
    }

    fn release_permits(&mut self, keep: usize) {
        let surplus = self.permits.saturating_sub(keep);
        self.permits -= surplus;
        if let Some(state) = self.state.upgrade() {
            state.idle_permits.fetch_sub(u32::try_from(surplus).unwrap_or(u32::MAX), Relaxed);
        }
    }

    fn sweep(&mut self, now: u32) {
        let gone = self.state.strong_count() == 0;
        let old = |since: u32| gone || now.wrapping_sub(since) > TICKS;
        self.idle.retain_mut(|idle| !old(idle.since) && !idle.is_closed());
        self.shared.retain(|shared| {
            if shared.streams.get() > 0 {
                shared.idle_since.set(now);
            }
            !shared.sender.borrow().is_closed() && !old(shared.idle_since.get())
        });
        self.release_permits(self.idle.len());
    }

    fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.shared.is_empty()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.release_permits(0);
    }
}

/// While it lives, requests that could share the connection under way wait for it.
#[derive(Debug)]
pub(super) struct Connecting {
    pools: Rc<Pools>,
    home: Home,
    notify: Option<Rc<Notify>>,
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let Some(notify) = self.notify.take() else { return };
        self.pools.with(self.home, |pool| {
            if pool.connecting.as_ref().is_some_and(|connecting| Rc::ptr_eq(connecting, &notify)) {
                pool.connecting = None;
            }
        });
        notify.notify_waiters();
    }
}

/// Origins by key, for [`super::client`].
pub(super) type OriginMap<K, V> = RefCell<HashMap<K, V, foldhash::fast::RandomState>>;
