//! Media types by first bytes: the WHATWG MIME Sniffing Standard as Go's `http.DetectContentType` reads it.

/// Bytes that are looked at.
const MOST: usize = 512;

/// Section 7.1: text that browsers take for HTML, behind white space, in any case, before a space or `>`.
const HTML: [&[u8]; 17] = [
    b"<!DOCTYPE HTML",
    b"<HTML",
    b"<HEAD",
    b"<SCRIPT",
    b"<IFRAME",
    b"<H1",
    b"<DIV",
    b"<FONT",
    b"<TABLE",
    b"<A",
    b"<STYLE",
    b"<TITLE",
    b"<B",
    b"<BODY",
    b"<BR",
    b"<P",
    b"<!--",
];

/// Beginnings that say it all, in the order in which they are tried.
const EXACT: [(&[u8], &str); 23] = [
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\x00\x00\x02\x00", "image/x-icon"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x89PNG\x0d\x0a\x1a\x0a", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"ID3", "audio/mpeg"),
    (b"OggS\x00", "application/ogg"),
    (b"MThd\x00\x00\x00\x06", "audio/midi"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"\x00\x01\x00\x00", "font/ttf"),
    (b"OTTO", "font/otf"),
    (b"ttcf", "font/collection"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1a\x07\x00", "application/x-rar-compressed"),
    (b"Rar!\x1a\x07\x01\x00", "application/x-rar-compressed"),
    (b"\x00asm", "application/wasm"),
];

/// Two marks with four bytes (a length) between them.
const BOXED: [(&[u8; 4], &[u8], &str); 4] = [
    (b"RIFF", b"WEBPVP", "image/webp"),
    (b"FORM", b"AIFF", "audio/aiff"),
    (b"RIFF", b"AVI ", "video/avi"),
    (b"RIFF", b"WAVE", "audio/wave"),
];

/// Byte order marks; text of at least four bytes.
const MARKS: [(&[u8], &str); 3] = [
    (b"\xfe\xff", "text/plain; charset=utf-16be"),
    (b"\xff\xfe", "text/plain; charset=utf-16le"),
    (b"\xef\xbb\xbf", "text/plain; charset=utf-8"),
];

/// The media type of what begins with `data`.
pub(super) fn media_type(data: &[u8]) -> &'static str {
    let data = data.get(..MOST).unwrap_or(data);
    let text = data.trim_ascii_start();
    if is_html(text) {
        return "text/html; charset=utf-8";
    }
    if text.starts_with(b"<?xml") {
        return "text/xml; charset=utf-8";
    }
    let mark = MARKS.iter().find(|(mark, _)| data.len() >= 4 && data.starts_with(mark)).map(|(_, name)| *name);
    let exact = || EXACT.iter().find(|(start, _)| data.starts_with(start)).map(|(_, name)| *name);
    mark.or_else(exact).or_else(|| boxed(data)).unwrap_or_else(|| rest(data))
}

/// What none of the tables knows.
fn rest(data: &[u8]) -> &'static str {
    if is_mp4(data) {
        "video/mp4"
    } else if is_eot(data) {
        "application/vnd.ms-fontobject"
    } else if data.iter().any(|byte| is_binary(*byte)) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

fn is_html(text: &[u8]) -> bool {
    HTML.iter().any(|tag| {
        text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag))
            && text.get(tag.len()).is_some_and(|byte| matches!(byte, b' ' | b'>'))
    })
}

fn boxed(data: &[u8]) -> Option<&'static str> {
    let inner = data.get(8..)?;
    BOXED.iter().find(|(outer, mark, _)| data.starts_with(*outer) && inner.starts_with(mark)).map(|(_, _, name)| *name)
}

/// Section 6.2.1: a box `ftyp` that is there wholly, one of whose brands begins with `mp4`; the minor version is none.
fn is_mp4(data: &[u8]) -> bool {
    let Some((size, _)) = data.split_first_chunk::<4>().filter(|_| data.len() >= 12) else { return false };
    let size = u32::from_be_bytes(*size) as usize;
    let Some(whole) = data.get(..size).filter(|whole| whole.len().is_multiple_of(4)) else { return false };
    let brands = whole.get(8..).unwrap_or_default().chunks(4).enumerate();
    whole.get(4..8) == Some(b"ftyp")
        && brands.filter(|(index, _)| *index != 1).any(|(_, brand)| brand.starts_with(b"mp4"))
}

/// Embedded OpenType: `LP` behind 34 bytes.
fn is_eot(data: &[u8]) -> bool {
    data.get(34..36) == Some(b"LP")
}

/// Section 3: bytes that text does not hold.
fn is_binary(byte: u8) -> bool {
    matches!(byte, 0..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f)
}

#[cfg(test)]
mod tests {
    use super::media_type;

    #[test]
    fn first_bytes_tell_the_type() {
        let eot = [&[0u8; 34][..], b"LP"].concat();
        for (data, want) in [
            (&b""[..], "text/plain; charset=utf-8"),
            (b"plain", "text/plain; charset=utf-8"),
            (b"{\"json\": 1}", "text/plain; charset=utf-8"),
            (b"\x01\x02", "application/octet-stream"),
            (b"with\x1bescape", "text/plain; charset=utf-8"),
            (b" \n\t<HtMl>", "text/html; charset=utf-8"),
            (b"<!DOCTYPE html><html>", "text/html; charset=utf-8"),
            (b"<!-- x", "text/html; charset=utf-8"),
            (b"<htmlx", "text/plain; charset=utf-8"),
            (b"<html", "text/plain; charset=utf-8"),
            (b"<?xml version='1.0'?>", "text/xml; charset=utf-8"),
            (b"\n<?xml!", "text/xml; charset=utf-8"),
            (b"%PDF-1.7", "application/pdf"),
            (b"%!PS-Adobe-3.0", "application/postscript"),
            (b"\xfe\xff\x00h", "text/plain; charset=utf-16be"),
            (b"\xff\xfeh\x00", "text/plain; charset=utf-16le"),
            (b"\xef\xbb\xbfh", "text/plain; charset=utf-8"),
            (b"GIF89a...", "image/gif"),
            (b"\x89PNG\r\n\x1a\n", "image/png"),
            (b"\xff\xd8\xff\xe0", "image/jpeg"),
            (b"BM1234", "image/bmp"),
            (b"RIFF\x01\x02\x03\x04WEBPVP8 ", "image/webp"),
            (b"RIFF\x01\x02\x03\x04WAVEfmt", "audio/wave"),
            (b"FORM\x01\x02\x03\x04AIFF", "audio/aiff"),
            (b"OggS\x00\x02", "application/ogg"),
            (b"\x1a\x45\xdf\xa3", "video/webm"),
            (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42", "video/mp4"),
            (b"\x00\x00\x00\x14ftypisom\x00\x00\x00\x00mp41", "video/mp4"),
            (b"\x00\x00\x00\x10ftypisommp41", "application/octet-stream"),
            (b"\x00\x00\x00\x20ftypmp42", "application/octet-stream"),
            (b"wOF2", "font/woff2"),
            (b"\x00\x01\x00\x00", "font/ttf"),
            (b"\x00\x00\x01\x00", "image/x-icon"),
            (b"\x1f\x8b\x08\x00", "application/x-gzip"),
            (b"PK\x03\x04", "application/zip"),
            (b"Rar!\x1a\x07\x01\x00", "application/x-rar-compressed"),
            (b"\x00asm\x01\x00\x00\x00", "application/wasm"),
            (&eot, "application/vnd.ms-fontobject"),
        ] {
            assert_eq!(media_type(data), want, "{data:?}");
        }
    }

    #[test]
    fn what_stands_behind_512_bytes_does_not_count() {
        let mut long = vec![b'a'; 512];
        long.push(0);
        assert_eq!(media_type(&long), "text/plain; charset=utf-8");
    }
}
