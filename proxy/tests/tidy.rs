//! The architecture, held by reading the source: who may depend on whom, who may name what, who may ask for the time.
//!
//! docs/ARCHITECTURE.md lists the invariants. A rule here is a rule of the text, so it is blunt on purpose; when it is
//! in the way, change the document and the rule together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// One source file, without comments and without its tests.
struct Source {
    /// Relative to the repository, for example `config/src/report.rs`.
    path: String,
    text: String,
    code: String,
}

const CRATES: [&str; 8] = ["config", "proxy", "l2announce", "acme", "dns", "benches", "fuzz", "xtask"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    for name in CRATES {
        collect(&root().join(name), &mut files);
    }
    files.sort();
    assert!(files.len() > 50, "the source was found");
    files.iter().map(|path| Source::read(path)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a folder of the repository can be read");
    for path in entries.map(|entry| entry.expect("an entry can be read").path()) {
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a source file is text");
        let path = path.strip_prefix(root()).expect("it lies in the repository").display().to_string();
        let code = if is_test(&path) { String::new() } else { code_of(&text) };
        Self { path, text, code }
    }

    fn is_under(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }

    /// The first of `words` that the code holds as a whole word.
    fn names<'w>(&self, words: &[&'w str]) -> Option<&'w str> {
        words.iter().copied().find(|word| holds_word(&self.code, word))
    }
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Without comments, and without what follows `#[cfg(test)] mod`.
fn code_of(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").filter(|at| !text[*at..].contains("\nmod tests;")).unwrap_or(text.len());
    let without_comment = |line: &str| match line.find("//") {
        Some(at) if !line[..at].ends_with(':') => line[..at].to_owned(),
        _ => line.to_owned(),
    };
    text[..end].lines().map(without_comment).collect::<Vec<_>>().join("\n")
}

fn holds_word(code: &str, word: &str) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = code.as_bytes();
    code.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        !is_part(before) && !is_part(bytes.get(at + word.len()))
    })
}

/// Without string literals that hold a space: help and messages may speak of anything.
fn without_sentences(code: &str) -> String {
    let parts: Vec<&str> = code.split('"').collect();
    let is_sentence = |at: usize, part: &str| at % 2 == 1 && part.contains(' ');
    let kept = parts.iter().enumerate().map(|(at, part)| if is_sentence(at, part) { "" } else { *part });
    kept.collect::<Vec<_>>().join("\"")
}

/// Fails with one line per offence.
fn assert_none(offences: impl Iterator<Item = String>) {
    let offences: Vec<String> = offences.collect();
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn crates_depend_only_as_the_architecture_allows() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("config", &[][..]),
        ("l2announce", &[]),
        ("dns", &[]),
        ("acme", &["postern-dns"]),
        ("proxy", &["postern-config", "postern-l2announce", "postern-acme", "postern-dns"]),
        ("benches", &["postern-config"]),
        ("xtask", &[]),
    ]);
    assert_none(allowed.iter().flat_map(|(name, allowed)| {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("each crate has a manifest");
        let own = manifest.lines().filter(|line| line.starts_with("postern-"));
        let named: Vec<String> = own.filter_map(|line| line.split(['.', ' ', '=']).next()).map(str::to_owned).collect();
        let wrong = named.into_iter().filter(|dependency| !allowed.contains(&dependency.as_str()));
        wrong.map(|dependency| format!("{name} must not depend on {dependency}")).collect::<Vec<_>>()
    }));
}

#[test]
fn object_kinds_are_named_only_under_kubernetes() {
    // Kinds whose names mean nothing else here; `Service`, `Secret`, `Gateway` and `Middleware` are also plain words.
    const KINDS: [&str; 17] = [
        "Ingress",
        "IngressClass",
        "IngressRoute",
        "HTTPRoute",
        "HttpRoute",
        "GRPCRoute",
        "GrpcRoute",
        "TLSRoute",
        "TlsRoute",
        "EndpointSlice",
        "ConfigMap",
        "GatewayClass",
        "ReferenceGrant",
        "BackendTLSPolicy",
        "IPAddressPool",
        "IpAddressPool",
        "L2Advertisement",
    ];
    let elsewhere = |source: &Source| !source.path.split('/').any(|part| part.starts_with("kubernetes"));
    let serving =
        |source: &Source| source.is_under(&["config/src", "proxy/src", "l2announce/src", "acme/src", "dns/src"]);
    let files = sources();
    let files = files.iter().filter(|source| serving(source) && elsewhere(source));
    let named = |source: &Source| {
        // A hook of netfilter's.
        let code = without_sentences(&source.code).replace("DevHookNumber::Ingress", "");
        KINDS.into_iter().find(|kind| holds_word(&code, kind)).map(|kind| format!("{} names {kind}", source.path))
    };
    assert_none(files.filter_map(named));
}

#[test]
fn pure_cores_read_no_clock_and_no_file() {
    const PURE: [&str; 15] = [
        "config/src/allocation",
        "config/src/model",
        "config/src/snapshot",
        "config/src/compile",
        "config/src/kubernetes",
        "config/src/report.rs",
        "proxy/src/upstream/balance",
        "l2announce/src/wire",
        "l2announce/src/responder",
        "l2announce/src/link/change.rs",
        "l2announce/src/link/exclude.rs",
        "l2announce/src/link/links.rs",
        "l2announce/src/link/place.rs",
        "l2announce/src/election",
        "acme/src/order",
    ];
    const FORBIDDEN: [&str; 9] = [
        "Instant::now",
        "SystemTime::now",
        "Timestamp::now",
        "std::fs",
        "tokio",
        "tracing",
        "println",
        "eprintln",
        "rand::random",
    ];
    let files = sources();
    let files = files.iter().filter(|source| source.is_under(&PURE));
    assert_none(files.filter_map(|source| source.names(&FORBIDDEN).map(|word| format!("{} uses {word}", source.path))));
}

#[test]
fn snapshot_and_model_hold_no_machinery() {
    const FORBIDDEN: [&str; 9] =
        ["Mutex", "RwLock", "RefCell", "AtomicU64", "AtomicUsize", "AtomicBool", "hyper", "rustls", "Box<dyn"];
    let files = sources();
    let files = files.iter().filter(|source| source.is_under(&["config/src/model", "config/src/snapshot"]));
    assert_none(files.filter_map(|source| source.names(&FORBIDDEN).map(|word| format!("{} uses {word}", source.path))));
}

#[test]
fn tls_does_not_know_acme() {
    let files = sources();
    let files = files.iter().filter(|source| source.is_under(&["proxy/src/tls"]));
    assert_none(
        files.filter(|source| source.code.contains("postern_acme")).map(|source| format!("{} names acme", source.path)),
    );
}

#[test]
fn unsafe_is_only_in_the_socket_module() {
    let files = sources();
    let files = files.iter().filter(|source| !source.is_under(&["l2announce/src/socket"]));
    let is_unsafe =
        |source: &&Source| ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|word| source.code.contains(word));
    assert_none(files.filter(is_unsafe).map(|source| format!("{} holds unsafe code", source.path)));
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let is_open = |source: &&Source| !source.text.starts_with("//! ");
    assert_none(sources().iter().filter(is_open).map(|source| format!("{} does not open with //!", source.path)));
}

#[test]
fn no_folder_is_named_for_nothing() {
    const NAMES: [&str; 6] = ["utils", "util", "helpers", "helper", "manager", "globals"];
    let named = |source: &&Source| {
        source.path.split(['/', '.']).any(|part| NAMES.contains(&part) || part.ends_with("_manager"))
    };
    assert_none(sources().iter().filter(named).map(|source| format!("{}: say what it is", source.path)));
}

/// The path of a request is one knot by nature: an exchange runs on a worker, a worker owns the upstream's pools, and
/// a middleware answers with an exchange, a failure becomes a body of an exchange, telemetry counts
/// failures, and a worker keeps its listeners' state, whose TLS a plan holds.
/// What is outside of it must stay outside.
const REQUEST_PATH: [&str; 10] =
    ["exchange", "listener", "middleware", "plan", "protocol", "respond", "telemetry", "tls", "upstream", "worker"];

#[test]
fn modules_of_a_crate_import_in_one_direction() {
    let files = sources();
    assert_none(["config", "proxy", "l2announce", "acme", "dns"].iter().filter_map(|name| {
        let mut imports = imports_of(&files, name);
        if *name == "proxy" {
            imports = contract(&imports, &REQUEST_PATH);
        }
        cycle(&imports).map(|modules| format!("{name}: {}", modules.join(" -> ")))
    }));
}

type Imports = BTreeMap<String, BTreeSet<String>>;

/// Top-level module → top-level modules that it names.
fn imports_of(files: &[Source], name: &str) -> Imports {
    let prefix = format!("{name}/src/");
    let mut imports = Imports::new();
    for source in files {
        let Some(rest) = source.path.strip_prefix(&prefix) else { continue };
        let module = rest.split(['/', '.']).next().unwrap_or_default();
        if !["lib", "main"].contains(&module) {
            let named = named_modules(&source.code).into_iter().filter(|other| other != module);
            imports.entry(module.to_owned()).or_default().extend(named);
        }
    }
    let known: BTreeSet<String> = imports.keys().cloned().collect();
    imports.values_mut().for_each(|named| named.retain(|other| known.contains(other)));
    imports
}

/// What follows `crate::`, also in braces.
fn named_modules(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(tree) => named.extend(top_level(tree)),
            None => named.extend(word(rest)),
        }
    }
    named
}

/// The first words of a brace list, nested lists left out.
fn top_level(tree: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let mut items = vec![String::new()];
    for letter in tree.chars() {
        match letter {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            _ if depth == 0 => items.last_mut().expect("there is always one").push(letter),
            _ => {}
        }
    }
    items.iter().filter_map(|item| word(item.trim())).collect()
}

fn word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// Makes one module, `(request path)`, of several.
fn contract(imports: &Imports, knot: &[&str]) -> Imports {
    let name =
        |module: &String| if knot.contains(&module.as_str()) { "(request path)".to_owned() } else { module.clone() };
    let mut contracted = Imports::new();
    for (module, named) in imports {
        let target = contracted.entry(name(module)).or_default();
        target.extend(named.iter().map(name));
    }
    for (module, named) in &mut contracted {
        named.remove(module);
    }
    contracted
}

/// A cycle, if there is one: takes away modules that import nothing until none is left.
fn cycle(imports: &Imports) -> Option<Vec<String>> {
    let mut left = imports.clone();
    while let Some(leaf) = left.iter().find(|(_, named)| named.is_empty()).map(|(module, _)| module.clone()) {
        left.remove(&leaf);
        for named in left.values_mut() {
            named.remove(&leaf);
        }
    }
    let mut at = left.keys().next()?.clone();
    let mut walk = vec![at.clone()];
    loop {
        at = left[&at].iter().next().expect("a module that imports nothing was taken away").clone();
        let seen = walk.iter().position(|module| *module == at);
        walk.push(at.clone());
        if let Some(first) = seen {
            return Some(walk.split_off(first));
        }
    }
}

#[test]
fn a_cycle_is_found_and_named() {
    let imports = |edges: &[(&str, &str)]| {
        let mut imports = Imports::new();
        for (from, to) in edges {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            imports.entry((*to).to_owned()).or_default();
        }
        imports
    };
    assert_eq!(cycle(&imports(&[("a", "b"), ("b", "c")])), None);
    assert_eq!(cycle(&imports(&[("a", "b"), ("b", "c"), ("c", "b")])), Some(vec!["b".into(), "c".into(), "b".into()]));
    let knot =
        contract(&imports(&[("worker", "upstream"), ("upstream", "worker"), ("worker", "settings")]), &REQUEST_PATH);
    assert_eq!(cycle(&knot), None);
}
