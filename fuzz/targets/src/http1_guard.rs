//! The strict reader of HTTP/1 framing: how TCP cuts a stream must not change the verdict, and what was let through
//! holds nothing that two readers understand differently.

use postern_proxy::protocol::http1_guard::{Fed, Framing, HeadLimits, Offence};

/// What became of a stream, whatever the pieces: the phase after the last byte, and the offence.
type Verdict = (String, Option<Offence>);

/// The first byte says how the rest is cut.
pub fn http1_guard(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let whole = feed(stream, stream.len().max(1));
    assert_eq!(whole, feed(stream, usize::from(*cut).max(1)), "in pieces of {cut}");
    assert_eq!(whole, feed(stream, 1), "byte by byte");
}

fn feed(stream: &[u8], size: usize) -> Verdict {
    let mut framing = Framing::new(HeadLimits { bytes: 4096, fields: 32 });
    for piece in stream.chunks(size) {
        let mut bytes = piece.to_vec();
        match framing.feed(&mut bytes) {
            Fed::All => {}
            Fed::Held(let_through) => {
                assert!(let_through <= bytes.len(), "no more is handed over than was given");
                break;
            }
            Fed::Spoilt { len, offence, .. } => {
                assert!(len <= bytes.len(), "no more is handed over than was given");
                return (String::new(), Some(offence));
            }
        }
    }
    (format!("{:?}", framing.phase()), None)
}
