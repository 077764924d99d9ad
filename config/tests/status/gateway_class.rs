//! `GatewayClass`.

use postern_config::kubernetes::object::Kind;

use crate::world::world;

#[test]
fn a_class_of_ours_is_accepted_with_its_features_in_order() {
    let world = world("");
    let status = world.status(Kind::GatewayClass, "postern");
    assert_eq!(world.lines(Kind::GatewayClass, "postern"), ["Accepted"]);
    let features = status["supportedFeatures"].as_array().unwrap();
    let names: Vec<_> = features.iter().map(|feature| feature["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted_by(|a, b| a < b) && names.len() <= 64, "{names:?}");
    assert!(names.contains(&"HTTPRoute") && !names.contains(&"HTTPRouteCORS"));
    assert_eq!(world.lines(Kind::GatewayClass, "taken-over"), ["Accepted"]);
}

#[test]
fn a_class_of_another_controller_is_left_alone() {
    assert_eq!(world("").desired(Kind::GatewayClass, "foreign"), None);
}

#[test]
fn the_generation_is_the_objects() {
    let world = world(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: third, generation: 3}
spec: {controllerName: postern.dev/gateway, description: new}
",
    );
    assert_eq!(world.status(Kind::GatewayClass, "third")["conditions"][0]["observedGeneration"], 3);
}

#[test]
fn parameters_are_refused_for_our_own_controller_and_ignored_for_one_that_is_taken_over() {
    let parameters = "parametersRef: {group: example.com, kind: Parameters, name: p}";
    let world = world(&format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: own}}
spec: {{controllerName: postern.dev/gateway, {parameters}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: theirs}}
spec: {{controllerName: traefik.io/gateway-controller, {parameters}}}
"
    ));
    assert_eq!(world.lines(Kind::GatewayClass, "own"), ["!Accepted(InvalidParameters)"]);
    assert_eq!(
        world.message(Kind::GatewayClass, "own", "/conditions/0"),
        "spec.parametersRef: parameters of a class are not carried; remove parametersRef"
    );
    assert_eq!(world.lines(Kind::GatewayClass, "theirs"), ["Accepted"]);
    assert!(world.message(Kind::GatewayClass, "theirs", "/conditions/0").contains("except: spec.parametersRef: "));
}
