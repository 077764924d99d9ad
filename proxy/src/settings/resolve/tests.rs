//! What wins, and what each mistake says.

use std::{io::Write as _, time::Duration};

use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn said(file: Option<&tempfile::NamedTempFile>, variables: &[(&str, &str)]) -> Said {
    Said {
        file: file.map(|file| file.path().to_owned()),
        variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        flags: Vec::new(),
    }
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file_which_wins_over_defaults() {
    let file = file("workers: 3\nlimits:\n  headerCount: 50\n  idle: 1m30s\n");
    let mut all = said(Some(&file), &[("POSTERN_WORKERS", "5"), ("POSTERN_LIMITS_HEADER_COUNT", "60")]);
    all.flags.push(("workers", "workers", Value::Text("7".into())));
    let settings = resolve(Settings::default(), &all).expect("good settings");
    assert_eq!(settings.workers, 7);
    assert_eq!(settings.limits.header_count, 60);
    assert_eq!(settings.limits.idle, Duration::from_secs(90));
    assert_eq!(settings.limits.header_bytes, Settings::default().limits.header_bytes);
}

#[test]
fn what_is_named_by_a_public_address_is_bound_at_the_private_one() {
    let file = file(
        "bind: [203.0.113.7, 10.0.0.5, '::1']\nentryPoints:\n  web: {port: 80, address: 203.0.113.7}\n  lan: {port: 80, address: 192.0.2.1}\n",
    );
    let settings = resolve(Settings::default(), &said(Some(&file), &[("POSTERN_ADDRESS_MAP", "203.0.113.7=10.0.0.5")]));
    let settings = settings.expect("good settings");
    assert_eq!(settings.bind.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.5", "::1"]);
    let sockets: Vec<_> = settings.entry_points.iter().map(|entry| entry.socket.to_string()).collect();
    assert_eq!(sockets, ["10.0.0.5:80", "192.0.2.1:80"]);
    let map = settings.for_compiler(jiff::Timestamp::UNIX_EPOCH).addresses.map;
    assert!(map.is_private("10.0.0.5".parse().expect("an address")));
    assert_eq!(settings.cluster.scope.writing.map(|writing| writing.map), Some((*map).clone()));
}

#[test]
fn each_mistake_names_place_key_value_and_what_is_allowed() {
    let table = [
        ("limts:\n  idle: 1s\n", ":1: unknown key limts; did you mean limits.idle?"),
        ("limits:\n  headerByte: 1\n", ":2: unknown key limits.headerByte; did you mean limits.headerBytes?"),
        ("zzz: 1\n", ":1: unknown key zzz; docs/reference/settings.md lists all"),
        ("workers: 0\n", ":1: workers: \"0\" is not a whole number from 1 to 1024; it takes number, 1 to 1024"),
        ("workers: [1]\n", ":1: workers: one value is wanted, not a list; it takes number, 1 to 1024"),
        ("\nlimits:\n  headerBytes: 12\n", ":3: limits.headerBytes: \"12\" is not a number of bytes from 8192 to"),
        ("limits:\n  idle: soon\n", ":2: limits.idle: \"soon\" is not a duration; write it as 10s, 1m30s or 500ms"),
        ("bind: [here]\n", ":1: bind: \"here\" is not an IP address"),
        (
            "addressMap: [203.0.113.7=fd00::5]\n",
            ":1: addressMap: 203.0.113.7 and fd00::5 are of different families; map",
        ),
        ("addressMap: [a=b]\n", ":1: addressMap: \"a=b\" is not two addresses; write it as 203.0.113.7=10.0.0.5"),
        (
            "addressMap: [203.0.113.7=10.0.0.5]\nadmin:\n  vip: 203.0.113.7:9000\n",
            "admin.vip: is an address of a node (addressMap), which is not announced: name an address of a pool",
        ),
        (
            "addressMap: [203.0.113.7=10.0.0.5]\nentryPoints:\n  a: {port: 80, address: 203.0.113.7}\n  b: {port: 80, address: 10.0.0.5}\n",
            "entryPoints: two of them have one address and port",
        ),
        ("mapPort: [80]\n", ":1: mapPort: \"80\" is not two ports; write it as 80=8080"),
        ("trust:\n  forwarded: 10.0.0.0/40\n", ":2: trust.forwarded: \"10.0.0.0/40\" is neither a network"),
        ("accessLog:\n  format: xml\n", ":2: accessLog.format: \"xml\" is none of common, json"),
        (
            "entryPoints:\n  web:\n    prot: 80\n",
            ":3: entryPoints: web.prot: unknown; known are port, address, tls and ingressClasses",
        ),
        ("admin:\n  address: nowhere\n", ":2: admin.address: \"nowhere\" is neither address:port"),
        ("trust:\n  clientIpHeader:\n    name: CF-Connecting-IP\n", "trust.clientIpHeader.from: is missing"),
        ("a: b: c\n", ":1: "),
    ];
    for (text, wanted) in table {
        let mistakes = resolve(Settings::default(), &said(Some(&file(text)), &[])).expect_err(text);
        let [mistake] = mistakes.as_slice() else { panic!("{text}: {mistakes:?}") };
        assert!(mistake.to_string().contains(wanted), "{text}: {mistake}");
        assert!(!mistake.is_usage(), "a file is input, not usage");
    }
}

#[test]
fn all_mistakes_are_named_at_once() {
    let file = file("workers: 0\nbnid: 1.2.3.4\n");
    let mistakes = resolve(Settings::default(), &said(Some(&file), &[("POSTERN_UPSTREAM_RETRIES", "11")]));
    assert_eq!(mistakes.expect_err("three mistakes").len(), 3);
}

#[test]
fn a_missing_file_is_named() {
    let said = Said { file: Some("/nowhere/postern.yaml".into()), ..Said::default() };
    let mistakes = resolve(Settings::default(), &said).expect_err("no file");
    assert!(mistakes.iter().any(|mistake| mistake.to_string().starts_with("/nowhere/postern.yaml: cannot be read")));
}

#[test]
fn every_documented_default_is_a_value_that_its_key_takes_and_changes_nothing() {
    for key in key::ALL {
        if key.takes.starts_with("map") || ["none", "one per CPU at hand"].contains(&key.default) {
            continue;
        }
        let mut settings = Settings::default();
        (key.set)(&mut settings, &Value::Text(key.default.into()))
            .unwrap_or_else(|refused| panic!("{}: {}", key.path, refused.message));
        assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()), "{}", key.path);
    }
}

/// The reference lists every key with what it takes and its default, and nothing else.
#[test]
fn the_reference_lists_every_key() {
    let reference = include_str!("../../../../docs/reference/settings.md");
    let row = |key: &Key| {
        let variable = key.variable().map_or_else(|| "–".into(), |name| format!("`{name}`"));
        format!("| `{}` | {variable} | {} | {} | {} |", key.path, key.takes, key.default, key.help)
    };
    let wanted: Vec<_> = key::ALL.iter().map(row).collect();
    for row in &wanted {
        assert!(
            reference.lines().any(|line| line == row),
            "docs/reference/settings.md lacks:\n{row}\nall rows:\n{}",
            wanted.join("\n")
        );
    }
    for line in reference
        .lines()
        .filter(|line| line.starts_with("| `") && !line.starts_with("| `-") && line.contains("| `POSTERN_"))
    {
        assert!(wanted.iter().any(|row| row == line), "no such key: {line}");
    }
}
