//! Who has which address: pools and claims in, an [`Allocation`] out. Pure and deterministic.
//!
//! The rules are MetalLB's, with one of its quirks mended: pools of equal priority are tried by name. What objects say
//! all this is not known here, and neither who announces an address, or where.

mod allocate;
mod claim;
mod holdings;
mod ledger;
mod pool;
mod range;
mod refusal;

#[cfg(test)]
mod tests;

pub use allocate::{Allocation, Assignment, Outcome, allocate};
pub use claim::{Claim, Families, Family, Port, Purpose, Sharing, Transport, Wish};
pub use ledger::Ledger;
pub use pool::{Counts, Pool, Pools, Priority};
pub use range::{Range, RangeProblem, is_buggy};
pub use refusal::{Clash, Refusal, Usage};
