//! Sockets that come and go under clients: real workers, real sockets, ports chosen by the system.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;
use postern_config::{
    allocation::Purpose,
    snapshot::{Announcement, Candidate, Candidates, Listener, Snapshot, SocketKey, Transport},
};
use postern_proxy::{
    exchange::{Body, Connection},
    listener::Listeners,
    plan::{Live, Plan},
    settings::Settings,
    telemetry::{access_log, metrics::Metrics},
    worker::{Inside, Shared, Worker, Workers},
};

const PATIENCE: Duration = Duration::from_secs(20);

type Answer = std::pin::Pin<Box<dyn Future<Output = Response<Body>>>>;
type Service = fn(Request<Incoming>, Rc<Connection>, Rc<Worker>) -> Answer;

struct World {
    runtime: tokio::runtime::Runtime,
    shared: Arc<Shared>,
    listeners: Listeners<Service>,
}

fn answer(request: Request<Incoming>, connection: Rc<Connection>, worker: Rc<Worker>) -> Answer {
    Box::pin(async move {
        let text = format!("{} {} {} {}", request.uri().path(), connection.peer, connection.local, worker.index);
        Response::new(Body::from(text))
    })
}

fn settings() -> Settings {
    Settings {
        bind: vec![IpAddr::from([127, 0, 0, 1])],
        port_map: (1..=100).map(|port| (port, 0)).collect(),
        drain_deadline: Duration::from_secs(5),
        ..Settings::default()
    }
}

fn world(settings: Settings, workers: usize) -> World {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let shared = Arc::new(Shared {
        plan: Arc::new(ArcSwap::from_pointee(Plan::default())),
        settings: Arc::new(settings),
        server_name: http::HeaderValue::from_static("node"),
        live: Live::default(),
        metrics: Arc::new(Metrics::new(workers)),
        offload: runtime.handle().clone(),
        observing: std::sync::atomic::AtomicBool::new(false),
        inside: Inside::default(),
    });
    let queues = (0..workers).map(|_| access_log::Queue::default()).collect();
    let threads = Workers::start(&shared, queues).expect("threads");
    let listeners = Listeners::new(shared.clone(), threads.handles(), answer as Service).expect("TLS");
    // The threads end when the process does.
    std::mem::forget(threads);
    World { runtime, shared, listeners }
}

fn key(port: u16) -> SocketKey {
    SocketKey { address: None, port }
}

impl World {
    /// Makes a plan with plain listeners on `ports` and brings the sockets in line.
    fn plan(&mut self, ports: &[u16]) {
        self.plan_of(ports.iter().map(|port| key(*port)));
    }

    fn plan_of(&mut self, keys: impl IntoIterator<Item = SocketKey>) {
        self.plan_with(keys, []);
    }

    fn plan_with(
        &mut self,
        keys: impl IntoIterator<Item = SocketKey>,
        announced: impl IntoIterator<Item = (IpAddr, Announcement)>,
    ) {
        let mut snapshot = Snapshot::default();
        snapshot.announcements.extend(announced.into_iter().map(|(address, it)| (address, Arc::new(it))));
        for key in keys {
            let listener = Listener {
                key,
                name: "web".into(),
                transport: Transport::Plain,
                hosts: Default::default(),
                sni: Default::default(),
            };
            snapshot.listeners.insert(key, Arc::new(listener));
        }
        let generation = self.shared.plan.load().generation + 1;
        let plan = Plan { generation, snapshot: Arc::new(snapshot), ..Plan::default() };
        self.shared.plan.store(Arc::new(plan));
        let _inside = self.runtime.enter();
        self.listeners.reconcile();
    }

    fn address(&self, port: u16) -> SocketAddr {
        let status = self.listeners.status().load_full();
        let bound = status.bound.iter().find(|(bound, _)| *bound == key(port));
        bound.unwrap_or_else(|| panic!("{status:?}")).1
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
    stream
}

/// Asks on an open connection; the answer's body.
fn ask(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")?;
    read_answer(stream)
}

fn read_answer(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = stream.read(&mut piece)?;
        text.extend_from_slice(&piece[..n]);
        let so_far = String::from_utf8_lossy(&text);
        if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.is_some_and(|length| length.parse() == Ok(body.len())) {
                return Ok(body.to_owned());
            }
        }
        if n == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, so_far.into_owned()));
        }
    }
}

#[test]
fn sockets_follow_the_plan() {
    let mut world = world(settings(), 2);
    world.plan(&[1, 2]);
    let (one, two) = (world.address(1), world.address(2));
    assert!(ask(&mut connect(one)).is_ok() && ask(&mut connect(two)).is_ok());
    world.plan(&[2, 3]);
    assert_eq!(world.address(2), two, "a socket that stays is not touched");
    assert!(ask(&mut connect(world.address(3))).is_ok());
    // Once the old one has drained nobody listens there.
    let deadline = std::time::Instant::now() + PATIENCE;
    while TcpStream::connect_timeout(&one, Duration::from_millis(200)).is_ok() {
        assert!(std::time::Instant::now() < deadline, "the removed socket still accepts");
    }
}

#[test]
fn nobody_who_waits_is_reset_when_a_listener_goes() {
    let mut world = world(settings(), 2);
    world.plan(&[1]);
    let address = world.address(1);
    let stop = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut failed = 0;
                while stop.load(Ordering::Relaxed) == 0 {
                    // No listener any more is a clean answer; a reset after the connection was made is not.
                    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) else {
                        break;
                    };
                    stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
                    failed += usize::from(ask(&mut stream).is_err());
                }
                failed
            })
        })
        .collect();
    let mut waiting: Vec<_> = (0..200).map(|_| connect(address)).collect();
    world.plan(&[]);
    let lost = waiting.iter_mut().filter_map(|stream| ask(stream).map_err(|error| eprintln!("{error}")).err()).count();
    stop.store(1, Ordering::Relaxed);
    let failed: usize = clients.into_iter().map(|client| client.join().expect("a client")).sum();
    assert_eq!((lost, failed), (0, 0));
}

#[test]
fn connections_of_a_removed_listener_finish_their_request_and_close() {
    let mut world = world(settings(), 1);
    world.plan(&[1]);
    let mut stream = connect(world.address(1));
    ask(&mut stream).expect("an answer");
    world.plan(&[]);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an orderly end, not a reset");
    assert!(rest.is_empty());
}

#[test]
fn a_port_that_is_taken_is_reported_and_had_once_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let mut settings = settings();
    settings.port_map = vec![(1, address.port())];
    let mut world = world(settings, 2);
    world.plan(&[1]);
    let status = world.listeners.status().load_full();
    assert_eq!((status.bound.len(), status.problems.len()), (0, 1));
    let problem = &status.problems[0];
    assert_eq!((problem.key, problem.address), (key(1), address));
    assert!(problem.to_string().contains("--map-port"), "{problem}");
    drop(taken);
    world.plan(&[1]);
    assert_eq!(world.address(1), address);
}

#[test]
fn an_address_that_is_announced_is_bound_before_the_host_has_it_and_no_other() {
    // TEST-NET-3 (RFC 5737): nobody has them.
    let (vip, other) = (IpAddr::from([203, 0, 113, 71]), IpAddr::from([203, 0, 113, 72]));
    let mut world = world(settings(), 1);
    let socket = |address| SocketKey { address: Some(address), port: 1 };
    let announcement = Announcement {
        candidates: Candidates::Everybody(Candidate::default()),
        elected_as: vip,
        purpose: Purpose::Served,
        foreign_ports: Default::default(),
        of: Default::default(),
    };
    world.plan_with([socket(vip), socket(other)], [(vip, announcement)]);
    let status = world.listeners.status().load_full();
    let bound: Vec<_> = status.bound.iter().map(|(key, _)| *key).collect();
    let problems: Vec<_> = status.problems.iter().map(|problem| problem.key).collect();
    assert_eq!((bound, problems), (vec![socket(vip)], vec![socket(other)]));
}

#[test]
fn one_address_and_all_others_share_a_port_whichever_is_bound_first() {
    let all = IpAddr::from([0, 0, 0, 0]);
    let one = IpAddr::from([127, 0, 0, 2]);
    for first in [None, Some(one)] {
        let mut world = world(Settings { bind: vec![all], ..settings() }, 2);
        let address = |address: SocketKey, world: &World| {
            let status = world.listeners.status().load_full();
            assert!(status.problems.is_empty(), "{status:?}");
            status.bound.iter().find(|(bound, _)| *bound == address).expect("it is bound").1
        };
        let first = SocketKey { address: first, port: 1 };
        world.plan_of([first]);
        let port = address(first, &world).port();
        let second = SocketKey { address: first.address.xor(Some(one)), port };
        world.plan_of([first, second]);
        address(second, &world);
        for ip in [one, IpAddr::from([127, 0, 0, 3])] {
            assert!(ask(&mut connect(SocketAddr::new(ip, port))).is_ok(), "{ip}");
        }
    }
}

#[test]
fn long_connections_are_spread_over_the_workers() {
    let mut world = world(settings(), 4);
    world.plan(&[1]);
    let address = world.address(1);
    let mut held = Vec::new();
    let mut counts = [0; 4];
    for _ in 0..8 {
        let mut stream = connect(address);
        let body = ask(&mut stream).expect("an answer");
        let worker: usize = body.rsplit(' ').next().and_then(|text| text.parse().ok()).expect("a worker");
        counts[worker] += 1;
        held.push(stream);
    }
    assert!(counts.iter().all(|count| *count <= 3), "{counts:?}");
}

#[test]
fn an_address_has_no_more_connections_than_its_share() {
    let mut settings = settings();
    settings.limits.connections_per_address = 3;
    let mut world = world(settings, 2);
    world.plan(&[1]);
    let address = world.address(1);
    let mut held: Vec<_> = (0..3).map(|_| connect(address)).collect();
    held.iter_mut().for_each(|stream| drop(ask(stream).expect("an answer")));
    assert!(ask(&mut connect(address)).is_err());
    assert!(ask(&mut held[0]).is_ok());
}

/// Header, and what the service must see of it; `None`: the connection is refused.
fn proxy_headers() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let v2 = |command: u8, family: u8, rest: &[u8]| {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(rest.len()).expect("short").to_be_bytes());
        bytes.extend(rest);
        bytes
    };
    let four = [192, 0, 2, 1, 198, 51, 100, 7, 0x10, 0x00, 0x01, 0xbb];
    let mut six = Vec::new();
    six.extend("2001:db8::1".parse::<std::net::Ipv6Addr>().expect("an address").octets());
    six.extend("2001:db8::2".parse::<std::net::Ipv6Addr>().expect("an address").octets());
    six.extend([0x10, 0x00, 0x01, 0xbb]);
    let mut with_tlv = four.to_vec();
    with_tlv.extend([0x04, 0, 3, 1, 2, 3]);
    vec![
        (
            "v1 IPv4",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 4096 443\r\n".to_vec(),
            Some("192.0.2.1:4096 198.51.100.7:443"),
        ),
        (
            "v1 IPv6",
            b"PROXY TCP6 2001:db8::1 2001:db8::2 4096 443\r\n".to_vec(),
            Some("[2001:db8::1]:4096 [2001:db8::2]:443"),
        ),
        ("v1 UNKNOWN", b"PROXY UNKNOWN\r\n".to_vec(), Some("127.0.0.1")),
        ("v2 IPv4", v2(0x21, 0x11, &four), Some("192.0.2.1:4096 198.51.100.7:443")),
        ("v2 IPv6", v2(0x21, 0x21, &six), Some("[2001:db8::1]:4096 [2001:db8::2]:443")),
        ("v2 with a TLV", v2(0x21, 0x11, &with_tlv), Some("192.0.2.1:4096 198.51.100.7:443")),
        ("v2 LOCAL", v2(0x20, 0x00, &[]), Some("127.0.0.1")),
        ("v2 LOCAL with addresses", v2(0x20, 0x11, &four), Some("127.0.0.1")),
        ("none", Vec::new(), None),
        ("v1 with LF alone", b"PROXY TCP4 192.0.2.1 198.51.100.7 4096 443\n".to_vec(), None),
        ("v1 with a leading zero", b"PROXY TCP4 192.0.2.1 198.51.100.7 04096 443\r\n".to_vec(), None),
        ("v1 of another family", b"PROXY TCP4 2001:db8::1 2001:db8::2 4096 443\r\n".to_vec(), None),
        ("v1 without end", [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(), None),
        ("v2 of version 3", v2(0x31, 0x11, &four), None),
        ("v2 too short for its family", v2(0x21, 0x11, &four[..8]), None),
        ("v2 too long", v2(0x21, 0x11, &[0; 8192]), None),
        ("v2 UDP", v2(0x21, 0x12, &four), None),
    ]
}

#[test]
fn trusted_peers_say_who_the_client_is() {
    let mut settings = settings();
    settings.trust.proxy_protocol = vec!["127.0.0.0/8".parse().expect("a network")];
    let mut world = world(settings, 1);
    world.plan(&[1]);
    for (name, header, wanted) in proxy_headers() {
        let mut stream = connect(world.address(1));
        let request = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
        // A refusal may reset the connection while this is being sent.
        let sent = stream.write_all(&[header.as_slice(), request].concat());
        let body = sent.and_then(|()| read_answer(&mut stream));
        match wanted {
            Some(ends) => assert!(body.as_ref().is_ok_and(|body| body.contains(ends)), "{name}: {body:?}"),
            None => assert!(body.is_err(), "{name}: {body:?}"),
        }
    }
}

#[test]
fn a_header_of_an_untrusted_peer_is_not_looked_for() {
    let mut world = world(settings(), 1);
    world.plan(&[1]);
    let mut stream = connect(world.address(1));
    stream.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.7 4096 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}
