//! One client: a kept HTTP/1.1 or HTTP/2 connection, or a new connection with a full handshake for every request.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{Load, h1, tls};

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// HTTP/1.1 on kept connections.
    H1,
    /// The same over TLS.
    H1Tls,
    /// HTTP/2 over TLS.
    H2Tls,
    /// A new connection for every request.
    New,
    /// A new connection with a full TLS handshake for every request.
    NewTls,
}

impl Protocol {
    /// Whether it is spoken over TLS.
    pub(crate) fn is_tls(self) -> bool {
        !matches!(self, Self::H1 | Self::New)
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The connection broke or could not be made.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// HTTP/2 broke.
    #[error("{0}")]
    H2(#[from] hyper::Error),
    /// Another status than 200.
    #[error("answered {0}")]
    Status(u16),
    /// The answer cannot be read.
    #[error("{0}")]
    Malformed(&'static str),
}

pub(super) struct Client {
    load: Load,
    connection: Connection,
}

enum Connection {
    None,
    H1(h1::Connection),
    H2(SendRequest<Full<Bytes>>),
}

impl Connection {
    fn ends(&self) -> bool {
        match self {
            Self::None => false,
            Self::H1(connection) => connection.ends(),
            Self::H2(sender) => sender.is_closed(),
        }
    }
}

impl Client {
    pub(super) async fn new(load: &Load) -> Result<Self, ClientError> {
        let mut client = Self { load: load.clone(), connection: Connection::None };
        client.reconnect().await?;
        Ok(client)
    }

    /// Another client on the same HTTP/2 connection.
    pub(super) fn stream(&self) -> Option<Self> {
        let Connection::H2(sender) = &self.connection else { return None };
        Some(Self { load: self.load.clone(), connection: Connection::H2(sender.clone()) })
    }

    /// Drops what there is and connects anew.
    pub(super) async fn reconnect(&mut self) -> Result<(), ClientError> {
        self.connection = Connection::None;
        self.connection = match self.load.protocol {
            Protocol::New | Protocol::NewTls => Connection::None,
            Protocol::H1 => Connection::H1(self.h1().await?),
            Protocol::H1Tls => Connection::H1(self.h1_tls().await?),
            Protocol::H2Tls => Connection::H2(self.h2().await?),
        };
        Ok(())
    }

    /// One request; returns the length of the body. On a connection that the server has ended in the way of its protocol
    /// nothing is sent any more: another one takes its place.
    pub(super) async fn request(&mut self) -> Result<usize, ClientError> {
        if self.connection.ends() {
            self.reconnect().await?;
        }
        match self.load.protocol {
            Protocol::New => self.h1().await?.request().await,
            Protocol::NewTls => self.h1_tls().await?.request().await,
            _ => match &mut self.connection {
                Connection::H1(connection) => connection.request().await,
                Connection::H2(sender) => ask_h2(sender, &self.load).await,
                Connection::None => Err(ClientError::Malformed("not connected")),
            },
        }
    }

    async fn h1(&self) -> Result<h1::Connection, ClientError> {
        let stream = self.tcp().await?;
        Ok(h1::Connection::new(Box::new(stream), &self.load))
    }

    async fn h1_tls(&self) -> Result<h1::Connection, ClientError> {
        let stream = tls::connect(self.tcp().await?, &self.load, b"http/1.1").await?;
        Ok(h1::Connection::new(Box::new(stream), &self.load))
    }

    async fn h2(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let stream = tls::connect(self.tcp().await?, &self.load, b"h2").await?;
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(1 << 20).initial_connection_window_size(1 << 24);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn tcp(&self) -> Result<TcpStream, ClientError> {
        let stream = TcpStream::connect(self.load.target).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

async fn ask_h2(sender: &mut SendRequest<Full<Bytes>>, load: &Load) -> Result<usize, ClientError> {
    let method = if load.upload == 0 { Method::GET } else { Method::POST };
    let body = Full::new(Bytes::from(vec![b'x'; load.upload]));
    let request = Request::builder().method(method).uri(format!("https://{}{}", load.host, load.path)).body(body);
    let request = request.map_err(|_| ClientError::Malformed("host and path make no URI"))?;
    sender.ready().await?;
    let mut response = sender.send_request(request).await?;
    let mut length = 0;
    while let Some(frame) = response.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
    }
    if response.status() == StatusCode::OK { Ok(length) } else { Err(ClientError::Status(response.status().as_u16())) }
}
