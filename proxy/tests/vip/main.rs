//! Virtual addresses as clients see them: real processes of the built binary on a real segment, what kills them, and how
//! long nobody answers. Each test prints what it measured; bounds are those of a machine that is busy with other things.
//!
//! The election itself is shown in `l2announce` over thousands of schedules; here it is whether the whole keeps its word.

mod client;
mod crowd;
mod failures;
mod gates;
mod ipv6;
mod lasting;
mod links;
mod node;
mod partitions;
mod planned;
mod refusals;
mod segment;
mod strangers;
mod world;
