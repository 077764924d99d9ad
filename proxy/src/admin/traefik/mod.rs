//! Traefik's API, as far as tools that were made for it read it: the same paths, names, shapes, paging and filters
//! (Traefik 3.7, `pkg/api`). What is shown is Postern's: options of middlewares are left out, since they hold secrets.

mod kubernetes;
mod list;
mod overview;
mod router;
mod service;

use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use self::list::{List, PageError};
use super::{
    State,
    api::{Answer, Query, json as answer_json, json_with, text},
};

/// Says which page comes next; 1 after the last.
const NEXT_PAGE: &str = "x-next-page";

/// Makes a list of what there is now.
type Make = fn(&State) -> List;

/// The answer to a GET of `path`, if it is one of Traefik's.
pub(super) fn find(path: &str, query: &Query, state: &State) -> Option<Answer> {
    match path {
        "/ping" => return Some(ping(state)),
        "/api/version" => return Some(answer_json(&version(state))),
        "/api/overview" => return Some(answer_json(&overview::overview(state))),
        "/api/rawdata" => return Some(answer_json(&raw(state))),
        _ => {}
    }
    let rest = path.strip_prefix("/api/")?;
    let (make, name) = LISTS.iter().find_map(|(list, make)| Some((*make, rest.strip_prefix(list)?)))?;
    match name.strip_prefix('/') {
        None if name.is_empty() => Some(page(make(state), query)),
        None => None,
        Some(name) => Some(one(make(state), name)),
    }
}

/// Each list with those who make it. TCP and UDP have no routers of their own yet; passthrough is by SNI.
const LISTS: [(&str, Make); 9] = [
    ("entrypoints", entry_points),
    ("http/routers", router::http),
    ("http/services", service::http),
    ("http/middlewares", service::middlewares),
    ("tcp/routers", router::tcp),
    ("tcp/services", service::tcp),
    ("tcp/middlewares", |_| List::default()),
    ("udp/routers", |_| List::default()),
    ("udp/services", |_| List::default()),
];

/// As Traefik's: 503 while the process ends, and before it serves, unlike Traefik's.
pub(super) fn ping(state: &State) -> Answer {
    if state.is_ready() {
        text(StatusCode::OK, "OK")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
    }
}

fn version(state: &State) -> Value {
    json!({ "Version": env!("CARGO_PKG_VERSION"), "Codename": "postern", "startDate": state.started.to_string() })
}

fn page(list: List, query: &Query) -> Answer {
    match list.page(query) {
        Ok((items, next)) => {
            let mut answer = answer_json(&items);
            let next = HeaderValue::from_str(&next.to_string()).expect("digits");
            answer.headers_mut().insert(NEXT_PAGE, next);
            answer
        }
        Err(PageError(message)) => json_with(StatusCode::BAD_REQUEST, &json!({ "message": message })),
    }
}

fn one(list: List, name: &str) -> Answer {
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
    match list.find(&name) {
        Some(item) => answer_json(&item),
        None => json_with(StatusCode::NOT_FOUND, &json!({ "message": format!("not found: {name}") })),
    }
}

fn entry_points(state: &State) -> List {
    let snapshot = &state.shared.plan.load().snapshot;
    let view = |listener: &postern_config::snapshot::Listener| {
        let address = listener.key.address.map_or_else(String::new, |address| address.to_string());
        json!({ "name": *listener.name, "address": format!("{address}:{}", listener.key.port), "http": {} })
    };
    List(snapshot.listeners.values().map(|listener| view(listener)).collect())
}

/// Everything at once, by name.
fn raw(state: &State) -> Value {
    let parts = [
        ("routers", router::http(state)),
        ("middlewares", service::middlewares(state)),
        ("services", service::http(state)),
        ("tcpRouters", router::tcp(state)),
        ("tcpServices", service::tcp(state)),
    ];
    let parts = parts.into_iter().filter(|(_, list)| !list.0.is_empty());
    Value::Object(parts.map(|(name, list)| (name.to_owned(), by_name(list))).collect())
}

/// Names are keys here, and neither provider nor type is said again.
fn by_name(list: List) -> Value {
    let named = |item: Value| {
        let Value::Object(mut fields) = item else { return None };
        let name = fields.remove("name")?.as_str()?.to_owned();
        fields.retain(|field, _| field != "provider" && field != "type");
        Some((name, Value::Object(fields)))
    };
    Value::Object(list.0.into_iter().filter_map(named).collect::<Map<_, _>>())
}
