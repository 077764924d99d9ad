//! TLS as clients see it: names, certificates, fragments, resumption, passthrough.

use std::{io::Cursor, sync::Arc, time::Duration};

use postern_config::{
    model::{
        certificate::{Certificate, CertificateSlot},
        host::{HostPattern, WildcardDepth},
        id::{CertificateId, MiddlewareId, ObjectId},
        middleware::{MiddlewareSlot, Spec, tcp::Tcp},
        route::{Forward, Timeouts, Tunnel},
    },
    snapshot::{Listener, OwnerId, Snapshot, SniAction, SniEntry, SniTable, SocketKey, Transport},
};
use postern_proxy::{
    middleware::{self, Slot},
    plan::Plan,
    tls::{self, HandshakeError, Outcome, Tls, WorkerState},
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::Instant,
};

struct World {
    tls: Tls,
    state: WorkerState,
    plan: Arc<Plan>,
    listener: Arc<Listener>,
    roots: Arc<RootCertStore>,
}

fn pattern(text: &str) -> HostPattern {
    HostPattern::parse(text, WildcardDepth::One).expect("a pattern")
}

fn certificate(names: &[&str]) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names.clone()).expect("a certificate");
    Certificate {
        chain: vec![made.cert.der().clone()],
        key: rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into(),
        names: names.iter().map(|name| pattern(name)).collect(),
        not_before: jiff::Timestamp::MIN,
        not_after: jiff::Timestamp::MAX,
    }
}

fn owner() -> OwnerId {
    let object = ObjectId { kind: "Ingress".into(), namespace: "default".into(), name: "web".into() };
    OwnerId { object, section: "".into() }
}

fn tunnel(middlewares: Vec<MiddlewareId>) -> Tunnel {
    let forward = Forward {
        backends: Vec::new(),
        unresolved: http::StatusCode::SERVICE_UNAVAILABLE,
        timeouts: Timeouts::default(),
        retry: None,
    };
    Tunnel { middlewares, forward }
}

fn passthrough() -> SniAction {
    SniAction::Passthrough(Arc::new(tunnel(Vec::new())))
}

/// Entries by pattern, and slots by id; `None` is a slot without a usable certificate.
fn world(entries: &[(&str, SniAction)], slots: &[(&str, Option<&[&str]>)]) -> World {
    let mut roots = RootCertStore::empty();
    let (mut snapshot, mut plan) = (Snapshot::default(), Plan::default());
    for (id, names) in slots {
        let id = CertificateId::new(*id);
        let slot = match names {
            Some(names) => {
                let certificate = certificate(names);
                roots.add(certificate.chain[0].clone()).expect("a root");
                plan.certificates.insert(id.clone(), Arc::new(tls::certified_key(&certificate).expect("a key")));
                CertificateSlot::Ready(Arc::new(certificate))
            }
            None => CertificateSlot::Refused { reason: "missing".into() },
        };
        snapshot.certificates.insert(id, Arc::new(slot));
    }
    let mut sni = SniTable::default();
    for (text, action) in entries {
        let entry = SniEntry { pattern: pattern(text), owner: owner(), action: action.clone() };
        sni.set(&pattern(text), Some(Arc::new(entry)));
    }
    let key = SocketKey { address: None, port: 443 };
    let listener =
        Arc::new(Listener { key, name: "websecure".into(), transport: Transport::Tls, hosts: Default::default(), sni });
    plan.snapshot = Arc::new(snapshot);
    let tls = Tls::new().expect("TLS");
    World { tls, state: WorkerState::default(), plan: Arc::new(plan), listener, roots: Arc::new(roots) }
}

impl World {
    /// Gives the certificate in slot `id` this time of validity.
    fn valid(mut self, id: &str, not_before: &str, not_after: &str) -> Self {
        let plan = Arc::get_mut(&mut self.plan).expect("nobody else has the plan yet");
        let slots = &mut Arc::make_mut(&mut plan.snapshot).certificates;
        let slot = slots.get_mut(&CertificateId::new(id)).expect("the slot is there");
        let CertificateSlot::Ready(certificate) = &**slot else { panic!("the slot is not ready") };
        let certificate = Certificate {
            chain: certificate.chain.clone(),
            key: certificate.key.clone_key(),
            names: certificate.names.clone(),
            not_before: not_before.parse().expect("a time"),
            not_after: not_after.parse().expect("a time"),
        };
        *slot = Arc::new(CertificateSlot::Ready(Arc::new(certificate)));
        self
    }

    /// The slot whose certificate a client that asks for `name` is shown.
    async fn shown(&self, name: &str) -> String {
        let (_, client) = self.handshake(Arc::new(self.client_config(&[])), name, whole).await;
        let client = client.expect("the client trusts the certificate");
        let leaf = client.peer_certificates().and_then(|chain| chain.first()).expect("a certificate").clone();
        let is_leaf = |slot: &CertificateSlot| match slot {
            CertificateSlot::Ready(certificate) => certificate.chain.first() == Some(&leaf),
            CertificateSlot::Refused { .. } => false,
        };
        let mut slots = self.plan.snapshot.certificates.iter();
        slots.find(|(_, slot)| is_leaf(slot)).map(|(id, _)| id.to_string()).expect("a slot has it")
    }
}

fn terminate(ids: &[&str]) -> SniAction {
    SniAction::Terminate(ids.iter().map(|id| CertificateId::new(*id)).collect())
}

impl World {
    fn client_config(&self, alpn: &[&[u8]]) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }

    async fn accept(&self, server: DuplexStream) -> Result<Outcome<DuplexStream>, HandshakeError> {
        let find = || Some((self.plan.clone(), self.listener.clone()));
        let peer = "192.0.2.1".parse().expect("an address");
        tls::accept(server, peer, &self.tls, &self.state, find, Instant::now() + Duration::from_secs(10)).await
    }

    /// One handshake; what the server made of it and the client's state.
    async fn handshake(
        &self,
        config: Arc<ClientConfig>,
        name: &str,
        cut: fn(&[u8]) -> Vec<u8>,
    ) -> (Result<Outcome<DuplexStream>, HandshakeError>, Result<ClientConnection, rustls::Error>) {
        let (mut client, server) = tokio::io::duplex(256 * 1024);
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let connection = ClientConnection::new(config, name).expect("a client");
        let (outcome, driven) = tokio::join!(self.accept(server), drive(connection, &mut client, cut));
        let driven = match driven {
            Ok(connection) => take_tickets(connection, &mut client).await,
            refused => refused,
        };
        (outcome, driven)
    }
}

async fn drive(
    mut connection: ClientConnection,
    io: &mut DuplexStream,
    cut: fn(&[u8]) -> Vec<u8>,
) -> Result<ClientConnection, rustls::Error> {
    let mut first = true;
    while connection.is_handshaking() || connection.wants_write() {
        let mut out = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut out).expect("a vector");
        }
        let out = if std::mem::take(&mut first) { cut(&out) } else { out };
        if io.write_all(&out).await.is_err() {
            break;
        }
        if connection.is_handshaking() {
            let mut buffer = vec![0; 16 * 1024];
            let Ok(n @ 1..) = io.read(&mut buffer).await else { break };
            connection.read_tls(&mut Cursor::new(&buffer[..n])).expect("a slice");
            connection.process_new_packets()?;
        }
    }
    Ok(connection)
}

fn whole(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// Each byte of the hello in a record of its own.
fn one_byte_records(bytes: &[u8]) -> Vec<u8> {
    bytes[5..].iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test)
}

fn presented(outcome: &Outcome<DuplexStream>) -> (Option<String>, &'static str) {
    match outcome {
        Outcome::Http(_, session) => (session.server_name.as_deref().map(str::to_owned), session.version),
        _ => (None, "not HTTP"),
    }
}

#[test]
fn a_hello_in_one_byte_records_chooses_the_same_entry() {
    let world = world(
        &[("a.example", terminate(&["a"])), ("*", terminate(&["b"]))],
        &[("a", Some(&["a.example"])), ("b", Some(&["b.example"]))],
    );
    run(async {
        for cut in [whole, one_byte_records] {
            let config = Arc::new(world.client_config(&[b"h2"]));
            let (outcome, client) = world.handshake(config, "a.example", cut).await;
            let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(presented(&outcome), (Some("a.example".to_owned()), "1.3"));
            let client = client.expect("the client trusts the certificate");
            assert_eq!(client.alpn_protocol(), Some(&b"h2"[..]));
            let group = client.negotiated_key_exchange_group().map(|group| group.name());
            assert_eq!(group, Some(rustls::NamedGroup::X25519MLKEM768));
        }
    });
}

#[test]
fn server_names_are_compared_without_case() {
    let world = world(&[("a.example", terminate(&["a"]))], &[("a", Some(&["a.example"]))]);
    run(async {
        let config = Arc::new(world.client_config(&[]));
        let (outcome, _) = world.handshake(config, "A.eXample", whole).await;
        assert_eq!(presented(&outcome.unwrap_or_else(|error| panic!("{error}"))).0.as_deref(), Some("a.example"));
    });
}

#[test]
fn the_certificate_that_names_the_host_is_preferred_and_a_missing_one_skipped() {
    let entries = [("*", terminate(&["missing", "other", "wild"]))];
    let slots: [(&str, Option<&[&str]>); 3] =
        [("missing", None), ("other", Some(&["other.example"])), ("wild", Some(&["*.wild.example"]))];
    let world = world(&entries, &slots);
    run(async {
        for (name, trusted) in [("a.wild.example", true), ("other.example", true), ("a.b.wild.example", false)] {
            let config = Arc::new(world.client_config(&[]));
            let (_, client) = world.handshake(config, name, whole).await;
            assert_eq!(client.is_ok(), trusted, "{name}: {:?}", client.err());
        }
    });
}

#[test]
fn of_certificates_that_name_the_host_one_that_is_valid_now_is_shown() {
    const PAST: (&str, &str) = ("2001-01-01T00:00:00Z", "2002-01-01T00:00:00Z");
    const NOW: (&str, &str) = ("2001-01-01T00:00:00Z", "9001-01-01T00:00:00Z");
    const FUTURE: (&str, &str) = ("9000-01-01T00:00:00Z", "9001-01-01T00:00:00Z");
    for (first, second, wanted) in [
        (NOW, NOW, "first"),
        (PAST, NOW, "second"),
        (FUTURE, NOW, "second"),
        (NOW, PAST, "first"),
        (PAST, FUTURE, "first"),
    ] {
        let names: Option<&[&str]> = Some(&["a.example"]);
        let entries = [("*", terminate(&["other", "first", "second"]))];
        let world = world(&entries, &[("other", Some(&["b.example"])), ("first", names), ("second", names)])
            .valid("first", first.0, first.1)
            .valid("second", second.0, second.1);
        assert_eq!(run(world.shown("a.example")), wanted, "{first:?} {second:?}");
    }
}

#[test]
fn an_entry_without_usable_certificate_shows_the_default_one() {
    let world = world(&[("*", terminate(&["missing"]))], &[("missing", None)]);
    run(async {
        let (_, client) = world.handshake(Arc::new(world.client_config(&[])), "a.example", whole).await;
        assert!(matches!(client, Err(rustls::Error::InvalidCertificate(_))), "{:?}", client.err());
    });
}

#[test]
fn a_name_without_entry_gets_the_alert_that_says_so() {
    let world = world(&[("a.example", terminate(&["a"]))], &[("a", Some(&["a.example"]))]);
    run(async {
        let (outcome, client) = world.handshake(Arc::new(world.client_config(&[])), "b.example", whole).await;
        assert!(matches!(outcome, Err(HandshakeError::UnknownName(Some(name))) if &*name == "b.example"));
        assert_eq!(client.err(), Some(rustls::Error::AlertReceived(rustls::AlertDescription::UnrecognisedName)));
    });
}

/// Who only passes TLS through has no word of it to say. (TLSRouteHostnameIntersection of the Gateway API suite.)
#[test]
fn a_name_without_entry_is_closed_without_a_word_where_tls_always_ends_elsewhere() {
    let mut world = world(&[("a.example", passthrough()), ("c.example", terminate(&[]))], &[]);
    let sni = &mut Arc::get_mut(&mut world.listener).expect("nobody else has it yet").sni;
    sni.set(&pattern("c.example"), None);
    run(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let name = ServerName::try_from("b.example").expect("a name");
        let mut connection = ClientConnection::new(Arc::new(world.client_config(&[])), name).expect("a client");
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).expect("a vector");
        client.write_all(&hello).await.expect("a pipe");
        assert!(
            matches!(world.accept(server).await, Err(HandshakeError::UnknownName(Some(name))) if &*name == "b.example")
        );
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.expect("closed");
        assert_eq!(heard, b"");
    });
}

#[test]
fn a_passed_through_hello_reaches_the_backend_as_it_was() {
    let world = world(&[("a.example", passthrough())], &[]);
    run(async {
        for cut in [whole, one_byte_records] {
            let (mut client, server) = tokio::io::duplex(64 * 1024);
            let name = ServerName::try_from("a.example").expect("a name");
            let mut connection = ClientConnection::new(Arc::new(world.client_config(&[])), name).expect("a client");
            let mut hello = Vec::new();
            connection.write_tls(&mut hello).expect("a vector");
            let hello = cut(&hello);
            client.write_all(&hello).await.expect("a pipe");
            match world.accept(server).await {
                Ok(Outcome::Passthrough(_, raw, ..)) => assert_eq!(raw, hello),
                other => panic!("{:?}", other.err()),
            }
        }
    });
}

/// A world whose connections, passed through and ended here, must be let in by `spec`.
fn guarded(spec: Tcp) -> World {
    let id = MiddlewareId::new("tcp:default/m");
    let through = Arc::new(tunnel(vec![id.clone()]));
    let ended = SniAction::TerminateTcp([CertificateId::new("a")].into(), through.clone());
    let entries = [("pass.example", SniAction::Passthrough(through)), ("end.example", ended)];
    let mut world = world(&entries, &[("a", Some(&["end.example"]))]);
    let slot = MiddlewareSlot::Ready(Arc::new(Spec::Tcp(spec)));
    let running = Arc::new(Slot::build(&id, &slot, &middleware::Live::default()));
    Arc::get_mut(&mut world.plan).expect("nobody else has the plan yet").middlewares.insert(id, running);
    world
}

#[test]
fn a_connection_that_no_middleware_lets_in_is_closed_without_a_word() {
    let world = guarded(Tcp::IpAllowList(vec!["198.51.100.0/24".parse().expect("a range")]));
    run(async {
        for name in ["pass.example", "end.example"] {
            let (mut client, server) = tokio::io::duplex(64 * 1024);
            let name = ServerName::try_from(name).expect("a name");
            let mut connection = ClientConnection::new(Arc::new(world.client_config(&[])), name).expect("a client");
            let mut hello = Vec::new();
            connection.write_tls(&mut hello).expect("a vector");
            client.write_all(&hello).await.expect("a pipe");
            let refused = world.accept(server).await.err().map(|error| error.outcome().as_str());
            assert_eq!(refused, Some("refused"));
            let mut said = Vec::new();
            client.read_to_end(&mut said).await.expect("a pipe");
            assert_eq!(said, b"", "the client learns nothing, not even a certificate");
        }
    });
}

#[test]
fn places_of_connections_are_held_while_they_last() {
    let world = guarded(Tcp::InFlightConn { amount: 1 });
    run(async {
        let config = Arc::new(world.client_config(&[]));
        let (held, client) = world.handshake(config.clone(), "end.example", whole).await;
        client.expect("the client trusts the certificate");
        let held = held.unwrap_or_else(|error| panic!("{error}"));
        let (second, _) = world.handshake(config.clone(), "end.example", whole).await;
        assert_eq!(second.err().map(|error| error.outcome().as_str()), Some("refused"));
        drop(held);
        let (third, _) = world.handshake(config, "end.example", whole).await;
        third.unwrap_or_else(|error| panic!("{error}"));
    });
}

#[test]
fn a_session_is_resumed_by_its_own_name_only() {
    let world = world(&[("*", terminate(&["a"]))], &[("a", Some(&["a.example", "b.example"]))]);
    run(async {
        let config = Arc::new(world.client_config(&[]));
        let labels = async |name: &'static str| {
            let (outcome, client) = world.handshake(config.clone(), name, whole).await;
            let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
            client.expect("the client trusts the certificate");
            outcome.label().as_str()
        };
        assert_eq!(labels("a.example").await, "full");
        assert_eq!(labels("a.example").await, "resumed");
        assert_eq!(labels("b.example").await, "full");
    });
}

/// Lets the client read what has already come behind the handshake.
async fn take_tickets(
    mut connection: ClientConnection,
    io: &mut DuplexStream,
) -> Result<ClientConnection, rustls::Error> {
    let mut buffer = vec![0; 16 * 1024];
    tokio::select! {
        biased;
        read = io.read(&mut buffer) => {
            let n = read.expect("a pipe");
            connection.read_tls(&mut Cursor::new(&buffer[..n])).expect("a slice");
            connection.process_new_packets()?;
        }
        () = std::future::ready(()) => {}
    }
    Ok(connection)
}

#[test]
fn what_is_no_tls_is_refused_at_once() {
    let world = world(&[("*", terminate(&["a"]))], &[("a", Some(&["a.example"]))]);
    run(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("a pipe");
        let refused = world.accept(server).await.err().map(|error| error.outcome().as_str());
        assert_eq!(refused, Some("not-tls"));
    });
}

#[test]
fn a_hello_that_never_ends_is_cut_off() {
    let world = world(&[("*", terminate(&["a"]))], &[("a", Some(&["a.example"]))]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (mut client, server) = tokio::io::duplex(1024 * 1024);
        // A handshake message of 16 MiB, announced and begun.
        client.write_all(&[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]).await.expect("a pipe");
        let started = Instant::now();
        let feed = async {
            loop {
                let mut record = vec![22, 3, 1, 0x40, 0];
                record.resize(5 + 0x4000, 0);
                if client.write_all(&record).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let refused = tokio::select! { done = world.accept(server) => done.is_err(), () = feed => false };
        assert!(refused && started.elapsed() <= Duration::from_secs(10));
    });
}
