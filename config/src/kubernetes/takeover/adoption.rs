//! The Service that the replaced product was reached through: its addresses are what status shows, its ports lead to
//! our entry points. Nothing of it is changed.

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::api::core::v1::{Service, ServicePort};

use crate::{
    kubernetes::{convert::EntryPoint, status::Address, takeover::Product},
    snapshot::{SocketKey, Transport},
};

/// A Service that leads to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: what is made for it goes with it.
    pub uid: String,
    /// Where clients reach it.
    pub addresses: Vec<Address>,
    /// Its ports.
    pub ports: Vec<AdoptedPort>,
}

impl Adopted {
    /// The entry points that its ports lead to.
    pub fn entry_points(&self) -> impl Iterator<Item = &EntryPoint> {
        self.ports.iter().filter_map(|port| port.leads_to.as_ref().ok())
    }
}

/// A port of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedPort {
    /// Its name; empty where there is one port only.
    pub name: String,
    /// Its number.
    pub port: u16,
    /// The entry point that it leads to, or why it leads nowhere.
    pub leads_to: Result<EntryPoint, String>,
}

/// Why no Service is adopted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdopted {
    /// There is none.
    #[error("no Service of type LoadBalancer selects pods of a product that is owned")]
    NoneFound,
    /// It would have to be guessed.
    #[error("several Services lead to products that are owned ({}): name one with takeover.service", .0.join(", "))]
    Several(Vec<String>),
    /// The operator's.
    #[error("takeover.service: there is no Service {0}")]
    Missing(String),
    /// The operator's.
    #[error("Services may not be read: {0}")]
    Forbidden(String),
    /// The cluster's, which time may heal.
    #[error("Services cannot be read: {0}")]
    Unreadable(String),
}

/// The one of `services` that selects pods of one of `owned`.
pub fn choose(services: Vec<Service>, owned: &[Product]) -> Result<Service, NotAdopted> {
    let leads = |service: &Service| {
        let spec = service.spec.as_ref();
        let selector = spec.and_then(|spec| spec.selector.as_ref());
        spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
            && selector
                .and_then(Product::of_labels)
                .is_some_and(|product| product.is_edge() && owned.contains(&product))
    };
    let mut found: Vec<_> = services.into_iter().filter(leads).collect();
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(NotAdopted::NoneFound),
        (Some(service), true) => Ok(service),
        (Some(last), false) => {
            let mut names: Vec<_> = found.iter().chain([&last]).map(named).collect();
            names.sort();
            Err(NotAdopted::Several(names))
        }
    }
}

/// `namespace/name`.
pub fn named(service: &Service) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}/{}", part(&service.metadata.namespace), part(&service.metadata.name))
}

/// What `service` comes to, with these entry points at hand.
pub fn adopt(service: &Service, entry_points: &[EntryPoint]) -> Adopted {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    Adopted {
        namespace: service.metadata.namespace.clone().unwrap_or_default(),
        name: service.metadata.name.clone().unwrap_or_default(),
        uid: service.metadata.uid.clone().unwrap_or_default(),
        addresses: addresses(service),
        ports: ports.iter().filter_map(|port| adopt_port(port, entry_points)).collect(),
    }
}

/// Those that it has, else those that were asked for it.
fn addresses(service: &Service) -> Vec<Address> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let points = status.and_then(|status| status.ingress.as_deref()).unwrap_or_default();
    let of_point = points.iter().filter_map(|point| match (&point.ip, &point.hostname) {
        (Some(ip), _) => ip.parse().ok().map(Address::Ip),
        (None, Some(name)) => Some(Address::Hostname(name.as_str().into())),
        (None, None) => None,
    });
    let found: Vec<_> = of_point.collect();
    if !found.is_empty() {
        return found;
    }
    let spec = service.spec.as_ref();
    let asked = spec.and_then(|spec| spec.external_ips.as_deref()).unwrap_or_default().iter();
    let asked = asked.chain(spec.and_then(|spec| spec.load_balancer_ip.as_ref()));
    asked.filter_map(|ip| ip.parse::<IpAddr>().ok().map(Address::Ip)).collect()
}

fn adopt_port(port: &ServicePort, entry_points: &[EntryPoint]) -> Option<AdoptedPort> {
    let number = u16::try_from(port.port).ok()?;
    let name = port.name.clone().unwrap_or_default();
    let leads_to = lead(port, &name, number, entry_points);
    Some(AdoptedPort { name, port: number, leads_to })
}

/// An entry point of the port's name, of its target's name, or of its number; else one of its own where it speaks HTTP.
fn lead(port: &ServicePort, name: &str, number: u16, entry_points: &[EntryPoint]) -> Result<EntryPoint, String> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    if protocol != "TCP" {
        return Err(format!("{protocol} is not carried yet"));
    }
    let target = match &port.target_port {
        Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String(target)) => target.as_str(),
        _ => "",
    };
    let by = |name: &str| entry_points.iter().find(|point| !name.is_empty() && *point.name == *name);
    let by_number = || entry_points.iter().find(|point| point.socket.port == number);
    if let Some(point) = by(name).or_else(|| by(target)).or_else(by_number) {
        return Ok(point.clone());
    }
    match spoken(port, name) {
        Some(transport) => {
            let name: Arc<str> = if name.is_empty() { number.to_string().into() } else { name.into() };
            let socket = SocketKey { address: None, port: number };
            Ok(EntryPoint { name, socket, transport, ingress_classes: Vec::new() })
        }
        None => Err("what is spoken on it is not known to be HTTP; if it is, name it under entryPoints".to_owned()),
    }
}

/// What the port says that it speaks, by its protocol or, as Istio and others have it, by its name.
fn spoken(port: &ServicePort, name: &str) -> Option<Transport> {
    match port.app_protocol.as_deref() {
        Some("http" | "kubernetes.io/h2c" | "kubernetes.io/ws") => return Some(Transport::Plain),
        Some("https" | "kubernetes.io/wss") => return Some(Transport::Tls),
        Some(_) => return None,
        None => {}
    }
    let first = name.split('-').next().unwrap_or_default();
    match first {
        "https" | "websecure" => Some(Transport::Tls),
        "http" | "web" => Some(Transport::Plain),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::kubernetes::convert::Settings;

    fn service(name: &str, spec: Value, status: Value) -> Service {
        let metadata = json!({"name": name, "namespace": "kube-system", "uid": "u1"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).expect("a Service")
    }

    fn traefik(name: &str) -> Service {
        service(
            name,
            json!({"type": "LoadBalancer", "selector": {"app.kubernetes.io/name": "traefik"}, "externalIPs": ["192.0.2.9"]}),
            json!({}),
        )
    }

    fn entry_points() -> Vec<EntryPoint> {
        Settings::for_files(Timestamp::UNIX_EPOCH).entry_points
    }

    #[test]
    fn exactly_one_service_of_an_owned_product_is_adopted() {
        let owned = [Product::Traefik];
        assert_eq!(choose(vec![traefik("a")], &[]), Err(NotAdopted::NoneFound));
        assert_eq!(choose(vec![traefik("a")], &owned).map(|service| named(&service)), Ok("kube-system/a".to_owned()));
        let names = vec!["kube-system/private".to_owned(), "kube-system/public".to_owned()];
        assert_eq!(choose(vec![traefik("public"), traefik("private")], &owned), Err(NotAdopted::Several(names)));
        let mut inside = traefik("inside");
        inside.spec.as_mut().expect("given").type_ = Some("ClusterIP".to_owned());
        assert_eq!(choose(vec![inside], &owned), Err(NotAdopted::NoneFound));
    }

    #[test]
    fn its_addresses_are_those_that_it_has_or_else_those_that_were_asked_for() {
        let has = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"hostname": "edge.example.com"}, {}]}});
        let found = |spec: Value, status: Value| adopt(&service("t", spec, status), &[]).addresses;
        let [first, second] = ["192.0.2.8", "192.0.2.9"].map(|ip| Address::Ip(ip.parse().expect("an address")));
        let asked = json!({"externalIPs": ["192.0.2.8", "nonsense"], "loadBalancerIP": "192.0.2.9"});
        assert_eq!(found(asked.clone(), json!({})), [first, second]);
        let both =
            [Address::Ip("192.0.2.7".parse().expect("an address")), Address::Hostname("edge.example.com".into())];
        assert_eq!(found(asked, has), both);
    }

    #[test]
    fn ports_lead_to_entry_points_and_what_is_not_http_is_said() {
        let lead = |port: Value| {
            let adopted = adopt(&service("t", json!({"ports": [port]}), json!({})), &entry_points());
            let lead = adopted.ports.into_iter().next().expect("one port").leads_to;
            lead.map(|point| (point.name.to_string(), point.socket.port, point.transport)).ok()
        };
        let point = |name: &str, port, transport| Some((name.to_owned(), port, transport));
        let (web, secure) = (point("web", 80, Transport::Plain), point("websecure", 443, Transport::Tls));
        for (port, expected) in [
            (json!({"name": "web", "port": 80, "targetPort": "web"}), web.clone()),
            (json!({"name": "web", "port": 8080}), web.clone()),
            (json!({"name": "plain", "port": 8080, "targetPort": "web"}), web.clone()),
            (json!({"port": 80, "targetPort": 8000}), web),
            (json!({"name": "websecure", "port": 443, "protocol": "TCP"}), secure),
            (json!({"name": "websecure-http3", "port": 443, "protocol": "UDP"}), None),
            (json!({"name": "ssh", "port": 22}), None),
            (json!({"name": "metrics", "port": 9100}), None),
            (json!({"name": "https-private", "port": 8443}), point("https-private", 8443, Transport::Tls)),
            (
                json!({"name": "grpc", "port": 9090, "appProtocol": "kubernetes.io/h2c"}),
                point("grpc", 9090, Transport::Plain),
            ),
            (json!({"name": "http-mail", "port": 25, "appProtocol": "smtp"}), None),
        ] {
            assert_eq!(lead(port.clone()), expected, "{port}");
        }
    }
}
