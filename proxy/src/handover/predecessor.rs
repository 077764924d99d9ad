//! The side that gives.

use std::collections::BTreeSet;

use super::{
    Broken, Newcomer, Offered,
    channel::Channel,
    message::{Message, Place, Refusal, VERSION},
};

/// A successor that is ready to accept.
#[derive(Debug)]
pub struct Ready {
    channel: Channel,
    declined: BTreeSet<u16>,
}

/// A successor that accepts, as its predecessor sees it.
#[derive(Debug)]
pub struct Replaced(Channel);

/// What becomes of a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has died, or cannot be understood.
    Gone,
    /// It is told to stop, and accepts until it is told that the predecessor does.
    HandsBack,
    /// Another one is about to accept in its place.
    Retires,
}

impl Newcomer {
    /// Tells it that it gets nothing.
    pub async fn refuse(self, reason: Refusal) -> Result<(), Broken> {
        self.channel.send(&Message::Refused { version: VERSION, reason }, None).await
    }

    /// Tells one of another version so, and waits until it has sockets of its own.
    pub async fn part(self) -> Result<Replaced, Broken> {
        self.channel.send(&Message::Refused { version: VERSION, reason: Refusal::Version }, None).await?;
        match self.channel.answer().await? {
            (Message::Vacate { .. }, _) => Ok(Replaced(self.channel)),
            (other, _) => Err(Broken::unexpected(&other)),
        }
    }
}

/// Offers all sockets and waits until the newcomer is ready to accept.
pub async fn offer(newcomer: Newcomer, offered: &[Offered]) -> Result<Ready, Broken> {
    let channel = newcomer.channel;
    for Offered { place, sockets } in offered {
        for socket in sockets {
            channel.send(&Message::Offer(*place), Some(socket)).await?;
        }
    }
    channel.send(&Message::Complete, None).await?;
    let mut declined = BTreeSet::new();
    loop {
        match channel.answer().await?.0 {
            Message::Decline { group } if declined.len() < offered.len() => drop(declined.insert(group)),
            Message::Take => return Ok(Ready { channel, declined }),
            other => return Err(Broken::unexpected(&other)),
        }
    }
}

impl Ready {
    /// Whether it wants the sockets of `place`.
    pub fn takes(&self, place: &Place) -> bool {
        !self.declined.contains(&place.group)
    }

    /// Tells it that nobody else accepts any more.
    pub async fn rested(self) -> Result<Replaced, Broken> {
        self.channel.send(&Message::Rested, None).await?;
        Ok(Replaced(self.channel))
    }
}

impl Replaced {
    /// Waits until something becomes of the successor.
    pub async fn progress(&self) -> Progress {
        match self.0.receive().await {
            Ok((Message::Resume, _)) => Progress::HandsBack,
            Ok((Message::Retire, _)) => Progress::Retires,
            Ok((other, _)) => {
                tracing::warn!(message = other.name(), "a successor is not understood");
                Progress::Gone
            }
            Err(error) => {
                tracing::debug!(%error, "a successor has gone");
                Progress::Gone
            }
        }
    }

    /// Tells a successor that handed back that it may stop.
    pub async fn resumed(self) {
        if let Err(error) = self.0.send(&Message::Resumed, None).await {
            tracing::debug!(%error, "a successor did not wait for its predecessor");
        }
    }
}
