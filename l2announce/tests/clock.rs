//! Who owns an address must not change because somebody sets the clock: nothing here reads the time of day, but for the
//! number of a start, which peers correct when it is too low (`heartbeat`). It cannot be shown on a segment, as the time of
//! day is the machine's and no namespace has its own.

use std::{fs, path::Path};

/// What tells the time of day, in the standard library, rustix and the usual crates.
const TIME_OF_DAY: [&str; 6] = ["SystemTime", "UNIX_EPOCH", "ClockId::Realtime", "jiff::", "chrono::", "gettimeofday"];
/// The file with the number of a start.
const ALLOWED: &str = "agent/run/begin.rs";

#[test]
fn the_time_of_day_is_read_for_the_number_of_a_start_alone() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    visit(&source, &mut |path, text| {
        let name = path.strip_prefix(&source).expect("it is within").display().to_string();
        for (number, line) in
            text.lines().enumerate().filter(|(_, line)| TIME_OF_DAY.iter().any(|it| line.contains(it)))
        {
            found.push(format!("{name}:{}: {}", number + 1, line.trim()));
        }
    });
    let (start, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|line| line.starts_with(ALLOWED));
    assert!(other.is_empty(), "{other:#?}");
    assert_eq!(start.len(), 2, "the import and `boot`: {start:#?}");
}

fn visit(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            visit(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &fs::read_to_string(&path).expect("a source file"));
        }
    }
}
