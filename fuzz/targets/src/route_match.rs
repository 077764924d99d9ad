//! The tables against a model that tries every rule in the documented order; `tests/route_match.rs` asks it too.

use std::{cmp::Reverse, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use postern_config::{
    model::{
        host::{HostPattern, WildcardDepth},
        id::ObjectId,
        path::PathPattern,
        route::{Action, Family, HeaderMatch, Outcome, Predicates, Rank, Rule, RuleSource, ValueMatch},
    },
    snapshot::{HostEntry, HostTable, Listener, RequestKey, SniTable, SocketKey, Transport},
};

const HOSTS: [&str; 8] = ["", "a.b.c", "b.c", "x.b.c", "*.b.c", "*.c", "*.a.b.c", "c"];
const PATHS: [&str; 8] = ["/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/b", "/a//b"];
const ASKED_HOSTS: [&str; 8] = ["a.b.c", "b.c", "x.b.c", "y.b.c", "z.y.b.c", "c", "", "other.org"];
const ASKED_PATHS: [&str; 8] = ["/", "/a", "/a/", "/a/b", "/ab", "/abc", "/a/b/c/d/e", "/b/"];
/// More rules than this only make one input slower.
const MOST_RULES: usize = 40;

struct Filed {
    host: HostPattern,
    route_host: HostPattern,
    rule: Arc<Rule>,
}

/// Two bytes of request, then six bytes a rule.
pub fn route_match(data: &[u8]) {
    let [asked_host, asked_rest, rules @ ..] = data else { return };
    let drafts = rules.chunks_exact(6).take(MOST_RULES).enumerate();
    let filed: Vec<Filed> = drafts.filter_map(|(index, bytes)| file(index, bytes)).collect();
    let method = if asked_rest & 8 == 0 { Method::GET } else { Method::POST };
    let mut headers = HeaderMap::new();
    if asked_rest & 16 != 0 {
        headers.insert("x-a", HeaderValue::from_static("1"));
    }
    let host = pick(&ASKED_HOSTS, *asked_host);
    let (path, peer) = (pick(&ASKED_PATHS, *asked_rest), [127, 0, 0, 1].into());
    let request = RequestKey { host, path, query: None, method: &method, headers: &headers, peer };
    let listener = listener(&filed);
    let name = |rule: &Arc<Rule>| rule.source.object.name.clone();
    assert_eq!(listener.find(request).map(name), naive(&filed, request).map(name), "{request:?}");
}

fn pick<'a>(texts: &[&'a str; 8], byte: u8) -> &'a str {
    texts[usize::from(byte % 8)]
}

fn file(index: usize, bytes: &[u8]) -> Option<Filed> {
    let &[host, route_host, path, flags, except, rank] = bytes else { return None };
    let depth = |byte: u8| if byte & 8 == 0 { WildcardDepth::One } else { WildcardDepth::Many };
    let pattern = |byte| HostPattern::parse(pick(&HOSTS, byte), depth(byte)).ok();
    let text = pick(&PATHS, path);
    let path = match flags % 4 {
        3 => Ok(PathPattern::Start(text.into())),
        0 => PathPattern::exact(text),
        1 => PathPattern::prefix(text),
        _ => PathPattern::regex(&format!("{text}.*")),
    };
    let except = pattern(except).filter(|host| *host != HostPattern::Any);
    let rule = rule(index, path.ok()?, flags, except, rank);
    Some(Filed { host: pattern(host)?, route_host: pattern(route_host)?, rule })
}

fn rule(index: usize, path: PathPattern, flags: u8, except: Option<HostPattern>, rank: u8) -> Arc<Rule> {
    let family = [Family::Gateway, Family::Ranked, Family::Classic, Family::Ranked][usize::from(rank % 4)];
    let object = ObjectId { kind: "route".into(), namespace: "ns".into(), name: format!("r{index:02}").into() };
    let header = HeaderMatch { name: HeaderName::from_static("x-a"), value: ValueMatch::Exact("1".into()) };
    Arc::new(Rule {
        source: Arc::new(RuleSource { object, created: None, rule_index: 0, rule_name: None }),
        match_index: 0,
        rank: Rank { priority: i64::from(rank / 4 % 8), family },
        fallback: false,
        path,
        predicates: Predicates {
            method: (flags & 64 != 0).then_some(Method::POST),
            headers: if flags & 128 == 0 { Vec::new() } else { vec![header] },
            ..Predicates::default()
        },
        except_hosts: except.into_iter().collect(),
        action: Arc::new(Action {
            steps: Vec::new(),
            outcome: Outcome::Closed { status: StatusCode::OK, reason: "".into() },
        }),
    })
}

fn listener(filed: &[Filed]) -> Listener {
    let mut hosts = HostTable::default();
    for Filed { host, route_host, rule } in filed {
        let mut entry = hosts.get(host).map_or_else(|| HostEntry::new(host.clone()), |entry| (**entry).clone());
        let table = if is_ranked(rule) { entry.ranked.as_ref() } else { entry.layer(route_host) };
        let mut paths = table.map(|paths| (**paths).clone()).unwrap_or_default();
        let mut rules: Vec<_> = paths.get(&rule.path).map(|rules| rules.to_vec()).unwrap_or_default();
        rules.push(rule.clone());
        rules.sort();
        paths.set(&rule.path, rules.into());
        if is_ranked(rule) {
            entry.set_ranked(paths);
        } else {
            entry.set_layer(route_host, paths);
        }
        hosts.set(host, Some(Arc::new(entry)));
    }
    let key = SocketKey { address: None, port: 80 };
    Listener { key, name: "web".into(), transport: Transport::Plain, hosts, sni: SniTable::default() }
}

fn is_ranked(rule: &Rule) -> bool {
    rule.rank.family == Family::Ranked
}

/// The documented order, rule by rule.
fn naive<'a>(filed: &'a [Filed], request: RequestKey<'_>) -> Option<&'a Arc<Rule>> {
    let path_rank = |path: &PathPattern| match path {
        PathPattern::Exact(_) => (0, Reverse(0), String::new()),
        PathPattern::Regex(regex) => (1, Reverse(regex.as_str().len()), regex.as_str().to_owned()),
        PathPattern::Prefix(prefix) => (2, Reverse(prefix.len()), String::new()),
        PathPattern::Start(text) => (3, Reverse(text.len()), String::new()),
    };
    let fits = |filed: &&Filed| {
        let rule = &filed.rule;
        filed.host.matches(request.host)
            && rule.path.matches(request.path)
            && rule.predicates.matches(request.method, request.headers, request.query)
            && !rule.except_hosts.iter().any(|host| host.matches(request.host))
    };
    let order = |filed: &&'a Filed| {
        (filed.host.clone(), filed.route_host.clone(), path_rank(&filed.rule.path), filed.rule.clone())
    };
    let specific = filed.iter().filter(|filed| !is_ranked(&filed.rule)).filter(fits).min_by_key(order);
    let ranked = filed.iter().filter(|filed| is_ranked(&filed.rule)).filter(fits);
    let all = ranked.chain(specific).map(|filed| &filed.rule);
    all.reduce(|best, rule| if rule.outranks(best) { rule } else { best })
}
