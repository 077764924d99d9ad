//! `cargo xtask image`: the container image, without Docker. [`build`] makes the static binaries, [`layout`] the files of
//! an image of the Open Container Initiative; the same source and settings give the same bytes.

mod build;
mod layout;

use std::path::PathBuf;

use jiff::Timestamp;

pub(crate) use self::build::STATIC;
use self::{
    build::{Arch, Profile},
    layout::{File, Layout, Platform},
};
use crate::workspace::{self, program};

const USAGE: &str = "wants: [--arch amd64|arm64|all] [--profile dev|release|dist] [--name NAME:TAG]... --out FILE";

/// What the command line asks for.
struct Asked {
    arches: Vec<Arch>,
    profile: Profile,
    names: Vec<String>,
    out: PathBuf,
}

/// The command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let asked = read(arguments).map_err(|reason| format!("image: {reason}; {USAGE}"))?;
    let created = created()?;
    let mut layout = Layout::new(created, labels(created));
    for arch in &asked.arches {
        let binary = build::binary(*arch, asked.profile)?;
        let failed = |error| format!("{}: {error}", binary.display());
        let bytes = std::fs::read(&binary).map_err(failed)?;
        println!("{}: {} bytes", binary.display(), bytes.len());
        layout.add(Platform { architecture: arch.name() }, &files(bytes)?).map_err(failed)?;
    }
    let tar = layout.finish(&asked.names).map_err(|error| format!("the image: {error}"))?;
    std::fs::write(&asked.out, &tar).map_err(|error| format!("{}: {error}", asked.out.display()))?;
    println!("{}: {} bytes, as {}", asked.out.display(), tar.len(), asked.names.join(" and "));
    Ok(())
}

/// The binary, and what its licence asks to go with it. No certificates of authorities: the API server's is mounted with
/// the service account, and public ones are in the binary.
fn files(binary: Vec<u8>) -> Result<Vec<File>, String> {
    let text = |name: &str| std::fs::read(workspace::root().join(name)).map_err(|error| format!("{name}: {error}"));
    Ok(vec![
        File { path: "licenses/LICENSE", mode: 0o644, bytes: text("LICENSE")? },
        File { path: "licenses/NOTICE", mode: 0o644, bytes: text("NOTICE")? },
        File { path: "postern", mode: 0o755, bytes: binary },
    ])
}

/// What stands for the time of the build: SOURCE_DATE_EPOCH, or the time of the commit.
fn created() -> Result<Timestamp, String> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => workspace::output(&mut program("git", &["log", "-1", "--format=%ct"])).unwrap_or_else(|_| "0".into()),
    };
    let seconds = text.trim().parse().ok().filter(|seconds| *seconds >= 0);
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.ok_or_else(|| format!("image: SOURCE_DATE_EPOCH: {text:?} is no number of seconds since 1970"))
}

fn labels(created: Timestamp) -> Vec<(&'static str, String)> {
    let revision = workspace::output(&mut program("git", &["rev-parse", "HEAD"])).unwrap_or_default();
    let mut labels = vec![
        ("org.opencontainers.image.created", created.to_string()),
        (
            "org.opencontainers.image.description",
            "A gate in front of a cluster: serves what its objects ask for".into(),
        ),
        ("org.opencontainers.image.licenses", env!("CARGO_PKG_LICENSE").into()),
        ("org.opencontainers.image.title", "postern".into()),
        ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION").into()),
    ];
    if !revision.trim().is_empty() {
        labels.push(("org.opencontainers.image.revision", revision.trim().to_owned()));
    }
    labels.sort();
    labels
}

fn read(arguments: &[String]) -> Result<Asked, String> {
    let (mut arches, mut profile, mut names, mut out) = (vec![Arch::of_host()?], Profile::Release, Vec::new(), None);
    for pair in arguments.chunks(2) {
        match pair.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["--arch", "all"] => arches = vec![Arch::Amd64, Arch::Arm64],
            ["--arch", "amd64"] => arches = vec![Arch::Amd64],
            ["--arch", "arm64"] => arches = vec![Arch::Arm64],
            ["--profile", "dev"] => profile = Profile::Dev,
            ["--profile", "release"] => profile = Profile::Release,
            ["--profile", "dist"] => profile = Profile::Dist,
            ["--name", name] => names.push(full_name(name)?),
            ["--out", file] => out = Some(std::path::absolute(file).map_err(|error| format!("{file}: {error}"))?),
            other => return Err(format!("does not know `{}`", other.join(" "))),
        }
    }
    if names.is_empty() {
        names.push(format!("localhost/postern:{}", env!("CARGO_PKG_VERSION")));
    }
    Ok(Asked { arches, profile, names, out: out.ok_or("--out is missing")? })
}

/// A name as containerd keeps it: with a registry and a tag.
fn full_name(name: &str) -> Result<String, String> {
    let (repository, tag) = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((name, ""));
    let registry = repository.split_once('/').map_or("", |(registry, _)| registry);
    if tag.is_empty() || !(registry.contains(['.', ':']) || registry == "localhost") {
        return Err(format!("`{name}` is not REGISTRY/NAME:TAG, for example localhost/postern:dev"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_registry_and_a_tag() {
        for (name, good) in [
            ("localhost/postern:dev", true),
            ("registry.example.com:5000/a/b:1", true),
            ("postern:dev", false),
            ("library/postern:dev", false),
            ("localhost/postern", false),
            ("registry.example.com:5000/postern", false),
        ] {
            assert_eq!(full_name(name).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn an_unknown_word_is_wrong_usage() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(read(&words("--arch amd64 --profile dev --out a.tar")).is_ok());
        for line in ["", "--arch riscv64 --out a", "--profile fast --out a", "--out", "--name postern --out a"] {
            assert!(read(&words(line)).is_err(), "{line}");
        }
    }
}
