//! base64 of gRPC-Web: how a body is cut must not change what it says.

use postern_proxy::middleware::{BadGrpcWebText, GrpcWebText};

/// The first byte says how the rest is cut.
pub fn grpc_web_text(data: &[u8]) {
    let Some((cut, text)) = data.split_first() else { return };
    let whole = decoded(text, text.len().max(1));
    assert_eq!(whole, decoded(text, usize::from(*cut).max(1)), "in pieces of {cut}");
    assert_eq!(whole, decoded(text, 1), "byte by byte");
    if let Ok(bytes) = whole {
        assert!(bytes.len() <= text.len() / 4 * 3, "nothing is made up");
    }
}

fn decoded(text: &[u8], size: usize) -> Result<Vec<u8>, BadGrpcWebText> {
    let mut decoder = GrpcWebText::default();
    let mut bytes = Vec::new();
    for piece in text.chunks(size) {
        bytes.extend(decoder.feed(piece)?);
    }
    decoder.finish()?;
    Ok(bytes)
}
