//! The work from which the compiler learns which paths of Postern are hot: `cargo xtask dist` runs it against a binary
//! with counters, and the shipped one is optimised for what they say.
//!
//! Broader than the questions, so that no feature in daily use is taken for dead code, and counted in requests, so
//! that a slow machine teaches the same as a fast one. It measures nothing.

use std::path::Path;

use crate::{
    backend::{self, Backend},
    contender::{Contender, Postern, Setting},
    load::{Limit, Load, Protocol, Trust},
    manifests::{self, HOST, Identity, World},
    measure::pin,
    result::{Context, Error, Result},
};

/// Routes beside the one under load, so that tables have their usual depth.
const ROUTES: usize = 1_000;
const CHANGES: usize = 100;

/// Requests of one kind.
struct Lesson {
    protocol: Protocol,
    path: &'static str,
    upload: usize,
    connections: usize,
    streams: usize,
    requests: u64,
}

const LESSON: Lesson =
    Lesson { protocol: Protocol::H1, path: "/", upload: 0, connections: 16, streams: 1, requests: 40_000 };

static LESSONS: &[Lesson] = &[
    LESSON,
    Lesson { protocol: Protocol::H1Tls, ..LESSON },
    Lesson { protocol: Protocol::H2Tls, connections: 4, streams: 8, ..LESSON },
    Lesson { upload: 2_000, requests: 10_000, ..LESSON },
    Lesson { protocol: Protocol::H1Tls, upload: 2_000, requests: 10_000, ..LESSON },
    Lesson { protocol: Protocol::H2Tls, upload: 2_000, connections: 4, streams: 8, requests: 10_000, ..LESSON },
    Lesson { path: "/1m", requests: 500, ..LESSON },
    Lesson { protocol: Protocol::H1Tls, path: "/1m", requests: 300, ..LESSON },
    Lesson { protocol: Protocol::H2Tls, path: "/1m", requests: 300, connections: 4, ..LESSON },
    Lesson { protocol: Protocol::H1Tls, upload: backend::LARGE, requests: 300, connections: 4, ..LESSON },
    Lesson { protocol: Protocol::New, requests: 2_000, connections: 4, ..LESSON },
    Lesson { protocol: Protocol::NewTls, requests: 1_000, connections: 4, ..LESSON },
];

/// All of it, without and with middlewares.
pub(crate) fn run(postern: &Path) -> Result<()> {
    pin::this_thread(pin::load());
    let folder = tempfile::Builder::new().prefix("postern-training-").tempdir().context("making a folder")?;
    let backend = Backend::start(pin::load())?;
    let identity = Identity::new()?;
    let setting = Setting {
        backend: backend.address,
        folder: folder.path(),
        identity: &identity,
        postern,
        pingora: Path::new(""),
    };
    let world = || World::new(backend.address).routes(ROUTES);
    for (name, world) in [("plain", world()), ("middlewares", world().middlewares())] {
        let postern = Postern::with(&setting, name, world)?;
        let manifests = postern.manifests().to_owned();
        let contender = postern.start()?;
        let trust = identity.trust()?;
        LESSONS.iter().try_for_each(|lesson| lesson.give(&contender, &trust))?;
        change_routes(&manifests, &contender)?;
        contender.terminate();
    }
    Ok(())
}

impl Lesson {
    fn give(&self, contender: &Contender, trust: &Trust) -> Result<()> {
        let load = Load {
            target: if self.protocol.is_tls() { contender.tls } else { contender.plain },
            host: HOST.to_owned(),
            path: self.path.to_owned(),
            upload: self.upload,
            protocol: self.protocol,
            trust: trust.clone(),
            connections: self.connections,
            streams: self.streams,
            rate: 0.0,
        };
        let (outcome, (), ()) = load.run(Limit::Requests(self.requests), || ())?;
        match outcome.complaints.first() {
            Some(complaint) => Err(Error::Unexpected(format!("{:?}{}: {complaint}", self.protocol, self.path))),
            None => Ok(()),
        }
    }
}

fn change_routes(folder: &Path, contender: &Contender) -> Result<()> {
    let load = Load::plain(contender.plain, HOST, 2_000.0);
    for number in 0..CHANGES {
        let ingress = manifests::ingress(&format!("new-{number}"), &format!("new-{number}.example.com"), "");
        manifests::replace(&folder.join(format!("new-{}.yaml", number % 8)), &ingress)?;
        load.run(Limit::Requests(50), || ())?;
    }
    Ok(())
}
