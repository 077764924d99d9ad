//! The side that dials: finds the holder of the Lease, proves the key, and says what this node has in force.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use postern_config::provider::kubernetes::{
    News,
    peers::{Holder, Link},
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    GREETING, IdentityError, Keyring, PING, Status,
    frame::Message,
    identity::Identity,
    own::Own,
    stream::{Stream, StreamError},
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A stream that has held so long is none that breaks at once.
const HELD: Duration = Duration::from_secs(5);

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
enum DialError {
    /// The network's, or the holder's: it has another key, most likely.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The network's, or the holder's.
    #[error("no greeting within {GREETING:?}")]
    Late,
    /// Ours.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Dials whoever holds the Lease, again and again; never ends.
pub(super) async fn run(
    own: &mut Own,
    link: &Link,
    mut keyring: watch::Receiver<Option<Keyring>>,
    news: &mut mpsc::UnboundedReceiver<News>,
    status: &Status,
) {
    let mut holder = link.holder.clone();
    let (mut pause, mut attempt, mut complaint) = (FIRST_PAUSE, 0_usize, String::new());
    loop {
        let target = target(&holder.borrow_and_update(), &link.identity);
        let keys = keyring.borrow_and_update().clone();
        let (Some(address), Some(keys)) = (target, keys) else {
            idle(own, news, &mut holder, &mut keyring, None).await;
            continue;
        };
        let began = Instant::now();
        let identity = keys.identities.choose(attempt);
        attempt += 1;
        let ended = match timeout(GREETING, dial(address, &keys, &identity, own)).await {
            Ok(Ok(stream)) => {
                tracing::info!(%address, "told to the holder of the Lease what is in force here, from now on");
                complaint.clear();
                status.set_connected(true);
                let session = Session { stream, identity };
                let ended = session.run(own, news, &mut holder, &mut keyring, address, &link.identity).await;
                status.set_connected(false);
                ended.map_err(DialError::from)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(DialError::Late),
        };
        if began.elapsed() > HELD {
            (pause, attempt) = (FIRST_PAUSE, 0);
        }
        let Err(error) = ended else { continue };
        let said = error.to_string();
        if said != complaint {
            tracing::warn!(%address, error = said, "no stream to the holder of the Lease");
            complaint = said;
        }
        idle(own, news, &mut holder, &mut keyring, Some(pause.mul_f64(0.5 + rand::random::<f64>()))).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whom to dial; nobody where that is us.
fn target(holder: &Option<Holder>, me: &Arc<str>) -> Option<SocketAddr> {
    holder.as_ref().filter(|holder| holder.identity != *me)?.address
}

/// Waits for another holder, other keys, or `pause`.
async fn idle(
    own: &mut Own,
    news: &mut mpsc::UnboundedReceiver<News>,
    holder: &mut watch::Receiver<Option<Holder>>,
    keyring: &mut watch::Receiver<Option<Keyring>>,
    pause: Option<Duration>,
) {
    let paused = async {
        match pause {
            Some(pause) => sleep(pause).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(paused);
    loop {
        tokio::select! {
            Some(news) = news.recv() => own.learn(news),
            Ok(()) = holder.changed() => return,
            Ok(()) = keyring.changed() => return,
            () = &mut paused => return,
        }
    }
}

async fn dial(
    address: SocketAddr,
    keys: &Keyring,
    identity: &Identity,
    own: &mut Own,
) -> Result<Stream<TlsStream<TcpStream>>, DialError> {
    let tcp = TcpStream::connect(address).await.map_err(StreamError::from)?;
    tcp.set_nodelay(true).map_err(StreamError::from)?;
    let connector = TlsConnector::from(keys.identities.client(identity)?);
    let tls = connector.connect(identity.server_name()?, tcp).await.map_err(StreamError::from)?;
    let mut stream = Stream::new(tls);
    stream.say(&mut own.counter, Message::Hello(own.hello.clone())).await?;
    match stream.next().await?.message {
        Message::Hello(_) => Ok(stream),
        Message::Refused(why) => Err(StreamError::Refused(why).into()),
        _ => Err(StreamError::NoHello.into()),
    }
}

struct Session {
    stream: Stream<TlsStream<TcpStream>>,
    identity: Identity,
}

impl Session {
    /// Tells until the stream breaks, which is an error, or there is somebody else to tell.
    async fn run(
        mut self,
        own: &mut Own,
        news: &mut mpsc::UnboundedReceiver<News>,
        holder: &mut watch::Receiver<Option<Holder>>,
        keyring: &mut watch::Receiver<Option<Keyring>>,
        address: SocketAddr,
        me: &Arc<str>,
    ) -> Result<(), StreamError> {
        own.report(&mut self.stream).await?;
        let mut ping = interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                frame = self.stream.next() => if let Message::Refused(why) = frame?.message {
                    return Err(StreamError::Refused(why));
                },
                Some(news) = news.recv() => own.tell(&mut self.stream, news).await?,
                _ = ping.tick() => self.stream.say(&mut own.counter, Message::Ping).await?,
                Ok(()) = holder.changed() => if target(&holder.borrow_and_update(), me) != Some(address) {
                    return Ok(());
                },
                Ok(()) = keyring.changed() => {
                    let keys = keyring.borrow_and_update();
                    if !keys.as_ref().is_some_and(|keys| keys.identities.has(&self.identity)) {
                        return Ok(());
                    }
                }
            }
        }
    }
}
