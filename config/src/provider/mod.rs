//! Where objects come from; the only part of this crate that does I/O. One folder per provider.

pub mod file;
