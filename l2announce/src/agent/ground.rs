//! The kernel's state, kept in line with what may be announced here. A kernel that refuses is why addresses are not
//! announced; the rest goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::Settings;
use crate::{
    Purpose,
    kernel::{self, Applied, Kernel},
};

/// The kernel's state, or why there is none.
pub(super) struct Ground {
    kernel: Result<Arc<Mutex<Kernel>>, Arc<str>>,
    /// Why addresses must not be announced from here.
    refused: BTreeMap<IpAddr, Arc<str>>,
    /// What was said last, so that it is said once.
    said: Option<String>,
    addresses: BTreeMap<IpAddr, Purpose>,
    links: BTreeSet<Arc<str>>,
}

impl Ground {
    pub(super) fn open(settings: &Settings) -> Self {
        let wanted = kernel::Settings { directory: settings.directory.clone(), notrack: settings.notrack };
        let kernel = Kernel::open(&wanted).map_err(|error| Arc::from(error.to_string()));
        if let Err(why) = &kernel {
            tracing::error!(why = &**why, "the kernel's state cannot be kept, so no address can be served");
        }
        let kernel = kernel.map(|kernel| Arc::new(Mutex::new(kernel)));
        Self { kernel, refused: BTreeMap::new(), said: None, addresses: BTreeMap::new(), links: BTreeSet::new() }
    }

    /// All addresses that this node may own. True if the verdict on any is another now.
    pub(super) fn set_addresses(&mut self, addresses: BTreeMap<IpAddr, Purpose>) -> bool {
        self.addresses.clone_from(&addresses);
        self.apply(|kernel| kernel.set_addresses(addresses))
    }

    /// The links that addresses may be announced on.
    pub(super) fn set_links(&mut self, links: BTreeSet<Arc<str>>) -> bool {
        if links == self.links {
            return false;
        }
        self.links.clone_from(&links);
        self.apply(|kernel| kernel.set_links(links))
    }

    /// Sets everything again: others flush rule sets, and links come and go.
    pub(super) fn settle(&mut self) -> bool {
        self.apply(Kernel::settle)
    }

    /// Why `address` must not be announced from here.
    pub(super) fn refusal(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.refused.get(&address)
    }

    /// The kernel, if flows can be handed back with it.
    pub(super) fn for_moves(&self) -> Result<Arc<Mutex<Kernel>>, Arc<str>> {
        let kernel = self.kernel.as_ref().map_err(Arc::clone)?;
        let can = kernel.lock().unwrap_or_else(PoisonError::into_inner).can_hand_back();
        can.map(|()| kernel.clone()).map_err(|lack| Arc::from(lack.to_string()))
    }

    /// Undoes everything, unless another process of the node holds it too. Nobody else may have the kernel any more.
    pub(super) fn close(self) {
        let Some(kernel) = self.kernel.ok().and_then(Arc::into_inner) else { return };
        if let Err(error) = kernel.into_inner().unwrap_or_else(PoisonError::into_inner).close() {
            tracing::warn!(%error, "the kernel's state could not be undone; `postern cleanup` does it");
        }
    }

    fn apply(&mut self, act: impl FnOnce(&mut Kernel) -> Result<Applied, kernel::Error>) -> bool {
        let refused = match &mut self.kernel {
            Err(why) => all(&self.addresses, why),
            Ok(kernel) => match act(&mut kernel.lock().unwrap_or_else(PoisonError::into_inner)) {
                Ok(applied) => {
                    self.said = None;
                    applied.refused.into_iter().map(|(address, why)| (address, Arc::from(why.to_string()))).collect()
                }
                Err(error) => {
                    let said = error.to_string();
                    if self.said.as_ref() != Some(&said) {
                        tracing::error!(%error, "the kernel's state could not be set");
                    }
                    let refused = all(&self.addresses, &Arc::from(said.as_str()));
                    self.said = Some(said);
                    refused
                }
            },
        };
        let changed = refused != self.refused;
        self.refused = refused;
        changed
    }
}

fn all(addresses: &BTreeMap<IpAddr, Purpose>, why: &Arc<str>) -> BTreeMap<IpAddr, Arc<str>> {
    addresses.keys().map(|address| (*address, why.clone())).collect()
}
