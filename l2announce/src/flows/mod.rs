//! Which flows a node has at announced addresses: asked by the node that takes the addresses, and told by all others. A
//! [`Pull`] asks, a [`Teller`] answers; both are told the time and what arrives, and send nothing themselves.
//!
//! Datagrams go over the sockets of heartbeats, and prove the same key. Whoever asks repeats what was lost, so that the
//! one that tells need not know what has arrived. What follows of the flows is no matter of this module.

mod datagram;
mod pull;
mod teller;

#[cfg(test)]
mod tests;

pub use datagram::{Answer, Message, Question, Refusal, Session, VERSION, is_ours};
pub use pull::{Progress, Pull};
pub use teller::{Asked, Teller};

/// Most addresses of one question; for more, several are asked.
pub const MOST_ADDRESSES: usize = 48;
/// Most flows that are told of one address. Those beyond are reset when the address moves.
pub const MOST_FLOWS: usize = 50_000;
