//! What only a real kernel can show: every node, the client and the switch between them is a network namespace that the
//! test makes and removes. `cargo xtask test segment` says whether they could be made.

mod kernel;
mod world;
