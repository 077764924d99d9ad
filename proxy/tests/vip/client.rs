//! What a client of the segment sees: whether it is answered, by whom, and for how long it isn't.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use postern_l2announce::{
    socket::{PacketSocket, Protocol},
    wire::{Arp, Frame, MacAddr, Operation, Packet},
};

use crate::{
    node::ECHO,
    segment::{Host, LINK},
};

/// Something that runs within the client until it is asked for what it found.
pub(crate) struct Probe<T> {
    over: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Probe<T> {
    pub(crate) fn start(host: &Host, run: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (host, ends) = (host.clone(), over.clone());
        let thread = thread::spawn(move || {
            host.enter();
            run(&ends)
        });
        Self { over, thread }
    }

    pub(crate) fn stop(self) -> T {
        self.over.store(true, Relaxed);
        self.thread.join().expect("it runs to its end")
    }
}

/// Datagrams that were answered: when, and by which host.
pub(crate) struct Answered {
    answered: Vec<(Instant, u8)>,
    sent: usize,
}

impl Answered {
    /// The longest time without an answer.
    pub(crate) fn outage(&self) -> Duration {
        let pairs = self.answered.iter().zip(self.answered.iter().skip(1));
        pairs.map(|((before, _), (after, _))| *after - *before).max().expect("some were answered")
    }

    pub(crate) fn count(&self) -> usize {
        self.answered.len()
    }

    /// Those without an answer.
    pub(crate) fn lost(&self) -> usize {
        self.sent - self.answered.len()
    }

    /// Who answered since `moment`.
    pub(crate) fn by_since(&self, moment: Instant) -> Vec<u8> {
        let mut all: Vec<_> =
            self.answered.iter().filter(|(when, _)| *when >= moment).map(|(_, number)| *number).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// A datagram each millisecond.
pub(crate) fn datagrams(client: &Host, address: impl Into<IpAddr>) -> Probe<Answered> {
    let address = address.into();
    Probe::start(client, move |over| {
        let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("it can");
        let (mut answered, sent) = (Vec::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    // Nobody may be found: that is what is measured.
                    let _lost = socket.send_to(b"?", (address, ECHO));
                    sent.fetch_add(1, Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let mut buffer = [0; 64];
            loop {
                match socket.recv_from(&mut buffer) {
                    Ok(_) => answered.push((Instant::now(), buffer[0])),
                    Err(_) if over.load(Relaxed) => break,
                    Err(_) => {}
                }
            }
        });
        Answered { answered, sent: sent.into_inner() }
    })
}

/// Requests, each on a connection of its own.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    answered: Vec<Instant>,
    /// By what went wrong.
    pub(crate) failed: BTreeMap<String, usize>,
}

impl Requests {
    pub(crate) fn count(&self) -> usize {
        self.answered.len()
    }

    pub(crate) fn outage(&self) -> Duration {
        let pairs = self.answered.iter().zip(self.answered.iter().skip(1));
        pairs.map(|(before, after)| *after - *before).max().expect("some were answered")
    }
}

/// A request each 10 ms or as soon as the last one has ended; it has a quarter of a second.
pub(crate) fn requests(client: &Host, address: impl Into<IpAddr>) -> Probe<Requests> {
    let address = address.into();
    Probe::start(client, move |over| {
        let mut requests = Requests::default();
        while !over.load(Relaxed) {
            match request(address, Duration::from_millis(250)) {
                Ok(()) => requests.answered.push(Instant::now()),
                Err(error) => *requests.failed.entry(error.to_string()).or_default() += 1,
            }
            thread::sleep(Duration::from_millis(10));
        }
        requests
    })
}

/// One request on a new connection.
pub(crate) fn request(address: impl Into<IpAddr>, within: Duration) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address.into(), 80)), within)?;
    stream.set_read_timeout(Some(within))?;
    ask(&mut stream, "Connection: close\r\n").map(drop)
}

/// One request on a connection; the response's head. Who is answered with anything but 200 has failed.
pub(crate) fn ask(stream: &mut TcpStream, field: &str) -> io::Result<String> {
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: shop.example.com\r\n{field}\r\n").as_bytes())?;
    let mut response = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&response) {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Err(io::Error::other("closed before the end of the response"));
        }
        response.extend_from_slice(buffer.get(..length).unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&response).into_owned();
    let head = text.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
    if head.starts_with("http/1.1 200") {
        return Ok(head);
    }
    Err(io::Error::other(head.lines().next().unwrap_or_default().to_owned()))
}

fn is_whole(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

/// What was heard of an address: answers to this client, and what everybody was told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) answers: Vec<(Instant, MacAddr)>,
    told: Vec<(Instant, Ipv4Addr)>,
}

impl Heard {
    /// Who answered between two moments.
    pub(crate) fn answering(&self, from: Instant, to: Instant) -> Vec<MacAddr> {
        let within = self.answers.iter().filter(|(when, _)| *when >= from && *when <= to);
        let mut all: Vec<_> = within.map(|(_, mac)| *mac).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// How long after `moment` the last answer of `mac` came, if one came.
    pub(crate) fn last_of(&self, mac: MacAddr, moment: Instant) -> Option<Duration> {
        let later = self.answers.iter().filter(|(when, its)| *its == mac && *when >= moment);
        later.map(|(when, _)| *when - moment).max()
    }

    /// How long after `moment` the first answer of `mac` came, if one came.
    pub(crate) fn first_of(&self, mac: MacAddr, moment: Instant) -> Option<Duration> {
        let later = self.answers.iter().filter(|(when, its)| *its == mac && *when >= moment);
        later.map(|(when, _)| *when - moment).min()
    }

    /// Each address that everybody was told of since `moment`, with the first time and how often.
    pub(crate) fn told_since(&self, moment: Instant) -> BTreeMap<Ipv4Addr, (Duration, usize)> {
        let mut all = BTreeMap::new();
        for (when, address) in self.told.iter().filter(|(when, _)| *when >= moment) {
            all.entry(*address).or_insert((*when - moment, 0)).1 += 1;
        }
        all
    }
}

/// Asks who has `address` each 10 ms, as `arping` does.
pub(crate) fn arping(client: &Host, address: Ipv4Addr) -> Probe<Heard> {
    let (mac, sender) = (client.mac, client.address());
    Probe::start(client, move |over| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(async {
            let index = nix::net::if_::if_nametoindex(LINK).expect("the link is there");
            let socket = PacketSocket::open(index, &LINK.into(), Protocol::Arp).expect("a socket opens");
            let target_mac = MacAddr::zero();
            let arp = Arp { operation: Operation::Request, sender_mac: mac, sender, target_mac, target: address };
            let question = Frame { destination: MacAddr::broadcast(), source: mac, packet: Packet::Arp(arp) }.encode();
            let mut heard = Heard::default();
            let mut asks = tokio::time::interval(Duration::from_millis(10));
            let mut buffer = [0; 2048];
            while !over.load(Relaxed) {
                tokio::select! {
                    _ = asks.tick() => { let _down = socket.send(&question); }
                    Ok(length) = std::future::poll_fn(|context| socket.poll_receive(context, &mut buffer)) => {
                        note(&mut heard, buffer.get(..length).unwrap_or_default(), mac, address);
                    }
                }
            }
            heard
        })
    })
}

fn note(heard: &mut Heard, bytes: &[u8], asker: MacAddr, address: Ipv4Addr) {
    let Ok(Frame { destination, source, packet: Packet::Arp(arp) }) = Frame::parse(bytes) else { return };
    if destination == asker && arp.sender == address {
        heard.answers.push((Instant::now(), source));
    } else if arp.sender == arp.target {
        heard.told.push((Instant::now(), arp.sender));
    }
}
