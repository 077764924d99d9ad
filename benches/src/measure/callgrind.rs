//! Instructions and allocations per request, counted by callgrind: the figures that a noisy machine cannot blur.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::result::{Context, Error, Result};

/// What a stretch of execution cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Instructions in user space.
    pub(crate) instructions: u64,
    /// Calls into the allocator that may hand out memory.
    pub(crate) allocations: u64,
}

/// The words to put in front of a command so that it runs under callgrind and writes to `folder`.
pub(crate) fn prefix(folder: &Path) -> Vec<String> {
    let out = folder.join("callgrind.out");
    ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--compress-strings=yes", "--compress-pos=no"]
        .into_iter()
        .map(str::to_owned)
        .chain([format!("--callgrind-out-file={}", out.display())])
        .collect()
}

/// Counts what `pid` does while `work` runs.
pub(crate) fn count(pid: u32, folder: &Path, work: impl FnOnce() -> Result<()>) -> Result<Counts> {
    control(&["-i", "on"], pid)?;
    control(&["-z"], pid)?;
    let before = dumps(folder)?;
    work()?;
    control(&["-d"], pid)?;
    control(&["-i", "off"], pid)?;
    let after = dumps(folder)?;
    let new = after.into_iter().filter(|path| !before.contains(path));
    let mut counts = Counts::default();
    let mut files = 0;
    for path in new {
        let one = read(&fs::read_to_string(&path).context(path.display().to_string())?);
        counts.instructions += one.instructions;
        counts.allocations += one.allocations;
        files += 1;
    }
    if files == 0 { Err(Error::Unexpected("callgrind wrote no dump".to_owned())) } else { Ok(counts) }
}

fn control(arguments: &[&str], pid: u32) -> Result<()> {
    let output = Command::new("callgrind_control").args(arguments).arg(pid.to_string()).output();
    let output = output.context("callgrind_control")?;
    if output.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Error::Unexpected(format!("callgrind_control {}: {said}", arguments.join(" "))))
    }
}

fn dumps(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).context(folder.display().to_string())?;
    let named =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("callgrind.out."));
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(named).collect())
}

/// Reads a profile: `totals:`/`summary:` for instructions; calls from outside the allocator into it for allocations.
pub(crate) fn read(profile: &str) -> Counts {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut counts = Counts::default();
    let mut summary = 0;
    let (mut function, mut callee) = ("", "");
    for line in profile.lines() {
        if let Some(text) = line.strip_prefix("fn=") {
            function = name_of(&mut names, text);
        } else if let Some(text) = line.strip_prefix("cfn=") {
            callee = name_of(&mut names, text);
        } else if let Some(text) = line.strip_prefix("calls=") {
            if allocates(callee) && !is_allocator(function) {
                counts.allocations += first_number(text);
            }
        } else if let Some(text) = line.strip_prefix("totals:") {
            counts.instructions = first_number(text);
        } else if let Some(text) = line.strip_prefix("summary:") {
            summary = first_number(text);
        }
    }
    counts.instructions = counts.instructions.max(summary);
    counts
}

/// `(12) name` defines a name, `(12)` uses it.
fn name_of<'a>(names: &mut HashMap<&'a str, &'a str>, text: &'a str) -> &'a str {
    match text.split_once(") ") {
        Some((id, name)) => {
            names.insert(id, name);
            name
        }
        None => names.get(text.trim_end_matches(')')).copied().unwrap_or(text),
    }
}

fn is_allocator(name: &str) -> bool {
    name.starts_with("mi_") || name.starts_with("_mi_")
}

fn allocates(name: &str) -> bool {
    is_allocator(name) && ["alloc", "realloc"].iter().any(|word| name.contains(word)) && !name.contains("free")
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_into_the_allocator_are_counted_once_and_by_compressed_name() {
        let profile = "events: Ir\nfn=(1) serve\ncfn=(2) mi_malloc_aligned\ncalls=3 0\n0 30\nfn=(2)\ncfn=(3) mi_heap_malloc\n\
            calls=3 0\n0 20\nfn=(4) other\ncfn=(2)\ncalls=2 0\n0 9\ncfn=(5) mi_free\ncalls=9 0\n0 9\ntotals: 1234\n";
        let counts = read(profile);
        assert_eq!((counts.instructions, counts.allocations), (1234, 5));
    }
}
