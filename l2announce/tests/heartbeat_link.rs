//! Heartbeats between two network namespaces with a veth pair between them. Needs root; says so where it is not.

use std::{
    process::{self, Command},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::gettid,
};
use postern_l2announce::{
    Moment,
    heartbeat::socket::{LinkSocket, OpenError, PORT, Place},
};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn is_allowed() -> bool {
    let allowed = nix::unistd::geteuid().is_root();
    if !allowed {
        assert!(std::env::var_os("CI").is_none(), "this test needs root, which CI must give it");
        println!("NOT RUN: network namespaces need root");
    }
    allowed
}

fn place(name: &str, v4: bool, v6: bool, is_wireless: bool) -> Place {
    let link = nix::net::if_::if_nametoindex(name).expect("it is there");
    Place { link, name: name.into(), v4, v6, is_wireless }
}

fn set_up(name: &str, host: u8, v4: bool, v6: bool) {
    if v6 {
        ip(&format!("address add fe80::{host}/64 dev {name} nodad"));
    }
    ip(&format!("link set {name} addrgenmode none"));
    if v4 {
        ip(&format!("address add 10.9.9.{host}/24 dev {name}"));
    }
    ip(&format!("link set {name} up"));
}

fn on_runtime<T>(act: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(DEADLINE, act).await.expect("within the deadline") })
}

/// One end speaks until the other says that it has heard it `times` times.
fn pair(v4: bool, v6: bool, is_wireless: bool) {
    let (far_thread, far_tid) = mpsc::channel();
    let (is_up, up) = mpsc::channel();
    let (heard, is_heard) = mpsc::channel();
    let name = format!("hb{}", process::id() % 1_000_000);
    let far_name = format!("{name}f");
    let far = {
        let far_name = far_name.clone();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            far_thread.send(gettid()).expect("it is waited for");
            up.recv().expect("the pair is made");
            set_up(&far_name, 2, v4, v6);
            on_runtime(async {
                let socket = LinkSocket::open(place(&far_name, v4, v6, is_wireless), PORT).expect("a socket");
                let mut families = (!v4, !v6);
                while families != (true, true) {
                    let (bytes, sender) = socket.receive().await.expect("it hears");
                    assert_eq!(bytes, b"beat");
                    families = (families.0 || sender.is_ipv4(), families.1 || sender.is_ipv6());
                }
            });
            heard.send(()).expect("it is waited for");
        })
    };
    let near = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        let tid = far_tid.recv().expect("the other end is there");
        ip(&format!("link add {name} type veth peer name {far_name} netns {tid}"));
        is_up.send(()).expect("it is waited for");
        set_up(&name, 1, v4, v6);
        on_runtime(async {
            let mut socket = LinkSocket::open(place(&name, v4, v6, is_wireless), PORT).expect("a socket");
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while is_heard.try_recv().is_err() {
                ticks.tick().await;
                // Until both ends are up there is nobody to send to.
                let _lost = socket.send(Moment::default(), &[b"beat".to_vec()]);
            }
        });
    });
    near.join().expect("the near end");
    far.join().expect("the far end");
}

#[test]
fn peers_find_each_other_by_either_family_alone_and_by_both() {
    if is_allowed() {
        [(true, false), (false, true), (true, true)].into_iter().for_each(|(v4, v6)| pair(v4, v6, false));
        pair(true, true, true);
    }
}

#[test]
fn a_link_without_addresses_and_a_port_in_use_are_named() {
    if !is_allowed() {
        return;
    }
    thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        ip("link set lo up");
        on_runtime(async {
            let refused = LinkSocket::open(place("lo", false, false, false), PORT);
            assert!(matches!(refused, Err(OpenError::Addressless(_))), "{refused:?}");
            let _other = std::net::UdpSocket::bind(("0.0.0.0", PORT)).expect("free in a namespace of its own");
            let refused = LinkSocket::open(place("lo", true, false, false), PORT);
            assert!(matches!(refused, Err(OpenError::InUse { port: PORT, .. })), "{refused:?}");
        });
    })
    .join()
    .expect("in its namespace");
}
