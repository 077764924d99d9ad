//! hyper's two kinds of connection, back to back, with the forwarded headers that all contenders set.

use std::{cell::RefCell, net::SocketAddr, rc::Rc};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Either;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

type Answer = Response<Either<Incoming, http_body_util::Empty<bytes::Bytes>>>;

/// Connections to the backend that wait for work.
pub(super) type Idle = Rc<RefCell<Vec<SendRequest<Incoming>>>>;

pub(super) async fn serve(client: TcpStream, backend: SocketAddr, idle: Idle) {
    let answer = service_fn(|request: Request<Incoming>| {
        let idle = idle.clone();
        async move {
            let answered = forward(request, backend, &idle).await;
            Ok::<Answer, std::convert::Infallible>(
                answered.map_or_else(|_| bad_gateway(), |answer| answer.map(Either::Left)),
            )
        }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    // A client that leaves is how a run ends.
    let _ = server.header_read_timeout(None).serve_connection(TokioIo::new(client), answer).await;
}

async fn forward(
    mut request: Request<Incoming>,
    backend: SocketAddr,
    idle: &Idle,
) -> hyper::Result<Response<Incoming>> {
    for (name, value) in [("x-forwarded-for", "127.0.0.1"), ("x-real-ip", "127.0.0.1"), ("x-forwarded-port", "80")] {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(host) = request.headers().get(http::header::HOST).cloned() {
        request.headers_mut().insert(HeaderName::from_static("x-forwarded-host"), host);
    }
    request.headers_mut().insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static("http"));
    let taken = idle.borrow_mut().pop();
    let mut connection = match taken {
        Some(connection) => connection,
        None => connect(backend).await?,
    };
    let response = connection.send_request(request).await?;
    if connection.is_ready() {
        idle.borrow_mut().push(connection);
    } else {
        let idle = idle.clone();
        tokio::task::spawn_local(async move {
            if connection.ready().await.is_ok() {
                idle.borrow_mut().push(connection);
            }
        });
    }
    Ok(response)
}

async fn connect(backend: SocketAddr) -> hyper::Result<SendRequest<Incoming>> {
    let stream = TcpStream::connect(backend).await.expect("the bench's own backend accepts connections");
    stream.set_nodelay(true).expect("an open socket takes options");
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    Ok(sender)
}

fn bad_gateway() -> Answer {
    let mut answer = Response::new(Either::Right(http_body_util::Empty::new()));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}
