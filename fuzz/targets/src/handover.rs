//! Messages between an old and a new process: one way to write each, and no message longer than the reader's room.

use postern_proxy::handover::message::{LONGEST, Message};

/// Any datagram.
pub fn handover(data: &[u8]) {
    let Ok(message) = Message::parse(data) else { return };
    assert!(data.len() < LONGEST, "{message:?}");
    assert_eq!(message.encode(), data, "{message:?}");
}
