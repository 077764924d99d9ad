//! Golden bytes of every kind of frame, and every reason for which one is unfit.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const OURS: MacAddr = MacAddr(0x02, 0, 0, 0, 0, 0x01);
const CLIENT: MacAddr = MacAddr(0x02, 0, 0, 0, 0, 0xc1);
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xc1);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn request() -> Arp {
    Arp {
        operation: Operation::Request,
        sender_mac: CLIENT,
        sender: Ipv4Addr::new(192, 0, 2, 99),
        target_mac: MacAddr::zero(),
        target: V4,
    }
}

fn solicitation() -> Solicitation {
    Solicitation { source: CLIENT_V6, destination: solicited_node(V6), target: V6, source_link: Some(CLIENT) }
}

/// Each kind of frame that is sent, and the bytes that it must be.
fn golden() -> Vec<(&'static str, Frame, Vec<u8>)> {
    let arp = "0806 0001 0800 06 04";
    let (v6, v6_client) = ("20010db80000000000000000 00123456", "20010db800000000000000000000 00c1");
    let all = "ff020000000000000000000000000001";
    let group = "ff0200000000000000000001ff123456";
    let ip = |length: &str| format!("86dd 60000000 {length} 3a ff");
    let unasked =
        format!("333300000001 020000000001 {} {v6} {all} 8800 905c 20000000 {v6} 0201020000000001", ip("0020"));
    vec![
        (
            "ARP announcement, request form",
            Arp::announcement(Operation::Request, OURS, V4),
            bytes(&format!("ffffffffffff 020000000001 {arp} 0001 020000000001 c000020a ffffffffffff c000020a")),
        ),
        (
            "ARP announcement, reply form",
            Arp::announcement(Operation::Reply, OURS, V4),
            bytes(&format!("ffffffffffff 020000000001 {arp} 0002 020000000001 c000020a ffffffffffff c000020a")),
        ),
        (
            "ARP probe",
            Arp::probe(OURS, V4),
            bytes(&format!("ffffffffffff 020000000001 {arp} 0001 020000000001 00000000 000000000000 c000020a")),
        ),
        (
            "ARP answer",
            request().answer(OURS),
            bytes(&format!("0200000000c1 020000000001 {arp} 0002 020000000001 c000020a 0200000000c1 c0000263")),
        ),
        (
            "probe of duplicate address detection",
            Solicitation::probe(OURS, V6),
            bytes(&format!(
                "3333ff123456 020000000001 {} 00000000000000000000000000000000 {group} 8700 e41e 00000000 {v6}",
                ip("0018")
            )),
        ),
        ("unasked advertisement", Advertisement::announcement(OURS, V6), bytes(&unasked)),
        (
            "answer to a solicitation",
            solicitation().answer(OURS, CLIENT),
            bytes(&format!(
                "0200000000c1 020000000001 {} {v6} {v6_client} 8800 20e6 60000000 {v6} 0201020000000001",
                ip("0020")
            )),
        ),
        (
            "answer to a probe of duplicate address detection",
            Solicitation { source: Ipv6Addr::UNSPECIFIED, source_link: None, ..solicitation() }.answer(OURS, CLIENT),
            bytes(&unasked),
        ),
    ]
}

#[test]
fn every_frame_that_is_sent_is_these_bytes() {
    for (kind, frame, expected) in golden() {
        assert_eq!(hex(&frame.encode()), hex(&expected), "{kind}");
    }
}

#[test]
fn every_frame_that_is_sent_is_read_as_what_it_was() {
    for (kind, frame, bytes) in golden() {
        assert_eq!(Frame::parse(&bytes).as_ref(), Ok(&frame), "{kind}");
    }
}

#[test]
fn an_answer_goes_to_the_station_that_a_solicitation_names_or_came_from() {
    let other = MacAddr(2, 0, 0, 0, 0, 0xee);
    assert_eq!(solicitation().answer(OURS, other).destination, CLIENT);
    let unnamed = Solicitation { source_link: None, destination: V6, ..solicitation() };
    assert_eq!(unnamed.answer(OURS, other).destination, other);
}

#[test]
fn padding_behind_a_packet_is_left_out() {
    let mut padded = Frame { destination: OURS, source: CLIENT, packet: Packet::Arp(request()) }.encode();
    padded.resize(60, 0xaa);
    assert_eq!(Frame::parse(&padded).map(|frame| frame.packet), Ok(Packet::Arp(request())));
    let mut padded = Solicitation::probe(OURS, V6).encode();
    padded.resize(90, 0xaa);
    assert_eq!(Frame::parse(&padded), Ok(Frame::parse(&Solicitation::probe(OURS, V6).encode()).unwrap()));
}

#[test]
fn unknown_options_are_passed_over() {
    let frame = with_options(&[14, 1, 1, 2, 3, 4, 5, 6, 1, 1, 2, 0, 0, 0, 0, 0xc1]);
    let Ok(Packet::Solicitation(read)) = Frame::parse(&frame).map(|frame| frame.packet) else { panic!("{frame:?}") };
    assert_eq!(read.source_link, Some(CLIENT));
}

#[test]
fn an_option_may_be_as_long_as_its_length_can_say() {
    let mut option = vec![0; 255 * 8];
    option[0] = 200;
    option[1] = 255;
    assert!(Frame::parse(&with_options(&option)).is_ok());
}

/// A solicitation from the client with these options, its checksum right.
fn with_options(options: &[u8]) -> Vec<u8> {
    let plain = Frame {
        destination: multicast_mac(solicited_node(V6)),
        source: CLIENT,
        packet: Packet::Solicitation(Solicitation { source_link: None, ..solicitation() }),
    };
    let mut frame = plain.encode();
    frame.extend(options);
    let length = u16::try_from(frame.len() - 54).unwrap().to_be_bytes();
    frame[18..20].copy_from_slice(&length);
    checksummed(frame)
}

fn checksummed(mut frame: Vec<u8>) -> Vec<u8> {
    use pnet_packet::icmpv6::{Icmpv6Packet, checksum};
    let address = |at: usize| Ipv6Addr::from(*frame[at..].first_chunk::<16>().unwrap());
    let sum = checksum(&Icmpv6Packet::new(&frame[54..]).unwrap(), &address(22), &address(38));
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn what_is_wrong_is_named() {
    let arp = Frame { destination: OURS, source: CLIENT, packet: Packet::Arp(request()) }.encode();
    let asked = with_options(&[1, 1, 2, 0, 0, 0, 0, 0xc1]);
    let told = Advertisement::announcement(OURS, V6).encode();
    let probe = Solicitation::probe(OURS, V6).encode();
    let patched = |frame: &[u8], at: usize, patch: &[u8]| {
        let mut frame = frame.to_vec();
        frame[at..at + patch.len()].copy_from_slice(patch);
        frame
    };
    let summed = |frame: &[u8], at: usize, patch: &[u8]| checksummed(patched(frame, at, patch));
    let group = ALL_NODES.octets();
    let cases = [
        ("no header", arp[..13].to_vec(), Unfit::Truncated),
        ("half an ARP packet", arp[..41].to_vec(), Unfit::Truncated),
        ("a VLAN tag", patched(&arp, 12, &[0x81, 0x00]), Unfit::EtherType(0x8100)),
        ("IPv4", patched(&arp, 12, &[0x08, 0x00]), Unfit::EtherType(0x0800)),
        ("from a group", patched(&arp, 6, &[0xff; 6]), Unfit::Station(MacAddr::broadcast())),
        ("other hardware", patched(&arp, 14, &[0, 6]), Unfit::ArpKind),
        ("other protocol", patched(&arp, 16, &[0x86, 0xdd]), Unfit::ArpKind),
        ("other hardware length", patched(&arp, 18, &[8]), Unfit::ArpKind),
        ("other protocol length", patched(&arp, 19, &[16]), Unfit::ArpKind),
        ("reverse ARP", patched(&arp, 20, &[0, 3]), Unfit::ArpOperation(3)),
        ("sender is a group", patched(&arp, 22, &[0xff; 6]), Unfit::Station(MacAddr::broadcast())),
        ("sender is nobody", patched(&arp, 22, &[0; 6]), Unfit::Station(MacAddr::zero())),
        ("half an IPv6 header", asked[..53].to_vec(), Unfit::Truncated),
        ("IPv4 in IPv6", patched(&asked, 14, &[0x45]), Unfit::IpVersion(4)),
        ("TCP", patched(&asked, 20, &[6]), Unfit::NextHeader(6)),
        ("hop-by-hop options", patched(&asked, 20, &[0]), Unfit::NextHeader(0)),
        ("forwarded", patched(&asked, 21, &[254]), Unfit::HopLimit(254)),
        ("longer than the frame", patched(&asked, 18, &[0, 200]), Unfit::Truncated),
        ("no ICMP header", patched(&asked, 18, &[0, 3]), Unfit::Truncated),
        ("wrong checksum", patched(&asked, 56, &[0, 0]), Unfit::Checksum),
        ("code", summed(&asked, 55, &[1]), Unfit::IcmpCode(1)),
        ("echo request", summed(&asked, 54, &[128]), Unfit::IcmpType(128)),
        ("from a group", summed(&asked, 22, &group), Unfit::MulticastSource),
        ("target is a group", summed(&asked, 62, &group), Unfit::MulticastTarget),
        ("option of length 0", with_options(&[1, 0, 0, 0, 0, 0, 0, 0]), Unfit::OptionLength),
        ("option longer than the packet", with_options(&[1, 2, 0, 0, 0, 0, 0, 0]), Unfit::OptionLength),
        ("half an option", with_options(&[1]), Unfit::OptionLength),
        (
            "longer link-layer address",
            with_options(&[1, 2, 2, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            Unfit::LinkLayerOption,
        ),
        (
            "link-layer address of a group",
            with_options(&[1, 1, 1, 0, 0, 0, 0, 1]),
            Unfit::Station(MacAddr(1, 0, 0, 0, 0, 1)),
        ),
        ("probe to all", summed(&probe, 38, &group), Unfit::Probe),
        ("probe that names its station", summed(&asked, 22, &[0; 16]), Unfit::Probe),
        ("answer to all", summed(&told, 58, &[0x60]), Unfit::SolicitedToGroup),
    ];
    for (name, frame, expected) in cases {
        assert_eq!(Frame::parse(&frame), Err(expected), "{name}");
    }
}

#[test]
fn groups_are_where_the_rfcs_say() {
    assert_eq!(solicited_node(V6), "ff02::1:ff12:3456".parse::<Ipv6Addr>().unwrap());
    assert_eq!(multicast_mac(solicited_node(V6)), MacAddr(0x33, 0x33, 0xff, 0x12, 0x34, 0x56));
}
