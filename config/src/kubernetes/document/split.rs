//! Where one document ends and the next begins: lines that start with `---`, as kubectl and YAML itself have it, and
//! JSON objects that follow each other.
//!
//! Works on bytes, so that invalid UTF-8 in one document leaves the others alone, and touches each byte about once:
//! this runs over the whole file on every change of it.

use memchr::{memchr_iter, memmem};

/// Files above this are refused (64 MiB), so that a stray disk image in the directory cannot eat the memory.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Its first line in the file, from 1.
    pub line: u32,
    /// Its bytes; the separator line is part of it only where content follows on it.
    pub bytes: &'a [u8],
}

/// Splits a file into documents. Every byte that is no separator is in exactly one of them.
pub fn split(file: &[u8]) -> Vec<Chunk<'_>> {
    let file = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    let mut chunks = Vec::new();
    let mut line = 1;
    let mut rest = file;
    loop {
        let (document, next) = cut(rest);
        push_json_aware(&mut chunks, Chunk { line, bytes: document });
        let Some(next) = next else { return chunks };
        line += newlines(&rest[..rest.len() - next.len()]);
        rest = next;
    }
}

/// Lines that end within `bytes`.
pub(super) fn newlines(bytes: &[u8]) -> u32 {
    u32::try_from(memchr_iter(b'\n', bytes).count()).unwrap_or(u32::MAX)
}

/// The document that `rest` begins with, and what follows its separator, if one ends it.
fn cut(rest: &[u8]) -> (&[u8], Option<&[u8]>) {
    let body = if is_separator(rest) { after_own_separator(rest) } else { 0 };
    let mut from = body;
    while let Some(found) = memmem::find(rest.get(from..).unwrap_or_default(), b"\n---") {
        let at = from + found + 1;
        if is_separator(&rest[at..]) {
            return (&rest[body..at], Some(&rest[at..]));
        }
        from = at;
    }
    (&rest[body..], None)
}

/// Whether `line` begins with a separator: `---`, then white space or the end (`---foo` is a scalar).
fn is_separator(line: &[u8]) -> bool {
    line.starts_with(b"---") && line.get(3).is_none_or(|byte| matches!(byte, b'\n' | b'\r' | b' ' | b'\t'))
}

/// How many bytes of a separator to leave out: its three dashes. What may follow on the line (a comment, a tag, the
/// content itself) is the parser's, and the line count stays right.
fn after_own_separator(rest: &[u8]) -> usize {
    3.min(rest.len())
}

/// Adds `chunk`, or, where it is JSON objects in a row, each of them.
fn push_json_aware<'a>(chunks: &mut Vec<Chunk<'a>>, chunk: Chunk<'a>) {
    let mut chunk = chunk;
    while let Some(end) = end_of_json_object(chunk.bytes) {
        let (object, rest) = chunk.bytes.split_at(end);
        if !rest.trim_ascii_start().starts_with(b"{") {
            break;
        }
        chunks.push(Chunk { line: chunk.line, bytes: object });
        chunk = Chunk { line: chunk.line + newlines(object), bytes: rest };
    }
    if !chunk.bytes.trim_ascii().is_empty() {
        chunks.push(chunk);
    }
}

/// Where the JSON object that `bytes` begins with ends; `None` when it does not begin with one, or never ends.
fn end_of_json_object(bytes: &[u8]) -> Option<usize> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match (quoted, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => quoted = !quoted,
            (false, b'{') => depth += 1,
            (false, b'}') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The first line of `chunk`, from 0, that is neither blank nor a comment.
pub(super) fn first_content_line(chunk: &[u8]) -> u32 {
    let content = |line: &[u8]| !matches!(line.trim_ascii().first(), None | Some(b'#'));
    let line = chunk.split(|byte| *byte == b'\n').position(content).unwrap_or_default();
    u32::try_from(line).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documents_end_where_yaml_and_kubectl_say_so() {
        for (file, want) in [
            ("a: 1", vec![(1, "a: 1")]),
            ("a: 1\n---\nb: 2\n", vec![(1, "a: 1\n"), (2, "\nb: 2\n")]),
            ("---\na: 1\n---\n---\n", vec![(1, "\na: 1\n")]),
            ("\u{feff}---\na: 1", vec![(1, "\na: 1")]),
            ("a: 1\r\n---\r\nb: 2", vec![(1, "a: 1\r\n"), (2, "\r\nb: 2")]),
            ("a: 1\n--- # next\nb: 2", vec![(1, "a: 1\n"), (2, " # next\nb: 2")]),
            ("a: 1\n--- {b: 2}\n", vec![(1, "a: 1\n"), (2, " {b: 2}\n")]),
            ("a: |\n  x\n  ---\n  y\n", vec![(1, "a: |\n  x\n  ---\n  y\n")]),
            ("---x: 1\n", vec![(1, "---x: 1\n")]),
            ("a: 1\n----\n", vec![(1, "a: 1\n----\n")]),
            ("{\"a\":1}\n{\"b\":\n2}", vec![(1, "{\"a\":1}"), (1, "\n{\"b\":\n2}")]),
            ("{\"a\":\"}{\\\"\"}{\"b\":2}", vec![(1, "{\"a\":\"}{\\\"\"}"), (1, "{\"b\":2}")]),
            ("{a: 1} # }", vec![(1, "{a: 1} # }")]),
            ("", vec![]),
            ("---", vec![]),
        ] {
            let got: Vec<_> =
                split(file.as_bytes()).iter().map(|c| (c.line, str::from_utf8(c.bytes).unwrap())).collect();
            assert_eq!(got, want, "{file:?}");
        }
    }

    proptest! {
        #[test]
        fn a_chunk_begins_at_the_line_it_says(parts in prop::collection::vec("(a: [a-z]{0,3}|#c|\\{\"a\":1\\}|--- x|---|-|)", 0..20)) {
            let file = parts.join("\n");
            for chunk in split(file.as_bytes()) {
                let line = file.lines().nth(chunk.line as usize - 1).unwrap_or_default();
                let first = str::from_utf8(chunk.bytes).unwrap().split('\n').next().unwrap_or_default();
                prop_assert!(line.contains(first), "{line:?} {first:?}");
            }
        }

        #[test]
        fn no_bytes_make_it_panic(file in prop::collection::vec(prop::sample::select(b"-{}\"\\\n\r a\x00\xff".to_vec()), 0..200)) {
            let total: usize = split(&file).iter().map(|chunk| chunk.bytes.len()).sum();
            prop_assert!(total <= file.len());
        }
    }
}
