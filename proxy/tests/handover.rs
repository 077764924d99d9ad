//! A new process takes over from an old one under load: real processes of the built binary, real sockets.

#[path = "handover/clients.rs"]
mod clients;
#[path = "handover/node.rs"]
mod node;
#[path = "handover/spoken.rs"]
mod spoken;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::fd::OwnedFd,
    time::Duration,
};

use clients::{Load, get};
use node::{Node, World};
use postern_proxy::handover::message::VERSION;
use spoken::Speaker;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

const TAKEN: &str = "taken over from the predecessor";
const REPLACED: &str = "another process has taken over";
const RESUMED: &str = "this one accepts again";

/// The whole way: the new one is ready, then the old one is told to stop.
fn replace(old: Node, new: &mut Node) {
    new.log_until(TAKEN);
    old.stop();
}

#[test]
fn no_request_is_lost_whatever_the_numbers_of_workers_are() {
    let world = World::new();
    for (from, to) in [(1, 1), (1, 4), (4, 1), (2, 4), (4, 2)] {
        let mut old = world.start(from);
        let load = Load::start(&old, world.authority());
        load.runs();
        let mut new = world.start(to);
        new.log_until(TAKEN);
        old.log_until(REPLACED);
        load.runs();
        old.stop();
        load.runs();
        let lost = load.stop();
        assert!(lost.is_empty(), "{from} to {to} workers: {lost:#?}");
        new.stop();
    }
}

#[test]
fn ten_in_a_row_lose_nothing() {
    let world = World::new();
    let mut node = world.start(2);
    let load = Load::start(&node, world.authority());
    for round in 0..10 {
        load.runs();
        let mut next = world.start(1 + round % 3);
        replace(node, &mut next);
        node = next;
    }
    load.runs();
    let lost = load.stop();
    assert!(lost.is_empty(), "{lost:#?}");
    node.stop();
}

#[test]
fn everybody_in_the_queue_is_answered() {
    let world = World::new();
    let old = world.start(4);
    let address = old.listener(80);
    let queue = || -> Vec<TcpStream> { (0..200).map(|_| TcpStream::connect(address).expect("it listens")).collect() };
    let before = queue();
    let mut new = world.start(1);
    // Nobody can know when exactly the one stops and the other begins: there are always some who wait.
    let mut during = Vec::new();
    while !new.said(TAKEN) {
        during.push(TcpStream::connect(address).expect("it listens"));
    }
    let after = queue();
    for mut waiting in before.into_iter().chain(during).chain(after) {
        waiting.set_read_timeout(Some(PATIENCE)).expect("a live socket");
        waiting.write_all(&clients::request("close")).expect("it is connected");
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).expect("no reset");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    old.stop();
    new.stop();
}

#[test]
fn a_successor_that_dies_costs_nothing() {
    let world = World::new();
    let mut old = world.start(2);
    let load = Load::start(&old, world.authority());
    // At each step of the conversation that a successor can die at.
    for stage in ["connected", "greeted", "half offered", "offered"] {
        let speaker = Speaker::connect(&world.meeting());
        let held = match stage {
            "connected" => Vec::new(),
            "greeted" => speaker.hello(VERSION, 8).then_nothing(),
            "half offered" => speaker.hello(VERSION, 8).some_offers(1),
            _ => speaker.hello(VERSION, 8).all_offers(),
        };
        load.runs();
        drop((speaker, held));
        old.log_until(if stage == "connected" { "refused to hand over" } else { "this one goes on" });
        load.runs();
    }
    // It has taken over, and accepts nothing.
    let speaker = Speaker::connect(&world.meeting());
    let held = speaker.hello(VERSION, 8).all_offers();
    speaker.take();
    old.log_until(REPLACED);
    drop((speaker, held));
    old.log_until(RESUMED);
    load.runs();
    // The next one is served as if nothing had been.
    let mut new = world.start(2);
    replace(old, &mut new);
    load.runs();
    let lost = load.stop();
    assert!(lost.is_empty(), "{lost:#?}");
    new.stop();
}

#[test]
fn the_old_one_accepts_again_when_the_new_one_is_killed() {
    let world = World::new();
    let mut old = world.start(1);
    let (address, admin) = (old.listener(80), old.admin());
    let mut new = world.start(4);
    new.log_until(TAKEN);
    old.log_until(REPLACED);
    new.kill();
    old.log_until(RESUMED);
    // Without a new one: connections that it had accepted died with it, others do not notice.
    for _ in 0..50 {
        assert_eq!(get(address), 200);
    }
    assert!(clients::admin(admin, "/metrics").contains("postern_handovers_total{outcome=\"resumed\"} 1"));
    let mut next = world.start(2);
    replace(old, &mut next);
    assert_eq!(get(address), 200);
    next.stop();
}

#[test]
fn operators_are_answered_by_the_process_that_accepts() {
    let world = World::new();
    let [admin, metrics] = [(); 2].map(|()| format!("127.0.0.1:{}", spoken::free_port()));
    let start = || {
        let mut node = world.spawn(1, &[("admin", &admin), ("metrics", &metrics)]);
        node.started();
        node
    };
    let mut old = start();
    let new = start();
    assert_eq!(old.admin(), new.admin());
    for address in [new.admin(), metrics.parse().expect("an address")] {
        let counts = clients::admin(address, "/metrics");
        assert!(counts.contains("postern_handovers_total{outcome=\"taken\"} 1"), "{address}: {counts}");
    }
    assert_eq!(clients::admin(new.admin(), "/readyz"), "ready\n");
    let address = new.listener(80);
    drop(new);
    old.log_until(RESUMED);
    let admin = old.admin();
    spoken::until(|| clients::admin(admin, "/metrics").contains("{outcome=\"resumed\"} 1"));
    assert_eq!(get(address), 200);
    old.stop();
}

#[test]
fn the_old_one_accepts_again_before_a_new_one_that_is_called_off_stops() {
    let world = World::new();
    let mut old = world.start(2);
    let load = Load::start(&old, world.authority());
    let mut new = world.start(4);
    new.log_until(TAKEN);
    load.runs();
    new.stop();
    old.log_until(RESUMED);
    load.runs();
    let lost = load.stop();
    assert!(lost.is_empty(), "{lost:#?}");
    old.stop();
}

#[test]
fn the_new_one_goes_on_with_what_it_has_when_the_old_one_is_killed() {
    let world = World::new();
    // One that offers and dies before it stops accepting.
    let door = Speaker::listen(&world.meeting());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let waiting = TcpStream::connect(address).expect("it listens");
    let mut new = world.spawn(1, &[]);
    let speaker = door.accept();
    speaker.reads_hello();
    speaker.offers(80, &OwnedFd::from(listener));
    speaker.completes();
    speaker.reads_take();
    drop((speaker, door));
    new.started();
    assert_eq!(new.listener(80), address, "{}", new.log());
    assert_eq!(clients::finish(waiting), 200);
    // One that is killed after it was replaced.
    let mut next = world.start(2);
    next.log_until(TAKEN);
    new.kill();
    next.log_until("the predecessor has left");
    assert_eq!(get(address), 200);
    next.stop();
}

#[test]
fn who_speaks_another_version_listens_beside_the_old_one_until_that_has_closed() {
    let world = World::new();
    // A port that is known can be had again.
    let port = spoken::free_port().to_string();
    let mut old = world.spawn(2, &[("80", &port)]);
    old.started();
    let address = old.listener(80);
    let speaker = Speaker::connect(&world.meeting());
    speaker.hello(99, 1).is_refused();
    // Joins the group as the other version would, and asks for the rest.
    let beside = spoken::bind_beside(address);
    speaker.vacates(99);
    old.log_until(REPLACED);
    assert!(spoken::accepts_all(&beside, address, 20), "nothing goes to the old one any more");
    drop((speaker, beside));
    old.log_until(RESUMED);
    spoken::until(|| TcpStream::connect(address).is_ok());
    assert_eq!(get(address), 200);
    old.stop();
}

#[test]
fn a_new_one_listens_beside_a_predecessor_of_another_version() {
    let world = World::new();
    let door = Speaker::listen(&world.meeting());
    let theirs = spoken::bind_beside("127.0.0.1:0".parse().expect("an address"));
    let address = theirs.local_addr().expect("bound");
    let mut new = world.spawn(1, &[("80", &address.port().to_string())]);
    let speaker = door.accept();
    speaker.reads_hello();
    speaker.refuses(99);
    speaker.reads_vacate();
    drop(theirs);
    new.started();
    assert_eq!(new.listener(80), address);
    assert_eq!(get(address), 200);
    drop((speaker, door));
    new.stop();
}

#[test]
fn garbage_harms_nothing() {
    let world = World::new();
    let old = world.start(1);
    let address = old.listener(80);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], b"postern\n", b"postern\n\0\x01\x06\0\0", b"p"] {
        let speaker = Speaker::connect(&world.meeting());
        speaker.sends(garbage);
        assert!(speaker.is_closed());
    }
    // Good until the middle.
    let speaker = Speaker::connect(&world.meeting());
    drop(speaker.hello(VERSION, 1024).all_offers());
    speaker.sends(b"postern\n\0\x01\xff");
    assert!(speaker.is_closed());
    assert_eq!(get(address), 200);
    let mut new = world.start(1);
    replace(old, &mut new);
    assert_eq!(get(address), 200);
    new.stop();
}

#[test]
fn nobody_but_the_same_user_is_served() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT SHOWN: only root can be two users");
        return;
    }
    let world = World::new();
    let mut old = world.start_as(65534, 1);
    // Root may connect wherever it likes, and is not who runs this Postern.
    let speaker = Speaker::connect(&world.meeting());
    assert!(speaker.is_closed());
    old.log_until("only our own, 65534, may be");
    assert!(clients::admin(old.admin(), "/metrics").contains("postern_handovers_total{outcome=\"stranger\"} 1"));
    assert_eq!(get(old.listener(80)), 200);
    old.stop();
}

#[test]
fn one_that_is_told_to_leave_ends_by_itself() {
    let world = World::new();
    let mut old = world.spawn(1, &[("leave", "true")]);
    old.started();
    let load = Load::start(&old, world.authority());
    load.runs();
    let mut new = world.start(1);
    new.log_until(TAKEN);
    assert_eq!(old.ends(), Some(0));
    new.log_until("the predecessor has left");
    load.runs();
    let lost = load.stop();
    assert!(lost.is_empty(), "{lost:#?}");
    new.stop();
}

#[test]
fn of_three_only_the_last_accepts_and_the_second_takes_back() {
    let world = World::new();
    let mut first = world.start(2);
    let address = first.listener(80);
    let mut second = world.start(2);
    second.log_until(TAKEN);
    let mut third = world.start(2);
    third.log_until(TAKEN);
    first.log_until("was itself replaced");
    third.kill();
    second.log_until(RESUMED);
    assert_eq!(get(address), 200);
    first.stop();
    assert_eq!(get(address), 200);
    second.stop();
}

#[test]
fn what_the_new_one_does_not_serve_is_closed_and_what_it_serves_besides_is_bound() {
    let world = World::new();
    let mut old = world.spawn(1, &[("entry", "{only-old: {port: 8001}, both: {port: 80}}")]);
    old.started();
    let gone = old.listener(8001);
    let mut waiting = TcpStream::connect(gone).expect("it listens");
    let mut new = world.spawn(1, &[("entry", "{only-new: {port: 8002}, both: {port: 80}}")]);
    new.started();
    old.log_until(REPLACED);
    assert_eq!(new.listener(80), old.listener(80));
    assert_eq!(get(new.listener(8002)), 200);
    // Who had come is answered; then nobody listens.
    waiting.write_all(&clients::request("close")).expect("it is connected");
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("no reset");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    spoken::until(|| TcpStream::connect(gone).is_err());
    old.stop();
    new.stop();
}

#[test]
fn without_the_setting_a_second_process_finds_the_ports_taken() {
    let world = World::new();
    let old = world.spawn_without(1, &[]);
    let mut old = old;
    old.started();
    let address = old.listener(80);
    let mut new = world.spawn_without(1, &[("80", &address.port().to_string())]);
    new.log_until("cannot listen on");
    assert!(!world.meeting().exists());
    new.kill();
    assert_eq!(get(address), 200);
    old.stop();
}
