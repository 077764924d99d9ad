//! Programs of others that tests and benches need: Debian packages where we are root, else cargo installs and Go
//! modules at pinned versions. Each function makes the thing available or says in one sentence why it cannot.

use std::path::{Path, PathBuf};

use crate::workspace::{self, cargo, has, peers, program, run, script};

const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";
/// What the pinned versions of `scripts/etcd.sh` and `scripts/kube.sh` ask for.
const GO_FOR_KUBERNETES: (u32, u32) = (1, 25);
/// Go modules that hold CustomResourceDefinitions: module, version, and the files in it, with examples of what they refuse.
const CRDS: [(&str, &str, &[&str]); 2] = [
    ("sigs.k8s.io/gateway-api", "v1.7.0", &["config/crd/*", "hack/invalid-examples/*"]),
    (
        "github.com/traefik/traefik/v3",
        "v3.7.13",
        &["docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml"],
    ),
];
/// The same of operators that read what deploy/ holds.
const OPERATOR_CRDS: [(&str, &str, &str); 5] = [
    (
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
    ("github.com/fluxcd/helm-controller", "v1.4.0", "config/crd/bases/*"),
    ("github.com/fluxcd/kustomize-controller", "v1.10.1", "config/crd/bases/*"),
    ("github.com/fluxcd/source-controller", "v1.10.1", "config/crd/bases/*"),
    ("github.com/argoproj/argo-cd/v3", "v3.6.1", "manifests/crds/application-crd.yaml"),
];

/// A program from a Debian package.
pub(crate) fn debian(binary: &str, package: &str) -> Result<(), String> {
    if has(binary) || PathBuf::from("/usr/sbin").join(binary).is_file() {
        return Ok(());
    }
    if !has("apt-get") || !is_root() {
        return Err(format!("`{binary}` is missing: install the package {package} (needs root and apt)"));
    }
    println!("installing the Debian package {package}");
    let update = run(program("apt-get", &["update", "-q"]).stdout(std::process::Stdio::null()));
    let install = run(program("apt-get", &["install", "-y", "-q", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::process::Stdio::null()));
    install.map_err(|reason| match update {
        Ok(()) => reason,
        Err(first) => format!("{reason} (before it: {first})"),
    })
}

/// cargo-deny.
pub(crate) fn cargo_deny() -> Result<PathBuf, String> {
    installed("cargo-deny", CARGO_DENY)
}

/// cargo-fuzz.
pub(crate) fn cargo_fuzz() -> Result<PathBuf, String> {
    installed("cargo-fuzz", CARGO_FUZZ)
}

/// llvm-profdata of the compiler's own LLVM: no other reads the counters that it writes.
pub(crate) fn llvm_profdata() -> Result<PathBuf, String> {
    let version = workspace::rustc("LLVM version")?;
    let major = version.split('.').next().unwrap_or_default();
    let sysroot = workspace::output(&mut program("rustc", &["--print", "sysroot"]))?;
    let component = Path::new(sysroot.trim()).join("lib/rustlib").join(workspace::rustc("host")?);
    let component = component.join("bin/llvm-profdata");
    if component.is_file() {
        return Ok(component);
    }
    let name = format!("llvm-profdata-{major}");
    match debian(&name, &format!("llvm-{major}")) {
        Ok(()) => Ok(name.into()),
        Err(reason) => Err(format!("{reason}, or run `rustup component add llvm-tools`")),
    }
}

/// Chromium, by whatever name it is installed: Debian's package where there is none.
pub(crate) fn chromium() -> Result<&'static str, String> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    match names.into_iter().find(|name| has(name)) {
        Some(name) => Ok(name),
        None => debian("chromium", "chromium").map(|()| "chromium"),
    }
}

/// h2spec, from Go modules.
pub(crate) fn h2spec() -> Result<PathBuf, String> {
    if !peers().join("bin/h2spec").is_file() {
        debian("go", "golang-go")?;
    }
    of_go_module("h2spec")
}

/// helm, from Go modules.
pub(crate) fn helm() -> Result<PathBuf, String> {
    go_for_kubernetes()?;
    of_go_module("helm")
}

fn of_go_module(name: &str) -> Result<PathBuf, String> {
    run(script("tools.sh").arg(name))?;
    let binary = peers().join("bin").join(name);
    if binary.is_file() { Ok(binary) } else { Err(format!("{name} could not be built from its Go module (see above)")) }
}

/// etcd and these parts of Kubernetes, from Go modules; the folder where they lie.
pub(crate) fn kubernetes(components: &[&str]) -> Result<PathBuf, String> {
    go_for_kubernetes()?;
    debian("openssl", "openssl")?;
    debian("curl", "curl")?;
    run(&mut script("etcd.sh"))?;
    run(script("kube.sh").args(components))?;
    Ok(peers().join("bin"))
}

/// Debian's package is too old for Kubernetes, so it is not installed.
fn go_for_kubernetes() -> Result<(), String> {
    let (major, minor) = GO_FOR_KUBERNETES;
    let wanted = format!("Kubernetes is built with Go {major}.{minor} or newer (https://go.dev/dl)");
    if !has("go") {
        return Err(format!("{wanted}: there is no `go` here"));
    }
    let text = workspace::output(&mut program("go", &["env", "GOVERSION"]))?;
    let mut numbers = text.trim().trim_start_matches("go").split('.').map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(a), Some(b)) if (a, b) >= (major, minor) => Ok(()),
        _ => Err(format!("{wanted}: here is {}", text.trim())),
    }
}

/// A folder with the CustomResourceDefinitions of other projects, from Go modules.
pub(crate) fn crds() -> Result<PathBuf, String> {
    let folder = peers().join("schemas");
    for (module, version, files) in CRDS {
        unpack(&folder, module, version, files)?;
    }
    Ok(folder)
}

/// The folder of Gateway API's standard channel.
pub(crate) fn gateway_crds() -> Result<PathBuf, String> {
    let (module, version, _) = CRDS[0];
    Ok(crds()?.join(format!("{module}@{version}")).join("config/crd/standard"))
}

/// The folder of Traefik's CRDs.
pub(crate) fn traefik_crds() -> Result<PathBuf, String> {
    let (module, version, _) = CRDS[1];
    Ok(crds()?.join(format!("{module}@{version}")).join("docs/content/reference/dynamic-configuration"))
}

/// The folder with `files` of a Go module, which hold definitions that are shipped.
pub(crate) fn definitions(module: &str, version: &str, files: &[&str]) -> Result<PathBuf, String> {
    let folder = peers().join("definitions");
    unpack(&folder, module, version, files)?;
    Ok(folder.join(format!("{module}@{version}")))
}

/// Folders with the CustomResourceDefinitions of operators that read what deploy/ holds, from Go modules.
pub(crate) fn operator_crds() -> Result<Vec<PathBuf>, String> {
    // Apart from those of kinds that Postern knows, which tests read every one of.
    let folder = peers().join("operators");
    let unpacked = |(module, version, files): (&str, &str, &str)| {
        unpack(&folder, module, version, &[files])?;
        Ok(folder.join(format!("{module}@{version}")))
    };
    OPERATOR_CRDS.into_iter().map(unpacked).collect()
}

/// Puts `files` of a Go module into `folder`, unless they are there.
fn unpack(folder: &Path, module: &str, version: &str, files: &[&str]) -> Result<(), String> {
    let inside = format!("{module}@{version}");
    let unpacked = folder.join(&inside);
    if files.iter().all(|files| unpacked.join(files.trim_end_matches("/*")).exists()) {
        return Ok(());
    }
    debian("go", "golang-go")?;
    debian("unzip", "unzip")?;
    // Into a folder aside first: what was cut short must not look complete.
    let partial = workspace::target().join("xtask").join("schemas");
    let _ = std::fs::remove_dir_all(&partial);
    let failed = |error: std::io::Error| format!("{}: {error}", unpacked.display());
    for parent in [Some(partial.as_path()), unpacked.parent()].into_iter().flatten() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let zip = module_zip(module, version)?;
    let wanted = files.iter().map(|files| format!("{inside}/{files}"));
    run(program("unzip", &["-q"]).arg(zip).args(wanted).arg("-d").arg(&partial))?;
    // What an older list of files has left.
    let _ = std::fs::remove_dir_all(&unpacked);
    run(program("mv", &[]).arg(partial.join(&inside)).arg(&unpacked))
}

/// The archive of a Go module. Nothing of it is built, so it may ask for a newer Go than is here.
fn module_zip(module: &str, version: &str) -> Result<PathBuf, String> {
    println!("fetching the Go module {module}@{version}");
    let mut download = program("go", &["mod", "download", "-json", &format!("{module}@{version}")]);
    let answer = download.current_dir(std::env::temp_dir()).env("GOTOOLCHAIN", "local").output();
    let answer = answer.map_err(|error| format!("go: {error}"))?;
    let text = String::from_utf8_lossy(&answer.stdout);
    let zip = text.lines().find_map(|line| line.trim().strip_prefix("\"Zip\": \"")?.split('"').next());
    zip.map(PathBuf::from)
        .ok_or_else(|| format!("{module}@{version}: {text}{}", String::from_utf8_lossy(&answer.stderr)))
}

fn installed(name: &str, version: &str) -> Result<PathBuf, String> {
    let stamp = peers().join("bin").join(format!(".{name}.version"));
    let binary = peers().join("bin").join(name);
    if binary.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|text| text == version) {
        return Ok(binary);
    }
    println!("installing {name} {version}");
    run(cargo(&["install", "--locked", name, "--version", version, "--root"])
        .arg(peers())
        .env("CARGO_TARGET_DIR", peers().join("build")))?;
    std::fs::write(&stamp, version).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(binary)
}

/// Whether packages may be installed and network namespaces made.
pub(crate) fn is_root() -> bool {
    workspace::output(&mut program("id", &["-u"])).is_ok_and(|text| text.trim() == "0")
}
