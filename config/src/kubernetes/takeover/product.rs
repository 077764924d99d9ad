//! The products that stand at a gate today, and how their pods are told: by the labels of their official charts and
//! manifests, never by classes or names, which outlive the product.

use std::collections::BTreeMap;

/// A product that Postern takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// Traefik, which k3s ships.
    Traefik,
    /// The ingress-nginx of the Kubernetes project.
    IngressNginx,
    /// kgateway, controller and proxies.
    Kgateway,
    /// Envoy Gateway, controller and proxies.
    EnvoyGateway,
    /// MetalLB.
    Metallb,
    /// cert-manager.
    CertManager,
    /// external-dns.
    ExternalDns,
}

/// Labels that a pod carries all of.
type Labels = &'static [(&'static str, &'static str)];

const NAME: &str = "app.kubernetes.io/name";

impl Product {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Traefik,
        Self::IngressNginx,
        Self::Kgateway,
        Self::EnvoyGateway,
        Self::Metallb,
        Self::CertManager,
        Self::ExternalDns,
    ];

    /// The key below `takeover`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Traefik => "traefik",
            Self::IngressNginx => "ingressNginx",
            Self::Kgateway => "kgateway",
            Self::EnvoyGateway => "envoyGateway",
            Self::Metallb => "metallb",
            Self::CertManager => "certManager",
            Self::ExternalDns => "externalDns",
        }
    }

    /// The product of a key.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|product| product.key() == key)
    }

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traefik => "Traefik",
            Self::IngressNginx => "ingress-nginx",
            Self::Kgateway => "kgateway",
            Self::EnvoyGateway => "Envoy Gateway",
            Self::Metallb => "MetalLB",
            Self::CertManager => "cert-manager",
            Self::ExternalDns => "external-dns",
        }
    }

    /// Whether it serves requests: then nothing is bound while it is observed.
    pub fn is_edge(self) -> bool {
        !matches!(self, Self::Metallb | Self::CertManager | Self::ExternalDns)
    }

    /// Whether Postern does in this version what it does.
    pub fn is_carried(self) -> bool {
        self.is_edge() || self == Self::Metallb
    }

    /// The controllers of its IngressClasses.
    pub fn ingress_controller(self) -> Option<&'static str> {
        match self {
            Self::Traefik => Some("traefik.io/ingress-controller"),
            Self::IngressNginx => Some("k8s.io/ingress-nginx"),
            _ => None,
        }
    }

    /// The controllers of its GatewayClasses.
    pub fn gateway_controller(self) -> Option<&'static str> {
        match self {
            Self::Traefik => Some("traefik.io/gateway-controller"),
            Self::Kgateway => Some("kgateway.dev/kgateway"),
            Self::EnvoyGateway => Some("gateway.envoyproxy.io/gatewayclass-controller"),
            _ => None,
        }
    }

    /// The group of its CustomResourceDefinitions ends with this.
    pub fn api_group(self) -> Option<&'static str> {
        match self {
            Self::Traefik => Some("traefik.io"),
            Self::IngressNginx => None,
            Self::Kgateway => Some("gateway.kgateway.dev"),
            Self::EnvoyGateway => Some("gateway.envoyproxy.io"),
            Self::Metallb => Some("metallb.io"),
            Self::CertManager => Some("cert-manager.io"),
            Self::ExternalDns => Some("externaldns.k8s.io"),
        }
    }

    /// Any of these tells its pods: those of the chart, then those of older charts and of manifests.
    fn labels(self) -> &'static [Labels] {
        match self {
            Self::Traefik => &[&[(NAME, "traefik")], &[("app", "traefik")]],
            // Its jobs for the webhook's certificate are no controllers.
            Self::IngressNginx => &[&[(NAME, "ingress-nginx"), ("app.kubernetes.io/component", "controller")]],
            Self::Kgateway => &[&[(NAME, "kgateway")], &[("kgateway", "kgateway")], &[("kgateway", "kube-gateway")]],
            Self::EnvoyGateway => {
                &[&[("control-plane", "envoy-gateway")], &[("app.kubernetes.io/managed-by", "envoy-gateway")]]
            }
            Self::Metallb => &[&[(NAME, "metallb")], &[("app", "metallb")]],
            Self::CertManager => &[&[(NAME, "cert-manager")]],
            Self::ExternalDns => &[&[(NAME, "external-dns")], &[("app", "external-dns")]],
        }
    }

    /// The product that labels of a pod, or a selector of pods, are those of.
    pub fn of_labels(labels: &BTreeMap<String, String>) -> Option<Self> {
        let has = |(name, value): &(&str, &str)| labels.get(*name).is_some_and(|found| found == value);
        Self::ALL.into_iter().find(|product| product.labels().iter().any(|all| all.iter().all(has)))
    }

    /// Selectors that together select the pods of all products: one list call each.
    pub fn selectors() -> Vec<String> {
        let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in Self::ALL.iter().flat_map(|product| product.labels()).filter_map(|all| all.first()) {
            let known = values.entry(name).or_default();
            if !known.contains(value) {
                known.push(value);
            }
        }
        values.into_iter().map(|(name, values)| format!("{name} in ({})", values.join(","))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_told_by_the_labels_of_their_charts() {
        let product = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Product::of_labels(&labels)
        };
        for (labels, expected) in [
            (&[(NAME, "traefik"), ("app.kubernetes.io/instance", "traefik-kube-system")][..], Some(Product::Traefik)),
            (&[("app", "traefik")], Some(Product::Traefik)),
            (&[("app", "svclb-traefik-1a2b")], None),
            (&[(NAME, "ingress-nginx"), ("app.kubernetes.io/component", "controller")], Some(Product::IngressNginx)),
            (&[(NAME, "ingress-nginx"), ("app.kubernetes.io/component", "admission-webhook")], None),
            (&[("kgateway", "kube-gateway"), (NAME, "http")], Some(Product::Kgateway)),
            (&[("control-plane", "envoy-gateway"), (NAME, "gateway-helm")], Some(Product::EnvoyGateway)),
            (&[("app", "metallb"), ("component", "speaker")], Some(Product::Metallb)),
            (&[(NAME, "cert-manager"), ("app", "cert-manager")], Some(Product::CertManager)),
            (&[(NAME, "webhook"), ("app", "webhook")], None),
            (&[(NAME, "external-dns")], Some(Product::ExternalDns)),
            (&[("app", "web")], None),
        ] {
            assert_eq!(product(labels), expected, "{labels:?}");
        }
    }

    #[test]
    fn a_few_selectors_find_every_product() {
        let selectors = Product::selectors();
        assert!(selectors.len() <= 5, "{selectors:?}");
        for product in Product::ALL {
            for (name, value) in product.labels().iter().filter_map(|all| all.first()) {
                let selects = |selector: &String| {
                    let (key, values) = selector.split_once(" in ").expect("a set");
                    key == *name && values.trim_matches(['(', ')']).split(',').any(|known| known == *value)
                };
                assert!(selectors.iter().any(selects), "{name}={value} in {selectors:?}");
            }
        }
    }
}
