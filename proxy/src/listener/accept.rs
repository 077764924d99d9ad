//! A worker's part: accepts on its sockets, gives what another worker should have to it, rests while a successor accepts,
//! and leaves without resetting anybody.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use http::{Request, Response};
use hyper::body::Incoming;
use socket2::{SockFilter, SockRef};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{
    connection::{Arrival, attend},
    group::{Farewell, Site, Stage},
    limits::Place,
};
use crate::{
    exchange::{Body, Connection},
    lifecycle::drain::Drain,
    worker::Worker,
};

/// How long a socket whose SYNs are dropped is listened to after its last connection: handshakes under way need a round
/// trip.
const QUIET: Duration = Duration::from_millis(250);
/// Pause after an error of accept, which is a lack of descriptors or memory: trying at once would only spin.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts on `sockets` while `stage` says so, then sees the connections off. A worker without a socket of the group has
/// connections of it all the same, which others handed over.
pub(super) async fn run<F, R>(
    sockets: Vec<std::net::TcpListener>,
    site: Arc<Site>,
    mut stage: watch::Receiver<Stage>,
    worker: Rc<Worker>,
    service: F,
) where
    F: Fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    let drain = worker.listeners.drain(&site);
    let welcome = |stream, peer| welcome(stream, peer, &site, &worker, &service);
    accept_until_the_end(sockets, &site, &mut stage, welcome).await;
    drain.start();
    tokio::select! {
        () = drain.finished() => {}
        _ = stage.wait_for(|stage| stage.is_over()) => drain.end(),
        () = tokio::time::sleep(worker.shared.settings.drain_deadline) => drain.end(),
    }
    drain.finished().await;
    worker.listeners.forget(&site);
}

/// Follows `stage` until the sockets are closed, which is what it returns after.
async fn accept_until_the_end(
    mut sockets: Vec<std::net::TcpListener>,
    site: &Site,
    stage: &mut watch::Receiver<Stage>,
    welcome: impl Fn(TcpStream, SocketAddr) + Copy,
) {
    loop {
        let now = *stage.borrow_and_update();
        match now {
            Stage::Accepting => {
                let watched = watch_all(sockets, site);
                let gone = tokio::select! {
                    biased;
                    changed = stage.changed() => changed.is_err(),
                    () = accept_on_all(&watched, site, welcome) => true,
                };
                if gone {
                    return leave_all(&watched, welcome).await;
                }
                sockets = unwatch_all(watched, site);
            }
            // Not watched meanwhile: each connection of the successor's would wake this thread for nothing.
            Stage::Resting => {
                if stage.changed().await.is_err() {
                    return;
                }
            }
            Stage::Ending { farewell: Farewell::Close, .. } => {
                return leave_all(&watch_all(sockets, site), welcome).await;
            }
            Stage::Ending { farewell: Farewell::Yield, .. } => return,
        }
    }
}

fn watch_all(sockets: Vec<std::net::TcpListener>, site: &Site) -> Vec<TcpListener> {
    sockets.into_iter().filter_map(|socket| said(TcpListener::from_std(socket), site)).collect()
}

fn unwatch_all(sockets: Vec<TcpListener>, site: &Site) -> Vec<std::net::TcpListener> {
    sockets.into_iter().filter_map(|socket| said(socket.into_std(), site)).collect()
}

fn said<T>(outcome: io::Result<T>, site: &Site) -> Option<T> {
    outcome.inspect_err(|error| tracing::error!(listener = %site.key, %error, "cannot watch a listener's socket")).ok()
}

async fn accept_on_all(sockets: &[TcpListener], site: &Site, welcome: impl Fn(TcpStream, SocketAddr) + Copy) {
    if sockets.is_empty() {
        std::future::pending::<()>().await;
    }
    join_all(sockets.iter().map(|socket| accept_all(socket, site, welcome))).await;
}

async fn accept_all(socket: &TcpListener, site: &Site, welcome: impl Fn(TcpStream, SocketAddr)) {
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => welcome(stream, peer),
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                site.common.refusals.log(|| tracing::error!(listener = %site.key, %error, "cannot accept connections"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether the client is at fault: it has gone before it was accepted.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn leave_all(sockets: &[TcpListener], welcome: impl Fn(TcpStream, SocketAddr) + Copy) {
    join_all(sockets.iter().map(|socket| leave(socket, welcome))).await;
}

/// Takes what has already come: new SYNs are dropped by a filter (their clients try again and find the port closed, as it
/// is), then the queue is emptied. Closing a socket with a queue would reset everybody in it.
async fn leave(socket: &TcpListener, welcome: impl Fn(TcpStream, SocketAddr)) {
    let raw = SockRef::from(socket);
    if let Err(error) = raw.attach_filter(&DROP_SYN) {
        tracing::warn!(%error, "cannot keep new connections from a socket that is being closed");
    }
    while let Ok(accepted) = tokio::time::timeout(QUIET, socket.accept()).await {
        match accepted {
            Ok((stream, peer)) => welcome(stream, peer),
            Err(error) if is_of_connection(&error) => {}
            // What is no longer listening was shut down by the process that it is shared with.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    // Closing would leave it open where a predecessor holds a copy of it.
    let _gone = raw.shutdown(Shutdown::Both);
}

/// Classic BPF on the TCP header: the flags byte without ECN bits is SYN alone → drop, else pass.
const DROP_SYN: [SockFilter; 5] = [
    // ldb [13]
    SockFilter::new(0x30, 0, 0, 13),
    // and #0x3f
    SockFilter::new(0x54, 0, 0, 0x3f),
    // jeq #0x02, drop, pass
    SockFilter::new(0x15, 0, 1, 0x02),
    // ret #0
    SockFilter::new(0x06, 0, 0, 0),
    // ret #-1
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// Lets a connection in, here or at a less busy worker.
fn welcome<F, R>(stream: TcpStream, peer: SocketAddr, site: &Arc<Site>, worker: &Rc<Worker>, service: &F)
where
    F: Fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    let place = match site.common.occupancy.enter(peer.ip()) {
        Ok(place) => place,
        Err(limit) => {
            worker.metrics().limited(limit);
            site.common
                .refusals
                .log(|| tracing::warn!(%peer, listener = %site.key, limit = limit.as_str(), "connection refused"));
            return;
        }
    };
    match site.common.better_than(worker.index) {
        Some((index, other)) => {
            let Ok(stream) = stream.into_std() else { return };
            let seat = Seat::new(site, index, place);
            let (site, service) = (site.clone(), service.clone());
            other.spawn(move |worker| async move {
                if let Ok(stream) = TcpStream::from_std(stream) {
                    see_through(stream, peer, seat, site, worker, service).await;
                }
            });
        }
        None => {
            let seat = Seat::new(site, worker.index, place);
            let (site, worker, service) = (site.clone(), worker.clone(), service.clone());
            tokio::task::spawn_local(see_through(stream, peer, seat, site, worker, service));
        }
    }
}

/// What a connection occupies.
struct Seat {
    site: Arc<Site>,
    worker: usize,
    _place: Place,
}

impl Seat {
    fn new(site: &Arc<Site>, worker: usize, place: Place) -> Self {
        site.common.loads.enter(worker);
        Self { site: site.clone(), worker, _place: place }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.site.common.loads.leave(self.worker);
    }
}

async fn see_through<F, R>(
    stream: TcpStream,
    peer: SocketAddr,
    seat: Seat,
    site: Arc<Site>,
    worker: Rc<Worker>,
    service: F,
) where
    F: Fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    // Without it answers wait for the client's delayed acknowledgement; a socket that refuses it is already dead.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let drain: Drain = worker.listeners.drain(&site);
    let arrival = Arrival { stream, peer, local, ticket: drain.ticket() };
    let attended = attend(arrival, site, worker, service);
    drain.unless_ended(attended).await;
    drop(seat);
}
