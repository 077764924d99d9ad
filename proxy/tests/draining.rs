//! Connections that are asked to finish: no request that a client may still send is lost.

mod support;

use std::{cell::RefCell, rc::Rc, time::Duration};

use postern_proxy::{lifecycle::drain::Drain, protocol::http::Spoken, settings::Settings};
use support::{Sent, run, serve_pipe_until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::Instant,
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn pipe(drain: &Drain, spoken: Spoken) -> (DuplexStream, Rc<RefCell<Sent>>) {
    let log = Rc::new(RefCell::new(Sent::default()));
    (serve_pipe_until(drain, Settings::default(), spoken, log.clone()), log)
}

/// One request on a connection that stays open.
async fn ask(client: &mut DuplexStream) {
    client.write_all(REQUEST).await.expect("a pipe");
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok") {
        assert_ne!(client.read_buf(&mut answer).await.expect("a pipe"), 0, "closed after {answer:?}");
    }
    assert!(!String::from_utf8_lossy(&answer).contains("connection: close"));
}

async fn rest(client: &mut DuplexStream) -> String {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.expect("an orderly end");
    String::from_utf8(rest).expect("text")
}

#[test]
fn an_idle_client_gets_one_more_answer_which_says_so() {
    run(async {
        for spoken in [Spoken::Http1, Spoken::Unknown] {
            let drain = Drain::default();
            let (mut client, log) = pipe(&drain, spoken);
            ask(&mut client).await;
            drain.start();
            tokio::time::sleep(Duration::from_secs(1)).await;
            client.write_all(REQUEST).await.expect("it is still read");
            let answer = rest(&mut client).await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
            assert_eq!(log.borrow().requests.len(), 2);
        }
    });
}

#[test]
fn a_client_that_asks_for_nothing_is_let_go_soon() {
    run(async {
        for (spoken, asked) in [(Spoken::Http1, false), (Spoken::Http1, true), (Spoken::Unknown, false)] {
            let drain = Drain::default();
            let (mut client, _log) = pipe(&drain, spoken);
            if asked {
                ask(&mut client).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            drain.start();
            let started = Instant::now();
            assert_eq!(rest(&mut client).await, "");
            assert_eq!(started.elapsed().as_secs(), 2, "{spoken:?}, asked: {asked}");
        }
    });
}

#[test]
fn a_request_under_way_is_answered_and_its_answer_is_the_last() {
    run(async {
        let drain = Drain::default();
        let (mut client, log) = pipe(&drain, Spoken::Http1);
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab").await.expect("a pipe");
        tokio::time::sleep(Duration::from_secs(1)).await;
        drain.start();
        tokio::time::sleep(Duration::from_secs(10)).await;
        client.write_all(b"cd").await.expect("it is still read");
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
        assert_eq!(log.borrow().requests.len(), 1);
    });
}
