//! One file per question. Each prints its table and returns the same as JSON.

mod balance_h2;
mod live_changes;
mod memory;
mod propagation;
mod request_cost;
mod route_lookup;
mod user_space;
mod vip;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

pub(crate) use route_lookup::look_up;

use crate::{
    backend::Backend,
    contender::{Kind, Setting},
    load::Trust,
    manifests::Identity,
    measure::pin,
    result::{Context, Error, Result},
};

/// Flags of `compare`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Questions; all when none is named.
    questions: Vec<String>,
    /// Interleaved rounds.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Seconds of load per contender and round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Requests a second in place of the question's own rate; 0 is a closed loop.
    #[arg(long)]
    rate: Option<f64>,
    /// Who takes part; all when not given.
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<Kind>,
    /// Postern's binary.
    #[arg(long)]
    postern: PathBuf,
    /// The pingora peer's binary.
    #[arg(long, default_value = "target/peers/pingora/release/pingora-peer")]
    pingora: PathBuf,
    /// Folder with etcd, kube-apiserver and kubectl; without it nothing is asked of a cluster.
    #[arg(long)]
    kube_bin: Option<PathBuf>,
    /// Where JSON goes.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

/// One question.
struct Question {
    name: &'static str,
    about: &'static str,
    answer: fn(&Bench<'_>) -> Result<Value>,
}

static QUESTIONS: &[Question] = &[
    Question {
        name: "h1-plain",
        about: "HTTP/1.1 keep-alive, 100 bytes: CPU per request",
        answer: request_cost::h1_plain,
    },
    Question { name: "h1-tls", about: "the same over TLS 1.3", answer: request_cost::h1_tls },
    Question { name: "h2-tls", about: "HTTP/2 over TLS 1.3, 100 bytes", answer: request_cost::h2_tls },
    Question {
        name: "tls-handshake",
        about: "full TLS 1.3 handshake (P-256) and one request",
        answer: request_cost::tls_handshake,
    },
    Question { name: "body-1mib", about: "1 MiB bodies, plain: CPU per request", answer: request_cost::body_plain },
    Question { name: "body-1mib-tls", about: "1 MiB bodies over TLS 1.3", answer: request_cost::body_tls },
    Question {
        name: "routes-10k",
        about: "instructions and allocations per request, 1 and 10,000 routes",
        answer: user_space::routes,
    },
    Question {
        name: "middlewares",
        about: "the same with allow-list, headers and rate limit",
        answer: user_space::middlewares,
    },
    Question { name: "route-lookup", about: "one look-up among 1 to 100,000 routes", answer: route_lookup::answer },
    Question {
        name: "propagation",
        about: "file written to first request served, 10,000 routes, under load",
        answer: propagation::answer,
    },
    Question {
        name: "propagation-api",
        about: "the same from a real API server, from its response on",
        answer: propagation::answer_api,
    },
    Question { name: "live-changes", about: "errors during 1,000 changes under load", answer: live_changes::answer },
    Question {
        name: "memory",
        about: "resident memory: idle, 5,000 routes, idle TLS connections",
        answer: memory::answer,
    },
    Question { name: "balance-h2", about: "8 HTTP/2 connections over 4 workers", answer: balance_h2::answer },
    Question {
        name: "vip-crash",
        about: "the owner of a virtual address is cut off: how long its clients wait (root)",
        answer: vip::crash,
    },
    Question {
        name: "vip-move",
        about: "the owner of a virtual address is told to stop: how long its clients wait, and what breaks (root)",
        answer: vip::planned_move,
    },
];

/// What every question has at hand.
struct Bench<'a> {
    options: &'a Options,
    backend: Backend,
    identity: Identity,
    folder: PathBuf,
}

/// Answers the questions that were asked.
pub(crate) fn answer(options: &Options) -> Result<()> {
    pin::this_thread(pin::load());
    let asked = choose(&options.questions)?;
    std::fs::create_dir_all(&options.out).context(options.out.display().to_string())?;
    let mut failed = Vec::new();
    for question in asked {
        println!("\n{}: {}", question.name, question.about);
        if let Err(error) = answer_one(question, options) {
            println!("  no answer: {error}");
            failed.push(question.name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Error::Unexpected(format!("without an answer: {}", failed.join(", ")))) }
}

fn choose(names: &[String]) -> Result<Vec<&'static Question>> {
    if let Some(unknown) = names.iter().find(|name| QUESTIONS.iter().all(|question| question.name != **name)) {
        let known: Vec<&str> = QUESTIONS.iter().map(|question| question.name).collect();
        return Err(Error::Unexpected(format!("no question `{unknown}`; there are: {}", known.join(", "))));
    }
    let asked = |question: &&Question| names.is_empty() || names.iter().any(|name| name == question.name);
    Ok(QUESTIONS.iter().filter(asked).collect())
}

fn answer_one(question: &Question, options: &Options) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("postern-bench-").tempdir().context("making a folder")?;
    let bench = Bench {
        options,
        backend: Backend::start(pin::load())?,
        identity: Identity::new()?,
        folder: folder.path().to_owned(),
    };
    let answer = (question.answer)(&bench).inspect_err(|_| {
        // The logs of what failed are worth more than a tidy temporary folder.
        eprintln!("  logs: {}", folder.path().display());
    });
    let value = match answer {
        Ok(value) => value,
        Err(error) => {
            let _ = folder.keep();
            return Err(error);
        }
    };
    let path = options.out.join(format!("{}.json", question.name));
    let text = format!("{value:#}\n");
    std::fs::write(&path, text).context(path.display().to_string())
}

impl Bench<'_> {
    fn setting(&self) -> Setting<'_> {
        Setting {
            backend: self.backend.address,
            folder: self.folder(),
            identity: &self.identity,
            postern: &self.options.postern,
            pingora: &self.options.pingora,
        }
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn trust(&self) -> Result<Trust> {
        self.identity.trust()
    }

    fn rate(&self, own: f64) -> f64 {
        self.options.rate.unwrap_or(own)
    }

    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.options.seconds)
    }
}
