//! `Authorization: Digest`: what was read can be written and read again, and says the same.

use postern_proxy::middleware::DigestCredentials;

/// The bytes are a field value.
pub fn digest_credentials(data: &[u8]) {
    let Some(read) = DigestCredentials::parse(data) else { return };
    assert_eq!(u32::from_str_radix(&read.count_text, 16), Ok(read.count), "the count is what was written");
    let again = DigestCredentials::parse(written(&read).as_bytes());
    assert_eq!(again.as_ref(), Some(&read), "nothing of it depends on how it was spelt");
}

fn written(said: &DigestCredentials) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""));
    let mut text = format!(
        "Digest username={}, realm={}, nonce={}, uri={}, response={}, cnonce={}, qop=auth, nc={}",
        quoted(&said.name),
        quoted(&said.realm),
        quoted(&said.nonce),
        quoted(&said.uri),
        quoted(&said.response),
        quoted(&said.client_nonce),
        said.count_text
    );
    if let Some(algorithm) = &said.algorithm {
        text.push_str(&format!(", algorithm={}", quoted(algorithm)));
    }
    text
}
