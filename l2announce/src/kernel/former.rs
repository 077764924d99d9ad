//! What links had before we changed them, in a small file: so that whoever undoes it, perhaps another process after a
//! crash, puts back what was there.
//!
//! One line for each link: its name, then `arp_ignore` and `arp_announce`. Names of links hold no white space.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::Error;

/// The two settings of a link that decide what its kernel says by ARP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArpSettings {
    /// `arp_ignore`: 0 answers for every address of the node, 1 for those of the link alone.
    pub(super) ignore: i32,
    /// `arp_announce`: 2 asks with an address of the link alone.
    pub(super) announce: i32,
}

/// Link → what it had.
pub(super) type Former = BTreeMap<Arc<str>, ArpSettings>;

fn file(directory: &Path) -> PathBuf {
    directory.join("links")
}

/// Reads the file of `directory`; nothing is remembered where there is none.
pub(super) fn read(directory: &Path) -> Result<Former, Error> {
    let path = file(directory);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).map_err(|line| Error::Former { path, line }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Former::new()),
        Err(source) => Err(Error::File { path, source }),
    }
}

/// What is remembered, or the number of the line that is none.
fn parse(text: &str) -> Result<Former, usize> {
    let lines = text.lines().enumerate();
    lines.map(|(number, line)| entry(line).ok_or(number + 1)).collect()
}

fn entry(line: &str) -> Option<(Arc<str>, ArpSettings)> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?;
    let settings = ArpSettings { ignore: words.next()?.parse().ok()?, announce: words.next()?.parse().ok()? };
    words.next().is_none().then(|| (name.into(), settings))
}

/// Replaces the file in one step; without anything to remember there is none.
pub(super) fn write(directory: &Path, former: &Former) -> Result<(), Error> {
    let path = file(directory);
    let written = if former.is_empty() { remove(&path) } else { replace(&path, &text(former)) };
    written.map_err(|source| Error::File { path, source })
}

fn text(former: &Former) -> String {
    former.iter().fold(String::new(), |mut text, (name, had)| {
        writeln!(text, "{name} {} {}", had.ignore, had.announce).expect("writing to a string cannot fail");
        text
    })
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(beside, path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_leaves_no_file() {
        let directory = tempfile::tempdir().expect("a folder");
        let former = Former::from([
            ("eth0".into(), ArpSettings { ignore: 0, announce: 0 }),
            ("vlan.7@x".into(), ArpSettings { ignore: -1, announce: 1 }),
        ]);
        write(directory.path(), &former).expect("it is written");
        assert_eq!(read(directory.path()).expect("it is read"), former);
        write(directory.path(), &Former::new()).expect("it is written");
        assert!(!file(directory.path()).exists());
        assert_eq!(read(directory.path()).expect("it is read"), Former::new());
    }

    #[test]
    fn a_damaged_line_is_named() {
        for (text, line) in [("eth0", 1), ("eth0 0 0\neth1 0 x\n", 2), ("eth0 0 0 0", 1), ("\n", 1)] {
            assert_eq!(parse(text), Err(line), "{text:?}");
        }
    }
}
