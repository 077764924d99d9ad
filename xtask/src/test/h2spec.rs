//! h2spec against the built binary: prior knowledge on the plain port, ALPN on the TLS port.

use std::{net::SocketAddr, path::Path, time::Duration};

use crate::{
    child::{Running, free_ports, scratch},
    step::Outcome,
    tools,
    workspace::{self, debug_binary, output, program},
};

/// Everything but case 3.5/2: a port that serves HTTP/1 too answers bytes that are no HTTP/2 preface in HTTP/1 (400, and
/// the connection is closed), where the case knows only a silent close. Over TLS, where ALPN has settled it, it runs.
const PLAIN: [&str; 8] = ["generic", "hpack", "http2/3.5/1", "http2/4", "http2/5", "http2/6", "http2/7", "http2/8"];
const READY: Duration = Duration::from_secs(30);

/// The step.
pub(super) fn run() -> Result<Outcome, String> {
    let h2spec = match tools::h2spec() {
        Ok(binary) => binary,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let folder = scratch("h2spec")?;
    let [backend, plain, tls, admin] = free_ports()?;
    let _backend = start_backend(&folder, backend)?;
    let _postern = start_postern(&folder, [plain, tls, admin])?;
    spec(&h2spec, plain, &PLAIN)?;
    spec(&h2spec, tls, &["--tls", "--insecure"])?;
    Ok(Outcome::Passed)
}

fn start_backend(folder: &Path, port: u16) -> Result<Running, String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let benches = debug_binary("postern-benches");
    let manifests = folder.join("manifests");
    workspace::run(program(&benches, &["manifests"]).arg(manifests).args(["--backend", &address.to_string()]))?;
    let mut command = program(&benches, &["backend", "--bind", &address.to_string()]);
    let mut backend = Running::start(&mut command, &folder.join("backend.log"))?;
    backend.wait_for_port(address, READY)?;
    Ok(backend)
}

fn start_postern(folder: &Path, [plain, tls, admin]: [u16; 3]) -> Result<Running, String> {
    let mut command = program(debug_binary("postern"), &["serve", "--workers", "1", "--bind", "127.0.0.1"]);
    command.arg("--manifests").arg(folder.join("manifests"));
    command.args(["--map-port", &format!("80={plain}"), "--map-port", &format!("443={tls}")]);
    command.args(["--admin", &format!("127.0.0.1:{admin}")]);
    let mut postern = Running::start(&mut command, &folder.join("postern.log"))?;
    for port in [plain, tls] {
        postern.wait_for_port(SocketAddr::from(([127, 0, 0, 1], port)), READY)?;
    }
    Ok(postern)
}

fn spec(h2spec: &Path, port: u16, more: &[&str]) -> Result<(), String> {
    let port = port.to_string();
    // h2spec asks for `/` of the address itself: the manifests route every host to the backend.
    let text = output(program(h2spec, &["--host", "127.0.0.1", "--port", &port, "--timeout", "5"]).args(more))?;
    println!("h2spec {}: {}", more.join(" "), text.lines().rev().find(|line| !line.is_empty()).unwrap_or_default());
    Ok(())
}
