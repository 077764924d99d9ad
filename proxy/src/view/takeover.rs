//! What Postern is to the products beside it, and what of their objects it would not serve as they do.

use postern_config::{
    kubernetes::takeover::{
        Ruling, Seen,
        adoption::{Adopted, AdoptedPort},
    },
    provider::kubernetes::{Address, takeover::Takeover},
    report::{Report, Severity, Verdict},
};
use serde::Serialize;

use super::object::{self, ObjectView};

/// Everything about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TakeoverView {
    /// Whether nothing is bound, announced and written: what follows is what would be done.
    pub observing: bool,
    /// Every product.
    pub products: Vec<ProductView>,
    /// The Service that leads to Postern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceView>,
    /// Why none does, where there ought to be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_service: Option<String>,
    /// Objects that are served as they are written, or would be.
    pub as_written: usize,
    /// Objects that belong to others.
    pub left_alone: usize,
    /// Objects of which something is served otherwise, or not at all.
    pub differing: Vec<ObjectView>,
}

/// One product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductView {
    /// The key below `takeover`.
    pub key: &'static str,
    /// As people write it.
    pub name: &'static str,
    /// Whether it serves requests.
    pub edge: bool,
    /// `auto`, `observe` or `own`.
    pub asked: &'static str,
    /// `observe` or `own`.
    pub stance: &'static str,
    /// Whether it was asked to be owned, and is not.
    pub refused: bool,
    /// Why, in one sentence.
    pub why: String,
    /// Pods that ran at start; absent where that could not be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Vec<String>>,
}

/// The Service of the product that is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where clients reach it.
    pub addresses: Vec<String>,
    /// Its ports.
    pub ports: Vec<PortView>,
}

/// A port of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortView {
    /// Its name.
    pub name: String,
    /// Its number.
    pub port: u16,
    /// The entry point that it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<String>,
    /// Why it leads nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_carried: Option<String>,
}

/// What `takeover` and `report` say.
pub fn of(takeover: &Takeover, report: &Report) -> TakeoverView {
    let mut view = TakeoverView {
        observing: takeover.decision.observes(),
        products: takeover.decision.rulings.iter().map(product).collect(),
        service: takeover.service().map(service),
        no_service: takeover.adopted.as_ref().and_then(|adopted| adopted.as_ref().err()).map(ToString::to_string),
        as_written: 0,
        left_alone: 0,
        differing: Vec::new(),
    };
    for (id, verdict) in &report.objects {
        match Outcome::of(verdict) {
            Outcome::AsWritten => view.as_written += 1,
            Outcome::LeftAlone => view.left_alone += 1,
            Outcome::Differs => view.differing.push(object::object(id, verdict)),
        }
    }
    view
}

enum Outcome {
    AsWritten,
    LeftAlone,
    Differs,
}

impl Outcome {
    fn of(verdict: &Verdict) -> Self {
        if verdict.findings.iter().any(|finding| finding.reason == "NotOurs") {
            return Self::LeftAlone;
        }
        match verdict.worst() {
            None | Some(Severity::Note) => Self::AsWritten,
            Some(_) => Self::Differs,
        }
    }
}

fn product(ruling: &Ruling) -> ProductView {
    ProductView {
        key: ruling.product.key(),
        name: ruling.product.name(),
        edge: ruling.product.is_edge(),
        asked: ruling.wish.as_str(),
        stance: ruling.stance.as_str(),
        refused: ruling.refused,
        why: ruling.why.clone(),
        running: match &ruling.seen {
            Seen::Running(pods) => Some(pods.clone()),
            Seen::Absent => Some(Vec::new()),
            Seen::Unknown(_) => None,
        },
    }
}

fn service(adopted: &Adopted) -> ServiceView {
    ServiceView {
        namespace: adopted.namespace.clone(),
        name: adopted.name.clone(),
        addresses: adopted.addresses.iter().map(address).collect(),
        ports: adopted.ports.iter().map(port).collect(),
    }
}

fn port(port: &AdoptedPort) -> PortView {
    PortView {
        name: port.name.clone(),
        port: port.port,
        entry_point: port.leads_to.as_ref().ok().map(|point| point.name.to_string()),
        not_carried: port.leads_to.as_ref().err().cloned(),
    }
}

fn address(address: &Address) -> String {
    match address {
        Address::Ip(ip) => ip.to_string(),
        Address::Hostname(name) => name.to_string(),
    }
}
