//! An expression → the places where it is filed: a host, a path, and what else must hold there.
//!
//! The expression is brought into disjunctive form, and each of its branches gives one place. Where that would be too
//! many, the hosts (or else the paths) that it cannot hold without are the places, and the whole of it is asked there.

use std::{collections::BTreeSet, sync::Arc};

use crate::model::{expression::Expression, host::HostPattern, path::PathPattern, request::Condition};

/// More branches than this are not made.
pub const MOST_BRANCHES: usize = 256;
/// An expression with more hosts or paths than this is asked for every request of its entry points.
const MOST_PLACES: usize = 4096;

type Tree = Expression<Condition>;

/// One place where a rule is filed.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// Hosts; `Any` where the rule does not bind itself to hosts that can be filed.
    pub host: HostPattern,
    /// Paths: whole or by first characters.
    pub path: PathPattern,
    /// What else must hold.
    pub rest: Option<Arc<Tree>>,
}

/// The places of `expression`; none where it can never hold.
pub fn spread(expression: &Tree) -> Vec<Branch> {
    let plain = without_not(expression, true);
    if branches(&plain) > MOST_BRANCHES {
        return places(plain);
    }
    let mut made: Vec<Branch> = Vec::new();
    for literals in disjunction(&plain) {
        let branch = branch(literals);
        if !made.contains(&branch) {
            made.push(branch);
        }
    }
    made
}

/// The same with `Not` in front of single conditions alone; `positive` is whether it, or its opposite, is wanted.
fn without_not(tree: &Tree, positive: bool) -> Tree {
    let each = |parts: &[Tree]| parts.iter().map(|part| without_not(part, positive)).collect();
    match (tree, positive) {
        (Tree::Not(inner), _) => without_not(inner, !positive),
        (Tree::Is(_), true) => tree.clone(),
        (Tree::Is(_), false) => Tree::Not(Box::new(tree.clone())),
        (Tree::All(parts), true) | (Tree::Any(parts), false) => Tree::All(each(parts)),
        (Tree::Any(parts), true) | (Tree::All(parts), false) => Tree::Any(each(parts)),
    }
}

/// How many branches the disjunctive form has, those on the way to it included: what never holds counts where it is
/// joined with others.
fn branches(tree: &Tree) -> usize {
    match tree {
        Tree::Is(_) | Tree::Not(_) => 1,
        Tree::All(parts) => parts.iter().map(|part| branches(part).max(1)).fold(1, usize::saturating_mul),
        Tree::Any(parts) => parts.iter().map(branches).fold(0, usize::saturating_add),
    }
}

/// The disjunctive form: for each branch what must hold together.
fn disjunction(tree: &Tree) -> Vec<Vec<Tree>> {
    match tree {
        Tree::Is(_) | Tree::Not(_) => vec![vec![tree.clone()]],
        Tree::Any(parts) => parts.iter().flat_map(disjunction).collect(),
        Tree::All(parts) => parts.iter().fold(vec![Vec::new()], |so_far, part| joined(so_far, &disjunction(part))),
    }
}

fn joined(mut left: Vec<Vec<Tree>>, right: &[Vec<Tree>]) -> Vec<Vec<Tree>> {
    if let [only] = right {
        left.iter_mut().for_each(|left| left.extend_from_slice(only));
        return left;
    }
    left.iter().flat_map(|left| right.iter().map(move |right| [left.as_slice(), right].concat())).collect()
}

/// The most specific host and path of what must hold together; the rest is asked.
fn branch(mut literals: Vec<Tree>) -> Branch {
    let host = |literal: &Tree| match literal {
        Tree::Is(Condition::Host(host)) => Some(host.clone()),
        _ => None,
    };
    let host = literals.iter().filter_map(host).min().unwrap_or(HostPattern::Any);
    let path = literals.iter().filter_map(path_of).max_by_key(specificity).unwrap_or_else(any_path);
    let is_filed = |literal: &Tree| match literal {
        Tree::Is(Condition::Host(HostPattern::Any)) => true,
        Tree::Is(Condition::Host(filed)) => *filed == host,
        _ => path_of(literal).is_some_and(|filed| filed == path),
    };
    literals.retain(|literal| !is_filed(literal));
    let rest = match (literals.len(), literals.pop()) {
        (1, only) => only,
        (_, None) => None,
        (_, Some(last)) => {
            literals.push(last);
            Some(Tree::All(literals))
        }
    };
    Branch { host, path, rest: rest.map(Arc::new) }
}

fn path_of(literal: &Tree) -> Option<PathPattern> {
    match literal {
        Tree::Is(Condition::Path(text)) => Some(PathPattern::Exact(text.clone())),
        Tree::Is(Condition::PathPrefix(text)) => Some(PathPattern::Start(text.clone())),
        _ => None,
    }
}

fn specificity(path: &PathPattern) -> (bool, usize) {
    match path {
        PathPattern::Exact(text) => (true, text.len()),
        PathPattern::Start(text) => (false, text.len()),
        PathPattern::Prefix(_) | PathPattern::Regex(_) => (false, 0),
    }
}

fn any_path() -> PathPattern {
    PathPattern::Start(Arc::default())
}

/// Where the whole expression is asked, since its branches are too many.
fn places(tree: Tree) -> Vec<Branch> {
    let host = |condition: &Condition| match condition {
        Condition::Host(host) => Some(host.clone()),
        _ => None,
    };
    let path = |condition: &Condition| path_of(&Tree::Is(condition.clone())).map(ByText);
    let hosts = needed(&tree, &host).filter(|hosts| !hosts.contains(&HostPattern::Any));
    let paths = needed(&tree, &path);
    let rest = Some(Arc::new(tree));
    let branch = |host, path| Branch { host, path, rest: rest.clone() };
    match (hosts, paths) {
        (Some(hosts), _) => hosts.into_iter().map(|host| branch(host, any_path())).collect(),
        (None, Some(paths)) => paths.into_iter().map(|ByText(path)| branch(HostPattern::Any, path)).collect(),
        (None, None) => vec![branch(HostPattern::Any, any_path())],
    }
}

/// Values of which one must be there for `tree` to hold; `None` where it may hold without, or where they are too many.
pub(in super::super) fn needed<C, V: Ord>(
    tree: &Expression<C>,
    value: &impl Fn(&C) -> Option<V>,
) -> Option<BTreeSet<V>> {
    let values = match tree {
        Expression::Is(condition) => BTreeSet::from([value(condition)?]),
        Expression::Not(_) => return None,
        Expression::All(parts) => parts.iter().filter_map(|part| needed(part, value)).min_by_key(BTreeSet::len)?,
        Expression::Any(parts) => {
            let each: Option<Vec<_>> = parts.iter().map(|part| needed(part, value)).collect();
            each?.into_iter().flatten().collect()
        }
    };
    (values.len() <= MOST_PLACES).then_some(values)
}

/// Paths in some order, to be told apart.
#[derive(PartialEq, Eq)]
struct ByText(PathPattern);

impl Ord for ByText {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.to_string().cmp(&other.0.to_string())
    }
}

impl PartialOrd for ByText {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};
    use proptest::prelude::*;

    use super::*;
    use crate::{kubernetes::convert::traefik::rule, model::request::RequestKey};

    fn shown(text: &str) -> Vec<String> {
        let read = rule::http(text).expect("a rule");
        let line = |branch: Branch| {
            let rest = branch.rest.map(|rest| format!(" where {rest}")).unwrap_or_default();
            format!("{} {}{rest}", branch.host, branch.path)
        };
        spread(&read.expression).into_iter().map(line).collect()
    }

    #[test]
    fn each_branch_gives_a_place() {
        for (text, want) in [
            ("Host(`a`)", vec!["a *"]),
            ("Host(`a`) && PathPrefix(`/x`)", vec!["a /x*"]),
            ("Host(`a`) && Path(`/x`) && PathPrefix(`/`)", vec!["a =/x where path begins with /"]),
            ("Host(`a`) || Host(`b`)", vec!["a *", "b *"]),
            ("(Host(`a`) || Host(`b`)) && (Path(`/x`) || PathPrefix(`/y`))", vec!["a =/x", "a /y*", "b =/x", "b /y*"]),
            ("Host(`a`) && Path(`/x`) || Host(`b`)", vec!["a =/x", "b *"]),
            ("PathPrefix(`/x`) && Method(`GET`)", vec!["* /x* where method is GET"]),
            ("HostRegexp(`a`)", vec!["* * where host matches \"a\""]),
            ("!(Host(`a`) || Method(`GET`))", vec!["* * where (!host is a && !method is GET)"]),
            ("!(!Host(`a`) || Method(`GET`))", vec!["a * where !method is GET"]),
            ("Host(`*`) && PathPrefix(`/`)", vec!["* /*"]),
            ("Host(`*.a`) && Host(`b.a`)", vec!["b.a * where host is *.a"]),
            ("Host(`a`) && Host(`a`)", vec!["a *"]),
            ("Path(`//`)", vec![]),
            ("Host(`a`) && !Path(`//`)", vec!["a *"]),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }

    #[test]
    fn growth_is_bounded_and_hosts_or_paths_are_still_found() {
        let many = |name: &str, slash: &str, count: usize| {
            (0..count).map(|n| format!("{name}(`{slash}x{n}`)")).collect::<Vec<_>>().join(" || ")
        };
        let product = format!("({}) && ({})", many("Host", "", 100), many("Path", "/", 100));
        assert_eq!(shown(&product).len(), 100);
        let pairs = vec!["(Method(`GET`) || Query(`a`))"; 40].join(" && ");
        assert_eq!(shown(&pairs).len(), 1);
        assert_eq!(shown(&format!("({pairs}) && Path(`//`)")).len(), 0);
        assert_eq!(shown(&format!("({pairs}) && ({})", many("PathPrefix", "/", 3))).len(), 3);
    }

    fn condition() -> impl Strategy<Value = Tree> {
        let text = prop::sample::select(vec![
            "Host(`a`)",
            "Host(`b.a`)",
            "Host(`*.a`)",
            "Host(`*`)",
            "HostRegexp(`^b`)",
            "Path(`/x`)",
            "Path(`/xy`)",
            "Path(`//`)",
            "PathPrefix(`/x`)",
            "PathPrefix(`/`)",
            "Method(`GET`)",
            "Header(`x-a`, `1`)",
        ]);
        text.prop_map(|text| rule::http(text).expect("a rule").expression)
    }

    fn tree() -> impl Strategy<Value = Tree> {
        condition().prop_recursive(6, 48, 5, |inner| {
            prop_oneof![
                inner.clone().prop_map(|tree| Tree::Not(Box::new(tree))),
                prop::collection::vec(inner.clone(), 1..5).prop_map(Tree::All),
                prop::collection::vec(inner, 1..5).prop_map(Tree::Any),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_places_hold_for_what_the_expression_holds_for(
            tree in tree(),
            host in prop::sample::select(vec!["a", "b.a", "c.a", "other", ""]),
            path in prop::sample::select(vec!["/", "/x", "/xy", "/xyz", "/y"]),
            is_get in any::<bool>(),
            marked in any::<bool>(),
        ) {
            let method = if is_get { Method::GET } else { Method::POST };
            let mut headers = HeaderMap::new();
            if marked {
                headers.insert("x-a", HeaderValue::from_static("1"));
            }
            let peer = [127, 0, 0, 1].into();
            let request = RequestKey { host, path, query: None, method: &method, headers: &headers, peer };
            let is = |condition: &Condition| condition.holds(request);
            let holds = |branch: &Branch| {
                branch.host.matches(host)
                    && branch.path.matches(path)
                    && branch.rest.as_ref().is_none_or(|rest| rest.holds(&is))
            };
            prop_assert_eq!(spread(&tree).iter().any(holds), tree.holds(&is));
        }
    }
}
