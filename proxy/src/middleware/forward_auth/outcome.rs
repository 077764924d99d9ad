//! What the auth server's answer means: for the request that goes on, or for the client that is turned away.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use postern_config::model::go_regex::GoRegex;

use super::{ForwardAuth, request::is_framing};
use crate::{
    exchange::{Body, Exchange, Flow, ResponseStep},
    middleware::{AnswerStep, Step, refuse, remove_spellings},
    respond,
};

/// Cookies of the auth server for the client.
#[derive(Debug)]
pub(crate) struct Cookies {
    names: Arc<[Arc<str>]>,
    values: Vec<HeaderValue>,
}

impl Cookies {
    /// Puts them in place of the backend's cookies of the same names.
    pub(crate) fn run(self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        let all = headers.get_all(header::SET_COOKIE).iter();
        let kept: Vec<_> = all.filter(|value| !is_cookie_of(value, &self.names)).cloned().collect();
        headers.remove(header::SET_COOKIE);
        for value in kept.into_iter().chain(self.values) {
            headers.append(header::SET_COOKIE, value);
        }
    }
}

impl ForwardAuth {
    pub(super) fn conclude(&self, exchange: &mut Exchange, answer: Response<Bytes>) -> Flow {
        if let Some(user) = self.spec.user_header.as_ref().and_then(|name| answer.headers().get(name)) {
            exchange.record.user = Some(String::from_utf8_lossy(user.as_bytes()).into_owned());
        }
        if answer.status().is_success() {
            self.admit(exchange, answer.headers());
            return Flow::Continue;
        }
        self.turn_away(exchange, answer)
    }

    /// The request goes on, with what the auth server says of it.
    fn admit(&self, exchange: &mut Exchange, said: &HeaderMap) {
        let headers = &mut exchange.parts.headers;
        for name in self.spec.response_headers.iter().filter(|name| !is_framing(name)) {
            remove_spellings(headers, name);
            copy(name, said, headers);
        }
        if let Some(regex) = &self.spec.response_headers_regex {
            while let Some(name) = headers.keys().find(|name| is_chosen(regex, name)).cloned() {
                headers.remove(name);
            }
            said.keys().filter(|name| is_chosen(regex, name)).for_each(|name| copy(name, said, headers));
        }
        self.pass_cookies(exchange, said);
    }

    fn pass_cookies(&self, exchange: &mut Exchange, said: &HeaderMap) {
        if self.cookie_names.is_empty() || !said.contains_key(header::SET_COOKIE) {
            return;
        }
        let all = said.get_all(header::SET_COOKIE).iter();
        let values = all.filter(|value| is_cookie_of(value, &self.cookie_names)).cloned().collect();
        let cookies = Cookies { names: self.cookie_names.clone(), values };
        exchange.response_steps.push(ResponseStep::Middleware(AnswerStep(Step::Cookies(Box::new(cookies)))));
    }

    /// The client gets the auth server's answer.
    fn turn_away(&self, exchange: &mut Exchange, answer: Response<Bytes>) -> Flow {
        if answer.status().is_informational() {
            return refuse(exchange, StatusCode::INTERNAL_SERVER_ERROR, format!("{}: no final answer", self.id));
        }
        exchange.record.reason = Some("refused");
        exchange.record.detail = Some(format!("{}: the auth server answered {}", self.id, answer.status().as_u16()));
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(url) = &self.spec.signin_url
        {
            let mut response = respond::plain(StatusCode::FOUND);
            response.headers_mut().insert(header::LOCATION, url.clone());
            return Flow::Answer(response);
        }
        let (mut parts, body) = answer.into_parts();
        let framing: Vec<_> = parts.headers.keys().filter(|name| is_framing(name)).cloned().collect();
        for name in framing {
            parts.headers.remove(name);
        }
        if let Some(location) = parts.headers.get(header::LOCATION).filter(|_| !self.spec.preserve_location) {
            let Some(location) = self.absolute(location) else {
                let reason = format!("{}: the auth server's Location is no URL", self.id);
                return refuse(exchange, StatusCode::INTERNAL_SERVER_ERROR, reason);
            };
            parts.headers.insert(header::LOCATION, location);
        }
        Flow::Answer(Response::from_parts(parts, Body::Full(body)))
    }

    /// A Location as the auth server means it; an absolute one stays as it was written.
    fn absolute(&self, location: &HeaderValue) -> Option<HeaderValue> {
        let text = std::str::from_utf8(location.as_bytes()).ok()?;
        if url::Url::parse(text).is_ok() {
            return Some(location.clone());
        }
        let base = url::Url::parse(&self.spec.address.to_string()).ok()?;
        HeaderValue::from_str(base.join(text).ok()?.as_str()).ok()
    }
}

fn copy(name: &HeaderName, from: &HeaderMap, to: &mut HeaderMap) {
    for value in from.get_all(name) {
        to.append(name, value.clone());
    }
}

/// Whether a Set-Cookie field sets one of `names`.
fn is_cookie_of(value: &HeaderValue, names: &[Arc<str>]) -> bool {
    let name = value.as_bytes().split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
    names.iter().any(|wanted| wanted.as_bytes() == name)
}

/// Whether an expression chooses a field; a spelling with `_` is the same field to many backends.
fn is_chosen(regex: &GoRegex, name: &HeaderName) -> bool {
    let dashed = if name.as_str().contains('_') {
        Cow::Owned(name.as_str().replace('_', "-"))
    } else {
        Cow::Borrowed(name.as_str())
    };
    !is_framing(name) && (regex.is_match(&canonical(name.as_str())) || regex.is_match(&canonical(&dashed)))
}

/// A name as Go spells it: `X-Auth-User`. Users' expressions are written for this form.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let spell = |c: char| {
        let c = if upper { c.to_ascii_uppercase() } else { c };
        upper = c == '-';
        c
    };
    name.chars().map(spell).collect()
}
