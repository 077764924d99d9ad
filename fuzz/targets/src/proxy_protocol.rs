//! The PROXY protocol header: what is said of both ends is of one family, and version 1 says what its text says.

use postern_proxy::listener::proxy_protocol::ends;

/// Any header.
pub fn proxy_protocol(data: &[u8]) {
    let Ok(Some((source, destination))) = ends(data) else { return };
    assert_eq!(source.is_ipv4(), destination.is_ipv4(), "both ends are of one family");
    let Some(text) = std::str::from_utf8(data).ok().and_then(|text| text.strip_prefix("PROXY TCP")) else { return };
    let words: Vec<&str> = text.split(['\r', '\n']).next().unwrap_or_default().split(' ').collect();
    let [_, from, to, from_port, to_port] = words.as_slice() else { panic!("{text:?} has five words") };
    assert_eq!((from.parse(), to.parse()), (Ok(source.ip()), Ok(destination.ip())), "{text:?}");
    assert_eq!((from_port.parse(), to_port.parse()), (Ok(source.port()), Ok(destination.port())), "{text:?}");
}
