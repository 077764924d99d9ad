//! Sockets that see and send whole frames of one link. The only place of the project with `unsafe`: for what
//! no library has a safe form.

mod filter;
mod groups;
mod packet;

use std::{io, sync::Arc};

pub use self::{
    groups::Groups,
    packet::{PacketSocket, Protocol},
};

/// A socket can't be had or used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The process lacks a capability.
    #[error(
        "announcing addresses needs the capability CAP_NET_RAW, which this process does not have: \
         add NET_RAW to the container's capabilities, or AmbientCapabilities=CAP_NET_RAW to the unit"
    )]
    Permission,
    /// The link is gone.
    #[error("interface {link} is gone")]
    Gone {
        /// Its name.
        link: Arc<str>,
    },
    /// Anything else.
    #[error("cannot {what} on interface {link}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The link's name.
        link: Arc<str>,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl SocketError {
    /// Names what the kernel's refusal means.
    fn new(what: &'static str, link: &Arc<str>, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Permission,
            Some(libc::ENODEV | libc::ENXIO) => Self::Gone { link: Arc::clone(link) },
            _ => Self::Io { what, link: Arc::clone(link), source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_capability_or_the_link() {
        let link = Arc::from("lan0");
        let said =
            |code| SocketError::new("open a packet socket", &link, io::Error::from_raw_os_error(code)).to_string();
        assert!(said(libc::EPERM).contains("CAP_NET_RAW"), "{}", said(libc::EPERM));
        assert_eq!(said(libc::ENODEV), "interface lan0 is gone");
        assert!(
            said(libc::ENOMEM).starts_with("cannot open a packet socket on interface lan0: "),
            "{}",
            said(libc::ENOMEM)
        );
    }
}
