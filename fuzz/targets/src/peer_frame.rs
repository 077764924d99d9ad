//! A frame of the link between nodes: what is read of it means the same when it is written again.

use postern_proxy::peer::frame::{Frame, LONGEST};

/// Any frame, without its length.
pub fn peer_frame(data: &[u8]) {
    let Some(data) = data.get(..data.len().min(LONGEST)) else { return };
    let Ok(frame) = Frame::decode(data) else { return };
    let again = Frame::decode(&frame.encode());
    // Reasons are cut, and lists of sockets, when they are written.
    if !matches!(frame.message, postern_proxy::peer::frame::Message::Unbound(_)) {
        assert_eq!(again, Ok(frame));
    } else {
        assert!(again.is_ok());
    }
}
