//! Our vocabulary: everything a user can ask for, in types whose values cannot be wrong.
//!
//! Nothing here knows a file format or a cluster object kind; conversion lives in [`crate::kubernetes`].

pub mod address_map;
pub mod certificate;
pub mod cluster;
pub mod cluster_key;
pub mod condition;
pub mod duration;
pub mod expression;
pub mod filter;
pub mod go_regex;
pub mod host;
pub mod id;
pub mod internal;
pub mod middleware;
pub mod path;
pub mod request;
pub mod route;
