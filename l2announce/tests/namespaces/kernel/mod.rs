//! The kernel state of announced addresses.

mod ability;
mod hand_back;
mod ownership;
mod route;
mod silence;
mod traffic;

use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc};

use postern_l2announce::{
    Purpose,
    kernel::{Applied, Kernel, Settings},
};

use crate::world::Namespace;

/// On the segment of the tests, where no host has it.
pub(super) const VIP4: &str = "10.77.0.100";
pub(super) const VIP6: &str = "fd77::100";

/// A process of ours on one node, its calls made where they would be.
pub(super) struct Process {
    pub(super) node: Arc<Namespace>,
    kernel: Option<Kernel>,
}

impl Process {
    pub(super) fn start(node: &Arc<Namespace>, directory: &Path) -> Self {
        Self::start_with(node, Settings { directory: directory.to_owned(), notrack: true })
    }

    pub(super) fn start_with(node: &Arc<Namespace>, settings: Settings) -> Self {
        let kernel = node.inside(move || Kernel::open(&settings)).expect("the state can be held");
        let process = Self { node: node.clone(), kernel: Some(kernel) };
        assert_eq!(process.kernel().abilities().lacks().count(), 0, "{:?}", process.kernel().abilities());
        process
    }

    fn kernel(&self) -> &Kernel {
        self.kernel.as_ref().expect("it runs")
    }

    /// Calls into it.
    pub(super) fn call<T: Send + 'static>(&mut self, call: impl FnOnce(&mut Kernel) -> T + Send + 'static) -> T {
        let mut kernel = self.kernel.take().expect("it runs");
        let (kernel, answer) = self.node.inside(move || {
            let answer = call(&mut kernel);
            (kernel, answer)
        });
        self.kernel = Some(kernel);
        answer
    }

    pub(super) fn serve(&mut self, addresses: &[&str]) -> Applied {
        let addresses = purposes(addresses, Purpose::Served);
        self.call(|kernel| kernel.set_addresses(addresses)).expect("the kernel does it")
    }

    pub(super) fn announce_on(&mut self, links: &[&str]) -> Applied {
        let links = links.iter().map(|name| Arc::from(*name)).collect();
        self.call(|kernel| kernel.set_links(links)).expect("the kernel does it")
    }

    pub(super) fn settle(&mut self) -> Applied {
        self.call(Kernel::settle).expect("the kernel does it")
    }

    /// Whether it was the last one.
    pub(super) fn close(mut self) -> bool {
        let kernel = self.kernel.take().expect("it runs");
        self.node.inside(move || kernel.close()).expect("it ends")
    }
}

pub(super) fn purposes(addresses: &[&str], purpose: Purpose) -> BTreeMap<IpAddr, Purpose> {
    addresses.iter().map(|address| (address.parse().expect("an address"), purpose)).collect()
}

/// Everything that we may have put into the kernel of a node.
pub(super) fn state(node: &Namespace) -> String {
    let routes = ["-4", "-6"].map(|family| node.sh(&format!("ip {family} route show table local proto 201")));
    let values = ["arp_ignore", "arp_announce"];
    let values = values.map(|name| node.sh(&format!("cat /proc/sys/net/ipv4/conf/eth0/{name}")));
    format!("{}{}{}", routes.concat(), node.sh("nft list ruleset"), values.concat())
}

/// What a node has that nothing was done to.
pub(super) const UNTOUCHED: &str = "0\n0\n";
