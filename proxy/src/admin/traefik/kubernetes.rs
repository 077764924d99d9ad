//! Names as Traefik makes them of objects: dashboards and queries that people have written depend on them.

use postern_config::model::id::ObjectId;
use sha2::{Digest as _, Sha256};

/// Which of Traefik's providers reads objects of this kind.
pub(super) fn provider(object: &ObjectId) -> &'static str {
    match &*object.kind {
        "Ingress" => "kubernetes",
        kind if kind.starts_with("IngressRoute") => "kubernetescrd",
        _ => "kubernetesgateway",
    }
}

/// The name of a router without its provider: of an Ingress by host and path, else by a hash of the rule.
pub(super) fn router(object: &ObjectId, host: &str, path: &str, rule: &str) -> String {
    let (namespace, name) = (&object.namespace, &object.name);
    match provider(object) {
        "kubernetes" => normalise(&format!("{namespace}-{name}-{host}{path}")),
        "kubernetescrd" => format!("{}-{}", normalise(&format!("{namespace}-{name}")), hash(rule)),
        _ => format!("{}-{}", normalise(&format!("{}-{namespace}-{name}", object.kind.to_lowercase())), hash(rule)),
    }
}

/// Letters and digits stay, whatever is between them becomes one `-`.
pub(super) fn normalise(text: &str) -> String {
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// The first ten bytes of the digest.
fn hash(rule: &str) -> String {
    Sha256::digest(rule).iter().take(10).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_are_named_as_traefik_names_them() {
        let object = |kind: &str| ObjectId { kind: kind.into(), namespace: "shop".into(), name: "web".into() };
        let named = |kind| router(&object(kind), "shop.example.com", "/cart", "Host(`shop.example.com`)");
        assert_eq!(named("Ingress"), "shop-web-shop-example-com-cart");
        assert_eq!(named("IngressRoute"), "shop-web-38bcef08ab977d6de43a");
        assert!(named("HTTPRoute").starts_with("httproute-shop-web-"));
    }
}
