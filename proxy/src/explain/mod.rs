//! Which rule a request would take, and why no other: the data plane's own preparation and look-up, watched.

mod loser;
pub mod text;

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts, uri::Scheme};
use postern_config::{
    model::{host::HostPattern, route::Rule},
    snapshot::{Considered, Listener, Observer, Snapshot, SniAction, SniEntry, Transport},
};
use serde::{Deserialize, Serialize};

pub use loser::Loser;

use crate::{
    exchange::{self, Connection, TlsSession},
    respond::Failure,
    settings::Settings,
    view::{
        cluster::Health,
        listener::transport,
        rule::{BackendView, Looker, RuleView},
    },
};

/// A request that nobody sends.
#[derive(Clone, Debug)]
pub struct Question {
    /// Method.
    pub method: Method,
    /// Absolute, `http` or `https`.
    pub url: Uri,
    /// Fields; a Host among them takes the place of the URL's.
    pub headers: HeaderMap,
    /// Where it would come from.
    pub from: IpAddr,
}

/// Why a question makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// The method.
    #[error("{0:?} is not a method")]
    Method(String),
    /// The URL.
    #[error("{0:?} is not an absolute http or https URL, such as https://shop.example.com/cart?x=1")]
    Url(String),
    /// A header field.
    #[error("{0:?} is not a header field; write it as 'Name: value'")]
    Header(String),
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// What was asked, as it was understood.
    pub request: Asked,
    /// The listener that the URL leads to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub listener: Option<Taken>,
    /// What the server name chose; only on TLS.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls: Option<Tls>,
    /// What happens.
    pub outcome: Outcome,
    /// Rules that could have been meant, and why they were not taken.
    pub losers: Vec<Loser>,
    /// How many more there are.
    pub losers_left_out: usize,
}

/// What was asked, after it was normalised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Method.
    pub method: String,
    /// The URL as given.
    pub url: String,
    /// Host that is matched.
    pub host: String,
    /// Path that is matched.
    pub path: String,
    /// Query that is matched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub query: Option<String>,
    /// Address that limits and lists judge.
    pub client: String,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// Entry point, or port.
    pub name: String,
    /// As objects name it.
    pub socket: String,
    /// `plain` or `tls`.
    pub transport: String,
}

/// What the server name chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Pattern; absent when nothing is filed, so that the default certificate is shown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pattern: Option<String>,
    /// Whose entry it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<String>,
    /// Certificates in the order in which they are tried.
    pub certificates: Vec<String>,
}

/// What happens to the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Outcome {
    /// A rule takes it.
    Route(RuleView),
    /// The TLS connection goes to a backend.
    Passthrough {
        /// Whose entry it is.
        owner: String,
        /// Where to.
        backends: Vec<BackendView>,
    },
    /// Postern answers itself.
    Refused {
        /// Status; absent where no connection comes about.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        status: Option<u16>,
        /// Why.
        reason: String,
    },
}

impl Question {
    /// From texts as the command line and the API have them.
    pub fn parse(method: &str, url: &str, headers: &[String], from: IpAddr) -> Result<Self, QuestionError> {
        let method = method.parse().map_err(|_| QuestionError::Method(method.to_owned()))?;
        let uri: Option<Uri> = url.parse().ok();
        let is_web = |uri: &Uri| [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
        let uri = uri.filter(is_web).ok_or_else(|| QuestionError::Url(url.to_owned()))?;
        let headers = headers.iter().map(|text| header_field(text)).collect::<Result<_, _>>()?;
        Ok(Self { method, url: uri, headers, from })
    }

    fn is_tls(&self) -> bool {
        self.url.scheme() == Some(&Scheme::HTTPS)
    }

    fn port(&self) -> u16 {
        self.url.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// The server name that a client would send: none for an address.
    fn server_name(&self) -> Option<Arc<str>> {
        let host = self.url.host()?.trim_end_matches('.').to_ascii_lowercase();
        let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
        (!is_address).then(|| host.into())
    }

    /// The head as a listener would get it.
    fn parts(&self) -> Parts {
        let target = self.url.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.starts_with('?') { format!("/{target}") } else { target.to_owned() };
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = self.method.clone();
        parts.uri = target.parse().unwrap_or_default();
        parts.headers = self.headers.clone();
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        if let Ok(host) = HeaderValue::from_str(authority) {
            parts.headers.entry(header::HOST).or_insert(host);
        }
        parts
    }
}

fn header_field(text: &str) -> Result<(HeaderName, HeaderValue), QuestionError> {
    let wrong = || QuestionError::Header(text.to_owned());
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    Ok((name.trim().parse().map_err(|_| wrong())?, value.trim().parse().map_err(|_| wrong())?))
}

/// Answers `question` from `snapshot`.
pub fn explain(question: &Question, snapshot: &Snapshot, settings: &Settings, health: &Health) -> Answer {
    let asked = Asked {
        method: question.method.to_string(),
        url: question.url.to_string(),
        client: question.from.to_string(),
        ..Asked::default()
    };
    let blank = |outcome| Answer {
        request: asked.clone(),
        listener: None,
        tls: None,
        outcome,
        losers: Vec::new(),
        losers_left_out: 0,
    };
    let Some(listener) = find_listener(question, snapshot, settings) else {
        return blank(Outcome::Refused { status: None, reason: no_listener(question, snapshot) });
    };
    let looker = Looker { snapshot, health };
    let entry = question.server_name().and_then(|name| listener.sni.find(Some(&name)).cloned());
    let entry = entry.or_else(|| listener.sni.find(None).cloned()).filter(|_| question.is_tls());
    let answer = Answer {
        listener: Some(taken(listener)),
        tls: question.is_tls().then(|| tls(entry.as_deref())),
        ..blank(Outcome::Refused { status: None, reason: String::new() })
    };
    if let Some(outcome) = entry.as_deref().and_then(|entry| without_http(entry, &looker)) {
        return Answer { outcome, ..answer };
    }
    http(question, listener, entry, settings, &looker, answer)
}

/// The part of the answer that the data plane gives once it has read a head.
fn http(
    question: &Question,
    listener: &Listener,
    entry: Option<Arc<SniEntry>>,
    settings: &Settings,
    looker: &Looker<'_>,
    mut answer: Answer,
) -> Answer {
    let connection = connection(question, listener, entry);
    let mut parts = question.parts();
    let server = HeaderValue::from_static("postern");
    let prepared = match exchange::prepare(&mut parts, &connection, &settings.trust, &server) {
        Ok(prepared) => prepared,
        Err(failure) => return Answer { outcome: refused(&failure), ..answer },
    };
    answer.request.host = prepared.host.name.to_string();
    answer.request.path = parts.uri.path().to_owned();
    answer.request.query = parts.uri.query().map(Into::into);
    answer.request.client = prepared.client.to_string();
    let mut recorder = Recorder::default();
    let chosen = exchange::choose(looker.snapshot, &parts, &prepared, &connection, &mut recorder);
    let scene = loser::Scene {
        listener,
        parts: &parts,
        host: &prepared.host.name,
        peer: connection.peer.ip(),
        recorder: &recorder,
    };
    (answer.losers, answer.losers_left_out) = scene.losers();
    answer.outcome = match chosen {
        Ok(rule) => Outcome::Route(looker.rule(recorder.winner().map_or(&HostPattern::Any, |(host, _)| host), &rule)),
        Err(failure) => refused(&failure),
    };
    answer
}

/// Remembers what a look-up came by.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) seen: Vec<(HostPattern, Arc<Rule>, Considered)>,
}

impl Recorder {
    pub(crate) fn winner(&self) -> Option<(&HostPattern, &Arc<Rule>)> {
        self.seen.iter().find(|(.., verdict)| *verdict == Considered::Won).map(|(host, rule, _)| (host, rule))
    }
}

impl Observer for Recorder {
    fn considered(&mut self, host: &HostPattern, rule: &Arc<Rule>, verdict: Considered) {
        self.seen.push((host.clone(), rule.clone(), verdict));
    }
}

/// The listener that the URL's port leads to: the port as objects name it, or the one that it is mapped to.
fn find_listener<'s>(question: &Question, snapshot: &'s Snapshot, settings: &Settings) -> Option<&'s Listener> {
    let wanted = if question.is_tls() { Transport::Tls } else { Transport::Plain };
    let port = question.port();
    let mapped = settings.port_map.iter().find(|(_, to)| *to == port).map(|(from, _)| *from);
    let address = question.url.host().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    let fits = |listener: &&Listener, port: u16| listener.key.port == port && listener.transport == wanted;
    let by_port = |port: u16| {
        let all = || snapshot.listeners.values().map(|listener| &**listener).filter(|listener| fits(listener, port));
        all()
            .find(|listener| listener.key.address.is_some() && listener.key.address == address)
            .or_else(|| all().find(|listener| listener.key.address.is_none()))
            .or_else(|| all().next())
    };
    mapped.and_then(by_port).or_else(|| by_port(port))
}

fn no_listener(question: &Question, snapshot: &Snapshot) -> String {
    let wanted = if question.is_tls() { "tls" } else { "plain" };
    let there: Vec<_> = snapshot
        .listeners
        .values()
        .map(|listener| format!("{} {} ({})", listener.name, listener.key, transport(listener.transport)))
        .collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    format!("no {wanted} listener on port {}; there are: {there}", question.port())
}

fn taken(listener: &Listener) -> Taken {
    Taken {
        name: listener.name.to_string(),
        socket: listener.key.to_string(),
        transport: transport(listener.transport).to_owned(),
    }
}

fn tls(entry: Option<&SniEntry>) -> Tls {
    let certificates = match entry.map(|entry| &entry.action) {
        Some(SniAction::Terminate(certificates) | SniAction::TerminateTcp(certificates, _)) => {
            certificates.iter().map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    };
    Tls {
        pattern: entry.map(|entry| entry.pattern.to_string()),
        owner: entry.map(|entry| entry.owner.object.to_string()),
        certificates,
    }
}

fn without_http(entry: &SniEntry, looker: &Looker<'_>) -> Option<Outcome> {
    match &entry.action {
        SniAction::Terminate(_) => None,
        SniAction::Passthrough(tunnel) | SniAction::TerminateTcp(_, tunnel) => Some(Outcome::Passthrough {
            owner: entry.owner.object.to_string(),
            backends: looker.backends(&tunnel.forward),
        }),
    }
}

fn connection(question: &Question, listener: &Listener, entry: Option<Arc<SniEntry>>) -> Connection {
    let local = listener.key.address.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let tls = question.is_tls().then(|| TlsSession {
        server_name: question.server_name(),
        entry,
        version: "1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        client_certificates: Vec::new(),
    });
    let peer = (question.from, 0).into();
    Connection::new(peer, (local, question.port()).into(), listener.key, listener.name.clone(), tls)
}

fn refused(failure: &Failure) -> Outcome {
    Outcome::Refused { status: Some(failure.status().as_u16()), reason: failure.to_string() }
}

#[cfg(test)]
mod tests;
