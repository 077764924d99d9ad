//! A worker's part: accepts on its socket, hands over what another worker should have, and leaves without resetting
//! anybody.

use std::{io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use socket2::{SockFilter, SockRef};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{
    Site, Stage,
    connection::{Arrival, attend},
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

/// Accepts until `stage` says otherwise, then sees the connections off.
pub(super) async fn run<F, R>(
    socket: std::net::TcpListener,
    site: Arc<Site>,
    mut stage: watch::Receiver<Stage>,
    worker: Rc<Worker>,
    service: F,
) where
    F: Fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(listener = %site.key, %error, "cannot watch a listener's socket");
            return;
        }
    };
    let drain = worker.listeners.drain(&site);
    let welcome = |stream, peer| welcome(stream, peer, &site, &worker, &service);
    tokio::select! {
        biased;
        _ = stage.wait_for(|stage| *stage >= Stage::Leaving) => {}
        () = accept_all(&socket, &site, welcome) => {}
    }
    leave(&socket, welcome).await;
    drop(socket);
    drain.start();
    tokio::select! {
        () = drain.finished() => {}
        _ = stage.wait_for(|stage| *stage >= Stage::Ended) => drain.end(),
        () = tokio::time::sleep(worker.shared.settings.drain_deadline) => drain.end(),
    }
    drain.finished().await;
    worker.listeners.forget(&site);
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

/// Takes what has already come: new SYNs are dropped by a filter (their clients try again and find the port closed, as it
/// is), then the queue is emptied. Closing a socket with a queue would reset everybody in it.
async fn leave(socket: &TcpListener, welcome: impl Fn(TcpStream, SocketAddr)) {
    if let Err(error) = SockRef::from(socket).attach_filter(&DROP_SYN) {
        tracing::warn!(%error, "cannot keep new connections from a socket that is being closed");
    }
    while let Ok(accepted) = tokio::time::timeout(QUIET, socket.accept()).await {
        match accepted {
            Ok((stream, peer)) => welcome(stream, peer),
            Err(error) if is_of_connection(&error) => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
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
