//! The side that takes.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    net::TcpListener,
    os::fd::OwnedFd,
    path::Path,
};

use super::{
    Broken, Offered,
    channel::Channel,
    message::{MOST_WORKERS, Message, Place, Refusal, VERSION},
};

/// What became of the question for sockets.
#[derive(Debug)]
pub enum Answer {
    /// Nobody is there.
    Nobody,
    /// These are to be had.
    Offered(Inheritance),
    /// Another process has come first.
    Busy,
    /// Another version is spoken there.
    OtherVersion(Stranger),
    /// The conversation broke off. What had come by then is kept: if the other process has died, nobody else has it.
    Broken {
        /// Why.
        error: Broken,
        /// What had come.
        held: Vec<Offered>,
    },
}

/// Sockets that are to be had.
#[derive(Debug)]
pub struct Inheritance {
    channel: Channel,
    offered: Vec<Offered>,
}

/// A predecessor of another version.
#[derive(Debug)]
pub struct Stranger {
    channel: Channel,
    /// The version that it speaks.
    pub version: u16,
}

/// A predecessor that accepts no more, as its successor sees it.
#[derive(Debug)]
pub struct Predecessor {
    channel: Channel,
    same_version: bool,
}

/// Asks who listens at `path` for sockets, enough for `workers`.
pub async fn ask(path: &Path, workers: usize) -> Answer {
    use io::ErrorKind::{ConnectionRefused, NotFound, WouldBlock};
    let channel = match Channel::connect(path) {
        Ok(channel) => channel,
        Err(error) => {
            return match error.kind() {
                NotFound | ConnectionRefused => Answer::Nobody,
                WouldBlock => Answer::Busy,
                _ => Answer::Broken { error: error.into(), held: Vec::new() },
            };
        }
    };
    let mut groups = BTreeMap::new();
    let outcome = collect(&channel, workers, &mut groups).await;
    let offered = groups.into_values().collect();
    match outcome {
        Ok(None) => Answer::Offered(Inheritance { channel, offered }),
        Ok(Some((Refusal::Busy, _))) => Answer::Busy,
        Ok(Some((Refusal::Version, version))) => Answer::OtherVersion(Stranger { channel, version }),
        Err(error) => Answer::Broken { error, held: offered },
    }
}

/// Collects all that is offered into `groups`; returns why nothing is, and the other side's version.
async fn collect(
    channel: &Channel,
    workers: usize,
    groups: &mut BTreeMap<u16, Offered>,
) -> Result<Option<(Refusal, u16)>, Broken> {
    let workers = u16::try_from(workers).unwrap_or(MOST_WORKERS).clamp(1, MOST_WORKERS);
    channel.send(&Message::Hello { version: VERSION, workers }, None).await?;
    loop {
        match channel.answer().await? {
            (Message::Offer(place), Some(socket)) => keep(groups, place, socket)?,
            (Message::Complete, None) => return Ok(None),
            (Message::Refused { version, reason }, None) => return Ok(Some((reason, version))),
            (other, _) => return Err(Broken::unexpected(&other)),
        }
    }
}

fn keep(groups: &mut BTreeMap<u16, Offered>, place: Place, socket: OwnedFd) -> Result<(), Broken> {
    let socket = verify(&place, TcpListener::from(socket))?;
    let offered = match groups.entry(place.group) {
        Entry::Vacant(vacant) => vacant.insert(Offered { place, sockets: Vec::new() }),
        Entry::Occupied(occupied) => occupied.into_mut(),
    };
    if offered.place != place || offered.sockets.len() >= usize::from(MOST_WORKERS) {
        return Err(Broken::Unexpected("a socket that does not belong to its group"));
    }
    offered.sockets.push(socket);
    Ok(())
}

/// Whether it is what it is said to be: a TCP socket that listens there.
fn verify(place: &Place, socket: TcpListener) -> Result<TcpListener, Broken> {
    let bound = socket.local_addr()?;
    let fits = bound.ip() == place.address.ip() && [0, bound.port()].contains(&place.address.port());
    if !fits || !rustix::net::sockopt::socket_acceptconn(&socket).unwrap_or(false) {
        return Err(Broken::Unexpected("a socket that does not listen where it is said to"));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Inheritance {
    /// What is offered.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.offered.iter().map(|offered| &offered.place)
    }

    /// Takes what is `wanted` and waits until the predecessor accepts no more. On failure everything is given back, to be
    /// kept until it is known whether the predecessor lives.
    pub async fn take(
        self,
        wanted: impl Fn(&Place) -> bool,
    ) -> Result<(Predecessor, Vec<Offered>), (Broken, Vec<Offered>)> {
        let Self { channel, offered } = self;
        match conclude(&channel, &offered, &wanted).await {
            Ok(()) => {
                let taken = offered.into_iter().filter(|offered| wanted(&offered.place)).collect();
                Ok((Predecessor { channel, same_version: true }, taken))
            }
            Err(error) => Err((error, offered)),
        }
    }
}

async fn conclude(channel: &Channel, offered: &[Offered], wanted: &impl Fn(&Place) -> bool) -> Result<(), Broken> {
    for Offered { place, .. } in offered.iter().filter(|offered| !wanted(&offered.place)) {
        channel.send(&Message::Decline { group: place.group }, None).await?;
    }
    channel.send(&Message::Take, None).await?;
    match channel.answer().await?.0 {
        Message::Rested => Ok(()),
        other => Err(Broken::unexpected(&other)),
    }
}

impl Stranger {
    /// Asks it to give its sockets up, now that there are others beside them.
    pub async fn vacate(self) -> Result<Predecessor, Broken> {
        self.channel.send(&Message::Vacate { version: VERSION }, None).await?;
        Ok(Predecessor { channel: self.channel, same_version: false })
    }
}

impl Predecessor {
    /// Waits until it has gone.
    pub async fn gone(&self) {
        // It has nothing more to say; whatever it does say is no reason to think otherwise of it.
        while self.channel.receive().await.is_ok() {}
    }

    /// Asks it to accept again; true when it does.
    pub async fn hand_back(self) -> bool {
        self.same_version && self.asked_to_resume().await.is_ok_and(|message| message == Message::Resumed)
    }

    async fn asked_to_resume(&self) -> Result<Message, Broken> {
        self.channel.send(&Message::Resume, None).await?;
        Ok(self.channel.answer().await?.0)
    }

    /// Tells it that it will not be needed again.
    pub async fn retire(self) {
        if let Err(error) = self.channel.send(&Message::Retire, None).await {
            tracing::debug!(%error, "a predecessor had gone already");
        }
    }
}
