//! Streams between two ends in one process, over real sockets.

use postern_config::{
    model::cluster_key::{ClusterKey, ClusterKeys},
    provider::{
        InForce,
        kubernetes::peers::{Heard, Holder, View, Word},
    },
};
use tokio::time::timeout;

use super::*;

/// Only a failing test waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

fn keys(current: u8, previous: Option<u8>) -> Keys {
    let key = |byte: u8| ClusterKey::from_bytes(&[byte; 32]).expect("a key");
    Keys::Known(ClusterKeys { current: key(current), previous: previous.map(key) })
}

/// One end, with what the test moves.
struct End {
    keys: watch::Sender<Keys>,
    holder: watch::Sender<Option<Holder>>,
    heard: mpsc::Receiver<Heard>,
    news: mpsc::UnboundedSender<News>,
    status: Arc<Status>,
    task: tokio::task::JoinHandle<()>,
    _terms: watch::Sender<Option<postern_config::provider::kubernetes::Term>>,
    _view: watch::Sender<View>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn end(name: &str, with: Keys, listens: bool, holds: bool) -> End {
    let (keys, keys_seen) = watch::channel(with);
    let (holder, holder_seen) = watch::channel(None);
    let (terms, terms_seen) = watch::channel(holds.then(|| {
        postern_config::provider::kubernetes::Term::until(tokio::time::Instant::now() + Duration::from_secs(3600))
    }));
    let (view, view_seen) = watch::channel(View::default());
    let (tell, heard) = mpsc::channel(64);
    let link = Link {
        name: name.into(),
        identity: name.into(),
        terms: terms_seen,
        holder: holder_seen,
        keys: keys_seen,
        heard: tell,
        view: view_seen,
    };
    let socket = listens.then(|| Socket::open(Some([127, 0, 0, 1].into()), 0));
    let listening = socket.as_ref().and_then(Socket::address);
    let status = Arc::new(Status::new(&link, listening));
    let (news, learned) = mpsc::unbounded_channel();
    let me = Me { node: format!("node-{name}"), serves: true, epoch: 1 };
    let task = tokio::spawn(run(link, socket, me, learned, status.clone()));
    End { keys, holder, heard, news, status, task, _terms: terms, _view: view }
}

impl End {
    fn dials(&self, other: &Self) {
        let address = other.status.listening;
        self.holder.send_replace(Some(Holder { identity: other.status.name.clone(), address }));
    }

    fn is_in_force(&self) {
        let news = InForce {
            ledger: postern_config::allocation::Ledger::default(),
            store: Default::default(),
            report: Arc::default(),
            touched: Default::default(),
            announcements: Default::default(),
            tells: Vec::new(),
        };
        self.news.send(News::InForce(news)).expect("the link is there");
    }

    async fn hears(&mut self, is: impl Fn(&Word) -> bool) {
        let awaited = async {
            while let Some(heard) = self.heard.recv().await {
                if is(&heard.word) {
                    return;
                }
            }
        };
        timeout(DEADLINE, awaited).await.expect("it is said in time");
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let awaited = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, awaited).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

#[tokio::test]
async fn whoever_has_the_key_is_heard_and_says_what_is_in_force_anew_on_each_stream() {
    let mut holder = end("a", keys(1, None), true, true).await;
    let member = end("b", keys(1, None), false, false).await;
    member.dials(&holder);
    holder.hears(|word| matches!(word, Word::Joined { serves: true, .. })).await;
    member.is_in_force();
    holder.hears(|word| *word == Word::Reported).await;
    member.holder.send_replace(None);
    holder.hears(|word| *word == Word::Left).await;
    member.dials(&holder);
    holder.hears(|word| *word == Word::Reported).await;
    member.news.send(News::Unbound(Vec::new())).expect("the link is there");
    holder.hears(|word| *word == Word::Unbound(Vec::new())).await;
}

#[tokio::test]
async fn whoever_has_another_key_is_turned_away_on_both_sides() {
    let holder = end("a", keys(1, None), true, true).await;
    let member = end("b", keys(2, None), false, false).await;
    member.dials(&holder);
    until("turned away", || holder.status.refused(Refusal::Key) > 0).await;
    assert!(!member.status.is_connected());
    assert_eq!(holder.status.refused(Refusal::Greeting), 0);
}

#[tokio::test]
async fn whoever_does_not_hold_the_lease_hears_nobody() {
    let holder = end("a", keys(1, None), true, false).await;
    let member = end("b", keys(1, None), false, false).await;
    member.dials(&holder);
    until("turned away", || holder.status.refused(Refusal::Lease) > 0).await;
    assert!(!member.status.is_connected());
}

#[tokio::test]
async fn while_two_keys_are_valid_either_side_may_know_but_one() {
    for (of_holder, of_member) in [(keys(2, Some(1)), keys(1, None)), (keys(1, None), keys(2, Some(1)))] {
        let mut holder = end("a", of_holder, true, true).await;
        let member = end("b", of_member, false, false).await;
        member.is_in_force();
        member.dials(&holder);
        holder.hears(|word| *word == Word::Reported).await;
    }
}

#[tokio::test]
async fn a_rotation_keeps_the_stream_and_the_end_of_a_key_ends_it() {
    let mut holder = end("a", keys(1, None), true, true).await;
    let member = end("b", keys(1, None), false, false).await;
    member.is_in_force();
    member.dials(&holder);
    holder.hears(|word| *word == Word::Reported).await;
    holder.keys.send_replace(keys(2, Some(1)));
    member.news.send(News::Unbound(Vec::new())).expect("the link is there");
    holder.hears(|word| *word == Word::Unbound(Vec::new())).await;
    holder.keys.send_replace(keys(2, None));
    holder.hears(|word| *word == Word::Left).await;
    member.keys.send_replace(keys(2, None));
    holder.hears(|word| *word == Word::Reported).await;
}

#[tokio::test]
async fn whoever_says_nothing_is_turned_away_and_too_many_of_one_address_at_once() {
    let holder = end("a", keys(1, None), true, true).await;
    let address = holder.status.listening.expect("it listens");
    let mut mute = Vec::new();
    for _ in 0..20 {
        mute.push(tokio::net::TcpStream::connect(address).await.expect("it accepts"));
    }
    until("too many", || holder.status.refused(Refusal::Limit) >= 12).await;
    until("no greeting", || holder.status.refused(Refusal::Greeting) >= 8).await;
}
