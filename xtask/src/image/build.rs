//! Static binaries for both architectures, by glibc: docs/design/0003-a-static-binary.md says why.

use std::path::{Path, PathBuf};

use crate::{
    dist, tools,
    workspace::{self, cargo, output, program, run},
};

/// With a target named, these reach what is shipped and no build script. The crate getrandom would look for getrandom(2)
/// with dlsym, which finds nothing in a static program, and then want /dev/urandom, which not every root has.
pub(crate) const STATIC: &str = "-C target-feature=+crt-static --cfg getrandom_backend=\"linux_getrandom\"";

/// A processor that images are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arch {
    Amd64,
    Arm64,
}

/// How the binary is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// Fast to build.
    Dev,
    /// Optimised.
    Release,
    /// Optimised for the paths that are hot.
    Dist,
}

impl Arch {
    /// This machine's.
    pub(super) fn of_host() -> Result<Self, String> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            other => Err(format!("images are made for amd64 and arm64, and this machine is {other}")),
        }
    }

    /// As images name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// As compilers name it.
    fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    fn triple(self) -> String {
        format!("{}-unknown-linux-gnu", self.machine())
    }

    /// On aarch64 a static program lies at a fixed address in any case. Told so, the compiler asks for few entries of the
    /// global offset table: of a large one, glibc's start-up code does not reach what it wants.
    fn flags(self) -> String {
        match self {
            Self::Amd64 => STATIC.to_owned(),
            Self::Arm64 => format!("{STATIC} -C relocation-model=static"),
        }
    }

    /// A program of the GNU tools for it: with a prefix where it is not this machine's.
    fn tool(self, name: &str) -> Result<String, String> {
        if Self::of_host()? == self { Ok(name.to_owned()) } else { Ok(format!("{}-linux-gnu-{name}", self.machine())) }
    }
}

/// Builds Postern; returns a copy of it without symbols that only a debugger reads.
pub(super) fn binary(arch: Arch, profile: Profile) -> Result<PathBuf, String> {
    let host = Arch::of_host()?;
    if arch != host {
        tools_for(arch)?;
    }
    let built = match profile {
        Profile::Dev => compiled(arch, "dev", "debug")?,
        Profile::Release => compiled(arch, "release", "release")?,
        Profile::Dist if arch == host => dist::trained(&dist::benches()?, &tools::llvm_profdata()?)?,
        Profile::Dist => {
            return Err(format!(
                "image: --profile dist runs the binary to train it, which takes a machine of {}; build there, or with \
                 --profile release",
                arch.name()
            ));
        }
    };
    stripped(&built, arch, if profile == Profile::Dev { "--strip-debug" } else { "--strip-all" })
}

fn compiled(arch: Arch, profile: &str, folder: &str) -> Result<PathBuf, String> {
    let triple = arch.triple();
    let of_target = triple.replace('-', "_").to_uppercase();
    let arguments = ["build", "--locked", "-p", "postern-proxy", "--bin", "postern", "--profile", profile, "--target"];
    let mut build = cargo(&arguments);
    build.arg(&triple).env(format!("CARGO_TARGET_{of_target}_RUSTFLAGS"), arch.flags());
    if arch != Arch::of_host()? {
        build.env(format!("CARGO_TARGET_{of_target}_LINKER"), arch.tool("gcc")?);
    }
    run(&mut build)?;
    Ok(workspace::target().join(&triple).join(folder).join("postern"))
}

/// A C compiler and linker, and Rust's standard library, for another architecture than this machine's.
fn tools_for(arch: Arch) -> Result<(), String> {
    let machine = arch.machine().replace('_', "-");
    tools::debian(&arch.tool("gcc")?, &format!("gcc-{machine}-linux-gnu"))?;
    let libraries = output(&mut program("rustc", &["--print", "sysroot"]))?;
    let libraries = Path::new(libraries.trim()).join("lib/rustlib").join(arch.triple());
    if libraries.is_dir() {
        return Ok(());
    }
    run(&mut program("rustup", &["target", "add", &arch.triple()]))
}

fn stripped(built: &Path, arch: Arch, how: &str) -> Result<PathBuf, String> {
    let copy = built.with_file_name("postern.stripped");
    run(program(arch.tool("strip")?, &[how, "-o"]).arg(&copy).arg(built))?;
    must_be_static(&copy, arch)?;
    Ok(copy)
}

/// An image without a libc starts nothing that wants an interpreter.
fn must_be_static(binary: &Path, arch: Arch) -> Result<(), String> {
    let headers = output(program(arch.tool("readelf")?, &["--program-headers", "--dynamic", "--wide"]).arg(binary))?;
    match headers.lines().find(|line| line.contains("INTERP") || line.contains("(NEEDED)")) {
        Some(line) => Err(format!("{} is not static: {}", binary.display(), line.trim())),
        None => Ok(()),
    }
}
