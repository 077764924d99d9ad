//! The one place where a path is interpreted: what comes out has one reading.

use postern_proxy::exchange::normalise::normalise;

/// Any text. What is accepted is its own normal form and holds no dot segment, empty segment, or NUL in any spelling.
pub fn path_normalisation(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(path) = normalise(text) else { return };
    assert!(path.starts_with('/'), "{path:?} is absolute");
    assert_eq!(normalise(&path).as_deref(), Ok(&*path), "normalising twice is normalising once");
    assert!(!path.contains("//"), "{path:?} holds an empty segment");
    assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{path:?} holds a dot segment");
    let lower = path.to_ascii_lowercase();
    for spelling in ["%00", "%2e", "\\", "#", "\0"] {
        assert!(!lower.contains(spelling), "{path:?} holds {spelling:?}");
    }
    assert!(
        path.is_ascii() && !path.contains(['"', '<', '>', '[', ']', '^', '`', '{', '|', '}']),
        "{path:?} is no RFC 3986 path"
    );
    assert!(escapes(&path).all(|escape| is_upper_hex(&escape)), "{path:?} holds an escape in another spelling");
}

fn escapes(path: &str) -> impl Iterator<Item = Vec<u8>> {
    path.split('%').skip(1).map(|rest| rest.bytes().take(2).collect())
}

fn is_upper_hex(escape: &[u8]) -> bool {
    escape.len() == 2 && escape.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'))
}
