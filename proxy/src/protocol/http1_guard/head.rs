//! The lines of a request head, one at a time: what each may look like (RFC 9112 sections 3 and 5) and what it says
//! about framing. Lines come without their CRLF.

use super::offence::Offence;

/// Length of a body as the head tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// No framing field.
    #[default]
    None,
    /// Content-Length.
    Known(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// What the lines of one head have said so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) length: BodyLength,
    /// The client asks for another protocol.
    pub(super) upgrade: bool,
    http11: bool,
    host_seen: bool,
    /// Authority of an absolute target, without a default port; rare, so it costs an allocation.
    authority: Option<Box<[u8]>>,
    /// The scheme's default port as text, for the comparison.
    default_port: &'static [u8],
}

/// What a byte may be part of.
static CLASS: [u8; 256] = classes();
/// A token (RFC 9110 section 5.6.2).
const TOKEN: u8 = 1;
/// A host name.
const NAME: u8 = 2;

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let token = b.is_ascii_alphanumeric()
            || matches!(b, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
            || matches!(b, b'^' | b'_' | b'`' | b'|' | b'~');
        let name = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        table[byte] = token as u8 * TOKEN + name as u8 * NAME;
        byte += 1;
    }
    table
}

fn is_in(byte: u8, class: u8) -> bool {
    CLASS.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| is_in(*b, TOKEN))
}

/// Position of the first control byte other than tab. In a good line that is the CR of its end, so that one pass both
/// ends and judges it: eight bytes at a time, because lines are short.
pub(super) fn find_control(bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let delete = word ^ (LOW * 0x7f);
        // The lowest bit that is set is exact, those above it may be carried; tabs are set too.
        let mut hits = ((word.wrapping_sub(LOW * 0x20) & !word) | (delete.wrapping_sub(LOW) & !delete)) & HIGH;
        while hits != 0 {
            let bit = hits.trailing_zeros();
            if is_control((word >> (bit - 7)) as u8) {
                return Some(at * 8 + bit as usize / 8);
            }
            hits &= hits - 1;
        }
    }
    rest.iter().position(|b| is_control(*b)).map(|found| words.len() * 8 + found)
}

fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

impl Head {
    /// Takes the request line.
    pub(super) fn request_line(&mut self, line: &[u8]) -> Result<(), Offence> {
        let method_end = memchr::memchr(b' ', line).ok_or(Offence::RequestLine)?;
        let (method, rest) = line.split_at(method_end);
        let rest = rest.get(1..).unwrap_or_default();
        let target_end = memchr::memchr(b' ', rest).ok_or(Offence::RequestLine)?;
        let (target, version) = rest.split_at(target_end);
        if !is_token(method) {
            return Err(Offence::Method);
        }
        self.http11 = match version {
            b" HTTP/1.1" => true,
            b" HTTP/1.0" => false,
            _ => return Err(if version.get(1) == Some(&b'H') { Offence::Version } else { Offence::RequestLine }),
        };
        if method == b"CONNECT" {
            return Err(Offence::Connect);
        }
        self.target(method, target)
    }

    fn target(&mut self, method: &[u8], target: &[u8]) -> Result<(), Offence> {
        if memchr::memchr3(b'#', b'\\', b'\t', target).is_some() {
            return Err(Offence::Target);
        }
        match target {
            [b'/', ..] => Ok(()),
            b"*" if method == b"OPTIONS" => Ok(()),
            _ => self.absolute(target),
        }
    }

    /// `http://authority/…`: the authority must be the Host's, so that nobody can route by one and serve by the other.
    fn absolute(&mut self, target: &[u8]) -> Result<(), Offence> {
        let (rest, port) = strip_scheme(target).ok_or(Offence::Target)?;
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        if !is_host(authority) {
            return Err(Offence::Target);
        }
        self.default_port = port;
        self.authority = Some(strip_port(authority, port).into());
        Ok(())
    }

    /// Takes a header field line.
    pub(super) fn field(&mut self, line: &[u8]) -> Result<(), Offence> {
        let (name, value) = split_field(line)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade |= self.http11;
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Offence> {
        if std::mem::replace(&mut self.host_seen, true) {
            return Err(Offence::SecondHost);
        }
        let value = value.trim_ascii();
        if !is_host(value) {
            return Err(Offence::Host);
        }
        match &self.authority {
            Some(authority) if !authority.eq_ignore_ascii_case(strip_port(value, self.default_port)) => {
                Err(Offence::HostDiffers)
            }
            _ => Ok(()),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Offence> {
        match self.length {
            BodyLength::None => {}
            BodyLength::Known(_) => return Err(Offence::SecondContentLength),
            BodyLength::Chunked => return Err(Offence::BothLengths),
        }
        self.length = BodyLength::Known(decimal(value.trim_ascii()).ok_or(Offence::ContentLength)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Offence> {
        match self.length {
            BodyLength::None if self.http11 && value.trim_ascii().eq_ignore_ascii_case(b"chunked") => {
                self.length = BodyLength::Chunked;
                Ok(())
            }
            BodyLength::Known(_) => Err(Offence::BothLengths),
            _ => Err(Offence::TransferEncoding),
        }
    }

    /// Takes the empty line.
    pub(super) fn end(&self) -> Result<(), Offence> {
        if self.http11 && !self.host_seen { Err(Offence::NoHost) } else { Ok(()) }
    }
}

/// A trailer field line: well-formed, and nothing that frames or routes (RFC 9110 section 6.5.1).
pub(super) fn trailer(line: &[u8]) -> Result<(), Offence> {
    let (name, _) = split_field(line)?;
    let forbidden: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];
    if forbidden.iter().any(|field| name.eq_ignore_ascii_case(field)) { Err(Offence::Trailer) } else { Ok(()) }
}

fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Offence> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Offence::Folded);
    }
    let end = line.iter().position(|b| !is_in(*b, TOKEN)).ok_or(Offence::FieldName)?;
    match line.split_at(end) {
        (name, [b':', value @ ..]) if !name.is_empty() => Ok((name, value)),
        _ => Err(Offence::FieldName),
    }
}

fn strip_scheme(target: &[u8]) -> Option<(&[u8], &'static [u8])> {
    let schemes: [(&[u8], &[u8]); 2] = [(b"http://", b":80"), (b"https://", b":443")];
    schemes.into_iter().find_map(|(scheme, port)| {
        let (head, rest) = target.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some((rest, port))
    })
}

fn strip_port<'a>(authority: &'a [u8], port: &[u8]) -> &'a [u8] {
    authority.strip_suffix(port).unwrap_or(authority)
}

/// `reg-name`, IPv4 or `[IPv6]`, and a port; no user information, no percent-encoding, not empty.
fn is_host(text: &[u8]) -> bool {
    let (bracketed, rest) = match text.strip_prefix(b"[") {
        Some(inner) => match memchr::memchr(b']', inner) {
            Some(end) => (inner.get(..end), inner.get(end + 1..).unwrap_or_default()),
            None => return false,
        },
        None => (None, text),
    };
    let name_end = memchr::memchr(b':', rest).unwrap_or(rest.len());
    let (name, port) = rest.split_at(name_end);
    let name_good = match bracketed {
        Some(address) => name.is_empty() && is_ipv6(address),
        None => is_name(name),
    };
    name_good && is_port(port)
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_name(name: &[u8]) -> bool {
    name.len() <= 255 && !matches!(name.first(), None | Some(b'.')) && name.iter().all(|b| is_in(*b, NAME))
}

/// Nothing, or `:` and a port number.
fn is_port(text: &[u8]) -> bool {
    match text.strip_prefix(b":") {
        None => text.is_empty(),
        Some(digits) => digits.len() <= 5 && decimal(digits).is_some_and(|port| port <= 65_535),
    }
}

/// 1*DIGIT below 2^63.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let value = text.iter().try_fold(0_u64, |value, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    (value <= i64::MAX as u64).then_some(value)
}
