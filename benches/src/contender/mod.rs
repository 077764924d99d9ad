//! The proxies under comparison: each started with one worker on one core, keep-alive to the backend, no access log,
//! the same forwarded headers, and the same certificate.

mod floor;
mod haproxy;
mod nginx;
mod pingora;
mod postern;

use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) use postern::Postern;

use crate::{
    manifests::Identity,
    measure::pin,
    result::{Context, Error, Result},
};

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Postern,
    Nginx,
    Haproxy,
    Pingora,
    /// hyper with nothing around it.
    BareHyper,
    /// Bytes copied without a look.
    BareCopy,
}

/// What all have in common.
pub(crate) struct Setting<'a> {
    /// Where the backend is.
    pub(crate) backend: SocketAddr,
    /// For configuration and logs.
    pub(crate) folder: &'a Path,
    /// The certificate to serve.
    pub(crate) identity: &'a Identity,
    /// Postern's binary.
    pub(crate) postern: &'a Path,
    /// The pingora peer's binary.
    pub(crate) pingora: &'a Path,
}

/// A running proxy; ended when dropped.
pub(crate) struct Contender {
    /// As shown.
    pub(crate) name: String,
    /// Its process.
    pub(crate) pid: u32,
    /// Where it speaks HTTP.
    pub(crate) plain: SocketAddr,
    /// Where it speaks TLS.
    pub(crate) tls: SocketAddr,
    child: Child,
}

impl Kind {
    /// All, ours first.
    pub(crate) const ALL: [Self; 6] =
        [Self::Postern, Self::Nginx, Self::Haproxy, Self::Pingora, Self::BareHyper, Self::BareCopy];

    /// Starts it, and waits until it accepts connections.
    pub(crate) fn start(self, setting: &Setting<'_>) -> Result<Contender> {
        match self {
            Self::Postern => Postern::new(setting)?.start(),
            Self::Nginx => nginx::start(setting),
            Self::Haproxy => haproxy::start(setting),
            Self::Pingora => pingora::start(setting),
            Self::BareHyper => floor::start(setting, "hyper"),
            Self::BareCopy => floor::start(setting, "copy"),
        }
    }

    /// Whether it serves TLS in these comparisons.
    pub(crate) fn has_tls(self) -> bool {
        matches!(self, Self::Postern | Self::Nginx | Self::Haproxy)
    }
}

impl Contender {
    /// Runs `words` pinned to the proxy's core, and waits for its ports.
    fn spawn(name: &str, words: &[String], [plain, tls]: [SocketAddr; 2], log: &Path) -> Result<Self> {
        let file = File::create(log).context(log.display().to_string())?;
        let copy = file.try_clone().context("duplicating a descriptor")?;
        let mut command = Command::new("taskset");
        command.args(["-c", &pin::PROXY.to_string()]).args(words);
        command.stdin(Stdio::null()).stdout(file).stderr(copy);
        let child = command.spawn().context(format!("starting {name}"))?;
        let mut contender = Self { name: name.to_owned(), pid: child.id(), plain, tls, child };
        contender.wait_for(plain, log)?;
        if tls != plain {
            contender.wait_for(tls, log)?;
        }
        Ok(contender)
    }

    fn wait_for(&mut self, address: SocketAddr, log: &Path) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if ended || start.elapsed() > Duration::from_secs(120) {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let tail: Vec<&str> = said.lines().rev().take(5).collect();
                return Err(Error::Unexpected(format!("{} does not serve {address}: {}", self.name, tail.join(" | "))));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Asks it to end, so that it can write what it has counted.
    pub(crate) fn terminate(mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.pid.to_string()]).status();
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Loopback addresses that were free a moment ago.
pub(crate) fn free<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    let mut held = Vec::new();
    for address in &mut addresses {
        let socket = TcpListener::bind(*address).context("looking for a free port")?;
        *address = socket.local_addr().context("looking for a free port")?;
        held.push(socket);
    }
    Ok(addresses)
}

/// A folder for `name` below that of the setting.
fn own_folder(setting: &Setting<'_>, name: &str) -> Result<PathBuf> {
    let folder = setting.folder.join(name);
    std::fs::create_dir_all(&folder).context(folder.display().to_string())?;
    Ok(folder)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).context(path.display().to_string())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
