//! Hand-over: a new process takes the listening sockets of the old one over, and no connection is refused or reset.
//!
//! ```text
//! successor                                 predecessor
//!     Hello (version, workers)    ──────>   makes as many sockets as the successor has workers
//!                                 <──────   Offer and a socket, for each; Complete
//!     Decline, for each group that it does not want
//!     Take                        ──────>   stops accepting, keeps the sockets
//!     accepts                     <──────   Rested
//!     ...                                   serves its connections until it is told to stop
//!     end of the connection       ──────>   accepts again: the successor has died
//! ```
//!
//! Both hold the same open sockets, so that what waits in their queues belongs to both. At each moment one of them
//! accepts, or nobody for as long as a message takes; whichever dies, the other goes on. docs/design/0002-hand-over.md has
//! the reasons.
//!
//! Here are the messages and both sides of the conversation; which sockets there are, and what becomes of them, is
//! [`crate::listener`]'s and `app`'s.

mod channel;
mod door;
pub mod message;
mod predecessor;
mod successor;

use std::{io, net::TcpListener, time::Duration};

pub use door::{Door, DoorError, Newcomer, prepare};
pub use message::{Place, Purpose, Refusal};
pub use predecessor::{Progress, Ready, Replaced, offer};
pub use successor::{Answer, Inheritance, Predecessor, Stranger, ask};

use self::message::{Malformed, Message};

/// How long one step of a conversation may take. A process that was stopped in the middle of it holds nobody up longer.
const STEP: Duration = Duration::from_secs(5);

/// Sockets of one group: they share an address, and the kernel spreads connections over them.
#[derive(Debug)]
pub struct Offered {
    /// What they are for.
    pub place: Place,
    /// All of the group.
    pub sockets: Vec<TcpListener>,
}

/// Why a conversation broke off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The other side's: its process ended, or it gave up.
    #[error("the other process has closed the connection")]
    Ended,
    /// The other side's: it sent what is no message, or one that has no place here.
    #[error("the other process sent what cannot be understood: {0}")]
    Malformed(#[from] Malformed),
    /// The other side's.
    #[error("the other process sent {0} where that has no place")]
    Unexpected(&'static str),
    /// The other side's: it does not go on.
    #[error("the other process has not answered within {STEP:?}")]
    Silent,
    /// The system's.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl Broken {
    fn unexpected(message: &Message) -> Self {
        Self::Unexpected(message.name())
    }
}
