//! What is measured: CPU time and memory of a process, instructions and allocations, and statistics over rounds.

pub(crate) mod callgrind;
pub(crate) mod pin;
pub(crate) mod process;
pub(crate) mod rounds;
pub(crate) mod table;
