//! Counts since start for people who look: the few numbers from which a page makes a rate.

use serde::Serialize;

use super::{CodeClass, EntryPointCell, Metrics, Protocol, cell::Counter};

/// What went through one entry point since start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The entry point.
    pub entry_point: String,
    /// Requests.
    pub requests: u64,
    /// Those answered with 5xx.
    pub server_errors: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// Connections that are open.
    pub open: u64,
}

impl Metrics {
    /// All entry points by name; those that share a series are the last.
    pub fn traffic(&self) -> Vec<Traffic> {
        let names = self.entry_point_names().into_iter();
        names
            .map(|(index, name)| {
                let zero = Traffic { entry_point: name.to_string(), ..Traffic::default() };
                self.shards.iter().fold(zero, |sum, shard| add(sum, shard.entry_point(index)))
            })
            .filter(|traffic| traffic.entry_point != "other" || traffic.requests > 0)
            .collect()
    }
}

fn add(mut sum: Traffic, cell: &EntryPointCell) -> Traffic {
    let all = |counters: &[Counter]| counters.iter().map(Counter::value).sum::<u64>();
    for protocol in Protocol::ALL {
        let Some(row) = cell.requests.get(*protocol as usize) else { continue };
        sum.requests += all(row);
        sum.server_errors += row.get(CodeClass::ServerError as usize).map_or(0, Counter::value);
    }
    sum.bytes_in += cell.bytes_in.value();
    sum.bytes_out += cell.bytes_out.value();
    // The two are read one after the other, so a connection may be seen closed that was not seen opened.
    sum.open += all(&cell.opened).saturating_sub(all(&cell.closed));
    sum
}
