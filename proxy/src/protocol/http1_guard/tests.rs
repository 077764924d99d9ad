//! The framing core against itself: how the stream is cut never changes what is made of it.

use proptest::prelude::*;

use super::framing::{Fed, Framing, HeadLimits, Phase};
use super::offence::Offence;

const LIMITS: HeadLimits = HeadLimits { bytes: 400, fields: 8 };

/// What became of a stream: bytes that are good (up to the end of the last good message part), and the offence.
fn verdict(bytes: &[u8], cuts: &[usize]) -> (Option<Offence>, Option<Phase>) {
    let mut framing = Framing::new(LIMITS);
    let mut at = 0;
    let ends = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([bytes.len()]);
    let mut ends: Vec<usize> = ends.collect();
    ends.sort_unstable();
    for end in ends {
        let mut piece = bytes[at..end].to_vec();
        at = end;
        loop {
            match framing.feed(&mut piece) {
                Fed::All => break,
                Fed::Held(len) => {
                    framing.resume();
                    piece.drain(..len);
                }
                Fed::Spoilt { offence, .. } => return (Some(offence), None),
            }
        }
        if framing.phase() == Phase::Held {
            framing.resume();
        }
    }
    (None, Some(framing.phase()))
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[A-Za-z-]{1,8}: [ -~]{0,12}\r\n",
        1 => Just("Content-Length: 3\r\n".to_owned()),
        1 => Just("Transfer-Encoding: chunked\r\n".to_owned()),
        1 => Just("Upgrade: x\r\n".to_owned()),
        1 => "[\\x00-\\x7f]{0,6}\r?\n",
        1 => Just("Host: b\r\n".to_owned()),
    ]
}

fn message() -> impl Strategy<Value = String> {
    let body = prop_oneof![
        Just(String::new()),
        "[0-9a-f]{1,2}\r\n[ -~\r\n]{0,20}",
        Just("3\r\nabc\r\n0\r\n\r\n".to_owned()),
        Just("abc".to_owned())
    ];
    (prop::collection::vec(line(), 0..6), body)
        .prop_map(|(lines, body)| format!("POST / HTTP/1.1\r\nHost: a\r\n{}\r\n{body}", lines.concat()))
}

proptest! {
    #[test]
    fn the_cut_of_a_stream_does_not_change_its_verdict(
        messages in prop::collection::vec(message(), 1..4),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let bytes = messages.concat().into_bytes();
        prop_assert_eq!(verdict(&bytes, &[]), verdict(&bytes, &cuts));
    }

    #[test]
    fn any_bytes_are_judged_the_same_however_they_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        prop_assert_eq!(verdict(&bytes, &[]), verdict(&bytes, &cuts));
    }
}

#[test]
fn a_withheld_head_has_no_end() {
    for bytes in ["GET / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"] {
        let mut bytes = bytes.as_bytes().to_vec();
        let Fed::Spoilt { len, head, .. } = Framing::new(LIMITS).feed(&mut bytes) else { panic!("an offence") };
        assert!(head && !bytes[..len].windows(4).any(|end| end == b"\r\n\r\n"));
    }
}
