//! Lists as Traefik's API gives them: filtered, sorted, a page at a time (`pkg/api/criterion.go`, `pkg/api/sort.go`).

use std::cmp::Ordering;

use serde_json::Value;

use crate::admin::api::Query;

/// Entries of a page when `per_page` does not say otherwise.
const PER_PAGE: usize = 100;

/// Objects with at least a `name`.
#[derive(Debug, Default)]
pub(super) struct List(pub(super) Vec<Value>);

/// Whoever asks names a page that is not there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageError(pub(super) String);

impl List {
    /// What `query` asks for, and the number of the next page: 1 when there is none.
    pub(super) fn page(mut self, query: &Query) -> Result<(Vec<Value>, usize), PageError> {
        self.0.retain(|item| fits(item, query));
        self.sort(query);
        let (per_page, page) = (number(query, "per_page", PER_PAGE)?, number(query, "page", 1)?);
        let (start, total) = ((page - 1).saturating_mul(per_page), self.0.len());
        if start != 0 && start >= total {
            return Err(PageError(format!("invalid request: page: {page}, per_page: {per_page}")));
        }
        let next = if page.saturating_mul(per_page) < total { page + 1 } else { 1 };
        Ok((self.0.into_iter().skip(start).take(per_page).collect(), next))
    }

    /// The entry of this name.
    pub(super) fn find(self, name: &str) -> Option<Value> {
        self.0.into_iter().find(|item| item["name"] == name)
    }

    fn sort(&mut self, query: &Query) {
        let by = query.get("sortBy").filter(|by| !by.is_empty()).unwrap_or("name");
        let order = |a: &Value, b: &Value| compare(&a[by], &b[by]).then_with(|| compare(&a["name"], &b["name"]));
        match query.get("direction") {
            Some("desc") => self.0.sort_by(|a, b| order(b, a)),
            _ => self.0.sort_by(order),
        }
    }
}

fn fits(item: &Value, query: &Query) -> bool {
    let asked = |name| query.get(name).filter(|text| !text.is_empty());
    let text = |name: &str| item[name].as_str().unwrap_or_default();
    let status = asked("status").is_none_or(|wanted| text("status").eq_ignore_ascii_case(wanted));
    let found = |wanted: &str| {
        let wanted = wanted.to_lowercase();
        ["name", "rule"].iter().any(|field| text(field).to_lowercase().contains(&wanted))
    };
    let middleware = |wanted: &str| {
        let all = item["middlewares"].as_array();
        all.is_some_and(|all| all.iter().any(|name| name == wanted))
    };
    // What is asked of routers does not choose among other things.
    let is_router = item.get("service").is_some();
    status
        && asked("search").is_none_or(found)
        && asked("serviceName").is_none_or(|wanted| !is_router || text("service") == wanted)
        && asked("middlewareName").is_none_or(|wanted| !is_router || middleware(wanted))
}

/// Numbers by size, texts by their letters, lists by their length.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_i64().cmp(&b.as_i64()),
        (Value::Array(a), Value::Array(b)) => a.len().cmp(&b.len()),
        _ => a.as_str().cmp(&b.as_str()),
    }
}

fn number(query: &Query, name: &str, otherwise: usize) -> Result<usize, PageError> {
    match query.get(name) {
        None | Some("") => Ok(otherwise),
        Some(text) => match text.parse() {
            Ok(0) | Err(_) => Err(PageError(format!("invalid request: {name}: {text}"))),
            Ok(number) => Ok(number),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list() -> List {
        let router = |name: &str, status: &str, middlewares: &[&str]| {
            let service = if name < "b" { "one@kubernetes" } else { "two@kubernetes" };
            json!({ "name": name, "status": status, "rule": format!("Host(`{name}.example`)"), "service": service, "middlewares": middlewares, "priority": name.len() })
        };
        List(vec![
            router("bbb", "disabled", &[]),
            router("aa", "enabled", &["m@kubernetescrd"]),
            router("c", "warning", &[]),
        ])
    }

    fn names(query: &str) -> Result<(Vec<String>, usize), PageError> {
        let (items, next) = list().page(&Query::parse(query))?;
        Ok((items.iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()).collect(), next))
    }

    #[test]
    fn lists_are_filtered_sorted_and_cut_as_traefik_does() {
        for (query, wanted, next) in [
            ("", &["aa", "bbb", "c"][..], 1),
            ("status=ENABLED", &["aa"], 1),
            ("search=BBB.example", &["bbb"], 1),
            ("serviceName=two@kubernetes", &["bbb", "c"], 1),
            ("middlewareName=m@kubernetescrd", &["aa"], 1),
            ("direction=desc", &["c", "bbb", "aa"], 1),
            ("sortBy=priority", &["c", "aa", "bbb"], 1),
            ("per_page=2", &["aa", "bbb"], 2),
            ("per_page=2&page=2", &["c"], 1),
            ("search=nothing", &[], 1),
        ] {
            let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(names(query), Ok((wanted, next)), "{query}");
        }
        for query in ["page=4&per_page=1", "page=0", "per_page=-1", "per_page=x", "page=18446744073709551615"] {
            assert!(names(query).is_err(), "{query}");
        }
    }
}
