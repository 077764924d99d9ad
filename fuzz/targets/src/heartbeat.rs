//! A heartbeat, of a stranger and of somebody who has the key: what is read of it means the same when it is written again.

use postern_l2announce::heartbeat::{Datagram, Installation, Keys, LONGEST};

/// Any datagram, and anything that could stand in a sealed one.
pub fn heartbeat(data: &[u8]) {
    let (installation, keys) = (Installation::named("fuzz"), Keys::new(&[7; 32], Some(&[8; 32])));
    assert!(Datagram::open(data, installation, &keys).is_err(), "nobody guesses the key");
    let Ok(datagram) = Datagram::read(data) else { return };
    let sealed = datagram.seal(installation, &keys);
    let again = Datagram::open(&sealed, installation, &keys);
    // What is too long is not sent, and nodes are left out where a datagram would become that.
    if sealed.len() <= LONGEST && again.as_ref().is_ok_and(|again| again.outdated == datagram.outdated) {
        assert_eq!(again, Ok(datagram));
    }
}
