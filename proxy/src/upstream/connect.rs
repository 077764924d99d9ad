//! Makes connections to endpoints: resolve, connect, TLS, under one deadline.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use postern_config::model::cluster::EndpointAddress;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    driven::with_io_waker,
    resolve::{ResolveError, Resolver},
};
use crate::socket::Socket;

/// A connection to an endpoint, in plaintext or TLS.
#[derive(Debug)]
pub enum Stream {
    /// Plaintext.
    Plain(Socket),
    /// Inside TLS.
    Tls(Box<TlsStream<Socket>>),
}

/// Why no connection came about. Nothing of a request was sent in any of these cases.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("connecting to {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("TLS with {address}: {source}")]
    Tls { address: SocketAddr, source: io::Error },
    #[error("the host {0:?} cannot be the backend's TLS server name")]
    ServerName(String),
    #[error("the HTTP connection could not be begun: {0}")]
    Begin(hyper::Error),
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
}

/// How to reach an endpoint.
pub(super) struct Target<'a> {
    pub(super) address: &'a EndpointAddress,
    pub(super) tls: Option<(&'a Arc<ClientConfig>, ServerName<'static>)>,
    pub(super) timeout: Duration,
}

/// What connecting needs beside the target.
pub(super) struct Dialer<'a> {
    pub(super) resolver: &'a Arc<Resolver>,
    pub(super) control: &'a tokio::runtime::Handle,
}

impl Dialer<'_> {
    /// A connection to `target`, and the address that it is with.
    pub(super) async fn connect(&self, target: Target<'_>) -> Result<(Stream, SocketAddr), ConnectError> {
        let limit = target.timeout;
        if limit.is_zero() {
            return self.connect_unlimited(target).await;
        }
        timeout(limit, self.connect_unlimited(target)).await.unwrap_or(Err(ConnectError::TimedOut(limit)))
    }

    async fn connect_unlimited(&self, target: Target<'_>) -> Result<(Stream, SocketAddr), ConnectError> {
        let (stream, address) = match target.address {
            EndpointAddress::Socket(address) => (connect_tcp(*address).await?, *address),
            EndpointAddress::Name(name, port) => {
                connect_first(&self.resolver.resolve(name, *port, self.control).await?).await?
            }
        };
        let stream = Socket::new(stream);
        let Some((configuration, name)) = target.tls else { return Ok((Stream::Plain(stream), address)) };
        let connector = TlsConnector::from(configuration.clone());
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|source| ConnectError::Tls { address, source })?;
        Ok((Stream::Tls(Box::new(stream)), address))
    }
}

async fn connect_tcp(address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let failed = |source| ConnectError::Connect { address, source };
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

/// The addresses of a name, one after the other.
async fn connect_first(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let mut last = None;
    for address in addresses {
        match connect_tcp(*address).await {
            Ok(stream) => return Ok((stream, *address)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("a name that resolves has an address"))
}

impl Stream {
    /// Whether the backend chose HTTP/2 by ALPN.
    pub(super) fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        with_io_waker(cx, |cx| match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        with_io_waker(cx, |cx| match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with_io_waker(cx, |cx| match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        })
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_io_waker(cx, |cx| match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_io_waker(cx, |cx| match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        })
    }
}
