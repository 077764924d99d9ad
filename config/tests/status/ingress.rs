//! `Ingress`.

use postern_config::kubernetes::{object::Kind, status::Address};
use serde_json::json;

use crate::world::{ip, world};

fn ingress(class: &str) -> String {
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: one, namespace: infra}}
spec:
  ingressClassName: {class}
  defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}
"
    )
}

#[test]
fn an_ingress_shows_where_it_is_reached() {
    let mut world = world(&ingress("postern"));
    world.addresses = vec![ip("192.0.2.1"), ip("2001:db8::1"), Address::Hostname("edge.example.com".into())];
    let points = json!([{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}, {"hostname": "edge.example.com"}]);
    assert_eq!(world.status(Kind::Ingress, "infra/one"), json!({"loadBalancer": {"ingress": points}}));
}

#[test]
fn it_shows_nothing_new_until_it_is_served() {
    let mut world = world(&ingress("postern"));
    world.programmed = false;
    assert_eq!(world.desired(Kind::Ingress, "infra/one"), None);
}

#[test]
fn an_ingress_of_another_class_or_of_none_that_exists_is_left_alone() {
    let class = "
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: other}
spec: {controller: example.com/other}
";
    assert_eq!(world(&(ingress("other") + class)).desired(Kind::Ingress, "infra/one"), None);
    assert_eq!(world(&ingress("missing")).desired(Kind::Ingress, "infra/one"), None);
}
