//! S7 and S13: which certificate and policy a connection gets, and whom the edge itself believes.

use std::{net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::ServerName};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::world::{Backend, Manifests, OK, beside_node, get, run, status, web};

struct Identity {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
    key: Vec<u8>,
}

fn identity(name: &str) -> Identity {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    Identity {
        certificate: made.cert.der().clone(),
        certificate_pem: made.cert.pem(),
        key_pem: made.signing_key.serialize_pem(),
        key: made.signing_key.serialize_der(),
    }
}

fn indented(pem: &str) -> String {
    pem.lines().map(|line| format!("\n    {line}")).collect()
}

fn secret(name: &str, identity: &Identity) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: {name}, namespace: default}}\n\
         stringData:\n  tls.crt: |{}\n  tls.key: |{}",
        indented(&identity.certificate_pem),
        indented(&identity.key_pem)
    )
}

fn ingress(host: &str, secret: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {secret}, namespace: default}}\n\
         spec: {{tls: [{{hosts: [{host}], secretName: {secret}}}], rules: [{{host: {host}, http: {{paths: \
         [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}}}]}}"
    )
}

/// A request for `host` on a connection that was made for `server_name`.
async fn ask(address: SocketAddr, roots: &[&Identity], server_name: &str, host: &str) -> String {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.certificate.clone()).expect("a root");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(store)
        .with_no_client_auth();
    let name = ServerName::try_from(server_name.to_owned()).expect("a name");
    let stream = TcpStream::connect(address).await.expect("a listener");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a trusted certificate");
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    let _end = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn s7_a_connection_made_for_one_host_carries_no_request_for_another() {
    run(async {
        let backend = Backend::start().await;
        let (a, b) = (identity("a.example"), identity("b.example"));
        let manifests = Manifests::default()
            .service("web", &backend)
            .document(&secret("a", &a))
            .document(&secret("b", &b))
            .document(&ingress("a.example", "a"))
            .document(&ingress("b.example", "b"));
        beside_node(manifests, async |bound| {
            let address = bound.listener(443).expect("bound");
            for (server_name, host, want) in [
                ("a.example", "a.example", 200),
                ("b.example", "b.example", 200),
                ("A.EXAMPLE", "a.example", 200),
                ("a.example", "A.Example", 200),
                ("a.example", "a.example:443", 200),
                ("a.example", "b.example", 421),
                ("a.example", "B.EXAMPLE.", 421),
                ("b.example", "a.example", 421),
            ] {
                let answer = ask(address, &[&a, &b], server_name, host).await;
                assert_eq!(status(&answer), want, "{server_name} {host}");
            }
        })
        .await;
    });
}

/// An auth server behind TLS, which lets everybody in.
async fn auth_server(identity: &Identity) -> SocketAddr {
    let key = PrivatePkcs8KeyDer::from(identity.key.clone()).into();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], key)
        .expect("a usable key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut buffer = [0; 4096];
                if matches!(stream.read(&mut buffer).await, Ok(1..)) {
                    let _gone = stream.write_all(OK.as_bytes()).await;
                }
            });
        }
    });
    address
}

#[test]
fn s13_an_auth_server_must_prove_who_it_is() {
    run(async {
        let backend = Backend::start().await;
        let (server, other) = (identity("127.0.0.1"), identity("other.example"));
        let (right, wrong) = (auth_server(&server).await, auth_server(&other).await);
        let authority = |name: &str, identity: &Identity| {
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\nstringData:\n  ca.crt: |{}",
                indented(&identity.certificate_pem)
            )
        };
        let mut manifests = Manifests::default()
            .service("web", &backend)
            .document(&authority("server-ca", &server))
            .document(&authority("other-ca", &other));
        let rows = [
            ("unsaid", right, "", 500),
            ("right", right, ", tls: {caSecret: server-ca}", 200),
            ("wrong-authority", right, ", tls: {caSecret: other-ca}", 500),
            ("wrong-name", wrong, ", tls: {caSecret: other-ca}", 500),
            ("skipped", right, ", tls: {insecureSkipVerify: true}", 200),
            ("not-skipped", right, ", tls: {insecureSkipVerify: false}", 500),
        ];
        for (name, server, options, _) in rows {
            let spec = format!("forwardAuth: {{address: 'https://{server}/'{options}}}");
            manifests = manifests.middleware(name, &spec).route(&format!("{name}.example"), "/", &[name], "web");
        }
        beside_node(manifests, async |bound| {
            for (name, _, _, want) in rows {
                let answer = get(web(&bound), &format!("{name}.example"), "/", "").await;
                assert_eq!(status(&answer), want, "{name}");
                assert_eq!(backend.seen().len(), usize::from(want == 200), "{name}");
            }
        })
        .await;
    });
}
