//! What clients of an address do all the time, and what has become of it.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use crate::segment::{Host, PATIENCE, eventually};

const PORT: u16 = 7000;
/// Connections that last, to each address.
const LASTING: usize = 20;

/// Echoes whatever comes to the addresses, by TCP and by UDP, for as long as the test runs.
pub(crate) fn serve(host: &Host, addresses: &[IpAddr]) {
    let (listener, sockets) = host.inside(|| {
        let listener = TcpListener::bind(("::", PORT)).expect("it can be bound");
        (listener, addresses.iter().map(|address| datagrams(*address)).collect::<Vec<_>>())
    });
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || io::copy(&mut stream.try_clone()?, &mut stream));
        }
    });
    for socket in sockets {
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                // A client that has gone is none of the server's business.
                let _ = socket.send_to(&buffer[..length], from);
            }
        });
    }
}

fn datagrams(address: IpAddr) -> UdpSocket {
    let address = SocketAddr::new(address, PORT);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None).expect("a socket");
    // The address is nobody's yet.
    if address.is_ipv4() { socket.set_freebind_v4(true) } else { socket.set_freebind_v6(true) }.expect("it can be set");
    socket.bind(&address.into()).expect("it can be bound");
    socket.into()
}

/// What has happened to one address.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    pub(crate) connected: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) echoes: AtomicU64,
    pub(crate) broken: AtomicU64,
    slowest: AtomicU64,
    answered: Mutex<BTreeSet<u64>>,
    errors: Mutex<Vec<String>>,
}

impl Counts {
    fn blame(&self, counter: &AtomicU64, what: &str, error: &io::Error) {
        counter.fetch_add(1, Ordering::Relaxed);
        self.errors.lock().expect("nobody panicked").push(format!("{what}: {error}"));
    }

    /// New connections that did not come about.
    pub(crate) fn bad_new(&self) -> u64 {
        self.refused.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }

    fn lost(&self) -> u64 {
        self.sent.load(Ordering::Relaxed) - self.answered.lock().expect("nobody panicked").len() as u64
    }
}

/// Clients of some addresses.
pub(crate) struct Traffic {
    counts: Vec<(IpAddr, Arc<Counts>)>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Begins, once each address is served.
    pub(crate) fn start(client: &Host, addresses: &[IpAddr]) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut traffic = Self { counts: Vec::new(), is_over, threads: Vec::new() };
        for address in addresses {
            let to = SocketAddr::new(*address, PORT);
            eventually("the address is served", || client.inside(|| round_trip(to)).map_err(|error| error.to_string()));
            let counts = Arc::new(Counts::default());
            traffic.counts.push((*address, counts.clone()));
            client.inside(|| traffic.add(to, &counts));
        }
        traffic
    }

    fn add(&mut self, to: SocketAddr, counts: &Arc<Counts>) {
        for _ in 0..LASTING {
            let stream = connect(to).expect("it is served");
            self.spawn(counts, move |counts, is_over| lasting(stream, counts, is_over));
        }
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).expect("a socket");
        socket.connect(to).expect("it is of that family");
        let receiving = socket.try_clone().expect("it can be shared");
        receiving.set_read_timeout(Some(Duration::from_millis(100))).expect("it can be set");
        self.spawn(counts, move |counts, is_over| receive(&receiving, counts, is_over));
        self.spawn(counts, move |counts, is_over| {
            paced(Duration::from_millis(1), is_over, || {
                let number = counts.sent.load(Ordering::Relaxed);
                if socket.send(&number.to_be_bytes()).is_ok() {
                    counts.sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        self.spawn(counts, move |counts, is_over| {
            paced(Duration::from_millis(10), is_over, || connect_anew(to, counts));
        });
    }

    fn spawn(&mut self, counts: &Arc<Counts>, run: impl FnOnce(&Counts, &AtomicBool) + Send + 'static) {
        let (counts, is_over) = (counts.clone(), self.is_over.clone());
        // Of the namespace of this thread.
        self.threads.push(thread::spawn(move || run(&counts, &is_over)));
    }

    pub(crate) fn echoes(&self) -> u64 {
        self.counts.iter().map(|(_, counts)| counts.echoes.load(Ordering::Relaxed)).sum()
    }

    /// How many lasting connections there are.
    pub(crate) fn count(&self) -> u64 {
        (self.counts.len() * LASTING) as u64
    }

    pub(crate) fn broken(&self) -> u64 {
        self.counts.iter().map(|(_, counts)| counts.broken.load(Ordering::Relaxed)).sum()
    }

    /// Lets some more of everything happen.
    pub(crate) fn go_on(&self) {
        let echoes = self.echoes();
        eventually("clients are served", || {
            let more = self.echoes() - echoes;
            if more > 400 { Ok(()) } else { Err(format!("{more} echoes")) }
        });
    }

    /// Ends, and says what has happened. Whether nothing was lost, refused or broken is judged by the caller.
    pub(crate) fn end(self, what: &str) -> Vec<Arc<Counts>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("it runs to its end"));
        for (address, counts) in &self.counts {
            let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            println!(
                "{what}: {address}: {} datagrams, {} lost; {} new connections, {} refused, {} failed, slowest {} ms; \
                 {LASTING} lasting connections, {} echoes, {} broken",
                load(&counts.sent),
                counts.lost(),
                load(&counts.connected),
                load(&counts.refused),
                load(&counts.failed),
                load(&counts.slowest),
                load(&counts.echoes),
                load(&counts.broken),
            );
            counts.errors.lock().expect("nobody panicked").iter().take(5).for_each(|error| println!("  {error}"));
        }
        self.counts.into_iter().map(|(_, counts)| counts).collect()
    }

    /// Ends; nothing must have been lost, refused or broken.
    pub(crate) fn end_whole(self, what: &str) {
        for counts in self.end(what) {
            let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let bad = (counts.lost(), load(&counts.refused), load(&counts.failed), load(&counts.broken));
            assert_eq!(bad, (0, 0, 0, 0), "{what}: lost, refused, failed, broken");
            assert!(load(&counts.sent) > 100 && load(&counts.connected) > 10 && load(&counts.echoes) > 100);
        }
    }
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn echo(stream: &mut TcpStream) -> io::Result<()> {
    let mut back = [0; 8];
    stream.write_all(b"and back")?;
    stream.read_exact(&mut back)?;
    assert_eq!(&back, b"and back");
    Ok(())
}

fn round_trip(to: SocketAddr) -> io::Result<()> {
    echo(&mut connect(to)?)
}

fn lasting(mut stream: TcpStream, counts: &Counts, is_over: &AtomicBool) {
    let mut is_broken = false;
    paced(Duration::from_millis(20), is_over, || {
        if is_broken {
            return;
        }
        match echo(&mut stream) {
            Ok(()) => drop(counts.echoes.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                is_broken = true;
                counts.blame(&counts.broken, "a lasting connection", &error);
            }
        }
    });
}

fn connect_anew(to: SocketAddr, counts: &Counts) {
    let start = Instant::now();
    match round_trip(to) {
        Ok(()) => drop(counts.connected.fetch_add(1, Ordering::Relaxed)),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            counts.blame(&counts.refused, "a new connection", &error);
        }
        Err(error) => counts.blame(&counts.failed, "a new connection", &error),
    }
    counts.slowest.fetch_max(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Until all is answered that was sent, or nothing comes any more.
fn receive(socket: &UdpSocket, counts: &Counts, is_over: &AtomicBool) {
    let mut last = Instant::now();
    loop {
        let mut number = [0; 8];
        if socket.recv(&mut number).is_ok() {
            last = Instant::now();
            counts.answered.lock().expect("nobody panicked").insert(u64::from_be_bytes(number));
        }
        if is_over.load(Ordering::Relaxed) && (counts.lost() == 0 || last.elapsed() > Duration::from_secs(2)) {
            return;
        }
    }
}

/// As often as `every` says; what was missed because the machine was busy is not made up for.
fn paced(every: Duration, is_over: &AtomicBool, mut act: impl FnMut()) {
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        act();
        // Nobody unparks it: this is a pace, and waits for nothing.
        thread::park_timeout(every.saturating_sub(start.elapsed()));
    }
}
