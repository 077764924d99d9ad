//! What nodes say of the addresses that they may announce → what the cluster is shown of it: who announces what is whose,
//! and what stands against it, with the way out.
//!
//! ```text
//! announcements + accounts of all nodes ──judge──> Told of each object ──> condition, events, ServiceL2Status
//! ```
//!
//! Pure. When a change is shown, and how often, is decided by whoever writes. Nodes are not asked here, and it is not
//! decided here who announces: they have agreed on that among themselves.

mod account;
pub mod l2_status;
mod said;
mod verdict;

#[cfg(test)]
mod tests;

pub use self::{
    account::{Account, Accounts, Cause, Mac, Part, Rival, Role},
    said::{events, notices},
    verdict::{NOT_ANNOUNCED, Told, World},
};
