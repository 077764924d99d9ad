//! Programs that run beside a test: started, awaited by port, and ended by their process id.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running program; ended when dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with its output going to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self, String> {
        let file = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        let copy = file.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn();
        let child = child.map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until `ready` holds; says what the program printed when it ends or takes longer than `deadline`.
    pub(crate) fn wait_until(&mut self, deadline: Duration, mut ready: impl FnMut(&str) -> bool) -> Result<(), String> {
        let start = Instant::now();
        loop {
            if ready(&self.printed()) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended early ({status}):\n{}", self.printed()));
            }
            if start.elapsed() > deadline {
                return Err(format!("not ready after {} s:\n{}", deadline.as_secs(), self.printed()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `address` accepts connections.
    pub(crate) fn wait_for_port(&mut self, address: SocketAddr, deadline: Duration) -> Result<(), String> {
        self.wait_until(deadline, |_| TcpStream::connect(address).is_ok())
    }

    /// Everything that it printed so far.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Asks it to stop and waits for its end; an error when it does not end in time or not with success.
    pub(crate) fn stop(mut self, deadline: Duration) -> Result<(), String> {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let start = Instant::now();
        while start.elapsed() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("ended with {status} after SIGTERM:\n{}", self.printed())),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        Err(format!("still running {} s after SIGTERM:\n{}", deadline.as_secs(), self.printed()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that were free a moment ago.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N], String> {
    let sockets: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    let mut ports = [0; N];
    for (port, socket) in ports.iter_mut().zip(&sockets) {
        *port = socket.local_addr().map_err(|e| e.to_string())?.port();
    }
    Ok(ports)
}

/// A fresh folder under the target directory.
pub(crate) fn scratch(name: &str) -> Result<PathBuf, String> {
    let folder = crate::workspace::target().join("xtask").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}
