//! Follows the framing of HTTP/1 requests on raw bytes, without I/O: the strict reader in front of a lenient one.
//!
//! Bytes are looked at before hyper gets them. A head is complete for hyper only with its last LF, and that LF is
//! handed over only when every line of the head is valid, so a refused head is never a request. Nothing is kept but
//! the beginning of a line that a read has cut.

use super::{
    chunk::SizeLine,
    head::{self, BodyLength, Head},
    offence::Offence,
};

/// Bounds of a head, and of a trailer section.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes, request line and empty line included.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

/// What became of the bytes given to [`Framing::feed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// All may be handed over.
    All,
    /// An upgrade was asked for: only the first `usize` bytes may be handed over until it is decided.
    Held(usize),
    /// The message is refused: the first `len` bytes (changed so that no reader can take them for a message) may be
    /// handed over, and nothing after them.
    Spoilt {
        /// How many bytes are left.
        len: usize,
        /// Why.
        offence: Offence,
        /// Whether the head itself is withheld, so that no request begins.
        head: bool,
    },
}

/// Where in a message the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Between two requests.
    Idle,
    /// In a request head.
    Head,
    /// In a body or its trailers.
    Body,
    /// Behind an upgrade request.
    Held,
    /// Behind an offence, or in another protocol: not followed any more.
    Lost,
}

#[derive(Debug)]
enum State {
    RequestLine,
    Fields,
    Known(u64),
    ChunkSize(SizeLine),
    ChunkData(u64),
    ChunkCr,
    ChunkLf,
    Trailers,
    Held,
    Lost,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Framing {
    limits: HeadLimits,
    state: State,
    head: Head,
    /// Bytes of the current head or trailer section.
    bytes: usize,
    /// Fields of the current head or trailer section.
    fields: usize,
    /// An empty line has been passed over before the request line.
    blank: bool,
    /// The beginning of a line that a read has cut.
    cut: Vec<u8>,
}

/// How a step over one piece ended.
enum Step {
    /// So many bytes were passed.
    Passed(usize),
    /// A head was passed: so many bytes.
    HeadEnd(usize),
}

impl Framing {
    /// At the begin of a connection.
    pub fn new(limits: HeadLimits) -> Self {
        let (state, head) = (State::RequestLine, Head::default());
        Self { limits, state, head, bytes: 0, fields: 0, blank: false, cut: Vec::new() }
    }

    /// Where the next byte is.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::RequestLine if self.bytes == 0 => Phase::Idle,
            State::RequestLine | State::Fields => Phase::Head,
            State::Held => Phase::Held,
            State::Lost => Phase::Lost,
            _ => Phase::Body,
        }
    }

    /// The upgrade was refused: what follows are requests.
    pub fn resume(&mut self) {
        if matches!(self.state, State::Held) {
            self.begin();
        }
    }

    /// The upgrade was granted: what follows is not ours to read.
    pub fn let_go(&mut self) {
        self.state = State::Lost;
        self.cut = Vec::new();
    }

    /// Looks at bytes that follow those of earlier calls.
    pub fn feed(&mut self, bytes: &mut [u8]) -> Fed {
        let mut at = 0;
        // End of the head whose body is being read, where it lies in these bytes and can still be withheld.
        let mut head_end = None;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.step(rest) {
                Ok(Step::Passed(n)) => at += n,
                Ok(Step::HeadEnd(n)) => {
                    at += n;
                    head_end = Some(at);
                }
                Err((n, offence)) => return self.spoil(bytes, at + n, head_end, offence),
            }
            match self.state {
                State::Held => return if at == bytes.len() { Fed::All } else { Fed::Held(at) },
                State::RequestLine => head_end = None,
                State::Lost => return Fed::All,
                _ => {}
            }
        }
        Fed::All
    }

    /// Withholds what is wrong: `end` is the length up to and including the offending byte.
    fn spoil(&mut self, bytes: &mut [u8], end: usize, head_end: Option<usize>, offence: Offence) -> Fed {
        let in_head = matches!(self.phase(), Phase::Idle | Phase::Head);
        self.let_go();
        let (len, head) = match head_end {
            Some(head_end) if !in_head => (head_end, true),
            _ => (end, in_head),
        };
        if let Some(byte) = bytes.get_mut(len.saturating_sub(1)).filter(|_| !offence.is_too_large()) {
            *byte = 0;
        }
        Fed::Spoilt { len, offence, head }
    }

    fn step(&mut self, rest: &[u8]) -> Result<Step, (usize, Offence)> {
        match &mut self.state {
            State::RequestLine | State::Fields | State::Trailers => self.lines(rest),
            State::Known(left) => {
                let n = skip(left, rest);
                if *left == 0 {
                    self.end_message();
                }
                Ok(Step::Passed(n))
            }
            State::ChunkData(left) => {
                let n = skip(left, rest);
                if *left == 0 {
                    self.state = State::ChunkCr;
                }
                Ok(Step::Passed(n))
            }
            State::ChunkSize(line) => {
                let byte = rest.first().copied().unwrap_or_default();
                if let Some(size) = line.take(byte).map_err(|offence| (1, offence))? {
                    self.begin_chunk(size);
                }
                Ok(Step::Passed(1))
            }
            State::ChunkCr => self.expect(rest, b'\r', State::ChunkLf),
            State::ChunkLf => self.expect(rest, b'\n', State::ChunkSize(SizeLine::default())),
            State::Held | State::Lost => Ok(Step::Passed(rest.len())),
        }
    }

    fn expect(&mut self, rest: &[u8], byte: u8, next: State) -> Result<Step, (usize, Offence)> {
        if rest.first() != Some(&byte) {
            return Err((1, Offence::ChunkEnd));
        }
        self.state = next;
        Ok(Step::Passed(1))
    }

    fn begin_chunk(&mut self, size: u64) {
        self.state = if size == 0 { State::Trailers } else { State::ChunkData(size) };
        (self.bytes, self.fields) = (0, 0);
    }

    /// Lines, to the end of the head or of the bytes.
    fn lines(&mut self, rest: &[u8]) -> Result<Step, (usize, Offence)> {
        let mut at = 0;
        loop {
            match self.line(rest.get(at..).unwrap_or_default()) {
                Ok(Step::Passed(n)) => at += n,
                Ok(Step::HeadEnd(n)) => return Ok(Step::HeadEnd(at + n)),
                Err((n, offence)) => return Err((at + n, offence)),
            }
            if at == rest.len() || !matches!(self.state, State::Fields) {
                return Ok(Step::Passed(at));
            }
        }
    }

    /// One line, or what there is of it. The first control byte in it decides: it should be the CR of its end.
    fn line(&mut self, rest: &[u8]) -> Result<Step, (usize, Offence)> {
        let room = self.limits.bytes.saturating_sub(self.bytes);
        let window = rest.get(..room).unwrap_or(rest);
        if self.cut.last() == Some(&b'\r') {
            return self.cut_end(window);
        }
        let Some(at) = head::find_control(window) else { return self.cut_line(rest, window) };
        match (window.get(at), window.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => {
                let content = window.get(..at).unwrap_or_default();
                self.bytes += at + 2;
                self.end_line(content, at + 2)
            }
            (Some(b'\r'), Some(_)) => Err((at + 2, Offence::BareCr)),
            (Some(b'\r'), None) => self.cut_line(rest, window),
            (Some(b'\n'), _) => Err((at + 1, Offence::BareLf)),
            _ => Err((at + 1, Offence::ControlByte)),
        }
    }

    /// Keeps the beginning of a line, unless that is too long.
    fn cut_line(&mut self, rest: &[u8], window: &[u8]) -> Result<Step, (usize, Offence)> {
        if rest.len() > window.len() {
            return Err((window.len(), self.too_long()));
        }
        self.bytes += rest.len();
        self.cut.extend_from_slice(rest);
        Ok(Step::Passed(rest.len()))
    }

    /// The line was cut between CR and LF.
    fn cut_end(&mut self, window: &[u8]) -> Result<Step, (usize, Offence)> {
        match window.first() {
            Some(b'\n') => {
                self.bytes += 1;
                self.cut.pop();
                self.end_line(&[], 1)
            }
            Some(_) => Err((1, Offence::BareCr)),
            None => Err((0, self.too_long())),
        }
    }

    /// The line is complete with `content`, behind what was kept of it; `passed` bytes end it.
    fn end_line(&mut self, content: &[u8], passed: usize) -> Result<Step, (usize, Offence)> {
        let done = if self.cut.is_empty() {
            self.whole_line(content)
        } else {
            let mut whole = std::mem::take(&mut self.cut);
            whole.extend_from_slice(content);
            self.whole_line(&whole)
        };
        match done {
            Ok(true) => Ok(Step::HeadEnd(passed)),
            Ok(false) => Ok(Step::Passed(passed)),
            Err(offence) => Err((passed, offence)),
        }
    }

    fn too_long(&self) -> Offence {
        if matches!(self.state, State::Trailers) { Offence::TrailersTooLong } else { Offence::HeadTooLong }
    }

    /// A line without its end; whether the head ends with it.
    fn whole_line(&mut self, content: &[u8]) -> Result<bool, Offence> {
        match self.state {
            State::RequestLine => self.request_line(content).map(|()| false),
            State::Trailers => self.trailer_line(content).map(|()| false),
            _ => self.field_line(content),
        }
    }

    fn request_line(&mut self, content: &[u8]) -> Result<(), Offence> {
        if content.is_empty() {
            let second = std::mem::replace(&mut self.blank, true);
            return if second { Err(Offence::LeadingGarbage) } else { Ok(()) };
        }
        self.head.request_line(content)?;
        self.state = State::Fields;
        Ok(())
    }

    fn field_line(&mut self, content: &[u8]) -> Result<bool, Offence> {
        if content.is_empty() {
            self.head.end()?;
            self.begin_body();
            return Ok(true);
        }
        self.count_field(Offence::TooManyFields)?;
        self.head.field(content).map(|()| false)
    }

    fn trailer_line(&mut self, content: &[u8]) -> Result<(), Offence> {
        if content.is_empty() {
            self.end_message();
            return Ok(());
        }
        self.count_field(Offence::TrailersTooLong)?;
        head::trailer(content)
    }

    fn count_field(&mut self, offence: Offence) -> Result<(), Offence> {
        self.fields += 1;
        if self.fields > self.limits.fields { Err(offence) } else { Ok(()) }
    }

    fn begin_body(&mut self) {
        match self.head.length {
            BodyLength::None | BodyLength::Known(0) => self.end_message(),
            BodyLength::Known(length) => self.state = State::Known(length),
            BodyLength::Chunked => self.state = State::ChunkSize(SizeLine::default()),
        }
    }

    fn end_message(&mut self) {
        if self.head.upgrade {
            self.state = State::Held;
        } else {
            self.begin();
        }
    }

    fn begin(&mut self) {
        self.state = State::RequestLine;
        self.head = Head::default();
        (self.bytes, self.fields, self.blank) = (0, 0, false);
    }
}

/// Passes over body bytes.
fn skip(left: &mut u64, rest: &[u8]) -> usize {
    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
    *left -= n as u64;
    n
}
