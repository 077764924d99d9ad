//! TLS towards backends: judged as the user asked, never less.

use postern_config::model::{
    certificate::Certificate,
    cluster::{SubjectAltName, UpstreamTls, Verify},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    fn issue(&self, names: &[&str], uri: Option<&str>) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("valid names");
        params.subject_alt_names.extend(uri.map(|uri| SanType::URI(uri.try_into().expect("a URI"))));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.der().clone(), PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())))
    }
}

/// A TLS server that answers with the server name it was asked for, and the protocol.
async fn server(
    identity: (CertificateDer<'static>, PrivateKeyDer<'static>),
    client_authority: Option<CertificateDer<'static>>,
    alpn: &[&[u8]],
) -> Backend {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().expect("versions");
    let builder = match client_authority {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let mut config = builder.with_single_cert(vec![identity.0], identity.1).expect("a fitting key");
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Backend::raw(move |peer, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(peer.stream).await else { return };
            let session = stream.get_ref().1;
            let name = session.server_name().unwrap_or("none").to_owned();
            let http2 = session.alpn_protocol() == Some(b"h2");
            let service = service_fn(move |request: Request<Incoming>| {
                let text = format!("{name} {:?}", request.version());
                async move { Ok::<_, std::convert::Infallible>(Response::new(Full::new(Chunk::from(text)))) }
            });
            let io = TokioIo::new(stream);
            if http2 {
                let executor = crate::upstream::attempt::LocalExecutor;
                let _ = hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service).await;
            } else {
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            }
        }
    })
    .await
}

fn setting(authority: &Authority, server_name: Option<&str>) -> UpstreamTls {
    UpstreamTls {
        server_name: server_name.map(Into::into),
        verify: Verify::Authorities(vec![authority.der()].into()),
        subject_alt_names: Vec::new(),
        client_certificate: None,
    }
}

async fn asked(backend: &Backend, setting: UpstreamTls) -> Result<(u16, String), Failure> {
    let plans = Plans::new([backend.address]).with(|plans| plans.spec.tls = Some(Arc::new(setting)));
    plans.build().get("/").await
}

#[test]
fn a_backend_of_the_given_authority_with_the_given_name_is_taken() {
    on_worker(async {
        let authority = Authority::new();
        let backend = server(authority.issue(&["backend.internal"], None), None, &[]).await;
        let answer = asked(&backend, setting(&authority, Some("backend.internal"))).await;
        assert_eq!(answer, Ok((200, "backend.internal HTTP/1.1".into())));
    });
}

#[test]
fn a_backend_that_cannot_be_verified_is_502_and_gets_no_request() {
    on_worker(async {
        let (authority, other) = (Authority::new(), Authority::new());
        let backend = server(authority.issue(&["backend.internal"], None), None, &[]).await;
        let wrong_name = setting(&authority, Some("other.internal"));
        let wrong_authority = setting(&other, Some("backend.internal"));
        let well_known = UpstreamTls { verify: Verify::WellKnown, ..setting(&authority, Some("backend.internal")) };
        let dns = SubjectAltName::Dns("other.internal".into());
        let uri = SubjectAltName::Uri("spiffe://cluster/backend".into());
        let wrong_list =
            UpstreamTls { subject_alt_names: vec![dns, uri], ..setting(&authority, Some("backend.internal")) };
        for setting in [wrong_name, wrong_authority, well_known, wrong_list] {
            let failure = asked(&backend, setting).await.expect_err("an unverified backend");
            assert_eq!(failure.status(), 502, "{failure}");
            assert!(failure.to_string().contains("certificate"), "{failure}");
        }
    });
}

#[test]
fn a_list_of_names_stands_in_for_the_server_name() {
    on_worker(async {
        let (authority, other) = (Authority::new(), Authority::new());
        let identity = authority.issue(&["real.internal"], Some("spiffe://cluster/backend"));
        let backend = server(identity, None, &[]).await;
        let dns = SubjectAltName::Dns("real.internal".into());
        let uri = SubjectAltName::Uri("spiffe://cluster/backend".into());
        for name in [dns, uri.clone()] {
            let setting = UpstreamTls { subject_alt_names: vec![name], ..setting(&authority, Some("asked.internal")) };
            assert_eq!(asked(&backend, setting).await, Ok((200, "asked.internal HTTP/1.1".into())));
        }
        let untrusted = UpstreamTls { subject_alt_names: vec![uri], ..setting(&other, Some("asked.internal")) };
        assert_eq!(asked(&backend, untrusted).await.expect_err("another authority").status(), 502);
    });
}

#[test]
fn not_verifying_must_be_asked_for() {
    on_worker(async {
        let authority = Authority::new();
        let backend = server(authority.issue(&["x"], None), None, &[]).await;
        let setting = UpstreamTls { verify: Verify::Skip, ..setting(&authority, Some("y.internal")) };
        assert_eq!(asked(&backend, setting).await, Ok((200, "y.internal HTTP/1.1".into())));
    });
}

#[test]
fn a_client_certificate_is_presented() {
    on_worker(async {
        let (authority, clients) = (Authority::new(), Authority::new());
        let backend = server(authority.issue(&["b.internal"], None), Some(clients.der()), &[]).await;
        let without = setting(&authority, Some("b.internal"));
        assert!(asked(&backend, without.clone()).await.is_err());
        let (certificate, key) = clients.issue(&["client"], None);
        let certificate = Certificate {
            chain: vec![certificate],
            key,
            names: Vec::new(),
            not_before: jiff::Timestamp::MIN,
            not_after: jiff::Timestamp::MAX,
        };
        let with = UpstreamTls { client_certificate: Some(Arc::new(certificate)), ..without };
        assert_eq!(asked(&backend, with).await, Ok((200, "b.internal HTTP/1.1".into())));
    });
}

#[test]
fn the_backend_chooses_the_version() {
    on_worker(async {
        let authority = Authority::new();
        let backend = server(authority.issue(&["b.internal"], None), None, &[b"h2", b"http/1.1"]).await;
        let setting = Arc::new(setting(&authority, Some("b.internal")));
        let world = Plans::new([backend.address]).with(|plans| plans.spec.tls = Some(setting)).build();
        for _ in 0..3 {
            assert_eq!(world.get("/").await, Ok((200, "b.internal HTTP/2.0".into())));
        }
        assert_eq!(backend.connections.get(), 1);
    });
}

#[test]
fn without_a_server_name_the_host_is_verified_and_connections_are_not_shared_between_hosts() {
    on_worker(async {
        let authority = Authority::new();
        let backend = server(authority.issue(&["a.example", "b.example"], None), None, &[]).await;
        let setting = Arc::new(setting(&authority, None));
        let world = Plans::new([backend.address]).with(|plans| plans.spec.tls = Some(setting)).build();
        for host in ["a.example", "B.example:8443", "a.example", "b.example"] {
            let mut request = get("/");
            request.headers_mut().insert("host", HeaderValue::from_static(host));
            let answer = text(world.send(request).await.expect("an answer")).await;
            let want = host.split(':').next().expect("a name").to_ascii_lowercase();
            assert_eq!(answer, format!("{want} HTTP/1.1"));
        }
        assert_eq!(backend.connections.get(), 2);
        let mut request = get("/");
        request.headers_mut().insert("host", HeaderValue::from_static("c.example"));
        assert_eq!(world.send(request).await.map(drop).expect_err("another name").status(), 502);
    });
}

#[test]
fn a_cluster_of_http1_alone_offers_no_http2() {
    on_worker(async {
        let authority = Authority::new();
        let backend = server(authority.issue(&["b.internal"], None), None, &[b"h2", b"http/1.1"]).await;
        for (protocol, version) in [(Protocol::Http, "HTTP/2.0"), (Protocol::Http1, "HTTP/1.1")] {
            let plans = Plans::new([backend.address]).with(|plans| {
                plans.spec.tls = Some(Arc::new(setting(&authority, Some("b.internal"))));
                plans.spec.protocol = protocol;
            });
            assert_eq!(plans.build().get("/").await, Ok((200, format!("b.internal {version}"))));
        }
    });
}

#[test]
fn a_setting_that_cannot_be_honoured_closes_the_cluster() {
    on_worker(async {
        let setting = UpstreamTls {
            server_name: Some("b.internal".into()),
            verify: Verify::Authorities(Vec::new().into()),
            subject_alt_names: Vec::new(),
            client_certificate: None,
        };
        let backend = Backend::named("a").await;
        assert!(matches!(asked(&backend, setting).await, Err(Failure::Unresolved { .. })));
        assert_eq!(backend.connections.get(), 0);
    });
}
