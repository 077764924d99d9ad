//! Which stream of a member is heard: the latest one of its latest boot, and of that each frame once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::frame::Hello;

/// The streams that are heard, by member.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    seats: HashMap<String, Seat>,
    /// Tells one stream from another.
    count: u64,
}

#[derive(Debug)]
struct Seat {
    stream: u64,
    epoch: u64,
    /// That of the last frame that was heard.
    counter: u64,
    /// Tells the stream when another one takes its seat.
    _keep: oneshot::Sender<()>,
}

/// What a stream has while it is heard.
#[derive(Debug)]
pub(super) struct Place {
    member: String,
    stream: u64,
}

/// Resolves, as an error, when another stream of the member is heard instead.
pub(super) type Replaced = oneshot::Receiver<()>;

impl Seats {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seats a stream that began with `hello`, in place of an earlier one; `None` where that is of a later boot, or
    /// the greeting is older than what was heard.
    pub(super) fn take(&self, hello: &Hello, counter: u64) -> Option<(Place, Replaced)> {
        let mut table = self.table();
        let is_old = |seat: &Seat| (seat.epoch, seat.counter) > (hello.epoch, counter);
        if table.seats.get(&hello.member).is_some_and(is_old) {
            return None;
        }
        table.count += 1;
        let (keep, replaced) = oneshot::channel();
        let (stream, member) = (table.count, hello.member.clone());
        table.seats.insert(member.clone(), Seat { stream, epoch: hello.epoch, counter, _keep: keep });
        Some((Place { member, stream }, replaced))
    }

    /// Whether a frame of the stream is to be heard; it is then taken as heard.
    pub(super) fn is_news(&self, place: &Place, counter: u64) -> bool {
        let mut table = self.table();
        let seat = table.seats.get_mut(&place.member).filter(|seat| seat.stream == place.stream);
        let Some(seat) = seat.filter(|seat| counter > seat.counter) else { return false };
        seat.counter = counter;
        true
    }

    /// Leaves; says whether the member has gone with that.
    pub(super) fn leave(&self, place: &Place) -> bool {
        let mut table = self.table();
        let is_seated = table.seats.get(&place.member).is_some_and(|seat| seat.stream == place.stream);
        if is_seated {
            table.seats.remove(&place.member);
        }
        is_seated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(epoch: u64) -> Hello {
        let (member, node, version) = ("a".to_owned(), "n".to_owned(), String::new());
        Hello { major: 1, minor: 0, member, node, epoch, serves: true, version }
    }

    #[test]
    fn each_frame_is_heard_once_and_only_on_the_latest_stream() {
        let seats = Seats::default();
        let (old, _replaced) = seats.take(&hello(5), 1).expect("nobody is there");
        assert_eq!([2, 2, 1, 4].map(|counter| seats.is_news(&old, counter)), [true, false, false, true]);
        assert!(seats.take(&hello(5), 3).is_none(), "a greeting from before what was heard");
        let (new, _replaced) = seats.take(&hello(5), 5).expect("the same boot, later");
        assert!(!seats.is_news(&old, 6) && seats.is_news(&new, 6));
        assert!(!seats.leave(&old) && seats.leave(&new));
    }

    #[test]
    fn an_earlier_boot_is_not_heard_beside_a_later_one() {
        let seats = Seats::default();
        let (late, mut replaced) = seats.take(&hello(7), 90).expect("nobody is there");
        assert!(seats.take(&hello(6), 1000).is_none());
        assert!(replaced.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        let (restarted, _) = seats.take(&hello(8), 1).expect("a later boot begins to count anew");
        assert!(replaced.try_recv() == Err(oneshot::error::TryRecvError::Closed));
        assert!(!seats.is_news(&late, 91));
        assert!(seats.leave(&restarted));
        assert!(seats.take(&hello(6), 1).is_some(), "nobody is there: its clock may have been set back");
    }
}
