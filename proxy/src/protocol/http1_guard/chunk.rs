//! Chunk size lines and the CRLF behind chunk data (RFC 9112 section 7.1), byte by byte.

use super::offence::Offence;

/// Longest chunk extension; nobody uses them for good, and some servers forward or misread them.
const MAX_EXTENSION: u16 = 256;
/// Digits of the largest chunk: 2^60 - 1.
const MAX_DIGITS: u8 = 15;

/// Where in a chunk size line the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SizeLine {
    size: u64,
    digits: u8,
    extension: u16,
    ended: bool,
}

impl SizeLine {
    /// Takes one byte; the size when it was the line's last.
    pub(super) fn take(&mut self, byte: u8) -> Result<Option<u64>, Offence> {
        if self.ended {
            return if byte == b'\n' { Ok(Some(self.size)) } else { Err(Offence::BareCr) };
        }
        match byte {
            b'\n' => Err(Offence::BareLf),
            _ if self.extension > 0 => self.extension(byte),
            b'\r' if self.digits > 0 => self.end(),
            b';' if self.digits > 0 => self.extension(byte),
            _ => self.digit(byte),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<Option<u64>, Offence> {
        let digit = char::from(byte).to_digit(16).ok_or(Offence::ChunkSize)?;
        self.digits += 1;
        if self.digits > MAX_DIGITS {
            return Err(Offence::ChunkSize);
        }
        self.size = self.size << 4 | u64::from(digit);
        Ok(None)
    }

    fn extension(&mut self, byte: u8) -> Result<Option<u64>, Offence> {
        match byte {
            b'\r' => return self.end(),
            b'\t' | b' '..=b'~' => self.extension += 1,
            _ => return Err(Offence::ChunkExtension),
        }
        if self.extension > MAX_EXTENSION { Err(Offence::ChunkExtension) } else { Ok(None) }
    }

    fn end(&mut self) -> Result<Option<u64>, Offence> {
        self.ended = true;
        Ok(None)
    }
}
