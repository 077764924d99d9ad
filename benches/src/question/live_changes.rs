//! 1,000 changes of routes, certificates, endpoints and listeners under load: how many requests fail whose route is
//! there before and after. The load runs over kept plain and TLS connections, and over a new connection per request.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::Bench;
use crate::{
    backend::Backend,
    contender::{Contender, Postern, free},
    load::{Load, Outcome, Protocol, Trust},
    manifests::{self, HOST, Identity, World},
    measure::{pin, table},
    result::{Error, Result},
};

const CHANGES: usize = 1_000;
/// Two changes a file watcher cannot take for one.
const PAUSE: Duration = Duration::from_millis(15);
/// The port of the listener that comes and goes.
const EXTRA_PORT: u16 = 8080;

pub(super) fn answer(bench: &Bench<'_>) -> Result<Value> {
    let other = Backend::start(pin::load())?;
    let [extra] = free()?;
    let postern = Postern::with(&bench.setting(), "postern", World::new(bench.backend.address))?;
    let postern = postern.workers(2).map_port(EXTRA_PORT, extra.port());
    let folder = postern.manifests().to_owned();
    let contender = postern.start()?;
    let loads = loads(bench, &contender)?.into_iter().map(|(name, load)| (name, load.background()));
    let loads: Vec<_> = loads.collect();
    let world = Changing { folder: &folder, backends: [bench.backend.address, other.address] };
    for number in 0..CHANGES {
        world.change(number)?;
        std::thread::sleep(PAUSE);
    }
    world.listener(true)?;
    wait_for(extra)?;
    let outcomes = loads.into_iter().map(|(name, load)| Ok((name, load.stop()?))).collect::<Result<Vec<_>>>()?;
    Ok(report(&outcomes))
}

/// Certificates change too, so new TLS connections trust any; what is measured is whether they are served.
fn loads(bench: &Bench<'_>, contender: &Contender) -> Result<Vec<(&'static str, Load)>> {
    let plain = Load { connections: 8, ..Load::plain(contender.plain, HOST, bench.rate(1_000.0)) };
    let trust = bench.trust()?;
    let tls = |protocol, rate| Load {
        target: contender.tls,
        protocol,
        trust: trust.clone(),
        connections: 4,
        rate,
        ..plain.clone()
    };
    Ok(vec![
        ("kept, plain", plain.clone()),
        ("kept, TLS", tls(Protocol::H1Tls, 500.0)),
        ("kept, HTTP/2", tls(Protocol::H2Tls, 500.0)),
        ("new, plain", Load { protocol: Protocol::New, rate: 300.0, ..plain.clone() }),
        ("new, TLS", Load { trust: Trust::Anyone, ..tls(Protocol::NewTls, 50.0) }),
    ])
}

struct Changing<'a> {
    folder: &'a Path,
    backends: [SocketAddr; 2],
}

impl Changing<'_> {
    fn change(&self, number: usize) -> Result<()> {
        match number % 4 {
            0 => self.route(number),
            1 => self.certificate(),
            2 => self.endpoint(number),
            _ => self.listener(number % 8 == 3),
        }
    }

    /// Another route on the host under load, and the same host's own route untouched.
    fn route(&self, number: usize) -> Result<()> {
        let text = manifests::ingress("passing", HOST, "").replace("path: /\n", &format!("path: /passing-{number}\n"));
        manifests::replace(&self.folder.join("passing.yaml"), &text)
    }

    fn certificate(&self) -> Result<()> {
        manifests::replace(&self.folder.join("secret.yaml"), &manifests::secret(&Identity::new()?))
    }

    fn endpoint(&self, number: usize) -> Result<()> {
        let [one, two] = self.backends;
        let address = if number % 8 == 2 { two } else { one };
        manifests::replace(&self.folder.join("endpoints.yaml"), &manifests::endpoints(address))
    }

    fn listener(&self, present: bool) -> Result<()> {
        let path = self.folder.join("gateway.yaml");
        manifests::replace(&path, if present { GATEWAY } else { "# no listener at the moment\n" })
    }
}

fn wait_for(address: SocketAddr) -> Result<()> {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        if start.elapsed() > Duration::from_secs(10) {
            return Err(Error::Unexpected(format!("the last listener is not open at {address} after 10 s")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn report(outcomes: &[(&'static str, Outcome)]) -> Value {
    let mut cases = Vec::new();
    let mut figures = Vec::new();
    for (name, outcome) in outcomes {
        figures.push((format!("{name}: requests"), outcome.requests as f64, ""));
        figures.push((format!("{name}: errors"), outcome.errors as f64, ""));
        outcome.complaints.iter().for_each(|complaint| println!("  {name}: {complaint}"));
        cases.push(json!({ "load": name, "requests": outcome.requests, "errors": outcome.errors, "first": outcome.complaints }));
    }
    table::print_figures(&figures);
    json!({ "changes": CHANGES, "loads": cases })
}

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: postern
spec:
  controllerName: postern.dev/gateway
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: passing
  namespace: bench
spec:
  gatewayClassName: postern
  listeners:
  - name: extra
    port: 8080
    protocol: HTTP
";
