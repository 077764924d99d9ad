//! What `check`, `explain` and the admin API show: types of its own, so that a change inside is not a change outside, and so that nothing
//! secret is shown by accident (no key, no password, no header value of a middleware).

pub mod certificate;
pub mod cluster;
pub mod listener;
pub mod object;
pub mod overview;
pub mod peers;
pub mod rule;
pub mod takeover;
pub mod vip;
