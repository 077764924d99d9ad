//! Postern itself, from manifests; also under callgrind and with other numbers of workers, for its own questions.

use std::path::{Path, PathBuf};

use super::{Contender, Setting, free, own_folder, words};
use crate::{
    manifests::{Identity, World},
    result::Result,
};

/// Postern about to be started.
pub(crate) struct Postern {
    binary: PathBuf,
    folder: PathBuf,
    manifests: PathBuf,
    /// Of the cluster whose objects it serves in place of the manifests.
    kubeconfig: Option<PathBuf>,
    workers: usize,
    prefix: Vec<String>,
    /// Ports in objects beside 80 and 443, to be mapped to free ones.
    ports: Vec<(u16, u16)>,
}

impl Postern {
    /// With one route to the backend.
    pub(crate) fn new(setting: &Setting<'_>) -> Result<Self> {
        Self::with(setting, "postern", World::new(setting.backend))
    }

    /// With what `world` holds, in a folder called `name`.
    pub(crate) fn with(setting: &Setting<'_>, name: &str, world: World) -> Result<Self> {
        let folder = own_folder(setting, name)?;
        let manifests = folder.join("manifests");
        let identity = Identity {
            der: setting.identity.der.clone(),
            certificate_pem: setting.identity.certificate_pem.clone(),
            key_pem: setting.identity.key_pem.clone(),
        };
        world.identity(identity).write(&manifests)?;
        let binary = setting.postern.to_owned();
        Ok(Self { binary, folder, manifests, kubeconfig: None, workers: 1, prefix: Vec::new(), ports: Vec::new() })
    }

    /// Watches the cluster of `kubeconfig` in place of the manifests, and writes status there.
    pub(crate) fn watching(mut self, kubeconfig: &Path) -> Self {
        self.kubeconfig = Some(kubeconfig.to_owned());
        self
    }

    /// With so many workers.
    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Run by another program.
    pub(crate) fn under(mut self, prefix: impl FnOnce(&Path) -> Vec<String>) -> Self {
        self.prefix = prefix(&self.folder);
        self
    }

    /// Maps one more port of objects.
    pub(crate) fn map_port(mut self, from: u16, to: u16) -> Self {
        self.ports.push((from, to));
        self
    }

    /// Where its manifests are.
    pub(crate) fn manifests(&self) -> &Path {
        &self.manifests
    }

    /// Its own folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts it.
    pub(crate) fn start(self) -> Result<Contender> {
        let [plain, tls] = free()?;
        let mut command = self.prefix;
        if let Some(kubeconfig) = &self.kubeconfig {
            let address = "POSTERN_KUBERNETES_ADDRESSES=192.0.2.1";
            command.extend(words(&["env", "POSTERN_KUBERNETES_CACHE=off", address]));
            command.push(format!("KUBECONFIG={}", kubeconfig.display()));
        }
        command.extend([self.binary.display().to_string()]);
        command.extend(words(&["serve", "--bind", "127.0.0.1", "--admin", "127.0.0.1:0"]));
        command.extend(match self.kubeconfig {
            Some(_) => words(&["--kubernetes"]),
            None => vec!["--manifests".to_owned(), self.manifests.display().to_string()],
        });
        command.extend(["--workers".to_owned(), self.workers.to_string()]);
        for (from, to) in [(80, plain.port()), (443, tls.port())].into_iter().chain(self.ports) {
            command.extend(["--map-port".to_owned(), format!("{from}={to}")]);
        }
        Contender::spawn("postern", &command, [plain, tls], &self.folder.join("log"))
    }
}
