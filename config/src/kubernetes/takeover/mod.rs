//! Living beside the products that Postern replaces: which of them there are, and whether Postern owns what one of them
//! did or merely observes. Pure: what is seen in the cluster comes in as data. docs/reference/takeover.md says why the
//! rules are what they are.

pub mod adoption;
mod decision;
pub mod plan;
mod product;
pub mod slice;

pub use decision::{Decision, Remembered, Ruling, Seen, Stance, Wish, Wishes};
pub use product::Product;
