//! Which counters of one boot of a sender have been heard on a link: each counts once (RFC 4303, section 3.4.3).

/// Of the newest and the 63 before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    newest: Option<u64>,
    /// Bit n: the newest less n has been heard.
    heard: u64,
}

/// How a counter stands to those that were heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Later than all.
    Newest,
    /// Not heard yet, but a later one was.
    Late,
    /// Heard already, or too old to tell.
    Again,
}

impl Window {
    /// Hears `counter`.
    pub(crate) fn hear(&mut self, counter: u64) -> Order {
        match self.newest {
            Some(newest) if counter <= newest => self.hear_late(newest - counter),
            newest => {
                let ahead = newest.map_or(u64::BITS.into(), |newest| counter - newest);
                self.heard = shifted(self.heard, ahead) | 1;
                self.newest = Some(counter);
                Order::Newest
            }
        }
    }

    fn hear_late(&mut self, behind: u64) -> Order {
        let bit = shifted(1, behind);
        let again = bit == 0 || self.heard & bit != 0;
        self.heard |= bit;
        if again { Order::Again } else { Order::Late }
    }
}

fn shifted(bits: u64, by: u64) -> u64 {
    u32::try_from(by).ok().and_then(|by| bits.checked_shl(by)).unwrap_or(0)
}
