//! What rules of other kinds weigh against Traefik's, by the numbers that Traefik itself gives them.

use crate::model::{
    host::HostPattern,
    path::PathPattern,
    route::{Family, Predicates, Rank},
};

/// The greatest priority that a user may ask for: what Traefik keeps for its own is above.
pub const MOST: i64 = i64::MAX - 1000;

/// Of one of Traefik's rules: its priority, or else the length of its text in bytes.
pub fn of_text(priority: i64, text: &str) -> Rank {
    let length = i64::try_from(text.len()).unwrap_or(MOST);
    // What may not be asked for must not get ahead of others either.
    let priority = if priority == 0 || priority > MOST { length } else { priority };
    Rank { priority, family: Family::Ranked }
}

/// Of a path of an Ingress: the length of the text that Traefik makes of it, ``Host(`a.b`) && PathPrefix(`/x`)``.
pub(in crate::kubernetes::convert) fn of_host_and_path(host: &HostPattern, matcher: &str, path: &str) -> Rank {
    let path = matcher.len() + "(``)".len() + path.len();
    let length = match written(host) {
        0 => path,
        host => "Host(``) && ".len() + host + path,
    };
    Rank { priority: number(length), family: Family::Classic }
}

/// Of what takes the requests that nothing else takes.
pub(in crate::kubernetes::convert) const FALLBACK: Rank = Rank { priority: i32::MIN as i64, family: Family::Classic };

/// Of a match of a Gateway API route, for the longest of its hosts.
pub(in crate::kubernetes::convert) fn of_match<'h>(
    hosts: impl Iterator<Item = &'h HostPattern>,
    path: &PathPattern,
    predicates: &Predicates,
) -> Rank {
    let path = match path {
        PathPattern::Exact(_) => 100_000,
        PathPattern::Prefix(text) | PathPattern::Start(text) if text.is_empty() => 1,
        PathPattern::Prefix(text) | PathPattern::Start(text) => 10_000 + 100 * number(text.len()),
        PathPattern::Regex(regex) => 10_000 + 100 * number(regex.as_str().len()),
    };
    let method = if predicates.method.is_some() { 1000 } else { 0 };
    let others = 100 * number(predicates.headers.len()) + 10 * number(predicates.query.len());
    let priority = path + method + others + number(hosts.map(written).max().unwrap_or_default());
    Rank { priority, family: Family::Gateway }
}

/// How long the host is as users write it.
fn written(host: &HostPattern) -> usize {
    match host {
        HostPattern::Exact(name) => name.len(),
        HostPattern::OneLabel(suffix) | HostPattern::Subdomains(suffix) => "*.".len() + suffix.len(),
        HostPattern::Any => 0,
    }
}

fn number(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::from(i32::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn rules_of_other_kinds_weigh_what_traefik_gives_them() {
        let host = HostPattern::Exact("a.example".into());
        let text = "Host(`a.example`) && PathPrefix(`/x`)";
        assert_eq!(of_host_and_path(&host, "PathPrefix", "/x").priority, of_text(0, text).priority);
        assert_eq!(of_host_and_path(&HostPattern::Any, "Path", "/x").priority, of_text(0, "Path(`/x`)").priority);
        for (path, want) in [
            (PathPattern::Exact("/x".into()), 100_009),
            (PathPattern::Prefix(Arc::default()), 10),
            (PathPattern::Prefix("/x".into()), 10_209),
        ] {
            assert_eq!(of_match([&host].into_iter(), &path, &Predicates::default()).priority, want, "{path}");
        }
        assert_eq!(of_text(-5, text).priority, -5);
    }
}
