//! `postern doctor`, the node's side: what on this host would keep clients from Postern's sockets. One file per check: a
//! pure function of text that was read, and what reads it. The cluster's side is `postern_config::kubernetes::doctor`.

pub mod capability;
pub mod firewall;
pub mod kernel;
pub mod occupied;

use postern_config::kubernetes::doctor::Diagnosis;

/// Examines this host, for Postern to bind `ports`.
pub fn examine(ports: &[u16]) -> Vec<Diagnosis> {
    let mut found = occupied::look(ports);
    found.push(capability::look(ports));
    found.extend(kernel::look(ports));
    found.extend(firewall::look(ports));
    found
}
