//! What must not be announced isn't, and the reason is what an operator needs.

use std::time::{Duration, Instant};

use crate::{
    client,
    segment::{eventually, pass},
    world::{VIP, World, manifests},
};

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn an_address_that_somebody_else_has_is_not_announced_and_whose_it_is_is_said() {
    let Some(mut world) = World::prepare(&manifests(&[VIP])) else { return };
    let stranger = world.segment.host("stranger", 50);
    stranger.ip(&format!("addr add {VIP}/32 dev lan0"));
    let heard = client::arping(&world.client, VIP);
    let start = Instant::now();
    world.nodes.iter_mut().for_each(crate::node::Node::start);
    for node in &world.nodes {
        eventually("the stranger is named", || {
            let said = node.command(&["vip"]);
            if said.contains(&stranger.mac.to_string()) { Ok(()) } else { Err(said) }
        });
    }
    println!("an address in use is shown as:\n{}", world.nodes[0].command(&["vip"]));
    pass(Duration::from_secs(5));
    assert_eq!(heard.stop().answering(start, Instant::now()), [stranger.mac]);
    stranger.ip(&format!("addr del {VIP}/32 dev lan0"));
    let freed = Instant::now();
    let owner = world.owner();
    println!("once it was free, somebody owned it after {:?}", freed.elapsed());
    assert_eq!(world.answering(), [world.nodes[owner].host.mac]);
}

#[test]
#[ignore = "minutes of real failures: cargo xtask vip"]
fn a_node_that_lacks_a_capability_owns_nothing_and_names_it() {
    let Some(mut world) = World::prepare(&manifests(&[VIP])) else { return };
    let cases = [(0, "net_raw", "CAP_NET_RAW"), (1, "net_admin", "CAP_NET_ADMIN")];
    for (node, taken, _) in cases {
        world.nodes[node].through = ["setpriv", "--bounding-set", &format!("-{taken}")].map(str::to_owned).into();
    }
    world.nodes[0].start();
    world.nodes[1].start();
    for (node, _, name) in cases {
        let said = eventually("the capability is named", || {
            let said = world.nodes[node].command(&["vip"]);
            if said.contains(name) { Ok(said) } else { Err(said) }
        });
        println!("without {name}:\n{said}");
    }
    world.nodes[2].start();
    let owner = eventually("the whole node owns it", || world.nodes[2].owners());
    assert_eq!(owner, [world.nodes[2].name.clone()]);
    world.is_served();
    assert_eq!(world.answering(), [world.nodes[2].host.mac]);
    for (node, ..) in cases {
        world.nodes[node].get("/healthz").expect("it lives");
    }
}
