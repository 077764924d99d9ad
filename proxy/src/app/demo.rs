//! `postern demo`: the bundled example with backends of its own, all on loopback.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
};

use super::{
    App, Bound, GOOD, REFUSED, complain, print,
    serve::{control_runtime, text_pair},
    signal::Stop,
};
use crate::{
    args,
    demo::{
        certificate, echo,
        manifests::{BACKENDS, Directory, HOSTS},
    },
    settings::{Mistake, Said, Settings, access_log::Target, document::Value, resolve},
    telemetry::log,
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The ports of the web, as anybody may bind them.
const PORTS: [(u16, u16); 2] = [(80, 8080), (443, 8443)];

/// Why the demo cannot start.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("the demo's backends: {0}")]
    Backends(io::Error),
    #[error("the demo's files: {0}")]
    Files(io::Error),
    #[error("the demo's certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error(transparent)]
    Start(#[from] super::StartError),
}

/// Serves the example until stopped; returns the exit code.
pub(super) fn run(demo: &args::Demo) -> u8 {
    let settings = match settings(demo) {
        Ok(settings) => settings,
        Err(mistakes) => return complain(mistakes, super::USAGE),
    };
    control_runtime(async {
        match serve(settings).await {
            Ok(()) => GOOD,
            Err(error) => complain([error], REFUSED),
        }
    })
}

async fn serve(settings: Settings) -> Result<(), DemoError> {
    let log_level = log::start(&settings.log);
    let (mut stop, mut at_once) =
        (Stop::listen().map_err(DemoError::Files)?, Stop::listen().map_err(DemoError::Files)?);
    let (listeners, port) = echo::bind(&BACKENDS).await.map_err(DemoError::Backends)?;
    let backends: tokio::task::JoinSet<()> = listeners.into_iter().map(echo::serve).collect();
    let directory = Directory::write(&certificate::make(&HOSTS)?, port).map_err(DemoError::Files)?;
    let settings = Settings { manifests: Some(directory.manifests()), ..settings };
    let app = App::build(settings, log_level).await?;
    let program = std::env::args().next().unwrap_or_else(|| "postern".to_owned());
    print(welcome(&app.bound(), &directory.authority(), &program));
    app.run(stop.next(), at_once.second()).await;
    drop((backends, directory));
    Ok(())
}

/// Everything on loopback, on the usual ports where these are free. Only the admin server's address can be chosen.
fn settings(demo: &args::Demo) -> Result<Settings, Vec<Mistake>> {
    let mut defaults = Settings {
        bind: vec![LOOPBACK],
        port_map: PORTS.map(|(from, to)| (from, free_or_any(to))).to_vec(),
        workers: Settings::default().workers.min(4),
        drain_deadline: std::time::Duration::from_secs(2),
        ..Settings::default()
    };
    defaults.access_log.target = Some(Target::Stdout);
    defaults.admin.address =
        defaults.admin.address.map(|address| SocketAddr::new(LOOPBACK, free_or_any(address.port())));
    "warn".clone_into(&mut defaults.log.level);
    let admin = demo.admin.clone().map(|admin| ("admin", "admin.address", Value::Text(admin)));
    let wanted =
        |(name, _): &(String, String)| name.starts_with("POSTERN_LOG_") || name.starts_with("POSTERN_ACCESS_LOG_");
    let variables = std::env::vars_os().filter_map(text_pair).filter(wanted).collect();
    resolve(defaults, &Said { file: None, variables, flags: admin.into_iter().collect() })
}

/// `port`, or 0 when something listens there already.
fn free_or_any(port: u16) -> u16 {
    TcpListener::bind((LOOPBACK, port)).map_or(0, |_| port)
}

/// Where everything is, and what to try. Lines that begin with `curl` are answered with success.
fn welcome(bound: &Bound, authority: &Path, program: &str) -> String {
    let [shop, api] = HOSTS;
    let (Some(http), Some(https)) = (bound.listener(80), bound.listener(443)) else {
        return "A listener of the demo could not be bound; the log says why.\n".to_owned();
    };
    let authority = authority.display();
    let (plain, tls) = (http.port(), https.port());
    let curl_tls = |host: &str| format!("--cacert {authority} --resolve {host}:{tls}:127.0.0.1");
    let taken = moved(bound);
    let admin = bound.admin.map_or_else(String::new, |admin| {
        format!(
            "
Which route a request takes, and why no other:
  {program} explain --admin http://{admin} http://{shop}/

What became of each object, where everything is bound, what is counted:
  curl http://{admin}/readyz
  curl http://{admin}/api/v1/overview
  curl http://{admin}/metrics
"
        )
    });
    format!(
        "Postern serves a demo on loopback. Ctrl-C stops it.

  http       {http}
  https      {https}
  dashboard  {}
{taken}
HTTP, by an Ingress with two middlewares:
  curl -H 'Host: {shop}' http://127.0.0.1:{plain}/

HTTPS, HTTP/1.1 and HTTP/2, with the demo's own authority:
  curl --http1.1 {} https://{shop}:{tls}/
  curl --http2 {} https://{api}:{tls}/v1/orders

A WebSocket, by a Gateway and an HTTPRoute; it is closed when nothing is said for 3 s:
  curl --http1.1 --no-buffer -H 'Host: {api}' -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
-H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' http://127.0.0.1:{plain}/socket

A host that nobody has (404):
  $ curl -i -H 'Host: nobody.example.com' http://127.0.0.1:{plain}/
{admin}
Each request is logged below.

",
        bound.admin.map_or_else(|| "off".to_owned(), |admin| format!("http://{admin}/")),
        curl_tls(shop),
        curl_tls(api),
    )
}

/// Says which of the usual ports were taken.
fn moved(bound: &Bound) -> String {
    let line = |(from, usual): &(u16, u16)| {
        let actual = bound.listener(*from)?.port();
        (actual != *usual).then(|| format!("  Port {usual} is taken by another program, so {actual} is used.\n"))
    };
    PORTS.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use postern_config::snapshot::SocketKey;

    use super::*;

    #[test]
    fn the_welcome_has_the_addresses_that_are_really_bound() {
        let bound = Bound {
            admin: Some(([127, 0, 0, 1], 4713).into()),
            metrics: None,
            admin_vip: None,
            listeners: vec![
                (SocketKey { address: None, port: 80 }, ([127, 0, 0, 1], 4711).into()),
                (SocketKey { address: None, port: 443 }, ([127, 0, 0, 1], 8443).into()),
            ],
        };
        let text = welcome(&bound, Path::new("/tmp/ca.pem"), "target/release/postern");
        for wanted in [
            "curl -H 'Host: shop.example.com' http://127.0.0.1:4711/\n",
            "--cacert /tmp/ca.pem --resolve api.example.com:8443:127.0.0.1 https://api.example.com:8443/v1/orders\n",
            "Port 8080 is taken by another program, so 4711 is used.\n",
            "  dashboard  http://127.0.0.1:4713/\n",
            "target/release/postern explain --admin http://127.0.0.1:4713 http://shop.example.com/\n",
        ] {
            assert!(text.contains(wanted), "{wanted} in\n{text}");
        }
        assert!(!text.contains("Port 8443"));
    }
}
