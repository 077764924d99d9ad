//! Every kept input of every target still passes, without cargo-fuzz: seeds, and what fuzzing once found.

use std::{fs, path::PathBuf};

use postern_fuzz_targets::TARGETS;

fn corpus(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name)
}

#[test]
fn every_kept_input_passes() {
    for (name, target) in TARGETS {
        let folder = fs::read_dir(corpus(name)).unwrap_or_else(|error| panic!("the corpus of {name}: {error}"));
        let files: Vec<PathBuf> = folder.map(|entry| entry.expect("an entry can be read").path()).collect();
        assert!(!files.is_empty(), "{name} has no seed");
        for file in files {
            let input = fs::read(&file).expect("an input can be read");
            // The name of the input that panics is in the output of the test.
            println!("{}", file.display());
            target(&input);
        }
    }
}

#[test]
fn every_target_can_be_fuzzed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
    for (name, _) in TARGETS {
        assert!(folder.join(format!("{name}.rs")).is_file(), "fuzz_targets/{name}.rs is missing");
    }
}
