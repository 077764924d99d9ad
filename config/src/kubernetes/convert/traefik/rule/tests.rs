//! The language, by table: rules and what they come to, texts and how they are refused.

use super::*;

fn read(text: &str) -> String {
    match http(text) {
        Ok(rule) => rule.expression.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn rules_are_read_as_traefik_reads_them() {
    for (text, want) in [
        ("Host(`a.com`)", "host is a.com"),
        ("Host(`A.com.`)", "host is a.com"),
        ("Host(`*.a.com`)", "host is *.a.com"),
        ("Host(`*`)", "host is *"),
        ("Host(`10.0.0.1`)", "host is 10.0.0.1"),
        ("Host(`my_host`)", "host is my_host"),
        ("host(`a`) || HOST(`b`) || Host(`c`)", "(host is a || host is b || host is c)"),
        ("Pathprefix(`/a`) && pathprefix(`/b`)", "(path begins with /a && path begins with /b)"),
        ("Host(`a`) && Path(`/x`) || Host(`b`)", "((host is a && path is /x) || host is b)"),
        ("Host(`a`) && (Path(`/x`) || Path(`/y`))", "(host is a && (path is /x || path is /y))"),
        ("!Host(`a`) && !(Path(`/x`))", "(!host is a && !path is /x)"),
        ("!!Host(`a`)", "!!host is a"),
        ("  Host( \"a\" , )\n\t&&Method(`get`) ", "(host is a && method is GET)"),
        (r#"Host("a") && Header("X-A", "q\"\\\u00e9")"#, r#"(host is a && header x-a is "q\"\\é")"#),
        ("PathPrefix(`/café/ü`)", "path begins with /caf%C3%A9/%C3%BC"),
        ("PathPrefix(`/.`)", "path begins with /."),
        ("Query(`a`) || Query(`a`, `b`)", r#"(query a is "" || query a is "b")"#),
        ("QueryRegexp(`a`) || QueryRegexp(`a`, `^b`)", r#"(query a is "" || query a matches "^b")"#),
        ("HeaderRegexp(`a`, `b+`)", r#"header a matches "b+""#),
        ("HostRegexp(`^.+\\.a$`) && PathRegexp(`\\d`)", r#"(host matches "^.+\\.a$" && path matches "\\d")"#),
        ("ClientIP(`10.1.2.3/8`) || ClientIP(`::1`)", "(peer is in 10.0.0.0/8 || peer is in ::1/128)"),
        ("Path(`/a/../b`)", "never"),
    ] {
        assert_eq!(read(text), want, "{text}");
    }
}

#[test]
fn what_is_no_rule_is_refused_with_its_place() {
    for (text, want) in [
        ("", "at character 1: a matcher, ! or ( is expected, not the end"),
        ("Host", "at character 5: ( and its values is expected, not the end"),
        ("Host()", "at character 1: Host takes one value, not 0"),
        ("Host(`a`, `b`)", "at character 1: Host takes one value, not 2: write Host(`a`) || Host(`b`)"),
        ("Hots(`a`)", "at character 1: there is no matcher Hots; did you mean Host?"),
        ("hOST(`a`)", "at character 1: there is no matcher hOST; did you mean Host?"),
        ("Host(`a`) & Path(`/`)", "at character 11: &&, || or the end is expected, not a single &; and is &&"),
        ("Host(`a`) Path(`/`)", "at character 11: &&, || or the end is expected, not Path"),
        ("Host(`ä`) &&", "at character 1: Host: \"ä\" must be in ASCII; write international names as xn--…"),
        ("Host(`a`) &&", "at character 13: a matcher, ! or ( is expected, not the end"),
        ("(Host(`a`)", "at character 11: &&, || or ) is expected, not the end"),
        ("Host(`a`))", "at character 10: &&, || or the end is expected, not )"),
        ("Host(`a)", "at character 6: this back-tick is never closed"),
        ("Host(\"a)", "at character 6: this double quote is never closed"),
        (r#"Path("/\d")"#, "at character 8: this is no escape; use back-ticks where \\ should stand for itself"),
        ("Path('/a')", "at character 6: a value in back-ticks, or ) is expected, not '\\''"),
        ("Path(`a`)", "at character 1: Path: \"a\" must begin with /"),
        ("Header(`a b`, `c`)", "at character 1: Header: \"a b\" is no name of a header field"),
        ("Header(`Host`, `c`)", "at character 1: Header: the field Host is no header field to rules; use Host(`…`)"),
        ("ClientIP(`10.0.0.0/33`)", "ClientIP: \"10.0.0.0/33\" is neither an address nor a network"),
        ("Method(`a b`)", "Method: \"a b\" is no method"),
        ("Host(`a*b`)", "is no host; a wildcard is the whole first label"),
        ("PathRegexp(`(`)", "is not a usable regular expression"),
        ("PathRegexp(`((a{100}){100}){100}`)", "is not a usable regular expression"),
        ("HostSNI(`a`)", "there is no matcher HostSNI; did you mean"),
        ("\u{0}", "a matcher, ! or ( is expected, not '\\0'"),
    ] {
        let error = http(text).expect_err(text).to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let nested = |depth: usize| format!("{}Host(`a`){}", "(".repeat(depth), ")".repeat(depth));
    assert!(http(&nested(MOST_DEPTH - 1)).is_ok());
    assert!(matches!(http(&nested(MOST_DEPTH)), Err(RuleError::TooDeep(Position(65)))));
    assert!(matches!(http(&"!".repeat(MOST_BYTES)), Err(RuleError::TooDeep(_))));
    assert_eq!(http(&" ".repeat(MOST_BYTES + 1)), Err(RuleError::TooLong));
    let long = vec!["Host(`a`)"; 4000].join("||");
    assert!(http(&long).is_ok());
}

#[test]
fn what_can_never_hold_is_told() {
    let rule = http("Host(`a`) && !Path(`//x`)").expect("a rule");
    assert_eq!(rule.expression.to_string(), "(host is a && !never)");
    assert_eq!(rule.never, [(Position(15), "// is collapsed before routing")]);
}

#[test]
fn rules_on_connections_have_their_own_matchers() {
    for text in ["HostSNI(`*`)", "hostsni(`a.com`) && ClientIP(`10.0.0.0/8`)", "HostSNIRegexp(`^a`) && !ALPN(`h2`)"] {
        assert!(tcp(text).is_ok(), "{text}");
    }
    for text in ["Host(`a`)", "ALPN(`acme-tls/1`)", "HostSNI(`a`, `b`)"] {
        assert!(tcp(text).is_err(), "{text}");
    }
}
