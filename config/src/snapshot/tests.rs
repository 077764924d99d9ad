//! What a look-up costs; what it finds is held against a model in `fuzz/targets/src/route_match.rs`.

use http::{HeaderMap, Method, StatusCode};

use super::*;
use crate::model::{
    path::PathPattern,
    route::{Action, Family, Outcome, Predicates, Rank, RuleSource},
};

#[test]
fn a_path_of_many_segments_is_probed_only_as_deep_as_prefixes_go() {
    let object = ObjectId { kind: "Route".into(), namespace: "ns".into(), name: "r".into() };
    let path = PathPattern::prefix("/a/b").expect("a valid prefix");
    let rule = Rule {
        source: Arc::new(RuleSource { object, created: None, rule_index: 0, rule_name: None }),
        match_index: 0,
        rank: Rank { priority: 0, family: Family::Gateway },
        fallback: false,
        path: path.clone(),
        predicates: Predicates::default(),
        except_hosts: Arc::default(),
        action: Arc::new(Action {
            steps: vec![],
            outcome: Outcome::Closed { status: StatusCode::OK, reason: "".into() },
        }),
    };
    let (mut paths, mut entry, mut hosts) =
        (PathTable::default(), HostEntry::new(HostPattern::Any), HostTable::default());
    paths.set(&path, [Arc::new(rule)].into());
    entry.set_layer(&HostPattern::Any, paths);
    hosts.set(&HostPattern::Any, Some(Arc::new(entry)));
    let key = SocketKey { address: None, port: 80 };
    let listener = Listener { key, name: "web".into(), transport: Transport::Plain, hosts, sni: SniTable::default() };

    let path = format!("/a/b{}", "/x".repeat(20_000));
    let (method, headers, peer) = (&Method::GET, &HeaderMap::new(), [127, 0, 0, 1].into());
    let request = RequestKey { host: "", path: &path, query: None, method, headers, peer };
    assert!(listener.find(request).is_some());
}
