//! What the cluster is shown of announced addresses, by the holder of the Lease: when a change is shown, and how often.
//! What is to be shown is decided in [`crate::kubernetes::announced`].

mod board;
mod l2_statuses;

pub(super) use self::{
    board::{Board, Change},
    l2_statuses::{Wanted, resource as l2_status_resource, write},
};
