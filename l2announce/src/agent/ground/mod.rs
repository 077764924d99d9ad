//! The kernel's state, kept in line with what may be announced here. The kernel is told on a thread of its own; what it
//! has not been told yet is not announced. A kernel that refuses is why addresses are not announced; one that is busy
//! changes nothing, and is asked again.

mod keeper;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(super) use self::keeper::Done;
use self::keeper::Keeper;
use super::Settings;
use crate::{
    election::Hindrance,
    kernel::{self, Kernel, Wanted},
};

/// The kernel's state, or why there is none.
pub(super) struct Ground {
    keeper: Result<Keeper, Hindrance>,
    kernel: Option<Arc<Mutex<Kernel>>>,
    done: UnboundedReceiver<Done>,
    /// Without a keeper nothing comes, and nothing has ended.
    _tell: UnboundedSender<Done>,
    wanted: Wanted,
    /// Whether anything was wanted yet.
    is_told: bool,
    in_force: Wanted,
    /// Why addresses must not be announced from here.
    refused: BTreeMap<IpAddr, Hindrance>,
    /// Why what is wanted is not in force yet, where that passes.
    delayed: Option<Arc<str>>,
    /// What was said last, so that it is said once.
    said: Option<String>,
}

impl Ground {
    /// A kernel that is busy is an error, and to be asked again; with one that refuses there is no ground for addresses.
    pub(super) async fn open(settings: &Settings) -> Result<Self, kernel::Error> {
        let wanted = kernel::Settings { directory: settings.directory.clone(), notrack: settings.notrack };
        let opened = tokio::task::spawn_blocking(move || Kernel::open(&wanted)).await;
        let kernel = match opened.expect("to open the kernel's state never panics") {
            Ok(kernel) => Arc::new(Mutex::new(kernel)),
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => return Ok(Self::barren(of_error(&error))),
        };
        let told = kernel.clone();
        let mut ground = Self::over(move |wanted| {
            let mut kernel = told.lock().unwrap_or_else(PoisonError::into_inner);
            kernel.set(wanted.clone())
        });
        ground.kernel = Some(kernel);
        Ok(ground)
    }

    fn over(apply: impl FnMut(&Wanted) -> Result<kernel::Applied, kernel::Error> + Send + 'static) -> Self {
        let (tell, done) = unbounded_channel();
        match Keeper::start(apply, tell.clone()) {
            Ok(keeper) => Self::new(Ok(keeper), tell, done),
            Err(error) => {
                Self::barren(Hindrance::Other(format!("no thread can be had to tell the kernel: {error}").into()))
            }
        }
    }

    fn barren(why: Hindrance) -> Self {
        tracing::error!(%why, "the kernel's state cannot be kept, so no address can be served");
        let (tell, done) = unbounded_channel();
        Self::new(Err(why), tell, done)
    }

    fn new(keeper: Result<Keeper, Hindrance>, tell: UnboundedSender<Done>, done: UnboundedReceiver<Done>) -> Self {
        Self {
            keeper,
            kernel: None,
            done,
            _tell: tell,
            wanted: Wanted::default(),
            is_told: false,
            in_force: Wanted::default(),
            refused: BTreeMap::new(),
            delayed: None,
            said: None,
        }
    }

    /// All addresses that this node may own, and the links that they may be announced on.
    pub(super) fn want(&mut self, wanted: Wanted) {
        if !self.is_told || wanted != self.wanted {
            (self.wanted, self.is_told) = (wanted, true);
            self.settle();
        }
    }

    /// Sets everything again: others flush rule sets, and links come and go.
    pub(super) fn settle(&self) {
        if let Some(keeper) = self.keeper.as_ref().ok().filter(|_| self.is_told) {
            keeper.order(self.wanted.clone());
        }
    }

    /// What the kernel has answered. Can be dropped at any time.
    pub(super) async fn answers(&mut self) -> Done {
        self.done.recv().await.expect("this holds the other end")
    }

    /// Takes an answer in. True if any address may be announced now that might not, or the other way round.
    pub(super) fn answered(&mut self, done: Done) -> bool {
        let before = (self.refused.clone(), self.in_force.clone(), self.delayed.clone());
        match done.result {
            Ok(applied) => {
                self.refused = applied.refused.iter().map(|(address, why)| (*address, of_refusal(why))).collect();
                (self.in_force, self.delayed, self.said) = (done.wanted, None, None);
            }
            Err(error) if error.is_passing() => self.delayed = Some(self.say(&error)),
            Err(error) => {
                self.say(&error);
                let why = of_error(&error);
                self.refused = done.wanted.addresses.keys().map(|address| (*address, why.clone())).collect();
                (self.in_force, self.delayed) = (done.wanted, None);
            }
        }
        before != (self.refused.clone(), self.in_force.clone(), self.delayed.clone())
    }

    fn say(&mut self, error: &kernel::Error) -> Arc<str> {
        let text = error.to_string();
        if self.said.as_ref() != Some(&text) {
            let is_passing = error.is_passing();
            tracing::error!(%error, is_passing, "the kernel's state could not be set");
            self.said = Some(text.clone());
        }
        text.into()
    }

    /// Whether there is a first word of the kernel on what is wanted.
    pub(super) fn has_answered(&self) -> bool {
        self.keeper.is_err() || self.delayed.is_some() || (self.is_told && self.in_force == self.wanted)
    }

    /// Whether `address` may be announced from here, or why not.
    pub(super) fn verdict(&self, address: IpAddr) -> Result<(), Hindrance> {
        if let Err(why) = &self.keeper {
            return Err(why.clone());
        }
        if let Some(why) = self.refused.get(&address) {
            return Err(why.clone());
        }
        let wanted = self.wanted.addresses.get(&address);
        if wanted.is_some() && self.in_force.addresses.get(&address) == wanted {
            return Ok(());
        }
        Err(Hindrance::Other(match &self.delayed {
            Some(why) => format!("the kernel is not ready for it yet, and asked again: {why}").into(),
            None => "the kernel is being told of it".into(),
        }))
    }

    /// Whether the kernel is silent on `link`.
    pub(super) fn covers(&self, link: &str) -> bool {
        self.in_force.links.contains(link)
    }

    /// The kernel, if flows can be handed back with it.
    pub(super) fn for_moves(&self) -> Result<Arc<Mutex<Kernel>>, Arc<str>> {
        let kernel = match (&self.keeper, &self.kernel) {
            (Err(why), _) => return Err(why.to_string().into()),
            (Ok(_), None) => return Err("there is no kernel".into()),
            (Ok(_), Some(kernel)) => kernel,
        };
        let can = kernel.lock().unwrap_or_else(PoisonError::into_inner).can_hand_back();
        can.map(|()| kernel.clone()).map_err(|lack| Arc::from(lack.to_string()))
    }

    /// Undoes everything, unless another process of the node holds it too. Nobody else may have the kernel any more.
    pub(super) fn close(self) {
        if let Ok(keeper) = self.keeper {
            keeper.stop();
        }
        let Some(kernel) = self.kernel.and_then(Arc::into_inner) else { return };
        if let Err(error) = kernel.into_inner().unwrap_or_else(PoisonError::into_inner).close() {
            tracing::warn!(%error, "the kernel's state could not be undone; `postern cleanup` does it");
        }
    }
}

fn of_error(error: &kernel::Error) -> Hindrance {
    let said = error.to_string().into();
    match error {
        kernel::Error::Lacks(lack) if lack.is_capability() => Hindrance::Capability(said),
        _ => Hindrance::Other(said),
    }
}

fn of_refusal(refusal: &kernel::Refusal) -> Hindrance {
    let said = refusal.to_string().into();
    match refusal {
        kernel::Refusal::Lacks(lack) if lack.is_capability() => Hindrance::Capability(said),
        _ => Hindrance::Other(said),
    }
}
