//! Cluster objects: how they are written, kept at hand, and turned into our vocabulary.
//!
//! The only part of the workspace that names object kinds. Files and (later) cluster watches both enter at
//! [`object`]; [`convert`] turns one object at a time into a [`convert::Contribution`], reading other objects through
//! a [`view::View`] that remembers what was read, so that a change recomputes its dependants and nothing else. [`status`]
//! and [`event`] go the other way: from a verdict to what the cluster should show. [`takeover`] decides whether Postern
//! stands in for the products that were there before.

pub mod announced;
pub mod convert;
pub mod definition;
pub mod doctor;
pub mod document;
pub mod event;
pub mod object;
pub mod status;
pub mod store;
pub mod takeover;
pub mod view;
