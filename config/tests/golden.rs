//! Golden folders: one per rule, `golden/RULE/input.yaml` → `snapshot.txt` and `report.txt`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p postern-config --test golden` writes what is computed now; read the difference
//! before committing it. A line `# settings: NAME NAME…` in an input switches settings on (see [`settings`]).
#![allow(clippy::unwrap_used, reason = "a test that cannot read its own files must fail")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use postern_config::{
    compile::{Compiler, Output},
    kubernetes::{
        convert::{EntryPoint, Settings, exposure::Keeper},
        document,
    },
    model::address_map::AddressMap,
    report::Report,
    snapshot::{SocketKey, Transport},
};

#[test]
fn every_golden_folder_gives_its_snapshot_and_report() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    let wrong: Vec<String> = folders.iter().flat_map(|folder| differences(folder)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn differences(folder: &Path) -> Vec<String> {
    let output = compile(&fs::read(folder.join("input.yaml")).unwrap());
    let computed = [("snapshot.txt", output.snapshot.to_string()), ("report.txt", report(&output.report))];
    let wrong = computed.into_iter().filter_map(|(name, text)| difference(&folder.join(name), &text));
    wrong.collect()
}

fn difference(file: &Path, computed: &str) -> Option<String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file, computed).unwrap();
        return None;
    }
    let wanted =
        fs::read_to_string(file).unwrap_or_else(|_| "(no such file; write it with UPDATE_GOLDEN=1)\n".to_owned());
    (wanted != computed).then(|| format!("{}\n--- wanted\n{wanted}--- computed\n{computed}", file.display()))
}

fn compile(input: &[u8]) -> Output {
    let parsed = document::parse_bytes(Path::new("input.yaml"), input);
    let mut compiler = Compiler::new(settings(&String::from_utf8_lossy(input)));
    compiler.set_input_problems(parsed.input);
    compiler.set_skipped(parsed.skipped);
    compiler.set_incomplete(input.starts_with(b"# incomplete"));
    compiler.apply(parsed.changes)
}

fn settings(input: &str) -> Settings {
    let mut settings = Settings::for_files("2026-06-01T00:00:00Z".parse().unwrap());
    let names = input.lines().filter_map(|line| line.strip_prefix("# settings:")).flat_map(str::split_whitespace);
    for name in names {
        match name {
            "address-map" => settings.addresses.map = Arc::new(address_map()),
            "allow-cross-namespace" => settings.allow_cross_namespace = true,
            "allow-external-names" => settings.allow_external_names = true,
            "cluster-addresses" => settings.addresses.keeper = Keeper::Cluster,
            "ignore-exclude-label" => settings.addresses.ignore_excluded = true,
            "no-classless-ingress" => settings.serve_classless_ingress = false,
            "private-entry-point" => settings.entry_points.push(EntryPoint {
                name: "private".into(),
                socket: SocketKey { address: Some([192, 0, 2, 2].into()), port: 443 },
                transport: Transport::Tls,
                ingress_classes: vec!["traefik-private".into()],
            }),
            "no-loopback-endpoints" => settings.allow_loopback_endpoints = false,
            other => panic!("no setting is called {other}"),
        }
    }
    settings
}

fn address_map() -> AddressMap {
    AddressMap::new(["203.0.113.7=10.0.0.5".parse().unwrap(), "203.0.113.8=10.0.0.5".parse().unwrap()]).unwrap()
}

fn report(report: &Report) -> String {
    let mut text = String::new();
    for (object, verdict) in &report.objects {
        let line = verdict.origin.as_ref().map_or(0, |origin| origin.line);
        let worst = verdict.worst().map_or("accepted", |severity| severity.as_str());
        writeln!(text, "{object} (line {line}): {worst}").unwrap();
        for finding in &verdict.findings {
            writeln!(text, "  {finding}").unwrap();
        }
        for (section, count) in &verdict.attached {
            writeln!(text, "  attached to {section:?}: {count}").unwrap();
        }
    }
    for problem in &report.input {
        writeln!(text, "line {}: {}: {}", problem.line, problem.reason, problem.message).unwrap();
    }
    for skipped in &report.skipped {
        writeln!(text, "line {}: {} {}: {}", skipped.line, skipped.kind, skipped.name, skipped.message).unwrap();
    }
    text
}
