//! S15: which address counts where addresses decide.

use crate::world::{Backend, Manifests, beside_node_as, get, run, send, status, web};

fn lists(backend: &Backend) -> Manifests {
    let lists = [
        ("peer", "ipAllowList: {sourceRange: [127.0.0.0/8]}"),
        ("mapped", "ipAllowList: {sourceRange: ['::ffff:127.0.0.0/104']}"),
        ("other", "ipAllowList: {sourceRange: [10.0.0.0/8]}"),
        ("last", "ipAllowList: {sourceRange: [10.0.0.0/8], ipStrategy: {depth: 1}}"),
        ("second", "ipAllowList: {sourceRange: [10.0.0.0/8], ipStrategy: {depth: 2}}"),
        ("outside", "ipAllowList: {sourceRange: [10.0.0.0/8], ipStrategy: {excludedIPs: [192.168.0.0/16]}}"),
    ];
    let mut manifests = Manifests::default().service("web", backend);
    for (name, spec) in lists {
        manifests = manifests.middleware(name, spec).route(&format!("{name}.example"), "/", &[name], "web");
    }
    manifests
}

#[test]
fn s15_no_field_of_an_untrusted_client_opens_a_list() {
    run(async {
        let backend = Backend::start().await;
        beside_node_as(
            lists(&backend),
            |_| {},
            async |bound| {
                for (host, fields, want) in [
                    ("peer", "", 200),
                    ("mapped", "", 200),
                    ("other", "", 403),
                    ("other", "X-Forwarded-For: 10.1.1.1\r\n", 403),
                    ("other", "X-Real-Ip: 10.1.1.1\r\n", 403),
                    ("other", "Forwarded: for=10.1.1.1\r\n", 403),
                    ("other", "X_Forwarded_For: 10.1.1.1\r\n", 403),
                    ("other", "CF-Connecting-IP: 10.1.1.1\r\nTrue-Client-IP: 10.1.1.1\r\n", 403),
                    ("last", "X-Forwarded-For: 10.1.1.1\r\n", 403),
                    ("second", "X-Forwarded-For: 10.1.1.1, 10.1.1.1\r\n", 403),
                    ("outside", "X-Forwarded-For: 10.1.1.1\r\n", 403),
                ] {
                    let answer = get(web(&bound), &format!("{host}.example"), "/", fields).await;
                    assert_eq!(status(&answer), want, "{host} {fields}");
                }
            },
        )
        .await;
    });
}

#[test]
fn s15_of_a_trusted_peers_list_the_right_end_counts() {
    run(async {
        let backend = Backend::start().await;
        let long = |first: &str| format!("X-Forwarded-For: {first}{}\r\n", ", 192.168.0.1".repeat(400));
        let trusting = |settings: &mut postern_proxy::settings::Settings| settings.trust.forwarded_insecure = true;
        beside_node_as(lists(&backend), trusting, async |bound| {
            for (host, fields, want) in [
                ("last", "X-Forwarded-For: 10.1.1.1\r\n".to_owned(), 200),
                ("last", "X-Forwarded-For: 10.1.1.1, 203.0.113.9\r\n".to_owned(), 403),
                // Several lines are one list: the client's own line is not the last one.
                ("last", "X-Forwarded-For: 10.1.1.1\r\nX-Forwarded-For: 203.0.113.9\r\n".to_owned(), 403),
                ("last", "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 10.1.1.1\r\n".to_owned(), 200),
                ("last", "X-Forwarded-For: ::ffff:10.1.1.1\r\n".to_owned(), 200),
                ("last", "X-Forwarded-For: 10.1.1.1,\r\n".to_owned(), 403),
                ("last", String::new(), 403),
                ("second", "X-Forwarded-For: 10.1.1.1\r\nX-Forwarded-For: 203.0.113.9\r\n".to_owned(), 200),
                ("second", "X-Forwarded-For: 10.1.1.1\r\n".to_owned(), 403),
                ("outside", "X-Forwarded-For: 10.1.1.1, 203.0.113.9, 192.168.0.1\r\n".to_owned(), 403),
                ("outside", "X-Forwarded-For: nonsense, 192.168.0.1\r\n".to_owned(), 403),
                ("outside", long("10.1.1.1"), 200),
                ("outside", long("203.0.113.9"), 403),
                ("peer", "X-Forwarded-For: 203.0.113.9\r\n".to_owned(), 200),
            ] {
                let answer = get(web(&bound), &format!("{host}.example"), "/", &fields).await;
                assert_eq!(status(&answer), want, "{host} {:.80}", fields);
            }
        })
        .await;
    });
}

#[test]
fn s15_a_local_proxy_header_speaks_for_nobody() {
    run(async {
        let backend = Backend::start().await;
        let required = |settings: &mut postern_proxy::settings::Settings| {
            settings.trust.proxy_protocol = vec!["127.0.0.1/32".parse().expect("a network")];
        };
        beside_node_as(lists(&backend), required, async |bound| {
            let request = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}.example\r\nConnection: close\r\n\r\n");
            let v1 = |from: &str, host| format!("PROXY TCP4 {from} 127.0.0.1 1 80\r\n{}", request(host)).into_bytes();
            let v2 = |command: u8, host| {
                let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
                bytes.extend([0x20 | command, 0x11, 0, 12, 10, 1, 1, 1, 127, 0, 0, 1, 0, 1, 0, 80]);
                bytes.extend(request(host).as_bytes());
                bytes
            };
            for (bytes, want) in [
                (v1("10.1.1.1", "other"), 200),
                (v1("203.0.113.9", "other"), 403),
                (v1("203.0.113.9", "peer"), 403),
                (v2(1, "other"), 200),
                // LOCAL: what it says of the ends does not count.
                (v2(0, "other"), 403),
                (v2(0, "peer"), 200),
            ] {
                assert_eq!(status(&send(web(&bound), &bytes).await), want, "{:?}", String::from_utf8_lossy(&bytes));
            }
            let without = send(web(&bound), request("peer")).await;
            assert_eq!(without, "", "who must send a header and does not is not served");
        })
        .await;
    });
}
