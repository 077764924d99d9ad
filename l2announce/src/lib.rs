//! Attracting: which node answers for a virtual address (ARP, NDP; later BGP). Knows addresses and links, nothing of
//! HTTP or of cluster objects.

pub mod agent;
pub mod announcement;
pub mod election;
pub mod flows;
pub mod heartbeat;
pub mod kernel;
pub mod link;
pub mod moment;
pub mod responder;
pub mod socket;
pub mod station;
pub mod wire;

pub use announcement::{Announcement, Announcements, Candidate, Interfaces, NodeName, Port, Purpose, Transport};
pub use moment::Moment;
