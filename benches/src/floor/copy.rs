//! Bytes, both ways.

use std::net::SocketAddr;

use tokio::net::TcpStream;

pub(super) async fn serve(mut client: TcpStream, backend: SocketAddr) {
    let Ok(mut server) = TcpStream::connect(backend).await else { return };
    let _ = server.set_nodelay(true);
    // A reset by either side is how a run ends.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}
