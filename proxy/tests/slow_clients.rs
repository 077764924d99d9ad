//! Clients that take their time: each limit in time ends the connection that breaks it, and no other.

mod support;

use std::{cell::RefCell, rc::Rc, time::Duration};

use postern_proxy::{protocol::http::Spoken, settings::Settings};
use support::{Sent, run, serve_pipe};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::Instant,
};

fn pipe(spoken: Spoken) -> (DuplexStream, Rc<RefCell<Sent>>) {
    let log = Rc::new(RefCell::new(Sent::default()));
    (serve_pipe(Settings::default(), spoken, log.clone()), log)
}

/// Seconds until the server closes.
async fn closed_after(client: &mut DuplexStream) -> u64 {
    let started = Instant::now();
    let mut rest = Vec::new();
    // A broken pipe is an end too.
    let _ = client.read_to_end(&mut rest).await;
    started.elapsed().as_secs()
}

/// Sends `byte` every second until the server closes, and says after how many seconds it did.
async fn trickle(client: &mut DuplexStream, byte: u8) -> u64 {
    let started = Instant::now();
    let mut answer = [0; 1024];
    loop {
        tokio::select! {
            read = client.read(&mut answer) => if matches!(read, Ok(0) | Err(_)) {
                return started.elapsed().as_secs();
            },
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                if client.write_all(&[byte]).await.is_err() {
                    return started.elapsed().as_secs();
                }
            }
        }
    }
}

#[test]
fn a_head_that_trickles_in_is_cut_off_at_its_total_deadline() {
    run(async {
        for spoken in [Spoken::Http1, Spoken::Unknown] {
            let (mut client, log) = pipe(spoken);
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ").await.expect("a pipe");
            let seconds = trickle(&mut client, b'x').await;
            assert!((10..12).contains(&seconds), "{spoken:?}: {seconds}");
            assert_eq!(log.borrow().begun, 0);
        }
    });
}

#[test]
fn a_second_head_has_a_deadline_of_its_own() {
    run(async {
        let (mut client, log) = pipe(Spoken::Http1);
        for _ in 0..3 {
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("a pipe");
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
        assert_eq!(log.borrow().requests.len(), 3, "idle time is no header time");
        client.write_all(b"GET").await.expect("a pipe");
        assert_eq!(closed_after(&mut client).await, 10);
    });
}

#[test]
fn an_idle_connection_is_closed() {
    run(async {
        for spoken in [Spoken::Http1, Spoken::Unknown] {
            let (mut client, _) = pipe(spoken);
            assert_eq!(closed_after(&mut client).await, 180, "{spoken:?}");
        }
        let (mut client, _) = pipe(Spoken::Http1);
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("a pipe");
        assert_eq!(closed_after(&mut client).await, 180);
    });
}

#[test]
fn a_body_that_makes_no_progress_is_cut_off() {
    run(async {
        let (mut client, log) = pipe(Spoken::Http1);
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello").await.expect("a pipe");
        let seconds = closed_after(&mut client).await;
        assert!((60..64).contains(&seconds), "{seconds}");
        assert_eq!((log.borrow().begun, log.borrow().requests.len()), (1, 0));
    });
}

#[test]
fn a_body_that_makes_progress_is_not() {
    run(async {
        let (mut client, log) = pipe(Spoken::Http1);
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n").await.expect("a pipe");
        for _ in 0..9 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            client.write_all(b"x").await.expect("the connection is open");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(log.borrow().requests.len(), 1);
    });
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    run(async {
        let (mut client, log) = pipe(Spoken::Http1);
        // Answers of about 100 bytes fill the pipe of 64 KiB.
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let started = Instant::now();
        let mut sent = 0;
        while let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(300), client.write_all(request)).await {
            sent += 1;
            assert!(sent < 1_000_000, "the server never stops");
        }
        assert!(started.elapsed() < Duration::from_secs(100), "{:?}", started.elapsed());
        assert!(log.borrow().begun > 100);
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    run(async {
        let (mut client, log) = pipe(Spoken::Unknown);
        let requests: String = (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        client.write_all(requests.as_bytes()).await.expect("a pipe");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let wanted: Vec<String> = (0..50).map(|n| format!("GET /{n}")).collect();
        assert_eq!(log.borrow().requests, wanted);
    });
}

#[test]
fn a_client_may_close_its_half_and_still_gets_its_answer() {
    run(async {
        let (mut client, _) = pipe(Spoken::Unknown);
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("a pipe");
        client.shutdown().await.expect("a pipe");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    });
}
