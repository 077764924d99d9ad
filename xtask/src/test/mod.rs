//! `cargo xtask test`: every check that CI runs, the fast ones first. One profile (dev) for everything that is built.

mod chart;
mod dashboard;
mod demo;
mod examples;
mod h2spec;
mod kubernetes;
mod schemas;
mod segment;

pub(crate) use segment::vip;

use crate::{
    step::{self, Outcome, Step},
    tools,
    workspace::{cargo, program, root, run as run_command},
};

static STEPS: &[Step] = &[
    Step { name: "fmt", about: "formatting", run: fmt },
    Step { name: "clippy", about: "lints of every target, warnings are errors", run: clippy },
    Step { name: "doc", about: "documentation, broken links are errors", run: doc },
    Step { name: "deny", about: "bans, licences and sources of all dependencies; advisories", run: deny },
    Step { name: "build", about: "every binary, dev profile", run: build },
    Step {
        name: "unit",
        about: "tests of every crate but those of `segment`, the fuzz corpora's replay among them",
        run: unit,
    },
    Step {
        name: "segment",
        about: "ARP, neighbour discovery, kernel state and whole agents between network namespaces",
        run: segment::run,
    },
    Step { name: "schemas", about: "our object types against the CRDs that others publish", run: schemas::run },
    Step { name: "examples", about: "`postern check` over examples/", run: examples::run },
    Step { name: "h2spec", about: "HTTP/2 conformance of the built binary, plain and over TLS", run: h2spec::run },
    Step { name: "demo", about: "`postern demo` end to end with curl", run: demo::run },
    Step { name: "dashboard", about: "the dashboard in a real Chromium", run: dashboard::run },
    Step { name: "chart", about: "the Helm chart and all manifests that are shipped", run: chart::run },
    Step { name: "kubernetes", about: "against a real API server, built from its Go modules", run: kubernetes::run },
];

/// The command.
pub(crate) fn run(names: &[String]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("no step `{unknown}`; there are: {}", known.join(", ")));
    }
    step::run_all(STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)))
}

fn fmt() -> Result<Outcome, String> {
    run_command(&mut cargo(&["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

fn clippy() -> Result<Outcome, String> {
    run_command(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))?;
    Ok(Outcome::Passed)
}

fn doc() -> Result<Outcome, String> {
    let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"];
    // Private items are documented too, so links to them do not break.
    run_command(cargo(&arguments).env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links"))?;
    Ok(Outcome::Passed)
}

fn deny() -> Result<Outcome, String> {
    let cargo_deny = match tools::cargo_deny() {
        Ok(binary) => binary,
        Err(reason) => return Ok(Outcome::Skipped(format!("cargo-deny cannot be installed: {reason}"))),
    };
    let check = |what: &[&str]| program(&cargo_deny, &["--log-level", "error", "check"]).args(what).status();
    let failed = |error: std::io::Error| format!("cargo-deny: {error}");
    if !check(&["bans", "licenses", "sources"]).map_err(failed)?.success() {
        return Err("cargo-deny found what deny.toml forbids (see above)".to_owned());
    }
    advisories(&cargo_deny)
}

/// Advisories need the database from the network; where it cannot be fetched that is said, not passed over.
fn advisories(cargo_deny: &std::path::Path) -> Result<Outcome, String> {
    let unreachable = "security advisories: the advisory database cannot be fetched here";
    match program(cargo_deny, &["--log-level", "error", "fetch", "db"]).output() {
        Ok(output) if output.status.success() => {
            run_command(&mut program(cargo_deny, &["--log-level", "error", "check", "advisories", "--disable-fetch"]))?;
            Ok(Outcome::Passed)
        }
        _ => Ok(Outcome::Limited(unreachable.to_owned())),
    }
}

fn build() -> Result<Outcome, String> {
    run_command(&mut cargo(&["build", "--workspace", "--bins", "--locked", "--quiet"]))?;
    Ok(Outcome::Passed)
}

fn unit() -> Result<Outcome, String> {
    if !root().join("fuzz/corpus").is_dir() {
        return Err("fuzz/corpus is missing: there is nothing to replay".to_owned());
    }
    let others = ["test", "--workspace", "--exclude", segment::PACKAGE, "--locked", "--quiet", "--no-fail-fast"];
    run_command(&mut cargo(&others))?;
    segment::run_others()?;
    Ok(Outcome::Passed)
}
