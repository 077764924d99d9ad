//! Directories in, batches out: first by reading when asked, then with real file system events.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::symlink,
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use tempfile::TempDir;

use super::*;
use crate::kubernetes::store::{Change, Key};

/// How long an event may take to arrive on a busy machine; only a failing test waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

fn service(name: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n")
}

/// A Service whose content differs by `mark`.
fn marked(name: &str, mark: &str) -> String {
    format!("{}  labels: {{mark: \"{mark}\"}}\n", service(name))
}

fn names(batch: &Batch) -> Vec<String> {
    let name = |change: &Change| match change {
        Change::Set { object, .. } => {
            let mark = object.meta().labels.get("mark").map(|mark| format!("={mark}")).unwrap_or_default();
            format!("{}{mark}", Key::of(object).name)
        }
        Change::Refused { key, .. } => format!("!{}", key.name),
        Change::Remove(key) => format!("-{}", key.name),
    };
    batch.changes.iter().map(name).collect()
}

fn problems(batch: &Batch) -> Vec<(u32, &'static str, bool)> {
    let records = batch.records.as_ref().map(|records| records.input.as_slice()).unwrap_or_default();
    records.iter().map(|problem| (problem.line, problem.reason, problem.last_good_kept)).collect()
}

struct Directory {
    folder: TempDir,
    provider: FileProvider,
}

impl Directory {
    fn new(files: &[(&str, &str)]) -> (Self, Batch) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut provider = FileProvider::open(folder.path()).unwrap();
        let first = provider.read();
        (Self { folder, provider }, first)
    }

    /// Writes a file and reads what changed.
    fn write(&mut self, name: &str, text: impl AsRef<[u8]>) -> Batch {
        fs::write(self.folder.path().join(name), text).unwrap();
        self.provider.read()
    }

    fn remove(&mut self, name: &str) -> Batch {
        fs::remove_file(self.folder.path().join(name)).unwrap();
        self.provider.read()
    }
}

#[test]
fn a_document_is_parsed_once() {
    let file = [service("a"), service("b"), service("c")].join("---\n");
    let (mut directory, first) = Directory::new(&[("a.yaml", &file)]);
    assert_eq!((names(&first).len(), first.documents), (3, 3));
    let again = directory.write("a.yaml", &file);
    assert!(again.is_empty());
    assert_eq!(again.documents, 0);
    let lower = directory.write("a.yaml", format!("# a comment\n---\n{file}"));
    assert_eq!(lower.documents, 2, "the comment, and the document whose separator it got");
    assert_eq!(names(&lower), Vec::<String>::new());
    let moved: Vec<_> = lower.moved.iter().map(|(key, origin)| format!("{} {}", key.name, origin.line)).collect();
    assert_eq!(moved, ["a 3", "b 8", "c 13"]);
}

#[test]
fn editing_one_of_ten_thousand_documents_parses_one() {
    let mut file = String::new();
    for number in 0..10_000 {
        let _ = write!(file, "---\n{}", marked(&format!("s{number}"), "old"));
    }
    let (mut directory, first) = Directory::new(&[("all.yaml", &file)]);
    assert_eq!((first.changes.len(), first.documents), (10_000, 10_000));
    let edited = file.replace(&marked("s5000", "old"), &marked("s5000", "new"));
    let batch = directory.write("all.yaml", edited);
    assert_eq!((names(&batch), batch.documents, batch.moved.len()), (vec!["s5000=new".to_owned()], 1, 0));
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let (mut directory, _) = Directory::new(&[("a.yaml", &service("a"))]);
    let path = directory.folder.path().join("a.yaml");
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    File::open(&path).unwrap().set_modified(long_ago).unwrap();
    // The time of change cannot be set, so the file is too young to be trusted, and read: that is the safe side.
    assert_eq!(directory.provider.read().files, 1);
    assert!(!Stamp::of(&fs::metadata(&path).unwrap()).is_settled(SystemTime::now()));
    assert!(Stamp::of(&fs::metadata(&path).unwrap()).is_settled(SystemTime::now() + Duration::from_secs(1)));
    let stamp = Stamp::of(&fs::metadata(&path).unwrap());
    directory.provider.stamps.insert(path, Some(stamp));
    assert_eq!(directory.provider.read().files, 0);
}

#[test]
fn what_a_broken_document_defined_stays_until_the_file_is_whole() {
    let whole = [service("a"), service("b"), service("c")].join("---\n");
    let (mut directory, _) = Directory::new(&[("a.yaml", &whole)]);
    let cut = directory.write("a.yaml", &whole[..whole.find("  name: b").unwrap()]);
    assert_eq!(names(&cut), Vec::<String>::new(), "b and c stay");
    assert_eq!(problems(&cut), [(6, "InvalidName", true)]);
    let partly = directory.write("a.yaml", [marked("c", "new"), "a: [".to_owned()].join("---\n"));
    assert_eq!(names(&partly), ["c=new"], "what a good document says holds at once");
    let mended = directory.write("a.yaml", service("a"));
    assert_eq!(names(&mended), ["-b", "-c"]);
    assert_eq!(mended.records, Some(Records::default()));
}

#[test]
fn another_file_may_take_over_what_is_merely_kept() {
    let (mut directory, _) = Directory::new(&[("a.yaml", &service("x"))]);
    assert_eq!(names(&directory.write("a.yaml", "{")), Vec::<String>::new());
    let taken = directory.write("b.yaml", marked("x", "b"));
    assert_eq!(names(&taken), ["x=b"]);
    assert!(taken.records.is_none(), "no duplicate: only one of them is there");
    assert!(names(&directory.remove("a.yaml")).is_empty());
}

#[test]
fn a_file_that_goes_takes_its_objects_along_even_if_broken() {
    let (mut directory, _) = Directory::new(&[("a.yaml", &service("x"))]);
    directory.write("a.yaml", "{");
    let gone = directory.remove("a.yaml");
    assert_eq!(names(&gone), ["-x"]);
    assert_eq!(gone.records, Some(Records::default()));
}

#[test]
fn of_two_documents_for_one_object_the_first_by_place_is_used() {
    let twice = [marked("x", "first"), marked("x", "second")].join("---\n");
    let (mut directory, first) = Directory::new(&[("b.yaml", &twice)]);
    assert_eq!(names(&first), ["x=first"]);
    let input = first.records.unwrap().input;
    assert_eq!((input[0].line, input[0].reason), (7, "DuplicateObject"));
    assert!(input[0].message.contains("b.yaml:1 "), "{}", input[0].message);
    let earlier = directory.write("a.yaml", marked("x", "earlier"));
    assert_eq!((names(&earlier), problems(&earlier).len()), (vec!["x=earlier".to_owned()], 2));
    let swapped = directory.write("b.yaml", [marked("x", "second"), marked("x", "first")].join("---\n"));
    assert!(names(&swapped).is_empty());
    let back = directory.remove("a.yaml");
    assert_eq!((names(&back), problems(&back).len()), (vec!["x=second".to_owned()], 1));
    let reversed = directory.write("b.yaml", &twice);
    assert_eq!(names(&reversed), ["x=first"], "the order of two known documents counts");
    assert_eq!(directory.write("b.yaml", service("other")).records, Some(Records::default()));
}

#[test]
fn an_object_that_moves_to_another_file_is_not_another_object() {
    let (mut directory, _) = Directory::new(&[("a.yaml", &service("x"))]);
    fs::rename(directory.folder.path().join("a.yaml"), directory.folder.path().join("b.yaml")).unwrap();
    let batch = directory.provider.read();
    assert!(names(&batch).is_empty());
    assert!(batch.moved[0].1.file.ends_with("b.yaml"));
}

#[test]
fn a_wrong_type_refuses_its_object_alone() {
    let (mut directory, _) = Directory::new(&[("a.yaml", &service("x"))]);
    let bad = "apiVersion: v1\nkind: Service\nmetadata:\n  name: x\n  labels: 3\n";
    assert_eq!(names(&directory.write("a.yaml", bad)), ["!x"]);
    assert_eq!(names(&directory.write("a.yaml", service("x"))), ["x"]);
}

#[test]
fn too_large_a_file_is_named_and_costs_nothing_else() {
    let (mut directory, _) = Directory::new(&[("a.yaml", &service("x"))]);
    let huge = File::create(directory.folder.path().join("huge.yaml")).unwrap();
    huge.set_len(MAX_FILE_BYTES + 1).unwrap();
    let batch = directory.provider.read();
    assert_eq!(problems(&batch), [(0, "Unreadable", false)]);
    assert_eq!(
        batch.records.unwrap().input[0].message,
        "it cannot be read: it is larger than 64 MiB: split it, or move it elsewhere"
    );
    assert_eq!(directory.remove("huge.yaml").records, Some(Records::default()));
}

#[test]
fn a_directory_that_goes_keeps_everything_and_one_that_never_was_is_an_error() {
    let (mut directory, _) = Directory::new(&[("a.yaml", &service("x"))]);
    let away = directory.folder.path().with_extension("away");
    fs::rename(directory.folder.path(), &away).unwrap();
    let gone = directory.provider.read();
    assert_eq!((names(&gone), problems(&gone)), (vec![], vec![(0, "Unreadable", true)]));
    fs::rename(&away, directory.folder.path()).unwrap();
    let back = directory.provider.read();
    assert_eq!((names(&back), back.records), (vec![], Some(Records::default())));

    let missing = FileProvider::open(&away).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the manifests directory"), "{missing}");
    let file = directory.folder.path().join("a.yaml");
    assert!(matches!(FileProvider::open(&file), Err(DirectoryError::NotADirectory(_))));
}

/// A watched directory, and the changes that came out of it.
struct Watched {
    folder: TempDir,
    batches: Receiver<Batch>,
    seen: Vec<String>,
    _watching: Watching,
}

impl Watched {
    fn new(prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        prepare(&root);
        let (send, batches) = channel();
        let (first, watching) = watch(&root, move |batch| send.send(batch).is_ok()).unwrap();
        Self { folder, batches, seen: names(&first), _watching: watching }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    /// Awaits `change`, whatever else comes before it.
    #[track_caller]
    fn await_change(&mut self, change: &str) {
        while !self.seen.iter().any(|seen| seen == change) {
            match self.batches.recv_timeout(DEADLINE) {
                Ok(batch) => self.seen.extend(names(&batch)),
                Err(_) => panic!("{change} did not come, but {:?}", self.seen),
            }
        }
        self.seen.clear();
    }

    /// Awaits a batch with records that fit.
    #[track_caller]
    fn await_records(&mut self, fits: impl Fn(&Records) -> bool) {
        loop {
            let batch = self.batches.recv_timeout(DEADLINE).expect("records came in time");
            self.seen.extend(names(&batch));
            if batch.records.as_ref().is_some_and(&fits) {
                return;
            }
        }
    }
}

#[test]
fn files_written_in_any_way_are_noticed() {
    let mut watched = Watched::new(|root| fs::write(root.join("a.yaml"), marked("a", "0")).unwrap());
    watched.await_change("a=0");
    watched.write("a.yaml", &marked("a", "1"));
    watched.await_change("a=1");
    watched.write("a.yaml.tmp", &marked("a", "2"));
    fs::rename(watched.at("a.yaml.tmp"), watched.at("a.yaml")).unwrap();
    watched.await_change("a=2");
    // The dance of editors: the old one goes aside, a new one is written in its place.
    fs::rename(watched.at("a.yaml"), watched.at("a.yaml~")).unwrap();
    watched.write("a.yaml", &marked("a", "3"));
    fs::remove_file(watched.at("a.yaml~")).unwrap();
    watched.await_change("a=3");
    watched.write("b.json", r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"b"}}"#);
    watched.await_change("b");
    // A rename by two names: the object must not vanish in between.
    fs::hard_link(watched.at("b.json"), watched.at("c.json")).unwrap();
    watched.write("c.yaml", &service("c"));
    watched.await_change("c");
    fs::remove_file(watched.at("b.json")).unwrap();
    watched.write("d.yaml", &service("d"));
    while !watched.seen.iter().any(|seen| seen == "d") {
        watched.seen.extend(names(&watched.batches.recv_timeout(DEADLINE).expect("d came in time")));
    }
    assert_eq!(watched.seen, ["d"]);
    fs::remove_file(watched.at("c.json")).unwrap();
    watched.await_change("-b");
}

#[test]
fn a_file_that_stays_open_is_read_when_its_writer_pauses() {
    use std::io::Write as _;
    let mut watched = Watched::new(|_| {});
    let mut file = File::create(watched.at("a.yaml")).unwrap();
    file.write_all(service("a").as_bytes()).unwrap();
    watched.await_change("a");
    drop(file);
}

#[test]
fn folders_that_come_go_and_change_places_with_files_are_noticed() {
    let mut watched = Watched::new(|_| {});
    fs::create_dir_all(watched.at("x/y")).unwrap();
    watched.write("x/y/a.yaml", &service("a"));
    watched.await_change("a");
    watched.write("x/y/a.yaml", &marked("a", "1"));
    watched.await_change("a=1");
    fs::rename(watched.at("x"), watched.folder.path().join("elsewhere")).unwrap();
    watched.await_change("-a");
    fs::rename(watched.folder.path().join("elsewhere"), watched.at("z")).unwrap();
    watched.await_change("a=1");
    watched.write("z/y/a.yaml", &marked("a", "2"));
    watched.await_change("a=2");
    fs::remove_dir_all(watched.at("z")).unwrap();
    watched.await_change("-a");
    fs::create_dir(watched.at("z")).unwrap();
    watched.write("z/b.yaml", &service("b"));
    watched.await_change("b");
    fs::remove_file(watched.at("z/b.yaml")).unwrap();
    fs::create_dir(watched.at("z/b.yaml")).unwrap();
    watched.write("z/b.yaml/c.yaml", &service("c"));
    watched.await_change("c");
}

#[test]
fn a_mounted_config_map_changes_as_one() {
    let version = |root: &Path, folder: &str, mark: &str| {
        fs::create_dir(root.join(folder)).unwrap();
        fs::write(root.join(folder).join("a.yaml"), marked("a", mark)).unwrap();
        fs::write(root.join(folder).join("b.yaml"), marked("b", mark)).unwrap();
        symlink(folder, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    };
    let mut watched = Watched::new(|root| {
        version(root, "..2026_1", "1");
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
        symlink("..data/b.yaml", root.join("b.yaml")).unwrap();
    });
    assert_eq!(watched.seen, ["a=1", "b=1"], "each is read once, not by its hidden name too");
    for round in 2..5 {
        version(&watched.at(""), &format!("..2026_{round}"), &round.to_string());
        fs::remove_dir_all(watched.at(&format!("..2026_{}", round - 1))).unwrap();
        watched.await_change(&format!("b={round}"));
    }
    symlink("..data/gone.yaml", watched.at("gone.yaml")).unwrap();
    fs::remove_file(watched.at("a.yaml")).unwrap();
    watched.await_change("-a");
}

#[test]
fn a_linked_folder_that_is_swapped_is_noticed() {
    let mut watched = Watched::new(|root| {
        for version in ["1", "2"] {
            let folder = root.parent().unwrap().join(version);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("a.yaml"), marked("a", version)).unwrap();
        }
        symlink("../1", root.join("current")).unwrap();
    });
    watched.await_change("a=1");
    symlink("../2", watched.at("next")).unwrap();
    fs::rename(watched.at("next"), watched.at("current")).unwrap();
    watched.await_change("a=2");
    fs::write(watched.folder.path().join("2/a.yaml"), marked("a", "3")).unwrap();
    watched.await_change("a=3");
}

#[test]
fn a_root_that_goes_is_kept_and_found_again() {
    let mut watched = Watched::new(|root| fs::write(root.join("a.yaml"), service("a")).unwrap());
    watched.await_change("a");
    let away = watched.folder.path().join("away");
    fs::rename(watched.at(""), &away).unwrap();
    watched.await_records(|records| !records.input.is_empty());
    assert!(watched.seen.is_empty(), "{:?}", watched.seen);
    fs::create_dir(watched.at("")).unwrap();
    watched.write("b.yaml", &service("b"));
    watched.await_change("b");
    watched.write("b.yaml", &marked("b", "1"));
    watched.await_change("b=1");
}

#[test]
fn hidden_files_and_other_files_are_left_alone() {
    let watched = Watched::new(|_| {});
    for name in [".a.yaml.swp", ".a.yaml", "notes.txt", "a.yaml~", "4913"] {
        watched.write(name, &service("hidden"));
    }
    watched.write("b.yaml", &service("b"));
    let batch = watched.batches.recv_timeout(DEADLINE).unwrap();
    assert_eq!(names(&batch), ["b"]);
}
