//! base64 as `application/grpc-web-text` has it: pieces with padding of their own, one after the other, cut anywhere.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// A client's text is no base64, or its end is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no base64")]
pub struct BadText;

/// Reads base64 as it comes.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What is not yet a group of four.
    left: Vec<u8>,
}

impl Decoder {
    /// The bytes of all groups that are complete with `text`. Line ends do not count.
    pub fn feed(&mut self, text: &[u8]) -> Result<Vec<u8>, BadText> {
        self.left.extend(text.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
        let whole = self.left.len() / 4 * 4;
        let mut bytes = Vec::with_capacity(whole / 4 * 3);
        let mut groups = self.left.get(..whole).unwrap_or_default();
        // Padding ends a piece, and another one may begin behind it.
        while !groups.is_empty() {
            let end = groups.chunks(4).position(|group| group.contains(&b'='));
            let (piece, rest) = groups.split_at_checked(end.map_or(groups.len(), |at| at * 4 + 4)).ok_or(BadText)?;
            STANDARD.decode_vec(piece, &mut bytes).map_err(|_| BadText)?;
            groups = rest;
        }
        self.left.drain(..whole);
        Ok(bytes)
    }

    /// Says that nothing more comes.
    pub fn finish(&self) -> Result<(), BadText> {
        if self.left.is_empty() { Ok(()) } else { Err(BadText) }
    }
}

/// One piece.
pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(pieces: &[&[u8]]) -> Result<Vec<u8>, BadText> {
        let mut decoder = Decoder::default();
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend(decoder.feed(piece)?);
        }
        decoder.finish().map(|()| bytes)
    }

    #[test]
    fn pieces_may_be_cut_and_joined_anywhere() {
        for (pieces, want) in [
            (&[&b""[..]][..], Ok(&b""[..])),
            (&[b"YWJj"], Ok(b"abc")),
            (&[b"YW", b"Jj"], Ok(b"abc")),
            (&[b"YQ==", b"Yg=="], Ok(b"ab")),
            (&[b"YQ==Yg==YWJj"], Ok(b"ababc")),
            (&[b"YQ=", b"=YWJ", b"j"], Ok(b"aabc")),
            (&[b"YW\r\nJj\n"], Ok(b"abc")),
            (&[b"YWJ"], Err(BadText)),
            (&[b"YW J"], Err(BadText)),
            (&[b"Y=Jj"], Err(BadText)),
            (&[b"===="], Err(BadText)),
            (&[b"\xff\xff\xff\xff"], Err(BadText)),
        ] {
            assert_eq!(decoded(pieces).as_deref(), want.as_ref().map(|bytes| *bytes), "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back_however_it_is_cut(bytes: Vec<u8>, cut in 1usize..9, joined in 1usize..9) {
            let text: String = bytes.chunks(joined).map(encode).collect();
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            prop_assert_eq!(decoded(&pieces), Ok(bytes));
        }
    }
}
