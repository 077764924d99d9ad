//! What Kubernetes takes for a name (Object Names and IDs: RFC 1123 subdomain and label).

use crate::kubernetes::object::Kind;

/// Why `name` is no name for an object of `kind`; `None` where it is one.
pub(super) fn name_fault(kind: Kind, name: &str) -> Option<&'static str> {
    match kind {
        Kind::Namespace | Kind::Service if name.contains('.') => Some("has a '.'"),
        Kind::Namespace | Kind::Service => label_fault(name),
        _ => subdomain_fault(name),
    }
}

/// Why `name` is no RFC 1123 label: 1 to 63 of `a-z`, `0-9` and inner `-`.
pub(super) fn label_fault(name: &str) -> Option<&'static str> {
    if name.len() > 63 { Some("has more than 63 characters") } else { part_fault(name) }
}

/// Unlike a DNS name, an object name may have parts of more than 63 characters.
fn subdomain_fault(name: &str) -> Option<&'static str> {
    if name.len() > 253 { Some("has more than 253 characters") } else { name.split('.').find_map(part_fault) }
}

fn part_fault(part: &str) -> Option<&'static str> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if part.is_empty() {
        Some("is empty, or has an empty part")
    } else if !part.bytes().all(fits) {
        Some("has characters other than a-z, 0-9, '-' and '.'")
    } else if part.starts_with('-') || part.ends_with('-') {
        Some("has a part that begins or ends with '-'")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_api_server_takes() {
        let long = "a".repeat(64);
        for (kind, name, good) in [
            (Kind::Secret, "wildcard-tls", true),
            (Kind::Secret, "example.com-tls", true),
            (Kind::Secret, long.as_str(), true),
            (Kind::Secret, "Upper", false),
            (Kind::Secret, "a..b", false),
            (Kind::Secret, "-a", false),
            (Kind::Secret, "a_b", false),
            (Kind::Secret, "ä", false),
            (Kind::Secret, "", false),
            (Kind::Service, "web", true),
            (Kind::Service, "a.b", false),
            (Kind::Service, long.as_str(), false),
            (Kind::Namespace, "kube-system", true),
        ] {
            assert_eq!(name_fault(kind, name).is_none(), good, "{kind:?} {name}");
        }
    }
}
