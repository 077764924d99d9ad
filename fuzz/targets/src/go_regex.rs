//! Expressions as Go writes them: translated to what means the same here, or refused.

use postern_config::model::go_regex::GoRegex;

/// A pattern, a text and a replacement, a line each.
pub fn go_regex(data: &[u8]) {
    let Ok(input) = std::str::from_utf8(data) else { return };
    let mut lines = input.splitn(3, '\n');
    let (pattern, text) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let replacement = lines.next().unwrap_or_default();

    // What `\Q` quotes stands for itself, up to `\E` or the end.
    let quoted = GoRegex::new(&format!("\\Q{pattern}")).map(|regex| regex.find(text));
    if !pattern.contains("\\E") {
        let found = text.find(pattern).map(|at| (at, at + pattern.len()));
        assert_eq!(quoted, Ok(found), "\\Q{pattern} in {text:?}");
    }
    let Ok(regex) = GoRegex::new(pattern) else { return };
    assert_eq!(regex.as_str(), pattern);
    assert_eq!(regex.is_match(text), regex.find(text).is_some(), "{pattern:?} in {text:?}");
    let replaced = regex.replace_all(text, replacement);
    assert!(regex.is_match(text) || replaced == text, "{pattern:?} changes {text:?}, which it does not match");
    if pattern.bytes().all(|b| b.is_ascii_alphanumeric()) {
        assert_eq!(regex.is_match(text), text.contains(pattern), "{pattern:?} in {text:?}");
    }
}
