//! What wakes the process: programs that the kernel runs over each frame (classic BPF), so that all other traffic of the
//! link costs nothing here.
//!
//! A frame with the tag of a VLAN that has no link here counts as another host's in the kernel, and so falls out too.

use socket2::SockFilter;

// Of linux/filter.h and linux/bpf_common.h.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Where data about the frame begin, and of these the kind of packet.
const PACKET_TYPE: u32 = 0xffff_f000 + 4;
// Of linux/if_packet.h.
const TO_THIS_HOST: u32 = 0;
const TO_ALL: u32 = 1;
const TO_GROUP: u32 = 2;

const ETHERNET_HEADER: u32 = 14;
const ARP_OPERATION: u32 = ETHERNET_HEADER + 6;
const NEXT_HEADER: u32 = ETHERNET_HEADER + 6;
const HOP_LIMIT: u32 = ETHERNET_HEADER + 7;
const ICMP_TYPE: u32 = ETHERNET_HEADER + 40;

/// What is loaded, and the values of it that pass.
type Test = (u16, u32, &'static [u32]);

const COMES_IN: Test = (LOAD_BYTE, PACKET_TYPE, &[TO_THIS_HOST, TO_ALL, TO_GROUP]);

/// ARP requests and replies.
pub(super) const ARP: &[Test] = &[COMES_IN, (LOAD_HALF, ARP_OPERATION, &[1, 2])];

/// Neighbour solicitations and advertisements of this segment.
pub(super) const NDP: &[Test] =
    &[(LOAD_BYTE, NEXT_HEADER, &[58]), (LOAD_BYTE, ICMP_TYPE, &[135, 136]), (LOAD_BYTE, HOP_LIMIT, &[255]), COMES_IN];

/// The program that passes what passes all tests.
pub(super) fn program(tests: &[Test]) -> Vec<SockFilter> {
    raw_program(tests)
        .into_iter()
        .map(|(code, then, otherwise, value)| SockFilter::new(code, then, otherwise, value))
        .collect()
}

/// An instruction: what it does, how many it skips if what was loaded is the value, how many if it isn't, the value.
type Instruction = (u16, u8, u8, u32);

fn raw_program(tests: &[Test]) -> Vec<Instruction> {
    // From the back: how far it is to the end is known then.
    let mut reversed: Vec<Instruction> = vec![(RETURN, 0, 0, 0), (RETURN, 0, 0, 0xffff)];
    for (load, at, values) in tests.iter().rev() {
        let to_nothing = distance(reversed.len() - 1);
        for (behind, value) in values.iter().rev().enumerate() {
            let otherwise = if behind == 0 { to_nothing } else { 0 };
            reversed.push((JUMP_EQUAL, distance(behind), otherwise, *value));
        }
        reversed.push((*load, 0, 0, *at));
    }
    reversed.reverse();
    reversed
}

fn distance(instructions: usize) -> u8 {
    u8::try_from(instructions).expect("the programs are short")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel does. True if it passes the frame.
    fn passes(tests: &[Test], frame: &[u8], packet_type: u32) -> bool {
        let program = raw_program(tests);
        let byte = |at: u32| frame.get(at as usize).copied().map(u32::from);
        let (mut at, mut loaded) = (0, 0);
        loop {
            let (code, then, otherwise, value) = program[at];
            at += 1;
            // What lies behind the end ends the program.
            match code {
                LOAD_BYTE if value == PACKET_TYPE => loaded = packet_type,
                LOAD_BYTE => match byte(value) {
                    Some(byte) => loaded = byte,
                    None => return false,
                },
                LOAD_HALF => match (byte(value), byte(value + 1)) {
                    (Some(high), Some(low)) => loaded = high << 8 | low,
                    _ => return false,
                },
                JUMP_EQUAL if loaded == value => at += usize::from(then),
                JUMP_EQUAL => at += usize::from(otherwise),
                _ => return value > 0,
            }
        }
    }

    #[test]
    fn only_what_is_looked_at_wakes_the_process() {
        let mut arp = [0_u8; 42];
        arp[21] = 1;
        let mut ndp = [0_u8; 78];
        (ndp[20], ndp[21], ndp[54]) = (58, 255, 135);
        let changed = |frame: &[u8], at: usize, byte: u8| {
            let mut frame = frame.to_vec();
            frame[at] = byte;
            frame
        };
        type Case = (&'static str, &'static [Test], Vec<u8>, u32, bool);
        let cases: [Case; 13] = [
            ("ARP request to all", ARP, arp.to_vec(), 1, true),
            ("ARP reply to us", ARP, changed(&arp, 21, 2), 0, true),
            ("reverse ARP", ARP, changed(&arp, 21, 3), 1, false),
            ("ARP to another host", ARP, arp.to_vec(), 3, false),
            ("ARP that we send", ARP, arp.to_vec(), 4, false),
            ("half an ARP packet", ARP, arp[..15].to_vec(), 1, false),
            ("solicitation to a group", NDP, ndp.to_vec(), 2, true),
            ("advertisement to us", NDP, changed(&ndp, 54, 136), 0, true),
            ("router advertisement", NDP, changed(&ndp, 54, 134), 2, false),
            ("TCP", NDP, changed(&ndp, 20, 6), 0, false),
            ("forwarded", NDP, changed(&ndp, 21, 64), 0, false),
            ("advertisement to another host", NDP, changed(&ndp, 54, 136), 3, false),
            ("half an IPv6 header", NDP, ndp[..30].to_vec(), 0, false),
        ];
        for (name, tests, frame, packet_type, expected) in cases {
            assert_eq!(passes(tests, &frame, packet_type), expected, "{name}");
        }
    }
}
