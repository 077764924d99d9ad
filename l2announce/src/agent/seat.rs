//! One process of a node speaks at a time, and the next one knows what the last one knew: a lock and a small file beside
//! it. Neither is missed where there is none: what is not known is asked of the segment.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use tokio::sync::oneshot;

use crate::{
    Moment,
    election::{Remembered, Start},
};

/// What another process handed over longer ago than this is somebody else's by now.
const HANDED: Duration = Duration::from_secs(2);
/// Changes at each start of the machine, as moments do.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The right to speak for this node, as long as it lives.
#[derive(Debug)]
pub(super) struct Seat {
    /// `None` where there is no directory for a lock: then nobody else is there either.
    _lock: Option<File>,
    file: PathBuf,
    boot: String,
    written: String,
}

impl Seat {
    /// Waits until no other process of this node speaks.
    pub(super) async fn take(directory: &Path) -> Self {
        let lock = match open(directory) {
            Ok(lock) => wait(lock).await,
            Err(error) => {
                tracing::warn!(%error, directory = %directory.display(), "no lock can be had, so two processes of this node would not notice each other");
                None
            }
        };
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Self { _lock: lock, file: directory.join("addresses"), boot, written: String::new() }
    }

    /// What the last process left.
    pub(super) fn remembered(&self, now: Moment) -> Start {
        fs::read_to_string(&self.file).map(|text| read(&text, &self.boot, now)).unwrap_or_default()
    }

    /// Leaves `memory` to the next process, and the addresses that it is `handed`.
    pub(super) fn remember(&mut self, now: Moment, memory: &BTreeMap<IpAddr, Remembered>, handed: &BTreeSet<IpAddr>) {
        let text = write(&self.boot, now, memory, handed);
        if text == self.written {
            return;
        }
        let aside = self.file.with_extension("new");
        match fs::write(&aside, &text).and_then(|()| fs::rename(&aside, &self.file)) {
            Ok(()) => self.written = text,
            Err(error) => tracing::debug!(%error, "what is known of addresses could not be kept for the next start"),
        }
    }
}

fn open(directory: &Path) -> io::Result<File> {
    fs::create_dir_all(directory)?;
    File::options().create(true).truncate(false).write(true).open(directory.join("announcing"))
}

/// On a thread of its own, since it may last as long as the other process does; that thread ends with ours.
async fn wait(lock: File) -> Option<File> {
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return Some(lock);
    }
    tracing::info!("another process of this node announces; waiting for it to leave");
    let (tell, had) = oneshot::channel();
    std::thread::spawn(move || {
        let _waited = flock(&lock, FlockOperation::LockExclusive);
        // Nobody may want it any more.
        let _unwanted = tell.send(lock);
    });
    had.await.ok()
}

fn write(boot: &str, now: Moment, memory: &BTreeMap<IpAddr, Remembered>, handed: &BTreeSet<IpAddr>) -> String {
    let at = if handed.is_empty() { 0 } else { millis(now) };
    let mut text = format!("{boot} {at}\n");
    for (address, known) in memory {
        let owned = known.owned.map_or_else(|| "-".to_owned(), |owned| millis(owned).to_string());
        let handed = if handed.contains(address) { "handed" } else { "" };
        text += format!("{address} {} {owned} {handed}", known.epoch).trim_end();
        text.push('\n');
    }
    text
}

/// Whatever cannot be read is not known.
fn read(text: &str, boot: &str, now: Moment) -> Start {
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let same_boot = head.first() == Some(&boot);
    let handed_at = head.get(1).and_then(|at| moment(at)).filter(|_| same_boot);
    let is_fresh = handed_at.is_some_and(|at| now.since(at) < HANDED);
    let mut start = Start::default();
    for line in lines {
        let mut parts = line.split(' ');
        let (Some(address), Some(epoch)) = (parse(parts.next()), parse(parts.next())) else { continue };
        let owned = parts.next().and_then(moment).filter(|_| same_boot);
        start.memory.insert(address, Remembered { epoch, owned });
        if is_fresh && parts.next() == Some("handed") {
            start.adopt.insert(address);
        }
    }
    start
}

fn parse<T: std::str::FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

fn moment(text: &str) -> Option<Moment> {
    text.parse().ok().map(|millis| Moment::new(Duration::from_millis(millis)))
}

fn millis(moment: Moment) -> u64 {
    u64::try_from(moment.since(Moment::default()).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::new(Duration::from_millis(millis))
    }

    fn memory() -> BTreeMap<IpAddr, Remembered> {
        let ip = |text: &str| text.parse().expect("an address");
        [
            (ip("192.0.2.1"), Remembered { epoch: 7, owned: Some(at(5000)) }),
            (ip("2001:db8::1"), Remembered { epoch: 1, owned: None }),
        ]
        .into()
    }

    #[test]
    fn the_next_process_knows_what_the_last_one_knew() {
        let first: IpAddr = "192.0.2.1".parse().expect("an address");
        let text = write("boot", at(9000), &memory(), &BTreeSet::from([first]));
        let start = read(&text, "boot", at(10_000));
        assert_eq!((start.memory, start.adopt), (memory(), BTreeSet::from([first])));
        assert!(read(&text, "boot", at(12_000)).adopt.is_empty(), "handed over too long ago");
        let after_reboot = read(&text, "another boot", at(9500));
        assert!(after_reboot.adopt.is_empty());
        assert_eq!(after_reboot.memory[&first], Remembered { epoch: 7, owned: None }, "moments begin anew");
        let crashed = write("boot", at(9000), &memory(), &BTreeSet::new());
        assert!(read(&crashed, "boot", at(9100)).adopt.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        for text in ["", "boot", "boot x\nnonsense\n192.0.2.1\n192.0.2.1 x\n", "\u{0}\n\n \n"] {
            let start = read(text, "boot", at(1));
            assert!(start.memory.is_empty() && start.adopt.is_empty(), "{text:?}");
        }
    }
}
