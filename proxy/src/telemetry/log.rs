//! The program's own log: text for people or JSON for machines, on standard error; its level can be changed while it
//! runs.

use std::{fmt, io::IsTerminal as _, sync::Arc};

use tracing_subscriber::{EnvFilter, fmt as writer, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _};

use crate::settings::{Log, LogFormat};

type Set = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// Changes what is logged. `Default` changes nothing: nobody logs.
#[derive(Clone, Default)]
pub struct LevelControl(Option<Arc<Set>>);

impl LevelControl {
    /// Takes a level or filter, as the setting `log.level` does.
    pub fn set(&self, level: &str) -> Result<(), String> {
        match &self.0 {
            Some(set) if !level.is_empty() => set(level),
            Some(_) => Err("level is missing: error, warn, info, debug or trace".to_owned()),
            None => Err("the log is not Postern's own here".to_owned()),
        }
    }
}

impl fmt::Debug for LevelControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LevelControl")
    }
}

/// `level`, with what repeats itself left out unless it is named: of trouble with a watch we speak ourselves, once.
fn quieted(level: &str) -> String {
    const REPEATS: &str = "kube_runtime";
    let is_wanted = level.contains(REPEATS) || level.eq_ignore_ascii_case("trace");
    if is_wanted { level.to_owned() } else { format!("{level},{REPEATS}=error") }
}

/// Begins to log, once per process; a second call changes nothing.
pub fn start(log: &Log) -> LevelControl {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(quieted(&log.level)));
    let registry = tracing_subscriber::registry().with(filter);
    let begun = match log.format {
        LogFormat::Text => {
            let text = writer::layer().with_writer(std::io::stderr).with_target(false);
            registry.with(text.with_ansi(std::io::stderr().is_terminal())).try_init()
        }
        LogFormat::Json => {
            let json = writer::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
            registry.with(json.with_writer(std::io::stderr)).try_init()
        }
    };
    if begun.is_err() {
        return LevelControl::default();
    }
    LevelControl(Some(Arc::new(move |level| {
        let filter = quieted(level).parse::<EnvFilter>().map_err(|error| format!("{level:?} is no filter: {error}"))?;
        handle.reload(filter).map_err(|error| error.to_string())
    })))
}
