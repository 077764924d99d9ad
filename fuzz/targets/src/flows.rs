//! A question for flows or an answer, of a stranger and of somebody who has the key: what is read of it means the same when
//! it is written again.

use postern_l2announce::{
    flows::Message,
    heartbeat::{Installation, Keys, LONGEST},
};

/// Any datagram, and anything that could stand in a sealed one.
pub fn flows(data: &[u8]) {
    let (installation, keys) = (Installation::named("fuzz"), Keys::new(&[7; 32], Some(&[8; 32])));
    assert!(Message::open(data, installation, &keys).is_err(), "nobody guesses the key");
    let Ok(message) = Message::read(data) else { return };
    let sealed = message.seal(installation, &keys);
    if sealed.len() <= LONGEST {
        assert_eq!(Message::open(&sealed, installation, &keys), Ok(message));
    }
}
