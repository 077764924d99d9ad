//! What nodes tell one another on the links that they announce on, several times a second: that they are there, and what
//! they own. What follows of it is decided by election, and not here.
//!
//! [`Outbox`] makes datagrams of what should be told, [`Inbox`] judges those that arrive: whether they are of this
//! installation, of somebody who has the key, and newer than all that was heard before.

mod content;
mod datagram;
pub(crate) mod envelope;
mod inbox;
pub(crate) mod key;
pub(crate) mod number;
mod outbox;
pub mod socket;
mod table;
pub(crate) mod window;

#[cfg(test)]
mod tests;

pub use content::{Claim, Claimed, Claims, Content, Installation, LinkId, Readiness};
pub use datagram::{Datagram, Refusal, VERSION};
pub use envelope::LONGEST;
pub use inbox::{Heard, Inbox, Refusals};
pub use key::Keys;
pub use outbox::{Outbox, Speaker};
pub use table::Portion;
