//! Verdicts on Middleware objects: what is refused and why, and what the accepted ones mean.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{convert, tcp};
use crate::{
    kubernetes::{
        convert::Settings,
        object::{Item, Kind, Meta, Object, traefik},
        store::Store,
        view::{Holders, View},
    },
    model::middleware::{
        MiddlewareSlot, Spec,
        basic_auth::Password,
        compress::{ContentTypes, Encoding},
        digest_auth::Algorithm,
        forward_auth::{BodyPolicy, TrustForwarded},
        pass_tls_client_cert::{Attribute, Field},
        source::{AddressSource, SourceCriterion},
    },
    report::Finding,
};

fn settings() -> Settings {
    Settings::for_files(jiff::Timestamp::UNIX_EPOCH)
}

fn object(kind: Kind, namespace: &str, name: &str, body: Value) -> Object {
    let meta = json!({ "name": name, "namespace": namespace });
    let meta: Meta = serde_json::from_value(meta).expect("readable metadata");
    Object::deserialize(kind, meta, body).expect("a readable object")
}

fn middleware(spec: Value) -> Object {
    object(Kind::Middleware, "default", "m", json!({ "spec": spec }))
}

fn secret(name: &str, body: Value) -> Object {
    object(Kind::Secret, "default", name, body)
}

/// Converts `default/m` beside `others`.
fn judge_in(spec: Value, others: Vec<Object>, settings: &Settings) -> (MiddlewareSlot, Vec<Finding>) {
    let mut store = Store::default();
    for other in others {
        store.insert(other);
    }
    store.insert(middleware(spec));
    let holders = Holders::default();
    let view = View::new(&store, &holders);
    let item: &Arc<Item<traefik::Middleware>> = view.get("default", "m").expect("it was inserted");
    let (slot, findings, _) = convert(item, &view, settings);
    (slot, findings)
}

fn judge(spec: Value) -> (MiddlewareSlot, Vec<Finding>) {
    judge_in(spec, Vec::new(), &settings())
}

fn ready(spec: Value) -> Spec {
    ready_beside(spec, Vec::new())
}

fn ready_beside(spec: Value, others: Vec<Object>) -> Spec {
    match judge_in(spec, others, &settings()) {
        (MiddlewareSlot::Ready(spec), _) => Arc::unwrap_or_clone(spec),
        (MiddlewareSlot::Refused { reason }, _) => panic!("refused: {reason}"),
    }
}

/// Field and reason of what refuses it.
fn refusal(spec: Value, others: Vec<Object>) -> (String, &'static str) {
    let (slot, findings) = judge_in(spec.clone(), others, &settings());
    assert!(matches!(slot, MiddlewareSlot::Refused { .. }), "{spec} is accepted");
    let first = findings.first().expect("a refusal has a finding");
    (first.field.clone(), first.reason)
}

#[test]
fn plugins_are_refused_with_the_way_out() {
    let (slot, findings) = judge(json!({ "plugin": { "geoblock": { "allow": ["CH"] } } }));
    assert!(matches!(slot, MiddlewareSlot::Refused { .. }));
    let finding = findings.first().expect("a refusal has a finding");
    assert_eq!((&*finding.field, finding.reason), ("spec.plugin", "NotCarried"));
    assert!(finding.remedy.contains("forwardAuth"), "{finding:?}");
}

fn judge_tcp(spec: Value) -> (MiddlewareSlot, Vec<Finding>) {
    let mut store = Store::default();
    store.insert(object(Kind::MiddlewareTcp, "default", "m", json!({ "spec": spec })));
    let holders = Holders::default();
    let view = View::new(&store, &holders);
    let item: &Arc<Item<traefik::MiddlewareTcp>> = view.get("default", "m").expect("it was inserted");
    tcp::convert(item, &view, &settings())
}

#[test]
fn middlewares_of_connections_have_traefiks_options() {
    for (spec, want) in [
        (json!({ "inFlightConn": { "amount": 3 } }), "InFlightConn { amount: 3 }"),
        (json!({ "inFlightConn": {} }), "InFlightConn { amount: 0 }"),
        (json!({ "ipAllowList": { "sourceRange": ["10.1.2.3/8", "::1"] } }), "IpAllowList([10.0.0.0/8, ::1/128])"),
        (json!({ "ipWhiteList": { "sourceRange": ["::ffff:10.0.0.0/104"] } }), "IpAllowList([10.0.0.0/8])"),
    ] {
        let (MiddlewareSlot::Ready(made), _) = judge_tcp(spec.clone()) else { panic!("{spec} is refused") };
        assert_eq!(format!("{made:?}"), format!("Tcp({want})"), "{spec}");
    }
    for (spec, field, reason) in [
        (json!({}), "spec", "MissingField"),
        (json!({ "inFlightConn": {}, "ipAllowList": {} }), "spec", "SeveralTypes"),
        (json!({ "inFlightConn": { "amount": -1 } }), "spec.inFlightConn.amount", "InvalidValue"),
        (json!({ "ipAllowList": {} }), "spec.ipAllowList.sourceRange", "MissingField"),
        (json!({ "ipAllowList": { "sourceRange": ["10.0.0.0/33"] } }), "spec.ipAllowList.sourceRange", "InvalidValue"),
    ] {
        let (slot, findings) = judge_tcp(spec.clone());
        assert!(matches!(slot, MiddlewareSlot::Refused { .. }), "{spec} is accepted");
        let first = findings.first().map(|finding| (&*finding.field, finding.reason));
        assert_eq!(first, Some((field, reason)), "{spec}");
    }
}

#[test]
fn what_is_deprecated_or_lets_nobody_in_is_told() {
    for (spec, field) in [
        (json!({ "ipWhiteList": { "sourceRange": ["::/0"] } }), "spec.ipWhiteList"),
        (json!({ "inFlightConn": {} }), "spec.inFlightConn.amount"),
    ] {
        let (_, findings) = judge_tcp(spec.clone());
        assert_eq!(findings.first().map(|finding| &*finding.field), Some(field), "{spec}");
    }
}

/// An htdigest file with hashes of either algorithm.
fn digest_file(lines: &[(&str, &str, usize)]) -> Vec<Object> {
    let lines: Vec<_> =
        lines.iter().map(|(name, realm, digits)| format!("{name}:{realm}:{}", "aB".repeat(digits / 2))).collect();
    vec![secret("users", json!({ "stringData": { "users": format!("# team\n\n{}\n", lines.join("\n")) } }))]
}

#[test]
fn digests_are_offered_by_what_all_users_have() {
    for (lines, options, want) in [
        (&[("a", "traefik", 32), ("b", "traefik", 32)][..], json!({}), &[Algorithm::Md5][..]),
        (&[("a", "traefik", 64)], json!({}), &[Algorithm::Sha256]),
        (&[("a", "x y", 64), ("a", "x y", 32)], json!({ "realm": "x y" }), &[Algorithm::Sha256, Algorithm::Md5]),
        (&[("a", "traefik", 64), ("a", "traefik", 32), ("b", "traefik", 32)], json!({}), &[Algorithm::Md5]),
        (&[("a", "traefik", 32), ("b", "other", 64)], json!({}), &[Algorithm::Md5]),
    ] {
        let mut options = options;
        options["secret"] = json!("users");
        let Spec::DigestAuth(auth) = ready_beside(json!({ "digestAuth": options }), digest_file(lines)) else {
            panic!("another type")
        };
        assert_eq!(auth.algorithms, want, "{lines:?}");
        assert!(!format!("{auth:?}").to_lowercase().contains("abab"), "hashes do not show: {auth:?}");
    }
}

#[test]
fn a_digest_file_that_is_not_usable_closes_the_route() {
    let digest = json!({ "digestAuth": { "secret": "users" } });
    for (lines, what) in [
        (&[][..], "holds no user"),
        (&[("a", "other", 32)], "holds no user of the realm"),
        (&[("a", "traefik", 30)], "holds no usable user in line 3"),
        (&[("", "traefik", 32)], "holds no usable user in line 3"),
        (&[("a", "traefik:x", 32)], "holds no usable user in line 3"),
        (&[("a", "traefik", 32), ("b", "traefik", 64)], "MD5 hash alone"),
    ] {
        let (slot, findings) = judge_in(digest.clone(), digest_file(lines), &settings());
        assert!(matches!(slot, MiddlewareSlot::Refused { .. }), "{lines:?}");
        let finding = findings.first().expect("a refusal has a finding");
        assert_eq!((&*finding.field, finding.reason), ("spec.digestAuth.secret", "InvalidSecret"));
        assert!(finding.message.contains(what), "{}", finding.message);
        assert!(!finding.message.contains("aBaB"), "the secret shows: {}", finding.message);
    }
    assert_eq!(refusal(digest, vec![]), ("spec.digestAuth.secret".into(), "SecretNotFound"));
    assert_eq!(refusal(json!({ "digestAuth": {} }), vec![]), ("spec.digestAuth.secret".into(), "MissingField"));
}

#[test]
fn client_certificates_are_told_in_traefiks_order() {
    let Spec::PassTlsClientCert(told) = ready(json!({ "passTLSClientCert": { "info": {
        "notAfter": true, "notBefore": true, "sans": true, "serialNumber": true,
        "subject": { "commonName": true, "country": true, "domainComponent": true, "organizationalUnit": true },
        "issuer": { "serialNumber": true, "organizationalUnit": true, "province": false },
    }}})) else {
        panic!("another type")
    };
    let subject =
        vec![Attribute::DomainComponent, Attribute::Country, Attribute::OrganizationalUnit, Attribute::CommonName];
    let want = vec![
        Field::Subject(subject),
        Field::Issuer(vec![Attribute::SerialNumber]),
        Field::SerialNumber,
        Field::NotBefore,
        Field::NotAfter,
        Field::Sans,
    ];
    assert_eq!((told.pem, told.info), (false, Some(want)));
    let (_, findings) = judge(json!({ "passTLSClientCert": {} }));
    assert_eq!(findings.first().map(|finding| finding.reason), Some("NoEffect"));
}

#[test]
fn grpc_web_origins_are_listed_or_all() {
    for (options, want, reason) in [
        (json!({ "allowOrigins": ["https://a", "https://b"] }), (true, false), None),
        (json!({ "allowOrigins": ["*", "https://a"] }), (true, true), Some("Insecure")),
        (json!({}), (false, false), Some("NothingPasses")),
    ] {
        let (MiddlewareSlot::Ready(spec), findings) = judge(json!({ "grpcWeb": options })) else { panic!("refused") };
        let Spec::GrpcWeb(web) = &*spec else { panic!("another type") };
        assert_eq!((web.origins.contains("https://a"), web.origins.contains("https://c")), want, "{options}");
        assert_eq!(findings.first().map(|finding| finding.reason), reason, "{options}");
    }
}

#[test]
fn encoded_characters_are_denied_unless_allowed() {
    for (options, want) in [
        (json!({}), &b"/\\\0;%?#"[..]),
        (json!({ "allowEncodedSlash": true, "allowEncodedPercent": false }), b"\\\0;%?#"),
        (
            json!({ "allowEncodedBackSlash": true, "allowEncodedNullCharacter": true, "allowEncodedHash": true }),
            b"/;%?",
        ),
        (
            json!({ "allowEncodedSemicolon": true, "allowEncodedPercent": true, "allowEncodedQuestionMark": true }),
            b"/\\\0#",
        ),
    ] {
        let Spec::EncodedCharacters(spec) = ready(json!({ "encodedCharacters": options })) else {
            panic!("another type")
        };
        assert_eq!(spec.denied, want, "{options}");
    }
}

#[test]
fn an_object_states_exactly_one_type() {
    assert_eq!(refusal(json!({}), vec![]), ("spec".into(), "MissingField"));
    let two = json!({ "stripPrefix": { "prefixes": ["/a"] }, "compress": {} });
    assert_eq!(refusal(two, vec![]), ("spec".into(), "SeveralTypes"));
}

#[test]
fn wrong_options_refuse_the_whole_middleware() {
    for (spec, field, reason) in [
        (json!({ "ipAllowList": {} }), "spec.ipAllowList.sourceRange", "MissingField"),
        (
            json!({ "ipAllowList": { "sourceRange": ["10.0.0.0/8", "nonsense"] } }),
            "spec.ipAllowList.sourceRange",
            "InvalidValue",
        ),
        (json!({ "ipAllowList": { "sourceRange": ["10.0.0.0/33"] } }), "spec.ipAllowList.sourceRange", "InvalidValue"),
        (
            json!({ "ipAllowList": { "sourceRange": ["::/0"], "ipStrategy": { "ipv6Subnet": 0 } } }),
            "spec.ipAllowList.ipStrategy.ipv6Subnet",
            "InvalidValue",
        ),
        (
            json!({ "ipAllowList": { "sourceRange": ["::/0"], "ipStrategy": { "depth": -1 } } }),
            "spec.ipAllowList.ipStrategy.depth",
            "InvalidValue",
        ),
        (
            json!({ "ipAllowList": { "sourceRange": ["::/0"], "rejectStatusCode": 799 } }),
            "spec.ipAllowList.rejectStatusCode",
            "InvalidValue",
        ),
        (json!({ "rateLimit": { "average": -1 } }), "spec.rateLimit.average", "InvalidValue"),
        (json!({ "rateLimit": { "average": 1, "period": -1 } }), "spec.rateLimit.period", "InvalidValue"),
        (json!({ "rateLimit": { "average": 1, "period": "x" } }), "spec.rateLimit.period", "InvalidValue"),
        (json!({ "rateLimit": { "average": 1, "redis": {} } }), "spec.rateLimit.redis", "NotCarried"),
        (
            json!({ "rateLimit": { "sourceCriterion": { "requestHost": true, "requestHeaderName": "x" } } }),
            "spec.rateLimit.sourceCriterion",
            "SeveralCriteria",
        ),
        (json!({ "circuitBreaker": {} }), "spec.circuitBreaker.expression", "MissingField"),
        (
            json!({ "circuitBreaker": { "expression": "NetworkErrorRatio() >" } }),
            "spec.circuitBreaker.expression",
            "InvalidExpression",
        ),
        (
            json!({ "circuitBreaker": { "expression": "NetworkErrorRatio() > 0.1", "checkPeriod": "x" } }),
            "spec.circuitBreaker.checkPeriod",
            "InvalidValue",
        ),
        (
            json!({ "circuitBreaker": { "expression": "NetworkErrorRatio() > 0.1", "responseCode": 101 } }),
            "spec.circuitBreaker.responseCode",
            "InvalidValue",
        ),
        (json!({ "buffering": { "maxRequestBodyBytes": -1 } }), "spec.buffering.maxRequestBodyBytes", "InvalidValue"),
        (
            json!({ "buffering": { "retryExpression": "IsNetworkError() & true" } }),
            "spec.buffering.retryExpression",
            "InvalidExpression",
        ),
        (json!({ "retry": {} }), "spec.retry.attempts", "InvalidValue"),
        (json!({ "retry": { "attempts": 3, "status": ["5xx"] } }), "spec.retry.status", "InvalidValue"),
        (
            json!({ "retry": { "attempts": 3, "disableRetryOnNetworkError": true } }),
            "spec.retry.status",
            "MissingField",
        ),
        (
            json!({ "retry": { "attempts": 3, "maxRequestBodyBytes": -2 } }),
            "spec.retry.maxRequestBodyBytes",
            "InvalidValue",
        ),
        (json!({ "errors": { "status": ["600"] } }), "spec.errors.status", "InvalidValue"),
        (json!({ "errors": { "status": ["500"] } }), "spec.errors.service.name", "MissingField"),
        (json!({ "errors": { "service": { "name": "pages", "port": 80 } } }), "spec.errors.service", "BackendNotFound"),
        (
            json!({ "errors": { "service": { "name": "pages", "namespace": "other", "port": 80 } } }),
            "spec.errors.service",
            "RefNotPermitted",
        ),
        (
            json!({ "errors": { "service": { "name": "pages", "kind": "TraefikService" } } }),
            "spec.errors.service.kind",
            "NotCarried",
        ),
        (
            json!({ "errors": { "service": { "name": "pages", "port": 80, "passHostHeader": false } } }),
            "spec.errors.service",
            "NotCarried",
        ),
        (
            json!({ "errors": { "statusRewrites": { "418": 1 }, "service": { "name": "pages", "port": 80 } } }),
            "spec.errors.statusRewrites[418]",
            "InvalidValue",
        ),
        (json!({ "errors": { "query": "/a b" } }), "spec.errors.query", "InvalidValue"),
        (json!({ "inFlightReq": { "amount": -1 } }), "spec.inFlightReq.amount", "InvalidValue"),
        (
            json!({ "inFlightReq": { "sourceCriterion": { "requestHost": true, "ipStrategy": {} } } }),
            "spec.inFlightReq.sourceCriterion",
            "SeveralCriteria",
        ),
        (json!({ "redirectScheme": {} }), "spec.redirectScheme.scheme", "MissingField"),
        (json!({ "redirectScheme": { "scheme": "ht tp" } }), "spec.redirectScheme.scheme", "InvalidValue"),
        (json!({ "redirectScheme": { "scheme": "https", "port": "x" } }), "spec.redirectScheme.port", "InvalidValue"),
        (
            json!({ "redirectRegex": { "regex": "(", "replacement": "x" } }),
            "spec.redirectRegex.regex",
            "InvalidRegularExpression",
        ),
        (json!({ "addPrefix": {} }), "spec.addPrefix.prefix", "MissingField"),
        (json!({ "replacePath": { "path": "x" } }), "spec.replacePath.path", "InvalidValue"),
        (json!({ "stripPrefix": {} }), "spec.stripPrefix.prefixes", "MissingField"),
        (json!({ "compress": { "encodings": ["lzma"] } }), "spec.compress.encodings", "InvalidValue"),
        (
            json!({ "compress": { "includedContentTypes": ["a/b"], "excludedContentTypes": ["c/d"] } }),
            "spec.compress.includedContentTypes",
            "InvalidValue",
        ),
        (json!({ "headers": {} }), "spec.headers", "MissingField"),
        (
            json!({ "headers": { "customRequestHeaders": { "a b": "c" } } }),
            "spec.headers.customRequestHeaders[a b]",
            "InvalidHeader",
        ),
        (json!({ "forwardAuth": {} }), "spec.forwardAuth.address", "MissingField"),
        (json!({ "forwardAuth": { "address": "auth/x" } }), "spec.forwardAuth.address", "InvalidValue"),
        (json!({ "forwardAuth": { "address": "ftp://auth/x" } }), "spec.forwardAuth.address", "InvalidValue"),
        (json!({ "forwardAuth": { "address": "http://u:p@auth/x" } }), "spec.forwardAuth.address", "InvalidValue"),
        (
            json!({ "forwardAuth": { "address": "https://a", "tls": { "caSecret": "ca" } } }),
            "spec.forwardAuth.tls.caSecret",
            "SecretNotFound",
        ),
        (
            json!({ "forwardAuth": { "address": "https://a", "tls": { "certSecret": "c" } } }),
            "spec.forwardAuth.tls.certSecret",
            "SecretNotFound",
        ),
        (json!({ "basicAuth": {} }), "spec.basicAuth.secret", "MissingField"),
        (json!({ "basicAuth": { "secret": "users" } }), "spec.basicAuth.secret", "SecretNotFound"),
        (json!({ "chain": {} }), "spec.chain.middlewares", "MissingField"),
        (json!({ "chain": { "middlewares": [{ "name": "x" }] } }), "spec.chain.middlewares[0]", "MiddlewareNotFound"),
        (json!({ "chain": { "middlewares": [{ "name": "m" }] } }), "spec.chain.middlewares[0]", "Cycle"),
        (
            json!({ "chain": { "middlewares": [{ "name": "x", "namespace": "other" }] } }),
            "spec.chain.middlewares[0]",
            "RefNotPermitted",
        ),
        (json!({ "chain": { "middlewares": [{ "name": "x@file" }] } }), "spec.chain.middlewares[0]", "NotCarried"),
    ] {
        assert_eq!(refusal(spec.clone(), vec![]), (field.to_owned(), reason), "{spec}");
    }
}

#[test]
fn an_allow_list_takes_addresses_and_ranges() {
    let spec = ready(json!({ "ipAllowList": {
        "sourceRange": ["127.0.0.1/32", "192.168.1.7", "10.1.2.3/8", "::ffff:172.16.0.0/108", "fd00::/8"],
        "ipStrategy": { "depth": 2, "ipv6Subnet": 64 }, "rejectStatusCode": 404,
    }}));
    let Spec::IpAllowList(list) = spec else { panic!("another type") };
    let ranges: Vec<_> = list.ranges.iter().map(ToString::to_string).collect();
    assert_eq!(ranges, ["127.0.0.1/32", "192.168.1.7/32", "10.0.0.0/8", "172.16.0.0/12", "fd00::/8"]);
    let depth = 2.try_into().expect("not zero");
    assert_eq!(list.source, AddressSource::Depth { depth, ipv6_bits: Some(64) });
    assert_eq!(list.reject_status.as_u16(), 404);
}

#[test]
fn rate_limits_have_traefiks_defaults() {
    for (options, want) in [
        (json!({}), None),
        (json!({ "average": 100 }), Some((100, 1_000, 1))),
        (json!({ "average": 6, "period": "1m", "burst": 12 }), Some((6, 60_000, 12))),
        (json!({ "average": 6, "period": 60, "burst": 0 }), Some((6, 60_000, 1))),
        (json!({ "average": 6, "period": "90", "burst": -4 }), Some((6, 90_000, 1))),
        (json!({ "average": 6, "period": 0 }), Some((6, 1_000, 1))),
    ] {
        let Spec::RateLimit(limit) = ready(json!({ "rateLimit": options })) else { panic!("another type") };
        let got = limit.limit.map(|limit| (limit.average.get(), limit.period.as_millis(), limit.burst.get()));
        assert_eq!(got, want, "{options}");
        assert_eq!(limit.source, SourceCriterion::Address(AddressSource::Client { ipv6_bits: None }));
    }
}

#[test]
fn circuit_breakers_have_traefiks_defaults() {
    for (options, want) in [
        (json!({}), (100, 10_000, 10_000, 503)),
        (json!({ "checkPeriod": "1s", "fallbackDuration": 3, "recoveryDuration": "0" }), (1_000, 3_000, 10_000, 503)),
        (json!({ "checkPeriod": 0, "responseCode": 429 }), (100, 10_000, 10_000, 429)),
    ] {
        let mut options = options;
        options["expression"] = "NetworkErrorRatio() > 0.1".into();
        let Spec::CircuitBreaker(circuit) = ready(json!({ "circuitBreaker": options })) else { panic!("another type") };
        let millis = [circuit.check_period, circuit.fallback, circuit.recovery].map(|duration| duration.as_millis());
        assert_eq!((millis[0], millis[1], millis[2], circuit.status.as_u16()), want, "{options}");
    }
}

#[test]
fn retries_have_traefiks_defaults() {
    let Spec::Retry(retry) = ready(json!({ "retry": { "attempts": 4 } })) else { panic!("another type") };
    assert_eq!((retry.attempts.get(), retry.initial_interval, retry.timeout), (4, Duration::ZERO, None));
    assert_eq!((retry.max_request_body, retry.on_network_error, retry.non_idempotent), (Some(2 << 20), true, false));
    let options = json!({ "attempts": 2, "initialInterval": "100ms", "timeout": 3, "maxRequestBodyBytes": -1 });
    let Spec::Retry(retry) = ready(json!({ "retry": options })) else { panic!("another type") };
    assert_eq!((retry.initial_interval, retry.timeout), (Duration::from_millis(100), Some(Duration::from_secs(3))));
    assert_eq!(retry.max_request_body, None);
}

#[test]
fn error_pages_come_from_a_service_at_hand() {
    let pages = object(Kind::Service, "default", "pages", json!({ "spec": { "ports": [{ "port": 80 }] } }));
    let options = json!({
        "status": ["500-599"], "statusRewrites": { "500-599": 500, "503": 418 }, "query": "/{status}.html",
        "service": { "name": "pages", "port": 80 }, "errorRequestHeaders": [],
    });
    let Spec::Errors(errors) = ready_beside(json!({ "errors": options }), vec![pages]) else { panic!("another type") };
    assert_eq!(errors.service.as_str(), "default/pages:80");
    assert_eq!(errors.rewrites.first().map(|(_, status)| status.as_u16()), Some(418), "narrow ranges come first");
    assert_eq!(errors.request_headers, Some(vec![]));
}

#[test]
fn buffering_has_traefiks_defaults() {
    let Spec::Buffering(buffering) = ready(json!({ "buffering": { "maxRequestBodyBytes": 0 } })) else {
        panic!("another type")
    };
    assert_eq!((buffering.max_request, buffering.max_response, buffering.retry), (None, None, None));
    assert_eq!((buffering.memory_of_request, buffering.memory_of_response), (1 << 20, 1 << 20));
}

#[test]
fn compress_has_traefiks_defaults() {
    let Spec::Compress(compress) = ready(json!({ "compress": {} })) else { panic!("another type") };
    assert_eq!(compress.encodings, [Encoding::Gzip, Encoding::Brotli, Encoding::Zstd]);
    assert_eq!((compress.default_encoding, compress.min_bytes), (None, 1024));
    assert_eq!(compress.types, ContentTypes::Excluding(vec![]));
}

#[test]
fn forward_auth_keeps_three_kinds_of_trust_apart() {
    for (options, want) in [
        (json!({ "address": "http://auth" }), TrustForwarded::Unset),
        (json!({ "address": "http://auth", "trustForwardHeader": false }), TrustForwarded::No),
        (json!({ "address": "http://auth", "trustForwardHeader": true }), TrustForwarded::Yes),
    ] {
        let Spec::ForwardAuth(auth) = ready(json!({ "forwardAuth": options })) else { panic!("another type") };
        assert_eq!(auth.trust, want);
        assert_eq!((auth.body, auth.max_response_body), (BodyPolicy::Withhold, 1 << 20));
    }
}

#[test]
fn users_come_from_a_password_file_or_a_name_and_a_password() {
    let file = "# team\nalice:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/\nbob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n\
                carol:$2y$05$Ky4qUH9pyJFRL2Lw3EVTkuqVQ.VS.tjb9eVGm49eLRPUAqdXSnSeq\n";
    let users = secret("users", json!({ "stringData": { "users": file } }));
    let Spec::BasicAuth(auth) = ready_beside(json!({ "basicAuth": { "secret": "users" } }), vec![users]) else {
        panic!("another type")
    };
    let names: Vec<_> = auth.users.iter().map(|user| &*user.name).collect();
    assert_eq!(names, ["alice", "bob", "carol"]);
    assert_eq!(auth.challenge, "Basic realm=\"traefik\"");
    assert!(!format!("{auth:?}").contains("IgXLP6"), "hashes do not show");

    let one = json!({ "type": "kubernetes.io/basic-auth", "stringData": { "username": "eve", "password": "pw" } });
    let spec = json!({ "basicAuth": { "secret": "one", "realm": "a \"b\"", "headerField": "X-User" } });
    let Spec::BasicAuth(auth) = ready_beside(spec, vec![secret("one", one)]) else { panic!("another type") };
    assert_eq!(auth.users.first().map(|user| user.password.clone()), Some(Password::Plain("pw".into())));
    assert_eq!(auth.challenge, r#"Basic realm="a \"b\"""#);
}

#[test]
fn a_password_file_that_is_not_usable_closes_the_route() {
    for body in [
        json!({}),
        json!({ "stringData": { "a": "x:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "b": "" } }),
        json!({ "stringData": { "users": "" } }),
        json!({ "stringData": { "users": "alice:plain" } }),
        json!({ "stringData": { "users": "alice:$2y$31$Ky4qUH9pyJFRL2Lw3EVTkuqVQ.VS.tjb9eVGm49eLRPUAqdXSnSeq" } }),
        json!({ "type": "kubernetes.io/basic-auth", "stringData": { "username": "x" } }),
    ] {
        let spec = json!({ "basicAuth": { "secret": "users" } });
        let (slot, findings) = judge_in(spec, vec![secret("users", body.clone())], &settings());
        assert!(matches!(slot, MiddlewareSlot::Refused { .. }), "{body}");
        let finding = findings.first().expect("a refusal has a finding");
        assert_eq!(finding.reason, "InvalidSecret", "{body}");
        assert!(!finding.message.contains("plain"), "the secret shows: {}", finding.message);
    }
}

fn chain(namespace: &str, name: &str, members: &[(&str, &str)]) -> Object {
    let members: Vec<_> = members.iter().map(|(ns, name)| json!({ "name": name, "namespace": ns })).collect();
    object(Kind::Middleware, namespace, name, json!({ "spec": { "chain": { "middlewares": members } } }))
}

#[test]
fn chains_nest_but_not_in_circles_and_not_without_bound() {
    let member = |name: &str| json!({ "chain": { "middlewares": [{ "name": name }] } });
    let circle = vec![chain("default", "a", &[("default", "b")]), chain("default", "b", &[("default", "a")])];
    assert_eq!(refusal(member("a"), circle).1, "Cycle");

    let mut doubling: Vec<_> = (0..20)
        .map(|n| {
            let next = format!("c{}", n + 1);
            chain("default", &format!("c{n}"), &[("default", &next), ("default", &next)])
        })
        .collect();
    doubling.push(object(Kind::Middleware, "default", "c20", json!({ "spec": { "compress": {} } })));
    assert_eq!(refusal(member("c0"), doubling).1, "TooMany");

    let nested = vec![
        chain("default", "a", &[("default", "b")]),
        object(Kind::Middleware, "default", "b", json!({ "spec": { "compress": {} } })),
    ];
    assert!(matches!(ready_beside(member("a"), nested), Spec::Chain(_)));
}

#[test]
fn members_of_other_namespaces_need_the_operators_leave() {
    let other = object(Kind::Middleware, "other", "x", json!({ "spec": { "compress": {} } }));
    let spec = json!({ "chain": { "middlewares": [{ "name": "x", "namespace": "other" }] } });
    let settings = Settings { allow_cross_namespace: true, ..settings() };
    let (slot, _) = judge_in(spec, vec![other], &settings);
    assert!(matches!(slot, MiddlewareSlot::Ready(_)));
}

#[test]
fn deprecated_options_are_reported_and_the_rest_is_served() {
    let (slot, findings) = judge(json!({ "headers": { "sslRedirect": true, "frameDeny": true } }));
    assert!(matches!(slot, MiddlewareSlot::Ready(_)));
    assert_eq!(findings.first().map(|finding| &*finding.field), Some("spec.headers.sslRedirect"));
}

#[test]
fn headers_become_fixed_fields() {
    let Spec::Headers(headers) = ready(json!({ "headers": {
        "customRequestHeaders": { "Host": "inner.example", "X-A": "1", "X-B": "" },
        "stsSeconds": 60, "stsIncludeSubdomains": true, "stsPreload": true,
        "frameDeny": true, "customFrameOptionsValue": "SAMEORIGIN", "browserXssFilter": true,
        "accessControlAllowMethods": ["GET", "PUT"],
    }})) else {
        panic!("another type")
    };
    assert_eq!(headers.request_host.as_ref().map(|value| value.as_bytes()), Some(&b"inner.example"[..]));
    assert_eq!(headers.request.len(), 2);
    let secure: Vec<_> =
        headers.secure.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
    assert_eq!(secure, ["x-frame-options: SAMEORIGIN", "x-xss-protection: 1; mode=block"]);
    let on_tls = headers.secure_on_tls.first().map(|(_, value)| value.as_bytes());
    assert_eq!(on_tls, Some(&b"max-age=60; includeSubDomains; preload"[..]));
    let methods = headers.cors.and_then(|cors| cors.methods).map(|methods| methods.value);
    assert_eq!(methods.as_ref().map(|value| value.as_bytes()), Some(&b"GET,PUT"[..]));
}
