//! The tables against a model that tries every rule.

use std::{cmp::Reverse, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::model::{
    host::WildcardDepth,
    route::{Action, HeaderMatch, Outcome, Predicates, RuleSource, ValueMatch},
};

/// A rule and where it is filed.
#[derive(Clone, Debug)]
struct Filed {
    host: HostPattern,
    route_host: HostPattern,
    rule: Arc<Rule>,
}

fn listener(filed: &[Filed]) -> Listener {
    let mut hosts = HostTable::default();
    for Filed { host, route_host, rule } in filed {
        let mut entry = hosts.get(host).map_or_else(|| HostEntry::new(host.clone()), |entry| (**entry).clone());
        let mut paths = entry.layer(route_host).map(|paths| (**paths).clone()).unwrap_or_default();
        let mut rules: Vec<_> = paths.get(&rule.path).map(|rules| rules.to_vec()).unwrap_or_default();
        rules.push(rule.clone());
        rules.sort();
        paths.set(&rule.path, rules.into());
        entry.set_layer(route_host, paths);
        hosts.set(host, Some(Arc::new(entry)));
    }
    let key = SocketKey { address: None, port: 80 };
    Listener { key, name: "web".into(), transport: Transport::Plain, hosts, sni: SniTable::default() }
}

/// The documented order, rule by rule.
fn naive<'a>(filed: &'a [Filed], request: RequestKey<'_>) -> Option<&'a Arc<Rule>> {
    let path_rank = |path: &PathPattern| match path {
        PathPattern::Exact(_) => (0, Reverse(0), String::new()),
        PathPattern::Regex(regex) => (1, Reverse(regex.as_str().len()), regex.as_str().to_owned()),
        PathPattern::Prefix(prefix) => (2, Reverse(prefix.len()), String::new()),
    };
    let fits = |filed: &&Filed| {
        let rule = &filed.rule;
        filed.host.matches(request.host)
            && rule.path.matches(request.path)
            && rule.predicates.matches(request.method, request.headers, request.query)
            && !rule.except_hosts.iter().any(|host| host.matches(request.host))
    };
    let rank = |filed: &&'a Filed| {
        (filed.host.clone(), filed.route_host.clone(), path_rank(&filed.rule.path), filed.rule.clone())
    };
    filed.iter().filter(fits).min_by_key(rank).map(|filed| &filed.rule)
}

fn host() -> impl Strategy<Value = HostPattern> {
    let text = prop::sample::select(vec!["", "a.b.c", "b.c", "x.b.c", "*.b.c", "*.c", "*.a.b.c"]);
    (text, any::<bool>()).prop_map(|(text, one)| {
        let depth = if one { WildcardDepth::One } else { WildcardDepth::Many };
        HostPattern::parse(text, depth).expect("a valid pattern")
    })
}

fn path() -> impl Strategy<Value = PathPattern> {
    let text = prop::sample::select(vec!["/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/b"]);
    (text, 0..3u8).prop_map(|(text, kind)| {
        let made = match kind {
            0 => PathPattern::exact(text),
            1 => PathPattern::prefix(text),
            _ => PathPattern::regex(&format!("{text}.*")),
        };
        made.expect("a valid pattern")
    })
}

fn filed() -> impl Strategy<Value = Vec<Filed>> {
    let one = (host(), host(), path(), any::<(bool, bool)>(), prop::option::of(host()));
    prop::collection::vec(one, 0..14).prop_map(|drafts| {
        let file = |(index, (host, route_host, path, (post, header), except)): (usize, _)| {
            let rule = rule(index, path, post, header, except);
            Filed { host, route_host, rule }
        };
        drafts.into_iter().enumerate().map(file).collect()
    })
}

fn rule(index: usize, path: PathPattern, post: bool, header: bool, except: Option<HostPattern>) -> Arc<Rule> {
    let object = ObjectId { kind: "Route".into(), namespace: "ns".into(), name: format!("r{index:02}").into() };
    let value = ValueMatch::Exact("1".into());
    let header = header.then(|| HeaderMatch { name: HeaderName::from_static("x-a"), value });
    Arc::new(Rule {
        source: Arc::new(RuleSource { object, created: None, rule_index: 0, rule_name: None }),
        match_index: 0,
        fallback: false,
        path,
        predicates: Predicates {
            path: None,
            method: post.then_some(Method::POST),
            headers: header.into_iter().collect(),
            query: vec![],
        },
        except_hosts: except.filter(|host| *host != HostPattern::Any).into_iter().collect(),
        action: Arc::new(Action {
            steps: vec![],
            outcome: Outcome::Closed { status: StatusCode::OK, reason: "".into() },
        }),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_tables_find_what_trying_every_rule_finds(
        filed in filed(),
        host in prop::sample::select(vec!["a.b.c", "b.c", "x.b.c", "y.b.c", "z.y.b.c", "c", "", "other.org"]),
        path in prop::sample::select(vec!["/", "/a", "/a/", "/a/b", "/ab", "/abc", "/a/b/c/d/e", "/b/", "/zz"]),
        post in any::<bool>(),
        header in any::<bool>(),
    ) {
        let method = if post { Method::POST } else { Method::GET };
        let mut headers = HeaderMap::new();
        if header {
            headers.insert("x-a", HeaderValue::from_static("1"));
        }
        let request = RequestKey { host, path, query: None, method: &method, headers: &headers };
        let listener = listener(&filed);
        let found = listener.find(request).map(|rule| &rule.source.object.name);
        let wanted = naive(&filed, request).map(|rule| &rule.source.object.name);
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn a_path_of_many_segments_is_probed_only_as_deep_as_prefixes_go() {
    let prefix = PathPattern::prefix("/a/b").expect("a valid prefix");
    let filed =
        [Filed { host: HostPattern::Any, route_host: HostPattern::Any, rule: rule(0, prefix, false, false, None) }];
    let path = format!("/a/b{}", "/x".repeat(20_000));
    let request = RequestKey { host: "", path: &path, query: None, method: &Method::GET, headers: &HeaderMap::new() };
    assert!(listener(&filed).find(request).is_some());
}
