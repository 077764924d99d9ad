//! What the listeners of one Gateway are to each other: which cannot be told apart, and which have hosts of others.

use super::Listener;
use crate::{kubernetes::convert::gateway::reason, model::host::HostPattern, report::Finding, snapshot::Transport};

/// Listeners of one name are refused all together: a route that names one could mean another. One whose name is none
/// (`SectionName` of the API) could not be named, nor spoken of in a status.
pub(super) fn refuse_names(all: &mut [Listener<'_>], findings: &mut Vec<Finding>) {
    let names: Vec<_> = all.iter().map(|listener| listener.spec.name.clone()).collect();
    for listener in all {
        let name = &listener.spec.name;
        let problem = if names.iter().filter(|other| *other == name).count() > 1 {
            format!("another listener is named {name} too")
        } else if !is_section_name(name) {
            format!("{name:?} is no name: lower-case letters, digits, - and . are, 253 at most")
        } else {
            continue;
        };
        listener.accepted = false;
        findings.push(Finding::refused(format!("{}.name", listener.field()), reason::UNSUPPORTED_VALUE, problem));
    }
}

/// RFC 1123 subdomain, as the API has it.
fn is_section_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Listeners that cannot be told apart are refused all together: none of them may win.
pub(super) fn refuse_conflicts(all: &mut [Listener<'_>], findings: &mut Vec<Finding>) {
    let seen: Vec<_> = all.iter().map(|listener| (listener.index, key(listener))).collect();
    for listener in all {
        let Some(mine) = key(listener) else { continue };
        let others = || seen.iter().filter(|(index, _)| *index != listener.index).filter_map(|(_, key)| key.as_ref());
        let same_port = || others().filter(|other| other.port == mine.port);
        let conflict = if same_port().any(|other| other.transport != mine.transport) {
            Some((
                reason::PROTOCOL_CONFLICT,
                "another listener of this port speaks HTTP where this one speaks TLS, or the reverse",
            ))
        } else if same_port().any(|other| other.host == mine.host && other.protocol != mine.protocol) {
            Some((reason::PROTOCOL_CONFLICT, "another listener of this port and hostname has another protocol"))
        } else if same_port().any(|other| other.host == mine.host) {
            Some((reason::HOSTNAME_CONFLICT, "another listener has this port and hostname too"))
        } else {
            None
        };
        if let Some((reason, message)) = conflict {
            listener.accepted = false;
            findings.push(Finding::refused(listener.field(), reason, message));
        }
    }
}

struct ConflictKey {
    port: u16,
    protocol: String,
    transport: Transport,
    host: HostPattern,
}

fn key(listener: &Listener<'_>) -> Option<ConflictKey> {
    Some(ConflictKey {
        port: listener.spec.port.get(),
        protocol: listener.spec.protocol.to_string(),
        transport: listener.protocol?.transport(),
        host: listener.host.clone()?,
    })
}

/// Hosts that more specific listeners of the same port have. Refused ones keep theirs: a host must not fall to a wider
/// listener because its own cannot be served.
pub(super) fn isolate(all: &mut [Listener<'_>]) {
    let hosts: Vec<_> = all
        .iter()
        .filter_map(|listener| Some((listener.spec.port, listener.protocol?.transport(), listener.host.clone()?)))
        .collect();
    for listener in all {
        let (Some(protocol), Some(host)) = (listener.protocol, &listener.host) else { continue };
        let mut except: Vec<_> = hosts
            .iter()
            .filter(|(port, transport, _)| *port == listener.spec.port && *transport == protocol.transport())
            .map(|(_, _, other)| other)
            .filter(|other| *other != host && host.contains(other))
            .cloned()
            .collect();
        except.sort();
        except.dedup();
        listener.except_hosts = except.into();
    }
}
