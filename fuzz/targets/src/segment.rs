//! A segment on which a frame is heard by a node that announces one address of each family and probes for another.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use postern_l2announce::{
    Moment,
    responder::{Announce, ProbeSchedule, Responder, Settings},
    wire::{Frame, MacAddr},
};

/// To all, from a client.
pub(crate) const HEADER: [u8; 12] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0xc1];
const MAC: MacAddr = MacAddr(2, 0, 0, 0, 0, 1);
const NOW: Moment = Moment::new(Duration::from_secs(1));

/// Hears a frame: what is read is written as it was meant, and what is sent can be read.
pub(crate) fn hear(bytes: &[u8]) {
    if let Ok(frame) = Frame::parse(bytes) {
        assert_eq!(Frame::parse(&frame.encode()), Ok(frame), "what is written is read as it was meant");
    }
    let mut responder = responder();
    let heard = responder.receive(NOW, bytes);
    let mut answers = 0;
    while let Some(answer) = responder.next_frame(NOW) {
        let frame = Frame::parse(&answer).expect("what is sent can be read");
        assert_eq!(frame.source, MAC, "it is sent by this station");
        answers += 1;
    }
    assert!(answers <= usize::from(heard.is_ok()), "a frame has one answer at most, an unfit one none");
    let events = std::iter::from_fn(|| responder.next_event()).count();
    assert!(events <= 2 * usize::from(heard.is_ok()), "a frame is a conflict and the end of a probe at most");
}

fn responder() -> Responder {
    let mut responder = Responder::new(MAC, &Settings::default());
    responder.set_up(NOW, true);
    for address in [IpAddr::from(Ipv4Addr::new(192, 0, 2, 10)), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 10).into()]
    {
        responder.announce(NOW, address, Announce { burst: false, refresh: None, counters: Arc::default() });
    }
    for address in [IpAddr::from(Ipv4Addr::new(192, 0, 2, 11)), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 11).into()]
    {
        responder.probe(NOW, address, ProbeSchedule::full([0.0; 3]));
    }
    while responder.next_frame(NOW).is_some() {}
    responder
}
