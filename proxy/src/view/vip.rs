//! Virtual addresses for people: who owns each, and why nobody else does.

use std::{net::IpAddr, time::Duration};

use postern_config::snapshot::{Announcement, Snapshot};
use postern_l2announce::{
    Moment, Purpose,
    agent::{HandBack, Shown, ShownAddress},
    heartbeat::Readiness,
};
use serde::{Deserialize, Serialize};

use crate::announce::Vips;

/// Everything that should be announced, as this node sees it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VipsView {
    /// Whether announcing is one of this process's roles.
    pub enabled: bool,
    /// This node.
    pub node: String,
    /// Whether it takes part.
    pub readiness: String,
    /// Why nothing is announced from here at all, if nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Other nodes that are heard.
    pub peers: Vec<PeerView>,
    /// How connections go on that an address leaves behind when it moves here.
    pub hand_back: HandBackView,
    /// The addresses.
    pub vips: Vec<VipView>,
}

/// Connections that go on at the node that had their address before.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HandBackView {
    /// Why they don't, if they don't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off: Option<String>,
    /// Those whose packets are sent on now.
    pub flows: usize,
    /// Those that were handed back when an address was taken.
    pub handed_back: u64,
    /// How often a node had not told all of its own in time.
    pub late: u64,
    /// How often the kernel refused something.
    pub failures: u64,
}

/// Another node.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerView {
    /// Its name.
    pub node: String,
    /// Whether it takes part.
    pub readiness: String,
    /// When it was heard last.
    pub heard_seconds_ago: f64,
}

/// One address.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VipView {
    /// Which.
    pub address: String,
    /// `served` by Postern, or `foreign`.
    pub purpose: String,
    /// Whose it is.
    pub of: Vec<String>,
    /// The node that answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What that node answers with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Of its ownership.
    pub epoch: u64,
    /// What this node does about it.
    pub state: String,
    /// Since when the owner is that, or since when there is none.
    pub since_seconds: f64,
    /// Interfaces of this node that it may be announced on.
    pub interfaces: Vec<String>,
    /// Why each other candidate doesn't own it.
    pub others: Vec<OtherView>,
    /// How this node came to own it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover: Option<TakeoverView>,
    /// When two answered for it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<ConflictView>,
}

/// A node that doesn't own the address.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OtherView {
    /// Which.
    pub node: String,
    /// Why not.
    pub why: String,
}

/// A take-over.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TakeoverView {
    /// How long ago.
    pub seconds_ago: f64,
    /// How long nobody was known to answer.
    pub duration_seconds: f64,
    /// Who owned it before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A conflict.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConflictView {
    /// How long ago it was seen last.
    pub seconds_ago: f64,
    /// Who else answers.
    pub mac: String,
    /// Which node that is, where it is one of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// What is shown of `vips`, whose addresses `snapshot` says more of.
pub fn vips(vips: &Vips, snapshot: &Snapshot) -> VipsView {
    let shown = vips.shown();
    let peer = |(node, peer): (&_, &postern_l2announce::agent::Peer)| PeerView {
        node: ToString::to_string(node),
        readiness: readiness(peer.readiness).to_owned(),
        heard_seconds_ago: ago(&shown, peer.heard),
    };
    let vip = |(address, announcement): (&IpAddr, &std::sync::Arc<Announcement>)| {
        vip(&shown, *address, announcement, shown.addresses.get(address))
    };
    VipsView {
        enabled: vips.enabled,
        node: shown.node.to_string(),
        readiness: readiness(shown.readiness).to_owned(),
        problem: shown.problem.as_ref().map(ToString::to_string),
        peers: shown.peers.iter().map(peer).collect(),
        hand_back: hand_back(&shown.hand_back),
        vips: snapshot.announcements.iter().map(vip).collect(),
    }
}

fn hand_back(shown: &HandBack) -> HandBackView {
    let HandBack { off, flows, handed_back, late, failures } = shown;
    let (off, flows, handed_back, late, failures) =
        (off.as_ref().map(ToString::to_string), *flows, *handed_back, *late, *failures);
    HandBackView { off, flows, handed_back, late, failures }
}

/// Addresses that should be announced, by what has become of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Those that should be announced.
    pub wanted: usize,
    /// Those that some node answers for.
    pub owned: usize,
    /// Those that this node answers for.
    pub here: usize,
}

/// Counts what [`vips`] shows.
pub fn tally(vips: &Vips, snapshot: &Snapshot) -> Tally {
    let shown = vips.shown();
    let owners: Vec<_> =
        snapshot.announcements.keys().filter_map(|address| shown.addresses.get(address)?.view.owner.as_ref()).collect();
    let here = owners.iter().filter(|owner| ***owner == shown.node).count();
    Tally { wanted: snapshot.announcements.len(), owned: owners.len(), here }
}

fn vip(shown: &Shown, address: IpAddr, announcement: &Announcement, known: Option<&ShownAddress>) -> VipView {
    let mut view = VipView {
        address: address.to_string(),
        of: announcement.of.iter().map(ToString::to_string).collect(),
        state: "not announced by this process".to_owned(),
        ..VipView::default()
    };
    let Some(known) = known else { return view };
    let it = &known.view;
    view.purpose = purpose(known.purpose).to_owned();
    view.owner = it.owner.as_ref().map(ToString::to_string);
    view.mac = it.mac.map(|mac| mac.to_string());
    (view.epoch, view.state, view.since_seconds) = (it.epoch, it.state.to_string(), ago(shown, it.since));
    view.interfaces = known.links.iter().map(ToString::to_string).collect();
    let other = |(node, why): (&_, &postern_l2announce::election::WhyNot)| OtherView {
        node: ToString::to_string(node),
        why: why.to_string(),
    };
    view.others = it.others.iter().map(other).collect();
    view.takeover = it.takeover.as_ref().map(|takeover| TakeoverView {
        seconds_ago: ago(shown, takeover.at),
        duration_seconds: takeover.duration.as_secs_f64(),
        from: takeover.from.as_ref().map(ToString::to_string),
    });
    view.conflict = it.conflict.as_ref().map(|conflict| ConflictView {
        seconds_ago: ago(shown, conflict.at),
        mac: conflict.mac.to_string(),
        node: conflict.node.as_ref().map(ToString::to_string),
    });
    view
}

fn ago(shown: &Shown, moment: Moment) -> f64 {
    Duration::from_millis(u64::try_from(shown.ago(moment).as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}

const fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Served => "served",
        Purpose::Foreign => "foreign",
    }
}

const fn readiness(readiness: Readiness) -> &'static str {
    match readiness {
        Readiness::Ready => "ready",
        Readiness::Draining => "draining",
        Readiness::Excluded => "excluded",
        Readiness::Leaving => "leaving",
    }
}
