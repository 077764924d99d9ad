//! Chooses an endpoint. Pure: randomness, load and eligibility are arguments, cursors belong to the caller.

pub mod consistent_hash;
pub mod power_of_two;
pub mod round_robin;
pub mod share;
