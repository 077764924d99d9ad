//! `postern probe`: how the Postern beside this process is, for a kubelet that can only start programs. An image without
//! a shell has nothing else to ask with.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{GOOD, REFUSED, complain, print, serve::control_runtime};
use crate::args::{Health, Probe};

/// Shorter than what a probe of Kubernetes is usually given, so that the reason is seen there.
const DEADLINE: Duration = Duration::from_secs(3);
/// An answer is never larger.
const MOST_BYTES: u64 = 64 * 1024;

/// Asks, and prints the answer in one line; the exit code is 0 for good and 1 for anything else.
pub(super) fn run(probe: &Probe) -> u8 {
    control_runtime(async {
        let path = match probe.question {
            Health::Ready => "/readyz",
            Health::Live => "/healthz",
        };
        match answer(&probe.socket, path).await {
            Ok(reason) => {
                print(format_args!("{reason}\n"));
                GOOD
            }
            Err(reason) => complain([reason], REFUSED),
        }
    })
}

async fn answer(socket: &Path, path: &str) -> Result<String, String> {
    let shown = socket.display();
    match tokio::time::timeout(DEADLINE, ask(socket, path)).await {
        Ok(Ok(answer)) => judge(&answer),
        Ok(Err(error)) => Err(format!("cannot ask at {shown}: {error}; does Postern run with admin.socket set to it?")),
        Err(_) => Err(format!("no answer at {shown} within {} s", DEADLINE.as_secs())),
    }
}

async fn ask(socket: &Path, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    // An address is answered to whatever admin.hosts says.
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// The first line of the body; an error unless the status is 200.
fn judge(answer: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("what answers there does not speak HTTP")?;
    let reason = body.lines().next().unwrap_or_default().to_owned();
    if head.starts_with("HTTP/1.1 200 ") { Ok(reason) } else { Err(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_is_good_and_the_reason_is_one_line() {
        for (answer, verdict) in [
            ("HTTP/1.1 200 OK\r\na: b\r\n\r\nready\n", Ok("ready")),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready: draining\nmore", Err("not ready: draining")),
            ("HTTP/1.1 404 Not Found\r\n\r\n", Err("")),
            ("", Err("what answers there does not speak HTTP")),
        ] {
            let verdict = verdict.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(judge(answer.as_bytes()), verdict, "{answer:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_there_and_nobody_who_answers_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        let nobody = answer(&path, "/readyz").await.expect_err("nobody is there");
        assert!(nobody.contains("admin.socket"), "{nobody}");
        let _silent = tokio::net::UnixListener::bind(&path).expect("bound");
        let silence = answer(&path, "/readyz").await.expect_err("nobody answers");
        assert!(silence.ends_with("within 3 s"), "{silence}");
    }
}
