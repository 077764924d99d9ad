//! S5 and S6: router, auth server and backend must see one path, before and after it is rewritten.

use crate::world::{Backend, Manifests, auth, beside_node, field, get, run, status, target, web};

/// A target as it is sent; the path that everybody sees, or the status of its refusal; whether the route of `/admin`
/// takes it, which asks an auth server.
const VIEWS: [(&str, Result<&str, u16>, bool); 42] = [
    ("/admin/x", Ok("/admin/x"), true),
    ("/admin", Ok("/admin"), true),
    ("/administrator", Ok("/administrator"), false),
    // Unreserved characters are decoded before anybody looks.
    ("/%61dmin/x", Ok("/admin/x"), true),
    ("/admin%2fx", Ok("/admin%2Fx"), false),
    ("/admin%2Fx", Ok("/admin%2Fx"), false),
    ("/admin/%2fx", Ok("/admin/%2Fx"), true),
    ("/admin%5cx", Ok("/admin%5Cx"), false),
    ("/admin/%5Cx", Ok("/admin/%5Cx"), true),
    ("/admin%00", Err(400), false),
    ("/x%00/admin", Err(400), false),
    ("/admin%3bx", Ok("/admin%3Bx"), false),
    ("/admin/%3Bx", Ok("/admin/%3Bx"), true),
    ("/admin%25x", Ok("/admin%25x"), false),
    ("/admin/%252e%252e/x", Ok("/admin/%252e%252e/x"), true),
    ("/%2561dmin", Ok("/%2561dmin"), false),
    ("/admin%3fx", Ok("/admin%3Fx"), false),
    ("/admin%23x", Ok("/admin%23x"), false),
    ("/admin/%2e", Ok("/admin/"), true),
    ("/%2e/admin", Ok("/admin"), true),
    ("/x/%2e%2e/admin/y", Ok("/admin/y"), true),
    ("/x/%2E./admin/y", Ok("/admin/y"), true),
    ("/admin/%2e%2e/open", Ok("/open"), false),
    ("//admin/x", Ok("/admin/x"), true),
    ("/admin//x", Ok("/admin/x"), true),
    ("/.//admin/x", Ok("/admin/x"), true),
    ("/./admin/x", Ok("/admin/x"), true),
    ("/x/../admin/y", Ok("/admin/y"), true),
    ("/../admin/x", Ok("/admin/x"), true),
    ("/admin/../open", Ok("/open"), false),
    ("/admin;x=1/y", Ok("/admin;x=1/y"), false),
    ("/admin/;x", Ok("/admin/;x"), true),
    ("/x/..;/admin", Err(400), false),
    ("/x/..%2fadmin", Err(400), false),
    ("/x/..%5cadmin", Err(400), false),
    ("/x%2f..%2fadmin", Err(400), false),
    ("/x/%2e%2e%2fadmin", Err(400), false),
    ("/admin#x", Err(400), false),
    ("/x\\admin", Err(400), false),
    ("/admin%", Err(400), false),
    ("/admin%2", Err(400), false),
    ("/admin%zz", Err(400), false),
];

#[test]
fn s5_router_auth_server_and_backend_see_one_path() {
    run(async {
        let (backend, server) = (Backend::start().await, Backend::start().await);
        let manifests = Manifests::default()
            .service("web", &backend)
            .middleware("auth", &auth(&server, ""))
            .route("a.example", "/", &[], "web")
            .route("a.example", "/admin", &["auth"], "web");
        beside_node(manifests, async |bound| {
            for (sent, want, guarded) in VIEWS {
                let sent_with_query = format!("{sent}?q=/admin/..");
                let answer = get(web(&bound), "a.example", &sent_with_query, "").await;
                let (seen, asked) = (backend.seen(), server.seen());
                match want {
                    Err(refused) => {
                        assert_eq!(status(&answer), refused, "{sent}");
                        assert!(seen.is_empty() && asked.is_empty(), "{sent}: nobody hears of it");
                    }
                    Ok(path) => {
                        assert_eq!(status(&answer), 200, "{sent}");
                        let path = format!("{path}?q=/admin/..");
                        assert_eq!(seen.iter().map(|head| target(head)).collect::<Vec<_>>(), [&*path], "{sent}");
                        let told: Vec<_> = asked.iter().map(|head| field(head, "x-forwarded-uri")).collect();
                        assert_eq!(told, vec![Some(&*path); usize::from(guarded)], "{sent}");
                    }
                }
            }
        })
        .await;
    });
}

/// Backends that decode more than the router does see a path that the router did not: this is what refuses it.
#[test]
fn s5_encoded_characters_can_be_refused() {
    run(async {
        let backend = Backend::start().await;
        let manifests = Manifests::default()
            .service("web", &backend)
            .middleware("strict", "encodedCharacters: {}")
            .route("a.example", "/", &["strict"], "web");
        beside_node(manifests, async |bound| {
            for (sent, want, _) in VIEWS {
                let answer = get(web(&bound), "a.example", sent, "").await;
                let is_plain = want.is_ok_and(|path| !path.contains('%'));
                assert_eq!(status(&answer), if is_plain { 200 } else { 400 }, "{sent}");
            }
        })
        .await;
    });
}

#[test]
fn s6_a_rewritten_path_is_no_other_than_the_judged_one() {
    run(async {
        let backend = Backend::start().await;
        let rewrites = [
            ("strip", "stripPrefix: {prefixes: [/api]}"),
            ("regex", "stripPrefixRegex: {regex: ['/[a-z]+']}"),
            ("replace", "replacePathRegex: {regex: '^/old(.*)', replacement: '$1'}"),
            ("inside", "replacePathRegex: {regex: 'XX', replacement: '..'}"),
            ("decoded", "replacePathRegex: {regex: '%25', replacement: '%'}"),
            ("add", "addPrefix: {prefix: /pre}"),
        ];
        let mut manifests = Manifests::default().service("web", &backend);
        for (name, spec) in rewrites {
            manifests = manifests.middleware(name, spec).route(&format!("{name}.example"), "/", &[name], "web");
        }
        beside_node(manifests, async |bound| {
            for (name, sent, want) in [
                ("strip", "/api/x", Ok("/x")),
                ("strip", "/api../x", Err(400)),
                ("strip", "/api./x", Err(400)),
                ("strip", "/api%2e%2e/x", Err(400)),
                ("strip", "/api..", Err(400)),
                ("strip", "/api//x", Ok("/x")),
                ("strip", "/api%2F..%2Fx", Err(400)),
                ("strip", "/api%252e%252e/x", Ok("/%252e%252e/x")),
                ("regex", "/abc/x", Ok("/x")),
                ("regex", "/abc../x", Err(400)),
                ("regex", "/abc%2e/x", Err(400)),
                ("regex", "/a%2Fb/x", Ok("/%2Fb/x")),
                ("replace", "/old/x", Ok("/x")),
                ("replace", "/old", Ok("/")),
                ("replace", "/old../x", Err(400)),
                ("replace", "/oldx", Err(400)),
                ("inside", "/a/XX/b", Err(400)),
                ("inside", "/aXX/b", Ok("/a../b")),
                ("decoded", "/a/%252e%252e/b", Err(400)),
                ("decoded", "/a%252Fb", Ok("/a%2Fb")),
                ("decoded", "/a/..%252fb", Err(400)),
                ("add", "/x", Ok("/pre/x")),
            ] {
                let answer = get(web(&bound), &format!("{name}.example"), sent, "").await;
                let seen = backend.seen();
                let got = seen.first().map(|head| target(head)).ok_or(status(&answer));
                assert_eq!(got, want, "{name} {sent}");
            }
        })
        .await;
    });
}
