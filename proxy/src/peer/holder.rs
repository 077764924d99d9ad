//! The side that is dialed: whoever proves the key and says who it is, is heard while we hold the Lease.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postern_config::provider::kubernetes::{
    Term,
    peers::{Heard, Link, Word},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    GREETING, Keyring, PING, Status,
    frame::{Frame, FrameError, Hello, Message},
    seats::{Place, Replaced, Seats},
    status::Refusal,
    stream::{Stream, StreamError},
};

/// Greetings under way at once, of all addresses and of one. Whoever has no key gets no further than a greeting.
const GREETINGS: usize = 64;
const GREETINGS_OF_ADDRESS: usize = 8;
/// Streams at once, greetings among them.
const STREAMS: usize = 5000;
/// After the system has refused a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Why somebody who dialed was turned away.
#[derive(Debug, thiserror::Error)]
enum Turned {
    #[error("there is no key here yet")]
    NoKey,
    #[error("it does not prove that it has the cluster key: {0}")]
    Key(io::Error),
    #[error("{0}")]
    Greeting(StreamError),
    #[error("no greeting within {GREETING:?}")]
    Late,
    #[error(transparent)]
    Version(FrameError),
    #[error("this Postern does not hold the Lease")]
    Lease,
    #[error("a later boot of it is here")]
    Old,
}

impl Turned {
    fn refusal(&self) -> Refusal {
        match self {
            Self::Key(_) => Refusal::Key,
            Self::NoKey | Self::Greeting(_) | Self::Late | Self::Old => Refusal::Greeting,
            Self::Version(_) => Refusal::Version,
            Self::Lease => Refusal::Lease,
        }
    }
}

/// What all streams share.
struct Side {
    hello: Hello,
    keyring: watch::Receiver<Option<Keyring>>,
    terms: watch::Receiver<Option<Term>>,
    heard: mpsc::Sender<Heard>,
    status: Arc<Status>,
    seats: Seats,
    greetings: Mutex<HashMap<IpAddr, usize>>,
}

/// Accepts until dropped.
pub(super) async fn run(
    listener: TcpListener,
    hello: &Hello,
    link: &Link,
    keyring: watch::Receiver<Option<Keyring>>,
    status: &Arc<Status>,
) {
    let side = Arc::new(Side {
        hello: hello.clone(),
        keyring,
        terms: link.terms.clone(),
        heard: link.heard.clone(),
        status: status.clone(),
        seats: Seats::default(),
        greetings: Mutex::default(),
    });
    let mut streams = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((tcp, from)) if streams.len() < STREAMS => {
                let side = side.clone();
                streams.spawn(async move { side.serve(tcp, from).await });
            }
            Ok(_) => side.status.refuse(Refusal::Limit),
            Err(error) => {
                side.status.lines.log(|| tracing::warn!(%error, "cannot accept a stream of a peer"));
                sleep(PAUSE).await;
            }
        }
        while streams.try_join_next().is_some() {}
    }
}

impl Side {
    async fn serve(&self, tcp: TcpStream, from: SocketAddr) {
        let Some(greeting) = self.begin_greeting(from.ip()) else {
            return self.status.refuse(Refusal::Limit);
        };
        let greeted = match timeout(GREETING, self.greet(tcp)).await {
            Ok(greeted) => greeted,
            Err(_) => Err((Turned::Late, None)),
        };
        drop(greeting);
        match greeted {
            Ok(greeted) => self.hear(greeted, from).await,
            Err((turned, stream)) => {
                self.status.refuse(turned.refusal());
                self.status.lines.log(|| tracing::warn!(%from, why = %turned, "turned away a peer"));
                if let Some(stream) = stream {
                    stream.refuse(turned.to_string()).await;
                }
            }
        }
    }

    fn greetings(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.greetings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: there are too many.
    fn begin_greeting(&self, from: IpAddr) -> Option<Greeting<'_>> {
        let mut greetings = self.greetings();
        let all: usize = greetings.values().sum();
        let of_address = greetings.entry(from).or_default();
        if all >= GREETINGS || *of_address >= GREETINGS_OF_ADDRESS {
            return None;
        }
        *of_address += 1;
        Some(Greeting { side: self, from })
    }

    /// Checks the key, and who it is.
    async fn greet(&self, tcp: TcpStream) -> Result<Greeted, Rejected> {
        let Some(keys) = self.keyring.borrow().clone() else {
            return Err((Turned::NoKey, None));
        };
        // Without it small frames wait for each other; a stream works all the same.
        let _delayed = tcp.set_nodelay(true);
        let tls = TlsAcceptor::from(keys.server).accept(tcp).await.map_err(|error| (Turned::Key(error), None))?;
        let mut stream = Stream::new(tls);
        let (counter, hello) = match stream.next().await {
            Ok(Frame { counter, message: Message::Hello(hello) }) => (counter, hello),
            Ok(_) => return Err((Turned::Greeting(StreamError::NoHello), Some(stream))),
            Err(StreamError::Frame(error @ FrameError::Major(_))) => {
                return Err((Turned::Version(error), Some(stream)));
            }
            Err(error) => return Err((Turned::Greeting(error), None)),
        };
        if !self.holds() {
            return Err((Turned::Lease, Some(stream)));
        }
        match self.seats.take(&hello, counter) {
            Some((place, replaced)) => Ok(Greeted { stream, hello, place, replaced }),
            None => Err((Turned::Old, Some(stream))),
        }
    }

    fn holds(&self) -> bool {
        self.terms.borrow().is_some_and(|term| term.holds(Instant::now()))
    }

    /// Hears a member until its stream ends, and says so.
    async fn hear(&self, greeted: Greeted, from: SocketAddr) {
        let Greeted { mut stream, hello, place, replaced } = greeted;
        let Hello { member, node, serves, version, .. } = hello;
        let member = Arc::<str>::from(member);
        tracing::info!(%member, node, version, %from, "a peer has joined");
        let joined = Word::Joined { node: node.into(), serves, version: version.into() };
        self.pass_on(&member, joined).await;
        let why = tokio::select! {
            ended = self.listen(&mut stream, &member, &place) => match ended {
                Ok(why) => why.to_owned(),
                Err(error) => error.to_string(),
            },
            _ = replaced => "it has opened another stream".to_owned(),
        };
        tracing::info!(%member, why, "a peer has left");
        if self.seats.leave(&place) {
            self.pass_on(&member, Word::Left).await;
        }
    }

    async fn pass_on(&self, member: &Arc<str>, word: Word) {
        // An error means that nobody watches the cluster any more.
        let _ended = self.heard.send(Heard { member: member.clone(), word }).await;
    }

    /// Passes on what the member says, until there is a reason to end.
    async fn listen(
        &self,
        stream: &mut Stream<TlsStream<TcpStream>>,
        member: &Arc<str>,
        place: &Place,
    ) -> Result<&'static str, StreamError> {
        let (mut terms, mut keyring, mut counter) = (self.terms.clone(), self.keyring.clone(), 0);
        stream.say(&mut counter, Message::Hello(self.hello.clone())).await?;
        let mut ping = interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                frame = stream.next() => {
                    let frame = frame?;
                    if let Some(word) = word(frame.message).filter(|_| self.seats.is_news(place, frame.counter)) {
                        self.pass_on(member, word).await;
                    }
                }
                _ = ping.tick() => stream.say(&mut counter, Message::Ping).await?,
                Ok(()) = terms.changed() => if terms.borrow_and_update().is_none() {
                    return Ok("this Postern does not hold the Lease any more");
                },
                Ok(()) = keyring.changed() => if !is_admitted(&keyring.borrow_and_update(), stream) {
                    return Ok("its key is not valid any more");
                },
            }
        }
    }
}

/// A stream whose other end has proved the key and said who it is.
struct Greeted {
    stream: Stream<TlsStream<TcpStream>>,
    hello: Hello,
    place: Place,
    replaced: Replaced,
}

/// With a stream on which the reason can be said.
type Rejected = (Turned, Option<Stream<TlsStream<TcpStream>>>);

fn is_admitted(keyring: &Option<Keyring>, stream: &Stream<TlsStream<TcpStream>>) -> bool {
    let (_, connection) = stream.io().get_ref();
    let proven = connection.peer_certificates().and_then(|chain| chain.first());
    keyring.as_ref().zip(proven).is_some_and(|(keys, proven)| keys.identities.admit(proven))
}

/// What others are to know of a message; nothing of those that a later version adds.
fn word(message: Message) -> Option<Word> {
    match message {
        Message::Ping => Some(Word::Alive),
        Message::Acknowledged(all) => Some(Word::Acknowledged(all)),
        Message::Reported => Some(Word::Reported),
        Message::Unbound(all) => Some(Word::Unbound(all)),
        Message::Account(portion) => Some(Word::Account(portion)),
        Message::Hello(_) | Message::Refused(_) | Message::Unknown(_) => None,
    }
}

/// A greeting under way; counted until dropped.
struct Greeting<'s> {
    side: &'s Side,
    from: IpAddr,
}

impl Drop for Greeting<'_> {
    fn drop(&mut self) {
        let mut greetings = self.side.greetings();
        if let Some(count) = greetings.get_mut(&self.from) {
            *count = count.saturating_sub(1);
        }
        greetings.retain(|_, count| *count > 0);
    }
}
