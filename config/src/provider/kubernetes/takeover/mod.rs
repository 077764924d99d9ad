//! Looks in the cluster for the products that Postern replaces, and does what was decided: adopts the Service of one
//! that is owned. What follows from what is seen is decided by [`crate::kubernetes::takeover`].

mod follow_service;
mod lead;
mod record;
mod seek;
mod survey;

use std::{path::PathBuf, time::Duration};

use kube::Client;
use tokio::time::{Instant, sleep};

pub(super) use self::record::RECORD;
use self::seek::Found;
pub(super) use self::{follow_service::Adoption, lead::Leading};
pub use self::{
    record::Record,
    survey::{Survey, survey},
};
use crate::kubernetes::{
    convert::{EntryPoint, Settings},
    takeover::{
        Decision, Remembered, Seen, Wishes,
        adoption::{self, Adopted, NotAdopted},
    },
};

/// What a start came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Takeover {
    /// Who is owned and who is observed.
    pub decision: Decision,
    /// The Service that leads to us; `None` while nothing is owned that has one.
    pub adopted: Option<Result<Adopted, NotAdopted>>,
}

impl Takeover {
    /// Where objects come from files, nothing else is there: all is owned.
    pub fn of_files() -> Self {
        Self { decision: Decision::own_all(), adopted: None }
    }

    /// `settings` as they hold after this: without the classes of others, with the entry points of the adopted Service.
    #[must_use]
    pub fn apply(&self, settings: Settings) -> Settings {
        let mut settings = self.decision.apply(settings);
        for point in self.service().into_iter().flat_map(Adopted::entry_points) {
            if settings.entry_points.iter().all(|known| known.name != point.name && known.socket != point.socket) {
                settings.entry_points.push(point.clone());
            }
        }
        settings
    }

    /// The Service that leads to us.
    pub fn service(&self) -> Option<&Adopted> {
        self.adopted.as_ref()?.as_ref().ok()
    }
}

/// What a start is decided by.
pub(super) struct Start<'a> {
    /// What the operator asks for.
    pub(super) wishes: &'a Wishes,
    /// The folder that the last decision is kept in; `None`: it is not kept.
    pub(super) folder: Option<PathBuf>,
    /// Sockets that there are whatever the Service says.
    pub(super) entry_points: &'a [EntryPoint],
    /// What the API server is given before the last decision counts.
    pub(super) patience: Duration,
}

impl Start<'_> {
    /// Decides, as soon as that can be done.
    pub(super) async fn decide(&self, client: &Client) -> Takeover {
        let record = self.folder.clone().map(Record::at);
        let before = record.as_ref().map(Record::read).unwrap_or_default();
        let decision = self.look(client, &before).await;
        if let Some(record) = record {
            record.write(&decision.remembered());
        }
        tell(&decision);
        let adopted = self.adopt(client, &decision).await;
        if let Some(adopted) = &adopted {
            tell_of(adopted);
        }
        Takeover { decision, adopted }
    }

    async fn look(&self, client: &Client, before: &Remembered) -> Decision {
        let deadline = Instant::now() + self.patience;
        let mut pause = seek::PAUSE;
        let mut said = false;
        loop {
            let why = match seek::pods(client, deadline).await {
                Ok(Found::Pods(running)) => {
                    let see = |product| running.get(&product).cloned().map_or(Seen::Absent, Seen::Running);
                    return self.wishes.decide(see, before);
                }
                Ok(Found::Forbidden(why)) => return self.wishes.decide(|_| Seen::Unknown(why.clone()), before),
                Err(why) => why,
            };
            if Instant::now() >= deadline {
                if let Some(decision) = self.wishes.decide_blindly(&why, before) {
                    return decision;
                }
                if !std::mem::replace(&mut said, true) {
                    let kept = self.folder.as_ref().map(|folder| format!("nothing was kept in {}", folder.display()));
                    tracing::warn!(why, kept, "waiting for the API server, to see whether another edge runs");
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(seek::LONGEST_PAUSE);
        }
    }

    async fn adopt(&self, client: &Client, decision: &Decision) -> Option<Result<Adopted, NotAdopted>> {
        if decision.observes() {
            return None;
        }
        let service = match &self.wishes.service {
            Some((namespace, name)) => seek::service(client, namespace, name).await,
            None => {
                let owned: Vec<_> = decision.owned().collect();
                seek::services(client).await.and_then(|all| adoption::choose(all, &owned))
            }
        };
        match service {
            // Nobody asked for one, and there is none: nothing to speak of.
            Err(NotAdopted::NoneFound) => None,
            found => Some(found.map(|service| adoption::adopt(&service, self.entry_points))),
        }
    }
}

fn tell(decision: &Decision) {
    for ruling in &decision.rulings {
        let (product, stance) = (ruling.product.name(), ruling.stance.as_str());
        match (ruling.refused, &ruling.seen) {
            (true, _) => tracing::error!(product, stance, why = ruling.why, "the takeover is refused"),
            (false, Seen::Running(pods)) => {
                tracing::warn!(product, stance, pods = pods.join(","), why = ruling.why, "another product runs here")
            }
            (false, Seen::Unknown(_)) if ruling.product.is_edge() => {
                tracing::warn!(product, stance, why = ruling.why, "whether another product runs is not known")
            }
            _ => tracing::debug!(product, stance, why = ruling.why, "no other product runs here"),
        }
    }
    if decision.observes() {
        tracing::warn!(
            "observing: nothing is bound, announced or written; GET /api/v1/takeover says what would be served"
        );
    }
}

fn tell_of(adopted: &Result<Adopted, NotAdopted>) {
    match adopted {
        Ok(adopted) => {
            let Adopted { namespace, name, addresses, ports, .. } = adopted;
            tracing::info!(namespace, name, ?addresses, "a Service of the product that is replaced is adopted");
            for port in ports {
                if let Err(why) = &port.leads_to {
                    tracing::warn!(
                        namespace,
                        name,
                        port = port.port,
                        port_name = port.name,
                        why,
                        "a port of the adopted Service leads nowhere"
                    );
                }
            }
        }
        Err(why) => tracing::warn!(%why, "no Service is adopted"),
    }
}
