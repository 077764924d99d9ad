//! One request at a time, as a user's curl sends it.

use crate::workspace::{output, program};

/// A request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// `http://host/path` or `https://host/path`.
    pub(crate) url: &'a str,
    /// Words for curl beside.
    pub(crate) with: &'a [&'a str],
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 0 where there was none.
    pub(crate) status: u16,
    /// Head and body.
    pub(crate) text: String,
}

impl Ask<'_> {
    /// Sends it to `address`, whatever the name in the URL.
    pub(crate) fn to(&self, address: &str) -> Result<Answer, String> {
        let connect = format!("::{address}:");
        let mut curl =
            program("curl", &["--silent", "--include", "--insecure", "--max-time", "10", "--connect-to", &connect]);
        curl.args(["--write-out", "\n%{http_code}"]).args(self.with).arg(self.url);
        let text = output(&mut curl)?;
        let (text, status) = text.rsplit_once('\n').unwrap_or((text.as_str(), ""));
        Ok(Answer { status: status.parse().unwrap_or(0), text: text.to_owned() })
    }
}

/// The status that a plain GET of `url` at `address` is answered with.
pub(crate) fn status(address: &str, url: &str) -> Result<u16, String> {
    Ask { url, with: &[] }.to(address).map(|answer| answer.status)
}
