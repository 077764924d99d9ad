//! When to read: as soon as a writer is done, with a short pause so that a burst is read once.
//!
//! Pure: told what happened and what time it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

/// A burst is over when nothing happened for this long …
const PAUSE: Duration = Duration::from_millis(2);
/// … or when it has gone on for this long.
const LONGEST_BURST: Duration = Duration::from_millis(25);
/// A file that is written but not closed is read when nothing was written for this long.
const UNCLOSED: Duration = Duration::from_millis(200);

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// These files.
    Files(BTreeSet<PathBuf>),
    /// Everything: a folder or a link changed, or events were lost.
    All,
}

/// What happened and was not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    files: BTreeSet<PathBuf>,
    all: bool,
    burst: Option<Burst>,
    writing: BTreeMap<PathBuf, Burst>,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    first: Instant,
    last: Instant,
}

impl Burst {
    fn at(now: Instant, before: Option<Self>) -> Self {
        Self { first: before.map_or(now, |burst| burst.first), last: now }
    }

    fn over(self) -> Instant {
        (self.last + PAUSE).min(self.first + LONGEST_BURST)
    }
}

impl Quiet {
    /// A file is as its writer wants it to be, has gone, or has just come: a second name of a file is whole from the
    /// start, and a file that is not is about to be reported as being written.
    pub(super) fn done(&mut self, file: PathBuf, now: Instant) {
        self.writing.remove(&file);
        self.files.insert(file);
        self.burst = Some(Burst::at(now, self.burst));
    }

    /// A file is being written, so it is not looked at before that ends.
    pub(super) fn writing(&mut self, file: PathBuf, now: Instant) {
        self.files.remove(&file);
        let before = self.writing.get(&file).copied();
        self.writing.insert(file, Burst::at(now, before));
    }

    /// Anything may have changed.
    pub(super) fn all(&mut self, now: Instant) {
        self.all = true;
        self.burst = Some(Burst::at(now, self.burst));
    }

    /// When to look next, if nothing else happens.
    pub(super) fn due(&self) -> Option<Instant> {
        let unclosed = self.writing.values().map(|burst| burst.last + UNCLOSED).min();
        self.burst.map(Burst::over).into_iter().chain(unclosed).min()
    }

    /// What to look at now, and when it began; `None` while it is too early.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Work, Instant)> {
        let mut began = self.take_unclosed(now);
        if let Some(burst) = self.burst.filter(|burst| burst.over() <= now) {
            self.burst = None;
            began = Some(began.map_or(burst.first, |began| began.min(burst.first)));
        }
        let began = began?;
        self.burst = None;
        let files = std::mem::take(&mut self.files);
        let work = if std::mem::take(&mut self.all) { Work::All } else { Work::Files(files) };
        Some((work, began))
    }

    fn take_unclosed(&mut self, now: Instant) -> Option<Instant> {
        let (over, writing): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.writing).into_iter().partition(|(_, burst)| burst.last + UNCLOSED <= now);
        self.writing = writing;
        let began = over.values().map(|burst| burst.first).min();
        self.files.extend(over.into_keys());
        began
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Option<Work> {
        Some(Work::Files(names.iter().map(PathBuf::from).collect()))
    }

    #[test]
    fn a_closed_file_is_read_after_a_short_pause_and_a_burst_within_its_bound() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut quiet = Quiet::default();
        assert_eq!(quiet.due(), None);
        quiet.done("a".into(), at(0));
        assert_eq!(quiet.due(), Some(at(2)));
        assert_eq!(quiet.take(at(1)), None);
        for ms in 1..=24 {
            quiet.done("b".into(), at(ms));
        }
        assert_eq!(quiet.due(), Some(at(25)));
        assert_eq!(quiet.take(at(25)), files(&["a", "b"]).map(|work| (work, at(0))));
        assert_eq!(quiet.due(), None);
    }

    #[test]
    fn a_file_that_is_not_closed_is_read_when_its_writer_pauses() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut quiet = Quiet::default();
        quiet.writing("a".into(), at(0));
        quiet.writing("a".into(), at(150));
        assert_eq!(quiet.due(), Some(at(350)));
        assert_eq!(quiet.take(at(349)), None);
        assert_eq!(quiet.take(at(350)).map(|(work, _)| work), files(&["a"]));
        quiet.writing("a".into(), at(400));
        quiet.done("a".into(), at(401));
        assert_eq!(quiet.due(), Some(at(403)));
        quiet.done("new".into(), at(401));
        quiet.writing("new".into(), at(402));
        assert_eq!(quiet.take(at(404)).map(|(work, _)| work), files(&["a"]), "the new one is still being written");
        quiet.all(at(402));
        assert_eq!(quiet.take(at(404)).map(|(work, _)| work), Some(Work::All));
    }
}
