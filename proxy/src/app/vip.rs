//! `postern vip`: who owns each virtual address, why nobody else does, and what an operator may change about it.

use std::fmt;

use serde::Deserialize;

use super::{
    GOOD, REFUSED,
    ask::{self, Whom},
    check::json,
    complain, print,
};
use crate::{
    args::{self, Output, VipCommand},
    view::vip::{HandBackView, VipView, VipsView},
};

/// What the admin server says it has begun.
#[derive(Deserialize)]
struct Done {
    done: String,
}

/// Asks; returns the exit code.
pub(super) fn run(asked: &args::Vip) -> u8 {
    let whom = Whom::of(asked.admin.as_deref(), asked.socket.as_deref());
    let change = |what: &str| {
        ask::post::<Done>(whom, &format!("/api/v1/vips/{what}")).map_or_else(
            |why| complain([why], REFUSED),
            |done| {
                print(format_args!("{}\n", done.done));
                GOOD
            },
        )
    };
    match asked.command {
        Some(VipCommand::Drain) => change("drain"),
        Some(VipCommand::Undrain) => change("undrain"),
        Some(VipCommand::Rebalance) => change("rebalance"),
        None => match ask::get::<VipsView>(whom, "/api/v1/vips") {
            Ok(view) => {
                match asked.output {
                    Output::Text => print(Text(&view)),
                    Output::Json => print(json(&view)),
                }
                GOOD
            }
            Err(why) => complain([why], REFUSED),
        },
    }
}

struct Text<'a>(&'a VipsView);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(view) = self;
        if !view.enabled {
            return f.write_str("announcing is none of this process's roles\n");
        }
        if let Some(problem) = &view.problem {
            writeln!(f, "nothing is announced from here: {problem}")?;
        }
        if view.vips.is_empty() {
            return f.write_str("there is nothing to announce\n");
        }
        writeln!(f, "node {}, {}", view.node, view.readiness)?;
        for peer in &view.peers {
            writeln!(f, "  hears {}, {}, {:.1} s ago", peer.node, peer.readiness, peer.heard_seconds_ago)?;
        }
        hand_back(f, &view.hand_back)?;
        view.vips.iter().try_for_each(|vip| one(f, vip))
    }
}

fn hand_back(f: &mut fmt::Formatter<'_>, shown: &HandBackView) -> fmt::Result {
    if let Some(why) = &shown.off {
        return writeln!(f, "  a planned move resets connections: {why}");
    }
    let HandBackView { flows, handed_back, late, failures, .. } = shown;
    writeln!(
        f,
        "  hands {flows} connections back now, {handed_back} in all; {late} lists came late, {failures} failures"
    )
}

fn one(f: &mut fmt::Formatter<'_>, vip: &VipView) -> fmt::Result {
    writeln!(f, "{} {}, of {}", vip.address, vip.purpose, vip.of.join(", "))?;
    match &vip.owner {
        Some(owner) => {
            let mac = vip.mac.as_deref().unwrap_or("an unknown address");
            writeln!(f, "  owner {owner} ({mac}) since {:.1} s, epoch {}", vip.since_seconds, vip.epoch)?;
        }
        None => writeln!(f, "  no owner since {:.1} s", vip.since_seconds)?,
    }
    writeln!(
        f,
        "  here: {}, on {}",
        vip.state,
        if vip.interfaces.is_empty() { "no interface".to_owned() } else { vip.interfaces.join(", ") }
    )?;
    for other in &vip.others {
        writeln!(f, "  not {}: {}", other.node, other.why)?;
    }
    if let Some(takeover) = &vip.takeover {
        let from = takeover.from.as_deref().unwrap_or("nobody");
        writeln!(
            f,
            "  taken over from {from} {:.1} s ago, after {:.3} s",
            takeover.seconds_ago, takeover.duration_seconds
        )?;
    }
    if let Some(conflict) = &vip.conflict {
        let node = conflict.node.as_deref().unwrap_or("no node of ours");
        writeln!(f, "  conflict with {} ({node}) {:.1} s ago", conflict.mac, conflict.seconds_ago)?;
    }
    Ok(())
}
